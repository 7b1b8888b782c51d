"""Which types go together: bound operands in, a typed Expr out, or a refusal that names the field.

Nulls, NaN and words of closed lists are settled here, so that the SQL need not know them.
"""

import operator as operators
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from difflib import get_close_matches
from math import isfinite, isnan
from typing import NoReturn

from app.base.clock import format_time
from app.base.errors import NotSupported, TypeMismatch
from app.catalog.fields import Enumeration, Type
from app.catalog.functions import Function
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
    Literal,
    Negate,
)
from app.query.literals import CutLiteral, read_integer, read_span

FALSE = Literal(Type.BOOL, False)
TRUE = Literal(Type.BOOL, True)
NULL = Literal(Type.NULL, None)
# The namespace of the types in $metadata.
NAMESPACE = "fullcount"
_SPAN = Literal(Type.SPAN, 0)  # stands for whatever duration a text is beside

NUMBERS = frozenset({Type.INT, Type.NUMBER})
_PHRASES = {
    Type.TEXT: "a text",
    Type.INT: "a whole number",
    Type.NUMBER: "a number",
    Type.BOOL: "true or false",
    Type.TIME: "a date-time",
    Type.DATE: "a date",
    Type.CLOCK: "a time of day",
    Type.SPAN: "a duration",
    Type.GUID: "a GUID",
    Type.ENUM: "a word of a closed list",
    Type.OPEN: "an object",
    Type.TEXTS: "a list of texts",
    Type.NULL: "null",
}


def tell_expression(expr: Expr) -> str:
    """Name an expression for a message: its field, its function or its value."""
    match expr:
        case Column():
            return "/".join((*expr.path, expr.field.name))
        case Call():
            return f"{expr.function}(...)"
        case AsOf():
            return "now()"
        case Case():
            return "case(...)"
        case Cast():
            return "cast(...)"
        case Element():
            return expr.of.partition("#")[0]
        case CountOf():
            return "$count"
        case Literal() if expr is FALSE or expr is TRUE:
            return "the condition"  # one that was settled at once; nobody wrote this
        case Literal():
            text = _tell_literal(expr)
            return text if len(text) <= 40 else f"{text[:37]}..."
    return "the expression"


def _tell_literal(literal: Literal) -> str:
    match literal.value:
        case None:
            return "null"
        case bool() as truth:
            return str(truth).lower()
        case str() as text if literal.type is Type.TEXT:
            return "'{}'".format(text.replace("'", "''"))
        case float() as number if not isfinite(number):
            return "NaN" if isnan(number) else str(number).upper()
        case name, text:
            return f"{name}'{text}'"
        case datetime() as moment:
            return format_time(moment)
        case int() as micros if literal.type is Type.SPAN:
            return f"duration'{'-' * (micros < 0)}PT{Decimal(abs(micros)) / 1_000_000:f}S'"
    return str(literal.value)


def tell_type(expr: Expr) -> str:
    """Say what an expression is: `score is a number`."""
    return f"{tell_expression(expr)} is {_PHRASES[expr.type]}"


# Comparisons


def compare_values(operator: str, left: Expr, right: Expr) -> Expr:
    """Type `eq ne gt ge lt le`; a null or NaN where none can be true is settled at once.

    Raises: TypeMismatch, NotSupported
    Source: OData URL Conventions 4.01, section 5.1.1.1
    """
    left, right = fit_word(left, right), fit_word(right, left)
    refuse_word(left)
    refuse_word(right)
    if Type.NULL in {left.type, right.type}:
        equality = operator in {"eq", "ne"}
        return Compare(Type.BOOL, operator, left, right) if equality else FALSE
    _check_pair(left, right)
    if operator not in {"eq", "ne"} and left.type is Type.ENUM:
        raise TypeMismatch(
            f"{tell_type(left)}, which has no order",
            hint="Compare it by eq, ne or in.",
        )
    if _is_nan(left) or _is_nan(right):
        return TRUE if operator == "ne" else FALSE
    if left.type is Type.INT and _is_decimal(right):
        return _compare_whole(operator, left, right)
    if right.type is Type.INT and _is_decimal(left):
        return _compare_whole(_MIRRORED.get(operator, operator), right, left)
    if isinstance(right, CutLiteral):
        return _compare_cut(operator, left, right)
    if isinstance(left, CutLiteral):
        return _compare_cut(_MIRRORED.get(operator, operator), right, left)
    return Compare(Type.BOOL, operator, left, right)


