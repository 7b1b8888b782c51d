"""Deltas of digests in, balanced intervals out: declared against applied, incrementally.

A fold costs by what changed. It alone raises anything; it holds the environment's row, as whoever
appends a delta does, so nothing is folded twice and nothing is passed over.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, literal_column, select, union, update

from app.base.clock import now
from app.base.facts import BucketsFolded
from app.base.observe import observe
from app.learning.contracts import ANCHORS, Contract, is_anchor_enough, weakest_anchor
from app.learning.elements import pack_sum, sum_elements
from app.ledger.balance import MATCHED, UNDECLARED, balance_interval
from app.ledger.frontiers import StreamChange, move_frontiers
from app.ledger.imbalances import follow_defects, kind_on_shelf
from app.ledger.slots import (
    Start,
    StreamKey,
    chunk_moments,
    group_starts,
    take_deltas,
    total_interval,
)
from app.store.contracts import read_contracts
from app.store.dialect import upsert_rows
from app.store.engine import Store, snapshot, transaction
from app.store.sums import SlotChange
from app.store.tables import Bucket, BucketDelta, Environment, Manifest, StreamState
from app.store.tables.columns import table_of

_KEY = ("environment_id", "source_id", "stream", "from_at")
_FOLDED_AT_ONCE = 20_000
_DUE_AT_ONCE = 2_000
# What a reader is told of an interval; when it changes, the interval has changed.
_TOLD = ("state", "declared", "declared_sum", "applied", "applied_sum", "missing", "surplus")


@dataclass(frozen=True, slots=True)
class Folded:
    """What a fold has done.

    delta_count: deltas folded and deleted
    changed_count: intervals that were balanced anew
    """

    delta_count: int = 0
    changed_count: int = 0


@dataclass(slots=True)
class _Round:
    """The intervals that a fold has at hand, as rows, and how they were before."""

    rows: dict[Start, dict[str, Any]] = field(default_factory=dict)
    before: dict[Start, Mapping[str, Any]] = field(default_factory=dict)
    restated: set[Start] = field(default_factory=set)

    def hold(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Take a row in, unless it is at hand; give the one that is to be changed."""
        start = (row["source_id"], row["stream"], row["from_at"])
        if start not in self.rows:
            self.before[start] = dict(row)
            self.rows[start] = dict(row)
        return self.rows[start]


def fold_everywhere(store: Store) -> int:
    """Fold each environment in turn where something waits; give how many deltas that were."""
    with snapshot(store) as connection:
        environment_ids = _list_waiting(connection, now())
    delta_count = 0
    for environment_id in environment_ids:
        with transaction(store) as connection:
            folded = fold_buckets(connection, environment_id, now=now(), limit=_FOLDED_AT_ONCE)
        delta_count += folded.delta_count
    return delta_count


def fold_buckets(
    connection: Connection,
    environment_id: int,
    *,
    now: datetime,
    declared: Iterable[Start] = (),
    limit: int | None = None,
) -> Folded:
    """Fold what was appended since the last time, and balance every interval that it touches.

    Shape: declared: intervals for which manifests came; limit: about how many deltas to fold
    """
    lock_ledger(connection, environment_id)
    contracts = read_contracts(connection, environment_id, also_removed=True)
    round_ = _Round()
    for start in sorted(set(declared)):
        _declare_interval(connection, environment_id, round_, start, contracts=contracts, now=now)
    delta_count, newest_id = 0, 0
    while limit is None or delta_count < limit:
        taken = take_deltas(connection, environment_id)
        if not taken.delta_count:
            break
        delta_count, newest_id = delta_count + taken.delta_count, taken.newest_id
        _add_changes(connection, environment_id, round_, taken.changes)
    _hold_due(connection, environment_id, round_, now=now)
    if round_.rows:
        changes = _balance_all(connection, environment_id, round_, now=now)
        move_frontiers(
            connection, environment_id, changes, contracts=contracts, newest_id=newest_id, now=now
        )
    if delta_count or round_.rows:
        observe(BucketsFolded(environment_id, delta_count, len(round_.rows)))
    return Folded(delta_count, len(round_.rows))


