"""Plan in, SQL out; the environment first. One statement a page, written once for each shape.

A page is an ordered, limited subquery whose rows are JSON objects; the database
joins them by commas.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Text,
    bindparam,
    case,
    cast,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy import table as table_clause
from sqlalchemy.types import BigInteger

from app.catalog.fields import Field, Type
from app.query.conditions import write_condition
from app.query.expr import Column
from app.query.frames import DatasetFrame, Sources
from app.query.narrowing import split_narrow
from app.query.numbers import write_numbers
from app.query.plan import Shape
from app.query.request import TYPE_ENDING
from app.query.rollups import rolled_dataset
from app.query.sorting import (
    Sorted,
    order_term,
    seek_rows,
    sort_term,
    sorted_rows,
    unindexed_term,
    within_64_bits,
)
from app.query.stage_rows import Setting, open_stage
from app.query.stages import Stage
from app.query.streams import Expansion
from app.store.addresses import UrlLiteral
from app.store.json_fields import tell_dates
from app.store.jsontext import (
    inner_row,
    inner_rows,
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
from app.store.past import tables_read
from app.store.spans import SpanText
from app.store.statement import Statement, compile_statement
from app.store.words import Unindexed

LIMIT_BIND, OFFSET_BIND = "page_limit", "page_offset"


@dataclass(frozen=True, slots=True)
class PageStatement:
    """A statement and what it reads.

    computed: the judged row sources
    tables: the tables whose replaced rows are kept
    is_halved: does it read the two halves of the dataset's own table by their names?
    """

    statement: Statement
    computed: frozenset[str]
    tables: frozenset[str]
    is_halved: bool = False

    @property
    def binds(self) -> Collection[str]:
        """The names of the values it is run with."""
        return self.statement.parameters.keys()


@lru_cache(maxsize=1024)
def rows_statement(
    shape: Shape, dialect_name: str, nulls: tuple[bool, ...] | None
) -> PageStatement:
    """One page of rows as JSON.

    nulls: for a page after the first, which of the cursor's values are null
    Shape:  one row: (objects joined by commas, how many), and where the order is that of a number
        as key, the greatest of them
    """
    if sorts_by_key(shape) and not _sorts_few(shape):
        rows = make_rows(shape, dialect_name)
        page = page_of(restrict_rows(select(*_written(shape, rows)), rows, nulls=nulls))
    else:
        rows = make_rows(shape, dialect_name, filtered=False)
        picked = _picked_keys(shape, rows.sources, dialect_name, nulls=nulls)
        written = _written(shape, rows)
        rows.conditions.extend(
            [rows.sources.root.environment_condition(), _key_column(rows.sources).in_(picked)]
        )
        page = restrict_rows(select(*written), rows, nulls=None).limit(
            bindparam(LIMIT_BIND, type_=BigInteger())
        )
    joined = page.subquery("page")
    whole = join_rows(joined.c.j, joined, key=joined.c.get("k"))
    return compile_page(whole, rows.sources, dialect_name)


def _written(shape: Shape, rows: "_Rows") -> list[ColumnElement[Any]]:
    """The text of each row, and its key where that alone tells the page's end."""
    text = rows.write_text().label("j")
    return [text, rows.order[0].value.label("k")] if ends_with_key(shape) else [text]


def ends_with_key(shape: Shape) -> bool:
    """Is the greatest key of a page its place in the order?"""
    if shape.is_grouped or shape.stage is not None or len(shape.order) != 1:
        return False
    by, descending = shape.order[0]
    is_own = isinstance(by, Column) and not by.path and (by.field.name,) == shape.dataset.key
    return is_own and not descending and by.type is Type.INT


def sorts_by_key(shape: Shape) -> bool:
    """May rows be written while they are found? Else only the page's rows are, after sorting."""
    if shape.is_grouped or shape.dataset.table is None or len(shape.dataset.key) > 1:
        return True
    return len(shape.order) == 1


