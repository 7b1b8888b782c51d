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
    String,
    Text,
    func,
    literal_column,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.store.spans import ClockText
from app.store.spelling import SpeltFunction, fenced_once, given_texts, written_once

Sql = ColumnElement[Any]

# From here on a double holds no fraction.
WHOLE = "4503599627370496.0"
LONGEST = 1_000_000_000
# What Unicode calls white space. Source: Unicode Character Database, PropList, White_Space
BLANKS = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


def _over_texts(
    rule: str, element: FunctionElement[Any], compiler: SQLCompiler, kw: dict[str, Any]
) -> str:
    """A rule that names two texts more than once; what is reckoned is reckoned before."""
    first, second = given_texts(element, compiler, **kw)
    if all(isinstance(text, BindParameter | Column) for text in element.clauses):
        return f"({rule.format(first, second)})"
    once = written_once if compiler.dialect.name == "sqlite" else fenced_once
    return once(rule.format("q.x", "q.y"), x=first, y=second)


class ContainsText(SpeltFunction[bool]):
    """Does the first text contain the second, letter for letter?"""

    type = Boolean()
    postgresql = "(strpos({0}, {1}) > 0)"
    sqlite = "(instr({0}, {1}) > 0)"


class StartsWithText(SpeltFunction[bool]):
    """Does the first text begin with the second?"""

    type = Boolean()
    postgresql = "starts_with({0}, {1})"


@compiles(StartsWithText, "sqlite")
def _starts_sqlite(element: StartsWithText, compiler: SQLCompiler, **kw: Any) -> str:
    return _over_texts("substr({0}, 1, length({1})) = {1}", element, compiler, kw)


class EndsWithText(SpeltFunction[bool]):
    """Does the first text end with the second?"""

    type = Boolean()


@compiles(EndsWithText)
def _ends(element: EndsWithText, compiler: SQLCompiler, **kw: Any) -> str:
    return _over_texts('right({0}, length({1})) = {1} COLLATE "C"', element, compiler, kw)


@compiles(EndsWithText, "sqlite")
def _ends_sqlite(element: EndsWithText, compiler: SQLCompiler, **kw: Any) -> str:
    rule = "substr({0}, length({0}) - length({1}) + 1) = {1}"
    return _over_texts(rule, element, compiler, kw)


class PlaceInText(SpeltFunction[int]):
    """Where the second text begins in the first, from 0; -1 where it does not."""

    type = BigInteger()
    postgresql = "(strpos({0}, {1}) - 1)"
    sqlite = "(instr({0}, {1}) - 1)"


class PlainText(SpeltFunction[str]):
    """The text itself, compared and sorted by code point on both databases."""

    type = Text()
    postgresql = '({0} COLLATE "C")'
    sqlite = "{0}"


class Unindexed(SpeltFunction[Any]):
    """The value itself, for which SQLite walks no index; PostgreSQL knows by itself what is best.

    Source: "The SQLite Query Optimizer Overview", section 4.3 (terms with a unary plus)
    """

    postgresql = "{0}"
    sqlite = "+{0}"

    def __init__(self, value: ColumnElement[Any]) -> None:
        super().__init__(value)
        self.type = value.type


class KeyedBetween(SpeltFunction[Any]):
    """Columns of a key and of a number, which an index holds together; a key and two numbers: is
    the row one of this key, its number above the first and at most the second?

    Compared as a row on PostgreSQL, so that no other index with the number looks as good: of a
    table without statistics it expects one row from each. Not a Boolean: that would be compared
    with 1 on SQLite, which then walks no index.
    """

    postgresql = "({0} = {2} AND ({0}, {1}) > ({2}, {3}) AND ({0}, {1}) <= ({2}, {4}))"
    sqlite = "({0} = {2} AND {1} > {3} AND {1} <= {4})"


class IsUnset(SpeltFunction[Any]):
    """Is a flag that is never null false? Without a comparison, which costs SQLite a twentieth of a
    page with expanded rows. Not a Boolean, as `KeyedBetween`.
    """

    postgresql = sqlite = "(NOT {0})"


class IsWaiting(SpeltFunction[Any]):
    """Of the disposition of an event: does it wait? In the words of ix_event_waiting, which finds
    it by its entity. Not a Boolean, as `KeyedBetween`.

    On PostgreSQL they are not those of ix_event_pending: while its statistics know of no backlog,
    it expects nothing in either index, and may walk the whole of the wrong one.
    """

    postgresql = "({0} < 1)"
    sqlite = "({0} = 0)"


class AmongTexts(SpeltFunction[Any]):
    """Is a column one of the texts of a JSON list? Not a Boolean, as `KeyedBetween`.

    PostgreSQL does not look into the list to guess how much of a table it names: of a table
    without statistics that would be nearly all, and an index of something else as good.
    """

    postgresql = "({0} = ANY (ARRAY(SELECT json_array_elements_text({1}::json))))"
    sqlite = "({0} IN (SELECT value FROM json_each({1})))"


class TrimmedText(SpeltFunction[str]):
    """The text without white space around it."""

    type = Text()
    postgresql = f"btrim({{0}}, '{BLANKS}')"
    sqlite = f"trim({{0}}, '{BLANKS}')"


class DatePart(SpeltFunction[int]):
    """A part of a moment or a day's text, in UTC: the part's literal name, the moment."""

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
    part, moment = given_texts(element, compiler, **kw)
    *_, given = element.clauses
    if isinstance(given.type, String):
        first, length = _place_of(part, given)
        return f"substr({moment}, {first}, {length})::bigint"
    return f"floor(extract({part[1:-1]} from {moment} AT TIME ZONE 'UTC'))::bigint"


