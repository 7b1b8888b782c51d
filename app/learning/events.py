"""The event types: a registry, one row each, and the check of their `data`.

Parsed JSON goes in, problems come out in the words of the contract. The input is never echoed
beyond the names of its own fields, and those only in part.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, SchemaValidator

from app.learning import event_data as shapes

MAX_PROBLEMS = 20
_NAME_LENGTH = 40
_PATH_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an event.

    path: where, such as `data.percent`
    message: what, such as `must be at most 100`
    """

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class EventType:
    """A kind of event.

    name: as in the envelope
    family: people, catalog, assignments, progress or correction
    data: the shape of its data
    entity: the kind of entity it changes; `voided` = that of the voided event
    summary: what it says, in one line
    field_names: the fields that the contract knows
    """

    name: str
    family: str
    data: type[BaseModel]
    entity: str
    summary: str
    field_names: frozenset[str] = field(init=False, repr=False, compare=False)
    validator: SchemaValidator = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Keep at hand what every check needs."""
        object.__setattr__(self, "field_names", frozenset(self.data.model_fields))
        object.__setattr__(self, "validator", self.data.__pydantic_validator__)


EVENT_TYPES: tuple[EventType, ...] = (
    EventType(
        "learner.upserted",
        "people",
        shapes.LearnerUpserted,
        "learner",
        "A learner was added or changed.",
    ),
    EventType(
        "learner.deactivated",
        "people",
        shapes.LearnerDeactivated,
        "learner",
        "A learner is no longer active.",
    ),
    EventType(
        "team.upserted", "people", shapes.TeamUpserted, "team", "A team was added or changed."
    ),
    EventType("team.removed", "people", shapes.TeamRemoved, "team", "A team is gone."),
    EventType(
        "membership.set", "people", shapes.MembershipSet, "learner", "A learner joined a team."
    ),
    EventType(
        "membership.ended", "people", shapes.MembershipEnded, "learner", "A learner left a team."
    ),
    EventType(
        "reporting_line.set",
        "people",
        shapes.ReportingLineSet,
        "learner",
        "A learner reports to a manager.",
    ),
    EventType(
        "module.upserted",
        "catalog",
        shapes.ModuleUpserted,
        "module",
        "A module was added or changed.",
    ),
    EventType("module.archived", "catalog", shapes.ModuleNamed, "module", "A module was archived."),
    EventType("module.deleted", "catalog", shapes.ModuleNamed, "module", "A module was deleted."),
    EventType(
        "series.upserted",
        "catalog",
        shapes.SeriesUpserted,
        "series",
        "A series was added or changed.",
    ),
    EventType(
        "part.upserted",
        "catalog",
        shapes.PartUpserted,
        "module",
        "A part of a module was added or changed.",
    ),
    EventType(
        "session.scheduled",
        "catalog",
        shapes.SessionScheduled,
        "session",
        "A session was planned or moved.",
    ),
    EventType(
        "session.cancelled",
        "catalog",
        shapes.SessionCancelled,
        "session",
        "A session was called off.",
    ),
    EventType(
        "certification.upserted",
        "catalog",
        shapes.CertificationUpserted,
        "certification",
        "A certification was added or changed.",
    ),
    EventType(
        "assignment.made",
        "assignments",
        shapes.AssignmentTerms,
        "assignment",
        "A module was assigned.",
    ),
    EventType(
        "assignment.changed",
        "assignments",
        shapes.AssignmentTerms,
        "assignment",
        "Its terms were changed.",
    ),
    EventType(
        "assignment.ended",
        "assignments",
        shapes.AssignmentEnded,
        "assignment",
        "It no longer holds.",
    ),
    EventType(
        "assignment.waived",
        "assignments",
        shapes.AssignmentWaived,
        "assignment",
        "It need not be done.",
    ),
    EventType(
        "progress.started",
        "progress",
        shapes.ProgressNoted,
        "assignment",
        "The learner began or went on.",
    ),
    EventType(
        "progress.advanced",
        "progress",
        shapes.ProgressAdvanced,
        "assignment",
        "The learner got this far.",
    ),
    EventType(
        "progress.completed",
        "progress",
        shapes.ProgressJudged,
        "assignment",
        "The learner completed it.",
    ),
    EventType(
        "progress.failed", "progress", shapes.ProgressJudged, "assignment", "The learner failed it."
    ),
    EventType(
        "progress.reset",
        "progress",
        shapes.ProgressNoted,
        "assignment",
        "All progress before counts no more.",
    ),
    EventType(
        "attempt.submitted",
        "progress",
        shapes.AttemptMade,
        "assignment",
        "An attempt was handed in.",
    ),
    EventType(
        "attempt.graded", "progress", shapes.AttemptMade, "assignment", "An attempt was graded."
    ),
    EventType(
        "attempt.voided",
        "progress",
        shapes.AttemptVoided,
        "assignment",
        "An attempt counts no more.",
    ),
    EventType(
        "part.reached",
        "progress",
        shapes.PartNoted,
        "assignment",
        "A part was reached.",
    ),
    EventType(
        "part.done",
        "progress",
        shapes.PartNoted,
        "assignment",
        "A part was done.",
    ),
    EventType(
        "part.rejected",
        "progress",
        shapes.PartNoted,
        "assignment",
        "A part was sent back.",
    ),
    EventType(
        "signoff.submitted",
        "progress",
        shapes.SignoffSubmitted,
        "assignment",
        "A part was handed to a reviewer.",
    ),
    EventType(
        "signoff.decided",
        "progress",
        shapes.SignoffDecided,
        "assignment",
        "The reviewer has decided.",
    ),
    EventType(
        "session.enrolled",
        "progress",
        shapes.SessionEnrolled,
        "enrolment",
        "A learner was enrolled in a session.",
    ),
    EventType(
        "session.unenrolled",
        "progress",
        shapes.SessionUnenrolled,
        "enrolment",
        "A learner's place was given up.",
    ),
    EventType(
        "attendance.marked",
        "progress",
        shapes.AttendanceMarked,
        "enrolment",
        "Whether the learner attended.",
    ),
    EventType(
        "points.awarded",
        "progress",
        shapes.PointsAwarded,
        "assignment",
        "Points were awarded.",
    ),
    EventType(
        "activity.recorded",
        "progress",
        shapes.ActivityRecorded,
        "assignment",
        "Time was spent on it.",
    ),
    EventType(
        "certification.issued",
        "progress",
        shapes.CertificationIssued,
        "award",
        "A certification was issued.",
    ),
    EventType(
        "certification.revoked",
        "progress",
        shapes.AwardNamed,
        "award",
        "A certification was revoked.",
    ),
    EventType(
        "feedback.given",
        "progress",
        shapes.FeedbackGiven,
        "feedback",
        "A learner has rated it.",
    ),
    EventType(
        "event.voided",
        "correction",
        shapes.EventVoided,
        "voided",
        "An earlier event counts no more.",
    ),
)

_BY_NAME: Mapping[str, EventType] = {entry.name: entry for entry in EVENT_TYPES}

_MESSAGES: Mapping[str, str] = {
    "missing": "is required",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_too_long": "must be at most {max_length} characters",
    "string_pattern_mismatch": "must hold printable characters only",
    "string_unicode": "must hold printable characters only",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must fit into 64 bits",
    "float_type": "must be a number",
    "finite_number": "must be finite",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "literal_error": "must be one of {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}
_OWN_MESSAGES = frozenset({"time", "date", "attribute", "keys"})


def event_type_named(name: str) -> EventType | None:
    """Give the event type of this name, if there is one."""
    return _BY_NAME.get(name)


def check_data(event_type: EventType, data: dict[str, Any]) -> list[Problem]:
    """Say what is wrong with the data of an event; nothing is, when the list is empty.

    Shape: at most 20 problems, in the order of the fields
    """
    try:
        event_type.validator.validate_python(data)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return [
            Problem(_path_of(detail["loc"]), _message_of(detail))
            for detail in details[:MAX_PROBLEMS]
        ]
    return []


def count_unknown_fields(event_type: EventType, data: dict[str, Any]) -> int:
    """Count the fields of the data that the contract does not know; they are kept."""
    return len(data.keys() - event_type.field_names)


def json_schema_of(event_type: EventType) -> dict[str, Any]:
    """Give the JSON Schema of an event type's data."""
    schema = event_type.data.model_json_schema()
    return {**schema, "title": event_type.name, "description": event_type.summary}


def _path_of(location: tuple[int | str, ...]) -> str:
    """Write a location as a path; names from the input are cut short."""
    path = "data"
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step != "[key]":
            name = step.encode("utf-8", "replace").decode()
            path += f".{name if len(name) <= _NAME_LENGTH else name[:_NAME_LENGTH] + '…'}"
    return path[:_PATH_LENGTH]


def _message_of(detail: ErrorDetails) -> str:
    if detail["type"] in _OWN_MESSAGES:
        return detail["msg"]
    template = _MESSAGES.get(detail["type"])
    if template is None:
        return "is not valid"
    bounds = detail.get("ctx", {})
    return template.format(**{name: _write_bound(bound) for name, bound in bounds.items()})


def _write_bound(bound: object) -> object:
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound
