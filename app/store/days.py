"""Days to years of a time zone, and spans between moments, as SQL of both databases.

SQLite knows no zones and a database's own may be older than ours: the offsets of a zone are looked
up here and written into the statement.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, ColumnElement, Double, Text, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from app.base.clock import format_time
from app.store.spelling import SpeltFunction

PERIODS = ("day", "week", "month", "quarter", "year")

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(2100, 1, 1, tzinfo=UTC)
# No zone changes its offset twice within a week.
_STEP = timedelta(days=7)
_FORMS = {
    "day": "strftime('%Y-%m-%d', {0})",
    "week": "strftime('%Y-%m-%d', {0}, 'weekday 0', '-6 days')",
    "month": "strftime('%Y-%m-01', {0})",
    "quarter": (
        "(strftime('%Y-', {0}) || printf('%02d', (strftime('%m', {0}) - 1) / 3 * 3 + 1) || '-01')"
    ),
    "year": "strftime('%Y-01-01', {0})",
}


class FirstDay(SpeltFunction[str]):
    """The first day of the period a moment falls in, as text; the literal period and zone first."""

    type = Text()


@compiles(FirstDay)
def _first_day(element: FirstDay, compiler: SQLCompiler, **kw: Any) -> str:
    by, zone, moment = (compiler.process(clause, **kw) for clause in element.clauses)
    offset = _write_offset(zone_offsets(zone), moment, "'{0}'::timestamptz")
    local = f"({moment} AT TIME ZONE 'UTC' + make_interval(secs => {offset}))"
    return f"to_char(date_trunc('{by}', {local}), 'YYYY-MM-DD')"


@compiles(FirstDay, "sqlite")
def _first_day_sqlite(element: FirstDay, compiler: SQLCompiler, **kw: Any) -> str:
    by, zone, moment = (compiler.process(clause, **kw) for clause in element.clauses)
    offset = _write_offset(zone_offsets(zone), moment, "'{0}'")
    if (by, offset) == ("day", "0"):
        return f"substr({moment}, 1, 10)"
    # Without its fraction, which would be rounded up to the next day.
    return _FORMS[by].format(f"substr({moment}, 1, 19), ({offset}) || ' seconds'")


class DaysFrom(SpeltFunction[int]):
    """Days from the first day to the second, both as text."""

    type = BigInteger()
    postgresql = "(CAST({1} AS date) - CAST({0} AS date))"
    sqlite = "CAST(julianday({1}) - julianday({0}) AS INTEGER)"


class SecondsFrom(SpeltFunction[float]):
    """Whole seconds from the first moment to the second, as a double; negative when it is later."""

    type = Double()
    postgresql = (
        "((floor(extract(epoch FROM {1})) - floor(extract(epoch FROM {0})))::double precision)"
    )
    sqlite = (
        "(CAST(strftime('%s', substr({1}, 1, 19)) AS REAL)"
        " - CAST(strftime('%s', substr({0}, 1, 19)) AS REAL))"
    )


def first_day(by: str, moment: ColumnElement[Any], zone: str) -> ColumnElement[Any]:
    """The first day of the period (weeks begin on Monday) a moment falls in, in a zone."""
    if by not in PERIODS:
        raise ValueError(by)
    return FirstDay(literal_column(by), literal_column(ZoneInfo(zone).key), moment)


def day_in_zone(moment: datetime, zone: str) -> str:
    """The day of a moment in a zone, as text."""
    return moment.astimezone(ZoneInfo(zone)).date().isoformat()


@lru_cache(maxsize=256)
def zone_offsets(zone: str) -> tuple[tuple[datetime, int], ...]:
    """From which moments on a zone has which offset from UTC, in seconds; 1970 to 2100."""
    at = ZoneInfo(zone)
    found = [(_FIRST, _offset(_FIRST, at))]
    before = _FIRST
    while before < _LAST:
        after = before + _STEP
        if _offset(after, at) != found[-1][1]:
            found.append((_change_between(before, after, at), _offset(after, at)))
        before = after
    return tuple(found)


def _offset(moment: datetime, at: ZoneInfo) -> int:
    offset = moment.astimezone(at).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _change_between(before: datetime, after: datetime, at: ZoneInfo) -> datetime:
    """The second at which the offset becomes another one."""
    old = _offset(before, at)
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=int((after - before).total_seconds()) // 2)
        if _offset(middle, at) == old:
            before = middle
        else:
            after = middle
    return after


def _write_offset(offsets: tuple[tuple[datetime, int], ...], moment: str, literal: str) -> str:
    """The offset at a moment: a tree of comparisons, so that few are made for each row."""
    if len(offsets) == 1:
        return str(offsets[0][1])
    half = len(offsets) // 2
    border = literal.format(format_time(offsets[half][0]))
    earlier = _write_offset(offsets[:half], moment, literal)
    later = _write_offset(offsets[half:], moment, literal)
    return f"CASE WHEN {moment} < {border} THEN {earlier} ELSE {later} END"
