"""What the journal says of streams now: read for each answer, it only lowers what evidence says."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Table,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
)

from app.ledger.evidence import Key, Part
from app.ledger.verdict import Facts
from app.store.statement import Statement, compile_statement, run_statement
from app.store.tables import BucketDelta, Event, Source, Tally
from app.store.tables.columns import decode_moment, table_of
from app.store.tables.journal import DEAD, PENDING

SETTLED = ("applied", "superseded", "dead", "waived", "erased")
_DOOR = ("accepted", "duplicate", "conflict", "rejected")


@dataclass(frozen=True, slots=True)
class Flow:
    """What is on its way through an environment, and what went wrong there.

    unfolded: the earliest slot of digests not folded yet
    told: sources and streams of which any of these holds
    waiting: sources and streams with events that are not settled
    dead: likewise with events that were given up
    unbalanced: sources and streams whose counts contradict one another
    """

    unfolded: Mapping[Key, datetime]
    told: frozenset[Key]
    waiting: frozenset[Key]
    dead: frozenset[Key]
    unbalanced: frozenset[Key]

    @property
    def is_still(self) -> bool:
        """Is there nothing that could lower what evidence says?"""
        return not (self.unfolded or self.told)

    def strays_in(self, stream: str, owed: Iterable[Part]) -> list[Key]:
        """What the journal tells of a stream that none of these parts owes."""
        keys = {part.key for part in owed}
        return sorted(key for key in self.told if key[1] == stream and key not in keys)

    def may_lower(self, part: Part) -> bool:
        """May the journal have lowered what evidence said of a stream?"""
        return part.key in self.told or self.is_late(part)

    def is_late(self, part: Part) -> bool:
        """Has something come into a bucket that was matched already?"""
        slot_at, matched = self.unfolded.get(part.key), part.facts.matched_through
        return slot_at is not None and matched is not None and slot_at < matched


STILL = Flow({}, frozenset(), frozenset(), frozenset(), frozenset())


def is_flowing(environment_id: ColumnElement[int]) -> ColumnElement[bool]:
    """A condition: has the journal anything to say of an environment?"""
    delta, tally = table_of(BucketDelta), table_of(Tally)
    unfolded: Any = select(literal_column("1")).where(delta.c.environment_id == environment_id)
    unsettled: Any = select(literal_column("1")).where(
        tally.c.environment_id == environment_id, _is_unsettled(tally)
    )
    return or_(exists(unfolded), exists(unsettled))


def read_flow(connection: Connection, environment_id: int) -> Flow:
    """What the journal says of an environment."""
    unfolded, tallied = _flow_statements(connection.dialect.name)
    given = {"environment_id": environment_id}
    slots = run_statement(connection, unfolded, given)
    rows = run_statement(connection, tallied, given)
    return Flow(
        {(row[0], row[1]): decode_moment(row[2]) for row in slots},
        frozenset([(row[0], row[1]) for row in rows]),
        frozenset([(row[0], row[1]) for row in rows if row[2] > 0]),
        frozenset([(row[0], row[1]) for row in rows if row[4] > 0]),
        frozenset([(row[0], row[1]) for row in rows if row[2] < 0 or row[3] != 0]),
    )


def add_flow(
    connection: Connection, environment_id: int, parts: Iterable[Part], *, flow: Flow
) -> list[Part]:
    """The parts with what the journal says of them."""
    moved = []
    for part in parts:
        facts = replace(
            part.facts,
            unfolded_from=flow.unfolded.get(part.key) if flow.is_late(part) else None,
            **_read_waits(connection, environment_id, part.key, flow=flow),
        )
        moved.append(replace(part, facts=facts))
    return moved


def read_strays(
    connection: Connection,
    environment_id: int,
    stream: str,
    owed: Sequence[Part],
    *,
    flow: Flow,
    now: datetime,
) -> list[Part]:
    """What is dead or on its way in a stream of sources that do not owe it: parts without terms.

    owed: the parts of those that do
    """
    strays = []
    for key in flow.strays_in(stream, owed):
        waits = _read_waits(connection, environment_id, key, flow=flow)
        source = read_source_key(connection, environment_id, key[0]) or ""
        strays.append(Part(key[0], source, stream, Facts(now, terms=None, **waits)))
    return strays


def put_under_terms(stray: Part, owed: Sequence[Part]) -> list[Part]:
    """A stray as the verdict of its stream counts it: under the terms of each that owes it, which
    alone say what is asked of the stream and through when.
    """
    told = stray.facts
    return [
        replace(
            part,
            source_id=stray.source_id,
            source=stray.source,
            declared=None,
            missing=None,
            surplus=None,
            facts=replace(
                part.facts,
                unfolded_from=None,
                pending_from=told.pending_from,
                dead_from=told.dead_from,
                is_unbalanced=told.is_unbalanced,
            ),
        )
        for part in owed
    ] or [stray]


def read_source_key(connection: Connection, environment_id: int, source_id: int) -> str | None:
    """What a source is called; None for none that is registered."""
    source = table_of(Source)
    found: str | None = connection.execute(
        select(source.c.source_key).where(
            source.c.environment_id == environment_id, source.c.source_id == source_id
        )
    ).scalar()
    return found


def _read_waits(
    connection: Connection, environment_id: int, key: Key, *, flow: Flow
) -> dict[str, Any]:
    """What waits or is dead in a stream of a source, by the names of Facts."""
    pending_from = dead_from = None
    is_unbalanced = key in flow.unbalanced
    if key in flow.dead:
        dead_from = _earliest_of(connection, environment_id, key=key, state=DEAD)
    if key in flow.waiting:
        pending_from = _earliest_of(connection, environment_id, key=key, state=PENDING)
        # The counts say that something waits; then it lies in the journal, or they are wrong.
        is_unbalanced = is_unbalanced or pending_from is None
    return {
        "pending_from": pending_from,
        "dead_from": dead_from,
        "is_unbalanced": is_unbalanced,
    }


@lru_cache(maxsize=2)
def _flow_statements(dialect_name: str) -> tuple[Statement, Statement]:
    """The earliest slot not folded of each stream; the streams whose counts are not all settled, or
    of which something is dead.

    Written once: they are run for every answer.
    """
    delta, tally = table_of(BucketDelta), table_of(Tally)
    environment_id: Any = bindparam("environment_id", type_=BigInteger())
    unfolded = (
        select(delta.c.source_id, delta.c.stream, func.min(delta.c.slot_at))
        .where(delta.c.environment_id == environment_id)
        .group_by(delta.c.source_id, delta.c.stream)
    )
    unsettled = select(
        tally.c.source_id,
        tally.c.stream,
        tally.c.accepted - _sum_of(tally, SETTLED),
        tally.c.received - _sum_of(tally, _DOOR),
        tally.c.dead,
    ).where(tally.c.environment_id == environment_id, _is_unsettled(tally))
    return compile_statement(unfolded, dialect_name), compile_statement(unsettled, dialect_name)


def _is_unsettled(tally: Table) -> ColumnElement[bool]:
    return or_(
        tally.c.accepted != _sum_of(tally, SETTLED),
        tally.c.received != _sum_of(tally, _DOOR),
        tally.c.dead != 0,
    )


def _sum_of(tally: Table, names: Iterable[str]) -> ColumnElement[Any]:
    total: ColumnElement[Any] = literal_column("0")
    for name in names:
        total = total + tally.c[name]
    return total


def _earliest_of(
    connection: Connection, environment_id: int, *, key: Key, state: int
) -> datetime | None:
    """The earliest recorded moment of what waits, or is dead, in a stream of a source."""
    event = table_of(Event)
    recorded_at: datetime | None = connection.execute(
        select(func.min(event.c.recorded_at)).where(
            event.c.environment_id == environment_id,
            event.c.source_id == key[0],
            event.c.stream == key[1],
            event.c.disposition == literal_column(str(state)),
        )
    ).scalar()
    return recorded_at
