"""The laws of the queue, looked up in the store's rows, in nothing that the queue says itself."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, func, select, union_all

from app.processing.pauses import LONGEST_PAUSE
from app.processing.turns import LEASE
from app.store.engine import Store, snapshot
from app.store.tables import (
    Attempt,
    Environment,
    Event,
    Learner,
    Membership,
    Module,
    Progress,
    Tally,
    Team,
    Work,
)
from app.store.tables.columns import table_of
from app.store.tables.journal import APPLIED, DEAD, DISPOSITIONS, PENDING, SUPERSEDED

Row = Mapping[str, Any]
Places = Mapping[int, Mapping[str, int]]
"""by environment: what its sources were told, summed by outcome"""

CROSSING = {"across_environments": "a test looks at every environment"}
_COUNTED = tuple(table_of(model) for model in (Progress, Learner, Module, Team))
_FOLDED = (*_COUNTED, table_of(Attempt), table_of(Membership))
_OWN = frozenset(
    {
        "environment_id",
        "assignment_id",
        "attempt_id",
        "learner_id",
        "module_id",
        "membership_id",
        "team_id",
        "revision",
        "changed_at",
    }
)


def read_rows(connection: Connection, table: Table, *names: str) -> Sequence[Any]:
    """Every row of a table, or some of its columns; shadows are not looked at."""
    columns = [table.c[name] for name in names] if names else [table]
    wanted = select(*columns).where(table.c.environment_id > 0)
    return connection.execute(wanted, execution_options=CROSSING).all()


def check_journal(store: Store, told: Places, ever_poisoned: set[tuple[int, str]]) -> None:
    """I1, I2, I5, I14, which hold at any time."""
    event, work = table_of(Event), table_of(Work)
    names = ("environment_id", "seq", "entity_key", "source_id", "stream", "disposition")
    with snapshot(store) as connection:
        events = read_rows(connection, event, *names, "winner_seq")
        works = read_rows(connection, work, "environment_id", "entity_key", "dirty_seq", "done_seq")
        tallies = read_rows(connection, table_of(Tally))
        heads = read_rows(connection, table_of(Environment), "environment_id", "last_seq")
        folded = _count_folded(connection)
    spans = {(row.environment_id, row.entity_key): (row.done_seq, row.dirty_seq) for row in works}
    check_coverage(events, spans)
    check_numbers(events, heads, told)
    check_books(events, tallies, told)
    check_survivors(events)
    settled = Counter(e.environment_id for e in events if e.disposition in (APPLIED, SUPERSEDED))
    assert folded == dict(settled), f"I2: {folded} events in projections, {dict(settled)} settled"
    dead = {(e.environment_id, e.entity_key) for e in events if e.disposition == DEAD}
    assert dead <= ever_poisoned, f"I14: died without poison: {dead - ever_poisoned}"


def check_coverage(events: Sequence[Any], spans: Mapping[tuple[int, str], tuple[int, int]]) -> None:
    """I1: each pending event is pointed at: done_seq < seq <= dirty_seq."""
    for row in events:
        done_seq, dirty_seq = spans.get((row.environment_id, row.entity_key), (0, 0))
        is_covered = done_seq < row.seq <= dirty_seq
        assert is_covered or row.disposition != PENDING, f"I1: nothing points at {row}"


def check_numbers(events: Sequence[Any], heads: Sequence[Any], told: Places) -> None:
    """I5: the journal's numbers have no gap, and are as many as were accepted."""
    seqs: dict[int, list[int]] = defaultdict(list)
    for row in events:
        seqs[row.environment_id].append(row.seq)
    for number, last_seq in heads:
        assert sorted(seqs[number]) == list(range(1, last_seq + 1)), f"I5: gaps in {number}"
        if number in told:
            assert last_seq == told[number]["accepted"], f"I5: {number} lost or doubled events"


def check_books(events: Sequence[Any], tallies: Sequence[Any], told: Places) -> None:
    """I5: every tally is what the journal and the sources say."""
    found: dict[tuple[int, int, str], Counter[str]] = defaultdict(Counter)
    for row in events:
        counter = found[row.environment_id, row.source_id, row.stream]
        counter["accepted"] += 1
        counter[DISPOSITIONS[row.disposition]] += 1
    summed: dict[int, Counter[str]] = defaultdict(Counter)
    for row in tallies:
        counter = found.pop((row.environment_id, row.source_id, row.stream), Counter())
        for name in ("accepted", "applied", "superseded", "dead", "waived", "erased"):
            kept = getattr(row, name)
            assert kept == counter[name], f"I5: books_unbalanced, {name} {kept}, not {counter}"
        for name in ("received", "accepted", "duplicate", "conflict", "rejected"):
            summed[row.environment_id][name] += getattr(row, name)
    assert not found, f"I5: no tally of {dict(found)}"
    for number, expected in told.items():
        names = ("accepted", "duplicate", "conflict")
        kept = {name: summed[number][name] for name in names}
        assert kept == {name: expected[name] for name in names}, f"I5: {kept}, not {expected}"
        assert summed[number]["received"] == sum(kept.values()), "I5: received something else"


