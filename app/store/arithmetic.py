"""Arithmetic as SQL of both databases: the same number, or null, whatever is reckoned.

Division by zero and what a double cannot hold are null: PostgreSQL would fail, SQLite go on with
infinity. So every step is checked before it is done.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    ColumnClause,
    ColumnElement,
    Double,
    cast,
    literal_column,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from app.store.decimals import JUST_BELOW, decimal_remainder
from app.store.spans import DayMicros, MomentMicros, MomentOf, SpanWithin
from app.store.spelling import SpeltFunction, fenced_once, given_texts, written_once
from app.store.words import DayOf, RoundedNumber

Sql = ColumnElement[Any]

# The greatest number that is reckoned with, half of it, and the least that is told from 0.
GREATEST, HALF, LEAST_NUMBER = "1.7e308", "0.85e308", "1e-307"
_MOST, _HALF, _LEAST = float(GREATEST), float(HALF), float(LEAST_NUMBER)

# Over two doubles, q.x and q.y.
_RULES = {
    "(+)": f"CASE WHEN abs(q.x) < {HALF} AND abs(q.y) < {HALF} THEN q.x + q.y END",
    "(-)": f"CASE WHEN abs(q.x) < {HALF} AND abs(q.y) < {HALF} THEN q.x - q.y END",
    "(*)": (
        "CASE WHEN q.x IS NULL OR q.y IS NULL"
        f" OR abs(q.y) > {GREATEST} / greatest(abs(q.x), 1.0) THEN NULL"
        f" WHEN abs(q.y) < {LEAST_NUMBER} / greatest(least(abs(q.x), 1.0), 1e-323)"
        " THEN 0.0 ELSE q.x * q.y END"
    ),
    "(/)": (
        "CASE WHEN q.x IS NULL OR q.y IS NULL OR q.y = 0"
        f" OR abs(q.x) > {GREATEST} * least(abs(q.y), 1.0) THEN NULL"
        f" WHEN abs(q.x) < {LEAST_NUMBER} * greatest(abs(q.y), 1.0)"
        " THEN 0.0 ELSE q.x / q.y END"
    ),
}


class DoubleResult(SpeltFunction[float]):
    """The literal sign `+ - * /` and two doubles; null where the result is none."""

    type = Double()


@compiles(DoubleResult)
def _result(element: DoubleResult, compiler: SQLCompiler, **kw: Any) -> str:
    sign, left, right = given_texts(element, compiler, **kw)
    return fenced_once(_RULES[sign], x=f"{left}::double precision", y=f"{right}::double precision")


@compiles(DoubleResult, "sqlite")
def _result_sqlite(element: DoubleResult, compiler: SQLCompiler, **kw: Any) -> str:
    return _call_chain("fullcount_reckon", element, compiler, kw)


class DecimalRemainder(SpeltFunction[float]):
    """What is left of a division cut towards zero; it has the dividend's sign.

    Of the decimals that the doubles are written as, not of the fractions of two that they are:
    0.3 is three times 0.1, and PostgreSQL, which has no remainder of doubles, has one of decimals.
    """

    type = Double()


# Over q.z, what is left in decimals, and q.y, the divisor.
_REMAINDER = (
    f"CASE WHEN abs(q.z) < {LEAST_NUMBER} THEN 0.0"
    " WHEN abs(q.z::double precision) >= abs(q.y)"
    f" THEN sign(q.z)::double precision * abs(q.y) * {JUST_BELOW}::double precision"
    " ELSE q.z::double precision END"
)


@compiles(DecimalRemainder)
def _remainder(element: DecimalRemainder, compiler: SQLCompiler, **kw: Any) -> str:
    left, right = (f"{part}::double precision" for part in given_texts(element, compiler, **kw))
    rest = "mod(q.x::text::numeric, nullif(q.y, 0)::text::numeric)"
    pair = f"(SELECT {left} AS x, {right} AS y OFFSET 0) AS q"
    return (
        f"(SELECT {_REMAINDER} FROM"  # noqa: S608 (SQL of ours; values are bound)
        f" (SELECT q.y AS y, {rest} AS z FROM {pair} OFFSET 0) AS q)"
    )


@compiles(DecimalRemainder, "sqlite")
def _remainder_sqlite(element: DecimalRemainder, compiler: SQLCompiler, **kw: Any) -> str:
    left, right = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"fullcount_reckon({left}, '%', {right})"


def reckon_doubles(sign: str, left: Any, right: Any) -> float | None:
    """What SQLite is told to reckon `+ - * / %` with: PostgreSQL's rules above, in Python."""
    if left is None or right is None:
        return None
    x, y = float(left), float(right)
    most, least = _MOST, _LEAST
    match sign:
        case "+" | "-":
            fits = abs(x) < _HALF and abs(y) < _HALF
            return (x + y if sign == "+" else x - y) if fits else None
        case "*":
            if abs(y) > most / max(abs(x), 1.0):
                return None
            return 0.0 if abs(y) < least / max(min(abs(x), 1.0), 1e-323) else x * y
        case "/":
            if y == 0 or abs(x) > most * min(abs(y), 1.0):
                return None
            return 0.0 if abs(x) < least * max(abs(y), 1.0) else x / y
    if y == 0:
        return None
    rest = decimal_remainder(x, y)
    return 0.0 if abs(rest) < least else rest


