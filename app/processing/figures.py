"""How the queue does in one environment: waiting, dwell, turns, what was rescued or died.

Source: docs/operations.md, "Figures"
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, literal_column, select

from app.store.alarms import list_open_alarms
from app.store.dwell import WINDOW, Dwelled, read_dwell, read_pace
from app.store.tables import Event, Tally, Turn, Watch
from app.store.tables.columns import table_of
from app.store.tables.journal import PENDING
from app.store.work import canary_waits_since


@dataclass(frozen=True, slots=True)
class Figures:
    """What is published of the processing of an environment; counts without a span are since ever.

    dwell: from received to settled, of the events settled in the last hour
    events_per_s: settled in the last five minutes; None when none was
    waited_max: the most quanta of other environments that it ever waited for
    coalescing_ratio: new events to one folding of an entity; None before the first
    rescued: entities that the sweep had to mark
    canary_since: since when a heartbeat has been on its way through the queue
    rest_count, rest_until, rest_error: whether it rests, since all it was given failed
    """

    pending: int
    oldest_pending_s: float | None
    dwell: Dwelled
    events_per_s: float | None
    quanta: int
    bulk_quanta: int
    waited_max: int
    coalescing_ratio: float | None
    counts: dict[str, int]
    rescued: int
    canary_since: datetime | None
    rest_count: int
    rest_until: datetime | None
    rest_error: str | None
    alarms: tuple[dict[str, Any], ...]
    evaluated_at: datetime

    @property
    def canary_waits_s(self) -> float:
        """How long the oldest heartbeat on its way has waited; 0 when all are through."""
        since = self.canary_since or self.evaluated_at
        return max((self.evaluated_at - since).total_seconds(), 0.0)

    def as_dict(self) -> dict[str, Any]:
        """The shape of `GET /v1/processing`."""
        resting = None
        if self.rest_count:
            resting = {"times": self.rest_count, "until": self.rest_until, "error": self.rest_error}
        return {
            "pending": self.pending,
            "oldest_pending_s": self.oldest_pending_s,
            "dwell": {
                "window_s": int(WINDOW.total_seconds()),
                "events": self.dwell.event_count,
                "p50_s": self.dwell.p50_s,
                "p99_s": self.dwell.p99_s,
            },
            "events_per_s": self.events_per_s,
            "quanta": self.quanta,
            "bulk_quanta": self.bulk_quanta,
            "foreign_quanta_waited_max": self.waited_max,
            "coalescing_ratio": self.coalescing_ratio,
            **self.counts,
            "rescued": self.rescued,
            "canary_waits_s": self.canary_waits_s,
            "resting": resting,
            "alarms": list(self.alarms),
            "evaluated_at": self.evaluated_at,
        }

    def as_gauges(self) -> dict[str, float | None]:
        """The same as numbers for `/metrics`."""
        return {
            "pending_events": self.pending,
            "oldest_pending_seconds": self.oldest_pending_s,
            "dwell_p50_seconds": self.dwell.p50_s,
            "dwell_p99_seconds": self.dwell.p99_s,
            "events_per_second": self.events_per_s,
            "quanta": self.quanta,
            "bulk_quanta": self.bulk_quanta,
            "foreign_quanta_waited_max": self.waited_max,
            "coalescing_ratio": self.coalescing_ratio,
            **{f"{name}_events": count for name, count in self.counts.items()},
            "rescued_entities": self.rescued,
            "canary_waits_seconds": self.canary_waits_s,
            "resting": self.rest_count,
        }


def read_figures(connection: Connection, environment_id: int, *, now: datetime) -> Figures:
    """Read all figures of an environment; a few rows and one seek for each stream that waits."""
    turn, watch = table_of(Turn), table_of(Watch)
    served = connection.execute(
        select(turn).where(turn.c.environment_id == environment_id)
    ).one_or_none()
    rescued = connection.execute(
        select(watch.c.rescued_count).where(watch.c.environment_id == environment_id)
    ).scalar()
    pending, counts = _read_counts(connection, environment_id)
    oldest_at = _oldest_pending_at(connection, environment_id) if pending else None
    pace = read_pace(connection, environment_id, now=now)
    return Figures(
        pending=pending,
        oldest_pending_s=None if oldest_at is None else max((now - oldest_at).total_seconds(), 0.0),
        dwell=read_dwell(connection, environment_id, now=now),
        events_per_s=None if pace is None else round(pace, 3),
        quanta=served.served_count if served else 0,
        bulk_quanta=served.bulk_count if served else 0,
        waited_max=served.waited_max if served else 0,
        coalescing_ratio=_ratio_of(served),
        counts=counts,
        rescued=int(rescued or 0),
        canary_since=canary_waits_since(connection, environment_id),
        rest_count=served.rest_count if served else 0,
        rest_until=served.rest_until if served else None,
        rest_error=served.rest_error if served else None,
        alarms=tuple(list_open_alarms(connection, environment_id)),
        evaluated_at=now,
    )


def _ratio_of(served: Any) -> float | None:
    if served is None or not served.entity_count:
        return None
    ratio: float = round(served.event_count / served.entity_count, 3)
    return ratio


def _read_counts(connection: Connection, environment_id: int) -> tuple[int, dict[str, int]]:
    tally = table_of(Tally).c
    settled = tally.applied + tally.superseded + tally.dead + tally.waived + tally.erased
    names = ("duplicate", "conflict", "dead", "waived")
    row = connection.execute(
        select(
            func.sum(tally.accepted - settled), *[func.sum(tally[name]) for name in names]
        ).where(tally.environment_id == environment_id)
    ).one()
    pending, *counts = [int(value or 0) for value in row]
    return pending, dict(zip(names, counts, strict=True))


def _oldest_pending_at(connection: Connection, environment_id: int) -> datetime | None:
    """When the pending event that came first was received: one seek for each stream that waits."""
    event, tally = table_of(Event), table_of(Tally)
    settled = tally.c.applied + tally.c.superseded + tally.c.dead + tally.c.waived + tally.c.erased
    streams = connection.execute(
        select(tally.c.source_id, tally.c.stream).where(
            tally.c.environment_id == environment_id, tally.c.accepted > settled
        )
    ).all()
    found: list[datetime] = []
    for source_id, stream in streams:
        received_at = connection.execute(
            select(event.c.received_at)
            .where(
                event.c.environment_id == environment_id,
                event.c.source_id == source_id,
                event.c.stream == stream,
                event.c.disposition == literal_column(str(PENDING)),
            )
            .order_by(event.c.seq)
            .limit(1)
        ).scalar()
        found += [received_at] if received_at is not None else []
    return min(found, default=None)
