"""Durations and times of day as SQL of both databases; what leaves its range is null.

A duration is a whole number of microseconds, a time of day text like 07:30:00.000000, and a moment
reckoned with is microseconds from 1970.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Double, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.base.clock import format_time
from app.store.tables.columns import UtcDateTime

# The years 1 to 9999 in microseconds from 1970, and as much again as a duration.
FIRST_MICROS, LAST_MICROS = -62135596800_000000, 253402300799_999999
LONGEST_SPAN = LAST_MICROS - FIRST_MICROS
_YEARS, _SPANS = (FIRST_MICROS, LAST_MICROS), (-LONGEST_SPAN, LONGEST_SPAN)
_DAY = 86400_000000


class ClockText(Text):
    """The text of a time of day, told apart from that of a day."""


def _parts(element: FunctionElement[Any], compiler: SQLCompiler, **kw: Any) -> list[str]:
    return [f"({compiler.process(clause, **kw)})" for clause in element.clauses]


# Keeps PostgreSQL's planner from writing the number in again, and again when nested.
_FENCE = " OFFSET 0"


def _bounded(number: str, rule: str, *, limit: tuple[int, int]) -> str:
    """A rule over `q.x`, null where the number leaves its limits."""
    within = f"CASE WHEN q.x BETWEEN {limit[0]} AND {limit[1]} THEN {rule} END"
    return f"(SELECT {within} FROM (SELECT {number} AS x{_FENCE}) AS q)"  # noqa: S608 (SQL of ours)


class ClockOf(FunctionElement[str]):
    """The UTC time of day of a moment."""

    inherit_cache = True
    type = ClockText()


@compiles(ClockOf)
def _clock(element: ClockOf, compiler: SQLCompiler, **kw: Any) -> str:
    return f"to_char({_parts(element, compiler, **kw)[0]} AT TIME ZONE 'UTC', 'HH24:MI:SS.US')"


@compiles(ClockOf, "sqlite")
def _clock_sqlite(element: ClockOf, compiler: SQLCompiler, **kw: Any) -> str:
    return f"substr({_parts(element, compiler, **kw)[0]}, 12, 15)"


class MomentMicros(FunctionElement[int]):
    """Microseconds from 1970 to a moment."""

    inherit_cache = True
    type = BigInteger()


@compiles(MomentMicros)
def _micros(element: MomentMicros, compiler: SQLCompiler, **kw: Any) -> str:
    return f"(extract(epoch FROM {_parts(element, compiler, **kw)[0]}) * 1000000)::bigint"


@compiles(MomentMicros, "sqlite")
def _micros_sqlite(element: MomentMicros, compiler: SQLCompiler, **kw: Any) -> str:
    return f"fullcount_micros({_parts(element, compiler, **kw)[0]})"


class DayMicros(FunctionElement[int]):
    """Microseconds from 1970 to the beginning of a day."""

    inherit_cache = True
    type = BigInteger()


@compiles(DayMicros)
def _day_micros(element: DayMicros, compiler: SQLCompiler, **kw: Any) -> str:
    return f"(({_parts(element, compiler, **kw)[0]}::date - DATE '1970-01-01') * {_DAY}::bigint)"


@compiles(DayMicros, "sqlite")
def _day_micros_sqlite(element: DayMicros, compiler: SQLCompiler, **kw: Any) -> str:
    return f"(CAST(strftime('%s', {_parts(element, compiler, **kw)[0]}) AS INTEGER) * 1000000)"


class MomentOf(FunctionElement[Any]):
    """The moment so many microseconds from 1970; null beyond the years 1 to 9999."""

    inherit_cache = True
    type = UtcDateTime()


@compiles(MomentOf)
def _moment(element: MomentOf, compiler: SQLCompiler, **kw: Any) -> str:
    rule = (
        f"(timestamp '1970-01-01' + (q.x / {_DAY})::integer * interval '1 day'"
        f" + mod(q.x, {_DAY}) * interval '1 microsecond') AT TIME ZONE 'UTC'"
    )
    number = f"{_parts(element, compiler, **kw)[0]}::bigint"
    return _bounded(number, rule, limit=_YEARS)


@compiles(MomentOf, "sqlite")
def _moment_sqlite(element: MomentOf, compiler: SQLCompiler, **kw: Any) -> str:
    return f"fullcount_moment({_parts(element, compiler, **kw)[0]})"


class SpanWithin(FunctionElement[int]):
    """A duration; null where it is longer than all years together."""

    inherit_cache = True
    type = BigInteger()


@compiles(SpanWithin)
def _within(element: SpanWithin, compiler: SQLCompiler, **kw: Any) -> str:
    number = _parts(element, compiler, **kw)[0]
    return f"{_bounded(number, 'q.x', limit=_SPANS)}::bigint"


@compiles(SpanWithin, "sqlite")
def _within_sqlite(element: SpanWithin, compiler: SQLCompiler, **kw: Any) -> str:
    return f"fullcount_span({_parts(element, compiler, **kw)[0]})"


class SpanSeconds(FunctionElement[float]):
    """The seconds of a duration, with decimals."""

    inherit_cache = True
    type = Double()


@compiles(SpanSeconds)
def _seconds(element: SpanSeconds, compiler: SQLCompiler, **kw: Any) -> str:
    return f"({_parts(element, compiler, **kw)[0]}::double precision / 1000000)"


@compiles(SpanSeconds, "sqlite")
def _seconds_sqlite(element: SpanSeconds, compiler: SQLCompiler, **kw: Any) -> str:
    return f"({_parts(element, compiler, **kw)[0]} / 1000000.0)"


class SpanText(FunctionElement[str]):
    """A duration as ISO 8601 text in seconds: `PT5400.000000S`."""

    inherit_cache = True
    type = Text()


@compiles(SpanText)
def _text(element: SpanText, compiler: SQLCompiler, **kw: Any) -> str:
    rest = "mod(abs(q.x), 1000000)"
    rule = (
        "CASE WHEN q.x < 0 THEN '-PT' ELSE 'PT' END || (abs(q.x) / 1000000) ||"
        f" CASE {rest} WHEN 0 THEN 'S' ELSE '.' || lpad({rest}::text, 6, '0') || 'S' END"
    )
    number = f"{_parts(element, compiler, **kw)[0]}::bigint"
    return f"(SELECT {rule} FROM (SELECT {number} AS x{_FENCE}) AS q)"  # noqa: S608 (SQL of ours)


@compiles(SpanText, "sqlite")
def _text_sqlite(element: SpanText, compiler: SQLCompiler, **kw: Any) -> str:
    rest = "abs(q.x) % 1000000"
    rule = (
        "CASE WHEN q.x < 0 THEN '-PT' ELSE 'PT' END || (abs(q.x) / 1000000) ||"
        f" CASE {rest} WHEN 0 THEN 'S' ELSE printf('.%06dS', {rest}) END"
    )
    number = _parts(element, compiler, **kw)[0]
    return f"(SELECT {rule} FROM (SELECT {number} AS x) AS q)"  # noqa: S608 (SQL of ours)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


def micros_of(moment: str | None) -> int | None:
    """What SQLite is told to reckon the microseconds of a moment's text with."""
    return None if moment is None else (datetime.fromisoformat(moment) - _EPOCH) // _MICRO


def moment_at(micros: int | None) -> str | None:
    """What SQLite is told to reckon the text of a moment with; null beyond the years."""
    if micros is None or not FIRST_MICROS <= micros <= LAST_MICROS:
        return None
    return format_time(_EPOCH + int(micros) * _MICRO)


def span_within(micros: float | None) -> int | None:
    """What SQLite is told to bound a duration with."""
    return None if micros is None or abs(micros) > LONGEST_SPAN else int(micros)


def add_spans(raw: Any) -> None:
    """Teach a connection of SQLite these; checks in SQL would nest deeper than it reads."""
    raw.create_function("fullcount_micros", 1, micros_of, deterministic=True)
    raw.create_function("fullcount_moment", 1, moment_at, deterministic=True)
    raw.create_function("fullcount_span", 1, span_within, deterministic=True)
