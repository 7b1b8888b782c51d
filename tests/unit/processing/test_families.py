"""Every family on a real store: events in, rows out, whether folded at once or one by one."""

from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import select

from app.base.config import Settings
from app.base.errors import ScopeMissing
from app.base.facts import EntityFailed
from app.base.observe import listening
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.ledger.books import recount_books
from app.processing.drain import drain_all
from app.query.answer import run_plan
from app.query.plan import make_plan
from app.query.request import Request
from app.store.engine import Store, snapshot, transaction
from app.store.tables import (
    Activity,
    Attempt,
    Award,
    Certification,
    Enrolment,
    Event,
    Feedback,
    Learner,
    PartProgress,
    PointsEntry,
    Progress,
    ProgressHistory,
    Signoff,
    TrainingSession,
)
from app.store.tables.columns import table_of
from tests.builders import NOON, a_caller, an_environment, an_event, ask
from tests.builders import rows_of as rows_in

_NUMBERS = count(1)
LIST = {"learner": "u1", "module": "c1", "module_type": "checklist"}
PLACE = {"learner": "u1", "module": "i1", "module_type": "ilt", "session": "s1"}
AWARD = {"learner": "u1", "certification": "fire"}

STORY: list[tuple[str, dict[str, Any]]] = [
    ("part.reached", {**LIST, "part": "a", "seconds": 5}),
    ("part.done", {**LIST, "part": "a", "seconds": 40, "score": 3}),
    ("signoff.submitted", {**LIST, "part": "a"}),
    ("signoff.decided", {**LIST, "part": "a", "decision": "rejected", "reviewer": "boss"}),
    ("signoff.submitted", {**LIST, "part": "a"}),
    ("signoff.decided", {**LIST, "part": "a", "decision": "approved", "reviewer": "boss"}),
    ("points.awarded", {**LIST, "points": 2.5, "reason": "first"}),
    ("points.awarded", {**LIST, "points": 4, "part": "a"}),
    ("progress.advanced", {**LIST, "percent": 30}),
    ("activity.recorded", {**LIST, "started_at": "2025-05-24T08:00:00Z", "seconds": 600}),
    (
        "activity.recorded",
        {**LIST, "started_at": "2025-05-24T08:05:00Z", "ended_at": "2025-05-24T08:15:00Z"},
    ),
    ("activity.recorded", {**LIST, "started_at": "2025-05-24T12:10:00Z", "clicks": 3}),
    ("attempt.submitted", {**LIST, "attempt": 1}),
    ("progress.completed", {**LIST}),
    ("session.enrolled", {**PLACE, "status": "waitlisted"}),
    ("session.enrolled", PLACE),
    ("attendance.marked", {**PLACE, "outcome": "attended", "minutes": 50, "marked_by": "boss"}),
    ("certification.issued", {**AWARD, "expires_at": "2026-01-01T00:00:00Z"}),
    ("feedback.given", {**PLACE, "rating": 4, "scale_max": 5}),
]  # fmt: skip
TABLES = (
    Progress, PartProgress, Signoff, PointsEntry, Activity, Attempt, Enrolment, Award, Feedback,
)  # fmt: skip
OURS = {
    "environment_id", "assignment_id", "part_progress_id", "signoff_id", "attempt_id", "award_id",
    "enrolment_id", "feedback_id", "revision", "changed_at",
}  # fmt: skip


def with_source(store: Store, name: str) -> int:
    environment_id = an_environment(store, name)
    with transaction(store) as connection:
        add_source(connection, environment_id, source_key="lms")
    return environment_id


@pytest.fixture
def environment_id(store: Store) -> int:
    return with_source(store, "acme")


