"""What changed in the intervals of streams in, how far they are declared, matched, anchored out.

Each frontier is one seek in an index, or a walk over what was newly declared.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, literal_column, select

from app.base.facts import FrontierRegressed
from app.base.observe import observe
from app.learning.contracts import Contract
from app.ledger.slots import StreamKey
from app.store.dialect import upsert_rows
from app.store.evidence import note_evidence
from app.store.tables import Bucket, StreamState
from app.store.tables.columns import table_of

_KEY = ("environment_id", "source_id", "stream")
_WALKED_AT_ONCE = 500
_COLUMNS = (
    "declared_through",
    "matched_through",
    "anchored_through",
    "folded_delta_id",
    "declared",
    "missing",
    "surplus",
    "is_weak",
    "weak_buckets",
    "shrank_at",
)


@dataclass(frozen=True, slots=True)
class StreamChange:
    """What a fold changes in the sums over a stream's intervals.

    heals: a known defect lacks less than before; what is merely on its way does not count
    restarts: walk the declared intervals from the contract's start again
    """

    declared: int = 0
    missing: int = 0
    surplus: int = 0
    weak_buckets: int = 0
    heals: bool = False
    restarts: bool = False


def move_frontiers(
    connection: Connection,
    environment_id: int,
    changes: Mapping[StreamKey, StreamChange],
    *,
    contracts: Mapping[StreamKey, Contract],
    newest_id: int,
    now: datetime,
) -> None:
    """Bring the states of these streams to what their intervals say.

    Shape: newest_id: the newest delta that is folded
    """
    for stream, change in changes.items():
        before = _read_state(connection, environment_id, stream)
        contract = contracts.get(stream)
        declared_through = None if change.restarts else before.get("declared_through")
        walked = _Walk(connection, environment_id, stream)
        frontiers: tuple[datetime | None, datetime | None, datetime | None] = (None,) * 3
        if contract is not None:
            frontiers = walked.frontiers(contract.from_at, declared_through)
        missing = before.get("missing", 0) + change.missing
        weak_buckets = before.get("weak_buckets", 0) + change.weak_buckets
        row = (
            environment_id,
            *stream,
            *frontiers,
            max(newest_id, before.get("folded_delta_id", 0)),
            before.get("declared", 0) + change.declared,
            missing,
            before.get("surplus", 0) + change.surplus,
            weak_buckets > 0,
            weak_buckets,
            now if change.heals else before.get("shrank_at"),
        )
        table = table_of(StreamState)
        upsert_rows(connection, table, (*_KEY, *_COLUMNS), [row], key=_KEY, update=_COLUMNS)
        _tell_regress(environment_id, stream, before.get("matched_through"), frontiers[1])
    note_evidence(connection, environment_id)


def _tell_regress(
    environment_id: int, stream: StreamKey, before: datetime | None, after: datetime | None
) -> None:
    if before is not None and (after is None or after < before):
        observe(FrontierRegressed(environment_id, *stream, before, after))


def _read_state(
    connection: Connection, environment_id: int, stream: StreamKey
) -> Mapping[str, Any]:
    state = table_of(StreamState)
    row = (
        connection.execute(
            select(state).where(
                state.c.environment_id == environment_id,
                state.c.source_id == stream[0],
                state.c.stream == stream[1],
            )
        )
        .mappings()
        .one_or_none()
    )
    return {} if row is None else {str(name): value for name, value in row.items()}


class _Walk:
    """The declared intervals of one stream, as its frontiers ask for them."""

    def __init__(self, connection: Connection, environment_id: int, stream: StreamKey) -> None:
        self._connection = connection
        self._bucket = table_of(Bucket)
        self._of_stream = (
            (self._bucket.c.environment_id == environment_id)
            & (self._bucket.c.source_id == stream[0])
            & (self._bucket.c.stream == stream[1])
        )

    def frontiers(
        self, start: datetime, declared_through: datetime | None
    ) -> tuple[datetime | None, datetime | None, datetime | None]:
        """How far everything is declared, matched, and anchored well enough; None: not at all."""
        declared = self._walk_declared(start, declared_through)
        if declared is None:
            return None, None, None
        # Spelled out, so that the indexes over these few intervals alone can answer.
        state = self._bucket.c.state != literal_column("'matched'")
        matched = self._stop_at(self._first_where(state, start), start, declared)
        if matched is None:
            return declared, None, None
        unanchored = self._bucket.c.is_anchored.is_(False)
        return (
            declared,
            matched,
            self._stop_at(self._first_where(unanchored, start), start, matched),
        )

    def _stop_at(
        self, stop: datetime | None, start: datetime, reached: datetime
    ) -> datetime | None:
        if stop is None or stop >= reached:
            return reached
        return stop if stop > start else None

    def _first_where(self, condition: Any, start: datetime) -> datetime | None:
        """Where the first interval of this kind begins that does not end before the contract."""
        found: datetime | None = self._connection.execute(
            select(self._bucket.c.from_at)
            .where(self._of_stream, condition, self._bucket.c.to_at > start)
            .order_by(self._bucket.c.from_at)
            .limit(1)
        ).scalar()
        return found

    def _walk_declared(self, start: datetime, reached: datetime | None) -> datetime | None:
        """Go on over intervals that follow one another and that all shards have declared."""
        if reached is None:
            reached = self._first_end(start)
        while reached is not None:
            rows = self._connection.execute(
                select(self._bucket.c.from_at, self._bucket.c.to_at, self._bucket.c.declared)
                .where(self._of_stream, self._bucket.c.from_at >= reached)
                .order_by(self._bucket.c.from_at)
                .limit(_WALKED_AT_ONCE)
            ).all()
            for from_at, to_at, declared in rows:
                if from_at != reached or declared is None:
                    return reached
                reached = to_at
            if len(rows) < _WALKED_AT_ONCE:
                return reached
        return None

    def _first_end(self, start: datetime) -> datetime | None:
        """The end of the declared interval that holds the contract's start."""
        row = self._connection.execute(
            select(self._bucket.c.to_at, self._bucket.c.declared)
            .where(self._of_stream, self._bucket.c.from_at <= start)
            .order_by(self._bucket.c.from_at.desc())
            .limit(1)
        ).one_or_none()
        if row is None or row.declared is None or row.to_at <= start:
            return None
        end: datetime = row.to_at
        return end
