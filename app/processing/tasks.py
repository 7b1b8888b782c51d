"""Long work of one environment, done step by step through its bulk lane: a rebuild, say.

A task is a row. The fair queue claims it like entities, `drain` runs the step of its kind, and the
row is ready again until a step says that all is done.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select, update

from app.processing.pauses import MAX_ATTEMPTS, choose_pause
from app.processing.turns import LEASE, is_task_ready, moments_of
from app.store.dialect import insert_missing
from app.store.signals import announce_work
from app.store.tables import BulkTask
from app.store.tables.columns import table_of
from app.store.work import EPOCH

_ERROR_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Task:
    """One task, ours for a while.

    token: ours as long as the row holds the same
    attempts: steps that failed since the last one that did not
    """

    environment_id: int
    task_key: str
    kind: str
    token: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of a task has done.

    cost: in events, as much as 200 are a whole quantum
    is_done: is nothing left to do?
    """

    cost: int
    is_done: bool


def open_task(
    connection: Connection, environment_id: int, *, task_key: str, kind: str, now: datetime
) -> None:
    """Let the bulk lane of an environment work on this; a task that is open stays as it is."""
    columns = ("opened_at", "ready_at", "lease_token", "attempts")
    row = (environment_id, task_key, kind, now, EPOCH, 0, 0)
    key = ("environment_id", "task_key")
    insert_missing(connection, table_of(BulkTask), (*key, "kind", *columns), [row], key=key)
    announce_work(connection)


def lease_task(connection: Connection, environment_id: int, *, now: datetime) -> Task | None:
    """Lease the open task of an environment that has rested longest."""
    task = table_of(BulkTask)
    row = connection.execute(
        select(task.c.task_key, task.c.kind, task.c.lease_token, task.c.attempts)
        .where(task.c.environment_id == environment_id, is_task_ready())
        .order_by(task.c.ready_at, task.c.opened_at, task.c.task_key)
        .limit(1)
        .with_for_update(skip_locked=True),
        moments_of(now),
    ).first()
    if row is None:
        return None
    leased = Task(environment_id, row.task_key, row.kind, row.lease_token + 1, row.attempts)
    _write(connection, leased, lease_token=leased.token, lease_until=now + LEASE, ready_at=now)
    return leased


def hold_task(connection: Connection, task: Task) -> bool:
    """Lock the row of a claimed task and say whether it is still ours; who finds it is not, writes
    nothing.
    """
    table = table_of(BulkTask)
    token = connection.execute(
        select(table.c.lease_token)
        .where(table.c.environment_id == task.environment_id, table.c.task_key == task.task_key)
        .with_for_update()
    ).scalar()
    return token == task.token


def settle_task(connection: Connection, task: Task, *, is_done: bool, now: datetime) -> None:
    """Give a task back after a step that went well; close it when all is done."""
    if hold_task(connection, task):
        closed_at = now if is_done else None
        _write(connection, task, lease_until=None, attempts=0, error=None, closed_at=closed_at)


def fail_task(connection: Connection, task: Task, *, error: str, now: datetime) -> None:
    """Let a task rest after a step that failed; close it, with its error, after the last try."""
    if not hold_task(connection, task):
        return
    attempts = task.attempts + 1
    _write(
        connection,
        task,
        lease_until=None,
        attempts=attempts,
        error=error[:_ERROR_LENGTH],
        ready_at=now + choose_pause(task.attempts),
        closed_at=now if attempts >= MAX_ATTEMPTS else None,
    )


def release_task(connection: Connection, task: Task) -> None:
    """Give a task back undone."""
    if hold_task(connection, task):
        _write(connection, task, lease_until=None)


def renew_task(connection: Connection, task: Task, *, until: datetime) -> None:
    """Keep the lease of a task that takes its time."""
    if hold_task(connection, task):
        _write(connection, task, lease_until=until)


def _write(
    connection: Connection, task: Task, **values: int | str | datetime | timedelta | None
) -> None:
    table = table_of(BulkTask)
    connection.execute(
        update(table)
        .where(table.c.environment_id == task.environment_id, table.c.task_key == task.task_key)
        .values(**values)
    )
