"""Defects whose whole deficit is dead events that somebody has waived."""

import sqlalchemy as sa
from alembic import op

from app.store.tables.columns import Long

revision = "excused_defects"
down_revision = "inquiries"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    op.add_column("defect", sa.Column("excused", Long, nullable=False, server_default="0"))
