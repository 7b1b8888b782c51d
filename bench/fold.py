"""What an event costs by its family: its fold alone, and folded, projected and settled in a store.

Beside it the bare writes of the same outcome: the rows that are left behind inserted in bulk and
the events marked as applied, in one transaction.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Table, func, select
from sqlmodel import SQLModel

from app.access.environments import add_environment
from app.base.config import Settings
from app.cli.simulation.company import COMPANIES, SOURCES, make_world
from app.cli.simulation.history import simulate_history
from app.cli.simulation.pen import Event, batched
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.processing.drain import drain_all
from app.processing.fold import fold_entity
from app.processing.journal import Entry
from app.store.dialect import insert_rows, update_rows
from app.store.engine import Store, close_store, open_store, snapshot, transaction
from app.store.tables import Event as Journal
from app.store.tables.columns import table_of
from bench.databases import KINDS, Databases, open_databases
from bench.measure import ROUNDS, Figure, interleave, tell

_EVENTS_EACH = 2_000
_FAMILIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("people", ("learner.", "team.", "membership.", "reporting_line.")),
    ("catalog", ("module.", "series.", "part.upserted", "session.scheduled", "certification.up")),
    ("assignments", ("assignment.",)),
    ("progress", ("progress.",)),
    ("attempts", ("attempt.",)),
    ("parts", ("part.reached", "part.done", "part.rejected")),
    ("sign-offs", ("signoff.",)),
    ("sessions", ("session.enrolled", "session.unenrolled", "attendance.")),
    ("points", ("points.",)),
    ("activity", ("activity.",)),
    ("certifications", ("certification.issued", "certification.revoked")),
    ("feedback", ("feedback.",)),
    ("all as they come", ("",)),
)
_SETTLED = ("disposition", "winner_seq", "applied_at")
_JOURNAL_KEY = ("environment_id", "seq")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished drain left behind: rows by table, and how the events were settled."""

    rows: tuple[tuple[Table, tuple[str, ...], Sequence[Any]], ...]
    settled: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Case:
    """Events of a family, kept and pending in a database to be copied.

    entries: by entity, for the fold alone
    """

    family: str
    kind: str
    url: str
    event_count: int
    entries: dict[str, list[Entry]]
    outcome: Outcome

    def name(self, what: str) -> str:
        """How its measurement is called."""
        return f"{self.family}, {self.kind}: {what}"


def run_fold_bench() -> list[Figure]:
    """Each family on each database."""
    with open_databases() as databases:
        return run_families(databases)


def run_families(
    databases: Databases,
    *,
    kinds: Sequence[str] = KINDS,
    events_each: int = _EVENTS_EACH,
    rounds: int = ROUNDS,
) -> list[Figure]:
    """Each family on each database, in turn with the bare writes."""
    tell("  accepting the events of each family")
    cases = list(_prepare_cases(databases, kinds, events_each))
    measures = {}
    for case in cases:
        measures[case.name("product")] = partial(_drain_copy, databases, case)
        measures[case.name("bare")] = partial(_write_bare, databases, case)
        if case.kind == KINDS[0]:
            measures[case.name("fold")] = partial(_fold_alone, case)
    medians = interleave(measures, rounds=rounds)
    figures = []
    for case in cases:
        product, bare = medians[case.name("product")], medians[case.name("bare")]
        if case.kind == KINDS[0]:
            each = f"{case.event_count:,} events, {len(case.entries):,} entities"
            fold_us = medians[case.name("fold")] / case.event_count * 1e6
            figures.append(Figure(f"{case.family} ({each}): fold alone", fold_us, "µs/event"))
        cost_us = product / case.event_count * 1e6
        figures.append(Figure(f"{case.family}, {case.kind}: applied", cost_us, "µs/event"))
        figures.append(Figure(f"{case.family}, {case.kind}: / bare writes", product / bare, "x"))
    return figures


