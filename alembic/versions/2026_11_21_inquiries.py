"""What sources are asked of intervals that differ, and the events that they name."""

import sqlalchemy as sa
from alembic import op

from app.store.tables.columns import Long, UtcDateTime

revision = "inquiries"
down_revision = "canary"
branch_labels = None
depends_on = None

_KEY = ("environment_id", "source_id", "stream", "from_at")


def upgrade() -> None:
    """Go forward; there is no way back."""
    op.add_column("source", sa.Column("evidence_url", sa.String(length=2000), nullable=True))
    op.create_table(
        "inquiry",
        *_key_columns(),
        sa.Column("token", Long, nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("declared_sum", sa.LargeBinary(), nullable=False),
        sa.Column("want", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("failure_count", Long, nullable=False),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.Column("request_count", Long, nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        _of_environment("inquiry"),
        sa.ForeignKeyConstraint(
            ["environment_id", "source_id"],
            ["source.environment_id", "source.source_id"],
            name=op.f("fk_inquiry_environment_id_source_id_source"),
        ),
        sa.PrimaryKeyConstraint(*_KEY, name=op.f("pk_inquiry")),
    )
    op.create_table(
        "named_event",
        *_key_columns(),
        sa.Column("element", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("event_id", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("named_at", UtcDateTime(), nullable=False),
        _of_environment("named_event"),
        sa.PrimaryKeyConstraint(*_KEY, "element", name=op.f("pk_named_event")),
        sqlite_with_rowid=False,
    )


def _key_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("source_id", Long, nullable=False),
        sa.Column("stream", sa.String(length=40), nullable=False),
        sa.Column("from_at", UtcDateTime(), nullable=False),
    ]


def _of_environment(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["environment_id"],
        ["environment.environment_id"],
        name=op.f(f"fk_{table}_environment_id_environment"),
    )
