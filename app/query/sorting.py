"""Orders as SQL: what rows are sorted by, and which rows are behind a place in that order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    false,
    literal_column,
    or_,
    select,
)
from sqlalchemy.types import BigInteger

from app.catalog.fields import Dataset, Type
from app.query.conditions import write_value
from app.query.expr import Column, Expr
from app.query.frames import DatasetFrame
from app.store.words import PlainText, Unindexed


@dataclass(frozen=True, slots=True)
class Sorted:
    """One term of the order: its SQL, direction, and whether it may be null."""

    value: ColumnElement[Any]
    type: Type
    descending: bool
    nullable: bool


def sort_term(expr: Expr, frame: DatasetFrame, *, descending: bool) -> Sorted:
    """One term of an order."""
    nullable = _is_nullable(frame.dataset, expr)
    return Sorted(_sort_value(expr, frame), expr.type, descending, nullable)


def _is_nullable(dataset: Dataset, expr: Any) -> bool:
    field = getattr(expr, "field", None)
    if field is None or expr.path:
        return True
    return field.name not in dataset.key and (field.nullable or field.via is not None)


def _sort_value(expr: Expr, frame: DatasetFrame) -> ColumnElement[Any]:
    value = write_value(expr, frame)
    if expr.type is Type.NULL:
        return cast(value, Text())
    is_reckoned = expr.type is Type.INT and not isinstance(expr, Column)
    return within_64_bits(value) if is_reckoned else value


def within_64_bits(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """A whole number as a cursor can hold it, whatever the type the database reckoned it in."""
    least: ColumnElement[Any] = literal_column(str(-(2**63)))
    most: ColumnElement[Any] = literal_column(str(2**63 - 1))
    return cast(case((value < least, least), (value > most, most), else_=value), BigInteger())


def unindexed_term(term: Sorted) -> Sorted:
    """The same term, for which no index is walked: what is few is looked up, then sorted."""
    return replace(term, value=Unindexed(term.value))


def order_term(term: Sorted) -> ColumnElement[Any]:
    """Null is the lowest value (URL Conventions 5.1.3)."""
    value = PlainText(term.value) if is_text_term(term) else term.value
    ordered: ColumnElement[Any] = value.desc() if term.descending else value.asc()
    if not term.nullable:
        return ordered
    return ordered.nulls_last() if term.descending else ordered.nulls_first()


def sorted_rows(rows: Select[Any], order: Sequence[Sorted]) -> Select[Any]:
    """The first column of a select, its rows in their order.

    What they are sorted by are columns first: SQLite finds no column of a row around in ORDER BY.
    """
    (shown,) = rows.selected_columns
    terms = [term.value.label(f"o{place}") for place, term in enumerate(order)]
    found = rows.add_columns(*terms).subquery()
    by = (replace(term, value=found.c[f"o{place}"]) for place, term in enumerate(order))
    return select(found.c[shown.name]).order_by(*map(order_term, by))


def is_text_term(term: Sorted) -> bool:
    """Is it compared as plain text, whatever the database's collation?"""
    return term.type in {Type.TEXT, Type.ENUM, Type.DATE, Type.CLOCK, Type.GUID}


def seek_rows(order: list[Sorted], nulls: tuple[bool, ...]) -> ColumnElement[bool]:
    """Rows behind the cursor in the full order: greater in a term, equal in all before it."""
    branches: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for index, (term, is_null) in enumerate(zip(order, nulls, strict=True)):
        bound = bindparam(f"after_{index}", type_=term.value.type)
        branches.append(and_(*equal, _behind(term, bound, is_null=is_null)))
        equal.append(term.value.is_(None) if is_null else term.value == bound)
    seek = or_(*branches)
    first = order[0]
    if len(order) == 1 or first.nullable or first.descending or is_text_term(first):
        return seek
    # Said once more in the form an index can use.
    return and_(first.value >= bindparam("after_0", type_=first.value.type), seek)


def _behind(term: Sorted, bound: ColumnElement[Any], *, is_null: bool) -> ColumnElement[bool]:
    value = PlainText(term.value) if is_text_term(term) else term.value
    if is_null:
        return false() if term.descending else term.value.is_not(None)
    if not term.descending:
        return value > bound
    below = value < bound
    return or_(below, term.value.is_(None)) if term.nullable else below
