"""What a declared interval lacks, by name: from digests of ranges, or from a list of ids.

A source that can only push is told which ranges differ until the missing events are known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select

from app.base.errors import UnknownName
from app.learning.elements import spell_sum
from app.learning.ranges import Differences, Digest, Range, compare_parts, split_range
from app.store.tables import BucketDelta, BucketSum, Event, Manifest
from app.store.tables.columns import table_of
from app.store.tables.journal import DEAD, PENDING, WAIVED

_LOOKED_UP_AT_ONCE = 1_000
_STATES = {PENDING: "waiting", DEAD: "dead"}


@dataclass(frozen=True, slots=True)
class DeclaredInterval:
    """The interval of a manifest."""

    source_id: int
    stream: str
    from_at: datetime
    to_at: datetime


@dataclass(frozen=True, slots=True)
class Split:
    """A range on the source's side, by the digests of its sixteen or four parts."""

    range: Range
    digests: tuple[Digest, ...]


def find_declared(
    connection: Connection, environment_id: int, manifest_id: int
) -> DeclaredInterval:
    """Give the interval of a manifest.

    Raises: UnknownName
    """
    manifest = table_of(Manifest)
    row = connection.execute(
        select(manifest.c.source_id, manifest.c.stream, manifest.c.from_at, manifest.c.to_at).where(
            manifest.c.environment_id == environment_id, manifest.c.manifest_id == manifest_id
        )
    ).one_or_none()
    if row is None:
        raise UnknownName(
            "there is no such manifest here", hint="POST /v1/manifests tells its number."
        )
    return DeclaredInterval(*row)


def compare_splits(
    connection: Connection,
    environment_id: int,
    interval: DeclaredInterval,
    splits: Sequence[Split],
) -> dict[str, Any]:
    """Compare what we accepted with the source's digests of ranges.

    Shape:  missing: elements that we lack; surplus: ours that the source did not count, with ids;
        want: ranges to be split again; few: ranges whose events are better listed
    """
    names = read_accepted(connection, environment_id, interval)
    ordered, found = sorted(names), Differences()
    for split in splits:
        parts = zip(split_range(split.range, len(split.digests)), split.digests, strict=True)
        compare_parts(ordered, parts, found)
    return {
        "missing": [spell_sum(element) for element in found.missing],
        "surplus": [{"element": spell_sum(e), "id": names[e]} for e in found.surplus],
        "want": [part.as_dict() for part in found.want],
        "few": [part.as_dict() for part in found.few],
    }


def name_missing(
    connection: Connection,
    environment_id: int,
    interval: DeclaredInterval,
    told: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    """Say which of these events we lack, hold with other data, or have not applied yet.

    Shape: told: id and digest of data
    """
    event = table_of(Event)
    known: dict[str, tuple[str, int]] = {}
    ids = [event_id for event_id, _ in told]
    for start in range(0, len(ids), _LOOKED_UP_AT_ONCE):
        rows = connection.execute(
            select(event.c.event_id, event.c.data_digest, event.c.disposition).where(
                event.c.environment_id == environment_id,
                event.c.source_id == interval.source_id,
                event.c.event_id.in_(ids[start : start + _LOOKED_UP_AT_ONCE]),
            )
        )
        known |= {row.event_id: (row.data_digest, row.disposition) for row in rows}
    answer: dict[str, list[str]] = {"missing": [], "different": [], "waiting": [], "dead": []}
    for event_id, digest in told:
        if event_id not in known:
            answer["missing"].append(event_id)
            continue
        held, disposition = known[event_id]
        if held != digest.lower():
            answer["different"].append(event_id)
        elif disposition in _STATES:
            answer[_STATES[disposition]].append(event_id)
    return {"asked": len(told), **answer}


def read_accepted(
    connection: Connection, environment_id: int, interval: DeclaredInterval
) -> dict[bytes, str]:
    """Give the ids of an interval's accepted events by their elements."""
    return {
        bytes(row.element): row.event_id
        for row in connection.execute(_accepted(connection, environment_id, interval))
        if row.element is not None
    }


def read_waived(
    connection: Connection, environment_id: int, interval: DeclaredInterval
) -> list[bytes]:
    """Give the elements of an interval's dead events that somebody has waived."""
    statement = _accepted(connection, environment_id, interval).where(
        table_of(Event).c.disposition == WAIVED
    )
    return [bytes(row.element) for row in connection.execute(statement) if row.element]


def _accepted(
    connection: Connection, environment_id: int, interval: DeclaredInterval
) -> Select[Any]:
    """The interval's events in the journal: they lie between the seqs that its slots tell of."""
    event = table_of(Event)
    first_seq, last_seq = _reach(connection, environment_id, interval)
    return select(event.c.event_id, event.c.element).where(
        event.c.environment_id == environment_id,
        event.c.seq >= first_seq,
        event.c.seq <= last_seq,
        event.c.source_id == interval.source_id,
        event.c.stream == interval.stream,
        event.c.recorded_at >= interval.from_at,
        event.c.recorded_at < interval.to_at,
    )


def _reach(
    connection: Connection, environment_id: int, interval: DeclaredInterval
) -> tuple[int, int]:
    firsts, lasts = [], []
    for kept in (table_of(BucketSum), table_of(BucketDelta)):
        row = connection.execute(
            select(func.min(kept.c.first_seq), func.max(kept.c.last_seq)).where(
                kept.c.environment_id == environment_id,
                kept.c.source_id == interval.source_id,
                kept.c.stream == interval.stream,
                kept.c.slot_at >= interval.from_at,
                kept.c.slot_at < interval.to_at,
            )
        ).one()
        firsts += [] if row[0] is None else [row[0]]
        lasts += [] if row[1] is None else [row[1]]
    return min(firsts, default=0), max(lasts, default=-1)
