"""Expr: the bound, typed expression tree that $filter, $orderby, REST `where` and reports share.

Names are already catalog fields, literals already Python values. Long `and`/`or` chains are flat.
"""

from dataclasses import dataclass
from typing import Any

from app.catalog.fields import Enumeration, Field, Type


@dataclass(frozen=True, slots=True)
class Expr:
    """Any expression; `type` is what its value is."""

    type: Type


@dataclass(frozen=True, slots=True)
class Literal(Expr):
    """A value from the caller; always bound, never spelled into SQL.

    value: str, int, float, bool, aware datetime, date, or None (type NULL)
    """

    value: Any


@dataclass(frozen=True, slots=True)
class AsOf(Expr):
    """The moment the question is asked for (`@as_of`, `now()`)."""


@dataclass(frozen=True, slots=True)
class Column(Expr):
    """A field of the dataset, or of one reached over to-one navigations.

    path: navigation names on the way; empty for the dataset's own fields
    """

    path: tuple[str, ...]
    field: Field

    @property
    def enumeration(self) -> Enumeration | None:
        """The closed list of words it holds, if any."""
        return self.field.enumeration


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
