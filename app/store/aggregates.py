"""Aggregates that SQLite lacks: their SQL words, and what SQLite is told to reckon them with.

Both databases give the same number, whatever the order of the rows.
"""

from math import ceil, floor, isqrt
from typing import Any

from sqlalchemy import Double
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

_MILLION = 1_000_000


class Percentile(FunctionElement[float]):
    """The literal share, 0 to 1, and numbers: the value at that share, between its neighbours."""

    inherit_cache = True
    type = Double()


@compiles(Percentile)
def _percentile(element: Percentile, compiler: SQLCompiler, **kw: Any) -> str:
    share, number = (compiler.process(clause, **kw) for clause in element.clauses)
    ordered = f"ORDER BY ({number})::double precision"
    return f"percentile_cont({share}) WITHIN GROUP ({ordered})"


@compiles(Percentile, "sqlite")
def _percentile_sqlite(element: Percentile, compiler: SQLCompiler, **kw: Any) -> str:
    share, number = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"fullcount_percentile({share}, {number})"


class Deviation(FunctionElement[float]):
    """The standard deviation of the whole group, to a millionth."""

    inherit_cache = True
    type = Double()


@compiles(Deviation)
def _deviation(element: Deviation, compiler: SQLCompiler, **kw: Any) -> str:
    (number,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"(round(stddev_pop(round(({number})::numeric, 6)), 6)::double precision)"


@compiles(Deviation, "sqlite")
def _deviation_sqlite(element: Deviation, compiler: SQLCompiler, **kw: Any) -> str:
    (number,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"fullcount_deviation({number})"


class PercentileOf:
    """Reckons `fullcount_percentile`: as PostgreSQL's percentile_cont, to the last digit."""

    def __init__(self) -> None:
        self.share = 0.0
        self.values: list[float] = []

    def step(self, share: float, value: float | None) -> None:
        """Take one row's value."""
        if value is not None:
            self.share = share
            self.values.append(float(value))

    def finalize(self) -> float | None:
        """Give the value at the share; null without values."""
        if not self.values:
            return None
        self.values.sort()
        place = self.share * (len(self.values) - 1)
        low, high = self.values[floor(place)], self.values[ceil(place)]
        return low + (place - floor(place)) * (high - low)


class DeviationOf:
    """Reckons `fullcount_deviation` in whole millionths, so that nothing is lost."""

    def __init__(self) -> None:
        self.count = self.sum = self.squares = 0

    def step(self, value: float | None) -> None:
        """Take one row's value."""
        if value is None:
            return
        millionths = floor(abs(value) * _MILLION + 0.5) * (1 if value >= 0 else -1)
        self.count += 1
        self.sum += millionths
        self.squares += millionths * millionths

    def finalize(self) -> float | None:
        """Give the square root of the variance; null without values."""
        if not self.count:
            return None
        spread = self.count * self.squares - self.sum * self.sum
        return (isqrt(4 * spread // (self.count * self.count)) + 1) // 2 / _MILLION


def add_aggregates(raw: Any) -> None:
    """Teach a connection of SQLite these aggregates."""
    raw.create_aggregate("fullcount_percentile", 2, PercentileOf)
    raw.create_aggregate("fullcount_deviation", 1, DeviationOf)
