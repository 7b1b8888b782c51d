"""The numbers of groups as SQL: from the rows themselves, or from kept sums of them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Double, Label, case, cast, func

from app.catalog.fields import Type
from app.catalog.functions import aggregate_named
from app.query.conditions import write_condition
from app.query.frames import DatasetFrame
from app.query.groups import Output

Sql = ColumnElement[Any]


def write_numbers(
    outputs: Sequence[Output], frame: DatasetFrame, *, is_rolled: bool
) -> list[Label[Any]]:
    """The columns of these outputs, by their names."""
    written: dict[str, Sql] = {}
    for output in outputs:
        if output.numerator:
            above: Sql = cast(written[output.numerator], Double())
            written[output.column.name] = above / func.nullif(written[output.denominator], 0)
        elif output.total_of:
            part = written[output.total_of]
            written[output.column.name] = _add_over_groups(part, output.column.type)
        elif is_rolled and output.function in {"count", "sum"}:
            written[output.column.name] = _add_up(output, frame)
        else:
            written[output.column.name] = _reckon(output, frame)
    return [value.label(name) for name, value in written.items()]


def _reckon(output: Output, frame: DatasetFrame) -> Sql:
    condition = None if output.condition is None else write_condition(output.condition, frame)
    if output.field is None:
        return func.count() if condition is None else func.count(case((condition, 1)))
    aggregate = aggregate_named(output.function)
    if aggregate is None:
        raise LookupError(output.function)
    value = frame.value(output.field)
    if condition is not None:
        value = case((condition, value))
    if output.by is not None:
        return aggregate.sql(value, output.field.type, frame.value(output.by))
    return aggregate.sql(value, output.field.type)


def _add_over_groups(part: Sql, kind: Type) -> Sql:
    """A number of each group added over all groups, in whole millionths if it is no whole one."""
    if kind is Type.INT:
        return cast(func.sum(part).over(), BigInteger())
    millionths = cast(func.round(part * 1_000_000), BigInteger())
    return cast(func.sum(millionths).over(), Double()) / 1_000_000.0


def _add_up(output: Output, frame: DatasetFrame) -> Sql:
    """A count or sum over rows that stand for many."""
    rows: Sql = frame.base.c.row_count
    if output.function == "sum" and output.field is not None:
        value: Sql = frame.base.c[output.field.name]
        if output.condition is not None:
            value = case((write_condition(output.condition, frame), value))
        return func.sum(value, type_=BigInteger())
    conditions = []
    if output.condition is not None:
        conditions.append(write_condition(output.condition, frame))
    if output.field is not None:
        conditions.append(frame.value(output.field).is_not(None))
    for condition in conditions:
        rows = case((condition, rows))
    return cast(func.coalesce(func.sum(rows), 0), BigInteger())