@compiles(DatePart, "sqlite")
def _part_sqlite(element: DatePart, compiler: SQLCompiler, **kw: Any) -> str:
    part, moment = given_texts(element, compiler, **kw)
    first, length = _place_of(part, list(element.clauses)[1])
    return f"CAST(substr({moment}, {first}, {length}) AS INTEGER)"


class SecondFraction(SpeltFunction[float]):
    """The part of a moment's second after the point, 0 to 1."""

    type = Double()


@compiles(SecondFraction)
def _fraction(element: SecondFraction, compiler: SQLCompiler, **kw: Any) -> str:
    moment = given_texts(element, compiler, **kw)[0]
    (given,) = element.clauses
    if isinstance(given.type, ClockText):
        return f"(substr({moment}, 10, 6)::double precision / 1000000.0::double precision)"
    micros = f"mod(extract(microseconds from {moment} AT TIME ZONE 'UTC')::bigint, 1000000)"
    return f"({micros}::double precision / 1000000.0::double precision)"


@compiles(SecondFraction, "sqlite")
def _fraction_sqlite(element: SecondFraction, compiler: SQLCompiler, **kw: Any) -> str:
    (given,) = element.clauses
    first = 10 if isinstance(given.type, ClockText) else 21
    text = f"substr({given_texts(element, compiler, **kw)[0]}, {first}, 6)"
    return f"(CAST({text} AS INTEGER) / 1000000.0)"


class DayOf(SpeltFunction[str]):
    """The UTC day of a moment, as text: `2025-01-31`."""

    type = Text()
    postgresql = "to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
    sqlite = "substr({0}, 1, 10)"


CUT = "CAST(CAST(q.x AS INTEGER) AS REAL)"


class RoundedNumber(SpeltFunction[float]):
    """The nearest whole number; halves go away from zero."""

    type = Double()
    postgresql = "round({0}::double precision::text::numeric)::double precision"
    # SQLite adds a half first, which makes 1 of the number right below a half.
    sqlite = written_once("CASE WHEN abs(q.x) < 0.5 THEN 0.0 ELSE round(q.x) END", x="{0}")


class FloorNumber(SpeltFunction[float]):
    """The greatest whole number that is not greater."""

    type = Double()
    postgresql = "floor({0}::double precision)"
    sqlite = written_once(
        f"CASE WHEN abs(q.x) < {WHOLE} THEN {CUT} - ({CUT} > q.x) ELSE q.x END",
        x="CAST({0} AS REAL)",
    )


class CeilingNumber(SpeltFunction[float]):
    """The least whole number that is not less."""

    type = Double()
    postgresql = "(ceil({0}::double precision) + 0.0::double precision)"
    sqlite = written_once(
        f"CASE WHEN abs(q.x) < {WHOLE} THEN {CUT} + ({CUT} < q.x) ELSE q.x END",
        x="CAST({0} AS REAL)",
    )


class CutText(SpeltFunction[str]):
    """A text, a place counted from 0 or back from the end, and at most how many characters."""

    type = Text()


@compiles(CutText)
def _cut(element: CutText, compiler: SQLCompiler, **kw: Any) -> str:
    return _cut_once(element, compiler, kw, bounds=("greatest", "least"))


@compiles(CutText, "sqlite")
def _cut_sqlite(element: CutText, compiler: SQLCompiler, **kw: Any) -> str:
    return _cut_once(element, compiler, kw, bounds=("max", "min"))


def _cut_once(
    element: CutText, compiler: SQLCompiler, kw: dict[str, Any], *, bounds: tuple[str, str]
) -> str:
    """The rule of both; `greatest` takes no notice of nulls, so they are looked for before."""
    parts = given_texts(element, compiler, **kw)
    plain = all(isinstance(part, BindParameter | Column) for part in element.clauses)
    text, start, *length = parts if plain else ("q.x", "q.y", "q.z")[: len(parts)]
    up, down = bounds
    near = f"{up}({down}({start}, {LONGEST}), -{LONGEST})"
    place = f"CASE WHEN {near} < 0 THEN {up}(length({text}) + {near}, 0) ELSE {near} END + 1"
    numbers = [place, *(f"{up}({down}({count}, {LONGEST}), 0)" for count in length)]
    cut = f"substr({text}, {', '.join(f'CAST({number} AS INTEGER)' for number in numbers)})"
    given = " AND ".join(f"{part} IS NOT NULL" for part in (start, *length))
    rule = f"CASE WHEN {given} THEN {cut} END"
    if plain:
        return f"({rule})"
    once = written_once if compiler.dialect.name == "sqlite" else fenced_once
    return once(rule, **dict(zip("xyz", parts, strict=False)))


class ExactSum(SpeltFunction[float]):
    """The sum of numbers to a millionth, whatever the order of the rows."""

    type = Double()
    postgresql = "(sum(round({0}::numeric, 6))::double precision)"
    sqlite = "(sum(CAST(round({0} * 1000000) AS INTEGER)) / 1000000.0)"


# Built from the words above


def date_part(part: str, moment: Sql) -> Sql:
    """A part of a moment or date, in UTC: one of `PARTS`."""
    return DatePart(literal_column(part), moment)


def lower_text(text: Sql) -> Sql:
    """The text with the letters A to Z in lower case; other letters stay as they are."""
    return func.lower(PlainText(text), type_=Text())


def cut_text(text: Sql, start: Sql, length: Sql | None = None) -> Sql:
    """The text from a place counted from 0, or back from the end where it is negative; a negative
    length counts as 0.

    Source: OData URL Conventions 4.01, section 5.1.1.7.4
    """
    return CutText(text, start) if length is None else CutText(text, start, length)
