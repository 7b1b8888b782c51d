"""Write down who did what, in the transaction that does it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, func, select

from app.store.dialect import insert_rows
from app.store.tables import Audit, Environment
from app.store.tables.columns import table_of

_COLUMNS = (
    "environment_id",
    "audit_id",
    "acted_at",
    "actor",
    "action",
    "target",
    "details",
)


def record_act(
    connection: Connection,
    environment_id: int,
    *,
    actor: str,
    action: str,
    target: str,
    details: Mapping[str, Any],
    now: datetime,
) -> int:
    """Keep one act for good and give its number; locks the environment's row.

    Shape: action: `noun.verb`; details: whatever tells before, after and why
    """
    environment, audit = table_of(Environment), table_of(Audit)
    connection.execute(
        select(environment.c.environment_id)
        .where(environment.c.environment_id == environment_id)
        .with_for_update(key_share=True)
    ).one()
    newest = connection.execute(
        select(func.max(audit.c.audit_id)).where(audit.c.environment_id == environment_id)
    ).scalar()
    audit_id = int(newest or 0) + 1
    told = orjson.dumps(dict(details)).decode()
    row = (environment_id, audit_id, now, actor[:200], action, target[:400], told)
    insert_rows(connection, audit, _COLUMNS, [row])
    return audit_id


def list_acts(
    connection: Connection, environment_id: int, *, limit: int, before: int | None = None
) -> list[dict[str, Any]]:
    """Give acts, the newest first, those older than `before`.

    Shape: {audit_id, acted_at, actor, action, target, details}
    """
    audit = table_of(Audit)
    wanted = select(*[audit.c[name] for name in _COLUMNS[1:]]).where(
        audit.c.environment_id == environment_id
    )
    if before is not None:
        wanted = wanted.where(audit.c.audit_id < before)
    rows = connection.execute(wanted.order_by(audit.c.audit_id.desc()).limit(limit)).mappings()
    return [{**row, "details": orjson.loads(row["details"])} for row in rows]
