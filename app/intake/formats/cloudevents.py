"""CloudEvents 1.0 in JSON: one parsed item in, a draft or a refusal out.

Attributes that we do not know are legal extensions: they are kept. Source: CloudEvents 1.0.2,
JSON Event Format 1.0.2.
"""

import re
from datetime import UTC, datetime
from typing import Any

import orjson

from app.base.config import Settings
from app.base.errors import Problem
from app.intake.drafts import Draft, Refusal
from app.intake.strict_json import find_fault
from app.learning.events import (
    EventType,
    check_data,
    count_unknown_fields,
    event_type_named,
)
from app.learning.identity import content_digest, entity_of, stream_of
from app.learning.modules import STREAM_NAMES
from app.learning.times import parse_time

_KNOWN = frozenset(
    {
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "recordedtime",
        "sequence",
        "datadigest",
        "datacontenttype",
        "data",
    }
)
_STREAMS = frozenset(STREAM_NAMES)
_EARLIEST_AT = datetime(1970, 1, 1, tzinfo=UTC)
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_DIGITS = re.compile(r"[0-9]{1,19}")
_MAX_SEQUENCE = 2**63 - 1
_KEY_LENGTH = 200
_SUBJECT_LENGTH = 2000
_MAX_PROBLEMS = 20


def read_event(value: Any, *, settings: Settings, latest_at: datetime) -> Draft | Refusal:
    """Make a draft of one event.

    Shape: latest_at: no event may claim to be later than this
    """
    if not isinstance(value, dict):
        problem = Problem("", "must be a JSON object: one CloudEvent")
        return _refuse(value, "not_an_event", (problem,))
    problems: list[Problem] = []
    occurred_at, recorded_at = _read_times(value, problems, latest_at)
    if problems:
        return _refuse(value, "bad_time", (*problems, *_check_envelope(value)))
    problems = _check_envelope(value)
    if problems:
        return _refuse(value, "invalid_envelope", problems)
    data, extras = value["data"], _extras_of(value)
    try:
        data_text = orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
        extras_text = orjson.dumps(extras, option=orjson.OPT_SORT_KEYS) if extras else b""
    except TypeError:
        return _refuse_json(value, settings)
    size = len(data_text) + len(extras_text)
    if size > settings.limit_event_bytes:
        words = f"is larger than {settings.limit_event_bytes} bytes"
        return _refuse(value, "too_large", (Problem("data", words),))
    if _is_suspect(data_text + extras_text, settings) and find_fault(value, settings):
        return _refuse_json(value, settings)
    event_type = event_type_named(value["type"])
    if event_type is None:
        problem = Problem("type", "is no event type; GET /v1/event-types lists them")
        return _refuse(value, "unknown_type", (problem,))
    wrong = check_data(event_type, data)
    if wrong:
        told = [Problem(problem.path, problem.message) for problem in wrong]
        return _refuse(value, "invalid_data", told)
    return _make_draft(
        value,
        event_type,
        times=(occurred_at, recorded_at),
        texts=(data_text, extras_text),
        unknown_field_count=count_unknown_fields(event_type, data) + len(extras),
    )


def _make_draft(
    value: dict[str, Any],
    event_type: EventType,
    *,
    times: tuple[datetime, datetime | None],
    texts: tuple[bytes, bytes],
    unknown_field_count: int,
) -> Draft:
    data, name, subject = value["data"], event_type.name, value.get("subject")
    digest = content_digest(
        type=name,
        subject=subject,
        occurred_at=times[0],
        recorded_at=times[1],
        data_text=texts[0],
    )
    return Draft(
        event_id=value["id"],
        source_key=value["source"],
        type=name,
        stream=stream_of(name, data),
        entity_key=entity_of(name, data),
        subject=subject,
        occurred_at=times[0],
        recorded_at=times[1],
        sequence=int(value.get("sequence") or 0),
        digest=digest,
        data_digest=(value.get("datadigest") or "").lower(),
        data=texts[0].decode(),
        extras=texts[1].decode() or None,
        unknown_field_count=unknown_field_count,
    )


def _read_times(
    value: dict[str, Any], problems: list[Problem], latest_at: datetime
) -> tuple[datetime, datetime | None]:
    occurred_at = read_stamp(value.get("time"), "time", problems, latest_at)
    if value.get("recordedtime") is None:
        return occurred_at, None
    return occurred_at, read_stamp(value["recordedtime"], "recordedtime", problems, latest_at)


