"""A select compiled once and run many times: its text, its literals, the order of its marks."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Select
from sqlalchemy.engine import make_url

from app.base.clock import format_time
from app.store.guard import CROSSING_OPTION, GuardedText, check_environment

_DRIVERS = {"sqlite": "sqlite://", "postgresql": "postgresql+psycopg://"}


@dataclass(frozen=True, slots=True)
class Statement:
    """A checked text, with the literals of the question in `parameters`.

    order: the names of the parameters in the order of their marks; None where they go by name
    """

    text: GuardedText
    parameters: dict[str, Any]
    order: tuple[str, ...] | None

    def bind(self, values: dict[str, Any]) -> Any:
        """The parameters as the driver takes them."""
        bound = {**self.parameters, **values}
        if self.order is None:
            return {name: bound[name] for name in self.parameters}
        return tuple(_encode(bound[name]) for name in self.order)


def compile_statement(select: Select[Any], dialect_name: str) -> Statement:
    """Check that a select names its environment, or says why it crosses them; write its text.

    Raises: EnvironmentMissing
    """
    if not select.get_execution_options().get(CROSSING_OPTION):
        check_environment(select)
    dialect: Any = make_url(_DRIVERS[dialect_name]).get_dialect()()
    compiled = select.compile(dialect=dialect)
    order = tuple(compiled.positiontup or ()) if compiled.positional else None
    return Statement(GuardedText(compiled.string), dict(compiled.params), order)


def run_statement(
    connection: Connection, statement: Statement, values: dict[str, Any]
) -> list[tuple[Any, ...]]:
    """The rows as the driver gives them: moments are text on SQLite.

    Straight to the driver: the text was checked when it was compiled, and SQLAlchemy's cursor costs
    more than many a small question (docs/performance.md, "What a request costs").
    """
    raw: Any = connection.connection.dbapi_connection
    rows: list[tuple[Any, ...]] = raw.execute(statement.text, statement.bind(values)).fetchall()
    return rows


def _encode(value: Any) -> Any:
    """Moments and days as SQLite keeps them: as text."""
    if isinstance(value, datetime):
        return format_time(value)
    return value.isoformat() if isinstance(value, date) else value
