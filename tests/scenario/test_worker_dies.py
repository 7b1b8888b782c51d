"""Doors and workers are killed at any moment: what was acknowledged is there, and counts once.

FULLCOUNT_TEST_KILLS asks for more of them; figures are printed with `-s`.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app.access.environments import add_environment
from app.access.keys import issue_key
from app.intake.accept import accept_items
from app.intake.decode import BATCH_TYPE
from app.intake.sources import add_source
from app.ledger.books import read_books, recount_books
from app.processing.drain import drain_all
from app.processing.queue import free_leases
from app.processing.sweep import sweep_all
from app.store.engine import Store, close_store, open_store, snapshot, transaction
from app.store.migrate import migrate_store
from app.store.tables import Event, Progress
from app.store.tables.columns import table_of
from tests.builders import some_settings
from tests.lives import BATCH, Lives, a_batch, send_and_work, send_batches, work

KILLS = int(os.environ.get("FULLCOUNT_TEST_KILLS", "60"))
_PATIENCE_S = 60.0


@pytest.fixture
def lives(database_url: str) -> Iterator[Lives]:
    """Nobody alive yet, over a database with two environments that share all names."""
    store = open_store(database_url)
    migrate_store(store)
    with transaction(store) as connection:
        numbers = [add_environment(connection, environment_key=name) for name in ("one", "two")]
        for number in numbers:
            add_source(connection, number, source_key="lms")
    close_store(store)
    begun = Lives(database_url, numbers)
    yield begun
    begun.end()


def test_nothing_is_lost_or_counted_twice_by_kills_at_random(lives: Lives) -> None:
    if lives.database_url.startswith("sqlite"):
        kill_doors(lives, Random(4))
    else:
        kill_any(lives, Random(4))
    lives.end()
    store = open_store(lives.database_url)
    told = [check_environment(store, number, lives.unsent) for number in lives.environment_ids]
    close_store(store)
    print(  # noqa: T201  (the figures of docs/reliability.md, shown by `pytest -s`)
        f"\n{store.dialect_name}: {lives.kill_count} kills, {sum(told)} events; "
        "lost 0, double 0, gaps 0"
    )


def kill_doors(lives: Lives, chance: Random) -> None:
    """One process takes events in and works, as one may on SQLite; it dies again and again."""
    while lives.kill_count < KILLS // 2:
        life, listener = lives.begin_door(send_and_work)
        lives.hear(listener, chance.randint(1, 3))
        lives.kill(life, chance)
        lives.hear_all(listener)


def kill_any(lives: Lives, chance: Random) -> None:
    """Two workers beside each other and a door; any of them dies, and another takes its place."""
    door = lives.begin_door(send_batches)
    workers = [lives.begin(work) for _ in range(2)]
    while lives.kill_count < KILLS // 2:
        lives.hear(door[1], chance.randint(1, 3))
        place = chance.randrange(3)
        if place < len(workers):
            lives.kill(workers[place], chance)
            workers[place] = lives.begin(work)
            continue
        lives.kill(door[0], chance)
        lives.hear_all(door[1])
        door = lives.begin_door(send_batches)
    lives.kill(door[0], chance)
    lives.hear_all(door[1])


def check_environment(store: Store, number: int, unsent: int) -> int:
    """Send what was not acknowledged again, let the last work be done, and count everything."""
    event, progress = table_of(Event), table_of(Progress)
    settings = some_settings()
    accept_items(store, settings, environment_id=number, items=a_batch(unsent))
    with transaction(store) as connection:
        free_leases(connection)
    assert sweep_all(store) == 0
    drain_all(store, settings)
    with snapshot(store) as connection:
        rows = connection.execute(
            select(event.c.seq, event.c.event_id).where(event.c.environment_id == number)
        ).all()
        folded = connection.execute(
            select(func.sum(progress.c.events_count)).where(progress.c.environment_id == number)
        ).scalar_one()
        books = read_books(connection, number).as_dict()
        assert recount_books(connection, number) == []
    sent = {item["id"] for batch in range(unsent + 1) for item in a_batch(batch)}
    assert {row.event_id for row in rows} >= sent
    assert sorted(row.seq for row in rows) == list(range(1, len(rows) + 1))
    assert int(folded) == len(rows) == len({row.event_id for row in rows})
    assert books["applied"] + books["superseded"] == books["accepted"] == len(rows)
    return len(rows)


class Server:
    """`fullcount serve` on a port of its own."""

    def __init__(self, database_url: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        fullcount = str(Path(sys.executable).with_name("fullcount"))
        self._process = subprocess.Popen(
            [fullcount, "serve", "--port", str(self.port)],
            env=os.environ | {"FULLCOUNT_DATABASE_URL": database_url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._answers)

    def end(self, number: signal.Signals) -> int:
        """Send a signal; give the exit code."""
        self._process.send_signal(number)
        return self._process.wait(_PATIENCE_S)

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


def test_a_server_that_is_killed_keeps_what_it_acknowledged_and_ends_in_order_when_told(
    tmp_path: Path,
) -> None:
    database_url = f"sqlite:///{tmp_path}/served.db"
    headers = {"Authorization": f"Bearer {open_door(database_url)}", "Content-Type": BATCH_TYPE}
    for is_last in (False, True):
        server = Server(database_url)
        with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as client:
            receipt = client.post("/v1/events", json=a_batch(0)).json()
            if not is_last:
                assert receipt["accepted"] == BATCH
                assert server.end(signal.SIGKILL) == -signal.SIGKILL
                continue
            assert receipt["duplicate"] == BATCH
            wait_until(lambda: client.get("/v1/books").json()["pending"] == 0)
            books = client.get("/v1/books").json()
        assert server.end(signal.SIGTERM) == 0
    assert books["balanced"]
    assert books["accepted"] == books["applied"] + books["superseded"] == BATCH


def open_door(database_url: str) -> str:
    """Make an environment with a source; give a key to it."""
    store = open_store(database_url)
    migrate_store(store)
    with transaction(store) as connection:
        number = add_environment(connection, environment_key="acme")
        add_source(connection, number, source_key="lms")
        issued = issue_key(connection, number, scopes=("ingest", "read"))
    close_store(store)
    return issued.key
