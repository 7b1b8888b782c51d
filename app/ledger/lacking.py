"""The very events that a defect lacks or has too many, as far as they are known here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from app.learning.elements import spell_sum
from app.ledger.defects import DefectFacts, find_defect
from app.ledger.missing import DeclaredInterval
from app.ledger.names import list_names
from app.store.tables import Bucket, Defect, Event, Inquiry
from app.store.tables.columns import table_of
from app.store.tables.inquiries import NAMED_MISSING, NAMED_SURPLUS
from app.store.tables.journal import DEAD, PENDING, WAIVED

MISSING_SHOWN = 1000
_STUCK = {PENDING: "pending", DEAD: "dead", WAIVED: "waived"}


@dataclass(frozen=True, slots=True)
class MissingEvents:
    """What is known of the events that a defect's bucket lacks.

    element: of the one missing event, as its source spells it; None unless exactly one is missing
    named: id and element of missing events that the source has named, by id
    has_more: more are named than are told here
    surplus: likewise those of ours that the source did not count
    stuck: accepted events of the bucket that are not in the answers: id and where they stand
    inquiry: how far its source was asked; None when it never was
    """

    defect: DefectFacts
    element: str | None
    named: tuple[tuple[str, str], ...]
    has_more: bool
    surplus: tuple[tuple[str, str], ...]
    stuck: tuple[tuple[str, str], ...]
    inquiry: Mapping[str, Any] | None


def find_missing(
    connection: Connection,
    environment_id: int,
    defect_id: int,
    *,
    limit: int = MISSING_SHOWN,
    after: str = "",
) -> MissingEvents:
    """The very events that a defect lacks, as far as they are known here.

    after: only names behind this id

    Raises: UnknownName
    """
    told = find_defect(connection, environment_id, defect_id)
    defect = table_of(Defect)
    source_id = connection.execute(
        select(defect.c.source_id).where(
            defect.c.environment_id == environment_id, defect.c.defect_id == defect_id
        )
    ).scalar_one()
    interval = DeclaredInterval(source_id, told.stream, told.bucket_from, told.bucket_to)
    named = list_names(
        connection, environment_id, interval, kind=NAMED_MISSING, limit=limit + 1, after=after
    )
    surplus = list_names(
        connection, environment_id, interval, kind=NAMED_SURPLUS, limit=MISSING_SHOWN
    )
    return MissingEvents(
        told,
        element=_find_element(connection, environment_id, interval),
        named=tuple(named[:limit]),
        has_more=len(named) > limit,
        surplus=tuple(surplus),
        stuck=_list_stuck(connection, environment_id, interval),
        inquiry=_find_inquiry(connection, environment_id, interval),
    )


def _find_element(
    connection: Connection, environment_id: int, interval: DeclaredInterval
) -> str | None:
    bucket = table_of(Bucket)
    element: bytes | None = connection.execute(
        select(bucket.c.element).where(
            bucket.c.environment_id == environment_id,
            bucket.c.source_id == interval.source_id,
            bucket.c.stream == interval.stream,
            bucket.c.from_at == interval.from_at,
        )
    ).scalar()
    return None if element is None else spell_sum(bytes(element))


def _list_stuck(
    connection: Connection, environment_id: int, interval: DeclaredInterval
) -> tuple[tuple[str, str], ...]:
    event = table_of(Event)
    rows = connection.execute(
        select(event.c.event_id, event.c.disposition)
        .where(
            event.c.environment_id == environment_id,
            event.c.source_id == interval.source_id,
            event.c.stream == interval.stream,
            event.c.recorded_at >= interval.from_at,
            event.c.recorded_at < interval.to_at,
            event.c.disposition.in_(list(_STUCK)),
        )
        .order_by(event.c.seq)
        .limit(MISSING_SHOWN)
    )
    return tuple((row.event_id, _STUCK[row.disposition]) for row in rows)


def _find_inquiry(
    connection: Connection, environment_id: int, interval: DeclaredInterval
) -> Mapping[str, Any] | None:
    inquiry = table_of(Inquiry)
    row = connection.execute(
        select(inquiry.c.state, inquiry.c.asked_at, inquiry.c.request_count, inquiry.c.error).where(
            inquiry.c.environment_id == environment_id,
            inquiry.c.source_id == interval.source_id,
            inquiry.c.stream == interval.stream,
            inquiry.c.from_at == interval.from_at,
        )
    ).one_or_none()
    return None if row is None else dict(row._mapping)
