"""Alarms: what must never happen is written down once, from its first sight until it is over."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, func, select, update

from app.base.facts import AlarmRaised, AlarmResolved
from app.base.observe import observe
from app.store.dialect import insert_rows
from app.store.tables import Alarm, Environment
from app.store.tables.columns import table_of

BOOKS_UNBALANCED = "books_unbalanced"
JOURNAL_DIFFERS = "journal_differs"
DEDUP_AUDIT = "dedup_audit"
SWEEP_REPAIRED = "sweep_repaired"
CANARY_LOST = "canary_lost"

_COLUMNS = (
    "environment_id",
    "alarm_id",
    "kind",
    "first_seen_at",
    "last_seen_at",
    "seen_count",
    "details",
)


def raise_alarm(
    connection: Connection,
    environment_id: int,
    kind: str,
    *,
    details: Mapping[str, Any],
    now: datetime,
) -> None:
    """Open an alarm, or say that the open one was seen again; locks the environment's row."""
    environment, alarm = table_of(Environment), table_of(Alarm)
    connection.execute(
        select(environment.c.environment_id)
        .where(environment.c.environment_id == environment_id)
        .with_for_update(key_share=True)
    ).one()
    told = orjson.dumps(dict(details)).decode()
    seen = connection.execute(
        update(alarm)
        .where(
            alarm.c.environment_id == environment_id,
            alarm.c.kind == kind,
            alarm.c.resolved_at.is_(None),
        )
        .values(last_seen_at=now, seen_count=alarm.c.seen_count + 1, details=told)
    )
    if seen.rowcount:
        return
    newest = connection.execute(
        select(func.max(alarm.c.alarm_id)).where(alarm.c.environment_id == environment_id)
    ).scalar()
    row = (environment_id, int(newest or 0) + 1, kind, now, now, 1, told)
    insert_rows(connection, alarm, _COLUMNS, [row])
    observe(AlarmRaised(environment_id, kind, told))


def resolve_alarm(connection: Connection, environment_id: int, kind: str, *, now: datetime) -> bool:
    """Close the open alarm of this kind; was there one?"""
    alarm = table_of(Alarm)
    closed = connection.execute(
        update(alarm)
        .where(
            alarm.c.environment_id == environment_id,
            alarm.c.kind == kind,
            alarm.c.resolved_at.is_(None),
        )
        .values(resolved_at=now)
    )
    if closed.rowcount:
        observe(AlarmResolved(environment_id, kind))
    return bool(closed.rowcount)


def list_open_alarms(connection: Connection, environment_id: int) -> list[dict[str, Any]]:
    """Give the alarms that are open, by their kind."""
    alarm = table_of(Alarm)
    rows = connection.execute(
        select(
            alarm.c.kind,
            alarm.c.first_seen_at,
            alarm.c.last_seen_at,
            alarm.c.seen_count,
            alarm.c.details,
        )
        .where(alarm.c.environment_id == environment_id, alarm.c.resolved_at.is_(None))
        .order_by(alarm.c.kind)
    ).mappings()
    return [{**row, "details": orjson.loads(row["details"])} for row in rows]
