"""A source that repeats itself and is late: nothing counts twice, nothing newer is overwritten."""

from typing import Any

import pytest
from sqlalchemy import select

from app.base.config import Settings
from app.intake.accept import accept_items
from app.intake.receipts import Receipt
from app.intake.sources import add_source
from app.ledger.books import read_books
from app.processing.drain import drain_all
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Progress
from app.store.tables.columns import table_of
from tests.builders import an_environment, an_event

QUEST = {"learner": "u1", "module": "m1", "module_type": "quest"}


@pytest.fixture
def environment_id(store: Store) -> int:
    environment_id = an_environment(store)
    with transaction(store) as connection:
        add_source(connection, environment_id, source_key="lms")
        add_source(connection, environment_id, source_key="legacy")
    return environment_id


def send(store: Store, settings: Settings, environment_id: int, *events: dict[str, Any]) -> Receipt:
    receipt = accept_items(store, settings, environment_id=environment_id, items=events)
    drain_all(store, settings)
    return receipt


def progress_of(store: Store, environment_id: int) -> Any:
    table = table_of(Progress)
    with snapshot(store) as connection:
        return connection.execute(
            select(table).where(table.c.environment_id == environment_id)
        ).one()


def counts_of(store: Store, environment_id: int) -> dict[str, Any]:
    with snapshot(store) as connection:
        return read_books(connection, environment_id).as_dict()


def test_a_source_that_sends_a_day_twice_changes_nothing(
    store: Store, settings: Settings, environment_id: int
) -> None:
    day = [an_event(n, data={**QUEST, "percent": n}) for n in range(1, 40)]
    first = send(store, settings, environment_id, *day)
    before = progress_of(store, environment_id)
    again = send(store, settings, environment_id, *day)
    assert (first.accepted, again.duplicate, again.accepted) == (39, 39, 0)
    assert progress_of(store, environment_id) == before
    books = counts_of(store, environment_id)
    assert (books["received"], books["accepted"], books["duplicate"]) == (78, 39, 39)
    assert books["balanced"]


def test_two_sources_may_use_the_same_ids(
    store: Store, settings: Settings, environment_id: int
) -> None:
    send(store, settings, environment_id, an_event(1, data={**QUEST, "percent": 10}))
    other = an_event(1, source="legacy", data={**QUEST, "percent": 20})
    assert send(store, settings, environment_id, other).accepted == 1
    row = progress_of(store, environment_id)
    assert (row.percent_complete, row.events_count) == (20.0, 2)


def test_a_late_failure_does_not_undo_a_completion(
    store: Store, settings: Settings, environment_id: int
) -> None:
    done = an_event(50, type="progress.completed", data={**QUEST, "score": 90, "max_score": 100})
    send(store, settings, environment_id, done)
    late = an_event(2, type="progress.failed", data={**QUEST, "score": 20, "max_score": 100})
    send(store, settings, environment_id, late)
    row = progress_of(store, environment_id)
    assert (row.status, row.last_score_percent, row.first_score_percent) == ("completed", 90, 20)
    assert (row.best_score_percent, row.events_count) == (90, 2)


def test_a_late_assignment_takes_over_what_had_begun_without_one(
    store: Store, settings: Settings, environment_id: int
) -> None:
    send(store, settings, environment_id, an_event(5, type="progress.started", data=QUEST))
    assert progress_of(store, environment_id).implicit
    terms = {"learner": "u1", "module": "m1", "due_at": "2025-06-01T00:00:00Z", "reason": "rule"}
    send(store, settings, environment_id, an_event(1, type="assignment.made", data=terms))
    row = progress_of(store, environment_id)
    assert (row.implicit, row.reason, row.status) == (False, "rule", "in_progress")
    assert counts_of(store, environment_id)["applied"] == 2


def test_a_void_may_come_before_the_event_that_it_takes_back(
    store: Store, settings: Settings, environment_id: int
) -> None:
    send(store, settings, environment_id, an_event(1, type="progress.started", data=QUEST))
    keys = {"learner": "u1", "module": "m1", "stream": "quest"}
    void = an_event(9, type="event.voided", data={**keys, "event_id": "e2"})
    send(store, settings, environment_id, void)
    done = an_event(2, type="progress.completed", data=QUEST)
    receipt = send(store, settings, environment_id, done)
    assert receipt.accepted == 1
    assert progress_of(store, environment_id).status == "in_progress"
    books = counts_of(store, environment_id)
    assert (books["applied"], books["superseded"], books["pending"]) == (2, 1, 0)


def test_a_correction_turns_applied_events_into_superseded_ones_and_the_books_follow(
    store: Store, settings: Settings, environment_id: int
) -> None:
    send(store, settings, environment_id, an_event(1, data={**QUEST, "percent": 80}))
    assert counts_of(store, environment_id)["applied"] == 1
    send(store, settings, environment_id, an_event(2, type="progress.reset", data=QUEST))
    books = counts_of(store, environment_id)
    assert (books["applied"], books["superseded"], books["balanced"]) == (1, 1, True)
    assert progress_of(store, environment_id).percent_complete == 0