def restart_stream(
    connection: Connection,
    environment_id: int,
    stream: StreamKey,
    contract: Contract,
    *,
    now: datetime,
) -> None:
    """Look at a stream's intervals under other terms: when due, how anchored, from where on."""
    bucket = table_of(Bucket)
    of_stream = (
        (bucket.c.environment_id == environment_id)
        & (bucket.c.source_id == stream[0])
        & (bucket.c.stream == stream[1])
    )
    for anchor in ANCHORS:
        enough = is_anchor_enough(anchor, contract.required_anchor)
        connection.execute(
            update(bucket).where(of_stream, bucket.c.anchor == anchor).values(is_anchored=enough)
        )
    waiting = connection.execute(
        select(bucket.c.from_at, bucket.c.to_at).where(of_stream, bucket.c.state != _MATCHED)
    ).all()
    for from_at, to_at in waiting:
        connection.execute(
            update(bucket)
            .where(of_stream, bucket.c.from_at == from_at)
            .values(due_at=_due_moment(contract, to_at))
        )
    move_frontiers(
        connection,
        environment_id,
        {stream: StreamChange(restarts=True)},
        contracts={stream: contract},
        newest_id=0,
        now=now,
    )


def lock_ledger(connection: Connection, environment_id: int) -> None:
    """Hold the environment's row to the end of the transaction: evidence comes one at a time."""
    environment = table_of(Environment)
    connection.execute(
        select(environment.c.environment_id)
        .where(environment.c.environment_id == environment_id)
        .with_for_update()
    ).one()


# Spelled out, so that the indexes over unmatched intervals alone can answer.
_MATCHED: Any = literal_column("'matched'")


def _list_waiting(connection: Connection, moment: datetime) -> list[int]:
    """The environments with deltas to fold, or with intervals that have come due."""
    delta, bucket = table_of(BucketDelta), table_of(Bucket)
    statement = union(
        select(delta.c.environment_id),
        select(bucket.c.environment_id).where(*_came_due(bucket, moment)),
    )
    rows = connection.execute(
        statement,
        execution_options={
            "across_environments": "digests are folded for each environment in turn"
        },
    )
    return sorted(rows.scalars())


def _came_due(bucket: Any, moment: datetime) -> tuple[Any, ...]:
    return (
        bucket.c.state != _MATCHED,
        bucket.c.declared.is_not(None),
        bucket.c.defect_id.is_(None),
        bucket.c.due_at <= moment,
    )


# Intervals taken in hand


def _declare_interval(
    connection: Connection,
    environment_id: int,
    round_: _Round,
    start: Start,
    *,
    contracts: Mapping[StreamKey, Contract],
    now: datetime,
) -> None:
    """Put the current manifests of all shards into their interval, which begins to exist then."""
    source_id, stream, from_at = start
    contract = contracts[source_id, stream]
    manifest = table_of(Manifest)
    stated = {
        row.shard: row
        for row in connection.execute(
            select(manifest).where(
                manifest.c.environment_id == environment_id,
                manifest.c.source_id == source_id,
                manifest.c.stream == stream,
                manifest.c.from_at == from_at,
                manifest.c.is_current.is_(True),
            )
        )
    }
    told = [stated[shard] for shard in contract.shards if shard in stated]
    row = _find_interval(connection, environment_id, start)
    held = (
        round_.hold(row)
        if row
        else _begin_interval(
            connection, environment_id, round_, start, to_at=told[0].to_at, now=now
        )
    )
    is_whole = len(told) == len(contract.shards)
    sums = [part.sum for part in told]
    is_summed = is_whole and all(part is not None for part in sums)
    held["declared"] = sum(part.count for part in told) if is_whole else None
    held["declared_sum"] = sum_elements(map(bytes, sums)) if is_summed else None
    held["anchor"] = weakest_anchor({part.anchor for part in told})
    held["is_anchored"] = is_anchor_enough(held["anchor"], contract.required_anchor)
    held["due_at"] = _due_moment(contract, held["to_at"])
    if any(part.version > 1 for part in told):
        round_.restated.add(start)


