"""Rebuilds as they are asked for and looked at: one at a time in each environment, in turn."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from app.base.clock import now
from app.base.errors import BadOption, RebuildRunning, UnknownName
from app.learning.modules import STREAM_NAMES
from app.processing.rebuild_scope import RebuildScope
from app.processing.rows import lock_revision
from app.processing.tasks import open_task
from app.store.tables import Rebuild
from app.store.tables.columns import table_of
from app.store.tables.rebuilds import CLEARING, ENDED, FAILED, FAILING, WAITING

RebuildRow = Mapping[str, Any]

_COUNTS = (
    "through_seq",
    "entities_count",
    "rounds_count",
    "failures_count",
    "rows_added",
    "rows_changed",
    "rows_removed",
)
_TASK_KIND = "rebuild"
_ERROR_LENGTH = 500
_NAME_LENGTH = 200


def request_rebuild(
    connection: Connection, environment_id: int, scope: RebuildScope, *, asked_by: str
) -> RebuildRow:
    """Ask for a rebuild; it begins when those before it have ended.

    Raises: BadOption, RebuildRunning
    """
    _check_scope(scope)
    lock_revision(connection, environment_id)
    for row in _list_active(connection, environment_id):
        if scope_of(row).overlaps(scope) and row["state"] not in {CLEARING, FAILING}:
            raise RebuildRunning(
                f"rebuild {row['rebuild_id']} of what this one is about has not ended",
                hint=f"Watch it: GET /v1/rebuilds/{row['rebuild_id']}.",
            )
    table = table_of(Rebuild)
    newest = connection.execute(
        select(func.coalesce(func.max(table.c.rebuild_id), 0)).where(
            table.c.environment_id == environment_id
        )
    ).scalar_one()
    rebuild_id = int(newest) + 1
    values = {
        "stream": scope.stream,
        "module_key": scope.module_key,
        "learner_key": scope.learner_key,
        "from_at": scope.from_at,
        "to_at": scope.to_at,
        "asked_by": asked_by[:_NAME_LENGTH],
        "state": WAITING,
        "cursor": "",
        "asked_at": now(),
    }
    connection.execute(
        insert(table).values(
            environment_id=environment_id,
            rebuild_id=rebuild_id,
            **values,
            **dict.fromkeys(_COUNTS, 0),
        )
    )
    task_key = f"{_TASK_KIND}:{rebuild_id}"
    open_task(connection, environment_id, task_key=task_key, kind=_TASK_KIND, now=now())
    return read_rebuild(connection, environment_id, rebuild_id)


def rebuild_of(task_key: str) -> int:
    """Give the number of the rebuild that a task of the bulk lane is for."""
    return int(task_key.partition(":")[2])


def list_rebuilds(connection: Connection, environment_id: int) -> Sequence[RebuildRow]:
    """Every rebuild of an environment, the newest first."""
    table = table_of(Rebuild)
    rows = connection.execute(
        select(table)
        .where(table.c.environment_id == environment_id)
        .order_by(table.c.rebuild_id.desc())
    )
    return [dict(row) for row in rows.mappings()]


def read_rebuild(connection: Connection, environment_id: int, rebuild_id: int) -> RebuildRow:
    """One rebuild.

    Raises: UnknownName
    """
    table = table_of(Rebuild)
    row = (
        connection.execute(
            select(table).where(
                table.c.environment_id == environment_id, table.c.rebuild_id == rebuild_id
            )
        )
        .mappings()
        .first()
    )
    if row is None:
        raise UnknownName(f"there is no rebuild {rebuild_id} here", hint="See GET /v1/rebuilds.")
    return dict(row)


def lock_next_rebuild(connection: Connection, environment_id: int) -> RebuildRow | None:
    """Lock the rebuild whose turn it is; None when there is none, or another worker has it."""
    table = table_of(Rebuild)
    active = (table.c.environment_id == environment_id) & table.c.state.not_in(ENDED)
    first = connection.execute(select(func.min(table.c.rebuild_id)).where(active)).scalar()
    if first is None:
        return None
    row = (
        connection.execute(
            select(table)
            .where(active, table.c.environment_id == environment_id, table.c.rebuild_id == first)
            .with_for_update(skip_locked=True)
        )
        .mappings()
        .first()
    )
    return None if row is None else dict(row)


def count_switches(connection: Connection, environment_id: int) -> int:
    """Count the rebuilds that have switched: where that grows, rows read before may be others."""
    table = table_of(Rebuild)
    counted: int = connection.execute(
        select(func.count(table.c.switched_at)).where(table.c.environment_id == environment_id)
    ).scalar_one()
    return counted


def note_rebuild(
    connection: Connection, environment_id: int, rebuild_id: int, **values: Any
) -> None:
    """Write down how far a rebuild is."""
    table = table_of(Rebuild)
    connection.execute(
        update(table)
        .where(table.c.environment_id == environment_id, table.c.rebuild_id == rebuild_id)
        .values(**values)
    )


def scope_of(row: RebuildRow) -> RebuildScope:
    """Give the scope of a stored rebuild."""
    names = ("stream", "module_key", "learner_key", "from_at", "to_at")
    return RebuildScope(**{name: row[name] for name in names})


def describe_rebuild(row: RebuildRow) -> dict[str, Any]:
    """Tell a rebuild as people and machines read it."""
    scope = {
        "stream": row["stream"],
        "module": row["module_key"],
        "learner": row["learner_key"],
        "from": row["from_at"],
        "to": row["to_at"],
    }
    return {
        "id": row["rebuild_id"],
        "state": row["state"],
        "scope": {name: value for name, value in scope.items() if value is not None},
        "asked_by": row["asked_by"],
        "asked_at": row["asked_at"],
        "started_at": row["started_at"],
        "switched_at": row["switched_at"],
        "ended_at": row["ended_at"],
        "entities_total": row["entities_total"],
        "entities_folded": row["entities_count"],
        "rows_added": row["rows_added"],
        "rows_changed": row["rows_changed"],
        "rows_removed": row["rows_removed"],
        "revision": row["revision"],
        "error": row["error"],
    }


def has_failed(row: RebuildRow) -> bool:
    """Was this rebuild given up?"""
    return row["state"] in {FAILING, FAILED}


def _list_active(connection: Connection, environment_id: int) -> Sequence[RebuildRow]:
    return [row for row in list_rebuilds(connection, environment_id) if row["state"] not in ENDED]


def _check_scope(scope: RebuildScope) -> None:
    if scope.stream is not None and scope.stream not in STREAM_NAMES:
        raise BadOption(
            f"there is no stream {scope.stream[:100]!r}",
            hint=f"Streams are {', '.join(STREAM_NAMES)}.",
            target="stream",
        )
    for target, key in (("module", scope.module_key), ("learner", scope.learner_key)):
        if key is not None and not (0 < len(key) <= _NAME_LENGTH and key.isprintable()):
            raise BadOption(f"a key has 1 to {_NAME_LENGTH} printable characters", target=target)
    if scope.from_at is not None and scope.to_at is not None and scope.from_at >= scope.to_at:
        raise BadOption("the window ends before it begins", target="to")
