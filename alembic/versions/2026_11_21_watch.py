"""Alarms, the walk over the journal, dwell times, and what died."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from app.store.tables.columns import Long, UtcDateTime

revision = "watch"
down_revision = "fair_queue"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    _create_alarm()
    _create_of_environment(
        "watch",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("rescued_count", Long, nullable=False),
        sa.Column("event_seq", Long, nullable=False),
        sa.Column("batch_id", Long, nullable=False),
        sa.Column("found_count", Long, nullable=False),
        sa.Column("walked_at", UtcDateTime(), nullable=True),
        key=("environment_id",),
    )
    _create_of_environment(
        "dwell",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("minute_at", UtcDateTime(), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("event_count", Long, nullable=False),
        key=("environment_id", "minute_at", "bucket"),
        sqlite_with_rowid=False,
    )
    _create_of_environment(
        "dead_entity",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("entity_key", sa.Text(), nullable=False),
        sa.Column("died_at", UtcDateTime(), nullable=False),
        sa.Column("attempts", Long, nullable=False),
        sa.Column("error", sa.String(length=500), nullable=False),
        key=("environment_id", "entity_key"),
    )
    op.create_index(
        "ix_event_dead",
        "event",
        ["environment_id", "entity_key", "seq"],
        unique=False,
        sqlite_where=sa.text("disposition = 3"),
        postgresql_where=sa.text("disposition = 3"),
    )


def _create_alarm() -> None:
    _create_of_environment(
        "alarm",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("alarm_id", Long, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("seen_count", Long, nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("resolved_at", UtcDateTime(), nullable=True),
        key=("environment_id", "alarm_id"),
    )
    op.create_index(
        "uq_alarm_open",
        "alarm",
        ["environment_id", "kind"],
        unique=True,
        sqlite_where=sa.text("resolved_at IS NULL"),
        postgresql_where=sa.text("resolved_at IS NULL"),
    )


def _create_of_environment(
    name: str, *columns: sa.Column[object], key: tuple[str, ...], **options: Any
) -> None:
    op.create_table(
        name,
        *columns,
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f(f"fk_{name}_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{name}")),
        **options,
    )
