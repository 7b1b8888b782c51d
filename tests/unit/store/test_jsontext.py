"""JSON written by the database is, once parsed, exactly what was stored."""

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Boolean, Connection, Double, Text, bindparam, cast, literal_column, select
from sqlalchemy.types import BigInteger, NullType

from app.store.engine import Store, snapshot
from app.store.jsontext import (
    days_between,
    inner_row,
    inner_rows,
    join_rows,
    joined_list,
    json_flag,
    json_inner,
    json_moment,
    json_number,
    row_text,
    rows_from_json,
)
from app.store.tables.columns import UtcDateTime

TEXTS = ["", "a", 'a"b\\c', "\n\t\x01\x1f", "é", "😀", "\u2028", "</script>", "50%", "{}", ",", "}"]
MOMENTS = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2025, 5, 24, 10, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 1, tzinfo=UTC),
]


@pytest.fixture
def connection(store: Store) -> Iterator[Connection]:
    with snapshot(store) as opened:
        yield opened


def written(connection: Connection, *values: Any) -> Any:
    """The object {v0: value, ...} as it comes out of the database and its JSON."""
    return written_as(connection, {f"v{number}": value for number, value in enumerate(values)})


def written_as(connection: Connection, values: dict[str, Any]) -> Any:
    """The object of these names and values as it comes out of the database and its JSON."""
    pairs: list[Any] = []
    for name, value in values.items():
        quoted: Any = literal_column("'" + name.replace("'", "''") + "'")
        pairs += [quoted, value]
    row = select(row_text(*pairs).label("j")).subquery()
    text, count = connection.execute(join_rows(row.c.j, row)).one()
    assert count == 1
    return json.loads(text)


def test_a_member_may_have_any_name(connection: Connection) -> None:
    """Also that of an alias in the SQL around it."""
    for name in ("r", "row", "q", "x", "t1", "c1", "j", "value", "*_"):
        assert written_as(connection, {name: literal_column("1.5", Double())}) == {name: 1.5}
    assert written_as(connection, {}) == {}


def test_rows_hold_rows_and_lists_of_rows(connection: Connection) -> None:
    one: Any = literal_column("1", BigInteger())
    name: Any = literal_column("'n'")
    rows = select(row_text(name, one).label("j")).subquery()
    some = inner_rows(select(joined_list(rows.c.j)).scalar_subquery())
    there: Any = literal_column("1 = 1")
    absent: Any = literal_column("1 = 2")
    values = {
        "list": some,
        "row": inner_row(there, name, one),
        "row of a list": inner_row(there, name, one, literal_column("'l'"), some),
        "no row": inner_row(absent, name, one),
        "no row of a list": inner_row(absent, name, one, name, some),
    }
    assert written_as(connection, {"own": one, **values}) == {
        "own": 1,
        "list": [{"n": 1}],
        "row": {"n": 1},
        "row of a list": {"n": 1, "l": [{"n": 1}]},
        "no row": None,
        "no row of a list": None,
    }
    wide = {f"v{number}": one for number in range(70)}
    assert written_as(connection, wide | values)["list"] == [{"n": 1}]


def a_bound(value: Any, kind: Any) -> Any:
    return bindparam(None, value, type_=kind, unique=True)


def number_written(connection: Connection, number: float) -> Any:
    return written(connection, json_number(a_bound(number, Double())))["v0"]


def is_same(found: Any, number: float) -> bool:
    return float(found) == number


@pytest.mark.parametrize(
    "number",
    [
        0.1,
        0.1 + 0.2,
        1 / 3,
        33.3,
        99.95,
        5e-324,
        2.2250738585072014e-308,
        1.7976931348623157e308,
        -1.7976931348623157e308,
        4503599627370497.5,
        -9007199254.740993,
        9007199254.740993,
        -4503599627.370497,
        999999999.9999999,
        123456789.123456789,
        1e22,
        1e23,
        9007199254740993.0,
        -0.000001,
        1e-7,
        8.41e21,
        6.631236846766476e-316,
    ],
)
def test_a_double_keeps_all_its_digits(connection: Connection, number: float) -> None:
    assert is_same(number_written(connection, number), number)


@pytest.mark.parametrize("number", [0.0, -0.0, 100.0, -7.0, 1e14, -999999999999.0])
def test_a_whole_number_is_written_as_an_integer(connection: Connection, number: float) -> None:
    assert type(number_written(connection, number)) is int
    assert is_same(number_written(connection, number), number)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(number=st.floats(allow_nan=False, allow_infinity=False))
@example(number=-0.0)
def test_any_finite_double_comes_out_exactly_equal(connection: Connection, number: float) -> None:
    found = number_written(connection, number)
    assert is_same(found, number), (number, found, math.ulp(number))


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(number=st.integers(-(2**60), 2**60), places=st.integers(0, 9))
def test_decimals_people_write_come_out_exactly(
    connection: Connection, number: int, places: int
) -> None:
    asked = number / 10**places
    assert is_same(number_written(connection, asked), asked)


