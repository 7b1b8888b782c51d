"""xAPI statements: one parsed statement in, a draft, a void to be resolved, or a refusal out.

The verbs of cmi5 map onto event types; another verb is refused by name, never guessed. Sources:
xAPI 1.0.3, Part Two; IEEE 9274.1.1 (xAPI 2.0); cmi5, "Verbs"; docs/xapi.md.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple, TypeGuard
from uuid import uuid4

import orjson

from app.base.clock import format_time
from app.base.config import Settings
from app.base.errors import Problem
from app.intake.drafts import Draft, Refusal
from app.intake.formats.cloudevents import read_stamp, write_item
from app.intake.strict_json import find_fault
from app.learning.events import check_data, event_type_named
from app.learning.identity import entity_of, stream_of
from app.learning.times import epoch_microseconds

_ADL = "http://adlnet.gov/expapi/verbs/"
_CMI5 = "https://w3id.org/xapi/adl/verbs/"
_ACTIVITIES = "http://adlnet.gov/expapi/activities/"
_PROGRESS = "https://w3id.org/xapi/cmi5/result/extensions/progress"
_REASON = "https://w3id.org/xapi/cmi5/result/extensions/reason"
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DURATION = re.compile(
    r"P(?:([0-9]+)D)?(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+(?:\.[0-9]+)?)S)?)?"
)
_KEY_LENGTH = 200
_LONGEST_S = 366 * 86_400  # longer than this no session lasts
_VOIDED = "event.voided"
# What an LRS may change or add on the way does not make another statement (Part Two, 2.3.1).
_UNCOMPARED = frozenset({"id", "stored", "authority", "version", "timestamp"})
_VOID_KEYS = ("learner", "team", "module", "series", "session", "certification", "cycle")


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb that means something here.

    iri: as statements spell it
    type: the event type it becomes
    passed: the judgement it carries, if any
    """

    iri: str
    type: str
    passed: bool | None = None


VERBS: tuple[Verb, ...] = (
    Verb(f"{_ADL}launched", "progress.started"),
    Verb(f"{_ADL}initialized", "progress.started"),
    Verb(f"{_ADL}progressed", "progress.advanced"),
    Verb(f"{_ADL}completed", "progress.completed"),
    Verb(f"{_ADL}passed", "progress.completed", passed=True),
    Verb(f"{_ADL}failed", "progress.failed", passed=False),
    Verb(f"{_CMI5}abandoned", "activity.recorded"),
    Verb(f"{_CMI5}waived", "assignment.waived"),
    Verb(f"{_ADL}terminated", "activity.recorded"),
    Verb(f"{_CMI5}satisfied", "progress.completed"),
    Verb(f"{_ADL}voided", _VOIDED),
)

# What an activity is most like; one that says nothing, or something else, is `external`.
ACTIVITY_TYPES: Mapping[str, str] = {
    f"{_ACTIVITIES}course": "course",
    f"{_ACTIVITIES}module": "course",
    f"{_ACTIVITIES}lesson": "course",
    "https://w3id.org/xapi/cmi5/activitytype/course": "course",
    "https://w3id.org/xapi/cmi5/activitytype/block": "course",
    f"{_ACTIVITIES}assessment": "assessment",
    f"{_ACTIVITIES}meeting": "ilt",
    f"{_ACTIVITIES}media": "quick_update",
    f"{_ACTIVITIES}file": "quick_update",
    f"{_ACTIVITIES}link": "quick_update",
    "https://w3id.org/xapi/video/activity-type/video": "quick_update",
    "http://id.tincanapi.com/activitytype/checklist": "checklist",
}
OTHER_ACTIVITY = "external"

_BY_IRI: Mapping[str, Verb] = {verb.iri: verb for verb in VERBS}