_MIRRORED = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}
_LEAST, _MOST = Decimal(-(2**63)), Decimal(2**63 - 1)


def _is_decimal(expr: Expr) -> bool:
    return isinstance(expr, Literal) and expr.type is Type.NUMBER and isfinite(expr.value)


def _compare_whole(operator: str, left: Expr, right: Expr) -> Expr:
    """A whole number beside a decimal constant, compared exactly: as two whole numbers."""
    value = Decimal(right.value) if isinstance(right, Literal) else Decimal(0)
    # Beyond 64 bits it may have more digits than a remainder is reckoned with.
    is_within = _LEAST <= value <= _MOST
    if operator in {"eq", "ne"} and not (is_within and value % 1 == 0):
        return TRUE if operator == "ne" else FALSE
    if value > _MOST:
        operator, value = ("le" if operator in {"lt", "le"} else "gt"), _MOST
    elif value < _LEAST:
        operator, value = ("ge" if operator in {"gt", "ge"} else "lt"), _LEAST
    elif value % 1:
        up = operator in {"gt", "ge"}
        operator = "ge" if up else "le"
        value = value.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    return Compare(Type.BOOL, operator, left, Literal(Type.INT, int(value)))


def _compare_cut(operator: str, other: Expr, cut: CutLiteral) -> Expr:
    """A value beside a constant between two microseconds, compared exactly: it is never equal, and
    it is below where it is not above the microsecond before.
    """
    if isinstance(other, Literal):
        beyond = other.beyond if isinstance(other, CutLiteral) else 0
        holds = getattr(operators, operator)((other.value, beyond), (cut.value, cut.beyond))
        return TRUE if holds else FALSE
    if operator in {"eq", "ne"}:
        return TRUE if operator == "ne" else FALSE
    before = cut.value - 1 if cut.beyond < 0 else cut.value
    turned = {"lt": "le", "ge": "gt"}.get(operator, operator)
    return Compare(Type.BOOL, turned, other, Literal(cut.type, before))


def find_among(left: Expr, members: Sequence[Expr]) -> Expr:
    """Type `in`; an empty list holds nothing.

    Raises: TypeMismatch, NotSupported
    Source: OData URL Conventions 4.01, sections 5.1.1.1.11 and 5.1.1.14.2
    """
    refuse_word(left)
    fitted, found = [], []
    for member in members:
        if not isinstance(member, Literal):
            found.append(compare_values("eq", left, member))
            continue
        word = fit_word(member, left)
        refuse_word(word)
        if Type.NULL not in {left.type, word.type}:
            _check_pair(left, word)
        if left.type is Type.INT and _is_decimal(word):
            same = compare_values("eq", left, word)
            fitted += [same.right] if isinstance(same, Compare) else []
        elif CutLiteral in {type(left), type(word)}:
            same = compare_values("eq", left, word)
            found += [] if same == FALSE else [same]
        elif not _is_nan(word):
            fitted.append(word)
    if fitted or not found:
        found.append(Among(Type.BOOL, left, tuple(fitted)) if fitted else FALSE)
    return found[0] if len(found) == 1 else Both(Type.BOOL, "or", tuple(found))


def fit_word(word: Expr, beside: Expr) -> Expr:
    """Give a text beside a field of a closed list as one of its words, and beside a duration as
    one; others as they are.

    Raises: TypeMismatch, when it is none of them
    """
    if beside.type is Type.SPAN and isinstance(word, Literal) and word.type is Type.TEXT:
        return read_span(word.value)
    enumeration = beside.enumeration if isinstance(beside, Column | FromRoot) else None
    if enumeration is None or not isinstance(word, Literal):
        return word
    if word.type not in {Type.TEXT, Type.ENUM}:
        return word
    name, text = word.value if isinstance(word.value, tuple) else (enumeration.name, word.value)
    full = f"{NAMESPACE}.{enumeration.name}"
    if name not in {enumeration.name, full}:
        raise TypeMismatch(f"{tell_expression(beside)} is of {full}, not of {name[:60]!r}")
    if text not in enumeration.members:
        _refuse_member(text, beside, enumeration)
    return Literal(Type.ENUM, text)


def _refuse_member(text: str, beside: Expr, enumeration: Enumeration) -> NoReturn:
    near = get_close_matches(text.lower(), enumeration.members, 1)
    raise TypeMismatch(
        f"{tell_expression(beside)} is never {text[:40]!r};"
        f" it is one of {', '.join(enumeration.members)}",
        hint=f"Did you mean {near[0]!r}?" if near else None,
        target=tell_expression(beside),
    )


