"""Aggregates that SQLite lacks: their SQL words, and what SQLite is told to reckon them with.

Both databases give the same number, whatever the order of the rows.
"""

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import ceil, floor, isqrt, sqrt
from typing import Any

from sqlalchemy import BigInteger, Double, String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from app.store.arithmetic import GREATEST
from app.store.spelling import SpeltFunction, given_texts

_MILLION = 1_000_000


class Percentile(SpeltFunction[float]):
    """The literal share, 0 to 1, and numbers: the value at that share, between its neighbours."""

    type = Double()
    postgresql = "percentile_cont({0}) WITHIN GROUP (ORDER BY {1}::double precision)"
    sqlite = "fullcount_percentile({0}, {1})"


class Deviation(SpeltFunction[float]):
    """The standard deviation of the whole group, to a millionth."""

    type = Double()
    postgresql = "(round(stddev_pop(round({0}::numeric, 6)), 6)::double precision)"
    sqlite = "fullcount_deviation({0})"


class Earliest(SpeltFunction[Any]):
    """Values and moments: the value of the earliest moment; of several, the least value."""


class Latest(SpeltFunction[Any]):
    """Values and moments: the value of the latest moment; of several, the greatest value."""


def _picked(element: SpeltFunction[Any], compiler: SQLCompiler, way: str, kw: Any) -> str:
    value, moment = given_texts(element, compiler, **kw)
    is_text = isinstance(next(iter(element.clauses)).type, String)
    sorted_value = f'{value} COLLATE "C"' if is_text else value
    known = f"{value} IS NOT NULL AND {moment} IS NOT NULL"
    ordered = f"ORDER BY {moment} {way}, {sorted_value} {way}"
    return f"(array_agg({value} {ordered}) FILTER (WHERE {known}))[1]"


@compiles(Earliest)
def _earliest(element: Earliest, compiler: SQLCompiler, **kw: Any) -> str:
    return _picked(element, compiler, "ASC", kw)


@compiles(Latest)
def _latest(element: Latest, compiler: SQLCompiler, **kw: Any) -> str:
    return _picked(element, compiler, "DESC", kw)


@compiles(Earliest, "sqlite")
def _earliest_sqlite(element: Earliest, compiler: SQLCompiler, **kw: Any) -> str:
    return f"fullcount_earliest({', '.join(given_texts(element, compiler, **kw))})"


@compiles(Latest, "sqlite")
def _latest_sqlite(element: Latest, compiler: SQLCompiler, **kw: Any) -> str:
    return f"fullcount_latest({', '.join(given_texts(element, compiler, **kw))})"


class EarliestOf:
    """Reckons `fullcount_earliest`; moments are texts that sort as they do."""

    def __init__(self) -> None:
        self.best: tuple[Any, Any] | None = None

    def step(self, value: Any, moment: str | None) -> None:
        """Take one row's value."""
        if value is None or moment is None:
            return
        if self.best is None or self.is_better((moment, value), self.best):
            self.best = (moment, value)

    def is_better(self, found: tuple[Any, Any], best: tuple[Any, Any]) -> bool:
        """Whether this one is to be kept instead."""
        return found < best

    def finalize(self) -> Any:
        """Give the value; null without any."""
        return None if self.best is None else self.best[1]


class LatestOf(EarliestOf):
    """Reckons `fullcount_latest`."""

    def is_better(self, found: tuple[Any, Any], best: tuple[Any, Any]) -> bool:
        """Whether this one is to be kept instead."""
        return found > best


class Correlation(SpeltFunction[float]):
    """Pairs of numbers: how they go together, -1 to 1, to a millionth (Pearson)."""

    type = Double()
    postgresql = (
        "(round(corr({0}::double precision, {1}::double precision)::numeric, 6)::double precision)"
    )
    sqlite = "fullcount_correlation({0}, {1})"


class WholeTotal(SpeltFunction[int]):
    """The sum of whole numbers; null beyond 64 bits."""

    type = BigInteger()
    postgresql = (
        f"(CASE WHEN abs(sum({{0}}::numeric)) < {2**63}"
        " THEN CAST(sum({0}::numeric) AS BIGINT) END)"
    )
    sqlite = "fullcount_whole_total({0})"


class Total(SpeltFunction[float]):
    """The sum of numbers to a millionth, of any size; null beyond what a double holds."""

    type = Double()
    postgresql = (
        f"(CASE WHEN abs(sum(round({{0}}::numeric, 6))) < {GREATEST}"
        " THEN sum(round({0}::numeric, 6))::double precision END)"
    )
    sqlite = "fullcount_total({0})"


