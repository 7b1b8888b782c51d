"""One CloudEvent in, a draft or a refusal out: what is wrong is named, the input never echoed."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.base.config import Settings
from app.intake.drafts import Draft, Refusal
from app.intake.formats.cloudevents import read_event
from tests.builders import an_event

LATEST_AT = datetime(2025, 6, 1, tzinfo=UTC)
DATA = {"learner": "u42", "module": "m7", "module_type": "quest", "percent": 50}


def draft_of(settings: Settings, **said: Any) -> Draft:
    found = read_event(an_event(**said), settings=settings, latest_at=LATEST_AT)
    assert isinstance(found, Draft), found
    return found


def refusal_of(settings: Settings, value: Any) -> Refusal:
    found = read_event(value, settings=settings, latest_at=LATEST_AT)
    assert isinstance(found, Refusal), found
    return found


def test_an_event_becomes_a_draft_with_its_stream_and_entity(settings: Settings) -> None:
    draft = draft_of(settings, sequence="8812", subject="learner:u42", datadigest="AB" * 32)
    assert (draft.stream, draft.entity_key) == ("quest", 'assignment:["u42","m7","",1]')
    assert (draft.sequence, draft.subject) == (8812, "learner:u42")
    assert draft.data_digest == "ab" * 32
    assert draft.data == '{"learner":"u42","module":"m7","module_type":"quest","percent":50}'
    assert draft.recorded_at == datetime(2025, 5, 24, 12, 1, 1, tzinfo=UTC)


def test_extension_attributes_and_unknown_fields_are_kept(settings: Settings) -> None:
    draft = draft_of(settings, traceparent="00-ab", data={**DATA, "mood": "good"})
    assert draft.extras == '{"traceparent":"00-ab"}'
    assert '"mood":"good"' in draft.data


def test_the_digest_looks_through_spelling_but_not_through_content(settings: Settings) -> None:
    digest = draft_of(settings).digest
    assert draft_of(settings, time="2025-05-24T14:01:00+02:00").digest == digest
    assert draft_of(settings, data=dict(reversed(DATA.items()))).digest == digest
    assert draft_of(settings, traceparent="00-ab").digest == digest
    assert draft_of(settings, data={**DATA, "percent": 51}).digest != digest
    assert draft_of(settings, subject="learner:u42").digest != digest


@pytest.mark.parametrize(
    ("said", "reason", "path"),
    [
        ({"specversion": "0.3"}, "invalid_envelope", "specversion"),
        ({"id": None}, "invalid_envelope", "id"),
        ({"id": "x" * 201}, "invalid_envelope", "id"),
        ({"id": 5}, "invalid_envelope", "id"),
        ({"source": "a\nb"}, "invalid_envelope", "source"),
        ({"type": []}, "invalid_envelope", "type"),
        ({"sequence": "1.5"}, "invalid_envelope", "sequence"),
        ({"sequence": "9999999999999999999"}, "invalid_envelope", "sequence"),
        ({"sequence": True}, "invalid_envelope", "sequence"),
        ({"subject": "x" * 2001}, "invalid_envelope", "subject"),
        ({"datadigest": "abc"}, "invalid_envelope", "datadigest"),
        ({"datacontenttype": "text/xml"}, "invalid_envelope", "datacontenttype"),
        ({"data": None}, "invalid_envelope", "data"),
        ({"data": "text"}, "invalid_envelope", "data"),
        ({"time": None}, "bad_time", "time"),
        ({"time": "2025-05-24T10:00:00"}, "bad_time", "time"),
        ({"time": 1748000000}, "bad_time", "time"),
        ({"time": "1969-12-31T23:59:59Z"}, "bad_time", "time"),
        ({"time": "2025-06-01T00:00:01Z"}, "bad_time", "time"),
        ({"recordedtime": "yesterday"}, "bad_time", "recordedtime"),
        ({"type": "progress.perfected"}, "unknown_type", "type"),
        ({"data": {**DATA, "percent": 101}}, "invalid_data", "data.percent"),
        ({"data": {**DATA, "percent": "50"}}, "invalid_data", "data.percent"),
        ({"data": {**DATA, "module_type": "poem"}}, "invalid_data", "data.module_type"),
        ({"data": {"module": "m7"}}, "invalid_data", "data.learner"),
        ({"data": {**DATA, "x": "a\x00"}}, "bad_json", "data.x"),
        ({"data": {**DATA, "x": 2**64}}, "bad_json", "data.x"),
        ({"data": {**DATA, "x": float("inf")}}, "bad_json", "data.x"),
        ({"data": {**DATA, "x": "\ud800"}}, "bad_json", "data.x"),
        ({"data": {**DATA, "x": "x" * 8193}}, "bad_json", "data.x"),
        ({"data": {**DATA, "x": ["y" * 8000] * 9}}, "too_large", "data"),
    ],
)
def test_a_refusal_names_its_reason_and_place(
    said: dict[str, Any], reason: str, path: str, settings: Settings
) -> None:
    refusal = refusal_of(settings, an_event(**said))
    assert refusal.reason == reason
    assert path in [problem.path for problem in refusal.problems]
    assert all(len(problem.message) < 200 for problem in refusal.problems)


@pytest.mark.parametrize("value", [None, 5, "text", [], [an_event()]])
def test_what_is_no_object_is_no_event(value: Any, settings: Settings) -> None:
    assert refusal_of(settings, value).reason == "not_an_event"


def test_nesting_is_counted_from_the_event(settings: Settings) -> None:
    deep: Any = 1
    for _ in range(14):
        deep = [deep]
    draft_of(settings, data={**DATA, "x": deep})
    assert refusal_of(settings, an_event(data={**DATA, "x": [deep]})).reason == "bad_json"


def test_several_faults_are_told_together_and_never_more_than_twenty(settings: Settings) -> None:
    refusal = refusal_of(settings, {"specversion": "1.0"})
    assert {"time", "id", "source", "type", "data"} <= {p.path for p in refusal.problems}
    assert len(refusal.problems) <= 20


def test_a_refusal_keeps_what_can_be_told_of_the_item(settings: Settings) -> None:
    refusal = refusal_of(settings, an_event(data={**DATA, "percent": 101}))
    assert (refusal.event_id, refusal.source_key, refusal.stream) == ("e1", "lms", "quest")
    assert '"percent":101' in refusal.item
