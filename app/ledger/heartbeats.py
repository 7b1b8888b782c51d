"""A source's signs of life: that it is there, how its clock goes, what it has yet to hand over.

They report a backlog; they never move what is declared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from app.base.clock import format_time
from app.base.errors import NotContracted, SourceSealed
from app.ledger.buckets import lock_ledger
from app.ledger.streams import Registered, not_contracted, read_register
from app.store.dialect import upsert_rows
from app.store.evidence import note_evidence
from app.store.tables import Heartbeat, StreamState
from app.store.tables.columns import table_of
from app.store.work import mark_canary

_BEATS_MISSED = 3
_KEY = ("environment_id", "source_id", "stream")
_TOLD = ("closed_through", "closed_moved_at", "backlog", "oldest_pending_at")
# What a stream's row begins with when a heartbeat is the first that is heard of it.
_EMPTY = {
    "folded_delta_id": 0,
    "declared": 0,
    "missing": 0,
    "surplus": 0,
    "is_weak": False,
    "weak_buckets": 0,
}


@dataclass(frozen=True, slots=True)
class StreamBeat:
    """What a heartbeat says of one stream.

    closed_through: no transaction before it can still commit
    pending: events recorded and not handed over yet
    """

    stream: str
    closed_through: datetime | None = None
    pending: int | None = None
    oldest_pending: datetime | None = None


def hear_source(
    connection: Connection,
    environment_id: int,
    *,
    source: str,
    sent_at: datetime,
    beat: int,
    streams: Sequence[StreamBeat],
    now: datetime,
) -> dict[str, Any]:
    """Keep a heartbeat, unless a newer one was heard.

    Raises: NotContracted, SourceSealed
    """
    lock_ledger(connection, environment_id)
    found = read_register(connection, environment_id).get(source)
    if found is None:
        raise NotContracted(
            f"there is no source {source[:100]!r} in this environment",
            hint="Register it: POST /v1/sources, or fullcount sources add.",
        )
    if found.sealed_at is not None:
        raise SourceSealed(
            f"the source was sealed at {format_time(found.sealed_at)}; it needs no heartbeat"
        )
    for told in streams:
        if told.stream not in found.contracts:
            raise not_contracted(source, told.stream)
    transport_s = (now - sent_at).total_seconds()
    answer = {"source": source, "seq": beat, "transport_s": transport_s}
    newest = _newest_beat(connection, environment_id, found.source_id)
    if newest is not None and beat <= newest:
        return {"state": "superseded", **answer, "newest": newest}
    table, columns = table_of(Heartbeat), ("beat", "sent_at", "received_at", "transport_s")
    row = (environment_id, found.source_id, beat, sent_at, now, transport_s)
    key = ("environment_id", "source_id")
    is_news = _is_news(connection, environment_id, found, transport_s=transport_s, now=now)
    upsert_rows(connection, table, (*key, *columns), [row], key=key, update=columns)
    _keep_streams(connection, environment_id, found.source_id, streams, now=now)
    if is_news or any(told.pending for told in streams):
        note_evidence(connection, environment_id)
    mark_canary(connection, environment_id, now=now)
    return {"state": "heard", **answer}


def _is_news(
    connection: Connection,
    environment_id: int,
    source: Registered,
    *,
    transport_s: float,
    now: datetime,
) -> bool:
    """May this heartbeat change a verdict? One in time, with a sound clock, after another such one
    and without any backlog, cannot: verdicts that are kept without it only end sooner.
    """
    heartbeat, state = table_of(Heartbeat), table_of(StreamState)
    before = connection.execute(
        select(heartbeat.c.received_at, heartbeat.c.transport_s).where(
            heartbeat.c.environment_id == environment_id,
            heartbeat.c.source_id == source.source_id,
        )
    ).one_or_none()
    terms = source.contracts.values()
    if before is None or not terms:
        return True
    silence_s = _BEATS_MISSED * min(contract.heartbeat_s for contract in terms)
    skew_s = min(contract.skew_s for contract in terms)
    if (now - before.received_at).total_seconds() > silence_s:
        return True
    if max(abs(transport_s), abs(before.transport_s)) > skew_s:
        return True
    held = connection.execute(
        select(state.c.backlog)
        .where(
            state.c.environment_id == environment_id,
            state.c.source_id == source.source_id,
            state.c.backlog > 0,
        )
        .limit(1)
    ).first()
    return held is not None


def _newest_beat(connection: Connection, environment_id: int, source_id: int) -> int | None:
    heartbeat = table_of(Heartbeat)
    beat: int | None = connection.execute(
        select(heartbeat.c.beat).where(
            heartbeat.c.environment_id == environment_id, heartbeat.c.source_id == source_id
        )
    ).scalar()
    return beat


def _keep_streams(
    connection: Connection,
    environment_id: int,
    source_id: int,
    streams: Sequence[StreamBeat],
    *,
    now: datetime,
) -> None:
    """Write what was told of each stream; `closed_moved_at` is when its closed time moved on."""
    state = table_of(StreamState)
    before = {
        row.stream: row
        for row in connection.execute(
            select(state.c.stream, state.c.closed_through, state.c.closed_moved_at).where(
                state.c.environment_id == environment_id, state.c.source_id == source_id
            )
        )
    }
    rows = []
    for told in streams:
        known = before.get(told.stream)
        closed_before = known.closed_through if known else None
        moved_at = known.closed_moved_at if known else None
        closed = told.closed_through or closed_before
        if moved_at is None or (closed and (closed_before is None or closed > closed_before)):
            moved_at = now
        values = (closed, moved_at, told.pending, told.oldest_pending)
        rows.append((environment_id, source_id, told.stream, *_EMPTY.values(), *values))
    columns = (*_KEY, *_EMPTY, *_TOLD)
    upsert_rows(connection, state, columns, rows, key=_KEY, update=_TOLD)
