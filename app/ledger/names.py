"""The events that an interval lacks, or has too many, by name: kept as sources name them.

What has come since is told no more: a name is looked up in the journal each time.
"""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, FromClause, delete, func, or_, select

from app.learning.elements import begin_elements, finish_element, frame_stream, spell_sum
from app.ledger.missing import DeclaredInterval
from app.store.dialect import upsert_rows
from app.store.sums import key_valid_at, read_keys
from app.store.tables import Bucket, Environment, Event, NamedEvent, Source
from app.store.tables.columns import table_of
from app.store.tables.inquiries import NAMED_MISSING
from app.store.work import EPOCH

_COLUMNS = tuple(column.name for column in table_of(NamedEvent).columns)
_KEY = tuple(column.name for column in table_of(NamedEvent).primary_key.columns)


@dataclass(frozen=True, slots=True)
class Naming:
    """An event as its source names it.

    kind: missing or surplus
    """

    element: bytes
    kind: str
    event_id: str
    digest: str = ""


def begin_interval_elements(
    connection: Connection, environment_id: int, interval: DeclaredInterval
) -> hmac.HMAC:
    """Give what the elements of an interval's events have in common."""
    environment, source = table_of(Environment), table_of(Source)
    row = connection.execute(
        select(environment.c.environment_key, source.c.source_key)
        .join(source, source.c.environment_id == environment.c.environment_id)
        .where(
            environment.c.environment_id == environment_id,
            source.c.source_id == interval.source_id,
        )
    ).one()
    keys = read_keys(connection, environment_id)[interval.source_id]
    key = key_valid_at(keys, interval.from_at) or keys[-1]
    return begin_elements(key.secret, frame_stream(*row, interval.stream))


def keep_names(
    connection: Connection,
    environment_id: int,
    interval: DeclaredInterval,
    named: Iterable[Naming],
    *,
    now: datetime,
) -> None:
    """Keep names of an interval; one that is there already is named anew."""
    place = (environment_id, interval.source_id, interval.stream, interval.from_at)
    rows = [(*place, one.element, one.kind, one.event_id, one.digest, now) for one in named]
    upsert_rows(
        connection, table_of(NamedEvent), _COLUMNS, rows, key=_KEY, update=("kind", "named_at")
    )


def keep_told(
    connection: Connection,
    environment_id: int,
    interval: DeclaredInterval,
    told: Iterable[tuple[str, str]],
    *,
    now: datetime,
) -> None:
    """Keep what a pushing source has named as missing, while its interval does not match.

    No more names are kept of an interval than it declares.

    Shape: told: id and digest of data
    """
    bucket = table_of(Bucket)
    declared = connection.execute(
        select(bucket.c.declared).where(
            bucket.c.environment_id == environment_id,
            bucket.c.source_id == interval.source_id,
            bucket.c.stream == interval.stream,
            bucket.c.from_at == interval.from_at,
            bucket.c.state != "matched",
        )
    ).scalar()
    count = count_missing(connection, environment_id, interval)
    begun = begin_interval_elements(connection, environment_id, interval)
    named = [
        Naming(finish_element(begun, event_id, digest.lower()), NAMED_MISSING, event_id, digest)
        for event_id, digest in list(told)[: max((declared or 0) - count, 0)]
    ]
    keep_names(connection, environment_id, interval, named, now=now)


def forget_names(
    connection: Connection,
    environment_id: int,
    interval: DeclaredInterval,
    *,
    before: datetime | None = None,
) -> None:
    """Let go of what was named of an interval, or of what was last named before a moment."""
    known = table_of(NamedEvent)
    of_interval = _of_interval(known, environment_id, interval)
    older = () if before is None else (known.c.named_at < before,)
    connection.execute(delete(known).where(*of_interval, *older))


def count_missing(
    connection: Connection,
    environment_id: int,
    interval: DeclaredInterval,
    *,
    since: datetime = EPOCH,
) -> int:
    """How many events of an interval were named as missing since a moment, whatever has come."""
    known = table_of(NamedEvent)
    of_interval = (*_of_interval(known, environment_id, interval), known.c.named_at >= since)
    count: int = connection.execute(
        select(func.count()).where(*of_interval, known.c.kind == NAMED_MISSING)
    ).scalar_one()
    return count


def list_names(
    connection: Connection,
    environment_id: int,
    interval: DeclaredInterval,
    *,
    kind: str,
    limit: int,
    after: str = "",
) -> list[tuple[str, str]]:
    """The events of an interval that were named and are still so: id and element, by id.

    after: only ids behind this one
    """
    known, event = table_of(NamedEvent), table_of(Event)
    held = known.outerjoin(
        event,
        (event.c.environment_id == known.c.environment_id)
        & (event.c.source_id == known.c.source_id)
        & (event.c.event_id == known.c.event_id),
    )
    has_come = event.c.element == known.c.element
    wanted = (
        or_(event.c.element.is_(None), event.c.element != known.c.element)
        if kind == NAMED_MISSING
        else has_come
    )
    rows = connection.execute(
        select(known.c.event_id, known.c.element)
        .select_from(held)
        .where(
            *_of_interval(known, environment_id, interval),
            known.c.kind == kind,
            known.c.event_id > after,
            wanted,
        )
        .order_by(known.c.event_id, known.c.element)
        .limit(limit)
    )
    return [(row.event_id, spell_sum(bytes(row.element))) for row in rows]


def _of_interval(
    known: FromClause, environment_id: int, interval: DeclaredInterval
) -> Sequence[Any]:
    return (
        known.c.environment_id == environment_id,
        known.c.source_id == interval.source_id,
        known.c.stream == interval.stream,
        known.c.from_at == interval.from_at,
    )
