"""The server is killed while events come in: what it acknowledged is there, and counts once."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.access.environments import add_environment
from app.access.keys import issue_key
from app.intake.decode import BATCH_TYPE
from app.intake.sources import add_source
from app.ledger.books import recount_books
from app.store.engine import close_store, open_store, snapshot, transaction
from app.store.migrate import migrate_store
from app.store.tables import Event, Progress
from app.store.tables.columns import table_of
from tests.builders import an_event

KILLS = 20
BATCH = 25
_PATIENCE_S = 60.0


class Server:
    """`fullcount serve` on a port of its own, over one SQLite file."""

    def __init__(self, database_url: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = os.environ | {"FULLCOUNT_DATABASE_URL": database_url}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        fullcount = str(Path(sys.executable).with_name("fullcount"))
        command = [fullcount, "serve", "--port", str(self.port)]
        self._process = subprocess.Popen(
            command, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._answers)

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        code = self._process.wait(_PATIENCE_S)
        self._process = None
        return code

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


def wait_until(holds: Any) -> None:
    """Ask again and again, until it holds or patience ends."""
    pause = threading.Event()
    for _ in range(int(_PATIENCE_S / 0.05)):
        if holds():
            return
        pause.wait(0.05)
    raise AssertionError("it did not come to pass in time")


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/killed.db"


@pytest.fixture
def key(database_url: str) -> str:
    """A key of an environment with one source."""
    store = open_store(database_url)
    migrate_store(store)
    with transaction(store) as connection:
        environment_id = add_environment(connection, environment_key="acme")
        add_source(connection, environment_id, source_key="lms")
        issued = issue_key(connection, environment_id, scopes=("ingest", "read"))
    close_store(store)
    return issued.key


@pytest.fixture
def server(database_url: str, key: str) -> Iterator[Server]:
    del key
    opened = Server(database_url)
    yield opened
    opened.kill()


def a_batch(number: int) -> list[dict[str, Any]]:
    """Events of a few learners; every batch touches the entities of the ones before."""
    first = number * BATCH
    return [
        an_event(
            n % 1000,
            id=f"e{n}",
            data={
                "learner": f"u{n % 7}",
                "module": "m1",
                "module_type": "quest",
                "percent": n % 100,
            },
        )
        for n in range(first, first + BATCH)
    ]


def send_batch(client: httpx.Client, number: int) -> dict[str, Any]:
    answer = client.post("/v1/events", json=a_batch(number), headers={"Content-Type": BATCH_TYPE})
    assert answer.status_code == 202, answer.text
    receipt: dict[str, Any] = answer.json()
    assert receipt["accepted"] + receipt["duplicate"] == BATCH
    return receipt


def send_until_killed(server: Server, client: httpx.Client, *, start: int, after: int) -> int:
    """Send batch after batch; a while after some acknowledgements the server dies. Gives the first
    batch that was not acknowledged.
    """
    number = start
    chance = random.Random(start)
    try:
        while True:
            send_batch(client, number)
            number += 1
            if number == start + after:
                threading.Timer(chance.uniform(0, 0.05), server.kill).start()
    except httpx.TransportError:
        return number


def test_no_acknowledged_event_is_lost_by_twenty_kills(
    server: Server, database_url: str, key: str
) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    number = 0
    for _ in range(KILLS):
        server.start()
        with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as client:
            number = send_until_killed(server, client, start=number, after=3)
        wait_until(lambda: server._process is None)
    server.start()
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as client:
        send_batch(client, number)
        wait_until(lambda: client.get("/v1/books").json()["pending"] == 0)
        books = client.get("/v1/books").json()
    assert server.end(signal.SIGTERM) == 0
    sent = {event["id"] for n in range(number + 1) for event in a_batch(n)}
    assert books["balanced"]
    assert books["accepted"] == books["applied"] + books["superseded"] == len(sent)
    check_journal(database_url, sent)


def check_journal(database_url: str, sent: set[str]) -> None:
    store = open_store(database_url)
    event, progress = table_of(Event), table_of(Progress)
    with snapshot(store) as connection:
        rows = connection.execute(
            select(event.c.seq, event.c.event_id).where(event.c.environment_id == 1)
        ).all()
        folded = connection.execute(
            select(progress.c.events_count).where(progress.c.environment_id == 1)
        ).scalars()
        assert sum(folded) == len(sent)
        assert recount_books(connection, 1) == []
    close_store(store)
    assert sorted(row.seq for row in rows) == list(range(1, len(sent) + 1))
    assert {row.event_id for row in rows} == sent
