"""Stored evidence in, the facts of streams out: one part per source and stream, in a few reads.

What is read costs the same in any year: contracts, states, heartbeats, open defects and the few
intervals that do not match yet.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Select, and_, func, literal_column, or_, select

from app.ledger.verdict import (
    ANCHORS,
    SHORT,
    Facts,
    KnownDefects,
    Terms,
    Unmatched,
    last_boundary,
)
from app.store.tables import Bucket, Defect, Heartbeat, Repair, Source, Stream, StreamState
from app.store.tables.columns import table_of
from app.store.work import EPOCH

Key = tuple[int, str]
_REPAIRS_READ = 32
_EVERY_STREAM = ""
# Spelled out, so that the index over unmatched intervals alone can answer.
_MATCHED: Any = literal_column("'matched'")


@dataclass(frozen=True, slots=True)
class RepairSeen:
    """Missing events being fetched again, or the last time they were."""

    repair_id: int
    state: str
    done: int
    total: int
    lease_until: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Part:
    """A stream of one source: the facts of its verdict, and what else its evidence tells.

    facts: as stored; what only the moment of a question tells is added to them
    backlog: null when no heartbeat ever told one
    assurance: the weakest anchor of what was declared; None when nothing was
    """

    source_id: int
    source: str
    stream: str
    facts: Facts
    is_sealed: bool = False
    confirmed_through: datetime | None = None
    declared: int | None = None
    missing: int | None = None
    surplus: int | None = None
    backlog: int | None = None
    oldest_pending_at: datetime | None = None
    heard_at: datetime | None = None
    transport_s: float | None = None
    assurance: str | None = None
    is_weak: bool = False
    repair: RepairSeen | None = None

    @property
    def key(self) -> Key:
        """Source and stream."""
        return self.source_id, self.stream


@dataclass(frozen=True, slots=True)
class _Lists:
    """What many parts are looked up in."""

    defects: Mapping[Key, tuple[KnownDefects, ...]]
    unmatched: Mapping[Key, Unmatched]
    repairs: Mapping[Key, RepairSeen]
    everywhere: tuple[KnownDefects, ...]


def read_evidence(
    connection: Connection, environment_id: int, streams: Iterable[str], *, now: datetime
) -> dict[str, tuple[Part, ...]]:
    """The parts of these streams: what is under contract, sources by key.

    A contract that was taken off counts no more, unless a defect of it is still open.
    """
    names = sorted(set(streams))
    defects, everywhere = _read_defects(connection, environment_id, names)
    lists = _Lists(
        defects=defects,
        everywhere=everywhere,
        unmatched=_read_unmatched(connection, environment_id, names),
        repairs=_read_repairs(connection, environment_id),
    )
    found: dict[str, list[Part]] = {name: [] for name in names}
    for row in connection.execute(_contracts(environment_id, names)).mappings():
        key = (row["source_id"], row["stream"])
        if row["removed_at"] is None or key in lists.defects:
            found[row["stream"]].append(_make_part(row, lists, now=now))
    return {name: tuple(parts) for name, parts in found.items()}


def _contracts(environment_id: int, names: list[str]) -> Select[Any]:
    stream, state, source = table_of(Stream), table_of(StreamState), table_of(Source)
    heartbeat = table_of(Heartbeat)
    of_state = and_(
        state.c.environment_id == environment_id,
        state.c.source_id == stream.c.source_id,
        state.c.stream == stream.c.stream,
    )
    of_source = and_(
        source.c.environment_id == environment_id, source.c.source_id == stream.c.source_id
    )
    of_heartbeat = and_(
        heartbeat.c.environment_id == environment_id,
        heartbeat.c.source_id == stream.c.source_id,
    )
    told = [column for column in state.c if column.name not in stream.c]
    return (
        select(
            stream,
            *told,
            _weakest_anchor(environment_id).label("anchor"),
            source.c.source_key,
            source.c.sealed_at,
            heartbeat.c.received_at.label("heard_at"),
            heartbeat.c.transport_s,
        )
        .select_from(stream)
        .join(source, of_source)
        .outerjoin(state, of_state)
        .outerjoin(heartbeat, of_heartbeat)
        .where(stream.c.environment_id == environment_id, stream.c.stream.in_(names))
        .order_by(source.c.source_key)
    )


def _weakest_anchor(environment_id: int) -> Any:
    """The weakest anchor of a stream's intervals: one seek, since the words sort by strength."""
    bucket, stream = table_of(Bucket), table_of(Stream)
    return (
        select(func.min(bucket.c.anchor))
        .where(
            bucket.c.environment_id == environment_id,
            bucket.c.source_id == stream.c.source_id,
            bucket.c.stream == stream.c.stream,
            bucket.c.anchor > "",
        )
        .correlate(stream)
        .scalar_subquery()
    )