def _begin_interval(
    connection: Connection,
    environment_id: int,
    round_: _Round,
    start: Start,
    *,
    to_at: datetime,
    now: datetime,
) -> dict[str, Any]:
    total = total_interval(connection, environment_id, start[:2], from_at=start[2], to_at=to_at)
    return round_.hold(
        {
            "environment_id": environment_id,
            "source_id": start[0],
            "stream": start[1],
            "from_at": start[2],
            "to_at": to_at,
            "due_at": to_at,
            "declared": None,
            "declared_sum": None,
            "accepted": total.accepted,
            "applied": total.applied,
            "applied_sum": total.applied_sum,
            "anchor": "",
            "is_anchored": False,
            "is_weak": False,
            "state": UNDECLARED,
            "missing": 0,
            "surplus": 0,
            "element": None,
            "weak": total.weak,
            "defect_id": None,
            "changed_at": now,
        }
    )


def _find_interval(
    connection: Connection, environment_id: int, start: Start
) -> Mapping[str, Any] | None:
    bucket = table_of(Bucket)
    row = connection.execute(
        select(bucket).where(
            bucket.c.environment_id == environment_id,
            bucket.c.source_id == start[0],
            bucket.c.stream == start[1],
            bucket.c.from_at == start[2],
        )
    ).one_or_none()
    return None if row is None else row._asdict()


def _hold_due(
    connection: Connection, environment_id: int, round_: _Round, *, now: datetime
) -> None:
    bucket = table_of(Bucket)
    rows = connection.execute(
        select(bucket)
        .where(bucket.c.environment_id == environment_id, *_came_due(bucket, now))
        .order_by(bucket.c.due_at)
        .limit(_DUE_AT_ONCE)
    )
    for row in rows:
        round_.hold(row._asdict())


def _add_changes(
    connection: Connection,
    environment_id: int,
    round_: _Round,
    changes: Mapping[Start, SlotChange],
) -> None:
    """Add what slots gained to the intervals they lie in; an interval just begun has it not yet."""
    known_streams = _streams_with_intervals(connection, environment_id)
    known_streams |= {start[:2] for start in round_.rows}
    for stream, moments in group_starts(changes).items():
        if stream not in known_streams:
            continue
        held = [row for start, row in round_.rows.items() if start[:2] == stream]
        known = {row["from_at"]: row for row in held}
        for row in _intervals_of(connection, environment_id, stream, moments):
            known.setdefault(row["from_at"], round_.hold(row))
        ordered = sorted(known.values(), key=lambda row: row["from_at"])
        index = 0
        for moment in moments:
            while index < len(ordered) and ordered[index]["to_at"] <= moment:
                index += 1
            if index < len(ordered) and ordered[index]["from_at"] <= moment:
                _add_change(ordered[index], changes[*stream, moment])


def _streams_with_intervals(connection: Connection, environment_id: int) -> set[StreamKey]:
    """The streams of which anything was ever declared: each has a state."""
    state = table_of(StreamState)
    rows = connection.execute(
        select(state.c.source_id, state.c.stream).where(state.c.environment_id == environment_id)
    )
    return {(source_id, stream) for source_id, stream in rows}


def _add_change(row: dict[str, Any], change: SlotChange) -> None:
    row["accepted"] += change.accepted
    row["applied"] += change.applied
    row["applied_sum"] = pack_sum(int.from_bytes(row["applied_sum"], "big") + change.applied_sum)
    row["weak"] += change.weak


