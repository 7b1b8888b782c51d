"""Sums, percentiles, deviations and correlations: both databases against Python."""

from collections.abc import Sequence
from fractions import Fraction
from statistics import correlation, median, pstdev, quantiles
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Double, cast, func, literal, literal_column, select, union_all

from app.store.aggregates import (
    Correlation,
    Deviation,
    OwnShare,
    Percentile,
    RunningTotal,
    Total,
    TotalBefore,
    WholeMean,
)
from app.store.engine import Store, snapshot
from app.store.statement import compile_statement

NUMBERS = st.lists(
    st.one_of(st.none(), st.integers(-1_000_000, 1_000_000).map(lambda n: n / 1000)), max_size=12
)


def ask(store: Store, numbers: list[float | None]) -> list[float | None]:
    """Median, 10th and 90th percentile and deviation of numbers, by the database."""
    rows = union_all(*(select(cast(literal(x), Double()).label("x")) for x in numbers)).subquery()
    asked: Any = select(
        *(Percentile(literal_column(share), rows.c.x) for share in ("0.5", "0.1", "0.9")),
        Deviation(rows.c.x),
    )
    with snapshot(store) as connection:
        statement = compile_statement(asked, connection.dialect.name)
        row = connection.exec_driver_sql(statement.text, statement.bind({})).one()
    return list(row)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=NUMBERS)
def test_the_databases_reckon_as_python_does(store: Store, numbers: list[float | None]) -> None:
    known = [x for x in numbers if x is not None]
    if not numbers:
        return
    found = ask(store, [*numbers, None])
    if not known:
        assert found == [None, None, None, None]
        return
    tenths = quantiles(known, n=10, method="inclusive") if len(known) > 1 else known * 9

    assert found[:3] == pytest.approx([median(known), tenths[0], tenths[8]], abs=1e-6)
    assert found[3] == pytest.approx(pstdev(known), abs=1.1e-6)


def test_between_two_values_a_percentile_is_interpolated(store: Store) -> None:
    assert ask(store, [10.0, 20.0, 30.0, None, 40.0]) == [25.0, 13.0, 37.0, 11.18034]


PAIRS = st.lists(
    st.tuples(st.integers(-50, 50).map(float), st.integers(-1000, 1000).map(lambda n: n / 8)),
    min_size=2,
    max_size=12,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=PAIRS)
def test_correlations_are_those_of_python(store: Store, pairs: list[tuple[float, float]]) -> None:
    whole: list[tuple[float | None, float | None]] = [*pairs, (None, 1.0), (1.0, None)]
    rows = union_all(
        *(
            select(
                cast(literal(x), Double()).label("x"),
                cast(literal(y), Double()).label("y"),
            )
            for x, y in whole
        )
    ).subquery()
    with snapshot(store) as connection:
        statement = compile_statement(
            select(Correlation(rows.c.x, rows.c.y)), connection.dialect.name
        )
        found = connection.exec_driver_sql(statement.text, statement.bind({})).scalar_one()
    xs, ys = [x for x, _ in pairs], [y for _, y in pairs]
    if len(set(xs)) == 1 or len(set(ys)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(correlation(xs, ys), abs=1.1e-6)


def reckon(store: Store, aggregate: Any, values: Sequence[float | None], *, whole: bool) -> Any:
    """An aggregate of these numbers, by the database."""
    kind: Any = BigInteger() if whole else Double()
    rows = union_all(*(select(cast(literal(x, kind), kind).label("x")) for x in values)).subquery()
    with snapshot(store) as connection:
        statement = compile_statement(select(aggregate(rows.c.x)), connection.dialect.name)
        return connection.exec_driver_sql(statement.text, statement.bind({})).scalar_one()


SUMMED = st.lists(
    st.one_of(
        st.integers(-(10**12), 10**12).map(lambda n: n / 10**6),
        st.integers(-(10**12), 10**12).map(lambda n: n / 7e12),
        st.floats(-1e306, 1e306),
        st.sampled_from((1e300, -1e300, 1e-300, 1e15, 123456789.123456, 1e9, 1e-307)),
    ).filter(lambda x: x == 0 or abs(x) >= 1e-307),
    min_size=1,
    max_size=12,
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=SUMMED)
def test_sums_are_of_fifteen_digits_and_exact_in_any_order(
    store: Store, values: list[float]
) -> None:
    whole = sum((Fraction(f"{x:.15g}") for x in values), Fraction())
    expected = 0.0 if abs(whole) < Fraction("1e-307") else float(whole)
    assert reckon(store, Total, values, whole=False) == expected
    assert reckon(store, Total, [None, *values[::-1]], whole=False) == expected


def test_a_sum_is_null_without_values_and_beyond_a_double(store: Store) -> None:
    assert reckon(store, Total, [None], whole=False) is None
    assert reckon(store, Total, [1e308, 1e308, -1e308], whole=False) == 1e308
    assert reckon(store, Total, [1e308, 1e308], whole=False) is None
    assert reckon(store, Total, [5e-324, -1e-323], whole=False) == 0


WHOLES = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=9)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=WHOLES)
def test_whole_numbers_have_an_exact_mean(store: Store, values: list[int]) -> None:
    assert reckon(store, WholeMean, [*values, None], whole=True) == sum(values) / len(values)


def test_the_largest_whole_numbers_deviate_as_small_ones_do(store: Store) -> None:
    values = [x - 2**62 for x in (0, 1, 5, 9)]
    assert reckon(store, Deviation, values, whole=True) == 3.561952
    assert reckon(store, WholeMean, [None], whole=True) is None


def before_and_whole(store: Store, values: Sequence[float]) -> list[tuple[float, float]]:
    """Of each place, the sum before it and that of all places."""
    rows = union_all(
        *(
            select(literal_column(str(place)).label("n"), cast(literal(x), Double()).label("x"))
            for place, x in enumerate(values)
        )
    ).subquery()
    before: Any = TotalBefore(rows.c.x).over(order_by=rows.c.n, rows=(None, 0))
    whole: Any = RunningTotal(rows.c.x).over()
    told: Any = (
        cast(before - OwnShare(rows.c.x), Double()),
        cast(func.coalesce(whole, 0), Double()),
    )
    with snapshot(store) as connection:
        asked = compile_statement(select(*told).order_by(rows.c.n), connection.dialect.name)
        return [tuple(row) for row in connection.exec_driver_sql(asked.text, asked.bind({}))]


@pytest.mark.parametrize("unit", [1.0, 1e-15, 1e-300, 1e280])
def test_sums_before_a_row_are_exact(store: Store, unit: float) -> None:
    values = [unit / 3, unit / 4, unit, 3 * unit]
    digits = [Fraction(f"{x:.15g}") for x in values]
    expected = [(float(sum(digits[:n])), float(sum(digits))) for n in range(4)]
    assert before_and_whole(store, values) == expected
