"""An index of the events that wait, by their entity."""

import sqlalchemy as sa
from alembic import op

revision = "waiting_events"
down_revision = "excused_defects"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    op.create_index(
        "ix_event_waiting",
        "event",
        ["environment_id", "entity_key", "disposition", "seq"],
        unique=False,
        sqlite_where=sa.text("disposition = 0"),
        postgresql_where=sa.text("disposition < 1"),
    )
