"""Acts of people and keys are kept for good."""

import sqlalchemy as sa
from alembic import op

from app.store.tables.columns import Long, UtcDateTime

revision = "audit"
down_revision = "rollups"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    op.create_table(
        "audit",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("audit_id", Long, nullable=False),
        sa.Column("acted_at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("target", sa.String(length=400), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_audit_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "audit_id", name=op.f("pk_audit")),
    )