class ExactInteger(SpeltFunction[int]):
    """The literal sign `+ - * / %` and two whole numbers; cut towards zero, null beyond 64 bits."""

    type = BigInteger()


@compiles(ExactInteger)
def _exact(element: ExactInteger, compiler: SQLCompiler, **kw: Any) -> str:
    sign, left, right = given_texts(element, compiler, **kw)
    function = {"(/)": "div", "(%)": "mod"}.get(sign.replace("%%", "%"))
    reckoned = f"{left}::numeric {sign[1:-1]} {right}::numeric"
    if function:
        reckoned = f"{function}({left}::numeric, nullif({right}::numeric, 0))"
    within = f"CASE WHEN q.x BETWEEN {-(2**63)} AND {2**63 - 1} THEN q.x::bigint END"
    return fenced_once(within, x=reckoned)


@compiles(ExactInteger, "sqlite")
def _exact_sqlite(element: ExactInteger, compiler: SQLCompiler, **kw: Any) -> str:
    given: list[Any] = list(element.clauses)[1:]
    # What is reckoned is not to be reckoned twice.
    if not all(isinstance(one, BindParameter | Column) or _is_literal(one) for one in given):
        return _call_chain("fullcount_reckon_whole", element, compiler, kw)
    sign, left, right = given_texts(element, compiler, **kw)
    # What leaves 64 bits goes on as a double.
    reckoned = f"{left} {sign[1:-1]} {right}"
    return f"(CASE typeof({reckoned}) WHEN 'integer' THEN {reckoned} END)"


def _is_literal(clause: Any) -> bool:
    return isinstance(clause, ColumnClause) and clause.is_literal


def reckon_whole(sign: str, left: int | None, right: int | None) -> int | None:
    """What SQLite is told to reckon `+ - * / %` of whole numbers with, where they nest."""
    if left is None or right is None or (right == 0 and sign in "/%"):
        return None
    match sign:
        case "+":
            reckoned = left + right
        case "-":
            reckoned = left - right
        case "*":
            reckoned = left * right
        case _:
            cut, rest = divmod(abs(left), abs(right))
            is_below = left < 0 if sign == "%" else (left < 0) != (right < 0)
            reckoned = (rest if sign == "%" else cut) * (-1 if is_below else 1)
    return reckoned if -(2**63) <= reckoned < 2**63 else None


# SQLite gives a function 127 arguments at most: a first number, then signs and numbers.
_LINKS = 60


def _call_chain(
    name: str, element: SpeltFunction[Any], compiler: SQLCompiler, kw: dict[str, Any]
) -> str:
    """A chain that leans to the left, `a + b - c`, as one call: SQLite's parser does not nest deep.

    Source: "Implementation Limits For SQLite" (SQLITE_MAX_FUNCTION_ARG), parse.y (YYSTACKDEPTH)
    """
    links: list[tuple[Any, Any]] = []
    first: Any = element
    while type(first) is type(element):
        sign, first, right = first.clauses
        links.append((sign, right))
    text = compiler.process(first, **kw)
    links.reverse()
    for start in range(0, len(links), _LINKS):
        given = (
            f"'{compiler.process(sign, **kw)}', {compiler.process(right, **kw)}"
            for sign, right in links[start : start + _LINKS]
        )
        text = f"{name}({text}, {', '.join(given)})"
    return text


