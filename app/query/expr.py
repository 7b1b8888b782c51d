"""Expr: the bound, typed expression tree that $filter, $orderby, REST `where` and reports share.

Names are already catalog fields, literals already Python values. Long `and`/`or` chains are flat.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from app.catalog.fields import Dataset, Enumeration, Field, Navigation, Type


@dataclass(frozen=True, slots=True)
class Expr:
    """Any expression; `type` is what its value is."""

    type: Type


@dataclass(frozen=True, slots=True)
class Literal(Expr):
    """A value from the caller; always bound, never spelled into SQL.

    value: str, int, float, bool, aware datetime, date, or None (type NULL); a whole number beyond
        53 bits that was written with a point is a Decimal; a duration is in microseconds
    """

    value: Any


@dataclass(frozen=True, slots=True)
class Slot(Literal):
    """The place of a literal that is not null; what stands there is bound by this name."""

    name: str


@dataclass(frozen=True, slots=True)
class AsOf(Expr):
    """The moment the question is asked for (`@as_of`, `now()`)."""


@dataclass(frozen=True, slots=True)
class Column(Expr):
    """A field of the dataset, or of one reached over to-one navigations.

    path: navigation names on the way; empty for the dataset's own fields
    of: the row it starts from, by the name of its `Rows`; empty for the question's own row
    """

    path: tuple[str, ...]
    field: Field
    of: str = ""

    @property
    def enumeration(self) -> Enumeration | None:
        """The closed list of words it holds, if any."""
        return self.field.enumeration


def literal_bound(literal: Literal) -> Any:
    """The value of a literal as it is bound to a statement."""
    value = literal.value
    if literal.type is Type.DATE and not isinstance(value, str):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


def own_column(field: Field) -> Column:
    """A field of the question's own row."""
    return Column(field.type, (), field)


@dataclass(frozen=True, slots=True)
class Compare(Expr):
    """`eq ne gt ge lt le`, with the standard's null rules (URL Conventions 5.1.1.1)."""

    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Among(Expr):
    """`in`: equal to one of the members (null among them matches null)."""

    left: Expr
    members: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Both(Expr):
    """A flat `and` (operator "and") or `or` (operator "or") chain of two or more terms."""

    operator: str
    terms: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Not(Expr):
    """`not`; null stays null, and a filter takes null as false."""

    term: Expr


@dataclass(frozen=True, slots=True)
class Arithmetic(Expr):
    """`add sub mul div divby mod`; null when an operand is null."""

    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Negate(Expr):
    """Unary minus."""

    term: Expr


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """A function of `catalog/functions.py`, by its row's name."""

    function: str
    arguments: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Case(Expr):
    """The value of the first condition that is true; null when none is.

    conditions, values: as many of each, in order
    """

    conditions: tuple[Expr, ...]
    values: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Cast(Expr):
    """A value as one of another type; null where it does not fit.

    least, most: the bounds of a whole number; None for other types
    """

    term: Expr
    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Holds(Expr):
    """Does one of these texts hold the word, whatever the case of letters? Never null.

    word: folded; is_plain: it was written in ASCII
    """

    fields: tuple["Column | Element", ...]
    word: str
    is_plain: bool


@dataclass(frozen=True, slots=True)
class Element(Expr):
    """The present member of a list of texts.

    of: the name of its `Rows`
    """

    of: str


@dataclass(frozen=True, slots=True)
class Rows(Expr):
    """What is behind a path to several: rows of a dataset, or members of a list; no value itself.

    name: what expressions call the present one of them; never that of another `Rows`
    of, path: the row the path starts from, and to-one navigations on the way
    step: the navigation to several, or the field that holds a list
    dataset: of the rows; for a list, the one that has the field
    where: only those for which it holds
    """

    name: str
    of: str
    path: tuple[str, ...]
    step: Navigation | Field
    dataset: Dataset
    where: Expr | None = None


@dataclass(frozen=True, slots=True)
class FromRoot(Expr):
    """A value read from one entity of any set, `$root/Modules(7)/max_score`; null without it.

    rows: the entity, by its key; value: an expression that starts from it
    """

    rows: Rows
    value: Expr

    @property
    def enumeration(self) -> Enumeration | None:
        """The closed list of words it holds, if any."""
        return self.value.enumeration if isinstance(self.value, Column) else None


@dataclass(frozen=True, slots=True)
class Quantified(Expr):
    """`any` and `all` (`every`): is the condition true for one, or for all? Never null."""

    rows: Rows
    condition: Expr | None
    every: bool = False


@dataclass(frozen=True, slots=True)
class CountOf(Expr):
    """How many there are; never null."""

    rows: Rows


@dataclass(frozen=True, slots=True)
class Chosen(Expr):
    """Members of a list: which, in what order, and how many of them.

    descends: for each term of the order, whether it does
    top: None for all
    """

    rows: Rows
    order: tuple[Expr, ...] = ()
    descends: tuple[bool, ...] = ()
    top: int | None = None
    skip: int = 0


def parts_of(expr: Expr | None) -> Iterator[Expr]:
    """An expression and all within it."""
    waiting = [] if expr is None else [expr]
    while waiting:
        current = waiting.pop()
        yield current
        for name in current.__dataclass_fields__:
            value = getattr(current, name)
            for inner in value if isinstance(value, tuple) else (value,):
                if isinstance(inner, Expr):
                    waiting.append(inner)
