"""What a claim costs must not grow with the journal: its statements find rows by their indexes."""

import re
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, text

from app.base.clock import now
from app.processing.fairness import LONG_SHARE
from app.processing.journal import read_entries, read_pending
from app.processing.queue import claim_turn
from app.store.engine import Store, rehearsal, schema_transaction, transaction
from app.store.work import mark_again, mark_dirty
from bench.growth import explain_claim, fill_journal
from bench.plans import Explained, explain_statements
from tests.builders import an_environment

EVENTS = 20_000

_LEASED = {"sqlite": "since_seq", "postgresql": "entity_key"}
_LATE = "UPDATE event SET disposition = 0 WHERE environment_id = :number AND seq >= :first"


@pytest.fixture
def plans(store: Store) -> list[Explained]:
    """The plans of a claim beside a journal of which the database knows how large it is."""
    numbers = [an_environment(store, name) for name in ("acme", "globex")]
    for number in numbers:
        fill_journal(store, number, EVENTS)
    waiting = {f'assignment:["u{number}","m1","",1]': EVENTS + number for number in range(600)}
    with transaction(store) as connection:
        mark_dirty(connection, numbers[0], waiting)
    with schema_transaction(store) as connection:
        connection.execute(text("ANALYZE"))
    with rehearsal(store) as connection:
        return explain_claim(connection)


@pytest.fixture
def first_plans(store: Store) -> list[Explained]:
    """The plans of a claim and of reading all that its entities have, when a delivery is there
    before the first statistics.
    """
    number = an_environment(store)
    fill_journal(store, number, EVENTS)
    waiting = {f'assignment:["u{number}","m1","",1]': EVENTS for number in range(600)}
    with transaction(store) as connection:
        mark_dirty(connection, number, waiting)
    with rehearsal(store) as connection:
        return explain_statements(connection, claim_and_read_all)


@pytest.fixture
def late_plans(store: Store) -> list[Explained]:
    """The plans of a claim, and of reading what waits, when a delivery came after statistics of
    an empty backlog.
    """
    number = an_environment(store)
    fill_journal(store, number, EVENTS)
    if store.dialect_name == "postgresql":  # SQLite gathers none by itself
        with schema_transaction(store) as connection:
            connection.execute(text("ANALYZE"))
    seqs = range(EVENTS - 1_000 + 1, EVENTS + 1)
    waiting = {f'assignment:["u{seq % 2_000 + 1_999}","m1","",1]': (seq, seq) for seq in seqs}
    with schema_transaction(store) as connection:
        connection.execute(text(_LATE), {"first": seqs[0], "number": number})
        mark_again(connection, number, waiting)
    with rehearsal(store) as connection:
        return explain_statements(connection, claim_and_read)


def claim_and_read(connection: Connection) -> None:
    """Claim, and read what waits of the entities that are ours."""
    claim = claim_turn(connection, now=now())
    assert claim is not None
    found = read_pending(connection, claim.environment_id, claim.leases)
    assert sum(map(len, found.values())) == len(claim.leases) == LONG_SHARE.entity_count


def claim_and_read_all(connection: Connection) -> None:
    """Claim, and read the events of the entities that are ours."""
    claim = claim_turn(connection, now=now())
    assert claim is not None
    found = read_entries(connection, claim.environment_id, claim.leases)
    assert sum(map(len, found.values())) == 5 * len(claim.leases)


def is_by_waiting(read: str) -> bool:
    """Is it a look at the events that wait, by their entity?"""
    return "ix_event_waiting" in read and "entity_key" in read


def reads_of(plans: Sequence[Explained], table: str) -> list[str]:
    """How a table is read: each line that says so, on PostgreSQL with the condition below it."""
    is_read = re.compile(rf"(SCAN|SEARCH) {table}\b|Scan .*\bon {table}\b")
    return [
        " ".join(one.plan[place : place + 2])
        for one in plans
        for place, line in enumerate(one.plan)
        if is_read.search(line)
    ]


def test_a_claim_finds_its_rows_by_index_and_reads_no_others(
    store: Store, plans: list[Explained]
) -> None:
    asked = [one for one in plans if one.statement.startswith("SELECT")]
    leased = [one for one in plans if "UPDATE work" in one.statement]

    # Is live work ready, is bulk work, and the rows that are: from the index of what waits.
    ready = re.compile(r"ix_work_ready.*\(environment_id ?= ?.* AND \(?lane ?=")
    assert len(reads_of(asked, "work")) == 3
    assert all(ready.search(one) for one in reads_of(asked, "work"))

    # Their new events are counted by the keys of the entities, among those that wait.
    assert [is_by_waiting(one) for one in reads_of(asked, "event")] == [True]

    # A lease is written to a row where it was chosen or, where that is as quick, by its key.
    (read,) = reads_of(leased, "work")
    assert _LEASED[store.dialect_name] in read


def test_events_are_counted_and_read_by_their_entities_before_there_are_statistics(
    first_plans: list[Explained],
) -> None:
    counted, read = reads_of(first_plans, "event")
    assert is_by_waiting(counted)
    assert "ix_event_entity" in read
    assert "entity_key" in read


def test_a_backlog_of_which_the_statistics_know_nothing_is_read_by_its_entities(
    late_plans: list[Explained],
) -> None:
    counted, read = reads_of(late_plans, "event")
    assert is_by_waiting(counted)
    assert is_by_waiting(read)
