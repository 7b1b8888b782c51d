"""Batches keep the name that their sender gave the request."""

import sqlalchemy as sa
from alembic import op

revision = "idempotency_keys"
down_revision = "feeds"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    op.add_column("batch", sa.Column("idempotency_key", sa.String(length=200), nullable=True))
    op.add_column("batch", sa.Column("body_digest", sa.LargeBinary(), nullable=True))
    op.create_index(
        "uq_batch_idempotency_key",
        "batch",
        ["environment_id", "idempotency_key"],
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
