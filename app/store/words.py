"""SQL functions that SQLite and PostgreSQL spell differently; one meaning on both.

Texts are compared by code point, moments are UTC; what is given null gives null, and division by
zero is null.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    Double,
    Integer,
    String,
    Text,
    func,
    literal_column,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.store.spans import ClockText

Sql = ColumnElement[Any]

# From here on a double holds no fraction.
WHOLE = "4503599627370496.0"
LONGEST = 1_000_000_000
BLANKS = "' ' || {0}(9) || {0}(10) || {0}(11) || {0}(12) || {0}(13)"


def _parts(element: FunctionElement[Any], compiler: SQLCompiler, **kw: Any) -> list[str]:
    return [f"({compiler.process(clause, **kw)})" for clause in element.clauses]


def _over_texts(
    rule: str, element: FunctionElement[Any], compiler: SQLCompiler, kw: dict[str, Any]
) -> str:
    """A rule that names two texts more than once; what is reckoned is reckoned before."""
    first, second = _parts(element, compiler, **kw)
    if all(isinstance(text, BindParameter | Column) for text in element.clauses):
        return f"({rule.format(first, second)})"
    once = written_once if compiler.dialect.name == "sqlite" else fenced_once
    return once(rule.format("q.x", "q.y"), x=first, y=second)


class ContainsText(FunctionElement[bool]):
    """Does the first text contain the second, letter for letter?"""

    inherit_cache = True
    type = Boolean()


@compiles(ContainsText)
def _contains(element: ContainsText, compiler: SQLCompiler, **kw: Any) -> str:
    whole, part = _parts(element, compiler, **kw)
    return f"(strpos({whole}, {part}) > 0)"


@compiles(ContainsText, "sqlite")
def _contains_sqlite(element: ContainsText, compiler: SQLCompiler, **kw: Any) -> str:
    whole, part = _parts(element, compiler, **kw)
    return f"(instr({whole}, {part}) > 0)"


class StartsWithText(FunctionElement[bool]):
    """Does the first text begin with the second?"""

    inherit_cache = True
    type = Boolean()


@compiles(StartsWithText)
def _starts(element: StartsWithText, compiler: SQLCompiler, **kw: Any) -> str:
    whole, part = _parts(element, compiler, **kw)
    return f"starts_with({whole}, {part})"


@compiles(StartsWithText, "sqlite")
def _starts_sqlite(element: StartsWithText, compiler: SQLCompiler, **kw: Any) -> str:
    return _over_texts("substr({0}, 1, length({1})) = {1}", element, compiler, kw)


class EndsWithText(FunctionElement[bool]):
    """Does the first text end with the second?"""

    inherit_cache = True
    type = Boolean()


@compiles(EndsWithText)
def _ends(element: EndsWithText, compiler: SQLCompiler, **kw: Any) -> str:
    return _over_texts('right({0}, length({1})) = {1} COLLATE "C"', element, compiler, kw)


@compiles(EndsWithText, "sqlite")
def _ends_sqlite(element: EndsWithText, compiler: SQLCompiler, **kw: Any) -> str:
    rule = "substr({0}, length({0}) - length({1}) + 1) = {1}"
    return _over_texts(rule, element, compiler, kw)


class PlaceInText(FunctionElement[int]):
    """Where the second text begins in the first, from 0; -1 where it does not."""

    inherit_cache = True
    type = BigInteger()


@compiles(PlaceInText)
def _place(element: PlaceInText, compiler: SQLCompiler, **kw: Any) -> str:
    whole, part = _parts(element, compiler, **kw)
    return f"(strpos({whole}, {part}) - 1)"


@compiles(PlaceInText, "sqlite")
def _place_sqlite(element: PlaceInText, compiler: SQLCompiler, **kw: Any) -> str:
    whole, part = _parts(element, compiler, **kw)
    return f"(instr({whole}, {part}) - 1)"


class PlainText(FunctionElement[str]):
    """The text itself, compared and sorted by code point on both databases."""

    inherit_cache = True
    type = Text()


@compiles(PlainText)
def _plain(element: PlainText, compiler: SQLCompiler, **kw: Any) -> str:
    return f'({_parts(element, compiler, **kw)[0]} COLLATE "C")'


@compiles(PlainText, "sqlite")
def _plain_sqlite(element: PlainText, compiler: SQLCompiler, **kw: Any) -> str:
    return _parts(element, compiler, **kw)[0]


class TrimmedText(FunctionElement[str]):
    """The text without blanks, tabs and line ends around it."""

    inherit_cache = True
    type = Text()


@compiles(TrimmedText)
def _trimmed(element: TrimmedText, compiler: SQLCompiler, **kw: Any) -> str:
    return f"btrim({_parts(element, compiler, **kw)[0]}, {BLANKS.format('chr')})"


@compiles(TrimmedText, "sqlite")
def _trimmed_sqlite(element: TrimmedText, compiler: SQLCompiler, **kw: Any) -> str:
    return f"trim({_parts(element, compiler, **kw)[0]}, {BLANKS.format('char')})"


class DatePart(FunctionElement[int]):
    """A part of a moment or a day's text, in UTC: the part's literal name, the moment."""

    inherit_cache = True
    type = BigInteger()


# Where each part stands in the text of a moment: first character, length.
PARTS = {
    "year": (1, 4),
    "month": (6, 2),
    "day": (9, 2),
    "hour": (12, 2),
    "minute": (15, 2),
    "second": (18, 2),
}


def _place_of(part: str, given: Sql) -> tuple[int, int]:
    """Where a part stands in text; a time of day has no day before it."""
    first, length = PARTS[part[1:-1]]
    return (first - 11 if isinstance(given.type, ClockText) else first), length


@compiles(DatePart)
def _part(element: DatePart, compiler: SQLCompiler, **kw: Any) -> str:
    part, moment = _parts(element, compiler, **kw)
    *_, given = element.clauses
    if isinstance(given.type, String):
        first, length = _place_of(part, given)
        return f"substr({moment}, {first}, {length})::bigint"
    return f"floor(extract({part[1:-1]} from {moment} AT TIME ZONE 'UTC'))::bigint"


@compiles(DatePart, "sqlite")
def _part_sqlite(element: DatePart, compiler: SQLCompiler, **kw: Any) -> str:
    part, moment = _parts(element, compiler, **kw)
    first, length = _place_of(part, list(element.clauses)[1])
    return f"CAST(substr({moment}, {first}, {length}) AS INTEGER)"


class SecondFraction(FunctionElement[float]):
    """The part of a moment's second after the point, 0 to 1."""

    inherit_cache = True
    type = Double()


