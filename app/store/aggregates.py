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

from app.store.arithmetic import GREATEST, LEAST_NUMBER
from app.store.decimals import ANY_SIZE, FINEST, fifteen_digits
from app.store.spelling import SpeltFunction, given_texts

_MILLION = 1_000_000
_MOST, _LEAST = Decimal(GREATEST), Decimal(LEAST_NUMBER)


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


class WholeMean(SpeltFunction[float]):
    """The mean of whole numbers, the nearest double to it; null without values."""

    type = Double()
    # With so many decimals what is rounded a second time is rounded as if at once.
    postgresql = (
        f"((sum({{0}}::numeric) * 1.{'0' * 40} / nullif(count({{0}}), 0))::double precision)"
    )
    sqlite = "fullcount_whole_mean({0})"


# A double is cast to its first 15 digits; what no double is near to is cut off.
_DIGITS = f"round({{0}}::numeric, {FINEST})"


class Total(SpeltFunction[float]):
    """The sum of numbers, exact over the first 15 digits of each and rounded once, at the end;
    null beyond what a double holds.
    """

    type = Double()
    postgresql = (
        f"(CASE WHEN abs(sum({_DIGITS})) < {LEAST_NUMBER} THEN 0.0"
        f" WHEN abs(sum({_DIGITS})) < {GREATEST}"
        f" THEN trim_scale(sum({_DIGITS}))::double precision END)"
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
    """The same as a bare function, to stand before OVER; what a double does not hold is as much as
    one does.
    """

    type = Double()
    postgresql = f"sum(trim_scale({_DIGITS}))"
    sqlite = "fullcount_running_total({0})"


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
    postgresql = f"coalesce(trim_scale({_DIGITS}), 0)"
    sqlite = "0.0"


def whole_millionths(value: float) -> int | None:
    """How many millionths the first 15 digits of a number are, if nothing is left; quickly."""
    if -1e9 < value < 1e9:
        millionths = round(value * 1e6)
        if millionths / 1e6 == value:
            return millionths
    return None


def count_millionths(value: float) -> int:
    """A number in whole millionths; of a double, as PostgreSQL has it, 15 digits."""
    if isinstance(value, int):
        return value * _MILLION
    millionths = whole_millionths(value)
    if millionths is None:
        return int(Decimal(f"{value:.15g}").scaleb(6).to_integral_value(ROUND_HALF_UP))
    return millionths


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
    """Reckons `fullcount_total`: in whole millionths, which most values are, and beside them in
    decimals of any size.
    """

    def __init__(self) -> None:
        self.count = self.millionths = 0
        self.others = Decimal()

    def step(self, value: float | None) -> None:
        """Take one row's value."""
        if value is None:
            return
        self.count += 1
        millionths = whole_millionths(value)
        if millionths is None:
            self.others = ANY_SIZE.add(self.others, fifteen_digits(value))
        else:
            self.millionths += millionths

    def inverse(self, value: float | None) -> None:
        """Take it back."""
        if value is not None:
            self.step(-value)
            self.count -= 2

    def value(self) -> float | None:
        """Give the sum so far; null without values."""
        if not self.count or not self.others:
            return self.millionths / _MILLION if self.count else None
        total = abs(add_exactly(self.millionths, self.others))
        if total >= _MOST:
            return None
        return 0.0 if total < _LEAST else held_total(self.millionths, self.others)

    def finalize(self) -> float | None:
        """Give the sum."""
        return self.value()


def add_exactly(millionths: int, others: Decimal) -> Decimal:
    """Both parts of a sum."""
    return ANY_SIZE.add(ANY_SIZE.scaleb(Decimal(millionths), -6), others)


def held_total(millionths: int, others: Decimal) -> float:
    """Both parts of a sum as a double, or the greatest there is."""
    if not others:
        return millionths / _MILLION
    return float(max(-_MOST, min(add_exactly(millionths, others), _MOST)))


class RunningTotalOf(TotalOf):
    """Reckons `fullcount_running_total`."""

    def value(self) -> float | None:
        """Give the sum so far; null without values."""
        return held_total(self.millionths, self.others) if self.count else None


class TotalBeforeOf(TotalOf):
    """Reckons `fullcount_total_before`: without the row that came last."""

    def __init__(self) -> None:
        super().__init__()
        self.before = (0, Decimal())

    def step(self, value: float | None) -> None:
        """Take one row's value."""
        self.before = (self.millionths, self.others)
        super().step(value)

    def value(self) -> float | None:
        """Give the sum before it."""
        return held_total(*self.before)


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


class WholeMeanOf:
    """Reckons `fullcount_whole_mean`."""

    def __init__(self) -> None:
        self.count = self.sum = 0

    def step(self, value: int | None) -> None:
        """Take one row's value."""
        if value is not None:
            self.count += 1
            self.sum += value

    def finalize(self) -> float | None:
        """Give the mean; null without values."""
        return self.sum / self.count if self.count else None


def add_aggregates(raw: Any) -> None:
    """Teach a connection of SQLite these aggregates."""
    raw.create_window_function("fullcount_total", 1, TotalOf)
    raw.create_window_function("fullcount_running_total", 1, RunningTotalOf)
    raw.create_window_function("fullcount_total_before", 1, TotalBeforeOf)
    raw.create_aggregate("fullcount_whole_total", 1, WholeTotalOf)
    raw.create_aggregate("fullcount_whole_mean", 1, WholeMeanOf)
    raw.create_aggregate("fullcount_percentile", 2, PercentileOf)
    raw.create_aggregate("fullcount_deviation", 1, DeviationOf)
    raw.create_aggregate("fullcount_correlation", 2, CorrelationOf)
    raw.create_aggregate("fullcount_earliest", 2, EarliestOf)
    raw.create_aggregate("fullcount_latest", 2, LatestOf)
