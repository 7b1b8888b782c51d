"""How long events stay between the door and their projection, and how fast they leave: counted by
minute and by the logarithm of their dwell, in the transaction that settles them.

Source: docs/operations.md, "Figures"
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, exp2, log2

from sqlalchemy import Connection, delete, func, or_, select

from app.store.dialect import upsert_rows
from app.store.tables import Dwell
from app.store.tables.columns import table_of

WINDOW = timedelta(hours=1)

_STEPS = 4  # buckets to each doubling: a figure is at most a fifth too high
_LAST_BUCKET = 200  # 35 thousand years
_PACE_WINDOW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Dwelled:
    """Events settled in the last hour and how long they stayed; None when there were none."""

    event_count: int
    p50_s: float | None
    p99_s: float | None


def bucket_of(dwell_s: float) -> int:
    """Give the bucket of a dwell: n holds what is over 2^((n-1)/4) ms, up to 2^(n/4) ms."""
    dwell_ms = max(dwell_s * 1000, 1.0)
    return min(ceil(log2(dwell_ms) * _STEPS), _LAST_BUCKET)


def longest_of(bucket: int) -> float:
    """Give the longest dwell of a bucket, in seconds."""
    return round(exp2(bucket / _STEPS) / 1000, 3)


def note_dwell(
    connection: Connection, environment_id: int, received: Iterable[datetime], *, now: datetime
) -> None:
    """Count events that are settled now, by when they were received; the environment is locked."""
    counts: Counter[int] = Counter()
    for received_at, count in Counter(received).items():
        counts[bucket_of((now - received_at).total_seconds())] += count
    minute_at = now.replace(second=0, microsecond=0)
    key = ("environment_id", "minute_at", "bucket")
    upsert_rows(
        connection,
        table_of(Dwell),
        (*key, "event_count"),
        [(environment_id, minute_at, bucket, count) for bucket, count in sorted(counts.items())],
        key=key,
        update=(),
        added=("event_count",),
    )


def read_dwell(connection: Connection, environment_id: int, *, now: datetime) -> Dwelled:
    """Give the dwell of the events settled in the last hour, by nearest rank of its buckets."""
    dwell = table_of(Dwell)
    rows = connection.execute(
        select(dwell.c.bucket, func.sum(dwell.c.event_count))
        .where(
            dwell.c.environment_id == environment_id,
            dwell.c.minute_at > now - WINDOW,
            dwell.c.minute_at <= now,
        )
        .group_by(dwell.c.bucket)
        .order_by(dwell.c.bucket)
    )
    counts = [(int(bucket), int(count)) for bucket, count in rows]
    event_count = sum(count for _, count in counts)
    if not event_count:
        return Dwelled(0, None, None)
    return Dwelled(event_count, _rank(counts, 0.5), _rank(counts, 0.99))


def read_pace(connection: Connection, environment_id: int, *, now: datetime) -> float | None:
    """Give how many events a second were settled in the last five minutes, reckoned from the first
    minute in which any was; None when none was.
    """
    dwell = table_of(Dwell)
    count, first_at = connection.execute(
        select(func.sum(dwell.c.event_count), func.min(dwell.c.minute_at)).where(
            dwell.c.environment_id == environment_id,
            dwell.c.minute_at > now - _PACE_WINDOW,
            dwell.c.minute_at <= now,
        )
    ).one()
    if not count:
        return None
    elapsed_s: float = (now - first_at).total_seconds()
    return int(count) / max(elapsed_s, 1.0)


def forget_dwell(connection: Connection, environment_id: int, *, now: datetime) -> int:
    """Take away what no figure reads any more, or lies ahead of the clock; gives how many rows."""
    dwell = table_of(Dwell)
    stale = or_(dwell.c.minute_at <= now - WINDOW, dwell.c.minute_at > now + WINDOW)
    result = connection.execute(
        delete(dwell).where(dwell.c.environment_id == environment_id, stale)
    )
    return result.rowcount


def _rank(counts: list[tuple[int, int]], share: float) -> float:
    wanted = ceil(sum(count for _, count in counts) * share)
    passed = 0
    for bucket, count in counts:
        passed += count
        if passed >= wanted:
            return longest_of(bucket)
    raise ValueError("there is nothing to rank")