def _intervals_of(
    connection: Connection, environment_id: int, stream: StreamKey, moments: list[datetime]
) -> Iterable[Mapping[str, Any]]:
    """The intervals in which these slots lie: by their starts first, the wide ones one by one."""
    bucket = table_of(Bucket)
    query = select(bucket).where(
        bucket.c.environment_id == environment_id,
        bucket.c.source_id == stream[0],
        bucket.c.stream == stream[1],
    )
    ends: list[tuple[datetime, datetime]] = []
    for part in chunk_moments(moments):
        for row in connection.execute(query.where(bucket.c.from_at.in_(part))):
            ends.append((row.from_at, row.to_at))
            yield row._asdict()
    rest = _outside(moments, sorted(ends))
    while rest:
        before = query.where(bucket.c.from_at <= rest[0]).order_by(bucket.c.from_at.desc())
        found = connection.execute(before.limit(1)).one_or_none()
        if found is not None and found.to_at > rest[0]:
            yield found._asdict()
            rest = [moment for moment in rest if moment >= found.to_at]
            continue
        behind = query.where(bucket.c.from_at > rest[0]).order_by(bucket.c.from_at)
        after = connection.execute(behind.limit(1)).one_or_none()
        rest = [] if after is None else [moment for moment in rest if moment >= after.from_at]


def _outside(moments: list[datetime], intervals: list[tuple[datetime, datetime]]) -> list[datetime]:
    """The moments that lie in none of these intervals; both are in order."""
    rest, index = [], 0
    for moment in moments:
        while index < len(intervals) and intervals[index][1] <= moment:
            index += 1
        if index == len(intervals) or intervals[index][0] > moment:
            rest.append(moment)
    return rest


# Balancing


def _balance_all(
    connection: Connection, environment_id: int, round_: _Round, *, now: datetime
) -> dict[StreamKey, StreamChange]:
    """Balance what is at hand, follow its defects, write it; give what changed by stream."""
    changes: dict[StreamKey, StreamChange] = {}
    for start, row in round_.rows.items():
        _balance_row(connection, environment_id, row, now=now)
        before = round_.before[start]
        changes[start[:2]] = _add_difference(changes.get(start[:2]), row, before)
        if any(row[name] != before[name] for name in _TOLD):
            row["changed_at"] = now
    rows = list(round_.rows.values())
    follow_defects(connection, environment_id, rows, restated=round_.restated, now=now)
    bucket = table_of(Bucket)
    columns = tuple(column.name for column in bucket.columns)
    update_columns = tuple(name for name in columns if name not in _KEY)
    lines = [[row[name] for name in columns] for row in rows]
    upsert_rows(connection, bucket, columns, lines, key=_KEY, update=update_columns)
    return changes


def _add_difference(
    change: StreamChange | None, row: Mapping[str, Any], before: Mapping[str, Any]
) -> StreamChange:
    so_far = change or StreamChange()
    is_less = row["missing"] + row["surplus"] < before["missing"] + before["surplus"]
    return StreamChange(
        heals=so_far.heals or (before["defect_id"] is not None and is_less),
        declared=so_far.declared + (row["declared"] or 0) - (before["declared"] or 0),
        missing=so_far.missing + row["missing"] - before["missing"],
        surplus=so_far.surplus + row["surplus"] - before["surplus"],
        weak_buckets=so_far.weak_buckets + row["is_weak"] - before["is_weak"],
    )


def _balance_row(
    connection: Connection, environment_id: int, row: dict[str, Any], *, now: datetime
) -> None:
    balance = balance_interval(
        row["declared"],
        row["declared_sum"],
        applied=row["applied"],
        applied_sum=bytes(row["applied_sum"]),
    )
    is_counted = row["declared"] is not None and row["declared_sum"] is None
    row |= {
        "state": balance.state,
        "missing": balance.missing,
        "surplus": balance.surplus,
        "element": balance.element,
        "is_weak": is_counted or row["weak"] > 0,
    }
    if balance.state not in (MATCHED, UNDECLARED) and row["due_at"] <= now:
        row["state"] = kind_on_shelf(connection, environment_id, row)


def _due_moment(contract: Contract, to_at: datetime) -> datetime:
    return to_at + timedelta(seconds=contract.close_delay_s + contract.grace_s)