def _sorts_few(shape: Shape) -> bool:
    """Are a few rows looked up, then sorted?"""
    if shape.is_grouped or shape.dataset.table is None or len(shape.dataset.key) != 1:
        return False
    return shape.stage is None and bool(split_narrow(shape.dataset, shape.where)[0])


def _picked_keys(
    shape: Shape, outer: Sources, dialect_name: str, *, nulls: tuple[bool, ...] | None
) -> Select[Any]:
    """The keys of one page's rows: the sorter carries keys, not whole rows."""
    rows = make_rows(shape, dialect_name)
    outer.computed |= rows.sources.computed
    return page_of(restrict_rows(select(_key_column(rows.sources)), rows, nulls=nulls))


def _key_column(sources: Sources) -> ColumnElement[Any]:
    return sources.root.value_of(sources.root.dataset.key[0])


def page_of(statement: Select[Any]) -> Select[Any]:
    """One page of a statement; the values are bound."""
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
    rows = make_rows(shape, dialect_name)
    terms: list[Any] = [term.value.label(f"k{i}") for i, term in enumerate(rows.order)]
    # A single row has no order.
    inner: Select[Any] = select(*(terms or [literal_column("1")]))
    statement = (
        restrict_rows(inner, rows, nulls=nulls)
        .limit(literal_column("2"))
        .offset(bindparam(OFFSET_BIND, type_=BigInteger()))
    )
    return compile_page(statement, rows.sources, dialect_name)


@lru_cache(maxsize=1024)
def count_statement(shape: Shape, dialect_name: str) -> PageStatement:
    """How many rows the question has over all its pages, before top and skip."""
    rows = make_rows(shape, dialect_name)
    counted: Select[Any] = select(func.count()).select_from(rows.sources.clause)
    return compile_page(counted.where(*rows.conditions), rows.sources, dialect_name)


def compile_page(statement: Select[Any], sources: Any, dialect_name: str) -> PageStatement:
    """Write a statement's text, and note what it reads."""
    compiled = compile_statement(statement, dialect_name)
    return PageStatement(compiled, frozenset(sources.computed), tables_read(statement))


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
    order: list[Sorted]
    conditions: list[ColumnElement[bool]]
    write_text: Callable[[], ColumnElement[Any]]


def make_rows(shape: Shape, dialect_name: str, *, filtered: bool = True, source: str = "") -> _Rows:
    """The rows of a shape; unfiltered when their keys are already picked.

    source: the name of the row source that stands for the dataset's table, if not the table

    Only what is asked for is joined: the columns of the rows join when their pairs are written.
    """
    if shape.is_grouped:
        return _make_groups(shape, dialect_name)
    if shape.stage is not None:
        return _make_rows_behind(shape, shape.stage, dialect_name)
    sources = Sources(
        shape.dataset,
        dialect_name,
        shape.datasets,
        zone=shape.request.timezone,
        root=named_source(shape, source) if source else None,
        id_name=shape.request.id_name,
        id_always=shape.request.id_always,
    )
    conditions = _conditions(shape, sources) if filtered else []
    order = [
        sort_term(expr, sources.root, descending=descending) for expr, descending in shape.order
    ]
    return _Rows(
        sources,
        [unindexed_term(term) for term in order] if _sorts_few(shape) else order,
        conditions,
        lambda: row_text(*_row_pairs(sources.root, shape.fields, shape.expansions)),
    )


def named_source(shape: Shape, name: str) -> FromClause:
    """A row source of this name with the columns of the dataset's table."""
    table: Any = shape.dataset.table
    columns = [column(c.name, c.type) for c in table.columns]
    named: FromClause = table_clause(name, *columns).alias("t0")
    return named


def _row_pairs(
    frame: DatasetFrame, fields: Sequence[Field], expansions: Sequence[Expansion]
) -> list[Any]:
    pairs = [*_address_pairs(frame, fields), *_field_pairs(frame, fields)]
    for expansion in expansions:
        if expansion.count_name:
            counted: Any = literal_column(_quoted(expansion.count_name))
            pairs += [counted, _counted_rows(frame, expansion)]
        name: Any = literal_column(_quoted(expansion.navigation.name))
        pairs += [name, _expanded(frame, expansion)]
    return pairs


