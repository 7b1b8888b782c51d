"""A counter for changes of evidence, the anchors of intervals, the most a defect ever missed."""

import sqlalchemy as sa
from alembic import op

from app.store.tables.columns import Long

revision = "freshness"
down_revision = "ledger"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    op.add_column(
        "environment", sa.Column("last_evidence_id", Long, nullable=False, server_default="0")
    )
    op.add_column("defect", sa.Column("most_missing", Long, nullable=False, server_default="0"))
    op.create_index(
        "ix_bucket_anchor", "bucket", ["environment_id", "source_id", "stream", "anchor"]
    )
