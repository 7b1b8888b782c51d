"""xAPI in: each verb of cmi5 becomes what it says; every statement meets one fate."""

import gzip
import json
import os
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.base.config import Settings
from app.intake.sources import add_source
from app.ledger.books import recount_books
from app.processing.drain import drain_all
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Event, Progress
from app.store.tables.columns import table_of
from tests.contract.site import Caller, Site, open_site

# The protocol is the same whatever the database; what differs there has its tests on both.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("FULLCOUNT_TEST_DATA", ROOT.parent / "shared" / "data")) / "xapi"
VERSION = {"X-Experience-API-Version": "1.0.3"}
ADL = "http://adlnet.gov/expapi/verbs/"
CMI5 = "https://w3id.org/xapi/adl/verbs/"
EXTENSIONS = "https://w3id.org/xapi/cmi5/result/extensions/"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the xAPI statements are not at hand")


@pytest.fixture
def lrs(store: Store, settings: Settings) -> Caller:
    """A caller that may send and read, in an environment with the source `xapi`."""
    site = open_site(store, settings)
    caller = site.caller("acme", "ingest", "read")
    with transaction(store) as connection:
        add_source(connection, caller.environment_id, source_key="xapi", kind="xapi")
    return caller


def uuid_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def a_statement(number: int = 1, verb: str = f"{ADL}completed", **said: Any) -> dict[str, Any]:
    """A statement of u42 about m7 at its own minute; None takes a part out."""
    statement = {
        "id": uuid_of(number),
        "actor": {"account": {"homePage": "https://hr.example.org", "name": "u42"}},
        "verb": {"id": verb},
        "object": {
            "id": "m7",
            "definition": {"type": "http://adlnet.gov/expapi/activities/course"},
        },
        "timestamp": f"2025-05-24T10:{number % 60:02}:00Z",
    }
    return {name: part for name, part in (statement | said).items() if part is not None}


def send(lrs: Caller, *statements: Any, **given: Any) -> Any:
    return lrs.post("/xapi/statements", json=list(statements), headers=VERSION, **given)


def receipt_of(lrs: Caller, response: Any) -> Any:
    return lrs.get(response.headers["location"]).json()


def events_of(store: Store, lrs: Caller) -> list[Any]:
    event = table_of(Event)
    with snapshot(store) as connection:
        found = select(event).where(event.c.environment_id == lrs.environment_id)
        return list(connection.execute(found.order_by(event.c.seq)))


def progress_of(store: Store, settings: Settings, lrs: Caller) -> Any:
    """The one progress row there is, all events folded."""
    drain_all(store, settings)
    progress = table_of(Progress)
    with snapshot(store) as connection:
        found = select(progress).where(progress.c.environment_id == lrs.environment_id)
        return connection.execute(found).one()


@pytest.mark.parametrize(
    ("verb", "result", "told"),
    [
        (f"{ADL}launched", {}, ("progress.started", {})),
        (f"{ADL}initialized", {}, ("progress.started", {})),
        (f"{ADL}progressed", {"extensions": {f"{EXTENSIONS}progress": 40}},
         ("progress.advanced", {"percent": 40})),
        (f"{ADL}progressed", {}, ("progress.started", {})),
        (f"{ADL}completed", {"completion": True}, ("progress.completed", {})),
        (f"{ADL}passed", {"score": {"raw": 9, "min": 1, "max": 11}},
         ("progress.completed", {"passed": True, "score": 8, "max_score": 10})),
        (f"{ADL}failed", {"score": {"scaled": 0.25}},
         ("progress.failed", {"passed": False, "score": 25.0, "max_score": 100})),
        (f"{CMI5}abandoned", {"duration": "PT1M"},
         ("activity.recorded", {"started_at": "2025-05-24T10:00:00.000000Z", "seconds": 60})),
        (f"{ADL}terminated", {"duration": "PT0H0M30.4S"},
         ("activity.recorded", {"started_at": "2025-05-24T10:00:29.600000Z", "seconds": 30})),
        (f"{ADL}terminated", {"duration": "P1Y"}, ("progress.started", {})),
        (f"{ADL}terminated", {"duration": "PT0S"}, ("progress.started", {})),
        (f"{CMI5}satisfied", {}, ("progress.completed", {})),
        (f"{CMI5}waived", {"extensions": {f"{EXTENSIONS}reason": "Tested Out"}},
         ("assignment.waived", {"waive_reason": "Tested Out"})),
    ],
)  # fmt: skip
def test_each_verb_of_cmi5_becomes_its_event(
    store: Store, lrs: Caller, verb: str, result: dict[str, Any], told: tuple[str, dict[str, Any]]
) -> None:
    response = send(lrs, a_statement(1, verb, result=result))
    assert (response.status_code, response.json()) == (200, [uuid_of(1)])
    (row,) = events_of(store, lrs)
    keys = {"learner": "u42", "module": "m7"}
    if told[0] != "assignment.waived":
        keys["module_type"] = "course"
    assert (row.type, json.loads(row.data)) == (told[0], keys | told[1])
    assert row.event_id == uuid_of(1)
    assert timedelta(0) <= row.received_at - row.recorded_at < timedelta(seconds=30)


