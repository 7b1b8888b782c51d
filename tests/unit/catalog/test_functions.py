"""Every function, operator and aggregate gives on each database what Python gives."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from math import ceil, floor, fmod
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    Connection,
    Double,
    Text,
    bindparam,
    cast,
    create_engine,
    select,
    union_all,
)
from sqlalchemy.dialects import sqlite

from app.catalog.fields import Type
from app.catalog.functions import AGGREGATES, FUNCTIONS, aggregate_named, function_named
from app.store.aggregates import add_aggregates
from app.store.arithmetic import add_arithmetic, reckon_doubles, write_arithmetic
from app.store.folding import add_folding
from app.store.tables.columns import UtcDateTime

TYPES: dict[Type, Any] = {
    Type.TEXT: Text(),
    Type.INT: BigInteger(),
    Type.NUMBER: Double(),
    Type.TIME: UtcDateTime(),
    Type.DATE: Text(),
    Type.SPAN: BigInteger(),
}
TEXTS = ["", "a", "abc", "ABC", "Müller", "50%_x", "a'b", "bc", "%", "_", "😀x", "\\", "aXbX"]
NUMBERS = [0.0, 0.4, 0.5, 1.5, 2.5, -0.2, -0.5, -1.5, -2.5, 1e-9, 99.95, 4503599627370497.0, -1e300]
MOMENTS = [
    datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2024, 2, 29, 0, 0, 0, 0, tzinfo=UTC),
    datetime(2025, 5, 24, 10, 7, 5, 120000, tzinfo=UTC),
]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    engine = create_engine(database_url)
    with engine.connect() as opened:
        if engine.dialect.name == "sqlite":
            add_aggregates(opened.connection.dbapi_connection)
            add_arithmetic(opened.connection.dbapi_connection)
            add_folding(opened.connection.dbapi_connection)
        yield opened
    engine.dispose()


def bound(value: Any, kind: Type) -> Any:
    return bindparam(None, value, type_=TYPES[kind], unique=True)


def kind_of(value: Any) -> Type:
    kinds = {str: Type.TEXT, int: Type.INT, float: Type.NUMBER, datetime: Type.TIME}
    return kinds[type(value)]


def call(connection: Connection, name: str, *values: Any) -> Any:
    row = function_named(name)
    assert row is not None
    assert row.sql is not None
    kinds = row.arguments
    given = [bound(v, kinds[i][0] if v is None else kind_of(v)) for i, v in enumerate(values)]
    return connection.execute(select(row.sql(*given))).scalar_one()


PAIRS: dict[str, Callable[[str, str], Any]] = {
    "concat": lambda a, b: a + b,
    "contains": lambda a, b: b in a,
    "startswith": lambda a, b: a.startswith(b),
    "endswith": lambda a, b: a.endswith(b),
    "indexof": lambda a, b: a.find(b),
}


@pytest.mark.parametrize("name", PAIRS)
def test_functions_of_two_texts_do_what_python_does(connection: Connection, name: str) -> None:
    wrong = [
        (a, b, found)
        for a in TEXTS
        for b in TEXTS
        if (found := call(connection, name, a, b)) != PAIRS[name](a, b)
    ]
    assert wrong == []


def test_lengths_count_characters(connection: Connection) -> None:
    assert [call(connection, "length", text) for text in TEXTS] == [len(text) for text in TEXTS]


@pytest.mark.parametrize("start", [-(2**63), -3, -1, 0, 1, 2, 7, 2**40])
@pytest.mark.parametrize("length", [None, -1, 0, 1, 3, 2**40])
def test_substrings_are_cut_as_python_cuts_them(
    connection: Connection, start: int, length: int | None
) -> None:
    for text in TEXTS:
        first = start if start >= 0 else max(start + len(text), 0)
        values = (text, start) if length is None else (text, start, length)
        last = None if length is None else first + max(length, 0)
        assert call(connection, "substring", *values) == text[first:last]


def test_letters_of_every_script_change_their_case_one_for_one(connection: Connection) -> None:
    assert call(connection, "tolower", "ÄbC-Ü ΣЖ Ⅷ") == "äbc-ü σж ⅷ"
    assert call(connection, "toupper", "äbC-ü ςж ⅷ") == "ÄBC-Ü ΣЖ Ⅷ"
    assert call(connection, "toupper", "ßﬁ") == "ßﬁ"


def test_trim_takes_blanks_tabs_and_line_ends_off(connection: Connection) -> None:
    assert call(connection, "trim", " \t a b \r\n\v\f") == "a b"


@pytest.mark.parametrize("part", ["year", "month", "day", "hour", "minute", "second"])
def test_parts_of_moments_are_those_of_utc(connection: Connection, part: str) -> None:
    for moment in MOMENTS:
        assert call(connection, part, moment) == getattr(moment, part)


def test_parts_of_days_are_those_of_the_text(connection: Connection) -> None:
    assert call(connection, "year", "2024-02-29") == 2024
    assert call(connection, "day", "2024-02-29") == 29


def test_fractions_of_seconds_and_days_come_from_the_moment(connection: Connection) -> None:
    for moment in MOMENTS:
        assert call(connection, "fractionalseconds", moment) == moment.microsecond / 1e6
        assert call(connection, "date", moment) == moment.date().isoformat()
        assert call(connection, "totaloffsetminutes", moment) == 0


def away_from_zero(x: float) -> float:
    if abs(x) >= 2**52:
        return x
    return float(floor(x + 0.5)) if x > 0 else float(ceil(x - 0.5))


def test_rounding_goes_away_from_zero_at_halves(connection: Connection) -> None:
    rules: dict[str, Callable[[float], float]] = {
        "round": away_from_zero,
        "floor": floor,
        "ceiling": ceil,
    }
    for name, rule in rules.items():
        for number in NUMBERS:
            found = call(connection, name, number)
            assert found == rule(number), (name, number)
            assert str(found) != "-0.0"


def test_a_null_argument_gives_null(connection: Connection) -> None:
    samples = {Type.TEXT: "a", Type.INT: 1, Type.TIME: MOMENTS[0], Type.NUMBER: 1.0}
    for row in FUNCTIONS:
        for null_at in range(len(row.arguments)):
            values = [
                None if i == null_at else samples[kinds[0]] for i, kinds in enumerate(row.arguments)
            ]
            assert call(connection, row.name, *values) is None, (row.name, null_at)


def reckon(connection: Connection, operator: str, left: Any, right: Any) -> Any:
    sides = [bound(v, kind_of(v)) for v in (left, right)]
    whole = isinstance(left, int) and isinstance(right, int)
    return connection.execute(select(write_arithmetic(operator, *sides, whole=whole))).scalar_one()


WHOLES = [(7, 2), (-7, 2), (7, -2), (-7, -2), (6, 3), (0, 5)]


@pytest.mark.parametrize(("left", "right"), WHOLES)
def test_whole_numbers_are_divided_towards_zero(
    connection: Connection, left: int, right: int
) -> None:
    assert reckon(connection, "div", left, right) == int(left / right)
    assert reckon(connection, "mod", left, right) == int(fmod(left, right))
    assert reckon(connection, "divby", left, right) == left / right
    assert reckon(connection, "add", left, right) == left + right
    assert reckon(connection, "sub", left, right) == left - right
    assert reckon(connection, "mul", left, right) == left * right


@pytest.mark.parametrize(("left", "right"), [(7.5, 2.0), (-7.5, 2), (0.1, 0.2), (1, 0.25)])
def test_decimals_are_reckoned_as_doubles(
    connection: Connection, left: float, right: float
) -> None:
    assert reckon(connection, "div", left, right) == left / right
    assert reckon(connection, "mod", left, right) == fmod(left, right)
    assert reckon(connection, "add", left, right) == left + right
    assert reckon(connection, "sub", left, right) == left - right
    assert reckon(connection, "mul", left, right) == left * right


REMAINDERS = [
    (13.1, 0.1, 0.0),
    (0.3, 0.1, 0.0),
    (13.15, 0.1, 0.05),
    (-13.15, 0.1, -0.05),
    (13.15, -0.1, 0.05),
    (-6.0, 3.0, 0.0),
    (9007199254740991.0, 2.0, 1.0),
    (1e300, 7.0, 1.0),
    (1.7e308, 5e-324, 0.0),
    (2.5, 1e300, 2.5),
    (1e-310, 1.0, 0.0),
]


@pytest.mark.parametrize(("left", "right", "rest"), REMAINDERS)
def test_what_is_left_of_decimals_is_that_of_their_digits(
    connection: Connection, left: float, right: float, rest: float
) -> None:
    found = reckon(connection, "mod", left, right)
    assert (found, str(found)[0] == "-") == (rest, rest < 0)


def test_what_is_left_has_the_sign_of_the_left_and_is_less_than_the_right(
    connection: Connection,
) -> None:
    # What is left of the first is nearer to its divisor than a double can tell.
    pairs = [(5103896103896117.0, 0.30000000000000077), (2409448818897648.0, 0.30000000000000127)]
    pairs += [(1e23, 7.0), (1e22, 0.30000000000000004), (3e22, 7.000000000000001e-5)]
    for left, right in pairs:
        for x, y in ((left, right), (-left, right), (left, -right)):
            found = reckon(connection, "mod", x, y)
            assert abs(found) < abs(y), (x, y)
            assert found * x >= 0, (x, y)
            assert found == reckon_doubles("%", x, y), (x, y)


@pytest.mark.parametrize("operator", ["div", "divby", "mod"])
@pytest.mark.parametrize(("left", "right"), [(1, 0), (1.5, 0.0), (0, 0), (1, 0.0)])
def test_division_by_zero_is_null(
    connection: Connection, operator: str, left: float, right: float
) -> None:
    assert reckon(connection, operator, left, right) is None


BEYOND = [("mul", 2**62, 4), ("add", 2**63 - 1, 1), ("sub", -(2**63), 1), ("div", -(2**63), -1)]


@pytest.mark.parametrize(("operator", "left", "right"), BEYOND)
def test_whole_numbers_beyond_64_bits_are_null_on_the_way_and_at_the_end(
    connection: Connection, operator: str, left: int, right: int
) -> None:
    assert reckon(connection, operator, left, right) is None
    sides = [bound(value, Type.INT) for value in (left, right)]
    beyond = write_arithmetic(operator, *sides, whole=True)
    back = write_arithmetic("sub", beyond, sides[1], whole=True)
    assert connection.execute(select(back)).scalar_one() is None
    assert reckon(connection, "sub", 2**63 - 1, 1) == 2**63 - 2
    assert reckon(connection, "mod", -(2**63), -1) == 0


@pytest.mark.parametrize("number", [3, 2.5], ids=["whole", "decimals"])
def test_long_chains_are_reckoned_from_left_to_right(connection: Connection, number: float) -> None:
    expected, chain = number, bound(number, kind_of(number))
    for place in range(90):
        operator, other = ("add", number + place) if place % 3 else ("sub", number * place)
        expected += other if place % 3 else -other
        whole = isinstance(number, int)
        chain = write_arithmetic(operator, chain, bound(other, kind_of(other)), whole=whole)
    assert connection.execute(select(chain)).scalar_one() == expected


def gather(connection: Connection, name: str, values: list[Any], kind: Type) -> Any:
    row = aggregate_named(name)
    assert row is not None
    rows = union_all(
        *(select(cast(bound(v, kind), TYPES[kind]).label("value")) for v in values)
    ).subquery()
    second: tuple[Any, ...] = ()
    if row.beside:
        other = 1.5 if Type.NUMBER in row.beside else MOMENTS[0]
        second = (cast(bound(other, kind_of(other)), TYPES[kind_of(other)]),)
    return connection.execute(select(row.sql(rows.c.value, kind, *second))).scalar_one()


def test_sums_of_decimals_are_exact_in_any_order(connection: Connection) -> None:
    tenths = [0.1, 0.2, 0.3, 0.7, None, 1e6, -1e6]
    assert gather(connection, "sum", tenths, Type.NUMBER) == 1.3
    assert gather(connection, "sum", tenths[::-1], Type.NUMBER) == 1.3
    assert gather(connection, "average", [0.1, 0.2, None], Type.NUMBER) == pytest.approx(0.15)
    assert gather(connection, "average", [1, 2], Type.INT) == 1.5
    assert gather(connection, "sum", [1, 2, None], Type.INT) == 3


def test_aggregates_leave_nulls_out(connection: Connection) -> None:
    words = ["b", "a", None, "B", "a"]
    found = {row.name: gather(connection, row.name, words, Type.TEXT) for row in AGGREGATES[:2]}
    assert found == {"count": 4, "distinct": 3}
    assert gather(connection, "min", words, Type.TEXT) == "B"
    assert gather(connection, "max", words, Type.TEXT) == "b"
    assert gather(connection, "max", [*MOMENTS, None], Type.TIME) == MOMENTS[-1]
    nothing = {row.name: gather(connection, row.name, [None], Type.NUMBER) for row in AGGREGATES}
    assert nothing == {
        "count": 0,
        "distinct": 0,
        "sum": None,
        "min": None,
        "max": None,
        "average": None,
        "median": None,
        "p10": None,
        "p90": None,
        "deviation": None,
        "first": None,
        "last": None,
        "correlation": None,
        "share": None,
    }


def test_nesting_does_not_multiply_the_statement() -> None:
    nested = bound(1.5, Type.NUMBER)
    for name in ("round", "floor", "ceiling") * 4:
        row = function_named(name)
        assert row is not None
        assert row.sql is not None
        nested = write_arithmetic("mod", row.sql(nested), bound(7.5, Type.NUMBER), whole=False)
    assert len(str(select(nested).compile(dialect=sqlite.dialect()))) < 10_000


def test_every_function_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs/expressions.md").read_text()
    assert [row.name for row in FUNCTIONS if f"`{row.name}(" not in page] == []
