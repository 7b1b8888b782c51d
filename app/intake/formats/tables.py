"""Rows of a table, from CSV or Parquet: one row in, the CloudEvent it means out.

The envelope's columns go by name, every other column is a field of `data`; empty = absent. Text is
read as what its event type wants; what cannot be read stays text, and is refused with its reason.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from app.intake.strict_json import parse_json
from app.learning.events import EventType, event_type_named

REQUIRED_COLUMNS = ("id", "source", "type", "time")
_ENVELOPE = frozenset({*REQUIRED_COLUMNS, "recordedtime", "sequence", "subject", "datadigest"})
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_TEXT = frozenset({"string"})


def event_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give the event that a row means; whether it keeps the rules is not looked at here."""
    told = {name: value for name, value in row.items() if not _is_empty(value)}
    event_type = event_type_named(str(told.get("type", "")))
    kinds = {} if event_type is None else _kinds_of(event_type)
    envelope = {name: _read_cell(told[name], _TEXT) for name in told.keys() & _ENVELOPE}
    data = {
        name: _read_cell(value, kinds.get(name, frozenset()))
        for name, value in told.items()
        if name not in _ENVELOPE
    }
    return {"specversion": "1.0", **envelope, "data": data}


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


@cache
def _kinds_of(event_type: EventType) -> Mapping[str, frozenset[str]]:
    """What each field of an event type's data may be, in the words of JSON Schema."""
    fields = event_type.data.model_json_schema()["properties"]
    return {
        name: frozenset(part["type"] for part in (told, *told.get("anyOf", ())) if "type" in part)
        for name, told in fields.items()
    }


def _read_cell(value: Any, kinds: frozenset[str]) -> Any:
    if isinstance(value, str):
        return value if not kinds or kinds & _TEXT else _read_text(value.strip(), kinds)
    if isinstance(value, datetime):
        aware = value.astimezone(UTC) if value.tzinfo is not None else value
        return aware.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        value = float(value)
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    if whole and (kinds & _TEXT or ("integer" in kinds and "number" not in kinds)):
        value = int(value)
    if kinds & _TEXT and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _read_text(text: str, kinds: frozenset[str]) -> Any:
    """Read a text as one of these kinds; a text that is none of them stays one."""
    if "boolean" in kinds and text.lower() in _TRUTHS:
        return _TRUTHS[text.lower()]
    if kinds & {"integer", "number"} and _WHOLE.fullmatch(text):
        return int(text)
    if "number" in kinds and _NUMBER.fullmatch(text):
        return float(text)
    if "array" in kinds and not text.startswith("["):
        return [part.strip() for part in text.split(";") if part.strip()]
    if kinds & {"array", "object"}:
        try:
            return parse_json(text.encode())
        except ValueError:
            return text
    return text