def _address_pairs(frame: DatasetFrame, fields: Sequence[Field]) -> list[Any]:
    """The address of a row below the service, where it is asked for."""
    dataset, sources = frame.dataset, frame.sources
    names = {field.name for field in fields}
    if not sources.id_name or not dataset.key:
        return []
    if not sources.id_always and names.issuperset(dataset.key):
        return []
    parts: list[ColumnElement[Any]] = []
    for name in dataset.key:
        field = dataset.field(name)
        value = frame.value_of(name)
        is_number = field is not None and field.type is Type.INT
        spelled = cast(value, Text()) if is_number else UrlLiteral(value)
        label = f"{name}=" if len(dataset.key) > 1 else ""
        opening = "," if parts else f"{dataset.name}("
        parts += [literal_column(_quoted(opening + label), Text()), spelled]
    address = parts[0]
    for part in (*parts[1:], literal_column("')'", Text())):
        address = address.concat(part)
    return [literal_column(_quoted(sources.id_name)), address]


def _make_rows_behind(shape: Shape, stage: Stage, dialect_name: str) -> _Rows:
    """The rows behind `$apply`, which need not all have the same columns."""
    request = shape.request
    setting = Setting(
        dialect_name, shape.datasets, request.timezone, request.id_name, request.id_always
    )
    sources = open_stage(stage, setting)
    frame = sources.root
    if shape.where is not None:
        sources.conditions.append(write_condition(shape.where, frame))
    order = [sort_term(expr, frame, descending=descends) for expr, descends in shape.order]

    def write_text() -> ColumnElement[Any]:
        if stage.source is None or not (stage.kind or shape.is_nested):
            return row_text(*_row_pairs(frame, shape.fields, shape.expansions))
        if stage.kind is None:
            return row_text(*_nested_pairs(frame, shape.fields))
        texts = {}
        for kind, names in enumerate(stage.structures):
            fields = [f for f in shape.fields if f.name in names or f.name in shape.computed_names]
            texts[kind] = row_text(*_nested_pairs(frame, fields))
        return case(texts, value=frame.value(stage.kind), else_=literal_column("'{}'"))

    return _Rows(sources, order, sources.conditions, write_text)


def _nested_pairs(frame: DatasetFrame, fields: Sequence[Field], depth: int = 0) -> list[Any]:
    """The members of a row, in which fields behind navigations stand in objects of their own."""
    pairs: list[Any] = []
    done: set[str] = set()
    for field in fields:
        *way, _ = field.name.split("/")[depth:]
        if not way:
            pairs += _field_pairs(frame, [replace(field, name=field.name.rpartition("/")[2])])
        elif way[0] not in done:
            done.add(way[0])
            inside = [f for f in fields if f.name.split("/")[depth:-1][:1] == way[:1]]
            quoted: Any = literal_column(_quoted(way[0]))
            pairs += [quoted, json_pairs(*_nested_pairs(frame, inside, depth + 1))]
    return pairs


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
        value = within_64_bits(value) if types[term.by] is Type.INT else value
        order.append(Sorted(value, types[term.by], term.descending, True))
    return _Rows(_Grouped(grouped, sources.computed), order, [], lambda: row_text(*pairs))


def _conditions(shape: Shape, sources: Sources) -> list[ColumnElement[bool]]:
    """What rows must fulfil; where a term finds few of them, no index is walked for another."""
    narrow, others = split_narrow(shape.dataset, shape.where)
    written = [write_condition(term, sources.root) for term in (*narrow, *others)]
    if narrow:
        written[len(narrow) :] = [Unindexed(term) for term in written[len(narrow) :]]
    return [*sources.conditions, *written]


# JSON


def _quoted(name: str) -> str:
    """A name as an SQL literal."""
    return "'" + name.replace("'", "''") + "'"