def _make_part(row: Mapping[Any, Any], lists: _Lists, *, now: datetime) -> Part:
    key = (row["source_id"], row["stream"])
    terms = _make_terms(row)
    repair = lists.repairs.get(key) or lists.repairs.get((key[0], _EVERY_STREAM))
    facts = Facts(
        now=now,
        terms=terms,
        heard_at=row["heard_at"],
        transport_s=row["transport_s"] or 0.0,
        declared_through=row["declared_through"],
        matched_through=row["matched_through"],
        anchored_through=row["anchored_through"],
        backlog=row["backlog"] or 0,
        closed_through=row["closed_through"],
        closed_moved_at=row["closed_moved_at"],
        unmatched=lists.unmatched.get(key),
        defects=(*lists.defects.get(key, ()), *lists.everywhere),
        shrank_at=row["shrank_at"],
        repair_until=repair.lease_until if repair and repair.state == "running" else None,
        repair_ended_at=(repair.ended_at or repair.lease_until) if repair else None,
    )
    has_declared = row["declared_through"] is not None or bool(row["declared"])
    return Part(
        source_id=row["source_id"],
        source=row["source_key"],
        stream=row["stream"],
        facts=facts,
        is_sealed=row["sealed_at"] is not None,
        confirmed_through=row["confirmed_through"],
        declared=row["declared"] if has_declared else None,
        missing=row["missing"] if has_declared else None,
        surplus=row["surplus"] if has_declared else None,
        backlog=row["backlog"],
        oldest_pending_at=row["oldest_pending_at"],
        heard_at=row["heard_at"],
        transport_s=row["transport_s"],
        assurance=row["anchor"] if row["anchor"] in ANCHORS else None,
        is_weak=bool(row["is_weak"]),
        repair=repair,
    )


def _make_terms(row: Mapping[Any, Any]) -> Terms:
    ends = [at for at in (row["sealed_at"], row["removed_at"]) if at is not None]
    return Terms(
        from_at=row["from_at"],
        bucket_s=row["bucket_s"],
        close_delay_s=row["close_delay_s"],
        grace_s=row["grace_s"],
        objective_s=row["objective_s"],
        heartbeat_s=row["heartbeat_s"],
        lateness_s=row["lateness_s"],
        stall_s=row["stall_s"],
        skew_s=row["skew_s"],
        required_anchor=row["required_anchor"],
        ends_at=min(ends, default=None),
    )


def _read_defects(
    connection: Connection, environment_id: int, names: list[str]
) -> tuple[dict[Key, tuple[KnownDefects, ...]], tuple[KnownDefects, ...]]:
    """Open defects by source and stream, put together by kind; and those of the environment."""
    defect = table_of(Defect)
    is_waived = or_(defect.c.waived_at.is_not(None), defect.c.excused > 0)
    rows = connection.execute(
        select(
            defect.c.source_id,
            defect.c.stream,
            defect.c.kind,
            is_waived.label("is_waived"),
            func.min(defect.c.from_at).label("from_at"),
            func.min(defect.c.detected_at).label("detected_at"),
            func.sum(defect.c.missing).label("missing"),
        )
        .where(
            defect.c.environment_id == environment_id,
            defect.c.resolved_at.is_(None),
            defect.c.stream.in_([*names, _EVERY_STREAM]),
        )
        .group_by(defect.c.source_id, defect.c.stream, defect.c.kind, is_waived)
    )
    found: dict[Key, tuple[KnownDefects, ...]] = {}
    for row in rows:
        known = KnownDefects(
            row.kind, row.from_at, row.detected_at, int(row.missing), bool(row.is_waived)
        )
        key = (row.source_id, row.stream)
        found[key] = (*found.get(key, ()), known)
    everywhere = tuple(d for key in found if key[1] == _EVERY_STREAM for d in found[key])
    return found, everywhere


def _read_unmatched(
    connection: Connection, environment_id: int, names: list[str]
) -> dict[Key, Unmatched]:
    """The first declared interval of each stream that neither matches nor is a known defect."""
    bucket = table_of(Bucket)
    rows = connection.execute(
        select(
            bucket.c.source_id,
            bucket.c.stream,
            bucket.c.from_at,
            bucket.c.due_at,
            bucket.c.changed_at,
            bucket.c.state,
        )
        .where(
            bucket.c.environment_id == environment_id,
            bucket.c.state != _MATCHED,
            bucket.c.declared.is_not(None),
            bucket.c.defect_id.is_(None),
            bucket.c.stream.in_(names),
            # Always so; it makes the index over these few look better than the key.
            bucket.c.due_at > EPOCH,
        )
        .order_by(bucket.c.from_at)
    )
    found: dict[Key, Unmatched] = {}
    for row in rows:
        first = Unmatched(row.from_at, row.due_at, row.changed_at, row.state)
        found.setdefault((row.source_id, row.stream), first)
    return found


def _read_repairs(connection: Connection, environment_id: int) -> dict[Key, RepairSeen]:
    """The newest repair of each source and stream it covers, of the last few there were."""
    repair = table_of(Repair)
    rows = connection.execute(
        select(repair)
        .where(repair.c.environment_id == environment_id)
        .order_by(repair.c.repair_id.desc())
        .limit(_REPAIRS_READ)
    )
    found: dict[Key, RepairSeen] = {}
    for row in rows:
        seen = RepairSeen(
            row.repair_id, row.state, row.done, row.total, row.lease_until, row.ended_at
        )
        for stream in orjson.loads(row.streams) or [_EVERY_STREAM]:
            found.setdefault((row.source_id, str(stream)), seen)
    return found


def generation_lag_s(part: Part, *, now: datetime) -> float | None:
    """How long what the source has recorded has waited to be handed over, as far as it said.

    Units:  seconds; None when the source said nothing of it
    """
    waits = [part.oldest_pending_at or part.facts.closed_through] if part.backlog else []
    waits += [defect.from_at for defect in part.facts.defects if defect.kind == SHORT]
    ages = [max(0.0, (now - at).total_seconds()) for at in waits if at is not None]
    return max(ages) if ages else None if part.backlog is None else 0.0


def is_served(part: Part, through: datetime | None) -> bool:
    """Is a sealed source's interval wholly there, so that it holds nobody else back?"""
    terms = part.facts.terms
    if terms is None or terms.ends_at is None or through is None:
        return False
    return through >= last_boundary(terms)