def test_what_a_forwarding_store_says_of_its_own_time_is_the_recorded_time(
    store: Store, lrs: Caller
) -> None:
    send(lrs, a_statement(1, stored="2025-05-24T10:05:00.123456Z"))
    (row,) = events_of(store, lrs)
    assert row.recorded_at.isoformat() == "2025-05-24T10:05:00.123456+00:00"


@pytest.mark.parametrize(
    ("actor", "learner"),
    [
        ({"account": {"homePage": "x", "name": "u1"}}, "u1"),
        ({"mbox": "mailto:a@example.org", "name": "A"}, "a@example.org"),
        ({"mbox_sha1sum": "f" * 40}, "f" * 40),
        ({"openid": "https://id.example.org/a"}, "https://id.example.org/a"),
    ],
)
def test_a_learner_is_named_by_each_kind_of_identifier(
    store: Store, lrs: Caller, actor: dict[str, Any], learner: str
) -> None:
    assert send(lrs, a_statement(1, actor=actor)).status_code == 200
    (row,) = events_of(store, lrs)
    assert json.loads(row.data)["learner"] == learner
    assert "name" not in (row.extras or "")


def test_a_statement_without_id_or_time_gets_both(store: Store, lrs: Caller) -> None:
    response = send(lrs, a_statement(1, id=None, timestamp=None))
    (row,) = events_of(store, lrs)
    assert response.json() == [row.event_id]
    assert row.occurred_at == row.recorded_at <= row.received_at


def test_the_same_statement_again_is_a_duplicate_and_a_changed_one_is_409(lrs: Caller) -> None:
    first = a_statement(1)
    again = first | {"stored": "2025-06-01T00:00:00Z", "timestamp": "2025-05-24T12:01:00+02:00"}
    again["authority"] = {"mbox": "mailto:lrs@example.org"}
    assert send(lrs, first).status_code == 200
    response = send(lrs, again)
    assert response.status_code == 200
    assert receipt_of(lrs, response)["duplicate"] == 1
    changed = send(lrs, a_statement(1, result={"success": True}), a_statement(2))
    assert (changed.status_code, changed.json()["code"]) == (409, "events.conflict")
    assert receipt_of(lrs, changed)["accepted"] == 1


@pytest.mark.parametrize(
    ("spoilt", "reason", "status"),
    [
        (a_statement(1, "https://w3id.org/xapi/video/verbs/seeked"), "verb_not_mapped", 200),
        (a_statement(1, actor={"objectType": "Group", "mbox": "mailto:g@x"}), "not_a_person", 200),
        (a_statement(1, object={"objectType": "Agent"}), "object_not_mapped", 200),
        (a_statement(1, actor={"name": "Nobody"}), "no_learner", 400),
        (a_statement(1, actor={"mbox": 5}), "no_learner", 400),
        (a_statement(1, actor={"mbox": "mailto:" + "a" * 201}), "no_learner", 400),
        (a_statement(1, id="no uuid"), "invalid_statement", 400),
        (a_statement(1, actor=None), "invalid_statement", 400),
        (a_statement(1) | {"verb": []}, "invalid_statement", 400),
        (a_statement(1) | {"verb": {}}, "invalid_statement", 400),
        (a_statement(1, result=[]), "invalid_statement", 400),
        (a_statement(1, timestamp="2025-05-24"), "invalid_statement", 400),
        (a_statement(1, timestamp="2999-01-01T00:00:00Z"), "invalid_statement", 400),
        (a_statement(1, stored=7), "invalid_statement", 400),
        (a_statement(1, object={"id": ""}), "invalid_statement", 400),
        (a_statement(1, f"{ADL}progressed", result={"extensions": {f"{EXTENSIONS}progress": 101}}),
         "invalid_data", 400),
        (a_statement(1, context={"a": "x" * 9000}), "bad_json", 400),
        (a_statement(1, f"{ADL}voided"), "invalid_statement", 400),
        (a_statement(1, f"{ADL}voided", object={"objectType": "StatementRef", "id": uuid_of(9)}),
         "target_unknown", 400),
        (7, "invalid_statement", 400),
    ],
)  # fmt: skip
def test_a_statement_that_is_not_kept_is_told_why_and_its_neighbour_is_kept(
    store: Store, lrs: Caller, spoilt: Any, reason: str, status: int
) -> None:
    response = send(lrs, spoilt, a_statement(2))
    assert response.status_code == status, response.text
    receipt = receipt_of(lrs, response)
    assert (receipt["accepted"], receipt["rejected"]) == (1, 1)
    assert receipt["items"][0]["reason"] == reason
    with snapshot(store) as connection:
        assert recount_books(connection, lrs.environment_id) == []


