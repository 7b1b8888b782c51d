"""Custom attributes of learners have a type, told by the values there are."""

import json

import sqlalchemy as sa
from alembic import op

from app.learning.attributes import can_be_field, kinds_of_values
from app.store.tables.columns import Long, UtcDateTime

revision = "learner_attributes"
down_revision = "rebuilds"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    op.create_table(
        "learner_attribute",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("code", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_learner_attribute_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "code", name=op.f("pk_learner_attribute")),
    )
    _define_attributes()


def _define_attributes() -> None:
    """Define what the learners there are have."""
    names = ("environment_id", "attributes", "revision")
    learner = sa.table(
        "learner",
        *(sa.column(name) for name in names),
        sa.column("changed_at", UtcDateTime()),
    )
    rows = op.get_bind().execute(
        sa.select(learner).where(learner.c.attributes != "{}"),
        execution_options={"across_environments": "a migration"},
    )
    stated: dict[int, list[dict[str, object]]] = {}
    latest: dict[int, tuple[int, object]] = {}
    for row in rows:
        stated.setdefault(row.environment_id, []).append(json.loads(row.attributes))
        told = (row.revision, row.changed_at)
        latest[row.environment_id] = max(latest.get(row.environment_id, told), told)
    target = sa.table(
        "learner_attribute",
        *(sa.column(name) for name in ("environment_id", "code", "kind", "revision")),
        sa.column("changed_at", UtcDateTime()),
    )
    lines = [
        {
            "environment_id": environment_id,
            "code": code,
            "kind": kind,
            "revision": latest[environment_id][0],
            "changed_at": latest[environment_id][1],
        }
        for environment_id, objects in stated.items()
        for code, kind in sorted(kinds_of_values(objects).items())
        if can_be_field(code)
    ]
    if lines:
        op.bulk_insert(target, lines)
