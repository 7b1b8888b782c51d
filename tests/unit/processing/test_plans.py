"""What a claim costs must not grow with the journal: its statements find rows by their indexes."""

import re
from collections.abc import Sequence

import pytest
from sqlalchemy import text

from app.store.engine import Store, rehearsal, schema_transaction, transaction
from app.store.work import mark_dirty
from bench.growth import explain_claim, fill_journal
from bench.plans import Explained
from tests.builders import an_environment

EVENTS = 20_000


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
    """The plans of a claim when a delivery is there before the first statistics."""
    number = an_environment(store)
    fill_journal(store, number, EVENTS)
    waiting = {f'assignment:["u{number}","m1","",1]': EVENTS for number in range(600)}
    with transaction(store) as connection:
        mark_dirty(connection, number, waiting)
    with rehearsal(store) as connection:
        return explain_claim(connection)


def reads_of(plans: Sequence[Explained], table: str) -> list[str]:
    """How a table is read: each line that says so, on PostgreSQL with the condition below it."""
    is_read = re.compile(rf"(SCAN|SEARCH) {table}\b|Scan .*\bon {table}\b")
    return [
        " ".join(one.plan[place : place + 2])
        for one in plans
        for place, line in enumerate(one.plan)
        if is_read.search(line)
    ]


def test_a_claim_finds_its_rows_by_index_and_reads_no_others(plans: list[Explained]) -> None:
    asked = [one for one in plans if one.statement.startswith("SELECT")]
    leased = [one for one in plans if "UPDATE work" in one.statement]

    # Is live work ready, is bulk work, and the rows that are: from the index of what waits.
    ready = re.compile(r"ix_work_ready.*\(environment_id ?= ?.* AND \(?lane ?=")
    assert len(reads_of(asked, "work")) == 3
    assert all(ready.search(one) for one in reads_of(asked, "work"))

    # Their new events are counted by the keys of the entities, and by them alone.
    assert len(reads_of(asked, "event")) == 1
    assert all("ix_event_entity" in one and "entity_key" in one for one in reads_of(asked, "event"))

    # A lease is written to a row by its key.
    assert len(reads_of(leased, "work")) == 1
    assert all("entity_key" in one for one in reads_of(leased, "work"))


def test_new_events_are_counted_by_their_entities_before_there_are_statistics(
    first_plans: list[Explained],
) -> None:
    (read,) = reads_of(first_plans, "event")
    assert "ix_event_entity" in read
    assert "entity_key" in read
