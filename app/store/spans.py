"""Durations and times of day as SQL of both databases; what leaves its range is null.

A duration is a whole number of microseconds, a time of day text like 07:30:00.000000, and a moment
reckoned with is microseconds from 1970.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Double, Text

from app.base.clock import format_time
from app.store.spelling import SpeltFunction, fenced_once, written_once
from app.store.tables.columns import UtcDateTime

# The years 1 to 9999 in microseconds from 1970, and as much again as a duration.
FIRST_MICROS, LAST_MICROS = -62135596800_000000, 253402300799_999999
LONGEST_SPAN = LAST_MICROS - FIRST_MICROS
_YEARS, _SPANS = (FIRST_MICROS, LAST_MICROS), (-LONGEST_SPAN, LONGEST_SPAN)
_DAY = 86400_000000


class ClockText(Text):
    """The text of a time of day, told apart from that of a day."""


def _bounded(number: str, rule: str, *, limit: tuple[int, int]) -> str:
    """PostgreSQL's rule over a number, `q.x`; null where the number leaves its limits."""
    within = f"CASE WHEN q.x BETWEEN {limit[0]} AND {limit[1]} THEN {rule} END"
    return fenced_once(within, x=number)


class ClockOf(SpeltFunction[str]):
    """The UTC time of day of a moment."""

    type = ClockText()
    postgresql = "to_char({0} AT TIME ZONE 'UTC', 'HH24:MI:SS.US')"
    sqlite = "substr({0}, 12, 15)"


class MomentMicros(SpeltFunction[int]):
    """Microseconds from 1970 to a moment."""

    type = BigInteger()
    postgresql = "(extract(epoch FROM {0}) * 1000000)::bigint"
    sqlite = "fullcount_micros({0})"


class DayMicros(SpeltFunction[int]):
    """Microseconds from 1970 to the beginning of a day."""

    type = BigInteger()
    postgresql = f"(({{0}}::date - DATE '1970-01-01') * {_DAY}::bigint)"
    sqlite = "(CAST(strftime('%s', {0}) AS INTEGER) * 1000000)"


class MomentOf(SpeltFunction[Any]):
    """The moment so many microseconds from 1970; null beyond the years 1 to 9999."""

    type = UtcDateTime()
    postgresql = _bounded(
        "{0}::bigint",
        f"(timestamp '1970-01-01' + (q.x / {_DAY})::integer * interval '1 day'"
        f" + mod(q.x, {_DAY}) * interval '1 microsecond') AT TIME ZONE 'UTC'",
        limit=_YEARS,
    )
    sqlite = "fullcount_moment({0})"


class SpanWithin(SpeltFunction[int]):
    """A duration; null where it is longer than all years together."""

    type = BigInteger()
    postgresql = _bounded("{0}", "q.x", limit=_SPANS) + "::bigint"
    sqlite = "fullcount_span({0})"


class SpanSeconds(SpeltFunction[float]):
    """The seconds of a duration, with decimals."""

    type = Double()
    postgresql = "({0}::double precision / 1000000)"
    sqlite = "({0} / 1000000.0)"


class SpanText(SpeltFunction[str]):
    """A duration as ISO 8601 text in seconds: `PT5400.000000S`."""

    type = Text()
    postgresql = fenced_once(
        "CASE WHEN q.x < 0 THEN '-PT' ELSE 'PT' END || (abs(q.x) / 1000000) ||"
        " CASE mod(abs(q.x), 1000000) WHEN 0 THEN 'S'"
        " ELSE '.' || lpad(mod(abs(q.x), 1000000)::text, 6, '0') || 'S' END",
        x="{0}::bigint",
    )
    sqlite = written_once(
        "CASE WHEN q.x < 0 THEN '-PT' ELSE 'PT' END || (abs(q.x) / 1000000) ||"
        " CASE abs(q.x) % 1000000 WHEN 0 THEN 'S'"
        " ELSE printf('.%06dS', abs(q.x) % 1000000) END",
        x="{0}",
    )


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
