"""Which days of which sets have changed after they were over."""

import sqlalchemy as sa
from alembic import op

from app.store.tables.columns import Long, UtcDateTime

revision = "partition_changes"
down_revision = "past_rows"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    op.create_table(
        "partition_change",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("change_id", Long, nullable=False),
        sa.Column("set_name", sa.String(length=40), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("cause", sa.String(length=20), nullable=False),
        sa.Column("rows_changed", Long, nullable=False),
        sa.Column("first_changed_at", UtcDateTime(), nullable=False),
        sa.Column("last_changed_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_partition_change_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "change_id", name=op.f("pk_partition_change")),
        sa.UniqueConstraint(
            "environment_id",
            "set_name",
            "day",
            "cause",
            name=op.f("uq_partition_change_environment_id_set_name_day_cause"),
        ),
    )
