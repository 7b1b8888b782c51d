"""Custom attributes of learners: values in, the kind of each attribute out.

The kind depends on the set of values, never on their order.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from app.learning.times import parse_date

ATTRIBUTE_KINDS = ("text", "number", "bool", "date")
_LONGEST_BYTES = 50
_UNFIT = frozenset('"\\/')


def kind_of_value(value: Any) -> str:
    """Give the kind of one value: a text that is a date such as 2025-05-24 is a date."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    try:
        parse_date(value)
    except ValueError:
        return "text"
    return "date"


def join_kinds(told: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Give the kind of each code, of codes with kinds: text where two do not agree."""
    kinds: dict[str, str] = {}
    for code, kind in told:
        kinds[code] = kind if kinds.get(code, kind) == kind else "text"
    return kinds


def kinds_of_values(stated: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Give the kind of each attribute in these objects; null tells nothing."""
    return join_kinds(
        (code, kind_of_value(value))
        for attributes in stated
        for code, value in attributes.items()
        if value is not None
    )


def can_be_field(code: str) -> bool:
    """Say whether a code can be the name of a field: short, without quotes and slashes."""
    return len(code.encode()) <= _LONGEST_BYTES and _UNFIT.isdisjoint(code)