def test_a_voided_statement_counts_no_more(store: Store, settings: Settings, lrs: Caller) -> None:
    started, done = a_statement(1, f"{ADL}initialized"), a_statement(2)
    void = a_statement(3, f"{ADL}voided", object={"objectType": "StatementRef", "id": uuid_of(2)})
    void["actor"] = {"name": "Admin", "mbox": "mailto:admin@example.org"}
    assert send(lrs, started, done).status_code == 200
    assert progress_of(store, settings, lrs).status == "completed"
    assert send(lrs, void).status_code == 200
    assert progress_of(store, settings, lrs).status == "in_progress"
    assert receipt_of(lrs, send(lrs, void))["duplicate"] == 1


def test_a_void_finds_its_target_in_its_own_delivery(
    store: Store, settings: Settings, lrs: Caller
) -> None:
    void = a_statement(3, f"{ADL}voided", object={"objectType": "StatementRef", "id": uuid_of(2)})
    assert send(lrs, void, a_statement(2), a_statement(1, f"{ADL}launched")).status_code == 200
    assert progress_of(store, settings, lrs).status == "in_progress"


def test_put_takes_one_statement_under_the_id_of_the_address(store: Store, lrs: Caller) -> None:
    path, body = f"/xapi/statements?statementId={uuid_of(5)}", a_statement(5, id=None)
    response = lrs.ask("PUT", path, json=body, headers=VERSION)
    assert (response.status_code, response.content) == (204, b"")
    assert lrs.ask("PUT", path, json=a_statement(5), headers=VERSION).status_code == 204
    assert lrs.ask("PUT", path, json=a_statement(6), headers=VERSION).status_code == 400
    assert lrs.ask("PUT", path, json=[body], headers=VERSION).status_code == 400
    assert lrs.ask("PUT", "/xapi/statements", json=body, headers=VERSION).status_code == 400
    assert [row.event_id for row in events_of(store, lrs)] == [uuid_of(5)]


def test_each_version_is_answered_in_its_own_and_none_is_refused(lrs: Caller) -> None:
    for asked, told in (("1.0", "1.0.3"), ("1.0.1", "1.0.3"), ("2.0.0", "2.0.0")):
        given = {"X-Experience-API-Version": asked}
        response = lrs.post("/xapi/statements", json=a_statement(1), headers=given)
        assert response.status_code == 200
        assert response.headers["x-experience-api-version"] == told
    for bad in ({}, {"X-Experience-API-Version": "0.95"}):
        response = lrs.post("/xapi/statements", json=a_statement(1), headers=bad)
        assert (response.status_code, response.json()["code"]) == (400, "xapi.version")
    assert lrs.client.get("/xapi/about").json() == {"version": ["1.0.3", "2.0.0"]}


def test_a_key_opens_as_the_password_of_basic_and_needs_its_scope(site: Site, lrs: Caller) -> None:
    client = lrs.client
    asked: Any = {"json": a_statement(1), "headers": VERSION}
    assert client.post("/xapi/statements", auth=("lms", lrs.key), **asked).status_code == 200
    assert client.post("/xapi/statements", **asked).status_code == 401
    reader = Site(site.store, client).key_of(lrs.environment_id, "read")
    assert reader.post("/xapi/statements", **asked).status_code == 403


