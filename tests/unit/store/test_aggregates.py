"""Percentiles, deviations and correlations: both databases against Python."""

from statistics import correlation, median, pstdev, quantiles
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Double, cast, literal, literal_column, select, union_all

from app.store.aggregates import Correlation, Deviation, Percentile
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
