"""Stages in, SQL out: each a select over the one below; the lowest names the environment.

Each has a name in a WITH of the statement: within one another SQLite would read few of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    FromClause,
    Label,
    Select,
    case,
    cast,
    false,
    func,
    literal_column,
    not_,
    null,
    select,
    true,
    type_coerce,
    union_all,
)

from app.catalog.fields import Dataset, Field, Type
from app.catalog.functions import aggregate_named
from app.query.conditions import SQL_TYPES, write_condition, write_value
from app.query.expr import Expr, Literal, own_column
from app.query.frames import DatasetFrame, Sources
from app.query.numbers import write_numbers
from app.query.rollups import rolled_dataset
from app.query.sorting import order_term, sort_term, within_64_bits
from app.query.stages import Limit, Picked, Stage, Sum, Summed, United
from app.store.aggregates import OwnShare, RunningTotal, Total, TotalBefore, WholeMean, WholeTotal
from app.store.arithmetic import as_double

Sql = ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """What all statements of a question share.

    id_name, id_always: the member that holds the address of a row, and whether all rows have it
    """

    dialect_name: str
    datasets: tuple[Dataset, ...]
    zone: str
    id_name: str = ""
    id_always: bool = False

    def open(self, dataset: Dataset, base: FromClause | None = None) -> Sources:
        """The FROM clause of a new statement."""
        return Sources(
            dataset,
            self.dialect_name,
            self.datasets,
            zone=self.zone,
            id_name=self.id_name,
            id_always=self.id_always,
            base=base,
        )


def open_stage(stage: Stage, setting: Setting) -> Sources:
    """The rows of a stage; what holds for them is among the conditions."""
    if stage.source is None:
        sources = setting.open(stage.dataset)
    else:
        rows, computed = _write_source(stage.source, setting)
        sources = setting.open(stage.dataset, rows)
        sources.computed |= computed
    if stage.condition is not None:
        sources.conditions.append(write_condition(stage.condition, sources.root))
    return sources


def _write_source(
    source: Picked | Summed | United, setting: Setting
) -> tuple[FromClause, set[str]]:
    """A source as rows with a column for each of its fields, and the judged rows it reads."""
    match source:
        case Picked():
            return _write_picked(source, setting)
        case Summed():
            return _write_summed(source, setting)
    return _write_united(source, setting)


def _labelled(field: Field, value: Sql) -> Label[Any]:
    typed: Sql = type_coerce(value, SQL_TYPES.get(field.type, value.type))
    return typed.label(str(field.column))


def _write_column(field: Field, expr: Expr, frame: DatasetFrame) -> Label[Any]:
    value = write_value(expr, frame)
    if field.type is Type.NUMBER and expr.type is Type.INT:
        value = as_double(value)
    return _labelled(field, value)


# Some of the rows


def _write_picked(source: Picked, setting: Setting) -> tuple[FromClause, set[str]]:
    sources = open_stage(source.stage, setting)
    columns = [_write_column(field, expr, sources.root) for field, expr in source.columns]
    if source.limit is None:
        picked = select(*columns).select_from(sources.clause).where(*sources.conditions)
    elif source.limit.value is None and not source.stage.parts:
        picked = _first_rows(source.limit, sources, columns)
    else:
        picked = _rows_within(source, sources, columns)
    return picked.cte(), sources.computed


def _order_by(limit: Limit, sources: Sources) -> list[Sql]:
    terms = (sort_term(by, sources.root, descending=descends) for by, descends in limit.by)
    return [order_term(term) for term in terms]


def _first_rows(limit: Limit, sources: Sources, columns: Sequence[Label[Any]]) -> Select[Any]:
    """So many rows of an order, without looking at the rest."""
    order = _order_by(limit, sources)
    rows = select(*columns).select_from(sources.clause).where(*sources.conditions).order_by(*order)
    # SQLite knows no OFFSET without a LIMIT.
    most = 2**63 - 1 if limit.top is None else limit.top
    rows = rows.limit(literal_column(str(most)))
    return rows.offset(literal_column(str(limit.skip))) if limit.skip else rows


def _rows_within(source: Picked, sources: Sources, columns: Sequence[Label[Any]]) -> Select[Any]:
    """The rows of each part until a number or sum is reached, by windows."""
    limit = source.limit or Limit(())
    parts = [sources.root.value(field) for field in source.stage.parts]
    over: dict[str, Any] = {"partition_by": parts or None, "order_by": _order_by(limit, sources)}
    if limit.value is None:
        told: dict[str, Sql] = {"place": func.row_number().over(**over)}
    else:
        value = as_double(write_value(limit.value, sources.root))
        before: Sql = TotalBefore(value).over(**over, rows=(None, 0))
        told = {"before": _within_reach(before - OwnShare(value))}
        # Of a share the sum of all, of a sum the most that it comes to.
        added = value if limit.percent else case((value > 0, value))
        whole: Sql = RunningTotal(added).over(partition_by=over["partition_by"])
        told |= {"whole": _within_reach(whole), "falls": func.coalesce(value, -1.0) < 0}
    labels = [value.label(name) for name, value in told.items()]
    inner = select(*columns, *labels).select_from(sources.clause).where(*sources.conditions)
    rows = inner.cte()
    kept = select(*(rows.c[column.name] for column in columns))
    return kept.where(_is_within(limit, rows))


def _within_reach(total: Sql) -> Sql:
    """A sum that a hundred times is still a double; what is beyond counts as the greatest."""
    most: Sql = literal_column("1e300", Double())
    held: tuple[Sql, Sql] = (func.abs(total) < most, cast(total, Double()))
    return case(held, (total > 0, most), (total < 0, -most), else_=null())


def _is_within(limit: Limit, rows: FromClause) -> ColumnElement[bool]:
    if limit.value is None:
        kept: ColumnElement[bool] = rows.c.place > limit.skip
        return kept if limit.top is None else kept & (rows.c.place <= limit.skip + limit.top)
    before = func.coalesce(rows.c.before, literal_column("0.0", Double()))
    if not limit.percent:
        return _is_short_of(limit, before, rows)
    whole, reached = rows.c.whole, before * 100.0
    least = rows.c.whole * limit.bound
    return case((whole > 0, reached < least), (whole < 0, reached > least), else_=true())


def _is_short_of(limit: Limit, before: Sql, rows: FromClause) -> ColumnElement[bool]:
    """Has no row before this one reached the sum? From the greatest down the sum rises to that of
    all above 0 and falls then; from the least up it falls first, from a sum of nothing.

    Source: OData Extension for Data Aggregation 4.0, section 3.3.1
    """
    if limit.bound <= 0:
        return false()
    _, descends = limit.by[0]
    if not descends:
        return before < limit.bound
    most = func.coalesce(rows.c.whole, 0.0)
    return (before < limit.bound) & (not_(rows.c.falls) | (most < limit.bound))


# Groups


def _write_summed(source: Summed, setting: Setting) -> tuple[FromClause, set[str]]:
    if source.parts:
        return _write_whole(source, setting)
    if any(number.once for _, number in source.numbers):
        return _write_once(source, setting)
    below, rollup = source.stage, source.rollup
    if rollup is None:
        sources = open_stage(below, setting)
    else:
        sources = setting.open(rolled_dataset(below.dataset, rollup))
        if below.condition is not None:
            sources.conditions.append(write_condition(below.condition, sources.root))
        sources.conditions.append(sources.root.base.c.row_count > 0)
    frame = sources.root
    group = [_write_column(field, expr, frame) for field, expr in source.group]
    outputs = [output for _, output in source.outputs]
    written = write_numbers(outputs, frame, is_rolled=rollup is not None)
    numbers = [
        _labelled(field, _within_bits(field, output.function, label.element))
        for (field, output), label in zip(source.outputs, written, strict=True)
    ]
    for field, number in source.numbers:
        value = None if number.value is None else write_value(number.value, frame)
        numbers.append(_labelled(field, _add_up(number, value)))
    summed = select(*group, *numbers).select_from(sources.clause).where(*sources.conditions)
    if group:
        summed = summed.group_by(*(label.element for label in group))
    return summed.cte(), sources.computed


def _write_whole(source: Summed, setting: Setting) -> tuple[FromClause, set[str]]:
    """Groups, and for each part of which no row is left the numbers of no rows."""
    whole = open_stage(source.stage.whole or source.stage, setting)
    columns = [_write_column(above, own_column(of), whole.root) for above, of in source.parts]
    parts = select(*columns).select_from(whole.clause).where(*whole.conditions).distinct()
    if not (source.outputs or source.numbers):
        return parts.cte(), whole.computed
    groups, computed = _write_summed(replace(source, parts=()), setting)
    no_rows = replace(source.stage, where=(Literal(Type.BOOL, False),))
    nothing, _ = _write_summed(replace(source, stage=no_rows, group=(), parts=()), setting)
    empty = parts.cte().join(nothing, true())
    either = union_all(select(groups), select(empty)).cte()
    # Of a part there is one row or two: what no rows give is null, or a count of 0.
    numbers = [
        _labelled(field, _greatest_of(field, either.c[str(field.column)]))
        for field, _ in (*source.outputs, *source.numbers)
    ]
    told = [either.c[column.name] for column in columns]
    return select(*told, *numbers).group_by(*told).cte(), computed | whole.computed


def _greatest_of(field: Field, values: Sql) -> Sql:
    aggregate = aggregate_named("max")
    if aggregate is None:
        raise LookupError("max")
    return aggregate.sql(values, field.type)


def _within_bits(field: Field, function: str, value: Sql) -> Sql:
    """A sum of whole numbers as one of 64 bits; PostgreSQL gives more."""
    if field.type is not Type.INT or function != "sum":
        return value
    return within_64_bits(value)


def _add_up(number: Sum, value: Sql | None) -> Sql:
    """An aggregate over any values."""
    if number.value is None or value is None:
        return func.count()
    is_whole = number.value.type is Type.INT
    if number.function == "sum":
        return WholeTotal(value) if is_whole else Total(as_double(value))
    if number.function == "average":
        if is_whole:
            return WholeMean(value)
        return Total(as_double(value)) / func.nullif(func.count(value), 0)
    aggregate = aggregate_named(number.function)
    if aggregate is None:
        raise LookupError(number.function)
    return aggregate.sql(value, number.value.type)


def _write_once(source: Summed, setting: Setting) -> tuple[FromClause, set[str]]:
    """Groups in which what belongs to a related row counts once, however many rows lead there.

    Source: OData Extension for Data Aggregation 4.0, section 3.2.1.1
    """
    sources = open_stage(source.stage, setting)
    group = [_write_column(field, expr, sources.root) for field, expr in source.group]
    values: list[Label[Any]] = []
    for field, number in source.numbers:
        if number.value is None:
            continue
        value = write_value(number.value, sources.root)
        if number.once:
            keys = [write_value(expr, sources.root) for expr in number.once]
            first = func.row_number().over(partition_by=[*(g.element for g in group), *keys]) == 1
            value = case((first, value))
        values.append(type_coerce(value, SQL_TYPES[number.value.type]).label(str(field.column)))
    inner = select(*group, *values).select_from(sources.clause).where(*sources.conditions)
    rows = inner.cte()
    told = [rows.c[label.name].label(label.name) for label in group]
    numbers = []
    for field, number in source.numbers:
        given = None if number.value is None else rows.c[str(field.column)]
        numbers.append(_labelled(field, _add_up(number, given)))
    summed = select(*told, *numbers)
    if told:
        summed = summed.group_by(*(rows.c[label.name] for label in group))
    return summed.select_from(rows).cte(), sources.computed


# Several stages


def _write_united(source: United, setting: Setting) -> tuple[FromClause, set[str]]:
    selects, computed = [], set[str]()
    for place, (stage, first) in enumerate(source.branches):
        sources = open_stage(stage, setting)
        columns = [_branch_kind(source, stage, sources.root, first=first)]
        for field, exprs in source.columns:
            expr = exprs[place]
            if expr is None:
                empty = cast(null(), SQL_TYPES.get(field.type, SQL_TYPES[Type.TEXT]))
                columns.append(_labelled(field, empty))
            else:
                columns.append(_write_column(field, expr, sources.root))
        chosen = select(*columns).select_from(sources.clause).where(*sources.conditions)
        selects.append(chosen)
        computed |= sources.computed
    return union_all(*selects).cte(), computed


def _branch_kind(source: United, stage: Stage, frame: DatasetFrame, *, first: int) -> Label[Any]:
    kind: Sql = literal_column(str(first), BigInteger())
    if stage.kind is not None:
        kind = frame.value(stage.kind) + kind
    return _labelled(source.kind, kind)
