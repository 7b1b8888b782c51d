"""The check of event data: what passes, what is refused, and in which words."""

from typing import Any

import pytest
from pydantic import BaseModel

from app.learning.events import (
    EVENT_TYPES,
    Problem,
    check_data,
    count_unknown_fields,
    event_type_named,
    json_schema_of,
)
from tests.unit.learning.told import WORK

ADVANCED: dict[str, Any] = {**WORK, "percent": 50}


def problems(type_name: str, data: dict[str, Any]) -> list[Problem]:
    event_type = event_type_named(type_name)
    assert event_type is not None
    return check_data(event_type, data)


def test_names_are_unique_and_an_unknown_name_has_no_type() -> None:
    assert len({entry.name for entry in EVENT_TYPES}) == len(EVENT_TYPES) == 41
    assert all(issubclass(entry.data, BaseModel) for entry in EVENT_TYPES)
    assert event_type_named("progress.imagined") is None


@pytest.mark.parametrize(
    ("type_name", "data"),
    [
        ("learner.upserted", {"learner": "ü 42", "attributes": {"a": 1, "b": True, "c": None}}),
        ("learner.upserted", {"learner": "u", "display_name": None, "hired_on": "2024-02-29"}),
        ("team.upserted", {"team": "t", "name": "T", "kind": "org_unit", "parent": None}),
        ("membership.set", {"team": "t", "learner": "u", "since": "2025-01-01T00:00:00+02:00"}),
        ("reporting_line.set", {"learner": "u", "manager": None}),
        ("module.upserted", {"module": "m", "module_type": "ilt", "name": "M", "tags": ["a"]}),
        (
            "series.upserted",
            {"series": "s", "name": "S", "modules": [{"module": "m", "position": 1}]},
        ),
        ("part.upserted", {"module": "m", "part": "p", "part_type": "card", "position": 0}),
        ("assignment.made", {"learner": "u", "module": "m", "series": None, "cycle": 2}),
        ("assignment.ended", {"learner": "u", "module": "m", "end_reason": "removed"}),
        ("progress.advanced", ADVANCED),
        ("progress.completed", {**WORK, "score": -1.5, "max_score": 10, "passed": False}),
        ("attempt.graded", {**WORK, "attempt": 1, "score": 7, "seconds": 90}),
        ("part.done", {**WORK, "part": "p", "score": 1, "points": 2.5, "seconds": 3}),
        ("signoff.submitted", {**WORK, "part": "p", "reviewer": None}),
        ("signoff.decided", {**WORK, "part": "p", "decision": "approved", "reviewer": "b"}),
        ("session.enrolled", {**WORK, "session": "s", "status": "waitlisted"}),
        ("session.unenrolled", {**WORK, "session": "s", "late": True}),
        ("attendance.marked", {**WORK, "session": "s", "outcome": "excused", "minutes": 5}),
        ("points.awarded", {**WORK, "points": -2.5, "reason": "late"}),
        ("activity.recorded", {**WORK, "started_at": "2025-01-01T00:00:00Z", "clicks": 4}),
        ("certification.issued", {"learner": "u", "certification": "c", "cycle": 2}),
        ("certification.revoked", {"learner": "u", "certification": "c"}),
        ("feedback.given", {**WORK, "rating": 4, "scale_max": 5}),
        (
            "event.voided",
            {"event_id": "e", "stream": "external", "learner": "u", "certification": "c"},
        ),
        ("event.voided", {"event_id": "e", "stream": "people", "team": "t"}),
        ("event.voided", {"event_id": "e", "stream": "catalog", "series": "s"}),
        ("event.voided", {"event_id": "e", "stream": "quest", "learner": "u", "module": "m"}),
    ],
)
def test_good_data_has_no_problems(type_name: str, data: dict[str, Any]) -> None:
    assert problems(type_name, data) == []


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"percent": "50"}, "data.percent", "must be a number"),
        ({"percent": True}, "data.percent", "must be a number"),
        ({"percent": 100.5}, "data.percent", "must be at most 100"),
        ({"percent": -1}, "data.percent", "must be at least 0"),
        ({"percent": float("nan")}, "data.percent", "must be finite"),
        ({"cycle": 1.0}, "data.cycle", "must be a whole number"),
        ({"cycle": True}, "data.cycle", "must be a whole number"),
        ({"cycle": 2**63}, "data.cycle", "must be at most 9223372036854775807"),
        ({"learner": ""}, "data.learner", "must not be empty"),
        ({"learner": "x" * 201}, "data.learner", "must be at most 200 characters"),
        ({"learner": "a\x00"}, "data.learner", "must hold printable characters only"),
        ({"learner": "a\n"}, "data.learner", "must hold printable characters only"),
        ({"learner": "\ud800"}, "data.learner", "must hold printable characters only"),
        ({"learner": 42}, "data.learner", "must be text"),
    ],
)
def test_bad_data_is_told_with_its_place(change: dict[str, Any], path: str, message: str) -> None:
    assert problems("progress.advanced", {**ADVANCED, **change}) == [Problem(path, message)]