def _events_by_family(events_each: int) -> dict[str, list[Event]]:
    world = make_world(COMPANIES[0], seed=1, until=datetime(2026, 1, 1, tzinfo=UTC))
    found: dict[str, list[Event]] = {family: [] for family, _ in _FAMILIES}
    for event in simulate_history(world, seed=1):
        for family, beginnings in _FAMILIES:
            if len(found[family]) < events_each and event["type"].startswith(beginnings):
                found[family].append(event)
        if all(len(events) == events_each for events in found.values()):
            break
    return found


def _prepare_cases(databases: Databases, kinds: Sequence[str], events_each: int) -> Iterator[Case]:
    settings = Settings(_env_file=None)
    for family, events in _events_by_family(events_each).items():
        for kind in kinds:
            url = databases.copy(databases.urls[kind])
            store = open_store(url)
            with transaction(store) as connection:
                number = add_environment(connection, environment_key="bench", name="Bench")
                for source in SOURCES:
                    add_source(
                        connection, number, source_key=source, kind="push", takes_occurred_at=False
                    )
            for batch in batched(iter(events), 1_000):
                accept_items(store, settings, environment_id=number, items=batch, origin="bench")
            entries = _read_pending(store)
            empty = [table for table in _tables() if not _count_rows(store, table)]
            close_store(store)
            with databases.opened_copy(url) as finished:
                drain_all(finished, settings)
                outcome = _read_outcome(finished, empty)
            yield Case(family, kind, url, len(events), entries, outcome)


def _tables() -> list[Table]:
    """The tables of an environment, those that others refer to first."""
    return [one for one in SQLModel.metadata.sorted_tables if "environment_id" in one.c]


def _count_rows(store: Store, table: Table) -> int:
    with snapshot(store) as connection:
        counted = select(func.count()).select_from(table).where(table.c.environment_id == 1)
        return int(connection.execute(counted).scalar_one())


def _read_pending(store: Store) -> dict[str, list[Entry]]:
    journal = table_of(Journal)
    columns = [journal.c[name] for name in Entry._fields]
    found: dict[str, list[Entry]] = {}
    with snapshot(store) as connection:
        for row in connection.execute(select(*columns).where(journal.c.environment_id == 1)):
            found.setdefault(row.entity_key, []).append(Entry._make(row))
    return found


def _read_outcome(store: Store, empty: Sequence[Table]) -> Outcome:
    """The rows of the tables that were empty before, and what became of the events."""
    rows = []
    journal = table_of(Journal).c
    with snapshot(store) as connection:
        for table in empty:
            found = connection.execute(select(table).where(table.c.environment_id == 1)).all()
            if found:
                rows.append((table, tuple(table.c.keys()), found))
        settled = connection.execute(
            select(*(journal[name] for name in (*_SETTLED, *_JOURNAL_KEY))).where(
                journal.environment_id == 1
            )
        ).all()
    return Outcome(tuple(rows), settled)


def _drain_copy(databases: Databases, case: Case) -> float:
    """The seconds of folding, projecting and settling all events."""
    with databases.opened_copy(case.url) as store:
        started = time.monotonic()
        drained = drain_all(store, Settings(_env_file=None))
        seconds = time.monotonic() - started
    if drained.event_count != case.event_count:
        raise AssertionError(f"{case.family}: {drained.event_count} of {case.event_count} settled")
    return seconds


def _write_bare(databases: Databases, case: Case) -> float:
    """The seconds of writing the same outcome, already known."""
    with databases.opened_copy(case.url) as store:
        started = time.monotonic()
        with transaction(store) as connection:
            for table, columns, rows in case.outcome.rows:
                insert_rows(connection, table, columns, rows)
            update_rows(
                connection,
                table_of(Journal),
                case.outcome.settled,
                update=_SETTLED,
                key=_JOURNAL_KEY,
            )
        return time.monotonic() - started


def _fold_alone(case: Case) -> float:
    """The seconds of the folds, JSON text in, state out; no database."""
    started = time.monotonic()
    for entity_key, entries in case.entries.items():
        fold_entity(entity_key, entries)
    return time.monotonic() - started
