"""JSON that every reader reads alike: bytes in, values or a fault with its place out.

No duplicate keys, no NaN or Infinity, no lone surrogates, no NUL, no integer beyond 64 bits, no
deep nesting, no endless text. Source: RFC 8259 and RFC 7493.
"""

import math
from typing import Any

import jiter

from app.base.config import Settings
from app.base.errors import BodyNotJson, Problem

_BOM = b"\xef\xbb\xbf"
_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1


def parse_json(text: bytes) -> Any:
    """Parse one JSON text; what the parser itself does not refuse is left to `find_fault`.

    Raises: ValueError, with line and column
    """
    return jiter.from_json(text, allow_inf_nan=False, catch_duplicate_keys=True, cache_mode="keys")


def read_json(body: bytes, settings: Settings) -> Any:
    """Give the value of a whole body.

    Raises: BodyNotJson, with the place of the fault
    """
    try:
        value = parse_json(body.removeprefix(_BOM))
    except ValueError as error:
        raise BodyNotJson(tell_fault(error)) from None
    fault = find_fault(value, settings)
    if fault is not None:
        raise BodyNotJson(f"{fault.path or 'the body'} {fault.message}", problems=(fault,))
    return value


def tell_fault(error: ValueError) -> str:
    """Give the parser's words, cut short: they may hold a name from the input."""
    return str(error).encode("utf-8", "replace").decode()[:160]


def find_fault(value: Any, settings: Settings) -> Problem | None:
    """Find the first value that two readers might read differently, or that is too large.

    Shape: the path is dotted names and [indexes], at most 100 characters
    """
    waiting: list[tuple[str, int, Any]] = [("", 0, value)]
    while waiting:
        path, depth, part = waiting.pop()
        words = _fault_of(part, settings)
        if isinstance(part, dict | list):
            depth += 1
            if depth > settings.limit_json_depth:
                words = f"is nested deeper than {settings.limit_json_depth} levels"
            elif isinstance(part, dict):
                words = next((w for k in part if (w := _fault_of(k, settings))), words)
                waiting += [(f"{path}.{k}", depth, v) for k, v in part.items()]
            else:
                waiting += [(f"{path}[{i}]", depth, v) for i, v in enumerate(part)]
        if words:
            return Problem(path.removeprefix(".")[:100], words)
    return None


def _fault_of(part: Any, settings: Settings) -> str:
    if isinstance(part, str):
        if "\x00" in part:
            return "holds the character NUL"
        if not part.isascii() and any("\ud800" <= c <= "\udfff" for c in part):
            return "holds half a character (a lone surrogate)"
        if len(part) * 4 > settings.limit_string_bytes:
            size = len(part.encode())
            if size > settings.limit_string_bytes:
                return f"is longer than {settings.limit_string_bytes} bytes"
    elif isinstance(part, float):
        if not math.isfinite(part):
            return "is beyond the range of numbers"
    elif isinstance(part, int) and not _MIN_INT <= part <= _MAX_INT:
        return "is an integer beyond 64 bits"
    return ""
