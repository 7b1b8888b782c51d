"""Rows as they were: each projection table has a twin that keeps what an update replaced.

A trigger fills the twin, so that no writer can forget to; a sweep empties it after a day. With both
together a question can be answered at a past revision (docs/decisions/0017).
"""

from sqlalchemy import Column, Connection, Index, PrimaryKeyConstraint, Table, inspect

from app.store.tables.columns import Long, UtcDateTime, table_of
from app.store.tables.modules import (
    Certification,
    Module,
    Part,
    Series,
    SeriesModule,
    TrainingSession,
)
from app.store.tables.people import Learner, LearnerAttribute, LearnerProfile, Membership, Team
from app.store.tables.progress import Attempt, Progress, ProgressHistory
from app.store.tables.taking_part import Award, Enrolment, Feedback
from app.store.tables.work_done import Activity, PartProgress, PointsEntry, Signoff

REVISED: tuple[Table, ...] = tuple(
    table_of(model)
    for model in (
        Activity,
        Attempt,
        Award,
        Certification,
        Enrolment,
        Feedback,
        Learner,
        LearnerAttribute,
        LearnerProfile,
        Membership,
        Module,
        Part,
        PartProgress,
        PointsEntry,
        Progress,
        ProgressHistory,
        Series,
        SeriesModule,
        Signoff,
        Team,
        TrainingSession,
    )
)


def _make_twin(table: Table) -> Table:
    """The table of a table's replaced rows: its columns, and until when each row held.

    revision_to: the revision that replaced the row; it holds at revisions from `revision` up to,
        without, this one
    replaced_at: when that was
    """
    keys = [column.name for column in table.primary_key if column.name != "environment_id"]
    return Table(
        f"{table.name}_past",
        table.metadata,
        *(Column(column.name, column.type, nullable=column.nullable) for column in table.columns),
        Column("revision_to", Long, nullable=False),
        Column("replaced_at", UtcDateTime(), nullable=False),
        # In the order in which rows come and go: what has changed since a revision lies together.
        PrimaryKeyConstraint("environment_id", "revision_to", *keys),
        sqlite_with_rowid=False,
    )


PAST: dict[str, Table] = {table.name: _make_twin(table) for table in REVISED}

# What has changed since a revision is found without reading the rest.
CHANGED = tuple(
    Index(f"ix_{table.name}_revision", table.c.environment_id, table.c.revision)
    for table in REVISED
)


def drop_triggers(connection: Connection) -> None:
    """Take the triggers off, so that a migration may change the tables below them."""
    for table in REVISED:
        for statement in _drop_texts(connection.dialect.name, table):
            connection.exec_driver_sql(statement)


def create_triggers(connection: Connection) -> None:
    """Put the triggers on the tables as the models have them; whoever makes a schema calls it.

    A schema on its way, which lacks some of them yet, has its triggers at the end of it.
    """
    there = set(inspect(connection).get_table_names())
    if not {name for table in REVISED for name in (table.name, PAST[table.name].name)} <= there:
        return
    for table in REVISED:
        for statement in _create_texts(connection.dialect.name, table):
            connection.exec_driver_sql(statement)


def _drop_texts(dialect_name: str, table: Table) -> tuple[str, ...]:
    name = f"{table.name}_keep_past"
    if dialect_name == "sqlite":
        return (f"DROP TRIGGER IF EXISTS {name}",)
    # The function takes its trigger along, and needs no table to be there.
    return (f"DROP FUNCTION IF EXISTS {name}() CASCADE",)


def _create_texts(dialect_name: str, table: Table) -> tuple[str, ...]:
    names = [column.name for column in table.columns]
    twin = PAST[table.name].name
    columns = ", ".join([*names, "revision_to", "replaced_at"])
    values = ", ".join([*(f"OLD.{name}" for name in names), "NEW.revision", "NEW.changed_at"])
    keep = f"INSERT INTO {twin} ({columns}) VALUES ({values})"  # noqa: S608  (names of our models)
    on = f"AFTER UPDATE ON {table.name} FOR EACH ROW WHEN (OLD.revision <> NEW.revision)"
    name = f"{table.name}_keep_past"
    if dialect_name == "sqlite":
        return (f"CREATE TRIGGER {name} {on} BEGIN {keep}; END",)
    body = f"$$ BEGIN {keep}; RETURN NULL; END $$"
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS {body}",
        f"CREATE TRIGGER {name} {on} EXECUTE FUNCTION {name}()",
    )