class CorrelationOf:
    """Reckons `fullcount_correlation` in fractions; null where either never varies."""

    def __init__(self) -> None:
        self.count = 0
        self.sums = [Fraction()] * 5

    def step(self, first: float | None, second: float | None) -> None:
        """Take one row's pair; half a pair tells nothing."""
        if first is None or second is None:
            return
        x, y = Fraction(first), Fraction(second)
        self.count += 1
        told = (x, y, x * x, y * y, x * y)
        self.sums = [total + one for total, one in zip(self.sums, told, strict=True)]

    def finalize(self) -> float | None:
        """Give the covariance over both deviations."""
        x, y, xx, yy, xy = self.sums
        spread = (self.count * xx - x * x) * (self.count * yy - y * y)
        if not spread:
            return None
        return round(float(self.count * xy - x * y) / sqrt(spread), 6)


class RunningTotal(SpeltFunction[float]):
    """The same as a bare function, to stand before OVER."""

    type = Double()
    postgresql = "sum(round({0}::numeric, 6))"
    sqlite = Total.sqlite


class TotalBefore(SpeltFunction[float]):
    """To stand before OVER, with rows up to the present one: the sum with that one, on PostgreSQL;
    on SQLite without it. `OwnShare` is what is to be taken off.
    """

    type = Double()
    postgresql = RunningTotal.postgresql
    # A window that may be empty would be none: Python's driver fails on those.
    sqlite = "fullcount_total_before({0})"


class OwnShare(SpeltFunction[float]):
    """What the present row adds to `TotalBefore`."""

    type = Double()
    postgresql = "coalesce(round({0}::numeric, 6), 0)"
    sqlite = "0.0"


def count_millionths(value: float) -> int:
    """A number in whole millionths; of a double, as PostgreSQL has it, 15 digits."""
    return int(Decimal(f"{value:.15g}").scaleb(6).to_integral_value(ROUND_HALF_UP))


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
        millionths = count_millionths(value)
        self.count += 1
        self.sum += millionths
        self.squares += millionths * millionths

    def finalize(self) -> float | None:
        """Give the square root of the variance; null without values."""
        if not self.count:
            return None
        spread = self.count * self.squares - self.sum * self.sum
        return (isqrt(4 * spread // (self.count * self.count)) + 1) // 2 / _MILLION


class TotalOf:
    """Reckons `fullcount_total` in whole millionths, also as a window grows."""

    def __init__(self) -> None:
        self.count = self.millionths = self.last = 0

    def step(self, value: float | None) -> None:
        """Take one row's value."""
        self.last = self.millionths
        self._add(value, 1)

    def inverse(self, value: float | None) -> None:
        """Take it back."""
        self._add(value, -1)

    def value(self) -> float | None:
        """Give the sum so far; null without values."""
        if not self.count or abs(self.millionths) >= _MILLION * int(float(GREATEST)):
            return None
        return self.millionths / _MILLION

    def finalize(self) -> float | None:
        """Give the sum."""
        return self.value()

    def _add(self, value: float | None, sign: int) -> None:
        if value is not None:
            self.count += sign
            self.millionths += sign * count_millionths(value)


class TotalBeforeOf(TotalOf):
    """Reckons `fullcount_total_before`: without the row that came last."""

    def value(self) -> float | None:
        """Give the sum before it."""
        most = _MILLION * int(float(GREATEST))
        return max(-most, min(self.last, most)) / _MILLION


class WholeTotalOf:
    """Reckons `fullcount_whole_total`."""

    def __init__(self) -> None:
        self.sum: int | None = None

    def step(self, value: int | None) -> None:
        """Take one row's value."""
        if value is not None:
            self.sum = (self.sum or 0) + value

    def finalize(self) -> int | None:
        """Give the sum; null without values, or beyond 64 bits."""
        return None if self.sum is None or abs(self.sum) >= 2**63 else self.sum


def add_aggregates(raw: Any) -> None:
    """Teach a connection of SQLite these aggregates."""
    raw.create_window_function("fullcount_total", 1, TotalOf)
    raw.create_window_function("fullcount_total_before", 1, TotalBeforeOf)
    raw.create_aggregate("fullcount_whole_total", 1, WholeTotalOf)
    raw.create_aggregate("fullcount_percentile", 2, PercentileOf)
    raw.create_aggregate("fullcount_deviation", 1, DeviationOf)
    raw.create_aggregate("fullcount_correlation", 2, CorrelationOf)
    raw.create_aggregate("fullcount_earliest", 2, EarliestOf)
    raw.create_aggregate("fullcount_latest", 2, LatestOf)
