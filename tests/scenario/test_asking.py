"""Sources that can be asked: what is missing is found by name; what goes wrong is made good."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select, update

from app.base.clock import now
from app.base.config import Settings
from app.base.errors import OutsideFailed
from app.base.facts import Fact, SourceAsked
from app.base.observe import listening
from app.intake.sources import add_source, seal_source, set_evidence_url
from app.learning.contracts import Contract
from app.ledger import asking, inquiries
from app.ledger.asking import ask_once
from app.ledger.inquiries import claim_inquiry, fail_inquiry, renew_inquiry
from app.processing.drain import drain_all
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Inquiry
from app.store.tables.columns import table_of
from app.worker import Worker
from tests.builders import an_event
from tests.contract.site import Caller, open_site
from tests.declared import a_manifest, element_of

TEN = datetime(2025, 5, 24, 10, tzinfo=UTC)
DIGEST = "ab" * 32
EXAMPLE = Path(__file__).parents[2] / "examples" / "sources" / "fm1.py"


def load_example() -> Any:
    """The example's own arithmetic: a source that an integrator would write answers here."""
    spec = importlib.util.spec_from_file_location("fm1", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Lms:
    """A source `lms` of `acme` that made `events` and answers on the loopback.

    answers: what to send instead, one for each request, before it behaves again
    asked: path and parameters of each request; bytes: of targets and bodies together
    """

    def __init__(self, caller: Caller, secret: str) -> None:
        self.caller, self.secret = caller, secret
        self.events: list[dict[str, Any]] = []
        self.answers: list[tuple[int, dict[str, str], bytes] | None] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.bytes = 0
        self._example = load_example()
        self._example.ENV.update(ENVIRONMENT="acme", SOURCE="lms", SECRET=secret)
        told = self

        class Asked(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                told.asked.append((parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()}))
                status, headers, body = told.answer(self.path)
                told.bytes += len(self.path) + len(body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Asked)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/lms"

    def answer(self, target: str) -> tuple[int, dict[str, str], bytes]:
        planned = self.answers.pop(0) if self.answers else None
        if planned is not None:
            return planned
        told = self._example.answer(target, lambda *_: self.events)
        return 200, {}, json.dumps(told, separators=(",", ":")).encode()

    def declares(self, version: int = 1) -> dict[str, Any]:
        manifest = a_manifest(self.secret, self.events, begins=TEN, version=version)
        answer: dict[str, Any] = self.caller.post("/v1/manifests", json=manifest).json()
        return answer

    def missing(self) -> dict[str, Any]:
        """What the one defect is told to lack."""
        (defect,) = self.caller.get("/v1/ingestion/defects").json()["items"]
        path = f"/v1/ingestion/defects/{defect['defect_id']}/missing"
        answer: dict[str, Any] = self.caller.get(path).json()
        return answer


def quest(number: int) -> dict[str, Any]:
    moment = (TEN + timedelta(milliseconds=number)).isoformat()
    return an_event(id=f"q-{number:04d}", time=moment, recordedtime=moment, datadigest=DIGEST)


@pytest.fixture
def open_settings(settings: Settings) -> Settings:
    """Settings that let the loopback be asked."""
    return settings.model_copy(update={"outbound_allow": "127.0.0.0/8"})


@pytest.fixture
def lms(store: Store, settings: Settings) -> Iterator[Lms]:
    caller = open_site(store, settings).caller("acme")
    with transaction(store) as connection:
        contract = Contract(from_at=TEN)
        made = add_source(connection, caller.environment_id, source_key="lms", contract=contract)
        told = Lms(caller, made.secret)
        set_evidence_url(connection, caller.environment_id, "lms", told.url)
    yield told
    told.server.shutdown()
    told.server.server_close()


def deliver(lms: Lms, store: Store, settings: Settings, *, made: int, lost: list[int]) -> None:
    """So many events were made, all but some were handed over, and all is declared."""
    lms.events = [quest(number) for number in range(made)]
    kept = [event for number, event in enumerate(lms.events) if number not in lost]
    for start in range(0, len(kept), 1_000):
        told = lms.caller.post("/v1/events", json=kept[start : start + 1_000])
        assert told.status_code == 202, told.text
    drain_all(store, settings)
    assert lms.declares()["state"] == "short"


def ids(named: list[dict[str, str]]) -> list[str]:
    return [one["id"] for one in named]


def set_inquiries(store: Store, lms: Lms, **values: Any) -> None:
    inquiry = table_of(Inquiry)
    mine = inquiry.c.environment_id == lms.caller.environment_id
    with transaction(store) as connection:
        connection.execute(update(inquiry).where(mine).values(**values))


def inquiry_of(store: Store, lms: Lms) -> Any:
    inquiry = table_of(Inquiry)
    with snapshot(store) as connection:
        return connection.execute(
            select(inquiry).where(inquiry.c.environment_id == lms.caller.environment_id)
        ).one()


def test_a_worker_asks_by_itself_and_looks_only_into_ranges_that_differ(
    lms: Lms, store: Store, open_settings: Settings
) -> None:
    deliver(lms, store, open_settings, made=1_200, lost=[7, 300, 301, 1_100])
    ended = threading.Event()

    def hear(fact: Fact) -> None:
        if isinstance(fact, SourceAsked):
            ended.set()

    worker = Worker(store, open_settings)
    with listening(hear):
        worker.start()
        assert ended.wait(30)
        worker.stop()
    told = lms.missing()
    assert ids(told["named"]) == ["q-0007", "q-0300", "q-0301", "q-1100"]
    assert told["inquiry"]["request_count"] == len(lms.asked)
    assert [path for path, _ in lms.asked].count("/lms/fm/ranges") <= 1 + 3
    assert {given["stream"] for _, given in lms.asked} == {"quest"}
    assert lms.bytes <= 4 * 800, "traffic goes with the difference"


def test_names_are_paged_and_leave_as_they_come_in(
    lms: Lms, store: Store, open_settings: Settings
) -> None:
    deliver(lms, store, open_settings, made=100, lost=list(range(40)))
    assert ask_once(store, open_settings)
    assert [path for path, _ in lms.asked] == ["/lms/fm/events"], "much is missing: it is listed"
    defect_id = lms.missing()["defect"]["defect_id"]
    path, found = f"/v1/ingestion/defects/{defect_id}/missing?limit=25", []
    while path:
        told = lms.caller.get(path).json()
        found += ids(told["named"])
        path = told["next"]
    assert found == [f"q-{number:04d}" for number in range(40)]
    lms.caller.post("/v1/events", json=lms.events[:30])
    assert ids(lms.missing()["named"]) == found[30:]


def test_a_candidate_that_the_source_does_not_confirm_is_looked_into(
    lms: Lms, store: Store, open_settings: Settings
) -> None:
    """Two are missing and one is too many in one sixteenth: a difference of one that is none."""
    first: dict[int, list[dict[str, Any]]] = {}
    for number in range(2_000):
        event = quest(number)
        first.setdefault(element_of(lms.secret, event) >> 252, []).append(event)
    alike = max(first.values(), key=len)
    lost, extra = alike[:2], alike[2]
    events = [quest(number) for number in range(2_000)]
    lms.events = [event for event in events if event["id"] != extra["id"]]
    gone = {event["id"] for event in lost}
    kept = [event for event in events if event["id"] not in gone]
    for start in range(0, len(kept), 1_000):
        lms.caller.post("/v1/events", json=kept[start : start + 1_000])
    drain_all(store, open_settings)
    assert lms.declares()["state"] == "short"
    assert ask_once(store, open_settings)
    told = lms.missing()
    assert ids(told["named"]) == sorted(gone)
    assert ids(told["surplus"]) == [extra["id"]]


def test_what_was_found_and_asked_survives_a_death_midway(
    lms: Lms, store: Store, open_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = list(range(5, 300, 30))
    deliver(lms, store, open_settings, made=300, lost=lost)
    monkeypatch.setattr(asking, "_RANGES_A_ROUND", 1)

    def die(*_: Any, **given: Any) -> None:
        keep(*_, **given)
        raise ConnectionAbortedError

    keep = inquiries.keep_progress
    monkeypatch.setattr(asking, "keep_progress", die)
    with pytest.raises(ConnectionAbortedError):
        ask_once(store, open_settings)
    monkeypatch.setattr(asking, "keep_progress", keep)
    asked = list(lms.asked)
    assert not ask_once(store, open_settings), "the lease of the dead one still holds"
    set_inquiries(store, lms, next_at=now())
    assert ask_once(store, open_settings)
    assert ids(lms.missing()["named"]) == [f"q-{number:04d}" for number in lost]
    repeated = [one for one in lms.asked[len(asked) :] if one in asked]
    assert repeated == [], "what was answered is not asked again"


def test_a_clock_that_steps_back_takes_no_name_away(
    lms: Lms, store: Store, open_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(lms, store, open_settings, made=300, lost=[5, 65])

    def claim_then_step_back(*given: Any) -> Any:
        claimed = claim_inquiry(*given)
        monkeypatch.setattr(inquiries, "now", lambda: now() - timedelta(seconds=5))
        return claimed

    monkeypatch.setattr(asking, "claim_inquiry", claim_then_step_back)
    assert ask_once(store, open_settings)
    assert ids(lms.missing()["named"]) == ["q-0005", "q-0065"]


def test_one_asker_at_a_time_has_an_interval_and_a_late_one_changes_nothing(
    lms: Lms, store: Store, open_settings: Settings
) -> None:
    deliver(lms, store, open_settings, made=50, lost=[3])
    first = claim_inquiry(store, open_settings)
    assert first is not None
    assert claim_inquiry(store, open_settings) is None
    set_inquiries(store, lms, next_at=now())
    assert claim_inquiry(store, open_settings) is not None
    with pytest.raises(OutsideFailed):
        renew_inquiry(store, open_settings, first)
    assert fail_inquiry(store, open_settings, first, error="late", waits_s=0) == 0
    assert inquiry_of(store, lms).error is None


FAILURES: list[tuple[int, dict[str, str], bytes, str, int]] = [
    (500, {}, b"", "answered 500", 5),
    (429, {"Retry-After": "120"}, b"", "answered 429", 120),
    (200, {}, b"<html>", "not JSON", 20),
    (200, {}, b"[]", "no JSON object", 40),
    (200, {}, b'{"counts": [1], "sums": ["A"]}', "told others", 80),
    (200, {}, b'{"counts": 1, "sums": 2}', "no {", 160),
    (302, {"Location": "http://169.254.169.254/latest"}, b"", "only https", 300),
]


def test_a_source_that_fails_rests_ever_longer_with_its_reason_and_is_asked_again(
    lms: Lms, store: Store, open_settings: Settings
) -> None:
    deliver(lms, store, open_settings, made=50, lost=[3, 4])
    for number, (status, headers, body, words, pause_s) in enumerate(FAILURES, 1):
        lms.answers = [(status, headers, body)]
        asked_at = now()
        assert ask_once(store, open_settings)
        told = lms.missing()["inquiry"]
        assert (told["state"], words in told["error"]) == ("failing", True), told
        row = inquiry_of(store, lms)
        assert row.failure_count == number
        pause = row.next_at - asked_at
        assert timedelta(seconds=pause_s) <= pause < timedelta(seconds=pause_s + 30)
        assert not ask_once(store, open_settings)
        set_inquiries(store, lms, next_at=now())
    assert ask_once(store, open_settings)
    assert ids(lms.missing()["named"]) == ["q-0003", "q-0004"]
    assert inquiry_of(store, lms).failure_count == 0


def test_a_failing_source_rests_with_all_its_intervals(
    lms: Lms, store: Store, open_settings: Settings
) -> None:
    deliver(lms, store, open_settings, made=50, lost=[3, 4])
    later = a_manifest(lms.secret, [quest(1)], begins=TEN + timedelta(minutes=10))
    assert lms.caller.post("/v1/manifests", json=later).json()["state"] == "short"
    lms.answers = [(503, {}, b"")]
    assert ask_once(store, open_settings)
    assert not ask_once(store, open_settings)
    assert len(lms.asked) == 1


def test_what_a_source_names_is_believed_only_where_its_key_makes_the_element(
    lms: Lms, store: Store, open_settings: Settings
) -> None:
    deliver(lms, store, open_settings, made=200, lost=[3])
    lie = json.dumps({"events": [{"id": "never-made", "datadigest": DIGEST}]}).encode()
    lms.answers = [None, (200, {}, lie)]
    assert ask_once(store, open_settings)
    assert ids(lms.missing()["named"]) == ["q-0003"]
    many = [{"id": f"x-{number}", "datadigest": DIGEST} for number in range(300)]
    lms.answers = [(200, {}, json.dumps({"events": many}).encode())]
    set_inquiries(store, lms, next_at=now(), want='[["0","10",0]]', state="asking")
    assert ask_once(store, open_settings)
    told = lms.missing()
    assert "more events than it has declared" in told["inquiry"]["error"]
    assert ids(told["named"]) == ["q-0003"]


def test_nothing_is_asked_that_needs_no_asking(
    lms: Lms, store: Store, settings: Settings, open_settings: Settings
) -> None:
    deliver(lms, store, open_settings, made=50, lost=[3, 4])
    assert ask_once(store, settings)
    assert "only https" in lms.missing()["inquiry"]["error"], "the loopback is not listed"
    set_inquiries(store, lms, next_at=now())
    defect_id = lms.missing()["defect"]["defect_id"]
    words = {"person": "R. Owner", "reason": "known"}
    lms.caller.post(f"/v1/ingestion/defects/{defect_id}/waive", json=words)
    assert not ask_once(store, open_settings), "a waived defect is let be"
    later = a_manifest(lms.secret, [quest(1)], begins=TEN + timedelta(minutes=10))
    assert lms.caller.post("/v1/manifests", json=later).json()["state"] == "short"
    with transaction(store) as connection:
        seal_source(connection, lms.caller.environment_id, "lms")
    assert not ask_once(store, open_settings), "a sealed source is let be"
    assert lms.asked == []


def test_a_newer_version_is_asked_about_anew_and_older_names_are_forgotten(
    lms: Lms, store: Store, open_settings: Settings
) -> None:
    deliver(lms, store, open_settings, made=200, lost=[3, 4])
    assert ask_once(store, open_settings)
    assert ids(lms.missing()["named"]) == ["q-0003", "q-0004"]
    assert not ask_once(store, open_settings)
    del lms.events[3]
    assert lms.declares(version=2)["state"] == "short"
    assert lms.missing()["named"] == []
    assert ask_once(store, open_settings)
    assert ids(lms.missing()["named"]) == ["q-0004"]


def test_the_lists_of_a_source_that_pushes_are_told_at_the_same_place(
    lms: Lms, store: Store, open_settings: Settings
) -> None:
    deliver(lms, store, open_settings, made=30, lost=[3, 4, 5])
    number = lms.declares()["manifest_id"]
    listed = [{"id": event["id"], "digest": DIGEST} for event in lms.events[:5]]
    made_up = [{"id": f"x-{n}", "digest": DIGEST} for n in range(100)]
    path = f"/v1/manifests/{number}/elements"
    answer = lms.caller.post(path, json={"events": listed}).json()
    assert answer["missing"] == ["q-0003", "q-0004"]
    assert ids(lms.missing()["named"]) == ["q-0003", "q-0004"]
    assert lms.missing()["inquiry"] is None
    lms.caller.post(path, json={"events": made_up})
    assert len(lms.missing()["named"]) == 30, "no more names are kept than are declared"
    assert ask_once(store, open_settings)
    assert ids(lms.missing()["named"]) == ["q-0003", "q-0004", "q-0005"]


def test_the_url_of_a_source_is_told_changed_and_taken_away_by_administrators(
    lms: Lms, store: Store, open_settings: Settings
) -> None:
    caller = lms.caller
    body = {"source": "hr", "evidence_url": "https://hr.example.org/x"}
    assert caller.post("/v1/sources", json=body).status_code == 201
    sources = caller.get("/v1/sources").json()["items"]
    told = {source["source"]: source["evidence_url"] for source in sources}
    assert told == {"hr": "https://hr.example.org/x", "legacy": None, "lms": lms.url}
    path = "/v1/sources/lms/evidence-url"
    refused = caller.ask("PUT", path, json={"evidence_url": "http://10.0.0.1/"})
    assert (refused.status_code, refused.json()["code"]) == (422, "outbound.refused")
    deliver(lms, store, open_settings, made=50, lost=[3, 4])
    assert caller.ask("PUT", path, json={"evidence_url": None}).status_code == 200
    assert not ask_once(store, open_settings)
