"""Rebuilds from the journal, and which entities their shadows hold."""

import sqlalchemy as sa
from alembic import op

from app.store.tables.columns import Long, UtcDateTime

revision = "rebuilds"
down_revision = "audit"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    _create_rebuild()
    op.create_table(
        "rebuild_entity",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("entity_key", sa.Text(), nullable=False),
        sa.Column("done_seq", Long, nullable=False),
        sa.Column("lease_token", Long, nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_rebuild_entity_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "entity_key", name=op.f("pk_rebuild_entity")),
        sqlite_with_rowid=False,
    )


def _create_rebuild() -> None:
    op.create_table(
        "rebuild",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("rebuild_id", Long, nullable=False),
        sa.Column("stream", sa.String(length=40), nullable=True),
        sa.Column("module_key", sa.String(length=200), nullable=True),
        sa.Column("learner_key", sa.String(length=200), nullable=True),
        sa.Column("from_at", UtcDateTime(), nullable=True),
        sa.Column("to_at", UtcDateTime(), nullable=True),
        sa.Column("asked_by", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=False),
        sa.Column("through_seq", Long, nullable=False),
        sa.Column("entities_total", Long, nullable=True),
        sa.Column("entities_count", Long, nullable=False),
        sa.Column("rounds_count", sa.Integer(), nullable=False),
        sa.Column("failures_count", sa.Integer(), nullable=False),
        sa.Column("rows_added", Long, nullable=False),
        sa.Column("rows_changed", Long, nullable=False),
        sa.Column("rows_removed", Long, nullable=False),
        sa.Column("revision", Long, nullable=True),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("switched_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_rebuild_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "rebuild_id", name=op.f("pk_rebuild")),
    )
