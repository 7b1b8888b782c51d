"""When two events are the same, what an event changes, and which stream it belongs to.

Checked event data goes in; digests and keys come out. Nothing here knows an environment: whoever
stores a key puts the environment first.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson

from app.learning.events import EVENT_TYPES
from app.learning.modules import FAMILY_STREAMS
from app.learning.times import epoch_microseconds

Data = Mapping[str, Any]

# The stream of an award whose event states no module type.
AWARD_STREAM = "external"


def content_digest(
    *,
    type: str,
    subject: str | None,
    occurred_at: datetime,
    recorded_at: datetime | None,
    data_text: bytes,
) -> bytes:
    """Give the 32 bytes that tell a repeated event from a conflicting one.

    Times count as moments, not as texts. The framing is one JSON array, so no two different events
    can be framed alike.

    Shape:  data_text: the data as compact JSON with sorted keys, so that their order does not count
    Source: docs/completeness.md, "Digests"
    """
    recorded = None if recorded_at is None else epoch_microseconds(recorded_at)
    data = orjson.Fragment(data_text)
    return sha256(
        orjson.dumps([type, subject, epoch_microseconds(occurred_at), recorded, data])
    ).digest()


def entity_of(type_name: str, data: Data) -> str:
    """Give the key of the entity that an event changes, such as `assignment:["u42","m7","",1]`.

    Shape:  kind, colon, compact JSON array of the key's parts
    Raises: KeyError when no event type has this name, or the data lacks a part
    """
    return _ENTITY_OF[type_name](data)


def entity_kind(entity_key: str) -> str:
    """Give the kind of an entity: the word before the colon of its key."""
    return entity_key.partition(":")[0]


def entity_parts(entity_key: str) -> list[Any]:
    """Give the parts of an entity's key, in the order of its kind."""
    parts: list[Any] = orjson.loads(entity_key.partition(":")[2])
    return parts


def stream_of(type_name: str, data: Data) -> str:
    """Give the name of the stream an event belongs to.

    Raises: KeyError when no event type has this name, or the data lacks the field that tells
    """
    fixed = _STREAM_OF[type_name]
    if fixed in FAMILY_STREAMS:
        return fixed
    if type_name.startswith("certification."):
        return data.get(fixed) or AWARD_STREAM
    stream: str = data[fixed]
    return stream


def assignment_key(data: Data) -> str:
    """Give the key of an assignment: no series is the empty key, no cycle the first."""
    parts = [data["learner"], data["module"], data.get("series") or "", data.get("cycle") or 1]
    return "assignment:" + orjson.dumps(parts).decode()


def award_key(data: Data) -> str:
    """Give the key of an award: no cycle is the first."""
    parts = [data["certification"], data["learner"], data.get("cycle") or 1]
    return "award:" + orjson.dumps(parts).decode()


def feedback_key(data: Data) -> str:
    """Give the key of feedback: no session is the empty key."""
    parts = [data["learner"], data["module"], data.get("session") or ""]
    return "feedback:" + orjson.dumps(parts).decode()


def _keyed(kind: str, *names: str) -> Callable[[Data], str]:
    def key_of(data: Data) -> str:
        return f"{kind}:{orjson.dumps([data[name] for name in names]).decode()}"

    return key_of


_BY_KIND: Mapping[str, Callable[[Data], str]] = {
    "assignment": assignment_key,
    "learner": _keyed("learner", "learner"),
    "team": _keyed("team", "team"),
    "module": _keyed("module", "module"),
    "series": _keyed("series", "series"),
    "session": _keyed("session", "module", "session"),
    "certification": _keyed("certification", "certification"),
    "enrolment": _keyed("enrolment", "module", "session", "learner"),
    "award": award_key,
    "feedback": feedback_key,
}


def _voided_entity(data: Data) -> str:
    """Give the entity that a voided event changed, from the keys that the void repeats."""
    stream = data["stream"]
    if stream == "people":
        return _BY_KIND["learner" if data.get("learner") else "team"](data)
    if stream != "catalog":
        return _BY_KIND[_voided_kind(data)](data)
    named = (kind for kind in ("certification", "session", "module") if data.get(kind))
    return _BY_KIND[next(named, "series")](data)


def _voided_kind(data: Data) -> str:
    """Give the kind of entity of a voided assignments or progress event."""
    if data.get("type") == "feedback.given":
        return "feedback"
    if data.get("certification"):
        return "award"
    return "enrolment" if data.get("session") else "assignment"


_ENTITY_OF: Mapping[str, Callable[[Data], str]] = {
    entry.name: _voided_entity if entry.entity == "voided" else _BY_KIND[entry.entity]
    for entry in EVENT_TYPES
}

# The family's own stream, or the field of the data that names the stream.
_STREAM_OF: Mapping[str, str] = {
    entry.name: {"progress": "module_type", "correction": "stream"}.get(entry.family, entry.family)
    for entry in EVENT_TYPES
}