@pytest.fixture
def site(store: Store, settings: Settings) -> Site:
    return open_site(store, settings)


def test_another_source_is_named_in_the_address_and_must_be_registered(lrs: Caller) -> None:
    told = lrs.post("/xapi/statements?source=legacy", json=a_statement(1), headers=VERSION)
    assert told.status_code == 200
    wrong = lrs.post("/xapi/statements?source=nobody", json=a_statement(2), headers=VERSION)
    assert (wrong.status_code, wrong.json()["code"]) == (400, "xapi.refused")
    assert "unknown_source" in wrong.json()["problems"][0]["message"]
    odd = lrs.post("/xapi/statements?sources=x", json=a_statement(2), headers=VERSION)
    assert (odd.status_code, odd.json()["code"]) == (400, "query.option")


def test_consistent_through_waits_for_what_is_not_applied(
    store: Store, settings: Settings, lrs: Caller
) -> None:
    header = "x-experience-api-consistent-through"
    first = send(lrs, a_statement(1))
    received_at = receipt_of(lrs, first)["received_at"]
    assert first.headers[header][:23] <= received_at[:23]
    assert send(lrs, a_statement(2)).headers[header][:23] <= received_at[:23]
    drain_all(store, settings)
    assert send(lrs, a_statement(1)).headers[header] > received_at


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/xapi/statements"),
        ("GET", "/xapi/activities/state"),
        ("PUT", "/xapi/agents/profile"),
        ("DELETE", "/xapi/activities/profile"),
    ],
)
def test_the_rest_of_an_lrs_is_not_offered(lrs: Caller, method: str, path: str) -> None:
    response = lrs.ask(method, path, headers=VERSION)
    assert (response.status_code, response.json()["code"]) == (501, "query.not_supported")


def test_a_body_that_is_no_list_of_statements_is_refused(lrs: Caller) -> None:
    multipart = VERSION | {"Content-Type": "multipart/mixed; boundary=x"}
    assert lrs.post("/xapi/statements", content=b"x", headers=multipart).status_code == 415
    plain = VERSION | {"Content-Type": "application/json"}
    for body, status in ((b"{", 400), (b"7", 400), (b"[" + b"7," * 1000 + b"7]", 413)):
        assert lrs.post("/xapi/statements", content=body, headers=plain).status_code == status


# Real statements


def send_all(lrs: Caller, statements: list[Any], *, size: int) -> Counter[str]:
    """Send them in lists; give the fates, having looked at every answer."""
    fates: Counter[str] = Counter()
    for start in range(0, len(statements), size):
        part = statements[start : start + size]
        response = send(lrs, *part)
        assert response.status_code in {200, 400}, response.text
        receipt = receipt_of(lrs, response)
        assert receipt["received"] == len(part)
        fates.update(item.get("reason", item["outcome"]) for item in receipt["items"])
    return fates


@needs_data
def test_every_public_fixture_meets_one_fate_and_is_known_the_second_time(
    store: Store, settings: Settings, lrs: Caller
) -> None:
    lines = (DATA / "statements.jsonl").read_text("utf-8").splitlines()
    statements = [json.loads(line)["statement"] for line in lines]
    assert len(statements) == 197
    fates = send_all(lrs, statements, size=20)
    assert fates.total() == 197
    assert fates["accepted"] > 40
    assert fates["verb_not_mapped"] > 100
    drain_all(store, settings)
    named = [statement for statement in statements if "id" in statement]
    again = send_all(lrs, named, size=50)
    assert again["accepted"] == 0
    with snapshot(store) as connection:
        assert recount_books(connection, lrs.environment_id) == []


@needs_data
def test_the_statements_of_a_mooc_are_taken_once(
    store: Store, settings: Settings, lrs: Caller
) -> None:
    with gzip.open(DATA / "fun-mooc-a.jsonl.gz", "rt", encoding="utf-8") as file:
        statements = [json.loads(line) for line in file]
    first = send_all(lrs, statements, size=500)
    kept = 693 + 330 + 209
    assert first == {"accepted": kept, "verb_not_mapped": 12_222 - kept}
    assert send_all(lrs, statements, size=500)["duplicate"] == kept
    drain_all(store, settings)
    told = lrs.get("/v1/books").json()
    assert (told["accepted"], told["pending"], told["balanced"]) == (kept, 0, True)
    with snapshot(store) as connection:
        assert recount_books(connection, lrs.environment_id) == []