@compiles(SecondFraction)
def _fraction(element: SecondFraction, compiler: SQLCompiler, **kw: Any) -> str:
    moment = _parts(element, compiler, **kw)[0]
    (given,) = element.clauses
    if isinstance(given.type, ClockText):
        return f"(substr({moment}, 10, 6)::double precision / 1000000.0::double precision)"
    micros = f"mod(extract(microseconds from {moment} AT TIME ZONE 'UTC')::bigint, 1000000)"
    return f"({micros}::double precision / 1000000.0::double precision)"


@compiles(SecondFraction, "sqlite")
def _fraction_sqlite(element: SecondFraction, compiler: SQLCompiler, **kw: Any) -> str:
    (given,) = element.clauses
    first = 10 if isinstance(given.type, ClockText) else 21
    text = f"substr({_parts(element, compiler, **kw)[0]}, {first}, 6)"
    return f"(CAST({text} AS INTEGER) / 1000000.0)"


class DayOf(FunctionElement[str]):
    """The UTC day of a moment, as text: `2025-01-31`."""

    inherit_cache = True
    type = Text()


@compiles(DayOf)
def _day(element: DayOf, compiler: SQLCompiler, **kw: Any) -> str:
    moment = _parts(element, compiler, **kw)[0]
    return f"to_char({moment} AT TIME ZONE 'UTC', 'YYYY-MM-DD')"


@compiles(DayOf, "sqlite")
def _day_sqlite(element: DayOf, compiler: SQLCompiler, **kw: Any) -> str:
    return f"substr({_parts(element, compiler, **kw)[0]}, 1, 10)"


def written_once(rule: str, **given: str) -> str:
    """A rule over values that it names more than once, each written and reckoned once.

    Without this, nesting would double the text of the statement at each level.
    """
    values = ", ".join(f"{text} AS {name}" for name, text in given.items())
    return f"(SELECT {rule} FROM (SELECT {values}) AS q)"  # noqa: S608 (SQL of ours; values are bound)


def fenced_once(rule: str, **given: str) -> str:
    """The same for PostgreSQL, whose planner would else write the values in again."""
    values = ", ".join(f"{text} AS {name}" for name, text in given.items())
    return f"(SELECT {rule} FROM (SELECT {values} OFFSET 0) AS q)"  # noqa: S608 (SQL of ours)


CUT = "CAST(CAST({0} AS INTEGER) AS REAL)"


class RoundedNumber(FunctionElement[float]):
    """The nearest whole number; halves go away from zero."""

    inherit_cache = True
    type = Double()


