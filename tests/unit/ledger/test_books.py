"""The books: both equations, per stream, from the tallies and from the journal itself."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from app.intake.sources import add_source
from app.ledger.books import Books, read_books, recount_books
from app.ledger.flow import SETTLED
from app.store.engine import Store, snapshot, transaction
from app.store.sums import COUNTS, TallyDelta, add_tallies
from app.store.tables import Environment, Event, Quarantine
from app.store.tables.columns import table_of
from app.store.tables.journal import DISPOSITIONS
from tests.builders import NOON, an_environment, write_rows


def keep_books(store: Store, *deltas: TallyDelta, last_seq: int = 0) -> int:
    """An environment with one source, these tallies, and so many events in its journal."""
    environment_id = an_environment(store)
    table = table_of(Environment)
    with transaction(store) as connection:
        add_source(connection, environment_id, source_key="lms")
        add_tallies(connection, environment_id, deltas)
        connection.execute(
            update(table)
            .where(table.c.environment_id == environment_id)
            .values(last_seq=last_seq, last_revision=5)
        )
    return environment_id


def books_of(store: Store, environment_id: int) -> Books:
    with snapshot(store) as connection:
        return read_books(connection, environment_id)


def faults_of(store: Store, environment_id: int) -> list[str]:
    with snapshot(store) as connection:
        return recount_books(connection, environment_id)


def write_journal(store: Store, environment_id: int, dispositions: str) -> None:
    """One event for each letter: the first letter of what became of it."""
    letters = {name[0]: number for number, name in enumerate(DISPOSITIONS)}
    rows: list[dict[str, Any]] = [
        {
            "seq": seq,
            "source_id": 1,
            "event_id": f"e{seq}",
            "type": "progress.started",
            "stream": "quest",
            "entity_key": 'assignment:["u42","m7","",1]',
            "occurred_at": NOON + timedelta(seconds=seq),
            "recorded_at": NOON,
            "received_at": NOON,
            "digest": b"x",
            "data": "{}",
            "disposition": letters[letter],
        }
        for seq, letter in enumerate(dispositions, 1)
    ]
    write_rows(store, Event, rows, environment_id=environment_id)


QUEST = TallyDelta(
    1, "quest", received=6, accepted=4, duplicate=1, conflict=1, applied=1, superseded=1, dead=1
)


def test_an_empty_environment_is_balanced(store: Store) -> None:
    books = books_of(store, an_environment(store))
    assert books.is_balanced
    assert (books.streams, books.pending) == ((), 0)


def test_what_is_accepted_and_not_settled_is_pending(store: Store) -> None:
    books = books_of(store, keep_books(store, QUEST, last_seq=4))
    assert books.is_balanced
    assert (books.pending, books.total("accepted"), books.revision) == (1, 4, 5)


def test_the_shape_tells_every_count(store: Store) -> None:
    told = books_of(store, keep_books(store, QUEST, last_seq=4)).as_dict()
    assert told["balanced"] is True
    assert {*COUNTS, "pending", "environment", "revision", "streams"} < set(told)
    (stream,) = told["streams"]
    assert (stream["source"], stream["stream"], stream["pending"]) == ("lms", "quest", 1)
    accepted = stream["pending"] + sum(stream[name] for name in SETTLED)
    assert accepted == stream["accepted"]


def test_items_of_no_source_stand_in_the_books_too(store: Store) -> None:
    nowhere = TallyDelta(0, "", received=2, rejected=2)
    books = books_of(store, keep_books(store, QUEST, nowhere, last_seq=4))
    assert [(s.source, s.stream) for s in books.streams] == [("", ""), ("lms", "quest")]
    assert books.is_balanced


@pytest.mark.parametrize(
    ("delta", "last_seq"),
    [
        (TallyDelta(1, "quest", received=2, accepted=1), 1),
        (TallyDelta(1, "quest", received=1, accepted=1, applied=2), 1),
        (TallyDelta(1, "quest", received=1, accepted=1), 2),
        (TallyDelta(1, "quest", received=1, accepted=1), 0),
    ],
)
def test_books_that_do_not_balance_say_so(store: Store, delta: TallyDelta, last_seq: int) -> None:
    environment_id = keep_books(store, delta, last_seq=last_seq)
    assert not books_of(store, environment_id).is_balanced
    assert "the equations of the tallies do not hold" in faults_of(store, environment_id)


def test_two_wrongs_in_two_streams_do_not_make_a_right(store: Store) -> None:
    wrongs = [TallyDelta(1, "quest", received=1), TallyDelta(1, "course", accepted=1)]
    assert not books_of(store, keep_books(store, *wrongs, last_seq=1)).is_balanced


def test_tallies_that_agree_with_the_journal_have_no_fault(store: Store) -> None:
    delta = TallyDelta(1, "quest", received=4, accepted=4, applied=1, superseded=1, dead=1)
    environment_id = keep_books(store, delta, last_seq=4)
    write_journal(store, environment_id, "pasd")
    assert faults_of(store, environment_id) == []


def test_an_event_missing_from_the_journal_is_found(store: Store) -> None:
    delta = TallyDelta(1, "quest", received=2, accepted=2, applied=2)
    environment_id = keep_books(store, delta, last_seq=2)
    write_journal(store, environment_id, "a")
    faults = faults_of(store, environment_id)
    assert "lms/quest: accepted is 2 in the books, 1 found" in faults


def test_a_journal_that_is_gone_is_found(store: Store) -> None:
    delta = TallyDelta(1, "quest", received=2, accepted=2, applied=2)
    faults = faults_of(store, keep_books(store, delta, last_seq=2))
    assert faults == ["lms/quest: 2 accepted events are not there"]


def test_an_event_settled_otherwise_than_the_books_say_is_found(store: Store) -> None:
    delta = TallyDelta(1, "quest", received=2, accepted=2, applied=2)
    environment_id = keep_books(store, delta, last_seq=2)
    write_journal(store, environment_id, "as")
    faults = faults_of(store, environment_id)
    assert "lms/quest: superseded is 0 in the books, 1 found" in faults


def test_the_shelf_is_counted_as_well(store: Store) -> None:
    delta = TallyDelta(1, "quest", received=2, rejected=1, conflict=1)
    environment_id = keep_books(store, delta)
    shelved = {
        "quarantine_id": 1,
        "batch_id": 1,
        "item_index": 0,
        "outcome": "rejected",
        "problems": "[]",
        "item": "{}",
        "received_at": NOON,
    }
    write_rows(store, Quarantine, [shelved], environment_id=environment_id)
    (fault,) = faults_of(store, environment_id)
    assert fault.startswith("conflict: 1 in the books, 0 ")


def test_a_neighbours_books_are_its_own(store: Store) -> None:
    keep_books(store, QUEST, last_seq=4)
    other = books_of(store, an_environment(store, "other"))
    assert (other.environment_key, other.streams, other.is_balanced) == ("other", (), True)
