"""Expr in, SQL out, under the null rules of OData, which are not SQL's.

`eq` and `ne` are two-valued; `gt ge lt le` with a null operand are false (URL Conventions 5.1.1.1).
Where only truth counts (a WHERE, and below its and/or) SQL's null is as good as false and the plain
comparison can use an index; below a `not`, or as a value, the comparison is made two-valued.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Double,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.types import BigInteger, Boolean, Text

from app.catalog.fields import Field, Type
from app.catalog.functions import function_named
from app.query.expr import (
    Among,
    Arithmetic,
    AsOf,
    Both,
    Call,
    Case,
    Cast,
    Column,
    Compare,
    CountOf,
    Element,
    Expr,
    FromRoot,
    Holds,
    Literal,
    Negate,
    Not,
    Quantified,
    Rows,
    Slot,
    literal_bound,
)
from app.query.frames import DatasetFrame, Sources
from app.query.literals import FORM_OF
from app.store.arithmetic import (
    as_double,
    scale_span,
    shift_moment,
    span_between,
    whole_between,
    write_arithmetic,
)
from app.store.casts import NumberText, read_text_as
from app.store.folding import folded_like
from app.store.json_fields import json_members
from app.store.jsontext import json_moment
from app.store.spans import ClockText, SpanText, SpanWithin
from app.store.tables.columns import UtcDateTime
from app.store.words import ContainsText, PlainText

SQL_TYPES: dict[Type, Any] = {
    Type.TEXT: Text(),
    Type.ENUM: Text(),
    Type.DATE: Text(),
    Type.CLOCK: ClockText(),
    Type.SPAN: BigInteger(),
    Type.GUID: Text(),
    Type.INT: BigInteger(),
    Type.NUMBER: Double(),
    Type.BOOL: Boolean(),
    Type.TIME: UtcDateTime(),
}
_ORDERED: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "gt": lambda left, right: left > right,
    "ge": lambda left, right: left >= right,
    "lt": lambda left, right: left < right,
    "le": lambda left, right: left <= right,
}
_TEXTS = (Type.TEXT, Type.ENUM, Type.DATE, Type.CLOCK, Type.GUID)


def write_condition(expr: Expr, frame: DatasetFrame) -> ColumnElement[bool]:
    """The condition of a WHERE: rows for which the expression is true."""
    return _write(expr, frame, exact=False)


def write_value(expr: Expr, frame: DatasetFrame) -> ColumnElement[Any]:
    """The value of an expression, null where it is null.

    A condition as a value stands in parentheses: SQL would read `NOT a = b` as `NOT (a = b)`.
    """
    value = _write(expr, frame, exact=True)
    is_plain = expr.type is not Type.BOOL or isinstance(expr, Column | Literal)
    return value if is_plain else Grouping(value)


def _write(expr: Expr, frame: DatasetFrame, *, exact: bool) -> ColumnElement[Any]:
    match expr:
        case Literal():
            return _write_literal(expr)
        case AsOf():
            return frame.as_of
        case Column():
            return _write_column(expr, frame)
        case Compare():
            return _write_compare(expr, frame, exact=exact)
        case Among():
            return _write_among(expr, frame, exact=exact)
        case Both():
            terms = [_write(term, frame, exact=exact) for term in expr.terms]
            return and_(*terms) if expr.operator == "and" else or_(*terms)
        case Not():
            return not_(_write(expr.term, frame, exact=True))
        case Holds():
            return _write_holds(expr, frame, exact=exact)
        case Quantified():
            return _write_quantified(expr, frame)
    return _write_reckoned(expr, frame)


def _write_reckoned(expr: Expr, frame: DatasetFrame) -> ColumnElement[Any]:
    match expr:
        case Arithmetic():
            return _write_arithmetic(expr, frame)
        case Negate():
            return _write_negated(expr, frame)
        case Call():
            return _write_call(expr, frame)
        case Case():
            return _write_case(expr, frame)
        case Cast():
            return _write_cast(expr, frame)
        case Element():
            element: Any = frame.rows[expr.of]
            return type_coerce(element, Text())
        case CountOf():
            return _select_rows(expr.rows, frame, None, show=func.count()).scalar_subquery()
        case FromRoot():
            return _write_from_root(expr, frame)
    raise TypeError(f"no SQL for {type(expr).__name__}")


def _write_literal(literal: Literal) -> ColumnElement[Any]:
    if literal.value is None:
        return null()
    kind = SQL_TYPES[literal.type]
    if isinstance(literal, Slot):
        return bindparam(literal.name, type_=kind)
    return bindparam(None, literal_bound(literal), type_=kind, unique=True)


def _write_constant(value: bool) -> ColumnElement[bool]:
    """True or false as a value: SQLAlchemy would let its own false swallow the environment."""
    return bindparam(None, value, type_=Boolean(), unique=True)


def _write_column(column: Column, frame: DatasetFrame) -> ColumnElement[Any]:
    value = frame.row(column.of).follow(column.path).value(column.field)
    # Functions of days, times of day and moments are told apart by the SQL type.
    is_plain = column.type not in {Type.DATE, Type.CLOCK}
    return value if is_plain else type_coerce(value, SQL_TYPES[column.type])


def _write_compare(expr: Compare, frame: DatasetFrame, *, exact: bool) -> ColumnElement[bool]:
    if _is_null(expr.left) or _is_null(expr.right):
        return _write_null_compare(expr, frame)
    left, right = write_value(expr.left, frame), write_value(expr.right, frame)
    if {expr.left.type, expr.right.type} == {Type.INT, Type.NUMBER}:
        # SQLite would compare them exactly, PostgreSQL as doubles.
        left, right = as_double(left), as_double(right)
    plain = not (exact or (_may_be_null(expr.left) and _may_be_null(expr.right)))
    if expr.operator == "eq":
        return left == right if plain else left.is_not_distinct_from(right)
    if expr.operator == "ne":
        nullable = _may_be_null(expr.left) or _may_be_null(expr.right)
        return left.is_distinct_from(right) if nullable else left != right
    if expr.left.type in _TEXTS and expr.right.type in _TEXTS:
        left, right = PlainText(left), PlainText(right)
    compared = _ORDERED[expr.operator](left, right)
    return func.coalesce(compared, false()) if exact else compared


def _write_null_compare(expr: Compare, frame: DatasetFrame) -> ColumnElement[bool]:
    if expr.operator not in {"eq", "ne"}:
        return _write_constant(False)
    other = expr.right if _is_null(expr.left) else expr.left
    if _is_null(other):
        return _write_constant(expr.operator == "eq")
    value = write_value(other, frame)
    return value.is_(None) if expr.operator == "eq" else value.is_not(None)


def _write_among(expr: Among, frame: DatasetFrame, *, exact: bool) -> ColumnElement[bool]:
    left = write_value(expr.left, frame)
    alike, doubles = [], []
    for member in expr.members:
        if {expr.left.type, member.type} == {Type.INT, Type.NUMBER}:
            # As in a comparison; PostgreSQL would make doubles of the others, too.
            doubles.append(as_double(write_value(member, frame)))
        elif not _is_null(member):
            alike.append(write_value(member, frame))
    lists = [left.in_(alike)] if alike else []
    lists += [as_double(left).in_(doubles)] if doubles else []
    has_null = any(_is_null(member) for member in expr.members)
    if not lists:
        return left.is_(None) if has_null else _write_constant(False)
    found = or_(*lists)
    if has_null:
        # Null is among them: so is a left side that makes the comparison null.
        return func.coalesce(found, true())
    return func.coalesce(found, false()) if exact else found


def _write_holds(expr: Holds, frame: DatasetFrame, *, exact: bool) -> ColumnElement[bool]:
    word = bindparam(None, expr.word, type_=Text(), unique=True)
    found = [
        ContainsText(
            folded_like(write_value(field, frame), expr.word, is_plain=expr.is_plain), word
        )
        for field in expr.fields
    ]
    return or_(*(func.coalesce(one, false()) for one in found)) if exact else or_(*found)


def _write_arithmetic(expr: Arithmetic, frame: DatasetFrame) -> ColumnElement[Any]:
    left, right = write_value(expr.left, frame), write_value(expr.right, frame)
    first, second = expr.left.type, expr.right.type
    is_day = first is Type.DATE
    if first in {Type.TIME, Type.DATE}:
        if second is Type.SPAN:
            return shift_moment(left, right, back=expr.operator == "sub", is_day=is_day)
        return span_between(left, right, is_day=is_day)
    if first is second is Type.SPAN:
        return SpanWithin(left + right if expr.operator == "add" else left - right)
    if Type.SPAN in {first, second}:
        span, number = (left, right) if first is Type.SPAN else (right, left)
        return scale_span(expr.operator, span, number)
    whole = first is Type.INT and second is Type.INT
    return write_arithmetic(expr.operator, left, right, whole=whole)


def _write_negated(expr: Negate, frame: DatasetFrame) -> ColumnElement[Any]:
    value = write_value(expr.term, frame)
    if expr.type is not Type.INT:
        return -value
    # The least whole number of 64 bits has no opposite among them.
    return write_arithmetic("sub", literal_column("0", BigInteger()), value, whole=True)


def _write_case(expr: Case, frame: DatasetFrame) -> ColumnElement[Any]:
    branches = []
    for condition, value in zip(expr.conditions, expr.values, strict=True):
        written = write_value(value, frame)
        if value.type is Type.INT and expr.type is Type.NUMBER:
            written = as_double(written)
        branches.append((_write(condition, frame, exact=False), written))
    return type_coerce(case(*branches), SQL_TYPES[expr.type])


def _write_cast(expr: Cast, frame: DatasetFrame) -> ColumnElement[Any]:
    """A value as another type, spelt as it is in an answer."""
    value = write_value(expr.term, frame)
    if expr.term.type is Type.TEXT and expr.type is not Type.TEXT:
        value = read_text_as(FORM_OF[expr.type], value)
    if expr.least is not None and expr.most is not None:
        is_double = expr.term.type is Type.NUMBER
        return whole_between(value, expr.least, expr.most, is_double=is_double)
    match expr.term.type:
        case Type.BOOL:
            return case({True: "true", False: "false"}, value=value)
        case Type.TIME:
            return type_coerce(json_moment(value), Text())
        case Type.SPAN:
            return SpanText(value)
        case Type.NUMBER:
            return NumberText(value)
        case Type.INT:
            return as_double(value) if expr.type is Type.NUMBER else cast(value, Text())
    return type_coerce(value, SQL_TYPES[expr.type])


def _write_call(expr: Call, frame: DatasetFrame) -> ColumnElement[Any]:
    function = function_named(expr.function)
    if function is None or function.sql is None:
        raise LookupError(f"{expr.function} has no SQL of its own")
    arguments = [write_value(argument, frame) for argument in expr.arguments]
    written: ColumnElement[Any] = function.sql(*arguments)
    return written


# Rows behind a navigation


def _write_quantified(expr: Quantified, frame: DatasetFrame) -> ColumnElement[bool]:
    """`any`: a row for which the condition is true; `all`: no row for which it is not.

    Source: OData URL Conventions 4.01, section 5.1.1.13
    """
    found = _select_rows(expr.rows, frame, expr.condition, unless=expr.every).exists()
    return not_(found) if expr.every else found


def _select_rows(
    rows: Rows,
    frame: DatasetFrame,
    condition: Expr | None,
    *,
    unless: bool = False,
    show: ColumnElement[Any] | None = None,
) -> Select[Any]:
    """A subquery on the row that a path to several starts from.

    unless: rows for which the condition is not true, instead of those for which it is
    """
    inner, sources, conditions = open_rows(rows, frame)
    if rows.where is not None:
        conditions.append(write_condition(rows.where, inner))
    if condition is not None:
        holds = write_condition(condition, inner)
        conditions.append(not_(func.coalesce(holds, false())) if unless else holds)
    # Last, for conditions may have joined more.
    clause = sources if isinstance(sources, FromClause) else sources.clause
    shown = literal_column("1") if show is None else show
    return select(shown).select_from(clause).where(*conditions).correlate_except(clause)


def _write_from_root(expr: FromRoot, frame: DatasetFrame) -> ColumnElement[Any]:
    """A value of the one row with a key; the rows around it have no part in it."""
    inner, sources, conditions = open_rows(expr.rows, frame)
    if not isinstance(sources, Sources) or expr.rows.where is None:
        raise LookupError(expr.rows.name)
    conditions.append(write_condition(expr.rows.where, inner))
    value = write_value(expr.value, inner)
    found = select(value).select_from(sources.clause).where(*conditions)
    return found.correlate_except(sources.clause).scalar_subquery()


def open_rows(
    rows: Rows, frame: DatasetFrame
) -> tuple[DatasetFrame, Sources | FromClause, list[ColumnElement[bool]]]:
    """The frame that conditions on rows are written against, where they come from, and which."""
    start, outer = frame.row(rows.of).follow(rows.path), frame.sources
    if isinstance(rows.step, Field):
        value, members = json_members(
            start.value(rows.step), outer.dialect_name, name=outer.next_name()
        )
        return frame.among(rows.name, value), members, []
    sources = Sources(
        rows.dataset, outer.dialect_name, outer.datasets, zone=outer.zone, within=outer
    )
    inner = sources.root
    inner.rows = {**frame.rows, rows.name: inner}
    pairs = rows.step.pairs
    matches = [inner.value_of(target) == start.value_of(own) for own, target in pairs]
    return inner, sources, [*sources.conditions, *matches]


def _is_null(expr: Expr) -> bool:
    return isinstance(expr, Literal) and expr.value is None


def _may_be_null(expr: Expr) -> bool:
    if isinstance(expr, Literal | AsOf | Compare | Among | Quantified | CountOf | Holds):
        return _is_null(expr)
    if isinstance(expr, Element):
        return False
    if isinstance(expr, Column):
        return bool(expr.path) or expr.field.nullable or expr.field.via is not None
    return True
