"""Random conditions of the filter language, each with its meaning in plain Python.

Source: OData URL Conventions 4.01, sections 5.1.1.1 and 5.1.1.13
"""

import operator
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.property.expressions import (
    Row,
    Said,
    Strategy,
    a_call,
    a_field,
    a_literal,
    clocks,
    days,
    numbers,
    spans,
    spell,
    texts,
    times,
    wholes,
)
from tests.property.rows import DAYS, MOMENTS, NUMBERS, STATUSES, TEXTS, TYPES

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
        text = f"({value.text} in ({','.join(map(spell, chosen))}))"
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
    comparisons(clocks, *_ALL),
    comparisons(spans, *_ALL),
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


def _combined(inner: Strategy) -> Strategy:
    several = st.lists(inner, min_size=2, max_size=3)
    return st.one_of(
        inner.map(_turn),
        several.map(_chain("and", ends=False)),
        several.map(_chain("or", ends=True)),
        comparisons(inner, "eq", "ne"),
    )


# Choices


def _choose(said: tuple[list[tuple[Said, Said]], Said | None]) -> Said:
    branches, otherwise = said
    if otherwise is not None:
        branches = [*branches, (Said("true", lambda _: True), otherwise)]

    def of(row: Row) -> Any:
        for condition, value in branches:
            if condition.of(row) is True:
                return value.of(row)
        return None

    inside = ",".join(f"{condition.text}:{value.text}" for condition, value in branches)
    return Said(f"case({inside})", of)


def choices(values: Strategy) -> Strategy:
    """A value by conditions; null when none is met and nothing is left for that."""
    branch = st.tuples(st.one_of(*_simple), values)
    branches = st.lists(branch, min_size=1, max_size=2)
    return st.tuples(branches, st.one_of(st.none(), values)).map(_choose)


# Rows behind a navigation

THEIRS = "learner/progress"


def conditions_on(prefix: str, *others: str) -> Strategy:
    """Conditions on rows behind a navigation, by the name of their variable.

    others: prefixes of rows around them
    """

    def fields(*names: str) -> Strategy:
        own = a_field(*(prefix + name for name in names))
        around = [a_field(*(other + name for name in names)) for other in others]
        return st.one_of(own, own, *around)

    plain = st.one_of(
        fields("passed", "mandatory", "is_overdue"),
        comparisons(st.one_of(fields("score", "percent_complete"), a_literal(*NUMBERS)), *_ALL),
        comparisons(st.one_of(fields("attempts"), a_literal(0, 2)), *_ALL),
        comparisons(fields("reason", "module_name", "module/name", "series/name"), *_ALL),
        comparisons(st.one_of(fields("due_at"), a_literal(*MOMENTS)), *_ALL),
        memberships(fields("status"), *STATUSES),
    )
    return st.recursive(plain, _combined, max_leaves=3)


def quantifiers(path: str, name: str, inner: Strategy) -> Strategy:
    """`any` or `all` rows at the end of a path."""

    def make(said: tuple[Said, bool]) -> Said:
        condition, every = said

        def of(row: Row) -> bool:
            met = [condition.of(_with(row, name, other)) is True for other in row[path]]
            return all(met) if every else any(met)

        return Said(f"{path}/{'all' if every else 'any'}({name}:{condition.text})", of)

    return st.tuples(inner, st.booleans()).map(make)


def _with(row: Row, name: str, other: Any) -> Row:
    if not isinstance(other, dict):
        return {**row, name: other}
    return {**row, **{f"{name}/{key}": value for key, value in other.items()}}


def _counts() -> Strategy:
    def make(said: tuple[Said, str]) -> Said:
        condition, form = said

        def of(row: Row) -> int:
            return sum(condition.of(_with(other, "$it", row)) is True for other in row[THEIRS])

        return Said(THEIRS + form.format(condition.text), of)

    forms = st.sampled_from(["/$count($filter={})", "/$filter({})/$count"])
    plain = st.just(Said(f"{THEIRS}/$count", lambda row: len(row[THEIRS])))
    return st.one_of(plain, st.tuples(conditions_on("", "$it/"), forms).map(make))


_one = conditions_on("p/", "")
_two = conditions_on("q/", "p/", "")
_words = st.one_of(
    comparisons(st.one_of(a_field("t", "reason"), a_literal(*TEXTS)), *_ALL),
    a_call("contains({},{})", operator.contains, a_field("t"), a_field("reason", "module_name")),
)
_behind = st.one_of(
    quantifiers(THEIRS, "p", _one),
    quantifiers(THEIRS, "p", quantifiers(f"p/{THEIRS}", "q", _two)),
    quantifiers("module/tags", "t", _words),
    comparisons(st.one_of(_counts(), _counts(), wholes), *_ALL),
    st.just(Said(f"{THEIRS}/any()", lambda row: bool(row[THEIRS]))),
    st.sampled_from(TEXTS).map(
        lambda text: Said(f"{spell(text)} in module/tags", lambda row: text in row["module/tags"])
    ),
)
_chosen = st.one_of(
    comparisons(choices(st.one_of(wholes, numbers)), *_ALL),
    comparisons(choices(texts), *_ALL),
    comparisons(choices(times), *_ALL),
    choices(_flags),
)


@st.composite
def a_condition(draw: st.DrawFn) -> Said:
    """A condition without `and`, `or`, `not`."""
    said: Said = draw(draw(st.sampled_from((*_simple, _behind, _behind, _chosen))))
    return said


conditions = st.recursive(a_condition(), _combined, max_leaves=6)
