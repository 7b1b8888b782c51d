"""Deltas of digests in, sums of slots out: folded once, then gone; and what an interval sums to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, select

from app.learning.elements import sum_elements
from app.store.dialect import upsert_rows
from app.store.lookup import find_rows
from app.store.sums import SUMS, SlotChange
from app.store.tables import BucketDelta, BucketSum
from app.store.tables.columns import table_of

_FOLDED_AT_ONCE = 5_000
_LOOKED_UP_AT_ONCE = 500
_KEY = ("environment_id", "source_id", "stream", "slot_at")

StreamKey = tuple[int, str]
"""(source_id, stream)"""

Start = tuple[int, str, datetime]
"""(source_id, stream, moment): where a slot or an interval begins."""


@dataclass(frozen=True, slots=True)
class SlotTotal:
    """What lies in the slots of an interval, as far as folded.

    first_seq, last_seq: the accepted events are in the journal between these; None without any
    """

    accepted: int
    applied: int
    applied_sum: bytes
    weak: int
    first_seq: int | None
    last_seq: int | None


@dataclass(frozen=True, slots=True)
class Taken:
    """Deltas that were folded: what they change, how many they were, the number of the newest."""

    changes: Mapping[Start, SlotChange]
    delta_count: int = 0
    newest_id: int = 0


def take_deltas(connection: Connection, environment_id: int) -> Taken:
    """Fold the oldest deltas of an environment into the sums of their slots, and delete them."""
    delta = table_of(BucketDelta)
    its_rows = delta.c.environment_id == environment_id
    columns = [delta.c[name] for name in ("delta_id", "source_id", "stream", "slot_at", *SUMS)]
    rows = connection.execute(
        select(*columns).where(its_rows).order_by(delta.c.delta_id).limit(_FOLDED_AT_ONCE)
    ).all()
    if not rows:
        return Taken({})
    changes = _add_up(rows)
    _keep_sums(connection, environment_id, changes)
    newest_id: int = rows[-1].delta_id
    connection.execute(delete(delta).where(its_rows, delta.c.delta_id <= newest_id))
    return Taken(changes, len(rows), newest_id)


def total_interval(
    connection: Connection,
    environment_id: int,
    stream: StreamKey,
    *,
    from_at: datetime,
    to_at: datetime,
) -> SlotTotal:
    """Sum the slots of an interval up, as far as folded."""
    kept = table_of(BucketSum)
    its_slots = (
        (kept.c.environment_id == environment_id)
        & (kept.c.source_id == stream[0])
        & (kept.c.stream == stream[1])
        & (kept.c.slot_at >= from_at)
        & (kept.c.slot_at < to_at)
    )
    counts = connection.execute(
        select(
            func.coalesce(func.sum(kept.c.accepted), 0),
            func.coalesce(func.sum(kept.c.applied), 0),
            func.coalesce(func.sum(kept.c.weak), 0),
            func.min(kept.c.first_seq),
            func.max(kept.c.last_seq),
        ).where(its_slots)
    ).one()
    sums = connection.execute(select(kept.c.applied_sum).where(its_slots)).scalars()
    accepted, applied, weak, first_seq, last_seq = counts
    return SlotTotal(
        accepted=int(accepted),
        applied=int(applied),
        applied_sum=sum_elements(map(bytes, sums)),
        weak=int(weak),
        first_seq=first_seq,
        last_seq=last_seq,
    )


def group_starts(starts: Iterable[Start]) -> dict[StreamKey, list[datetime]]:
    """Give the moments of each source and stream, in order."""
    found: dict[StreamKey, list[datetime]] = {}
    for source_id, stream, moment in sorted(starts):
        found.setdefault((source_id, stream), []).append(moment)
    return found


def chunk_moments(moments: Sequence[datetime]) -> Iterable[Sequence[datetime]]:
    """Give moments in lists that one statement can look up."""
    for start in range(0, len(moments), _LOOKED_UP_AT_ONCE):
        yield moments[start : start + _LOOKED_UP_AT_ONCE]


def _add_up(rows: Iterable[Any]) -> dict[Start, SlotChange]:
    changes: dict[Start, SlotChange] = {}
    for _, source_id, stream, slot_at, *sums in rows:
        key = (source_id, stream, slot_at)
        change = changes.get(key)
        if change is None:
            change = changes[key] = SlotChange()
        change.add(sums)
    return changes


def _keep_sums(
    connection: Connection, environment_id: int, changes: Mapping[Start, SlotChange]
) -> None:
    """Add to the sums of slots; those that nobody declared yet keep theirs for later."""
    kept = table_of(BucketSum)
    rows = find_rows(
        connection,
        kept,
        environment_id,
        columns=(*_KEY[1:], *SUMS),
        key=_KEY[1:],
        keys=list(changes),
    )
    totals = dict(changes)
    for source_id, stream, slot_at, *sums in rows:
        start = (source_id, stream, slot_at)
        total = totals[start] = SlotChange()
        total.add(sums)
        total.merge(changes[start])
    lines = [(environment_id, *start, *total.values()) for start, total in totals.items()]
    upsert_rows(connection, kept, (*_KEY, *SUMS), lines, key=_KEY, update=SUMS)
