"""Tallies and digests as linear deltas: intake and processing add, the ledger reads and folds.

They are added in the transaction that makes them true, so the books balance at every commit, and
a digest never tells of an event that is not there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, repeat
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select, update

from app.learning.contracts import DEFAULT_BUCKET_S
from app.learning.elements import moment_of_slot, pack_sum, slot_number
from app.store.dialect import insert_rows, upsert_rows
from app.store.tables import BucketDelta, BucketSum, Environment, SourceKey, Stream, Tally
from app.store.tables.columns import table_of

_KEY = ("environment_id", "source_id", "stream")
SUMS = ("accepted", "accepted_sum", "applied", "applied_sum", "weak", "first_seq", "last_seq")
_DELTA_COLUMNS = ("environment_id", "delta_id", "source_id", "stream", "slot_at", *SUMS)
COUNTS = (
    "received",
    "accepted",
    "duplicate",
    "conflict",
    "rejected",
    "applied",
    "superseded",
    "dead",
    "waived",
    "erased",
)


@dataclass(frozen=True, slots=True)
class TallyDelta:
    """What one transaction changes in the counts of a source and stream.

    source_id: 0 for items that named no registered source
    stream: empty for items that named none
    received_at, applied_at: when, if this transaction received or applied something
    """

    source_id: int
    stream: str
    received: int = 0
    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    rejected: int = 0
    applied: int = 0
    superseded: int = 0
    dead: int = 0
    waived: int = 0
    erased: int = 0
    received_at: datetime | None = None
    applied_at: datetime | None = None


def add_tallies(connection: Connection, environment_id: int, deltas: Iterable[TallyDelta]) -> None:
    """Add deltas to the tallies of an environment whose row is locked by this transaction."""
    by_moments: dict[tuple[str, ...], list[tuple[object, ...]]] = {}
    for delta in sorted(deltas, key=lambda delta: (delta.source_id, delta.stream)):
        moments = {"last_received_at": delta.received_at, "last_applied_at": delta.applied_at}
        told = {name: moment for name, moment in moments.items() if moment is not None}
        counts = [getattr(delta, name) for name in COUNTS]
        row = (environment_id, delta.source_id, delta.stream, *counts, *told.values())
        by_moments.setdefault(tuple(told), []).append(row)
    for told_names, rows in by_moments.items():
        upsert_rows(
            connection,
            table_of(Tally),
            (*_KEY, *COUNTS, *told_names),
            rows,
            key=_KEY,
            update=told_names,
            added=COUNTS,
        )


# Digests: appended, folded by the ledger, then gone


class EvidenceKey(NamedTuple):
    """A key of a source's evidence, and from which recorded time on it is the one."""

    valid_from: datetime
    key_id: str
    secret: bytes


class Counted(NamedTuple):
    """An event that enters a digest or leaves it.

    element: None when none is kept, so that it counts nowhere
    """

    source_id: int
    stream: str
    recorded_at: datetime
    element: bytes | None


class SlotChange:
    """What changes in the digests of a slot, while it is added up; sums are not wrapped yet.

    first_seq, last_seq: where the accepted events are in the journal; None when there are none
    """

    __slots__ = (
        "accepted",
        "accepted_sum",
        "applied",
        "applied_sum",
        "first_seq",
        "last_seq",
        "weak",
    )

    def __init__(self) -> None:
        self.accepted = self.accepted_sum = self.applied = self.applied_sum = self.weak = 0
        self.first_seq: int | None = None
        self.last_seq: int | None = None

    def accept(self, element: bytes, *, seq: int, is_weak: bool) -> None:
        """Add an event that was accepted; those of one transaction come in their order."""
        self.accepted += 1
        self.accepted_sum += int.from_bytes(element, "big")
        self.weak += is_weak
        if self.first_seq is None:
            self.first_seq = seq
        self.last_seq = seq

    def apply(self, element: bytes, sign: int) -> None:
        """Add an event that is applied now, or with -1 take one away."""
        self.applied += sign
        self.applied_sum += sign * int.from_bytes(element, "big")

    def add(self, values: Sequence[Any]) -> None:
        """Add the columns of SUMS of a row of BucketDelta or BucketSum, in their order."""
        accepted, accepted_sum, applied, applied_sum, weak, first_seq, last_seq = values
        self.accepted += accepted
        self.accepted_sum += int.from_bytes(accepted_sum, "big")
        self.applied += applied
        self.applied_sum += int.from_bytes(applied_sum, "big")
        self.weak += weak
        if first_seq is not None:
            self._reach(first_seq, last_seq)

    def merge(self, other: "SlotChange") -> None:
        """Add another change of the same slot."""
        self.accepted += other.accepted
        self.accepted_sum += other.accepted_sum
        self.applied += other.applied
        self.applied_sum += other.applied_sum
        self.weak += other.weak
        if other.first_seq is not None and other.last_seq is not None:
            self._reach(other.first_seq, other.last_seq)

    def values(self) -> tuple[Any, ...]:
        """Give the columns of SUMS, in their order."""
        sums = pack_sum(self.accepted_sum), pack_sum(self.applied_sum)
        counted = (self.accepted, sums[0], self.applied, sums[1], self.weak)
        return (*counted, self.first_seq, self.last_seq)

    def _reach(self, first_seq: int, last_seq: int) -> None:
        if self.first_seq is None or first_seq < self.first_seq:
            self.first_seq = first_seq
        if self.last_seq is None or last_seq > self.last_seq:
            self.last_seq = last_seq