def said(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return an_event(next(_NUMBERS), type=kind, data=data)


def tell(store: Store, settings: Settings, number: int, *events: dict[str, Any]) -> None:
    receipt = accept_items(store, settings, environment_id=number, items=events)
    assert receipt.accepted == len(events), receipt
    failures: list[EntityFailed] = []
    with listening(lambda fact: failures.append(fact) if isinstance(fact, EntityFailed) else None):
        drain_all(store, settings)
    assert failures == []


def stored(store: Store, model: Any, environment_id: int) -> list[dict[str, Any]]:
    table = table_of(model)
    with snapshot(store) as connection:
        found = select(table).where(table.c.environment_id == environment_id)
        rows = connection.execute(found.order_by(*table.primary_key.columns)).mappings()
        return [dict(row) for row in rows]


def living(store: Store, model: Any, environment_id: int) -> list[dict[str, Any]]:
    """Rows that are no tombstones, without what is our own about them."""
    rows = [row for row in stored(store, model, environment_id) if not row.get("is_deleted")]
    return [{name: row[name] for name in row.keys() - OURS} for row in rows]


def history(store: Store, environment_id: int) -> list[tuple[Any, ...]]:
    """What is known now, in the order of time."""
    rows = [row for row in stored(store, ProgressHistory, environment_id) if not row["known_to"]]
    rows.sort(key=lambda row: row["valid_from"])
    return [
        (row["status"], row["percent_complete"], row["valid_from"], row["valid_to"]) for row in rows
    ]


def test_every_family_becomes_rows(store: Store, settings: Settings, environment_id: int) -> None:
    tell(store, settings, environment_id, *(said(*told) for told in STORY))

    (row,) = living(store, Progress, environment_id)
    assert (row["status"], row["parts_done"], row["points"]) == ("completed", 1, 6.5)
    (part,) = living(store, PartProgress, environment_id)
    assert (part["status"], part["score"], part["time_spent_s"]) == ("done", 3.0, 40)
    signoffs = living(store, Signoff, environment_id)
    assert [(s["round"], s["decision"], s["reviewer_key"]) for s in signoffs] == [
        (1, "rejected", "boss"),
        (2, "approved", "boss"),
    ]
    assert [p["points"] for p in living(store, PointsEntry, environment_id)] == [2.5, 4.0]
    counted = [a["counted_s"] for a in living(store, Activity, environment_id)]
    assert counted[:2] == [600, 300]
    assert row["time_spent_s"] == sum(counted)
    (place,) = living(store, Enrolment, environment_id)
    assert (place["status"], place["outcome"], place["minutes"]) == ("registered", "attended", 50)
    assert place["waitlisted_at"] == place["enrolled_at"]
    (award,) = living(store, Award, environment_id)
    assert (award["certification_key"], award["cycle"]) == ("fire", 1)
    (feedback,) = living(store, Feedback, environment_id)
    assert (feedback["rating"], feedback["session_key"]) == (4.0, "s1")
    assert {e["disposition"] for e in stored(store, Event, environment_id)} == {1}


def test_what_families_name_before_its_introduction_gets_a_row(
    store: Store, settings: Settings, environment_id: int
) -> None:
    tell(store, settings, environment_id, *(said(*told) for told in STORY))

    (session,) = living(store, TrainingSession, environment_id)
    assert (session["session_key"], session["status"], session["starts_at"]) == (
        "s1", "scheduled", None,
    )  # fmt: skip
    (certification,) = living(store, Certification, environment_id)
    assert (certification["name"], certification["events_count"]) == ("fire", 0)
    assert {row["learner_key"] for row in living(store, Learner, environment_id)} == {"u1"}
    planned = {
        "module": "i1", "session": "s1",
        "starts_at": "2025-06-01T09:00:00Z", "ends_at": "2025-06-01T10:00:00Z",
    }  # fmt: skip
    tell(store, settings, environment_id, said("session.scheduled", planned))
    (session,) = living(store, TrainingSession, environment_id)
    assert session["starts_at"] is not None


def test_families_folded_one_by_one_and_backwards_give_what_they_give_together(
    store: Store, settings: Settings
) -> None:
    events = [said(*told) for told in STORY]
    together, one_by_one, backwards = (
        with_source(store, name) for name in ("together", "one-by-one", "backwards")
    )
    tell(store, settings, together, *events)
    for event in events:
        tell(store, settings, one_by_one, event)
    for event in reversed(events):
        tell(store, settings, backwards, event)

    for model in TABLES:
        rows = living(store, model, together)
        assert rows
        assert living(store, model, one_by_one) == rows, model
        keyless = [{k: v for k, v in row.items() if k not in _SEQS} for row in rows]
        found = [
            {k: v for k, v in row.items() if k not in _SEQS}
            for row in living(store, model, backwards)
        ]
        assert sorted(map(repr, map(sorted_items, found))) == sorted(
            map(repr, map(sorted_items, keyless))
        ), model
    assert history(store, together) == history(store, one_by_one) == history(store, backwards)
    for number in (together, one_by_one, backwards):
        with snapshot(store) as connection:
            assert recount_books(connection, number) == []


# The journal numbers of events differ when they arrive in another order.
_SEQS = {"entry_id", "activity_id", "open_seq"}


def sorted_items(row: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(row.items())


def test_a_reset_and_a_void_bury_what_was_told_before(
    store: Store, settings: Settings, environment_id: int
) -> None:
    events = [said(*told) for told in STORY]
    tell(store, settings, environment_id, *events)
    tell(store, settings, environment_id, said("progress.reset", LIST))
    for model in (PartProgress, Signoff, PointsEntry, Activity, Attempt):
        assert living(store, model, environment_id) == []
        assert all(row["is_deleted"] for row in stored(store, model, environment_id))
    (row,) = living(store, Progress, environment_id)
    assert (row["status"], row["points"], row["time_spent_s"]) == ("not_started", 0.0, 0)

    tell(store, settings, environment_id, said("part.done", {**LIST, "part": "a"}))
    assert [row["status"] for row in living(store, PartProgress, environment_id)] == ["done"]
    for event in events[14:]:
        keys = {**event["data"], "stream": event["data"].get("module_type", "external")}
        void = {**keys, "event_id": event["id"], "type": event["type"]}
        tell(store, settings, environment_id, said("event.voided", void))
    for taken in (Enrolment, Award, Feedback):
        assert living(store, taken, environment_id) == []
        assert len(stored(store, taken, environment_id)) == 1


def test_history_keeps_what_was_known_when_a_late_event_corrects_it(
    store: Store, settings: Settings, environment_id: int
) -> None:
    late = said("progress.advanced", {**LIST, "percent": 20})
    early = said("progress.started", LIST)
    last = said("progress.completed", LIST)
    early["time"] = early["recordedtime"] = "2025-05-20T08:00:00Z"
    tell(store, settings, environment_id, early, last)
    known = history(store, environment_id)
    assert [(status, percent) for status, percent, _, _ in known] == [
        ("in_progress", 0.0),
        ("completed", 100.0),
    ]
    assert known[0][3] == known[1][2]
    assert known[1][3] is None

    tell(store, settings, environment_id, late)
    now_known = history(store, environment_id)
    assert [percent for _, percent, _, _ in now_known] == [0.0, 20.0, 100.0]
    rows = stored(store, ProgressHistory, environment_id)
    closed = [row for row in rows if row["known_to"] is not None]
    assert [(row["status"], row["valid_to"]) for row in closed] == [("in_progress", known[0][3])]
    assert all(row["known_to"] > row["known_from"] for row in closed)


SETS = {
    "PartProgress": 1, "SignOffs": 2, "Points": 2, "Activity": 3, "SessionAttendance": 1,
    "Sessions": 1, "Certifications": 1, "CertificationAwards": 1,
}  # fmt: skip


def test_every_set_shows_its_rows(store: Store, settings: Settings, environment_id: int) -> None:
    part = {"module": "c1", "part": "a", "part_type": "item", "position": 1}
    tell(
        store, settings, environment_id,
        *(said(*told) for told in STORY), said("part.upserted", part),
    )  # fmt: skip
    for name, row_count in {**SETS, "ModuleParts": 1, "ProgressHistory": 7}.items():
        rows = rows_in(ask(store, Request(name), environment_id=environment_id))
        assert len(rows) == row_count, (name, rows)
    (session,) = rows_in(ask(store, Request("Sessions"), environment_id=environment_id))
    assert (session["enrolled_count"], session["attended_count"]) == (1, 1)
    (award,) = rows_in(ask(store, Request("CertificationAwards"), environment_id=environment_id))
    assert award["status"] == "valid"
    (signoff, _) = rows_in(ask(store, Request("SignOffs"), environment_id=environment_id))
    assert (signoff["learner_key"], signoff["module_type"]) == ("u1", "checklist")


def test_an_award_is_valid_until_it_expires_as_stated_or_by_its_certification(
    store: Store, settings: Settings, environment_id: int
) -> None:
    def issued(learner: str, **data: Any) -> dict[str, Any]:
        return said("certification.issued", {"learner": learner, **data})

    fire = {"certification": "fire"}
    tell(
        store, settings, environment_id,
        said("certification.upserted", {**fire, "name": "Fire", "valid_days": 30}),
        issued("a", **fire), issued("b", **fire, expires_at="2025-05-24T13:00:00Z"),
        issued("c", certification="first-aid"), issued("d", **fire),
        said("certification.revoked", {"learner": "d", **fire}),
    )  # fmt: skip

    def statuses(as_of: datetime) -> dict[str, str]:
        request = Request("CertificationAwards", as_of=as_of)
        rows = rows_in(ask(store, request, environment_id=environment_id))
        return {row["learner_key"]: row["status"] for row in rows}

    day = timedelta(days=1)
    assert statuses(NOON + day) == {"a": "valid", "b": "expired", "c": "valid", "d": "revoked"}
    assert statuses(NOON + 31 * day)["a"] == "expired"
    assert statuses(NOON + 31 * day)["c"] == "valid"
    where = "expires_at gt 2025-06-23T00:00:00Z"
    rows = rows_in(
        ask(store, Request("CertificationAwards", where=where), environment_id=environment_id)
    )
    assert [row["learner_key"] for row in rows] == ["a", "d"]
    assert rows[0]["expires_at"][:10] == "2025-06-23"


def test_the_journal_can_be_asked_with_scope_operate(
    store: Store, settings: Settings, environment_id: int
) -> None:
    tell(store, settings, environment_id, *(said(*told) for told in STORY))
    tell(store, settings, environment_id, said("team.upserted", {"team": "t", "name": "T"}))
    where = "disposition eq 'applied' and module_key eq 'i1' and stream eq 'ilt'"
    with pytest.raises(ScopeMissing):
        ask(store, Request("Events"), environment_id=environment_id)
    plan = make_plan(
        Request("Events", where=where), a_caller(environment_id, "read", "operate"), settings
    )
    rows = rows_in(run_plan(plan, store, now=NOON))
    assert [row["type"] for row in rows] == [
        "session.enrolled", "session.enrolled", "attendance.marked", "feedback.given",
    ]  # fmt: skip
    assert {(row["source"], row["learner_key"], row["winner_seq"]) for row in rows} == {
        ("lms", "u1", None)
    }
    everything = make_plan(Request("Events"), a_caller(environment_id, "operate"), settings)
    last = rows_in(run_plan(everything, store, now=NOON))[-1]
    assert (last["type"], last["learner_key"], last["module_key"]) == ("team.upserted", None, None)
