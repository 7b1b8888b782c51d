"""Statements over a dataset's own table as a past revision had it, and over what changed since.

They read the two halves of the table, rows that have stayed and rows that were replaced
(app/store/past.py).
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, FromClause, bindparam, literal_column, select, union_all
from sqlalchemy.types import BigInteger

from app.query.frames import Sources
from app.query.plan import Shape
from app.query.sorting import Sorted, is_text_term, order_term
from app.query.sql import (
    LIMIT_BIND,
    OFFSET_BIND,
    PageStatement,
    compile_page,
    make_rows,
    page_of,
    restrict_rows,
)
from app.store.jsontext import join_rows
from app.store.past import ROWS_REPLACED, ROWS_STAYED
from app.store.words import PlainText

AFTER_KEY_BIND, UPTO_KEY_BIND, SINCE_BIND = "after_key", "upto_key", "since_revision"


@lru_cache(maxsize=256)
def past_rows_statement(
    shape: Shape, dialect_name: str, nulls: tuple[bool, ...] | None
) -> PageStatement:
    """One page in key order at a revision since which the dataset's own table has changed.

    Rows that have stayed and rows that were replaced are read each in order, so that a page costs
    what a page costs, however many rows there are.
    Shape:  as rows_statement
    """
    end: Any = bindparam(LIMIT_BIND, type_=BigInteger())
    both, order, computed = _past_halves(shape, dialect_name, nulls, written=True, end=end)
    page = page_of(select(both.c.j).order_by(*order)).subquery("page")
    return replace(compile_page(join_rows(page.c.j, page), computed, dialect_name), is_halved=True)


@lru_cache(maxsize=256)
def past_edge_statement(
    shape: Shape, dialect_name: str, nulls: tuple[bool, ...] | None
) -> PageStatement:
    """As edge_statement, for pages of past_rows_statement."""
    both, order, computed = _past_halves(
        shape, dialect_name, nulls, written=False, end=literal_column("2")
    )
    edge = select(*both.c).order_by(*order).limit(literal_column("2"))
    edge = edge.offset(bindparam(OFFSET_BIND, type_=BigInteger()))
    return replace(compile_page(edge, computed, dialect_name), is_halved=True)


def _past_halves(
    shape: Shape,
    dialect_name: str,
    nulls: tuple[bool, ...] | None,
    *,
    written: bool,
    end: ColumnElement[Any],
) -> tuple[FromClause, list[ColumnElement[Any]], Any]:
    """The first rows of both halves, their common order, and the sources read."""
    halves, terms, sources = [], [], None
    for source in (ROWS_STAYED, ROWS_REPLACED):
        rows = make_rows(shape, dialect_name, source=source)
        labels = [term.value.label(f"k{i}") for i, term in enumerate(rows.order)]
        if written:
            labels.append(rows.write_text().label("j"))
        half = restrict_rows(select(*labels), rows, nulls=nulls)
        last = end + bindparam(OFFSET_BIND, type_=BigInteger())
        halves.append(select(half.limit(last).subquery()))
        terms, sources = rows.order, rows.sources
    both = union_all(*halves).subquery("both")
    order = [
        order_term(Sorted(both.c[f"k{i}"], term.type, term.descending, term.nullable))
        for i, term in enumerate(terms)
    ]
    return both, order, sources


@lru_cache(maxsize=256)
def keyed_rows_statement(
    shape: Shape, dialect_name: str, source: str, *, newer: bool
) -> PageStatement:
    """The rows whose keys lie in a range, with their keys, in no order.

    source: empty for the dataset's own table, else the half of it that is read
    newer: only rows that have changed since SINCE_BIND
    Shape:  rows of (key, object)
    """
    rows = make_rows(shape, dialect_name, source=source)
    key = rows.sources.root.value_of(shape.dataset.key[0])
    statement = select(key.label("k"), rows.write_text().label("j"))
    statement = statement.select_from(rows.sources.clause).where(
        *rows.conditions, *_key_range(rows.order[-1], upto=True)
    )
    if newer:
        statement = statement.where(rows.sources.root.base.c.revision > _since())
    return replace(compile_page(statement, rows.sources, dialect_name), is_halved=bool(source))


@lru_cache(maxsize=256)
def changed_keys_statement(shape: Shape, dialect_name: str, *, newer: bool) -> PageStatement:
    """The next keys of the dataset's own table, tombstones among them.

    newer: only of rows that have changed since SINCE_BIND
    Shape:  rows of (key)
    """
    sources = Sources(replace(shape.dataset, where=None), dialect_name, shape.datasets)
    field = shape.dataset.field(shape.dataset.key[0])
    if field is None:
        raise LookupError(shape.dataset.key[0])
    term = Sorted(sources.root.value(field), field.type, descending=False, nullable=False)
    statement = (
        select(term.value)
        .select_from(sources.clause)
        .where(*sources.conditions, *_key_range(term, upto=False))
        .order_by(order_term(term))
        .limit(bindparam(LIMIT_BIND, type_=BigInteger()))
    )
    if newer:
        statement = statement.where(sources.root.base.c.revision > _since())
    return compile_page(statement, sources, dialect_name)


def _since() -> ColumnElement[Any]:
    return bindparam(SINCE_BIND, type_=BigInteger())


def _key_range(key: Sorted, *, upto: bool) -> list[ColumnElement[bool]]:
    value = PlainText(key.value) if is_text_term(key) else key.value
    bounds = [value > bindparam(AFTER_KEY_BIND, type_=key.value.type)]
    if upto:
        bounds.append(value <= bindparam(UPTO_KEY_BIND, type_=key.value.type))
    return bounds
