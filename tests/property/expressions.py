"""Random expressions of the filter language, each with its meaning in plain Python.

The meaning follows the standard's null rules: `eq` and `ne` are two-valued, `gt ge lt le` with a
null are false, `and`, `or` and `not` are three-valued, everything else gives null for null.
Source: OData URL Conventions 4.01, section 5.1.1
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import ceil, copysign, floor, fmod, nextafter
from typing import Any

from hypothesis import strategies as st

from app.base.clock import format_time
from app.store.casts import read_form, spell_number
from tests.builders import NOON
from tests.property.rows import DAYS, MOMENTS, NUMBERS, TEXTS

Row = dict[str, Any]
SPANS = (
    timedelta(),
    timedelta(microseconds=1),
    timedelta(minutes=90, microseconds=5),
    timedelta(days=-1),
    timedelta(days=3_000_000, seconds=1),
)
CLOCKS = (time(), time(12), time(10, 7, 5, 120000), time(23, 59, 59, 999999))
BLANKS = " \t\n\r\v\f"


@dataclass(frozen=True, slots=True)
class Said:
    """An expression: what a client writes, and what it is for a row."""

    text: str
    of: Callable[[Row], Any]


Strategy = st.SearchStrategy[Said]


def a_field(*paths: str) -> Strategy:
    """One of these fields."""
    return st.sampled_from([Said(path, operator.itemgetter(path)) for path in paths])


def a_literal(*values: Any) -> Strategy:
    """One of these values."""
    return st.sampled_from([_literal(value) for value in values])


def _literal(value: Any) -> Said:
    return Said(spell(value), lambda _: value)


def spell(value: Any) -> str:
    """A value as the expression language writes it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return "'" + value.replace("'", "''") + "'"
        case datetime():
            return format_time(value)
        case date() | time():
            return value.isoformat()
        case timedelta():
            return f"duration'{span_text(value)}'"
    return repr(value)


MICRO = timedelta(microseconds=1)
LONGEST = (datetime.max.replace(tzinfo=UTC) - datetime.min.replace(tzinfo=UTC)) // MICRO


def span_text(span: timedelta) -> str:
    """A duration as ISO 8601 text in seconds."""
    seconds, micros = divmod(abs(span) // MICRO, 1_000_000)
    fraction = f".{micros:06}" if micros else ""
    return f"{'-' if span < timedelta() else ''}PT{seconds}{fraction}S"


def a_call(spelling: str, meaning: Callable[..., Any], *arguments: Strategy) -> Strategy:
    """A function or operator that gives null for any null; `{}` stands for each argument."""

    def make(said: tuple[Said, ...]) -> Said:
        def of(row: Row) -> Any:
            values = [argument.of(row) for argument in said]
            return None if None in values else meaning(*values)

        return Said(spelling.format(*(argument.text for argument in said)), of)

    return st.tuples(*arguments).map(make)


# Values


GREATEST, LEAST = 1.7e308, 1e-307


def _add(left: float, right: float) -> float | None:
    return left + right if max(abs(left), abs(right)) < GREATEST / 2 else None


def _subtract(left: float, right: float) -> float | None:
    return _add(left, -right)


def _multiply(left: float, right: float) -> float | None:
    """What a double cannot hold is null; what it cannot tell from 0 is 0."""
    if abs(right) > GREATEST / max(abs(left), 1.0):
        return None
    tiny = abs(right) < LEAST / max(min(abs(left), 1.0), 1e-323)
    return 0.0 if tiny else left * right


def _divide(left: float, right: float) -> float | None:
    if right == 0 or abs(left) > GREATEST * min(abs(right), 1.0):
        return None
    return 0.0 if abs(left) < LEAST * max(abs(right), 1.0) else left / right


def _divide_whole(left: int, right: int) -> int | None:
    if right == 0:
        return None
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: float, right: float) -> float | None:
    """What is left of the digits, as fractions; less than the divisor also as a double."""
    if right == 0:
        return None
    x, y = (Fraction(spell_number(abs(number)) or "") for number in (left, right))
    rest = min(float(x % y), nextafter(abs(right), 0.0))
    return 0.0 if rest < LEAST else copysign(rest, left)


def _remainder_whole(left: int, right: int) -> int | None:
    return None if right == 0 else int(fmod(left, right))


