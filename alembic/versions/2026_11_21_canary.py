"""How many heartbeats were heard, and how many came through the queue: told apart from its rows."""

import sqlalchemy as sa
from alembic import op

from app.store.tables.columns import Long, UtcDateTime

revision = "canary"
down_revision = "partition_changes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    for name in ("canary_heard", "canary_through"):
        op.add_column("environment", sa.Column(name, Long, nullable=False, server_default="0"))
    op.add_column("environment", sa.Column("canary_since", UtcDateTime, nullable=True))