@pytest.mark.parametrize(
    "text",
    [
        "2025-05-24T10:00:00",
        "2025-05-24 10:00:00Z",
        "2025-05-24",
        "2025-W21-6T10:00:00Z",
        "2025-02-30T10:00:00Z",
        "2025-05-24T24:00:00Z",
        "9999-12-31T23:59:59-01:00",
        "",
    ],
)
def test_a_time_without_offset_or_of_another_form_is_refused(text: str) -> None:
    found = problems("assignment.made", {"learner": "u", "module": "m", "due_at": text})
    assert [problem.path for problem in found] == ["data.due_at"]
    assert "RFC 3339" in found[0].message


def test_problems_inside_lists_and_attributes_name_their_place() -> None:
    listed = problems("series.upserted", {"series": "s", "name": "S", "modules": [{"module": "m"}]})
    told = problems("learner.upserted", {"learner": "u", "attributes": {"shoe": [42]}})

    assert listed == [Problem("data.modules[0].position", "is required")]
    assert [problem.path for problem in told] == ["data.attributes.shoe"]


def test_problems_echo_little_and_are_few() -> None:
    attributes: dict[str, list[int]] = {f"{number}{'secret' * 30}": [] for number in range(100)}
    found = problems("learner.upserted", {"learner": "u", "attributes": attributes})

    assert len(found) == 20
    assert all(len(problem.path) <= 100 for problem in found)
    assert all("secret" not in problem.message for problem in found)


@pytest.mark.parametrize(
    "data",
    [
        {"event_id": "e", "stream": "people"},
        {"event_id": "e", "stream": "catalog", "session": "s"},
        {"event_id": "e", "stream": "catalog"},
        {"event_id": "e", "stream": "assignments", "learner": "u"},
        {"event_id": "e", "stream": "quest", "module": "m"},
    ],
)
def test_a_void_must_name_what_its_target_changed(data: dict[str, Any]) -> None:
    assert [problem.path for problem in problems("event.voided", data)] == ["data"]


def test_unknown_fields_are_counted_and_no_problem() -> None:
    event_type = event_type_named("progress.advanced")
    assert event_type is not None
    data = {**ADVANCED, "mood": "good", "weather": {"rain": 1}}

    assert check_data(event_type, data) == []
    assert count_unknown_fields(event_type, data) == 2
    assert count_unknown_fields(event_type, ADVANCED) == 0


def test_every_type_has_a_json_schema_with_its_fields() -> None:
    for entry in EVENT_TYPES:
        schema = json_schema_of(entry)
        assert schema["title"] == entry.name
        assert set(schema["properties"]) == entry.field_names
        assert schema["additionalProperties"] is True
