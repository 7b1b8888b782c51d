"""The fair queue: virtual times, lanes, tasks of the bulk lane, rests."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from app.store.tables.columns import Long, UtcDateTime

revision = "fair_queue"
down_revision = "learner_attributes"
branch_labels = None
depends_on = None

_BUSY_ROWS = {
    "fillfactor": 80,
    "autovacuum_vacuum_scale_factor": 0.02,
    "autovacuum_vacuum_threshold": 1000,
}
_TURN_DEFAULTS: dict[str, Any] = {
    "vtime": Long,
    "live_run": sa.Integer(),
    "bulk_count": Long,
    "waited_max": Long,
    "entity_count": Long,
    "event_count": Long,
    "rest_count": sa.Integer(),
    "has_more": sa.Boolean(),
}


def upgrade() -> None:
    """Go forward; there is no way back."""
    _create_scheduler()
    _create_tasks()
    _widen_turns()
    _widen_work()
    if op.get_bind().dialect.name == "postgresql":
        told = ", ".join(f"{name} = {value}" for name, value in _BUSY_ROWS.items())
        for table in ("work", "turn"):
            op.execute(f"ALTER TABLE {table} SET ({told})")


def _create_scheduler() -> None:
    op.create_table(
        "scheduler",
        sa.Column("scheduler_id", Long, nullable=False),
        sa.Column("vnow", Long, nullable=False),
        sa.Column("tick", Long, nullable=False),
        sa.Column("epoch", Long, nullable=False),
        sa.Column("small_last", Long, nullable=True),
        sa.Column("small_at", UtcDateTime(), nullable=True),
        sa.Column("small_before_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("scheduler_id", name=op.f("pk_scheduler")),
        postgresql_with=_BUSY_ROWS,
    )
    # The ticks of turns go on from where they are.
    ticks = "SELECT 1, 0, COALESCE(MAX(served_tick), 0), 0 FROM turn"
    op.execute(f"INSERT INTO scheduler (scheduler_id, vnow, tick, epoch) {ticks}")


def _create_tasks() -> None:
    op.create_table(
        "bulk_task",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("task_key", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("ready_at", UtcDateTime(), nullable=False),
        sa.Column("lease_token", Long, nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_bulk_task_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "task_key", name=op.f("pk_bulk_task")),
    )
    op.create_index(
        "ix_bulk_task_open",
        "bulk_task",
        ["environment_id", "opened_at"],
        unique=False,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )


def _widen_turns() -> None:
    columns: list[sa.Column[Any]] = [
        sa.Column("vtime", Long, nullable=False, server_default="0"),
        sa.Column("live_run", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("bulk_count", Long, nullable=False, server_default="0"),
        sa.Column("waiting_tick", Long, nullable=True),
        sa.Column("waited_max", Long, nullable=False, server_default="0"),
        sa.Column("entity_count", Long, nullable=False, server_default="0"),
        sa.Column("event_count", Long, nullable=False, server_default="0"),
        sa.Column("rest_count", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("rest_until", UtcDateTime(), nullable=True),
        sa.Column("rest_error", sa.String(length=500), nullable=True),
        sa.Column("has_more", sa.Boolean(), nullable=False, server_default=sa.false()),
    ]
    with op.batch_alter_table("turn", schema=None) as batch_op:
        for column in columns:
            batch_op.add_column(column)
    # The defaults are for the rows that are there; new ones say their own.
    with op.batch_alter_table("turn", schema=None) as batch_op:
        for name, kind in _TURN_DEFAULTS.items():
            batch_op.alter_column(name, existing_type=kind, server_default=None)


def _widen_work() -> None:
    op.drop_index("ix_work_ready", table_name="work")
    with op.batch_alter_table("work", schema=None) as batch_op:
        batch_op.add_column(sa.Column("lane", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("since_seq", Long, nullable=False, server_default="0"))
    # What waits keeps the place it had.
    op.execute("UPDATE work SET since_seq = dirty_seq")
    with op.batch_alter_table("work", schema=None) as batch_op:
        batch_op.alter_column("lane", existing_type=sa.Integer(), server_default=None)
        batch_op.alter_column("since_seq", existing_type=Long, server_default=None)
    op.create_index(
        "ix_work_ready",
        "work",
        ["environment_id", "lane", "since_seq"],
        unique=False,
        sqlite_where=sa.text("dirty_seq > done_seq"),
        postgresql_where=sa.text("dirty_seq > done_seq"),
    )
