"""How far each pulled source has been read."""

import sqlalchemy as sa
from alembic import op

from app.store.tables.columns import Long, UtcDateTime

revision = "feeds"
down_revision = "first_light"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    op.create_table(
        "feed",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("source_id", Long, nullable=False),
        sa.Column("endpoint", sa.String(length=2000), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("pulled_at", UtcDateTime(), nullable=True),
        sa.Column("failure_count", sa.Integer(), nullable=False),
        sa.Column("failing_since", UtcDateTime(), nullable=True),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_feed_environment_id_environment"),
        ),
        sa.ForeignKeyConstraint(
            ["environment_id", "source_id"],
            ["source.environment_id", "source.source_id"],
            name=op.f("fk_feed_environment_id_source_id_source"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "source_id", name=op.f("pk_feed")),
    )
    op.create_index(op.f("ix_feed_environment_id_next_at"), "feed", ["environment_id", "next_at"])
