"""Every function and aggregate that expressions and questions may use: types, SQL, words.

One row each; fronts, the binder and the documentation read them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Integer,
    case,
    cast,
    distinct,
    func,
    literal_column,
    type_coerce,
)

from app.catalog.fields import Type
from app.store.aggregates import Correlation, Deviation, Earliest, Latest, Percentile
from app.store.folding import lowered_text, raised_text
from app.store.spans import ClockOf, SpanSeconds
from app.store.words import (
    CeilingNumber,
    ContainsText,
    DayOf,
    EndsWithText,
    ExactSum,
    FloorNumber,
    PlaceInText,
    PlainText,
    RoundedNumber,
    SecondFraction,
    StartsWithText,
    TrimmedText,
    cut_text,
    date_part,
)

Sql = ColumnElement[Any]

_TEXT = (Type.TEXT,)
_NUMBER = (Type.INT, Type.NUMBER)
_TIME = (Type.TIME,)
_DAY = (Type.TIME, Type.DATE)
_CLOCK = (Type.TIME, Type.CLOCK)
_SPAN = (Type.SPAN,)


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the expression language; null in any argument gives null.

    arguments: for each argument, the types it takes
    optional: how many of the last arguments may be left out
    sql: its SQL, given that of its arguments; None when it is a constant of the question
    """

    name: str
    arguments: tuple[tuple[Type, ...], ...]
    result: Type
    description: str
    sql: Callable[..., Sql] | None
    optional: int = 0


@dataclass(frozen=True, slots=True)
class AggregateFunction:
    """A function over the values of a group; nulls do not take part.

    takes: the types of fields it can be asked of
    result: the type it gives; None: that of the field
    sql: its SQL, given that of the values and their type; and of a second field, where it takes one
    beside: the types of that second field; empty when it takes none
    """

    name: str
    label: str
    takes: tuple[Type, ...]
    result: Type | None
    description: str
    sql: Callable[..., Sql]
    beside: tuple[Type, ...] = ()


def function_named(name: str) -> Function | None:
    """The function of this name, in any case of letters, or None."""
    return next((row for row in FUNCTIONS if row.name == name.lower()), None)


def aggregate_named(name: str) -> AggregateFunction | None:
    """The aggregate of this name, or None."""
    return next((row for row in AGGREGATES if row.name == name), None)


def _zero_offset(moment: Sql) -> Sql:
    return case((moment.is_not(None), literal_column("0", BigInteger())))


def _least(value: Sql, of: Type) -> Sql:
    return _sorted_back(func.min(_sortable(value, of), type_=value.type), of)


def _greatest(value: Sql, of: Type) -> Sql:
    return _sorted_back(func.max(_sortable(value, of), type_=value.type), of)


def _sortable(value: Sql, of: Type) -> Sql:
    # PostgreSQL has no least truth value.
    if of is Type.BOOL:
        return cast(value, Integer())
    return PlainText(value) if of is Type.TEXT else value


def _sorted_back(value: Sql, of: Type) -> Sql:
    return cast(type_coerce(value, Integer()), Boolean()) if of is Type.BOOL else value


def _sum(value: Sql, of: Type) -> Sql:
    return func.sum(value, type_=BigInteger()) if of is Type.INT else ExactSum(value)


def _first(value: Sql, _of: Type, moment: Sql) -> Sql:
    return type_coerce(Earliest(value, moment), value.type)


def _last(value: Sql, _of: Type, moment: Sql) -> Sql:
    return type_coerce(Latest(value, moment), value.type)


def _average(value: Sql, _of: Type) -> Sql:
    return ExactSum(value) / func.nullif(func.count(value), 0)


