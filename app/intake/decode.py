"""Content type and bytes in, items out: each is parsed JSON, or a `Broken` with its reason.

One bad item never stops its neighbours; a body that is no list of events at all is refused.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from app.base.config import Settings
from app.base.errors import BodyNotJson, BodyTypeUnknown, NotEvents, TooManyEvents
from app.intake.strict_json import parse_json, tell_fault

SINGLE_TYPE = "application/cloudevents+json"
BATCH_TYPE = "application/cloudevents-batch+json"
LINES_TYPE = "application/x-ndjson"
PLAIN_TYPE = "application/json"

_LINES_TYPES = frozenset({LINES_TYPE, "application/ndjson", "application/jsonl"})
_BOM = b"\xef\xbb\xbf"
_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Broken:
    """An item that could not be read.

    message: what is wrong, with line and column of the item
    text: the item as it came
    """

    message: str
    text: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """The items of a body; `is_single` when it was one event and no list."""

    items: list[Any]
    is_single: bool


def decode_body(body: bytes, content_type: str | None, settings: Settings) -> Decoded:
    """Take a body apart into its items.

    Raises: BodyTypeUnknown, BodyNotJson, NotEvents, TooManyEvents
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    text = body.removeprefix(_BOM)
    if kind in _LINES_TYPES:
        return Decoded(_split_lines(text, settings), is_single=False)
    if kind not in {SINGLE_TYPE, BATCH_TYPE, PLAIN_TYPE}:
        raise BodyTypeUnknown(
            f"Content-Type {kind[:60]!r} is not read here",
            hint=f"Send {SINGLE_TYPE} (one event), {BATCH_TYPE} (a list) or {LINES_TYPE} "
            "(one event a line).",
        )
    is_list = text.lstrip()[:1] == b"["
    if is_list and kind == SINGLE_TYPE:
        raise NotEvents(
            "a list came where one event was promised", hint=f"Send it as {BATCH_TYPE}."
        )
    if not is_list and kind == BATCH_TYPE:
        raise NotEvents("no list came where one was promised", hint=f"Send it as {SINGLE_TYPE}.")
    items = _read_list(text) if is_list else [_read_single(text)]
    _check_count(len(items), settings.limit_batch_events)
    return Decoded(items, is_single=not is_list)


def _read_single(text: bytes) -> Any:
    try:
        value = parse_json(text)
    except ValueError as error:
        raise BodyNotJson(tell_fault(error)) from None
    if not isinstance(value, dict):
        raise NotEvents("the body is no event: an event is a JSON object")
    return value


def _read_list(text: bytes) -> list[Any]:
    """Read a list as a whole; only where that fails, item by item."""
    try:
        items: list[Any] = parse_json(text)
    except ValueError as error:
        return _read_list_slowly(text, error)
    return items


def _read_list_slowly(text: bytes, first_fault: ValueError) -> list[Any]:
    """Cut a list into its items with a lenient parser, then read each strictly.

    Raises: BodyNotJson, when even the lenient parser finds no list
    """
    try:
        words = text.decode()
        cuts = _cut_items(words)
    except UnicodeDecodeError as error:
        raise BodyNotJson(f"the body is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise BodyNotJson("the body is nested far too deeply") from None
    except ValueError:
        raise BodyNotJson(tell_fault(first_fault)) from None
    return [_read_item(words[start:end].encode()) for start, end in cuts]


def _cut_items(words: str) -> list[tuple[int, int]]:
    # Numbers are not made: a number of 5,000 digits would be refused where it is.
    lenient = json.JSONDecoder(parse_int=len, parse_float=len, strict=False)
    cuts: list[tuple[int, int]] = []
    place = _after_space(words, _after_space(words, 0) + 1)
    if words[place : place + 1] == "]":
        place += 1
    else:
        while True:
            _, end = lenient.raw_decode(words, place)
            cuts.append((place, end))
            place = _after_space(words, end)
            mark, place = words[place : place + 1], _after_space(words, place + 1)
            if mark == "]":
                break
            if mark != ",":
                raise ValueError("no comma between two items")
    if place < len(words):
        raise ValueError("something follows the list")
    return cuts


def _after_space(words: str, place: int) -> int:
    found = _SPACE.match(words, place)
    return place if found is None else found.end()


def _read_item(text: bytes) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        return Broken(tell_fault(error), text.decode("utf-8", "replace"))


def _split_lines(text: bytes, settings: Settings) -> list[Any]:
    lines = [line for line in text.split(b"\n") if line.strip()]
    if not lines:
        raise NotEvents("the body holds no line with an event")
    _check_count(len(lines), settings.limit_ndjson_events)
    return [_read_item(line) for line in lines]


def _check_count(count: int, limit: int) -> None:
    if count > limit:
        raise TooManyEvents(
            f"{count} events came, {limit} are the limit", hint="Send them in several requests."
        )