def read_stamp(text: Any, name: str, problems: list[Problem], latest_at: datetime) -> datetime:
    """Read a time within the bounds of all times; what is wrong with it joins the problems."""
    if not isinstance(text, str):
        words = "is required" if text is None else "must be text"
        problems.append(Problem(name, f"{words}: an RFC 3339 time, such as 2025-05-24T10:00:00Z"))
        return _EARLIEST_AT
    try:
        moment = parse_time(text)
    except ValueError as error:
        problems.append(Problem(name, str(error)))
        return _EARLIEST_AT
    if not _EARLIEST_AT <= moment <= latest_at:
        words = "must lie between 1970 and the near future (a day from now)"
        problems.append(Problem(name, words))
    return moment


def _check_envelope(value: dict[str, Any]) -> list[Problem]:
    """Look at all attributes but the times and what the type and data say."""
    get = value.get
    problems: list[Problem] = []
    if get("specversion") != "1.0":
        problems.append(Problem("specversion", 'must be "1.0"'))
    for name in ("id", "source", "type"):
        if not _is_key(get(name)):
            words = "must be text of 1 to 200 printable characters"
            problems.append(Problem(name, "is required" if get(name) is None else words))
    subject = get("subject")
    if subject is not None and not (
        isinstance(subject, str) and len(subject) <= _SUBJECT_LENGTH and subject.isprintable()
    ):
        words = "must be text of up to 2000 printable characters"
        problems.append(Problem("subject", words))
    if not _is_sequence(get("sequence")):
        problems.append(Problem("sequence", 'must be a whole number in digits, such as "8812"'))
    digest = get("datadigest")
    if digest is not None and not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
        problems.append(Problem("datadigest", "must be a SHA-256 in 64 hexadecimal digits"))
    if not _is_json_type(get("datacontenttype")):
        problems.append(Problem("datacontenttype", "must be application/json"))
    if not isinstance(get("data"), dict):
        words = "is required" if get("data") is None else "must be an object"
        problems.append(Problem("data", words))
    return problems


def _is_key(text: Any) -> bool:
    return isinstance(text, str) and 0 < len(text) <= _KEY_LENGTH and text.isprintable()


def _is_sequence(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, str):
        return _DIGITS.fullmatch(value) is not None and int(value) <= _MAX_SEQUENCE
    return type(value) is int and 0 <= value <= _MAX_SEQUENCE


def _is_json_type(value: Any) -> bool:
    return value is None or (
        isinstance(value, str) and value.partition(";")[0].strip().lower() == "application/json"
    )


def _extras_of(value: dict[str, Any]) -> dict[str, Any]:
    if _KNOWN.issuperset(value):
        return {}
    return {name: value[name] for name in value.keys() - _KNOWN}


def _is_suspect(text: bytes, settings: Settings) -> bool:
    """Could this canonical text hold a value that must be refused? Cheap, and never a false no.

    Infinity is written as null; a text within the limit of one string holds no longer one.
    """
    return (
        len(text) > settings.limit_string_bytes
        or b"null" in text
        or b"\\u0000" in text
        or text.count(b"{") + text.count(b"[") >= settings.limit_json_depth
    )


def _refuse_json(value: dict[str, Any], settings: Settings) -> Refusal:
    fault = find_fault(value, settings) or Problem("data", "holds a value that JSON cannot carry")
    return _refuse(value, "bad_json", (fault,))


def _refuse(value: Any, reason: str, problems: Any) -> Refusal:
    """Say what can be told of an item that is refused; nothing in it is to be trusted."""
    known = value if isinstance(value, dict) else {}
    event_id, source_key = (
        name if _is_key(name) else "" for name in (known.get("id"), known.get("source"))
    )
    return Refusal(
        event_id=event_id or "",
        source_key=source_key or "",
        stream=_stream_of(known),
        reason=reason,
        problems=tuple(problems)[:_MAX_PROBLEMS],
        item=write_item(value),
    )


def _stream_of(known: dict[str, Any]) -> str:
    type_name, data = known.get("type"), known.get("data")
    if not isinstance(type_name, str) or not isinstance(data, dict):
        return ""
    event_type = event_type_named(type_name)
    if event_type is None:
        return ""
    stream = data.get(
        {"progress": "module_type", "correction": "stream"}.get(event_type.family, "")
    )
    if event_type.family in _STREAMS:
        return event_type.family
    return stream if isinstance(stream, str) and stream in _STREAMS else ""


def write_item(value: Any) -> str:
    """Write an item that is refused as text, whatever is in it."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return ascii(value)
