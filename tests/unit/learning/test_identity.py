"""Digests, entity keys and streams."""

from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any

import pytest

from app.learning.events import EVENT_TYPES
from app.learning.identity import (
    content_digest,
    entity_kind,
    entity_of,
    entity_parts,
    stream_of,
)
from tests.unit.learning.told import WORK

TEN = datetime(2025, 5, 24, 10, tzinfo=UTC)


def digest(**change: Any) -> bytes:
    told: dict[str, Any] = {
        "type": "progress.advanced",
        "subject": "learner:u42",
        "occurred_at": TEN,
        "recorded_at": TEN + timedelta(seconds=1),
        "data_text": b'{"a":1,"b":{"x":1,"y":2}}',
    }
    return content_digest(**{**told, **change})


def test_a_digest_is_that_of_one_json_array_and_a_moment_counts_in_any_zone() -> None:
    framed = (
        b'["progress.advanced","learner:u42",1748080800000000,1748080801000000,'
        b'{"a":1,"b":{"x":1,"y":2}}]'
    )
    assert digest() == sha256(framed).digest()
    assert digest(occurred_at=TEN.astimezone(timezone(timedelta(hours=2)))) == digest()


@pytest.mark.parametrize(
    "change",
    [
        {"type": "progress.started"},
        {"subject": None},
        {"subject": "learner:u43"},
        {"occurred_at": TEN + timedelta(microseconds=1)},
        {"recorded_at": None},
        {"recorded_at": TEN},
        {"data_text": b'{"a":2,"b":{"x":1,"y":2}}'},
        {"data_text": b'{"a":"1","b":{"x":1,"y":2}}'},
        {"data_text": b"{}"},
    ],
)
def test_any_other_content_changes_the_digest(change: dict[str, Any]) -> None:
    assert digest(**change) != digest()


@pytest.mark.parametrize(
    ("type_name", "data", "entity", "stream"),
    [
        ("progress.started", WORK, 'assignment:["u42","m7","",1]', "quest"),
        (
            "attempt.graded",
            {**WORK, "series": "s", "cycle": 3},
            'assignment:["u42","m7","s",3]',
            "quest",
        ),
        (
            "assignment.made",
            {"learner": "u", "module": "m", "cycle": None},
            'assignment:["u","m","",1]',
            "assignments",
        ),
        ("membership.set", {"learner": "u", "team": "t"}, 'learner:["u"]', "people"),
        ("reporting_line.set", {"learner": "u", "manager": "b"}, 'learner:["u"]', "people"),
        ("team.removed", {"team": "t"}, 'team:["t"]', "people"),
        ("part.upserted", {"module": "m", "part": "p"}, 'module:["m"]', "catalog"),
        ("session.cancelled", {"module": "m", "session": "s"}, 'session:["m","s"]', "catalog"),
        ("series.upserted", {"series": 'a"b'}, 'series:["a\\"b"]', "catalog"),
        (
            "certification.upserted",
            {"certification": "c", "series": "s"},
            'certification:["c"]',
            "catalog",
        ),
        ("activity.recorded", {**WORK, "series": "s"}, 'assignment:["u42","m7","s",1]', "quest"),
        ("signoff.decided", WORK, 'assignment:["u42","m7","",1]', "quest"),
        ("attendance.marked", {**WORK, "session": "s"}, 'enrolment:["m7","s","u42"]', "quest"),
        ("feedback.given", WORK, 'feedback:["u42","m7",""]', "quest"),
        (
            "certification.issued",
            {"learner": "u", "certification": "c", "module": "m", "module_type": None},
            'award:["c","u",1]',
            "external",
        ),
        (
            "certification.revoked",
            {"learner": "u", "certification": "c", "cycle": 2, "module_type": "course"},
            'award:["c","u",2]',
            "course",
        ),
    ],
)
def test_an_event_names_its_entity_and_its_stream(
    type_name: str, data: dict[str, Any], entity: str, stream: str
) -> None:
    assert entity_of(type_name, data) == entity
    assert stream_of(type_name, data) == stream


@pytest.mark.parametrize(
    ("data", "entity"),
    [
        ({"stream": "people", "learner": "u", "team": "t"}, 'learner:["u"]'),
        ({"stream": "people", "team": "t"}, 'team:["t"]'),
        ({"stream": "catalog", "module": "m"}, 'module:["m"]'),
        ({"stream": "catalog", "module": "m", "session": "s"}, 'session:["m","s"]'),
        ({"stream": "catalog", "series": "s"}, 'series:["s"]'),
        ({"stream": "catalog", "certification": "c", "series": "s"}, 'certification:["c"]'),
        ({"stream": "assignments", "learner": "u", "module": "m"}, 'assignment:["u","m","",1]'),
        (
            {"stream": "quest", "learner": "u", "module": "m", "cycle": 2},
            'assignment:["u","m","",2]',
        ),
        (
            {"stream": "ilt", "learner": "u", "module": "m", "session": "s"},
            'enrolment:["m","s","u"]',
        ),
        ({"stream": "external", "learner": "u", "certification": "c"}, 'award:["c","u",1]'),
        (
            {"stream": "ilt", "learner": "u", "module": "m", "type": "feedback.given"},
            'feedback:["u","m",""]',
        ),
    ],
)
def test_a_void_goes_to_the_entity_and_stream_of_its_target(
    data: dict[str, Any], entity: str
) -> None:
    assert entity_of("event.voided", {"event_id": "e", **data}) == entity
    assert stream_of("event.voided", {"event_id": "e", **data}) == data["stream"]


def test_an_entity_key_can_be_read_back() -> None:
    keys = {"learner": 'u":[', "module": "m,ü", "module_type": "quest", "cycle": 7}
    key = entity_of("progress.started", keys)

    assert entity_kind(key) == "assignment"
    assert entity_parts(key) == ['u":[', "m,ü", "", 7]


def test_every_event_type_has_a_stream_and_an_entity() -> None:
    keys = {name: name for name in ("learner", "team", "module", "series", "session")}
    data = {**keys, "certification": "c", "module_type": "quest", "stream": "quest", "cycle": 1}
    for entry in EVENT_TYPES:
        assert entity_kind(entity_of(entry.name, data))
        assert stream_of(entry.name, data)