class Void(NamedTuple):
    """A statement that voids another; what that one changed is not known yet.

    draft: all but the data, entity and stream
    target_id: the statement that must not count
    text: the statement as it came
    """

    draft: Draft
    target_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What every statement of a delivery is read with.

    latest_at: no statement may claim to be later
    """

    settings: Settings
    source_key: str
    received_at: datetime
    latest_at: datetime


def read_statement(value: Any, reading: Reading) -> Draft | Void | Refusal:
    """Make a draft of one statement; a void needs `resolve_void` before it is one."""
    fault = _fault_of(value, reading.settings)
    if fault is not None:
        return _refuse_statement(value, reading, fault[0], [fault[1]])
    problems = _check_shape(value)
    occurred_at = _read_moment(value, "timestamp", reading, problems)
    recorded_at = _read_moment(value, "stored", reading, problems)
    if problems:
        return _refuse_statement(value, reading, "invalid_statement", problems)
    verb = _BY_IRI.get(value["verb"]["id"])
    if verb is None:
        problem = Problem("verb.id", "is a verb that changes nothing here; docs/xapi.md lists ours")
        return _refuse_statement(value, reading, "verb_not_mapped", [problem])
    draft = _start_draft(value, verb, reading, times=(occurred_at, recorded_at))
    if verb.type == _VOIDED:
        return _read_void(value, draft, reading)
    refusal = _check_parties(value, reading)
    return refusal or _finish_draft(value, draft, verb, reading)


def resolve_void(void: Void, target: tuple[str, dict[str, Any]] | None) -> Draft | Refusal:
    """Make a draft of a void, now that its target is found.

    Shape: target: stream and data of the voided event
    """
    draft = void.draft
    if target is None or void.target_id == draft.event_id:
        problem = Problem("object.id", "is no statement that this source sent and that is kept")
        return Refusal(
            draft.event_id, draft.source_key, "", "target_unknown", (problem,), void.text
        )
    stream, told = target
    data: dict[str, Any] = {"event_id": void.target_id, "stream": stream}
    data |= {name: told[name] for name in _VOID_KEYS if told.get(name) is not None}
    return _with_data(draft, data)


def _fault_of(value: Any, settings: Settings) -> tuple[str, Problem] | None:
    if not isinstance(value, dict):
        return "invalid_statement", Problem("", "must be a JSON object: one statement")
    fault = find_fault(value, settings)
    if fault is not None:
        return "bad_json", fault
    if len(orjson.dumps(value)) > settings.limit_event_bytes:
        words = f"is larger than {settings.limit_event_bytes} bytes"
        return "too_large", Problem("", words)
    return None


def _check_shape(value: dict[str, Any]) -> list[Problem]:
    """Say where a statement breaks the rules that every statement must keep."""
    problems = []
    if "id" in value and not _is_uuid(value["id"]):
        problems.append(Problem("id", "must be a UUID"))
    for name in ("actor", "verb", "object"):
        if not isinstance(value.get(name), dict):
            words = "is required" if value.get(name) is None else "must be an object"
            problems.append(Problem(name, words))
    for name in ("result", "context"):
        if name in value and not isinstance(value[name], dict):
            problems.append(Problem(name, "must be an object"))
    verb = value.get("verb")
    if isinstance(verb, dict) and not isinstance(verb.get("id"), str):
        problems.append(Problem("verb.id", "is required: the IRI of a verb"))
    return problems


def _read_moment(
    value: dict[str, Any], name: str, reading: Reading, problems: list[Problem]
) -> datetime:
    """A time of a statement; without one it is as old as its arrival (Part Two, 2.4.7)."""
    if name not in value:
        return reading.received_at
    return read_stamp(value[name], name, problems, reading.latest_at)


def _start_draft(
    value: dict[str, Any], verb: Verb, reading: Reading, *, times: tuple[datetime, datetime]
) -> Draft:
    moment = epoch_microseconds(times[0]) if "timestamp" in value else None
    compared = {name: part for name, part in value.items() if name not in _UNCOMPARED}
    framed = orjson.dumps([moment, compared], option=orjson.OPT_SORT_KEYS)
    return Draft(
        event_id=str(value.get("id") or uuid4()).lower(),
        source_key=reading.source_key,
        type=verb.type,
        stream="",
        entity_key="",
        subject=None,
        occurred_at=times[0],
        recorded_at=times[1],
        sequence=0,
        digest=sha256(framed).digest(),
        data_digest="",
        data="",
        extras=_write_extras(value),
    )


def _write_extras(value: dict[str, Any]) -> str:
    """What is kept of a statement beside the event: no names and addresses of people."""
    context = value.get("context", {})
    parents = context.get("contextActivities")
    above = parents.get("parent") if isinstance(parents, dict) else None
    listed = above if isinstance(above, list) else [above]
    told = {
        "verb": value["verb"]["id"],
        "registration": context.get("registration"),
        "parents": [part.get("id") for part in listed if isinstance(part, dict)] or None,
        "result": value.get("result"),
    }
    kept = {name: part for name, part in told.items() if part is not None}
    return orjson.dumps({"xapi": kept}, option=orjson.OPT_SORT_KEYS).decode()


def _read_void(value: dict[str, Any], draft: Draft, reading: Reading) -> Void | Refusal:
    target = value["object"]
    if target.get("objectType") != "StatementRef" or not _is_uuid(target.get("id")):
        problem = Problem("object", "must be a StatementRef with the id of the voided statement")
        return _refuse_statement(value, reading, "invalid_statement", [problem])
    return Void(draft, str(target["id"]).lower(), write_item(value))


def _check_parties(value: dict[str, Any], reading: Reading) -> Refusal | None:
    """Refuse a statement that is not about one learner and one activity that keys can name."""
    actor, activity = value["actor"], value["object"]
    if actor.get("objectType", "Agent") != "Agent":
        problem = Problem("actor", "is a group; progress belongs to one learner")
        return _refuse_statement(value, reading, "not_a_person", [problem])
    if _learner_of(actor) is None:
        words = "must have an account, mbox, mbox_sha1sum or openid of up to 200 characters"
        return _refuse_statement(value, reading, "no_learner", [Problem("actor", words)])
    if activity.get("objectType", "Activity") != "Activity":
        problem = Problem("object", "is no activity; progress belongs to one")
        return _refuse_statement(value, reading, "object_not_mapped", [problem])
    if not _is_key(activity.get("id")):
        problem = Problem("object.id", "must be an IRI of up to 200 printable characters")
        return _refuse_statement(value, reading, "invalid_statement", [problem])
    return None


def _finish_draft(
    value: dict[str, Any], draft: Draft, verb: Verb, reading: Reading
) -> Draft | Refusal:
    learner = _learner_of(value["actor"])
    data: dict[str, Any] = {"learner": learner, "module": value["object"]["id"]}
    result = value.get("result", {})
    extensions = result.get("extensions")
    said = extensions if isinstance(extensions, dict) else {}
    type_name = verb.type
    if type_name == "assignment.waived":
        reason = said.get(_REASON)
        data["waive_reason"] = reason if isinstance(reason, str) else None
    else:
        data["module_type"] = _module_type_of(value["object"])
    if type_name == "progress.advanced":
        if said.get(_PROGRESS) is None:
            type_name = "progress.started"
        else:
            data["percent"] = said[_PROGRESS]
    if type_name == "activity.recorded":
        stretch = _stretch_of(result, draft.occurred_at)
        type_name = type_name if stretch else "progress.started"
        data |= stretch
    if type_name in {"progress.completed", "progress.failed"}:
        data |= _judgement_of(result, verb)
    kept = {name: part for name, part in data.items() if part is not None}
    event_type = event_type_named(type_name)
    wrong = check_data(event_type, kept) if event_type is not None else []
    if wrong:
        told = [Problem(problem.path, problem.message) for problem in wrong]
        return _refuse_statement(value, reading, "invalid_data", told)
    return _with_data(draft._replace(type=type_name, subject=f"learner:{learner}"), kept)


def _with_data(draft: Draft, data: dict[str, Any]) -> Draft:
    return draft._replace(
        stream=stream_of(draft.type, data),
        entity_key=entity_of(draft.type, data),
        data=orjson.dumps(data, option=orjson.OPT_SORT_KEYS).decode(),
    )


def _learner_of(actor: dict[str, Any]) -> str | None:
    """The key of a learner: the account's name, else the address, its hash or the OpenID."""
    account = actor.get("account")
    named = account.get("name") if isinstance(account, dict) else None
    address = actor.get("mbox")
    if isinstance(address, str):
        address = address.removeprefix("mailto:")
    for key in (named, address, actor.get("mbox_sha1sum"), actor.get("openid")):
        if key is not None:
            return key if _is_key(key) else None
    return None