def _walk_chain(reckon: Callable[[str, Any, Any], Any]) -> Callable[..., Any]:
    """A function of two numbers and their sign as one of a chain of them."""

    def walk(number: Any, *links: Any) -> Any:
        for place in range(0, len(links), 2):
            number = reckon(links[place], number, links[place + 1])
        return number

    return walk


def add_arithmetic(raw: Any) -> None:
    """Teach a connection of SQLite this; checks in SQL would nest deeper than it reads."""
    for name, reckon in (
        ("fullcount_reckon", reckon_doubles),
        ("fullcount_reckon_whole", reckon_whole),
    ):
        raw.create_function(name, -1, _walk_chain(reckon), deterministic=True)


_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "divby": "/", "mod": "%"}


def as_double(number: Sql) -> Sql:
    """A number as a double; a bound value has no type of its own on PostgreSQL."""
    plain = isinstance(number.type, Double) and not isinstance(number, BindParameter)
    return number if plain else cast(number, Double)


def write_arithmetic(operator: str, left: Sql, right: Sql, *, whole: bool) -> Sql:
    """The SQL of `add sub mul div divby mod`; `whole` when both sides are integers.

    Source: OData URL Conventions 4.01, section 5.1.1.2
    """
    if whole and operator != "divby":
        return ExactInteger(literal_column(_SIGNS[operator]), left, right)
    if operator == "mod":
        return DecimalRemainder(left, right)
    return DoubleResult(literal_column(_SIGNS[operator]), left, right)


def shift_moment(moment: Sql, span: Sql, *, back: bool, is_day: bool) -> Sql:
    """A moment, or a day's text, so much later or earlier; null beyond the years 1 to 9999."""
    micros = (DayMicros if is_day else MomentMicros)(moment)
    moved: Sql = MomentOf(micros - span if back else micros + span)
    return DayOf(moved) if is_day else moved


def span_between(later: Sql, earlier: Sql, *, is_day: bool) -> Sql:
    """The duration from one moment, or day's text, to another."""
    micros = DayMicros if is_day else MomentMicros
    return micros(later) - micros(earlier)


def scale_span(operator: str, span: Sql, number: Sql) -> Sql:
    """A duration times a number, or divided by it."""
    return SpanWithin(RoundedNumber(DoubleResult(literal_column(_SIGNS[operator]), span, number)))


# Casts. Source: OData URL Conventions 4.01, section 5.1.1.10.1


class WholeWithin(SpeltFunction[int]):
    """A number as a whole one: the literal least and the literal bound above it; null outside."""

    type = BigInteger()


@compiles(WholeWithin)
def _whole(element: WholeWithin, compiler: SQLCompiler, **kw: Any) -> str:
    number, least, above = given_texts(element, compiler, **kw)
    rule = f"CASE WHEN q.x >= {least} AND q.x < {above} THEN CAST(q.x AS BIGINT) END"
    if compiler.dialect.name != "sqlite":
        return fenced_once(rule, x=number)
    if not isinstance(next(iter(element.clauses)).type, Double):
        # A whole number that left 64 bits on the way went on as a double.
        rule = f"CASE typeof(q.x) WHEN 'integer' THEN {rule} END"
    return written_once(rule, x=number)


def whole_between(number: Sql, least: int, most: int, *, is_double: bool) -> Sql:
    """A number rounded to a whole one, null outside these bounds."""
    # 2**63 itself is a double, but no whole number of 64 bits; as a text of digits both have it.
    above = f"{most + 1}.0" if is_double or most == 2**63 - 1 else str(most + 1)
    rounded: Sql = RoundedNumber(number) if is_double else number
    return WholeWithin(rounded, literal_column(f"{least}.0"), literal_column(above))