def _check_pair(left: Expr, right: Expr) -> None:
    for side in (left, right):
        if side.type in {Type.OPEN, Type.TEXTS}:
            raise NotSupported(f"{tell_type(side)}; it can only be compared with null")
    if left.type is right.type and _share_words(left, right):
        return
    if {left.type, right.type} <= NUMBERS:
        return
    raise TypeMismatch(
        f"{tell_type(left)} and {tell_type(right)}; they cannot be compared",
        hint=_hint_for(left, right),
        target=tell_expression(left) if isinstance(left, Column) else None,
    )


def refuse_word(expr: Expr) -> None:
    """Refuse a word that is still with the name of its list: nothing beside it is of that list.

    Raises: TypeMismatch
    """
    if isinstance(expr, Literal) and isinstance(expr.value, tuple):
        raise TypeMismatch(f"{expr.value[0][:40]}'...' stands beside no field of such words")


def _share_words(left: Expr, right: Expr) -> bool:
    if isinstance(left, Column) and isinstance(right, Column):
        return left.enumeration == right.enumeration
    return True


def _hint_for(left: Expr, right: Expr) -> str | None:
    types = {left.type, right.type}
    if types == {Type.TIME, Type.DATE}:
        return "Write the moment, such as 2025-01-31T00:00:00Z, or date(...) of the date-time."
    if Type.TEXT not in types:
        return None
    if Type.GUID in types:
        return "A key is written in single quotes."
    if Type.TIME in types:
        return "A date-time is written without quotes: 2025-01-31T00:00:00Z."
    if Type.DATE in types:
        return "A date is written without quotes: 2025-01-31."
    if types & NUMBERS:
        return "A number is written without quotes."
    return "true and false are written without quotes." if Type.BOOL in types else None


def _is_nan(expr: Expr) -> bool:
    return isinstance(expr, Literal) and isinstance(expr.value, float) and isnan(expr.value)


# Arithmetic and functions


def calculate(operator: str, left: Expr, right: Expr) -> Expr:
    """Type `add sub mul div divby mod`: whole numbers stay whole, but for `divby`.

    Raises: TypeMismatch
    Source: OData URL Conventions 4.01, section 5.1.1.2
    """
    left, right = _fit_span(left, right), _fit_span(right, left)
    if _TIMES & {left.type, right.type}:
        return _calculate_times(operator, left, right)
    for side in (left, right):
        if side.type not in NUMBERS | {Type.NULL}:
            raise TypeMismatch(
                f"{tell_type(side)}; {operator!r} takes numbers",
                hint=_BINDS_TIGHTER if side.type is Type.BOOL else None,
            )
        refuse_infinite(side)
    if Type.NULL in {left.type, right.type}:
        return NULL
    whole = left.type is right.type is Type.INT and operator != "divby"
    return Arithmetic(Type.INT if whole else Type.NUMBER, operator, left, right)


_BINDS_TIGHTER = "'in' and 'has' bind tighter: put what stands before them in parentheses."


def _fit_span(text: Expr, beside: Expr) -> Expr:
    """A constant text beside a moment, day or duration is a duration without its type."""
    if isinstance(text, Literal) and text.type is Type.TEXT and beside.type in _TIMES:
        return read_span(text.value)
    return text


_TIMES = frozenset({Type.TIME, Type.DATE, Type.SPAN})
# What comes of a moment, day or duration and what stands beside it.
_TIME_RESULTS = {
    (Type.TIME, "add", Type.SPAN): Type.TIME,
    (Type.TIME, "sub", Type.SPAN): Type.TIME,
    (Type.TIME, "sub", Type.TIME): Type.SPAN,
    (Type.DATE, "add", Type.SPAN): Type.DATE,
    (Type.DATE, "sub", Type.SPAN): Type.DATE,
    (Type.DATE, "sub", Type.DATE): Type.SPAN,
    (Type.SPAN, "add", Type.SPAN): Type.SPAN,
    (Type.SPAN, "sub", Type.SPAN): Type.SPAN,
    **{(Type.SPAN, by, kind): Type.SPAN for by in ("mul", "div", "divby") for kind in NUMBERS},
    **{(kind, "mul", Type.SPAN): Type.SPAN for kind in NUMBERS},
}


