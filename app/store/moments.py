"""Moments reckoned by the database, the same on SQLite and PostgreSQL."""

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.store.tables.columns import UtcDateTime

# About a thousand years: as good as never, and within the calendars of both databases.
_MOST_DAYS = 365_000


class DaysLater(FunctionElement[Any]):
    """The moment so many days of 24 hours after another; null when either is null."""

    inherit_cache = True
    type = UtcDateTime()


@compiles(DaysLater)
def _later(element: DaysLater, compiler: SQLCompiler, **kw: Any) -> str:
    moment, days = (compiler.process(clause, **kw) for clause in element.clauses)
    hours = f"CAST(24 * LEAST({days}, {_MOST_DAYS}) AS integer)"
    return f"CASE WHEN {days} IS NOT NULL THEN {moment} + make_interval(hours => {hours}) END"


@compiles(DaysLater, "sqlite")
def _later_sqlite(element: DaysLater, compiler: SQLCompiler, **kw: Any) -> str:
    moment, days = (compiler.process(clause, **kw) for clause in element.clauses)
    whole = f"strftime('%Y-%m-%dT%H:%M:%S', {moment}, MIN({days}, {_MOST_DAYS}) || ' days')"
    return f"({whole} || substr({moment}, 20))"