def _field_pairs(frame: DatasetFrame, fields: Sequence[Field]) -> list[Any]:
    pairs: list[Any] = []
    for field in fields:
        value = frame.value(field)
        known = field.type is Type.BOOL and not field.nullable and field.via is None
        if field.dates:
            value = tell_dates(value, field.dates, TYPE_ENDING)
        written = json_known_flag(value) if known else _json_value(field.type, value)
        if field.told:
            beside = f"{field.name}{TYPE_ENDING}"
            pairs += [literal_column(_quoted(beside)), literal_column(_quoted(field.told), Text())]
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
        case Type.SPAN:
            return SpanText(value)
        case Type.OPEN | Type.TEXTS:
            return json_inner(value)
    return value


def _expanded(frame: DatasetFrame, expansion: Expansion) -> ColumnElement[Any]:
    if expansion.navigation.many:
        return _expanded_rows(frame, expansion)
    inner = frame.navigate(expansion.navigation)
    _name_row(inner, frame, expansion)
    pairs = _row_pairs(inner, expansion.fields, expansion.expansions)
    present = inner.value_of(expansion.dataset.key[0]).is_not(None)
    return inner_row(present, *pairs)


def _name_row(inner: DatasetFrame, frame: DatasetFrame, expansion: Expansion) -> None:
    """Let `$it` name the row that the path of the question leads to, for rows behind it."""
    if expansion.it is not None:
        inner.rows = {**inner.rows, "$it": frame.rows.get("$it", frame)}


def _rows_behind(
    frame: DatasetFrame, expansion: Expansion
) -> tuple[Sources, list[ColumnElement[bool]]]:
    """Where the rows behind a navigation come from, and which of them are meant."""
    outer = frame.sources
    inner = Sources(
        expansion.dataset,
        outer.dialect_name,
        outer.datasets,
        zone=outer.zone,
        within=outer,
    )
    _name_row(inner.root, frame, expansion)
    conditions = list(inner.conditions)
    for own, target in expansion.navigation.pairs:
        conditions.append(inner.root.value_of(target) == frame.value_of(own))
    if expansion.where is not None:
        conditions.append(write_condition(expansion.where, inner.root))
    return inner, conditions


def _counted_rows(frame: DatasetFrame, expansion: Expansion) -> ColumnElement[Any]:
    """How many rows are behind a navigation, before top and skip."""
    inner, conditions = _rows_behind(frame, expansion)
    counted = select(func.count()).select_from(inner.clause).where(*conditions)
    return counted.correlate_except(inner.clause).scalar_subquery()


def _expanded_rows(frame: DatasetFrame, expansion: Expansion) -> ColumnElement[Any]:
    """The rows behind a navigation as a JSON list: a subquery on the row it starts from."""
    inner, conditions = _rows_behind(frame, expansion)
    order = [
        unindexed_term(sort_term(expr, inner.root, descending=descends))
        for expr, descends in expansion.order
    ]
    text = row_text(*_row_pairs(inner.root, expansion.fields, expansion.expansions))
    rows = select(text.label("j")).select_from(inner.clause).where(*conditions)
    rows = sorted_rows(rows.correlate_except(inner.clause), order)
    if expansion.top is not None or expansion.skip:
        # SQLite knows no OFFSET without a LIMIT.
        rows = rows.limit(2**63 - 1 if expansion.top is None else expansion.top)
    if expansion.skip:
        rows = rows.offset(expansion.skip)
    page = rows.subquery()
    joined = select(joined_list(page.c.j)).select_from(page)
    return inner_rows(joined.scalar_subquery())


# Order and pages


def restrict_rows(
    statement: Select[Any], rows: _Rows, *, nulls: tuple[bool, ...] | None
) -> Select[Any]:
    """A statement over these rows only, in their order, behind the cursor if there is one."""
    statement = statement.select_from(rows.sources.clause).where(*rows.conditions)
    if nulls is not None and rows.order:
        statement = statement.where(seek_rows(rows.order, nulls))
    return statement.order_by(*(order_term(term) for term in rows.order))


def seek_values(values: Sequence[Any]) -> dict[str, Any]:
    """The cursor's values by the names of their parameters; nulls are part of the statement."""
    return {f"after_{i}": value for i, value in enumerate(values) if value is not None}