Slot = tuple[int, str, int]
"""(source_id, stream, number of the slot): a moment of each event would cost more than its sum."""

Sizes = Mapping[tuple[int, str], int]
"""The seconds of a bucket, by source and stream."""


def read_keys(connection: Connection, environment_id: int) -> dict[int, list[EvidenceKey]]:
    """Give the keys of each source's evidence, the newest first."""
    key = table_of(SourceKey)
    rows = connection.execute(
        select(key.c.source_id, key.c.valid_from, key.c.key_id, key.c.secret)
        .where(key.c.environment_id == environment_id)
        .order_by(key.c.source_id, key.c.valid_from.desc())
    )
    found: dict[int, list[EvidenceKey]] = {}
    for source_id, valid_from, key_id, secret in rows:
        found.setdefault(source_id, []).append(EvidenceKey(valid_from, key_id, bytes(secret)))
    return found


def key_valid_at(keys: Iterable[EvidenceKey], moment: datetime) -> EvidenceKey | None:
    """Give the key that events recorded at this moment are summed with, of keys newest first."""
    return next((key for key in keys if key.valid_from <= moment), None)


def newest_slot(
    connection: Connection, environment_id: int, source_id: int, *, stream: str | None = None
) -> datetime | None:
    """Give the start of the newest slot of a source, or of one stream, in which anything lies."""
    found = []
    for table in (table_of(BucketSum), table_of(BucketDelta)):
        statement = select(func.max(table.c.slot_at)).where(
            table.c.environment_id == environment_id, table.c.source_id == source_id
        )
        if stream is not None:
            statement = statement.where(table.c.stream == stream)
        slot_at = connection.execute(statement).scalar()
        found += [] if slot_at is None else [slot_at]
    return max(found, default=None)


def read_bucket_sizes(connection: Connection, environment_id: int) -> dict[tuple[int, str], int]:
    """Give the seconds of a bucket, by source and stream, of all that were ever under contract."""
    stream = table_of(Stream)
    rows = connection.execute(
        select(stream.c.source_id, stream.c.stream, stream.c.bucket_s).where(
            stream.c.environment_id == environment_id
        )
    )
    return {(source_id, name): bucket_s for source_id, name, bucket_s in rows}


def count_applied(
    connection: Connection,
    environment_id: int,
    *,
    entering: Sequence[Counted],
    leaving: Sequence[Counted] = (),
) -> None:
    """Add to the digests of applied events those that enter, take those away that leave.

    An event is in while it is applied, superseded or erased; whoever moves it between these and
    pending, dead or waived says so here, in the transaction that holds the environment's row.
    """
    if not entering and not leaving:
        return
    sizes = read_bucket_sizes(connection, environment_id)
    changes: dict[Slot, SlotChange] = {}
    moves = chain(zip(entering, repeat(1)), zip(leaving, repeat(-1)))
    for (source_id, stream, recorded_at, element), sign in moves:
        if element is None:
            continue
        bucket_s = sizes.get((source_id, stream), DEFAULT_BUCKET_S)
        slot = (source_id, stream, slot_number(recorded_at, bucket_s))
        change = changes.get(slot)
        if change is None:
            change = changes[slot] = SlotChange()
        change.apply(element, sign)
    append_changes(connection, environment_id, changes, sizes=sizes)


def append_changes(
    connection: Connection,
    environment_id: int,
    changes: Mapping[Slot, SlotChange],
    *,
    sizes: Sizes,
) -> None:
    """Append what this transaction changes, one row a slot; it holds the environment's row.

    Numbers are drawn from a counter, so that none is used again after its row was folded.
    """
    if not changes:
        return
    environment = table_of(Environment)
    last_id: int = connection.execute(
        update(environment)
        .where(environment.c.environment_id == environment_id)
        .values(last_delta_id=environment.c.last_delta_id + len(changes))
        .returning(environment.c.last_delta_id)
    ).scalar_one()
    rows = [
        (
            environment_id,
            number,
            source_id,
            stream,
            moment_of_slot(slot, sizes.get((source_id, stream), DEFAULT_BUCKET_S)),
            *change.values(),
        )
        for number, ((source_id, stream, slot), change) in enumerate(
            changes.items(), last_id - len(changes) + 1
        )
    ]
    insert_rows(connection, table_of(BucketDelta), _DELTA_COLUMNS, rows)
