"""The statements of a work, and how the database finds what they ask for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from sqlalchemy import Connection, event

from app.store.guard import GuardedText
from app.store.statement import Statement

_EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN (COSTS OFF)"}


@dataclass(frozen=True, slots=True)
class Explained:
    """A statement as it was sent, and the lines of its plan."""

    statement: str
    plan: tuple[str, ...]


@contextmanager
def noted_questions() -> Iterator[list[tuple[str, Any]]]:
    """The compiled questions that this process runs meanwhile, each with its values."""
    noted: list[tuple[str, Any]] = []
    bind = Statement.bind

    def note(statement: Statement, values: dict[str, Any]) -> Any:
        bound = bind(statement, values)
        noted.append((statement.text, bound))
        return bound

    with mock.patch.object(Statement, "bind", note):
        yield noted


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
