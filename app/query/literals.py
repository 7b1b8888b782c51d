"""The text of a literal in, its bound value out."""

import re
from datetime import UTC, date, datetime
from math import isinf

from app.base.errors import BadSyntax, TypeMismatch
from app.catalog.fields import Type
from app.learning.times import parse_time
from app.query.expr import Literal

EARLIEST = Literal(Type.TIME, datetime.min.replace(tzinfo=UTC))
LATEST = Literal(Type.TIME, datetime.max.replace(tzinfo=UTC))
_NO_SECONDS = re.compile(r"(T\d\d:\d\d)(?=Z|[+-])")
_LEAST, _MOST = -(2**63), 2**63 - 1


def read_text(text: str) -> Literal:
    """A text, its quotes already off.

    Raises: BadSyntax, when no database would hold it
    """
    if "\x00" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise BadSyntax("a text holds a character that is none (NUL or half a surrogate pair)")
    return Literal(Type.TEXT, text)


def read_integer(text: str) -> Literal:
    """A whole number of 64 bits.

    Raises: TypeMismatch
    """
    value = int(text) if len(text.lstrip("+-0")) <= 19 else _MOST + 1
    if not _LEAST <= value <= _MOST:
        raise TypeMismatch(f"the whole number {text[:24]} is beyond 64 bits")
    return Literal(Type.INT, value)


def read_number(text: str) -> Literal:
    """A number with decimals, or INF, -INF, NaN.

    Raises: TypeMismatch
    """
    value = float(text)
    if isinf(value) and "INF" not in text:
        raise TypeMismatch(f"the number {text[:24]} is too large")
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
    """A moment; it has an offset.

    Raises: TypeMismatch
    """
    moment = text.upper()
    if not (moment.endswith("Z") or moment[-6] in "+-"):
        raise TypeMismatch(
            f"the date-time {text[:40]} has no offset", hint=f"Write {text[:40]}Z for UTC."
        )
    try:
        # Seconds may be left out here, though not in RFC 3339.
        return Literal(Type.TIME, parse_time(_NO_SECONDS.sub(r"\1:00", moment)))
    except (ValueError, OverflowError):
        raise TypeMismatch(f"there is no moment {text[:40]} in the years 1 to 9999") from None