def _calculate_times(operator: str, left: Expr, right: Expr) -> Expr:
    if Type.NULL in {left.type, right.type}:
        return NULL
    for side in (left, right):
        refuse_infinite(side)
    result = _TIME_RESULTS.get((left.type, operator, right.type))
    if result is None:
        raise TypeMismatch(
            f"{tell_type(left)} and {tell_type(right)}; {operator!r} does not take them",
            hint="A duration is written like duration'PT1H30M'.",
        )
    return Arithmetic(result, operator, left, right)


def negate(term: Expr) -> Expr:
    """Type the minus before a number; a constant is turned at once.

    Raises: TypeMismatch
    """
    if term.type is Type.NULL:
        return term
    if term.type not in NUMBERS | {Type.SPAN}:
        raise TypeMismatch(f"{tell_type(term)}; a minus takes a number or a duration")
    if isinstance(term, Literal):
        if term.type is Type.INT:
            return read_integer(str(-term.value))
        if isinstance(term, CutLiteral):
            return replace(term, value=-term.value, beyond=-term.beyond)
        return replace(term, value=-term.value)
    if isinstance(term, Negate):
        return term.term
    return Negate(term.type, term)


def call_function(row: Function, arguments: Sequence[Expr]) -> Expr:
    """Type a call; a null argument makes it null.

    Raises: TypeMismatch
    """
    most = len(row.arguments)
    if not most - row.optional <= len(arguments) <= most:
        wanted = f"{most - row.optional} to {most}" if row.optional else str(most)
        raise TypeMismatch(f"{row.name} takes {wanted} values, not {len(arguments)}")
    arguments = [
        fit_word(argument, _SPAN) if types == (Type.SPAN,) else argument
        for argument, types in zip(arguments, row.arguments, strict=False)
    ]
    for number, (argument, types) in enumerate(zip(arguments, row.arguments, strict=False), 1):
        if argument.type in {Type.OPEN, Type.TEXTS}:
            raise NotSupported(f"{tell_type(argument)}; {row.name} of it is not supported")
        if argument.type not in (*types, Type.NULL):
            phrases = " or ".join(_PHRASES[t] for t in types)
            raise TypeMismatch(
                f"{tell_type(argument)}; {row.name} takes {phrases} as value {number}"
            )
        refuse_infinite(argument)
    # The third is a length; a negative one is a bad request (URL Conventions 4.01, 5.1.1.5.7).
    for length in arguments[2:]:
        if isinstance(length, Literal) and length.type is Type.INT and length.value < 0:
            raise TypeMismatch(f"{row.name} cannot take {length.value} characters")
    if any(argument.type is Type.NULL for argument in arguments):
        return NULL
    return Call(row.result, row.name, tuple(arguments))


def refuse_infinite(expr: Expr) -> None:
    """Refuse INF and NaN as values: the databases disagree on what comes of INF times 0, on the
    order of NaN, and on how they are written.

    Raises: TypeMismatch
    """
    if isinstance(expr, Literal) and isinstance(expr.value, float) and not isfinite(expr.value):
        name = "NaN" if isnan(expr.value) else "INF"
        raise TypeMismatch(f"{name} can only be compared, not reckoned with or shown")


# case


def choose_value(conditions: Sequence[Expr], values: Sequence[Expr]) -> Expr:
    """Type `case`: all its values are of one type.

    Raises: TypeMismatch, NotSupported
    Source: OData URL Conventions 4.01, section 5.1.1.11.1
    """
    if any(value.type is Type.SPAN for value in values):
        values = [fit_word(value, _SPAN) for value in values]
    kinds = {value.type for value in values} - {Type.NULL}
    for value in values:
        refuse_word(value)
        refuse_infinite(value)
        if value.type in {Type.OPEN, Type.TEXTS}:
            raise NotSupported(f"{tell_type(value)}; 'case' does not give it")
    if not kinds:
        return NULL
    result = Type.NUMBER if kinds == NUMBERS else min(kinds)
    if kinds <= {Type.TEXT, Type.ENUM}:
        result = Type.TEXT
    elif len(kinds) > 1 and kinds != NUMBERS:
        phrases = " and ".join(sorted(_PHRASES[kind] for kind in kinds))
        raise TypeMismatch(f"the values of 'case' are of several types: {phrases}")
    return Case(result, tuple(conditions), tuple(values))


# Conditions


def check_condition(expr: Expr, place: str) -> Expr:
    """Give a condition back; whatever is not true or false is refused.

    place: where it stands, as `a filter` or `'not'`
    Raises: TypeMismatch
    """
    if expr.type not in {Type.BOOL, Type.NULL}:
        raise TypeMismatch(f"{place} takes a condition, but {tell_type(expr)}")
    return expr
