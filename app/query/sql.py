"""Plan in, SQL out; the environment first. One statement a page, written once for each shape.

A page is an ordered, limited subquery whose rows are JSON objects; the database
joins them by commas.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    literal_column,
    null,
    or_,
    select,
)
from sqlalchemy.types import BigInteger

from app.catalog.fields import Dataset, Field, Type
from app.query.conditions import write_condition, write_value
from app.query.expr import Column, Expr
from app.query.frames import DatasetFrame, Sources
from app.query.numbers import write_numbers
from app.query.plan import Shape
from app.query.rollups import rolled_dataset
from app.query.streams import Expansion
from app.store.jsontext import (
    join_rows,
    joined_list,
    json_flag,
    json_inner,
    json_known_flag,
    json_moment,
    json_number,
    json_pairs,
    row_text,
)
from app.store.statement import Statement, compile_statement
from app.store.words import PlainText

LIMIT_BIND, OFFSET_BIND = "page_limit", "page_offset"


@dataclass(frozen=True, slots=True)
class PageStatement:
    """A statement and the judged row sources it reads."""

    statement: Statement
    computed: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Sorted:
    """One term of the order: its SQL, direction, and whether it may be null."""

    value: ColumnElement[Any]
    type: Type
    descending: bool
    nullable: bool


@lru_cache(maxsize=1024)
def rows_statement(
    shape: Shape, dialect_name: str, nulls: tuple[bool, ...] | None
) -> PageStatement:
    """One page of rows as JSON.

    nulls: for a page after the first, which of the cursor's values are null
    Shape:  one row: (objects joined by commas, how many)
    """
    if _sorts_by_key(shape):
        rows = _make_rows(shape, dialect_name)
        text = row_text(*rows.write_pairs())
        page = _page(_restrict(select(text.label("j")), rows, nulls=nulls))
    else:
        rows = _make_rows(shape, dialect_name, filtered=False)
        picked = _picked_keys(shape, rows.sources, dialect_name, nulls=nulls)
        text = row_text(*rows.write_pairs())
        rows.conditions.extend(
            [rows.sources.root.environment_condition(), _key_column(rows.sources).in_(picked)]
        )
        page = _restrict(select(text.label("j")), rows, nulls=None).limit(
            bindparam(LIMIT_BIND, type_=BigInteger())
        )
    joined = page.subquery("page")
    return _compile(join_rows(joined.c.j, joined), rows.sources, dialect_name)


def _sorts_by_key(shape: Shape) -> bool:
    """May rows be written while they are found? Else only the page's rows are, after sorting."""
    if shape.is_grouped or shape.dataset.table is None or len(shape.dataset.key) > 1:
        return True
    return len(shape.order) == 1


def _picked_keys(
    shape: Shape, outer: Sources, dialect_name: str, *, nulls: tuple[bool, ...] | None
) -> Select[Any]:
    """The keys of one page's rows: the sorter carries keys, not whole rows."""
    rows = _make_rows(shape, dialect_name)
    outer.computed |= rows.sources.computed
    return _page(_restrict(select(_key_column(rows.sources)), rows, nulls=nulls))


def _key_column(sources: Sources) -> ColumnElement[Any]:
    return sources.root.value_of(sources.root.dataset.key[0])


def _page(statement: Select[Any]) -> Select[Any]:
    return statement.limit(bindparam(LIMIT_BIND, type_=BigInteger())).offset(
        bindparam(OFFSET_BIND, type_=BigInteger())
    )


@lru_cache(maxsize=1024)
def edge_statement(
    shape: Shape, dialect_name: str, nulls: tuple[bool, ...] | None
) -> PageStatement:
    """The sort values of two rows from OFFSET on: the last of a page, and the one behind it.

    Shape:  up to two rows of sort values
    """
    rows = _make_rows(shape, dialect_name)
    inner: Select[Any] = select(*(term.value.label(f"k{i}") for i, term in enumerate(rows.order)))
    statement = (
        _restrict(inner, rows, nulls=nulls)
        .limit(literal_column("2"))
        .offset(bindparam(OFFSET_BIND, type_=BigInteger()))
    )
    return _compile(statement, rows.sources, dialect_name)


@lru_cache(maxsize=1024)
def count_statement(shape: Shape, dialect_name: str) -> PageStatement:
    """How many rows the question has over all its pages, before top and skip."""
    rows = _make_rows(shape, dialect_name)
    counted: Select[Any] = select(func.count()).select_from(rows.sources.clause)
    return _compile(counted.where(*rows.conditions), rows.sources, dialect_name)


def _compile(statement: Select[Any], sources: Any, dialect_name: str) -> PageStatement:
    return PageStatement(compile_statement(statement, dialect_name), frozenset(sources.computed))