def check_survivors(events: Sequence[Any]) -> None:
    """I5: what is superseded names its winner, in its own environment and entity."""
    entities = {(row.environment_id, row.seq): row.entity_key for row in events}
    for row in events:
        if row.disposition == SUPERSEDED:
            winner = entities.get((row.environment_id, row.winner_seq or 0))
            assert winner == row.entity_key, f"I5: {row} names no survivor"


def check_waiting(
    store: Store, held: set[tuple[int, str]], poisoned: set[tuple[int, str]], *, now: datetime
) -> None:
    """I14, I1: when workers find nothing to do, what waits is in other hands or rests by poison."""
    event, work = table_of(Event), table_of(Work)
    with snapshot(store) as connection:
        events = read_rows(connection, event, "environment_id", "entity_key", "disposition")
        works = read_rows(connection, work)
    pending = {(e.environment_id, e.entity_key) for e in events if e.disposition == PENDING}
    for row in works:
        key = (row.environment_id, row.entity_key)
        is_leased = key in held and row.lease_until and now < row.lease_until <= now + LEASE
        is_due = not now < row.ready_at <= now + LONGEST_PAUSE
        is_resting = key in poisoned and row.error and not is_due
        assert key not in pending or is_leased or is_resting, f"I14: nobody works on {row}"


def compare_folds(store: Store, numbers: Sequence[int], reference: int) -> None:
    """I3: the projections and the fates of events are those of the environment that was told all
    at once.
    """
    event = table_of(Event)
    rows: dict[int, dict[str, list[Any]]] = defaultdict(dict)
    with snapshot(store) as connection:
        for table in _FOLDED:
            for row in read_rows(connection, table):
                if not row.is_deleted:
                    rows[row.environment_id].setdefault(table.name, []).append(_plain(row))
        events = read_rows(connection, event)
    fates = _tell_fates(events)
    for number in numbers:
        assert fates[number] == fates[reference], f"I3: other fates in {number}"
        for table in _FOLDED:
            told, expected = (
                sorted(rows[n].get(table.name, []), key=repr) for n in (number, reference)
            )
            assert told == expected, f"I3: {table.name} of {number}: {told}, not {expected}"


def check_settled(store: Store, numbers: Sequence[int]) -> None:
    """I1: nothing is pending or dead once all causes are gone."""
    event = table_of(Event)
    with snapshot(store) as connection:
        events = read_rows(connection, event, "environment_id", "seq", "disposition")
    waiting = [
        row
        for row in events
        if row.environment_id in numbers and row.disposition not in (APPLIED, SUPERSEDED)
    ]
    assert not waiting, f"I1: never settled: {waiting}"


def read_entities(store: Store, keys: set[tuple[int, str]]) -> list[Any]:
    """All that the queue and the journal say of some entities."""
    with snapshot(store) as connection:
        return [
            tuple(row)
            for table in (table_of(Work), table_of(Event))
            for row in read_rows(connection, table)
            if (row.environment_id, row.entity_key) in keys
        ]


def _count_folded(connection: Connection) -> dict[int, int]:
    parts = [select(t.c.environment_id, t.c.events_count) for t in _COUNTED]
    every = union_all(*parts).subquery()
    number = every.c.environment_id
    counted = select(number, func.sum(every.c.events_count)).where(number > 0).group_by(number)
    rows = connection.execute(counted, execution_options=CROSSING)
    return {number: int(count) for number, count in rows if count}


def _plain(row: Any) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in row._mapping.items() if name not in _OWN]


def _tell_fates(events: Sequence[Any]) -> dict[int, dict[Any, Any]]:
    names = {(e.environment_id, e.seq): (e.source_id, e.event_id) for e in events}
    fates: dict[int, dict[Any, Any]] = defaultdict(dict)
    for e in events:
        winner = names.get((e.environment_id, e.winner_seq or 0))
        fates[e.environment_id][e.source_id, e.event_id] = (e.disposition, winner)
    return fates
