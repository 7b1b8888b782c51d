"""Read at a past revision, and let go of what is too old to be asked for.

A statement is read at a revision by shadowing: each table that has changed since then is
replaced, under its own name, by its rows as they were. The statement itself does not change.
Source: docs/decisions/0017
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, Table, delete, func, select, update
from sqlalchemy.sql import visitors

from app.store.guard import GuardedText
from app.store.statement import Statement
from app.store.tables import PAST, REVISED, Environment
from app.store.tables.columns import table_of

ENVIRONMENT_BIND, REVISION_BIND = "environment_id", "at_revision"

# The two halves of a table at a revision: rows that have not changed since, and rows that have.
ROWS_STAYED, ROWS_REPLACED = "rows_stayed", "rows_replaced"

_KEPT = {table.name: table for table in REVISED}


@dataclass(frozen=True, slots=True)
class Revisions:
    """Which revisions of an environment can be read."""

    oldest: int
    newest: int


def read_revisions(connection: Connection, environment_id: int) -> Revisions:
    """The oldest and the newest revision that can be read in this snapshot."""
    environment = table_of(Environment)
    row = connection.execute(
        select(environment.c.oldest_revision, environment.c.last_revision).where(
            environment.c.environment_id == environment_id
        )
    ).one()
    return Revisions(row[0], row[1])


def tables_read(statement: Select[tuple[object, ...]]) -> frozenset[str]:
    """The tables of a statement whose replaced rows are kept."""
    found = (part.name for part in visitors.iterate(statement) if isinstance(part, Table))
    return frozenset(name for name in found if name in _KEPT)


def changed_since(
    connection: Connection, environment_id: int, names: Iterable[str], revision: int
) -> frozenset[str]:
    """Those of these tables whose rows are not what they were at a revision: a seek in each."""
    return frozenset(
        name for name in names if _has_changed(connection, environment_id, _KEPT[name], revision)
    )


def _has_changed(connection: Connection, environment_id: int, table: Table, revision: int) -> bool:
    # A row replaced is a row with a newer revision, so the table alone tells.
    newer = select(table.c.revision).where(
        table.c.environment_id == environment_id, table.c.revision > revision
    )
    return connection.execute(newer.limit(1)).first() is not None


def at_revision(
    statement: Statement, names: frozenset[str], dialect_name: str, *, halved: str = ""
) -> Statement:
    """A statement over these tables as they were at the revision that is bound to it.

    halved: the table whose two halves the statement reads by name, if any
    Shape:  the new parameter is REVISION_BIND, beside ENVIRONMENT_BIND
    """
    marks = _Marks(named=statement.order is None)
    home = "main." if dialect_name == "sqlite" else ""
    shadows = []
    if halved:
        stayed, replaced = _halves(halved, home, marks)
        shadows += [
            f"{ROWS_STAYED} AS NOT MATERIALIZED ({stayed})",
            f"{ROWS_REPLACED} AS NOT MATERIALIZED ({replaced})",
        ]
    for name in sorted(names):
        shadows.append(
            f"{name} AS NOT MATERIALIZED ({' UNION ALL '.join(_halves(name, home, marks))})"
        )
    if not shadows:
        return statement
    # One that names rows itself goes on behind those of its tables.
    is_named = statement.text.startswith("WITH ")
    asked = f", {statement.text.removeprefix('WITH ')}" if is_named else f" {statement.text}"
    text = GuardedText(f"WITH {', '.join(shadows)}{asked}")
    parameters = {**statement.parameters, ENVIRONMENT_BIND: None, REVISION_BIND: None}
    order = None if statement.order is None else (*marks.order, *statement.order)
    return Statement(text, parameters, order)


class _Marks:
    """Parameter marks as the driver wants them, and the order they were written in."""

    def __init__(self, *, named: bool) -> None:
        self.named = named
        self.order: list[str] = []

    def write(self, name: str) -> str:
        """The mark of a parameter at this place."""
        self.order.append(name)
        return f"%({name})s::bigint" if self.named else "?"


def _halves(name: str, home: str, marks: _Marks) -> tuple[str, str]:
    """The rows of a table that have stayed since the revision, and those replaced since."""
    columns = ", ".join(column.name for column in _KEPT[name].columns)
    # A plus before a column keeps SQLite from walking the index of revisions: nearly all have
    # stayed, and their key is what they are wanted by.
    plain = "+" if home else ""
    stayed = (
        f"SELECT {columns} FROM {home}{name}"  # noqa: S608  (names of our models)
        f" WHERE environment_id = {marks.write(ENVIRONMENT_BIND)}"
        f" AND {plain}revision <= {marks.write(REVISION_BIND)}"
    )
    replaced = (
        f"SELECT {columns} FROM {home}{PAST[name].name}"  # noqa: S608
        f" WHERE environment_id = {marks.write(ENVIRONMENT_BIND)}"
        f" AND revision_to > {marks.write(REVISION_BIND)}"
        f" AND revision <= {marks.write(REVISION_BIND)}"
    )
    return stayed, replaced


def forget_past(connection: Connection, environment_id: int, *, before: datetime) -> int:
    """Let go of rows that were replaced before a moment; give how many.

    From then on only revisions that can still be read whole are.
    """
    environment = table_of(Environment)
    connection.execute(
        select(environment.c.environment_id)
        .where(environment.c.environment_id == environment_id)
        .with_for_update()
    ).one()
    reached, count = 0, 0
    for twin in PAST.values():
        newest = connection.execute(
            select(func.max(twin.c.revision_to)).where(
                twin.c.environment_id == environment_id, twin.c.replaced_at < before
            )
        ).scalar()
        if newest is None:
            continue
        count += connection.execute(
            delete(twin).where(
                twin.c.environment_id == environment_id, twin.c.revision_to <= newest
            )
        ).rowcount
        reached = max(reached, newest)
    if reached:
        # At the revision that replaced a row, the row is not needed any more.
        connection.execute(
            update(environment)
            .where(
                environment.c.environment_id == environment_id,
                environment.c.oldest_revision < reached,
            )
            .values(oldest_revision=reached)
        )
    return count