def _round(number: float) -> float:
    if abs(number) >= 2**52:
        return number
    return float(Decimal(repr(number)).quantize(Decimal(1), ROUND_HALF_UP))


def _whole(number: float, bits: int) -> int | None:
    rounded = int(_round(number))
    return rounded if -(2 ** (bits - 1)) <= rounded < 2 ** (bits - 1) else None


def _span(micros: float) -> timedelta | None:
    return int(micros) * MICRO if abs(micros) <= LONGEST else None


def _scale(change: Callable[[float, float], float | None]) -> Callable[..., Any]:
    def scale(span: timedelta, number: float) -> timedelta | None:
        micros = change(span // MICRO, number)
        return None if micros is None else _span(_round(micros))

    return scale


def _shift(sign: int) -> Callable[..., Any]:
    def shift(moment: datetime, span: timedelta) -> datetime | None:
        try:
            return moment + sign * span
        except OverflowError:
            return None

    return shift


def _shift_day(sign: int) -> Callable[..., Any]:
    def shift(day: date, span: timedelta) -> date | None:
        moment: datetime | None = _shift(sign)(datetime.combine(day, time(), UTC), span)
        return None if moment is None else moment.date()

    return shift


def _clock(moment: datetime) -> time:
    return moment.time()


def _cut(text: str, start: int, length: int | None = None) -> str:
    first = start if start >= 0 else max(start + len(text), 0)
    return text[first:] if length is None else text[first : first + max(length, 0)]


def _fold_case(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: "".join(other if len(other := change(c)) == 1 else c for c in text)


_plain_texts = st.one_of(
    a_field("module_version", "reason", "module_name", "manager_key", "team_name", "series_key"),
    a_field("learner_key", "series/name", "module/name", "learner/department"),
    a_field("learner/manager/department"),
    a_literal(*TEXTS),
)
_plain_wholes = st.one_of(
    a_field("attempts", "cycle", "time_spent_s", "parts_total"),
    a_literal(-7, -2, -1, 0, 1, 2, 3, 60, 2024),
)
_lengths = st.one_of(
    a_field("attempts", "cycle", "time_spent_s", "parts_total"),
    a_literal(0, 1, 2, 3, 60, 2024),
)
_plain_numbers = st.one_of(
    a_field("score", "max_score", "percent_complete", "module/max_score"),
    a_literal(*NUMBERS),
)
_extremes = a_literal(1e308, -1e308, 1.7e308, 1e-308, -1e-308, 1e200, 1e-200, 5e-324)
_plain_times = st.one_of(
    a_field("due_at", "completed_at", "assigned_at", "module/published_at"),
    a_literal(*MOMENTS),
    st.just(Said("now()", lambda _: NOON)),
    st.just(Said("@as_of", lambda _: NOON)),
)
_plain_days = st.one_of(
    a_field("learner/hired_on"),
    a_literal(*DAYS),
    a_call("date({})", lambda moment: moment.date(), _plain_times),
)
_plain_spans = st.one_of(
    a_literal(*SPANS),
    a_call("({} sub {})", operator.sub, _plain_times, _plain_times),
    a_call("({} sub {})", operator.sub, _plain_days, _plain_days),
)
_factors = st.one_of(a_literal(*NUMBERS), a_literal(-2, 3, 60), a_field("score", "attempts"))
spans = st.one_of(
    _plain_spans,
    a_call("({} add {})", lambda a, b: _span((a + b) // MICRO), _plain_spans, _plain_spans),
    a_call("({} sub {})", lambda a, b: _span((a - b) // MICRO), _plain_spans, _plain_spans),
    a_call("({} mul {})", _scale(_multiply), _plain_spans, _factors),
    a_call("({} div {})", _scale(_divide), _plain_spans, _factors),
    a_call("({1} mul {0})", _scale(_multiply), _plain_spans, _factors),
    a_call("(-({}))", operator.neg, _plain_spans),
)
times = st.one_of(
    _plain_times,
    _plain_times,
    a_call("({} add {})", _shift(1), _plain_times, _plain_spans),
    a_call("({} sub {})", _shift(-1), _plain_times, _plain_spans),
)
days = st.one_of(
    _plain_days,
    _plain_days,
    a_call("({} add {})", _shift_day(1), _plain_days, _plain_spans),
    a_call("({} sub {})", _shift_day(-1), _plain_days, _plain_spans),
)
clocks = st.one_of(a_literal(*CLOCKS), a_call("time({})", _clock, times))
_substrings = st.one_of(
    a_call("substring({},{})", _cut, _plain_texts, _plain_wholes),
    a_call("substring({},{},{})", _cut, _plain_texts, _plain_wholes, _lengths),
)
texts = st.one_of(
    _plain_texts,
    _plain_texts,
    a_call("concat({},{})", operator.add, _plain_texts, _plain_texts),
    a_call("tolower({})", _fold_case(str.lower), _plain_texts),
    a_call("toupper({})", _fold_case(str.upper), _plain_texts),
    a_call("trim({})", lambda text: text.strip(BLANKS), _plain_texts),
    _substrings,
    a_call("cast({},Edm.String)", str, _plain_wholes),
    a_call("cast({},Edm.String)", spell, times),
    a_call("cast({},Edm.String)", spell, days),
    a_call("cast({},Edm.String)", span_text, spans),
    a_call("cast({},Edm.String)", spell, a_field("passed", "module/known")),
    a_call("cast({},Edm.String)", str, a_field("status", "reason")),
    a_call("cast({},Edm.String)", spell_number, _plain_numbers),
)
_parts = ("year", "month", "day", "hour", "minute", "second")
wholes = st.one_of(
    _plain_wholes,
    _plain_wholes,
    a_call("length({})", len, texts),
    a_call("indexof({},{})", str.find, texts, _plain_texts),
    *(a_call(f"{part}({{}})", operator.attrgetter(part), times) for part in _parts),
    *(a_call(f"{part}({{}})", operator.attrgetter(part), days) for part in _parts[:3]),
    *(a_call(f"{part}({{}})", operator.attrgetter(part), clocks) for part in _parts[3:]),
    a_call("cast({},Edm.SByte)", lambda x: _whole(x, 8), _plain_numbers),
    a_call("cast({},Edm.Int32)", lambda x: _whole(x, 32), _plain_numbers),
    a_call("cast({},Edm.Int64)", lambda x: _whole(x, 64), st.one_of(_plain_numbers, _extremes)),
    a_call("cast({},Edm.Int64)", lambda x: read_form("whole", x), texts),
    a_call("totaloffsetminutes({})", lambda _: 0, times),
    a_call("({} add {})", operator.add, _plain_wholes, _plain_wholes),
    a_call("({} sub {})", operator.sub, _plain_wholes, _plain_wholes),
    a_call("({} mul {})", operator.mul, _plain_wholes, _plain_wholes),
    a_call("({} div {})", _divide_whole, _plain_wholes, _plain_wholes),
    a_call("({} mod {})", _remainder_whole, _plain_wholes, _plain_wholes),
    a_call("(-({}))", operator.neg, _plain_wholes),
)
_some_numbers = st.one_of(_plain_numbers, _plain_wholes)
_any_numbers = st.one_of(_some_numbers, _some_numbers, _extremes)
numbers = st.one_of(
    _plain_numbers,
    _plain_numbers,
    a_call("({} add {})", _add, _plain_numbers, _any_numbers),
    a_call("({} sub {})", _subtract, _any_numbers, _plain_numbers),
    a_call("({} mul {})", _multiply, _plain_numbers, _any_numbers),
    a_call("({} div {})", _divide, _plain_numbers, _any_numbers),
    a_call("({} div {})", _divide, _any_numbers, _plain_numbers),
    a_call("({} divby {})", _divide, _plain_wholes, _any_numbers),
    a_call("({} mod {})", _remainder, _plain_numbers, _any_numbers),
    a_call("round({})", _round, _some_numbers),
    a_call("floor({})", floor, _some_numbers),
    a_call("ceiling({})", ceil, _some_numbers),
    a_call("(-({}))", operator.neg, _plain_numbers),
    a_call("fractionalseconds({})", lambda moment: moment.microsecond / 1e6, times),
    a_call("fractionalseconds({})", lambda clock: clock.microsecond / 1e6, clocks),
    a_call("totalseconds({})", lambda span: (span // MICRO) / 1e6, spans),
    a_call("cast({},Edm.Double)", float, _plain_wholes),
    a_call("cast({},Edm.Double)", lambda x: read_form("number", x), texts),
)