@compiles(RoundedNumber)
def _rounded(element: RoundedNumber, compiler: SQLCompiler, **kw: Any) -> str:
    number = _parts(element, compiler, **kw)[0]
    return f"round({number}::double precision::text::numeric)::double precision"


@compiles(RoundedNumber, "sqlite")
def _rounded_sqlite(element: RoundedNumber, compiler: SQLCompiler, **kw: Any) -> str:
    return f"round({_parts(element, compiler, **kw)[0]})"


class FloorNumber(FunctionElement[float]):
    """The greatest whole number that is not greater."""

    inherit_cache = True
    type = Double()


@compiles(FloorNumber)
def _floor(element: FloorNumber, compiler: SQLCompiler, **kw: Any) -> str:
    return f"floor({_parts(element, compiler, **kw)[0]}::double precision)"


@compiles(FloorNumber, "sqlite")
def _floor_sqlite(element: FloorNumber, compiler: SQLCompiler, **kw: Any) -> str:
    cut = CUT.format("q.x")
    rule = f"CASE WHEN abs(q.x) < {WHOLE} THEN {cut} - ({cut} > q.x) ELSE q.x END"
    return written_once(rule, x=f"CAST({_parts(element, compiler, **kw)[0]} AS REAL)")


class CeilingNumber(FunctionElement[float]):
    """The least whole number that is not less."""

    inherit_cache = True
    type = Double()


@compiles(CeilingNumber)
def _ceiling(element: CeilingNumber, compiler: SQLCompiler, **kw: Any) -> str:
    number = _parts(element, compiler, **kw)[0]
    return f"(ceil({number}::double precision) + 0.0::double precision)"


@compiles(CeilingNumber, "sqlite")
def _ceiling_sqlite(element: CeilingNumber, compiler: SQLCompiler, **kw: Any) -> str:
    cut = CUT.format("q.x")
    rule = f"CASE WHEN abs(q.x) < {WHOLE} THEN {cut} + ({cut} < q.x) ELSE q.x END"
    return written_once(rule, x=f"CAST({_parts(element, compiler, **kw)[0]} AS REAL)")


class PlaceWithin(FunctionElement[int]):
    """A place or length for substrings: what is below 0 is 0, what is very large is `LONGEST`."""

    inherit_cache = True
    type = Integer()


@compiles(PlaceWithin)
def _within(element: PlaceWithin, compiler: SQLCompiler, **kw: Any) -> str:
    number = _parts(element, compiler, **kw)[0]
    rule = f"CASE WHEN q.x < 0 THEN 0 WHEN q.x > {LONGEST} THEN {LONGEST} ELSE q.x END"
    return f"{fenced_once(rule, x=number)}::integer"


@compiles(PlaceWithin, "sqlite")
def _within_sqlite(element: PlaceWithin, compiler: SQLCompiler, **kw: Any) -> str:
    return f"max(0, min({_parts(element, compiler, **kw)[0]}, {LONGEST}))"


class ExactSum(FunctionElement[float]):
    """The sum of numbers to a millionth, whatever the order of the rows."""

    inherit_cache = True
    type = Double()


@compiles(ExactSum)
def _sum(element: ExactSum, compiler: SQLCompiler, **kw: Any) -> str:
    number = _parts(element, compiler, **kw)[0]
    return f"(sum(round({number}::numeric, 6))::double precision)"


@compiles(ExactSum, "sqlite")
def _sum_sqlite(element: ExactSum, compiler: SQLCompiler, **kw: Any) -> str:
    number = _parts(element, compiler, **kw)[0]
    return f"(sum(CAST(round({number} * 1000000) AS INTEGER)) / 1000000.0)"


# Built from the words above


def date_part(part: str, moment: Sql) -> Sql:
    """A part of a moment or date, in UTC: one of `PARTS`."""
    return DatePart(literal_column(part), moment)


def lower_text(text: Sql) -> Sql:
    """The text with the letters A to Z in lower case; other letters stay as they are."""
    return func.lower(PlainText(text), type_=Text())


def upper_text(text: Sql) -> Sql:
    """The text with the letters a to z in upper case; other letters stay as they are."""
    return func.upper(PlainText(text), type_=Text())


def cut_text(text: Sql, start: Sql, length: Sql | None = None) -> Sql:
    """The text from a place counted from 0; negative places and lengths count as 0."""
    first = PlaceWithin(start) + 1
    if length is None:
        return func.substr(text, first, type_=Text())
    return func.substr(text, first, PlaceWithin(length), type_=Text())
