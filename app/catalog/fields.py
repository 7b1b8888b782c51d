"""The vocabulary of the catalog: types, fields, joins, navigations, measures, datasets.

Every front, the planner and the documentation read these rows; nothing here touches a database.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import ColumnElement, FromClause, Select, Table


class Type(StrEnum):
    """What a value is. CLOCK is a time of day as text, SPAN a duration in microseconds, OPEN a
    JSON object, TEXTS a list of texts; GUID, which no field is, a text in lower case.
    """

    TEXT = "text"
    INT = "int"
    NUMBER = "number"
    BOOL = "bool"
    TIME = "time"
    DATE = "date"
    CLOCK = "clock"
    SPAN = "span"
    GUID = "guid"
    ENUM = "enum"
    OPEN = "open"
    TEXTS = "texts"
    NULL = "null"


# The unit of numbers that count rows or values; they are told as decimals without fraction.
COUNTED = "count"


class Role(StrEnum):
    """What a field is for in a report builder."""

    KEY = "key"
    DIMENSION = "dimension"
    DATE = "date"
    MEASURE = "measure"


@dataclass(frozen=True, slots=True)
class Enumeration:
    """A closed list of words, in their order.

    name: its name in $metadata
    """

    name: str
    members: tuple[str, ...]


class Frame(Protocol):
    """The row source a field's SQL is written against, while one statement is being made.

    A frame stands for one dataset at one place of the statement (the set itself, or one expanded
    navigation); asking for a join adds it to the statement once.
    """

    @property
    def base(self) -> FromClause:
        """The dataset's own table, or its alias here."""
        ...

    @property
    def as_of(self) -> ColumnElement[Any]:
        """The moment the question is asked for, as a bound parameter."""
        ...

    @property
    def environment_id(self) -> ColumnElement[Any]:
        """The caller's environment, as a bound parameter."""
        ...

    def join(self, name: str) -> FromClause:
        """The alias of a declared join of this dataset."""
        ...

    def value(self, field: "Field") -> ColumnElement[Any]:
        """The SQL of a field of this dataset."""
        ...

    @property
    def zone(self) -> str:
        """The time zone of days, weeks and months."""
        ...

    @property
    def as_of_day(self) -> ColumnElement[Any]:
        """The day of the moment asked for, in the zone, as text."""
        ...


@dataclass(frozen=True, slots=True)
class Join:
    """A table that fields of a dataset read beside its own; at most one row per row.

    on: the condition, given the frame and the alias (the environment is added by the planner)
    streams: streams whose lateness would make the joined columns wrong
    """

    name: str
    table: Table
    on: Callable[[Frame, FromClause], ColumnElement[bool]]
    streams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a dataset.

    column: its name in the table; by default the field's own name
    via: the join it comes from; by default the dataset's own table
    sql: for computed fields, the expression instead of column and via
    unit: `percent`, `s`, `days`, `points`, `ratio` ...
    scope: what a key needs beyond `read` to see it
    joins: the joins its `sql` reads
    streams: streams it rests on besides those of its row and of its joins
    told: its type, as a member beside it tells it in an answer; empty where readers know it
    dates: of an open object, the members that are told as dates
    """

    name: str
    type: Type
    label: str
    description: str
    role: Role = Role.DIMENSION
    nullable: bool = True
    column: str | None = None
    via: str | None = None
    sql: Callable[[Frame], ColumnElement[Any]] | None = None
    enumeration: Enumeration | None = None
    unit: str | None = None
    scope: str | None = None
    max_length: int | None = None
    joins: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    told: str = ""
    dates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Navigation:
    """A way from a row of one dataset to rows of another: equal values of pairs of fields.

    pairs: (own field, target field), all must be equal
    many: to several rows, or to at most one
    partner: the navigation that leads back
    """

    name: str
    target: str
    pairs: tuple[tuple[str, str], ...]
    description: str
    many: bool = False
    partner: str | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """A named number over a group of rows.

    where: count the rows for which this expression holds (the language of $filter; `@as_of` is the
        moment asked for); empty counts all
    function, field: an aggregate over a field of those rows, instead of their count
    numerator, denominator: names of two other measures; then the measure is their ratio, null
        when the denominator is 0
    unit: of its value; a ratio's is `ratio` unless it says otherwise
    """

    name: str
    label: str
    description: str
    where: str = ""
    function: str = ""
    field: str = ""
    numerator: str | None = None
    denominator: str | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Rollup:
    """Counts and sums of a dataset's rows, kept with them in one transaction.

    table: one row for each combination of values, with `row_count`
    fields: the fields it tells apart
    sums: whole-number fields without nulls that it adds up, in columns of their names
    """

    table: Table
    fields: tuple[str, ...]
    sums: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """What may be asked: a set of rows with named fields.

    entity: the name of its entity type
    table: the table behind it; None when its rows are judged at request time (`computed`)
    rows: instead of a table, a select of such rows, given the environment and the moment asked for
    key: the names of its key fields
    module_type_field: the field that says which module type's stream a row belongs to
    streams: streams every question on this set depends on, besides those of its module types
    where: rows that belong to the set, for tables that hold more
    measured: fields that measures and aggregates read and no row shows
    rollups: kept sums, the coarsest first
    searchable: the text fields that $search looks into
    alternate_keys: other fields by which one row can be found
    singleton: there is exactly one row; then it has no key
    dynamic: fields that one environment alone has, found by name and shown only when asked for
    """

    name: str
    entity: str
    label: str
    description: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]
    table: Table | None = None
    joins: tuple[Join, ...] = ()
    navigations: tuple[Navigation, ...] = ()
    measures: tuple[Measure, ...] = ()
    streams: tuple[str, ...] = ()
    module_type_field: str | None = None
    where: Callable[[Frame], ColumnElement[bool]] | None = None
    computed: str | None = None
    scope: str = "read"
    measured: tuple[Field, ...] = ()
    rollups: tuple[Rollup, ...] = ()
    searchable: tuple[str, ...] = ()
    alternate_keys: tuple[tuple[str, ...], ...] = ()
    singleton: bool = False
    rows: Callable[[ColumnElement[Any], ColumnElement[Any]], Select[Any]] | None = None
    dynamic: tuple[Field, ...] = ()

    def __hash__(self) -> int:
        """By its name: to look through all of it would cost more than what is cached by it."""
        return hash(self.name)

    def field(self, name: str) -> Field | None:
        """The field of this name, or None."""
        fields = (*self.fields, *self.dynamic)
        return next((field for field in fields if field.name == name), None)

    def navigation(self, name: str) -> Navigation | None:
        """The navigation of this name, or None."""
        return next((n for n in self.navigations if n.name == name), None)

    def measure(self, name: str) -> Measure | None:
        """The measure of this name, or None."""
        return next((m for m in self.measures if m.name == name), None)
