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
    and_,
    bindparam,
    false,
    func,
    not_,
    null,
    or_,
    type_coerce,
)
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.types import BigInteger, Boolean, Text

from app.catalog.fields import Type
from app.catalog.functions import function_named
from app.query.expr import (
    Among,
    Arithmetic,
    AsOf,
    Both,
    Call,
    Column,
    Compare,
    Expr,
    Literal,
    Negate,
    Not,
)
from app.query.frames import DatasetFrame
from app.store.tables.columns import UtcDateTime
from app.store.words import PlainText, write_arithmetic

_SQL_TYPES: dict[Type, Any] = {
    Type.TEXT: Text(),
    Type.ENUM: Text(),
    Type.DATE: Text(),
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
_TEXTS = (Type.TEXT, Type.ENUM, Type.DATE)


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
        case Arithmetic():
            return _write_arithmetic(expr, frame)
        case Negate():
            return -write_value(expr.term, frame)
        case Call():
            return _write_call(expr, frame)
    raise TypeError(f"no SQL for {type(expr).__name__}")


def _write_literal(literal: Literal) -> ColumnElement[Any]:
    if literal.value is None:
        return null()
    value = literal.value
    if literal.type is Type.DATE and not isinstance(value, str):
        value = value.isoformat()
    return bindparam(None, value, type_=_SQL_TYPES[literal.type], unique=True)


def _write_constant(value: bool) -> ColumnElement[bool]:
    """True or false as a value: SQLAlchemy would let its own false swallow the environment."""
    return bindparam(None, value, type_=Boolean(), unique=True)


def _write_column(column: Column, frame: DatasetFrame) -> ColumnElement[Any]:
    for name in column.path:
        navigation = frame.dataset.navigation(name)
        if navigation is None:
            raise LookupError(f"{frame.dataset.name} has no navigation {name}")
        frame = frame.navigate(navigation)
    value = frame.value(column.field)
    # Functions of days and moments are told apart by the SQL type: a day is plain text.
    return type_coerce(value, Text()) if column.type is Type.DATE else value


def _write_compare(expr: Compare, frame: DatasetFrame, *, exact: bool) -> ColumnElement[bool]:
    if _is_null(expr.left) or _is_null(expr.right):
        return _write_null_compare(expr, frame)
    left, right = write_value(expr.left, frame), write_value(expr.right, frame)
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
    members = [write_value(m, frame) for m in expr.members if not _is_null(m)]
    found: ColumnElement[bool] = left.in_(members) if members else _write_constant(False)
    if exact and members:
        found = func.coalesce(found, false())
    if any(_is_null(member) for member in expr.members):
        found = or_(found, left.is_(None))
    return found


def _write_arithmetic(expr: Arithmetic, frame: DatasetFrame) -> ColumnElement[Any]:
    left, right = write_value(expr.left, frame), write_value(expr.right, frame)
    whole = expr.left.type is Type.INT and expr.right.type is Type.INT
    return write_arithmetic(expr.operator, left, right, whole=whole)


def _write_call(expr: Call, frame: DatasetFrame) -> ColumnElement[Any]:
    function = function_named(expr.function)
    if function is None or function.sql is None:
        raise LookupError(f"{expr.function} has no SQL of its own")
    arguments = [write_value(argument, frame) for argument in expr.arguments]
    written: ColumnElement[Any] = function.sql(*arguments)
    return written


def _is_null(expr: Expr) -> bool:
    return isinstance(expr, Literal) and expr.value is None


def _may_be_null(expr: Expr) -> bool:
    if isinstance(expr, Literal | AsOf | Compare | Among):
        return _is_null(expr)
    if isinstance(expr, Column):
        return bool(expr.path) or expr.field.nullable or expr.field.via is not None
    return True
