"""How the database finds what it is asked for: the statements of a work and their plans."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, event

from app.store.guard import GuardedText

_EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN (COSTS OFF)"}


@dataclass(frozen=True, slots=True)
class Explained:
    """A statement as it was sent, and the lines of its plan."""

    statement: str
    plan: tuple[str, ...]


def explain_statements(
    connection: Connection, work: Callable[[Connection], object]
) -> list[Explained]:
    """Do some work and explain each statement that it sent, once."""
    sent: dict[str, Any] = {}

    def note(
        _connection: Connection,
        _cursor: Any,
        statement: str,
        values: Any,
        _context: Any,
        is_many: bool,
    ) -> None:
        sent.setdefault(statement, values[0] if is_many else values)

    event.listen(connection, "before_cursor_execute", note)
    try:
        work(connection)
    finally:
        event.remove(connection, "before_cursor_execute", note)
    return [Explained(one, _explain(connection, one, values)) for one, values in sent.items()]


def _explain(connection: Connection, statement: str, values: Any) -> tuple[str, ...]:
    """The lines of a plan: the last column of each row, on either database."""
    asked = GuardedText(f"{_EXPLAIN[connection.dialect.name]} {statement}")
    return tuple(str(row[-1]) for row in connection.exec_driver_sql(asked, values))
