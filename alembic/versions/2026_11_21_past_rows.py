"""Replaced rows are kept for a while, so that a past revision can be read."""

import sqlalchemy as sa
from alembic import op

from app.store.tables.columns import Long, UtcDateTime

revision = "past_rows"
down_revision = "freshness"
branch_labels = None
depends_on = None

_TABLES = (
    "activity",
    "attempt",
    "award",
    "certification",
    "enrolment",
    "feedback",
    "learner",
    "learner_attribute",
    "learner_profile",
    "membership",
    "module",
    "part",
    "part_progress",
    "points_entry",
    "progress",
    "progress_history",
    "series",
    "series_module",
    "signoff",
    "team",
    "session",
)


def upgrade() -> None:
    """Go forward; there is no way back."""
    op.add_column(
        "environment", sa.Column("oldest_revision", Long, nullable=False, server_default="0")
    )
    environment = sa.table("environment", sa.column("oldest_revision"), sa.column("last_revision"))
    # Nothing was kept up to now.
    op.execute(environment.update().values(oldest_revision=environment.c.last_revision))
    _add_revisions()
    for table in _TABLES:
        _create_twin(table)
        op.create_index(f"ix_{table}_revision", table, ["environment_id", "revision"])


def _add_revisions() -> None:
    """Give the two tables that were written without a revision one."""
    for table, flag in (("learner_profile", False), ("series_module", True)):
        op.add_column(table, sa.Column("revision", Long, nullable=False, server_default="0"))
        op.add_column(
            table,
            sa.Column(
                "changed_at",
                UtcDateTime(),
                nullable=False,
                server_default="1970-01-01T00:00:00.000000Z",
            ),
        )
        if flag:
            op.add_column(
                table,
                sa.Column("is_deleted", sa.Boolean(), nullable=False, server_default=sa.false()),
            )
            _drop_default(table, "is_deleted")
        _drop_default(table, "revision")
        _drop_default(table, "changed_at")


def _drop_default(table: str, column: str) -> None:
    with op.batch_alter_table(table) as batch:
        batch.alter_column(column, server_default=None)


def _create_twin(table: str) -> None:
    """The twin as the table is now: later columns come to both."""
    inspector = sa.inspect(op.get_bind())
    models = sa.MetaData()
    base = sa.Table(table, models, autoload_with=op.get_bind())
    keys = list(inspector.get_pk_constraint(table)["constrained_columns"])
    keys.remove("environment_id")
    op.create_table(
        f"{table}_past",
        *(sa.Column(c.name, c.type, nullable=c.nullable) for c in base.columns),
        sa.Column("revision_to", Long, nullable=False),
        sa.Column("replaced_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint(
            "environment_id", "revision_to", *keys, name=op.f(f"pk_{table}_past")
        ),
        sqlite_with_rowid=False,
    )
