"""Which types go together: bound operands in, a typed Expr out, or a refusal that names the field.

Nulls, NaN and words of closed lists are settled here, so that the SQL need not know them.
"""

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from math import isfinite, isnan
from typing import NoReturn

from app.base.errors import NotSupported, TypeMismatch
from app.catalog.fields import Enumeration, Type
from app.catalog.functions import Function
from app.query.expr import Among, Arithmetic, AsOf, Call, Column, Compare, Expr, Literal, Negate

FALSE = Literal(Type.BOOL, False)
TRUE = Literal(Type.BOOL, True)
NULL = Literal(Type.NULL, None)

NUMBERS = frozenset({Type.INT, Type.NUMBER})
_PHRASES = {
    Type.TEXT: "a text",
    Type.INT: "a whole number",
    Type.NUMBER: "a number",
    Type.BOOL: "true or false",
    Type.TIME: "a date-time",
    Type.DATE: "a date",
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
        case Literal():
            text = repr(expr.value) if isinstance(expr.value, str) else str(expr.value)
            return text if len(text) <= 40 else f"{text[:37]}..."
    return "the expression"


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
    return Compare(Type.BOOL, operator, left, right)


def find_among(left: Expr, members: Sequence[Expr]) -> Expr:
    """Type `in`; an empty list holds nothing.

    Raises: TypeMismatch, NotSupported
    """
    fitted = []
    for member in members:
        if not isinstance(member, Literal):
            raise TypeMismatch(f"the list after 'in' holds {tell_expression(member)}, not a value")
        word = fit_word(member, left)
        if word.type is not Type.NULL:
            _check_pair(left, word)
        if not _is_nan(word):
            fitted.append(word)
    return Among(Type.BOOL, left, tuple(fitted)) if fitted else FALSE


def fit_word(word: Expr, beside: Expr) -> Expr:
    """Give a text beside a field of a closed list as one of its words; others as they are.

    Raises: TypeMismatch, when it is none of them
    """
    enumeration = beside.enumeration if isinstance(beside, Column) else None
    if enumeration is None or not isinstance(word, Literal):
        return word
    if word.type not in {Type.TEXT, Type.ENUM}:
        return word
    name, text = word.value if isinstance(word.value, tuple) else (enumeration.name, word.value)
    if name.rpartition(".")[2] != enumeration.name:
        raise TypeMismatch(
            f"{tell_expression(beside)} is of {enumeration.name}, not of {name[:40]!r}"
        )
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
        if isinstance(side, Literal) and isinstance(side.value, tuple):
            raise TypeMismatch(f"{side.value[0][:40]}'...' stands beside no field of such words")
    if left.type is right.type and _share_words(left, right):
        return
    if {left.type, right.type} <= NUMBERS:
        return
    raise TypeMismatch(
        f"{tell_type(left)} and {tell_type(right)}; they cannot be compared",
        hint=_hint_for(left, right),
        target=tell_expression(left) if isinstance(left, Column) else None,
    )


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
    """
    for side in (left, right):
        if side.type not in NUMBERS | {Type.NULL}:
            raise TypeMismatch(f"{tell_type(side)}; {operator!r} takes numbers")
        _refuse_infinite(side)
    if Type.NULL in {left.type, right.type}:
        return NULL
    whole = left.type is right.type is Type.INT and operator != "divby"
    return Arithmetic(Type.INT if whole else Type.NUMBER, operator, left, right)


def negate(term: Expr) -> Expr:
    """Type the minus before a number; a constant is turned at once.

    Raises: TypeMismatch
    """
    if term.type is Type.NULL:
        return term
    if term.type not in NUMBERS:
        raise TypeMismatch(f"{tell_type(term)}; a minus takes a number")
    if isinstance(term, Literal):
        if term.type is Type.INT and term.value == -(2**63):
            raise TypeMismatch(f"the whole number {-term.value} is beyond 64 bits")
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
    for number, (argument, types) in enumerate(zip(arguments, row.arguments, strict=False), 1):
        if argument.type not in (*types, Type.NULL):
            phrases = " or ".join(_PHRASES[t] for t in types)
            raise TypeMismatch(
                f"{tell_type(argument)}; {row.name} takes {phrases} as value {number}"
            )
        _refuse_infinite(argument)
    if any(argument.type is Type.NULL for argument in arguments):
        return NULL
    return Call(row.result, row.name, tuple(arguments))


def _refuse_infinite(expr: Expr) -> None:
    # The databases disagree on what comes of INF times 0, and on the order of NaN.
    if isinstance(expr, Literal) and isinstance(expr.value, float) and not isfinite(expr.value):
        name = "NaN" if isnan(expr.value) else "INF"
        raise TypeMismatch(f"{name} can only be compared, not reckoned with")


# Conditions


def check_condition(expr: Expr, place: str) -> Expr:
    """Give a condition back; whatever is not true or false is refused.

    place: where it stands, as `a filter` or `'not'`
    Raises: TypeMismatch
    """
    if expr.type not in {Type.BOOL, Type.NULL}:
        raise TypeMismatch(f"{place} takes a condition, but {tell_type(expr)}")
    return expr
