"""Random expressions of the filter language, each with its meaning in plain Python.

The meaning follows the standard's null rules: `eq` and `ne` are two-valued, `gt ge lt le` with a
null are false, `and`, `or` and `not` are three-valued, everything else gives null for null.
Source: OData URL Conventions 4.01, section 5.1.1
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from math import ceil, floor, fmod
from typing import Any

from hypothesis import strategies as st

from app.base.clock import format_time
from tests.builders import NOON
from tests.property.rows import DAYS, MOMENTS, NUMBERS, STATUSES, TEXTS, TYPES

Row = dict[str, Any]
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
    return Said(_spell(value), lambda _: value)


def _spell(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return "'" + value.replace("'", "''") + "'"
        case datetime():
            return format_time(value)
        case date():
            return value.isoformat()
    return repr(value)


def a_call(spelling: str, meaning: Callable[..., Any], *arguments: Strategy) -> Strategy:
    """A function or operator that gives null for any null; `{}` stands for each argument."""

    def make(said: tuple[Said, ...]) -> Said:
        def of(row: Row) -> Any:
            values = [argument.of(row) for argument in said]
            return None if None in values else meaning(*values)

        return Said(spelling.format(*(argument.text for argument in said)), of)

    return st.tuples(*arguments).map(make)


# Values


def _divide(left: float, right: float) -> float | None:
    return None if right == 0 else left / right


def _divide_whole(left: int, right: int) -> int | None:
    if right == 0:
        return None
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: float, right: float) -> float | None:
    return None if right == 0 else fmod(left, right)


def _remainder_whole(left: int, right: int) -> int | None:
    return None if right == 0 else int(fmod(left, right))


def _round(number: float) -> float:
    return floor(number + 0.5) if number > 0 else ceil(number - 0.5)


def _cut(text: str, start: int, length: int | None = None) -> str:
    first = max(start, 0)
    return text[first:] if length is None else text[first : first + max(length, 0)]


def _fold_case(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: "".join(change(c) if c.isascii() else c for c in text)


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
# Sums and products of quarters are exact in any order, so each database must give just these.
_quarters = tuple(number for number in NUMBERS if number * 4 == int(number * 4))
_plain_numbers = st.one_of(
    a_field("score", "max_score", "percent_complete", "module/max_score"),
    a_literal(*NUMBERS),
)
times = st.one_of(
    a_field("due_at", "completed_at", "assigned_at", "module/published_at"),
    a_literal(*MOMENTS),
    st.just(Said("now()", lambda _: NOON)),
    st.just(Said("@as_of", lambda _: NOON)),
)
days = st.one_of(
    a_field("learner/hired_on"),
    a_literal(*DAYS),
    a_call("date({})", lambda moment: moment.date(), times),
)
_substrings = st.one_of(
    a_call("substring({},{})", _cut, _plain_texts, _plain_wholes),
    a_call("substring({},{},{})", _cut, _plain_texts, _plain_wholes, _plain_wholes),
)
texts = st.one_of(
    _plain_texts,
    _plain_texts,
    a_call("concat({},{})", operator.add, _plain_texts, _plain_texts),
    a_call("tolower({})", _fold_case(str.lower), _plain_texts),
    a_call("toupper({})", _fold_case(str.upper), _plain_texts),
    a_call("trim({})", lambda text: text.strip(BLANKS), _plain_texts),
    _substrings,
)
_parts = ("year", "month", "day", "hour", "minute", "second")
wholes = st.one_of(
    _plain_wholes,
    _plain_wholes,
    a_call("length({})", len, texts),
    a_call("indexof({},{})", str.find, texts, _plain_texts),
    *(a_call(f"{part}({{}})", operator.attrgetter(part), times) for part in _parts),
    *(a_call(f"{part}({{}})", operator.attrgetter(part), days) for part in _parts[:3]),
    a_call("totaloffsetminutes({})", lambda _: 0, times),
    a_call("({} add {})", operator.add, _plain_wholes, _plain_wholes),
    a_call("({} sub {})", operator.sub, _plain_wholes, _plain_wholes),
    a_call("({} mul {})", operator.mul, _plain_wholes, _plain_wholes),
    a_call("({} div {})", _divide_whole, _plain_wholes, _plain_wholes),
    a_call("({} mod {})", _remainder_whole, _plain_wholes, _plain_wholes),
    a_call("(-({}))", operator.neg, _plain_wholes),
)
_some_numbers = st.one_of(_plain_numbers, _plain_wholes)
numbers = st.one_of(
    _plain_numbers,
    _plain_numbers,
    a_call("({} add {})", operator.add, _plain_numbers, _some_numbers),
    a_call("({} sub {})", operator.sub, _some_numbers, _plain_numbers),
    a_call("({} mul {})", operator.mul, _plain_numbers, _some_numbers),
    a_call("({} div {})", _divide, _plain_numbers, _some_numbers),
    a_call("({} divby {})", _divide, _plain_wholes, _some_numbers),
    a_call("({} mod {})", _remainder, a_literal(*_quarters), a_literal(*_quarters)),
    a_call("round({})", _round, _some_numbers),
    a_call("floor({})", floor, _some_numbers),
    a_call("ceiling({})", ceil, _some_numbers),
    a_call("(-({}))", operator.neg, _plain_numbers),
    a_call("fractionalseconds({})", lambda moment: moment.microsecond / 1e6, times),
)


# Conditions

_ORDERED = {"gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le}


def _compare(name: str) -> Callable[[Any, Any], bool]:
    if name == "eq":
        return lambda left, right: left == right
    if name == "ne":
        return lambda left, right: left != right
    return lambda left, right: (
        left is not None and right is not None and _ORDERED[name](left, right)
    )


def comparisons(values: Strategy, *names: str) -> Strategy:
    """Two such values, or one and null, compared."""
    either = st.one_of(values, values, values, a_literal(None))

    def make(said: tuple[Said, str, Said]) -> Said:
        left, name, right = said
        meaning = _compare(name)
        text = f"({left.text} {name} {right.text})"
        return Said(text, lambda row: meaning(left.of(row), right.of(row)))

    return st.tuples(either, st.sampled_from(names), either).map(make)


def memberships(values: Strategy, *members: Any) -> Strategy:
    """A value in a list, with null in it now and then."""

    def make(said: tuple[Said, list[Any]]) -> Said:
        value, chosen = said
        text = f"({value.text} in ({','.join(map(_spell, chosen))}))"
        return Said(text, lambda row: value.of(row) in chosen)

    chosen = st.lists(st.sampled_from((None, *members)), max_size=4)
    return st.tuples(values, chosen).map(make)


def _turn(said: Said) -> Said:
    def of(row: Row) -> bool | None:
        value = said.of(row)
        return None if value is None else not value

    return Said(f"not ({said.text})", of)


def _chain(name: str, ends: bool) -> Callable[[list[Said]], Said]:
    """`and` ends at a false, `or` at a true; else a null is null."""

    def make(terms: list[Said]) -> Said:
        def of(row: Row) -> bool | None:
            values = [term.of(row) for term in terms]
            if ends in values:
                return ends
            return None if None in values else not ends

        return Said("(" + f" {name} ".join(term.text for term in terms) + ")", of)

    return make


_ALL = ("eq", "ne", "gt", "ge", "lt", "le")
_statuses, _types = a_field("status"), a_field("module_type")
_flags = a_field("passed", "mandatory", "is_overdue", "module/known", "learner/known")
_simple: tuple[Strategy, ...] = (
    _flags,
    a_literal(True, False, None),
    comparisons(texts, *_ALL),
    comparisons(st.one_of(wholes, numbers), *_ALL),
    comparisons(times, *_ALL),
    comparisons(days, *_ALL),
    comparisons(st.one_of(_flags, a_literal(True, False)), *_ALL),
    comparisons(_statuses, "eq", "ne"),
    comparisons(_types, "eq", "ne"),
    memberships(texts, *TEXTS),
    memberships(wholes, 0, 1, 2, 3),
    memberships(numbers, *NUMBERS),
    memberships(times, *MOMENTS),
    memberships(days, *DAYS),
    memberships(_statuses, *STATUSES),
    memberships(_types, *TYPES),
    memberships(_flags, True, False),
    a_call("contains({},{})", operator.contains, texts, texts),
    a_call("startswith({},{})", str.startswith, texts, texts),
    a_call("endswith({},{})", str.endswith, texts, texts),
)


@st.composite
def a_condition(draw: st.DrawFn) -> Said:
    """A condition without `and`, `or`, `not`."""
    return draw(draw(st.sampled_from(_simple)))


def _combined(inner: Strategy) -> Strategy:
    several = st.lists(inner, min_size=2, max_size=3)
    return st.one_of(
        inner.map(_turn),
        several.map(_chain("and", ends=False)),
        several.map(_chain("or", ends=True)),
        comparisons(inner, "eq", "ne"),
    )


conditions = st.recursive(a_condition(), _combined, max_leaves=6)