FUNCTIONS: tuple[Function, ...] = (
    Function(
        "concat",
        (_TEXT, _TEXT),
        Type.TEXT,
        "Both texts, one after the other.",
        lambda a, b: a.concat(b),
    ),
    Function(
        "contains",
        (_TEXT, _TEXT),
        Type.BOOL,
        "The first text contains the second, letter for letter.",
        ContainsText,
    ),
    Function(
        "startswith",
        (_TEXT, _TEXT),
        Type.BOOL,
        "The first text begins with the second.",
        StartsWithText,
    ),
    Function(
        "endswith", (_TEXT, _TEXT), Type.BOOL, "The first text ends with the second.", EndsWithText
    ),
    Function(
        "indexof",
        (_TEXT, _TEXT),
        Type.INT,
        "Where the second text begins in the first, from 0; -1 if nowhere.",
        PlaceInText,
    ),
    Function(
        "length",
        (_TEXT,),
        Type.INT,
        "How many characters a text has.",
        lambda a: func.length(a, type_=BigInteger()),
    ),
    Function(
        "substring",
        (_TEXT, (Type.INT,), (Type.INT,)),
        Type.TEXT,
        "The text from a place, from 0 or back from the end (-1), and at most so long.",
        cut_text,
        1,
    ),
    Function("tolower", (_TEXT,), Type.TEXT, "The text in lower case.", lowered_text),
    Function("toupper", (_TEXT,), Type.TEXT, "The text in upper case.", raised_text),
    Function("trim", (_TEXT,), Type.TEXT, "The text without white space around it.", TrimmedText),
    Function("year", (_DAY,), Type.INT, "The year, in UTC.", lambda a: date_part("year", a)),
    Function(
        "month", (_DAY,), Type.INT, "The month, 1 to 12, in UTC.", lambda a: date_part("month", a)
    ),
    Function(
        "day", (_DAY,), Type.INT, "The day of the month, in UTC.", lambda a: date_part("day", a)
    ),
    Function(
        "hour", (_CLOCK,), Type.INT, "The hour, 0 to 23, in UTC.", lambda a: date_part("hour", a)
    ),
    Function(
        "minute", (_CLOCK,), Type.INT, "The minute, 0 to 59.", lambda a: date_part("minute", a)
    ),
    Function(
        "second", (_CLOCK,), Type.INT, "The second, 0 to 59.", lambda a: date_part("second", a)
    ),
    Function(
        "fractionalseconds",
        (_CLOCK,),
        Type.NUMBER,
        "The second's part after the point.",
        SecondFraction,
    ),
    Function(
        "totaloffsetminutes",
        (_TIME,),
        Type.INT,
        "The offset from UTC; always 0, for moments are kept in UTC.",
        _zero_offset,
    ),
    Function("date", (_TIME,), Type.DATE, "The day of a moment, in UTC.", DayOf),
    Function("time", (_TIME,), Type.CLOCK, "The time of day of a moment, in UTC.", ClockOf),
    Function(
        "totalseconds", (_SPAN,), Type.NUMBER, "A duration in seconds, with decimals.", SpanSeconds
    ),
    Function("now", (), Type.TIME, "The moment the question is asked for.", None),
    Function("mindatetime", (), Type.TIME, "The earliest moment.", None),
    Function("maxdatetime", (), Type.TIME, "The latest moment.", None),
    Function(
        "round",
        (_NUMBER,),
        Type.NUMBER,
        "The nearest whole number; halves go away from zero.",
        RoundedNumber,
    ),
    Function(
        "floor",
        (_NUMBER,),
        Type.NUMBER,
        "The greatest whole number that is not greater.",
        FloorNumber,
    ),
    Function(
        "ceiling",
        (_NUMBER,),
        Type.NUMBER,
        "The least whole number that is not less.",
        CeilingNumber,
    ),
)

_COUNTED = (
    Type.TEXT,
    Type.INT,
    Type.NUMBER,
    Type.BOOL,
    Type.TIME,
    Type.DATE,
    Type.CLOCK,
    Type.SPAN,
    Type.ENUM,
)
_ORDERED = (
    Type.TEXT,
    Type.INT,
    Type.NUMBER,
    Type.BOOL,
    Type.TIME,
    Type.DATE,
    Type.CLOCK,
    Type.SPAN,
)

AGGREGATES: tuple[AggregateFunction, ...] = (
    AggregateFunction(
        "count",
        "Count",
        _COUNTED,
        Type.INT,
        "How many rows have a value.",
        lambda a, _: func.count(a),
    ),
    AggregateFunction(
        "distinct",
        "Distinct",
        _COUNTED,
        Type.INT,
        "How many different values there are.",
        lambda a, _: func.count(distinct(a)),
    ),
    AggregateFunction(
        "sum",
        "Sum",
        _NUMBER,
        None,
        "All values added, exact to a millionth; null without values.",
        _sum,
    ),
    AggregateFunction("min", "Minimum", _ORDERED, None, "The least value.", _least),
    AggregateFunction("max", "Maximum", _ORDERED, None, "The greatest value.", _greatest),
    AggregateFunction(
        "average",
        "Average",
        _NUMBER,
        Type.NUMBER,
        "The sum divided by the number of values.",
        _average,
    ),
    AggregateFunction(
        "median",
        "Median",
        _NUMBER,
        Type.NUMBER,
        "The value in the middle; between two, half the way.",
        lambda a, _: Percentile(literal_column("0.5"), a),
    ),
    AggregateFunction(
        "p10",
        "10th percentile",
        _NUMBER,
        Type.NUMBER,
        "A tenth of the values is below; interpolated between neighbours.",
        lambda a, _: Percentile(literal_column("0.1"), a),
    ),
    AggregateFunction(
        "p90",
        "90th percentile",
        _NUMBER,
        Type.NUMBER,
        "A tenth of the values is above; interpolated between neighbours.",
        lambda a, _: Percentile(literal_column("0.9"), a),
    ),
    AggregateFunction(
        "deviation",
        "Standard deviation",
        _NUMBER,
        Type.NUMBER,
        "The standard deviation of all values of the group, to a millionth.",
        lambda a, _: Deviation(a),
    ),
    AggregateFunction(
        "first",
        "First",
        _COUNTED,
        None,
        "The value of the earliest moment of another field; of several the least.",
        _first,
        beside=_DAY,
    ),
    AggregateFunction(
        "last",
        "Last",
        _COUNTED,
        None,
        "The value of the latest moment of another field; of several the greatest.",
        _last,
        beside=_DAY,
    ),
    AggregateFunction(
        "correlation",
        "Correlation",
        _NUMBER,
        Type.NUMBER,
        "How it goes together with another number, -1 to 1; null where either never varies.",
        lambda a, _, b: Correlation(a, b),
        beside=_NUMBER,
    ),
    AggregateFunction(
        "share",
        "Share of total",
        _NUMBER,
        Type.NUMBER,
        "The sum divided by that of all groups, which both stand beside it.",
        _sum,
    ),
)