def test_whole_numbers_keep_64_bits(connection: Connection) -> None:
    numbers = [2**63 - 1, -(2**63), 2**53 + 1, 0]
    found = written(connection, *(a_bound(n, BigInteger()) for n in numbers))
    assert list(found.values()) == numbers


@pytest.mark.parametrize("text", TEXTS)
def test_texts_come_out_as_they_are(connection: Connection, text: str) -> None:
    assert written(connection, a_bound(text, Text())) == {"v0": text}


def test_flags_are_true_false_or_null(connection: Connection) -> None:
    flags = [True, False, None]
    given = (cast(a_bound(flag, Boolean()), Boolean()) for flag in flags)
    found = written(connection, *(json_flag(flag) for flag in given))
    assert list(found.values()) == flags


@pytest.mark.parametrize("moment", MOMENTS)
def test_moments_have_six_decimals_and_z(connection: Connection, moment: datetime) -> None:
    (found,) = written(connection, json_moment(a_bound(moment, UtcDateTime()))).values()
    assert found == f"{moment.date().isoformat()}T{moment:%H:%M:%S.%f}Z"


def test_kept_json_comes_out_as_json(connection: Connection) -> None:
    kept = '{"a": [1, "x", null], "b": {"c": 0.1}}'
    assert written(connection, json_inner(a_bound(kept, Text()))) == {"v0": json.loads(kept)}


@pytest.mark.parametrize("width", [1, 49, 50, 51, 62, 63, 64, 100])
def test_rows_of_any_width_are_one_object(connection: Connection, width: int) -> None:
    values = [a_bound("}" if i % 3 == 0 else f"{i}", Text()) for i in range(width)]
    found = written(connection, *values)
    assert found == {f"v{i}": "}" if i % 3 == 0 else f"{i}" for i in range(width)}


@pytest.mark.parametrize("width", [1, 60])
@pytest.mark.parametrize("name", ["n" * 63, "n" * 64, "é" * 32, "n" * 128, "", "@odata.id", "a b"])
def test_objects_have_members_of_any_name(connection: Connection, name: str, width: int) -> None:
    wanted = {f"{i}{name}" if i else name: f"{i}" for i in range(width)}
    values = {name: a_bound(value, Text()) for name, value in wanted.items()}
    assert written_as(connection, values) == wanted


@pytest.mark.parametrize("width", [62, 63, 130])
def test_objects_within_wide_rows_stay_whole(connection: Connection, width: int) -> None:
    values = [json_inner(a_bound('{"a":{}}', Text())) for _ in range(width)]
    assert written(connection, *values) == {f"v{i}": {"a": {}} for i in range(width)}


def test_days_between_are_whole_days(connection: Connection) -> None:
    begin = datetime(2025, 5, 24, 10, tzinfo=UTC)
    ends = {
        datetime(2025, 5, 24, 10, tzinfo=UTC): 0,
        datetime(2025, 5, 25, 9, 59, 59, tzinfo=UTC): 0,
        datetime(2025, 5, 25, 10, tzinfo=UTC): 1,
        datetime(2026, 5, 24, 10, tzinfo=UTC): 365,
    }
    for end, days in ends.items():
        sides = [a_bound(moment, UtcDateTime()) for moment in (begin, end)]
        assert connection.execute(select(days_between(*sides))).scalar_one() == days


def test_no_rows_are_empty(connection: Connection) -> None:
    nothing = b"" if connection.dialect.name == "sqlite" else ""
    row = select(literal_column("'{}'").label("j")).where(literal_column("1 = 0")).subquery()
    assert tuple(connection.execute(join_rows(row.c.j, row)).one()) == (nothing, 0)


def test_rows_are_read_from_json_with_their_types(connection: Connection, store: Store) -> None:
    kinds = {"t": "text", "i": "int", "n": "number", "b": "bool", "at": "time"}
    rows = [
        {"t": "x'y", "i": 2**53 + 1, "n": 0.1, "b": True, "at": "2025-05-24T10:00:00.000000Z"},
        {"t": None, "b": False},
    ]
    given = bindparam("rows", json.dumps(rows), type_=NullType())
    source = rows_from_json(given, list(kinds.items()), store.dialect_name, name="given")
    found = connection.execute(select(source)).mappings().all()
    assert [dict(row) for row in found] == [
        {
            "t": "x'y",
            "i": 2**53 + 1,
            "n": 0.1,
            "b": True,
            "at": datetime(2025, 5, 24, 10, tzinfo=UTC),
        },
        {"t": None, "i": None, "n": None, "b": False, "at": None},
    ]
