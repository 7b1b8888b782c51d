"""Progress is counted by type and by module, from the rows there are."""

import json

import sqlalchemy as sa
from alembic import op

from app.store.tables.columns import Long

revision = "rollups"
down_revision = "all_families"
branch_labels = None
depends_on = None

_SUMS = ("attempts", "time_spent_s", "events_count")
_TABLES = {
    "progress_by_type": ("module_type", "status", "passed"),
    "progress_by_module": ("module_key", "module_type", "series_key", "status", "passed"),
}


def upgrade() -> None:
    """Go forward; there is no way back."""
    for table in _TABLES:
        _create_rollup(table)
    op.create_index(
        op.f("ix_progress_by_module_environment_id_module_key"),
        "progress_by_module",
        ["environment_id", "module_key"],
        unique=False,
    )
    for table, columns in _TABLES.items():
        _fill_rollup(table, columns)


def _create_rollup(table: str) -> None:
    dimensions = {
        "module_key": sa.Column("module_key", sa.String(length=200), nullable=False),
        "module_type": sa.Column("module_type", sa.String(length=40), nullable=True),
        "series_key": sa.Column("series_key", sa.String(length=200), nullable=False),
        "status": sa.Column("status", sa.String(length=20), nullable=False),
        "passed": sa.Column("passed", sa.Boolean(), nullable=True),
    }
    op.create_table(
        table,
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("rolled_key", sa.String(length=4000), nullable=False),
        sa.Column("row_count", Long, nullable=False),
        *(sa.Column(name, Long, nullable=False) for name in _SUMS),
        *(dimensions[name] for name in _TABLES[table]),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f(f"fk_{table}_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "rolled_key", name=op.f(f"pk_{table}")),
        sqlite_with_rowid=False,
    )


def _fill_rollup(table: str, columns: tuple[str, ...]) -> None:
    kinds = {"passed": sa.Boolean(), "is_deleted": sa.Boolean()}
    names = ("environment_id", "is_deleted", *columns, *_SUMS)
    progress = sa.table("progress", *(sa.column(name, kinds.get(name)) for name in names))
    told = [progress.c[name] for name in ("environment_id", *columns)]
    sums = [sa.func.sum(progress.c[name]) for name in _SUMS]
    counted = sa.select(*told, sa.func.count(), *sums).where(progress.c.is_deleted.is_(False))
    rows = []
    for row in op.get_bind().execute(
        counted.group_by(*told), execution_options={"across_environments": "a migration"}
    ):
        values = list(row[1 : len(columns) + 1])
        key = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
        counts = [int(value) for value in row[len(columns) + 1 :]]
        fields = ("environment_id", "rolled_key", *columns, "row_count", *_SUMS)
        rows.append(dict(zip(fields, (row[0], key, *values, *counts), strict=True)))
    target = sa.table(
        table,
        *(
            sa.column(name, kinds.get(name))
            for name in ("environment_id", "rolled_key", *columns, "row_count", *_SUMS)
        ),
    )
    if rows:
        op.bulk_insert(target, rows)
