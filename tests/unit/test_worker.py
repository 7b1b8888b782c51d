"""The background loops: woken by new work, undisturbed by failures, stopped in order."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import update

from app.base.config import Settings
from app.base.errors import StoreBusy
from app.base.facts import AlarmRaised, Fact, QuantumApplied, SweepDone, WorkerFailed, WorkerStopped
from app.base.observe import listening
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.processing.queue import claim_turn
from app.store.engine import Store, transaction
from app.store.tables import Tally
from app.store.tables.columns import table_of
from app.worker import Worker
from tests.builders import an_environment, an_event

Wait = Callable[[type[Fact]], Any]


@pytest.fixture
def wait_for() -> Iterator[Wait]:
    """Wait until a fact of a kind is stated; facts that were stated before count too."""
    stated: list[Fact] = []
    news = threading.Condition()

    def hear(fact: Fact) -> None:
        with news:
            stated.append(fact)
            news.notify_all()

    def wait(kind: type[Fact]) -> Any:
        with news:
            assert news.wait_for(lambda: any(isinstance(f, kind) for f in stated), timeout=30)
            return next(fact for fact in stated if isinstance(fact, kind))

    with listening(hear):
        yield wait


def send(store: Store, settings: Settings) -> None:
    environment_id = an_environment(store)
    with transaction(store) as connection:
        add_source(connection, environment_id, source_key="lms")
    accept_items(store, settings, environment_id=environment_id, items=[an_event(1)])


def test_a_worker_sweeps_at_start_and_folds_what_comes(
    store: Store, settings: Settings, wait_for: Wait
) -> None:
    worker = Worker(store, settings)
    worker.start()
    assert wait_for(SweepDone).repaired_count == 0
    send(store, settings)
    assert wait_for(QuantumApplied).event_count == 1
    assert worker.is_running
    worker.stop()
    wait_for(WorkerStopped)
    assert not worker.is_running


def test_a_worker_that_cannot_reach_the_store_says_so_and_goes_on(
    store: Store, settings: Settings, wait_for: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([StoreBusy("locked"), ValueError("odd")])

    def claim_or_fail(*given: Any, **said: Any) -> Any:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        return claim_turn(*given, **said)

    monkeypatch.setattr("app.processing.drain.claim_turn", claim_or_fail)
    monkeypatch.setattr("app.worker._REST_S", 0.01)
    send(store, settings)
    worker = Worker(store, settings)
    worker.start()
    assert wait_for(WorkerFailed).error == "StoreBusy: locked"
    assert wait_for(QuantumApplied).event_count == 1
    worker.stop()


def test_a_worker_watches_the_books(store: Store, settings: Settings, wait_for: Wait) -> None:
    send(store, settings)
    tally = table_of(Tally)
    with transaction(store) as connection:
        connection.execute(
            update(tally).where(tally.c.environment_id == 1).values(received=tally.c.received + 1)
        )
    worker = Worker(store, settings)
    worker.start()
    assert wait_for(AlarmRaised).kind == "books_unbalanced"
    worker.stop()
