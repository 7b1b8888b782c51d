"""The text of a literal in, its bound value out."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isinf

from app.base.errors import BadSyntax, NotSupported, TypeMismatch
from app.catalog.fields import Type
from app.learning.times import parse_time
from app.query.expr import Literal
from app.query.nodes import Node, ast
from app.store.casts import read_form
from app.store.spans import LONGEST_SPAN, moment_at


@dataclass(frozen=True, slots=True)
class CutLiteral(Literal):
    """A moment, time of day or duration between two microseconds; its value is cut to them.

    beyond: what is cut off, in microseconds; negative where the duration is
    """

    beyond: Decimal


EARLIEST = Literal(Type.TIME, datetime.min.replace(tzinfo=UTC))
LATEST = Literal(Type.TIME, datetime.max.replace(tzinfo=UTC))
_NO_SECONDS = re.compile(r"(T\d\d:\d\d)(?=Z|[+-])")
_LEAST, _MOST = -(2**63), 2**63 - 1
# From here on a double skips whole numbers.
_EXACT = 2**53
_DURATION = re.compile(
    r"(?P<sign>[+-]?)P(?:(?P<days>\d+)D)?(?=T\d|$)"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d++(?:\.\d{1,6}+)?+)\d*+S)?)?",
    re.IGNORECASE | re.ASCII,
)
_BEYOND = re.compile(r"\.\d{6}(\d*[1-9])", re.ASCII)
_UNITS = (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
_UNKNOWN_LITERALS = frozenset({"binary", "geography", "geometry"})
# How texts are read as values of these types, in `app/store/casts.py`.
FORM_OF = {
    Type.INT: "whole",
    Type.NUMBER: "number",
    Type.BOOL: "flag",
    Type.TIME: "moment",
    Type.DATE: "day",
    Type.CLOCK: "clock",
    Type.SPAN: "span",
    Type.GUID: "guid",
}


def read_literal(node: Node) -> Literal:
    """The value of a literal's node.

    Raises: BadSyntax, TypeMismatch, NotSupported
    """
    match node:
        case ast.Null():
            return Literal(Type.NULL, None)
        case ast.Boolean():
            return Literal(Type.BOOL, node.val.lower() == "true")
        case ast.String():
            return read_text(node.val)
        case ast.Integer():
            return read_integer(node.val)
        case ast.Float():
            return read_number(node.val)
        case ast.Date():
            return read_date(node.val)
        case ast.DateTime():
            return read_time(node.val)
        case ast.Time():
            return read_clock(node.val)
        case ast.Duration():
            return read_span(node.val)
        case ast.GUID():
            return Literal(Type.GUID, node.val.lower())
    raise TypeMismatch("a value is expected here, not an expression")


def read_word(enumeration: str, text: str) -> Literal:
    """A word of a closed list, with the name of its list.

    Raises: NotSupported, for what is no enumeration
    """
    if enumeration.lower() in _UNKNOWN_LITERALS:
        raise NotSupported(f"{enumeration.lower()} literals are not supported here")
    return Literal(Type.ENUM, (enumeration, text))


def read_as(kind: Type, text: str) -> Literal:
    """A text as a value of this type; null where it is none.

    Source: OData URL Conventions 4.01, section 5.1.1.10.1
    """
    value = read_form(FORM_OF[kind], text)
    if kind is Type.TIME and value is not None:
        value = moment_at(value)
        value = None if value is None else parse_time(value)
    return Literal(Type.NULL if value is None else kind, value)


def read_text(text: str) -> Literal:
    """A text, its quotes already off.

    Raises: BadSyntax, when no database would hold it
    """
    if "\x00" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise BadSyntax("a text holds a character that is none (NUL or half a surrogate pair)")
    return Literal(Type.TEXT, text)


def read_integer(text: str) -> Literal:
    """A whole number of 64 bits; beyond them, one with decimals.

    Raises: TypeMismatch
    Source: OData ABNF 4.01, rule decimalValue
    """
    value = int(text) if len(text.lstrip("+-0")) <= 19 else _MOST + 1
    return Literal(Type.INT, value) if _LEAST <= value <= _MOST else read_number(text)


def read_number(text: str) -> Literal:
    """A number with decimals, or INF, -INF, NaN; exact where a double is not and it could matter.

    Raises: TypeMismatch
    """
    value = float(text)
    if isinf(value) and "INF" not in text:
        raise TypeMismatch(f"the number {text[:24]} is too large")
    if _EXACT <= abs(value) <= _MOST + 1 and (exact := Decimal(text)) != Decimal(value):
        return Literal(Type.NUMBER, exact)
    return Literal(Type.NUMBER, value)


def read_date(text: str) -> Literal:
    """A day.

    Raises: TypeMismatch
    """
    try:
        return Literal(Type.DATE, date.fromisoformat(text))
    except ValueError:
        raise TypeMismatch(f"there is no day {text[:40]} in the years 1 to 9999") from None


def read_time(text: str) -> Literal:
    """A moment, to the microsecond; it has an offset.

    Raises: TypeMismatch
    """
    moment = text.upper()
    if not (moment.endswith("Z") or moment[-6] in "+-"):
        raise TypeMismatch(
            f"the date-time {text[:40]} has no offset", hint=f"Write {text[:40]}Z for UTC."
        )
    try:
        # Seconds may be left out here, though not in RFC 3339.
        value = parse_time(_NO_SECONDS.sub(r"\1:00", moment))
    except (ValueError, OverflowError):
        raise TypeMismatch(f"there is no moment {text[:40]} in the years 1 to 9999") from None
    return _cut(Literal(Type.TIME, value), text)


def read_clock(text: str) -> Literal:
    """A time of day, to the microsecond.

    Raises: TypeMismatch
    """
    hours, minutes, *seconds = text.split(":")
    whole, _, fraction = (seconds[0] if seconds else "00").partition(".")
    return _cut(Literal(Type.CLOCK, f"{hours}:{minutes}:{whole}.{fraction[:6]:0<6}"), text)


def read_span(text: str) -> Literal:
    """A duration in microseconds.

    Raises: TypeMismatch
    """
    found = _DURATION.fullmatch(text)
    if found is None or not any(found[name] for name, _ in _UNITS):
        raise TypeMismatch(f"{text[:40]!r} is not a duration", hint="Write it like PT1H30M.")
    if len(text) > 60:
        raise TypeMismatch(f"the duration {text[:40]} is too long")
    seconds = sum(Decimal(found[name] or 0) * unit for name, unit in _UNITS)
    micros = int(seconds * 1_000_000) * (-1 if found["sign"] == "-" else 1)
    if abs(micros) > LONGEST_SPAN:
        raise TypeMismatch(f"the duration {text[:40]} is longer than 9998 years")
    return _cut(Literal(Type.SPAN, micros), text)


def _cut(literal: Literal, text: str) -> Literal:
    """A literal whose text may tell more than microseconds."""
    rest = _BEYOND.search(text)
    if rest is None:
        return literal
    beyond = Decimal(f"0.{rest[1]}")
    return CutLiteral(literal.type, literal.value, -beyond if text[0] == "-" else beyond)