# Rows and groups


class _Grouped:
    """A grouped select as a row source, so that order, pages and JSON are those of plain rows."""

    def __init__(self, clause: FromClause, computed: set[str]) -> None:
        self.clause = clause
        self.computed = computed


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows before they are paged: where they come from, their order, and how each is written."""

    sources: Any
    order: list[_Sorted]
    conditions: list[ColumnElement[bool]]
    write_pairs: Callable[[], list[Any]]


def _make_rows(shape: Shape, dialect_name: str, *, filtered: bool = True) -> _Rows:
    """The rows of a shape; unfiltered when their keys are already picked.

    Only what is asked for is joined: the columns of the rows join when their pairs are written.
    """
    if shape.is_grouped:
        return _make_groups(shape, dialect_name)
    sources = Sources(shape.dataset, dialect_name, shape.datasets, zone=shape.request.timezone)
    conditions = _conditions(shape, sources) if filtered else []
    order = [_sorted(expr, sources.root, descending=descending) for expr, descending in shape.order]
    return _Rows(
        sources,
        order,
        conditions,
        lambda: _row_pairs(sources.root, shape.fields, shape.expansions),
    )


def _row_pairs(
    frame: DatasetFrame, fields: Sequence[Field], expansions: Sequence[Expansion]
) -> list[Any]:
    pairs = _field_pairs(frame, fields)
    for expansion in expansions:
        name: Any = literal_column(_quoted(expansion.navigation.name))
        pairs += [name, _expanded(frame, expansion)]
    return pairs


def _sorted(expr: Expr, frame: DatasetFrame, *, descending: bool) -> _Sorted:
    nullable = _is_nullable(frame.dataset, expr)
    return _Sorted(_sort_value(expr, frame), expr.type, descending, nullable)


def _is_nullable(dataset: Dataset, expr: Any) -> bool:
    field = getattr(expr, "field", None)
    if field is None or expr.path:
        return True
    return field.name not in dataset.key and (field.nullable or field.via is not None)


def _make_groups(shape: Shape, dialect_name: str) -> _Rows:
    rollup = shape.rollup
    dataset = shape.dataset if rollup is None else rolled_dataset(shape.dataset, rollup)
    sources = Sources(dataset, dialect_name, shape.datasets, zone=shape.request.timezone)
    conditions = _conditions(shape, sources)
    if rollup is not None:
        conditions.append(sources.root.base.c.row_count > 0)
    groups = [sources.root.value(field).label(field.name) for field in shape.group]
    numbers = write_numbers(shape.outputs, sources.root, is_rolled=rollup is not None)
    statement = select(*groups, *numbers).select_from(sources.clause).where(*conditions)
    if groups:
        statement = statement.group_by(*(label.element for label in groups))
    grouped = statement.subquery("grouped")
    types = {field.name: field.type for field in shape.group}
    types |= {output.column.name: output.column.type for output in shape.outputs}
    pairs: list[Any] = []
    for name, kind in types.items():
        pairs += [literal_column(_quoted(name)), _json_value(kind, grouped.c[name])]
    order = []
    for term in shape.group_order:
        value: ColumnElement[Any] = grouped.c[term.by]
        value = _within_64_bits(value) if types[term.by] is Type.INT else value
        order.append(_Sorted(value, types[term.by], term.descending, True))
    return _Rows(_Grouped(grouped, sources.computed), order, [], lambda: pairs)


def _conditions(shape: Shape, sources: Sources) -> list[ColumnElement[bool]]:
    conditions = list(sources.conditions)
    if shape.where is not None:
        conditions.append(write_condition(shape.where, sources.root))
    return conditions


# JSON


def _quoted(name: str) -> str:
    """A name as an SQL literal."""
    return "'" + name.replace("'", "''") + "'"


def _field_pairs(frame: DatasetFrame, fields: Sequence[Field]) -> list[Any]:
    pairs: list[Any] = []
    for field in fields:
        value = frame.value(field)
        known = field.type is Type.BOOL and not field.nullable and field.via is None
        written = json_known_flag(value) if known else _json_value(field.type, value)
        pairs += [literal_column(_quoted(field.name)), written]
    return pairs


def _json_value(kind: Type, value: ColumnElement[Any]) -> ColumnElement[Any]:
    match kind:
        case Type.NUMBER:
            return json_number(value)
        case Type.BOOL:
            return json_flag(value)
        case Type.TIME:
            return json_moment(value)
        case Type.OPEN | Type.TEXTS:
            return json_inner(value)
    return value


def _expanded(frame: DatasetFrame, expansion: Expansion) -> ColumnElement[Any]:
    if expansion.navigation.many:
        return _expanded_rows(frame, expansion)
    inner = frame.navigate(expansion.navigation)
    pairs = _row_pairs(inner, expansion.fields, expansion.expansions)
    present = inner.value_of(expansion.dataset.key[0]).is_not(None)
    return case((present, json_pairs(*pairs)), else_=null())


def _expanded_rows(frame: DatasetFrame, expansion: Expansion) -> ColumnElement[Any]:
    """The rows behind a navigation as a JSON list: a subquery on the row it starts from."""
    outer = frame.sources
    inner = Sources(
        expansion.dataset, outer.dialect_name, outer.datasets, zone=outer.zone, within=outer
    )
    conditions = list(inner.conditions)
    for own, target in expansion.navigation.pairs:
        conditions.append(inner.root.value_of(target) == frame.value_of(own))
    if expansion.where is not None:
        conditions.append(write_condition(expansion.where, inner.root))
    order = [_sorted(expr, inner.root, descending=descends) for expr, descends in expansion.order]
    text = row_text(*_row_pairs(inner.root, expansion.fields, expansion.expansions))
    rows = select(text.label("j")).select_from(inner.clause).where(*conditions)
    rows = rows.order_by(*(_order_by(term) for term in order))
    if expansion.top is not None or expansion.skip:
        # SQLite knows no OFFSET without a LIMIT.
        rows = rows.limit(2**63 - 1 if expansion.top is None else expansion.top)
    if expansion.skip:
        rows = rows.offset(expansion.skip)
    page = rows.correlate_except(inner.clause).subquery()
    joined = select(joined_list(page.c.j)).select_from(page)
    return json_inner(joined.scalar_subquery())


# Order and pages


def _sort_value(expr: Expr, frame: DatasetFrame) -> ColumnElement[Any]:
    value = write_value(expr, frame)
    if expr.type is Type.NULL:
        return cast(value, Text())
    is_reckoned = expr.type is Type.INT and not isinstance(expr, Column)
    return _within_64_bits(value) if is_reckoned else value


def _within_64_bits(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """A whole number as a cursor can hold it, whatever the type the database reckoned it in."""
    least: ColumnElement[Any] = literal_column(str(-(2**63)))
    most: ColumnElement[Any] = literal_column(str(2**63 - 1))
    return cast(case((value < least, least), (value > most, most), else_=value), BigInteger())


def _restrict(
    statement: Select[Any], rows: _Rows, *, nulls: tuple[bool, ...] | None
) -> Select[Any]:
    statement = statement.select_from(rows.sources.clause).where(*rows.conditions)
    if nulls is not None and rows.order:
        statement = statement.where(_seek(rows.order, nulls))
    return statement.order_by(*(_order_by(term) for term in rows.order))


def _order_by(term: _Sorted) -> ColumnElement[Any]:
    """Null is the lowest value (URL Conventions 5.1.3)."""
    value = PlainText(term.value) if _is_text(term) else term.value
    ordered: ColumnElement[Any] = value.desc() if term.descending else value.asc()
    if not term.nullable:
        return ordered
    return ordered.nulls_last() if term.descending else ordered.nulls_first()


def _is_text(term: _Sorted) -> bool:
    return term.type in {Type.TEXT, Type.ENUM, Type.DATE}


def _seek(order: list[_Sorted], nulls: tuple[bool, ...]) -> ColumnElement[bool]:
    """Rows behind the cursor in the full order: greater in a term, equal in all before it."""
    branches: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for index, (term, is_null) in enumerate(zip(order, nulls, strict=True)):
        bound = bindparam(f"after_{index}", type_=term.value.type)
        branches.append(and_(*equal, _behind(term, bound, is_null=is_null)))
        equal.append(term.value.is_(None) if is_null else term.value == bound)
    seek = or_(*branches)
    first = order[0]
    if len(order) == 1 or first.nullable or first.descending or _is_text(first):
        return seek
    # Said once more in the form an index can use.
    return and_(first.value >= bindparam("after_0", type_=first.value.type), seek)


def _behind(term: _Sorted, bound: ColumnElement[Any], *, is_null: bool) -> ColumnElement[bool]:
    value = PlainText(term.value) if _is_text(term) else term.value
    if is_null:
        return false() if term.descending else term.value.is_not(None)
    if not term.descending:
        return value > bound
    below = value < bound
    return or_(below, term.value.is_(None)) if term.nullable else below


def seek_values(values: Sequence[Any]) -> dict[str, Any]:
    """The cursor's values by the names of their parameters; nulls are part of the statement."""
    return {f"after_{i}": value for i, value in enumerate(values) if value is not None}
