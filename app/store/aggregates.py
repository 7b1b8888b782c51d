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
from sqlalchemy.sql.functions import FunctionElement

from app.store.arithmetic import GREATEST

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


class Earliest(FunctionElement[Any]):
    """Values and moments: the value of the earliest moment; of several, the least value."""

    inherit_cache = True


class Latest(FunctionElement[Any]):
    """Values and moments: the value of the latest moment; of several, the greatest value."""

    inherit_cache = True


def _picked(element: FunctionElement[Any], compiler: SQLCompiler, way: str, kw: Any) -> str:
    value, moment = (compiler.process(clause, **kw) for clause in element.clauses)
    is_text = isinstance(next(iter(element.clauses)).type, String)
    sorted_value = f'({value}) COLLATE "C"' if is_text else value
    known = f"({value}) IS NOT NULL AND ({moment}) IS NOT NULL"
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
    value, moment = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"fullcount_earliest({value}, {moment})"


@compiles(Latest, "sqlite")
def _latest_sqlite(element: Latest, compiler: SQLCompiler, **kw: Any) -> str:
    value, moment = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"fullcount_latest({value}, {moment})"


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


class Correlation(FunctionElement[float]):
    """Pairs of numbers: how they go together, -1 to 1, to a millionth (Pearson)."""

    inherit_cache = True
    type = Double()


class WholeTotal(FunctionElement[int]):
    """The sum of whole numbers; null beyond 64 bits."""

    inherit_cache = True
    type = BigInteger()


@compiles(WholeTotal)
def _whole_total(element: WholeTotal, compiler: SQLCompiler, **kw: Any) -> str:
    (number,) = (compiler.process(clause, **kw) for clause in element.clauses)
    total = f"sum(({number})::numeric)"
    return f"(CASE WHEN abs({total}) < {2**63} THEN CAST({total} AS BIGINT) END)"


@compiles(WholeTotal, "sqlite")
def _whole_total_sqlite(element: WholeTotal, compiler: SQLCompiler, **kw: Any) -> str:
    (number,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"fullcount_whole_total({number})"


class Total(FunctionElement[float]):
    """The sum of numbers to a millionth, of any size; null beyond what a double holds."""

    inherit_cache = True
    type = Double()


@compiles(Correlation)
def _correlation(element: Correlation, compiler: SQLCompiler, **kw: Any) -> str:
    first, second = (compiler.process(clause, **kw) for clause in element.clauses)
    reckoned = f"corr(({first})::double precision, ({second})::double precision)"
    return f"(round(({reckoned})::numeric, 6)::double precision)"


@compiles(Correlation, "sqlite")
def _correlation_sqlite(element: Correlation, compiler: SQLCompiler, **kw: Any) -> str:
    first, second = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"fullcount_correlation({first}, {second})"


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


@compiles(Total)
def _total(element: Total, compiler: SQLCompiler, **kw: Any) -> str:
    (number,) = (compiler.process(clause, **kw) for clause in element.clauses)
    total = f"sum(round(({number})::numeric, 6))"
    return f"(CASE WHEN abs({total}) < {GREATEST} THEN ({total})::double precision END)"


@compiles(Total, "sqlite")
def _total_sqlite(element: Total, compiler: SQLCompiler, **kw: Any) -> str:
    (number,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"fullcount_total({number})"


class RunningTotal(FunctionElement[float]):
    """The same as a bare function, to stand before OVER."""

    inherit_cache = True
    type = Double()


@compiles(RunningTotal)
def _running(element: RunningTotal, compiler: SQLCompiler, **kw: Any) -> str:
    (number,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"sum(round(({number})::numeric, 6))"


@compiles(RunningTotal, "sqlite")
def _running_sqlite(element: RunningTotal, compiler: SQLCompiler, **kw: Any) -> str:
    return _total_sqlite(Total(*element.clauses), compiler, **kw)


class TotalBefore(FunctionElement[float]):
    """To stand before OVER, with rows up to the present one: the sum with that one, on PostgreSQL;
    on SQLite without it. `OwnShare` is what is to be taken off.
    """

    inherit_cache = True
    type = Double()


@compiles(TotalBefore)
def _before(element: TotalBefore, compiler: SQLCompiler, **kw: Any) -> str:
    return _running(RunningTotal(*element.clauses), compiler, **kw)


@compiles(TotalBefore, "sqlite")
def _before_sqlite(element: TotalBefore, compiler: SQLCompiler, **kw: Any) -> str:
    # A window that may be empty would be none: Python's driver fails on those.
    (number,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"fullcount_total_before({number})"


class OwnShare(FunctionElement[float]):
    """What the present row adds to `TotalBefore`."""

    inherit_cache = True
    type = Double()


@compiles(OwnShare)
def _own_share(element: OwnShare, compiler: SQLCompiler, **kw: Any) -> str:
    (number,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"coalesce(round(({number})::numeric, 6), 0)"


@compiles(OwnShare, "sqlite")
def _own_share_sqlite(_element: OwnShare, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "0.0"


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
            # PostgreSQL takes a double as 15 digits.
            told = Decimal(f"{value:.15g}").scaleb(6)
            rounded = told.to_integral_value(ROUND_HALF_UP)
            self.count += sign
            self.millionths += sign * int(rounded)


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