def _module_type_of(activity: dict[str, Any]) -> str:
    definition = activity.get("definition")
    told = definition.get("type") if isinstance(definition, dict) else None
    return ACTIVITY_TYPES.get(told, OTHER_ACTIVITY) if isinstance(told, str) else OTHER_ACTIVITY


def _judgement_of(result: dict[str, Any], verb: Verb) -> dict[str, Any]:
    """Score and judgement of a result, as far as it has them.

    Source: xAPI 1.0.3, Part Two, 2.4.5
    """
    said: dict[str, Any] = {"passed": result.get("success") if verb.passed is None else verb.passed}
    score = result.get("score")
    if not isinstance(score, dict):
        return said
    raw, most, least = score.get("raw"), score.get("max"), score.get("min") or 0
    if _is_number(raw) and _is_number(most) and _is_number(least) and most > least:
        return said | {"score": raw - least, "max_score": most - least}
    if _is_number(score.get("scaled")):
        return said | {"score": score["scaled"] * 100, "max_score": 100}
    return said | {"score": raw}


def _stretch_of(result: dict[str, Any], ended_at: datetime) -> dict[str, Any]:
    """The stretch of time that a session took before its end; empty when it does not tell.

    Source: xAPI 1.0.3, Part Two, 4.6 (ISO 8601 durations; years, months and weeks are not read)
    """
    told = result.get("duration")
    found = _DURATION.fullmatch(told) if isinstance(told, str) and len(told) <= 60 else None
    if found is None:
        return {}
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    whole_s = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if not 0 < whole_s <= _LONGEST_S:
        return {}
    started_at = ended_at - timedelta(seconds=whole_s)
    return {"started_at": format_time(started_at), "seconds": round(whole_s)}


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def _is_key(text: Any) -> bool:
    return isinstance(text, str) and 0 < len(text) <= _KEY_LENGTH and text.isprintable()


def _refuse_statement(
    value: Any, reading: Reading, reason: str, problems: list[Problem]
) -> Refusal:
    told = value.get("id") if isinstance(value, dict) else None
    return Refusal(
        event_id=str(told).lower() if _is_uuid(told) else "",
        source_key=reading.source_key,
        stream="",
        reason=reason,
        problems=tuple(problems),
        item=write_item(value),
    )
