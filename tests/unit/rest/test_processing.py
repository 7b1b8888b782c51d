"""What operators see and do: figures, dead letters, the audit, alarms, and a full environment."""

from collections.abc import Sequence
from typing import Any

import pytest
import time_machine
from sqlalchemy import update

from app.base.clock import now
from app.base.config import Settings
from app.processing import drain, project
from app.processing.drain import drain_all
from app.processing.fold import fold_entity
from app.store.engine import Store, transaction
from app.store.tables import Tally
from app.store.tables.columns import table_of
from tests.contract.site import Caller, Site, an_event, open_site


@pytest.fixture
def site(store: Store, settings: Settings) -> Site:
    return open_site(store, settings)


@pytest.fixture
def operator(site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """A caller in whose environment one entity went well and one, with two events, is dead."""

    def fold_or_fail(entity_key: str, entries: Sequence[Any]) -> Any:
        if "bad" in entity_key:
            raise ValueError("no such luck")
        return fold_entity(entity_key, entries)

    monkeypatch.setattr(project, "MAX_ATTEMPTS", 1)
    monkeypatch.setattr(drain, "fold_entity", fold_or_fail)
    caller = site.caller("acme")
    good = an_event("e1")
    assert caller.post("/v1/events", json=[good, good]).json()["duplicate"] == 1
    drain_all(site.store, settings)
    bad = [an_event(f"b{n}", learner="bad") for n in (1, 2)]
    assert caller.post("/v1/events", json=bad).json()["accepted"] == 2
    drain_all(site.store, settings)
    return caller


def heal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "fold_entity", fold_entity)


def test_dead_events_are_listed_redriven_and_audited(
    site: Site, settings: Settings, operator: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entity,) = operator.get("/v1/dead").json()["items"]
    assert (entity["events"], entity["error"]) == (2, "ValueError: no such luck")
    assert [event["id"] for event in entity["sample"]] == ["b1", "b2"]
    heal(monkeypatch)
    body = {"entity": entity["entity"], "by": "Ops"}
    done = operator.post("/v1/dead/redrive", json=body)
    assert (done.status_code, done.json()) == (200, {"events": 2, "entities": 1, "audit_id": 2})
    drain_all(site.store, settings)
    books = operator.get("/v1/books").json()
    assert (books["dead"], books["pending"], books["balanced"]) == (0, 0, True)
    assert operator.get("/v1/dead").json() == {"items": [], "next": None}
    act, earlier = operator.get("/v1/audit").json()["items"]
    assert (act["audit_id"], earlier["action"]) == (2, "source.added")
    assert act["actor"].endswith(" (Ops)")
    assert (act["action"], act["target"]) == ("dead.redriven", f"entity {entity['entity']}")


def test_dead_events_are_waived_for_a_reason(operator: Caller) -> None:
    refused = operator.post("/v1/dead/waive", json={"all": True})
    assert (refused.status_code, refused.json()["code"]) == (422, "body.invalid")
    done = operator.post("/v1/dead/waive", json={"stream": "quest", "reason": "a test learner"})
    assert done.json()["events"] == 2
    books = operator.get("/v1/books?recount=true").json()
    assert (books["waived"], books["dead"], books["faults"], books["balanced"]) == (2, 0, [], True)
    again = operator.post("/v1/dead/waive", json={"all": True, "reason": "x"})
    assert again.json() == {"events": 0, "entities": 0, "audit_id": None}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "body.invalid"),
        ({"all": False}, 422, "body.invalid"),
        ({"all": True, "stream": "quest"}, 422, "body.invalid"),
        ({"seqs": ["1"]}, 422, "body.invalid"),
        ({"seqs": [2**64]}, 400, "body.not_json"),
        ({"entity": "nothing:[]"}, 404, "dead.nothing"),
        ({"seqs": [1]}, 404, "dead.nothing"),
    ],
)
def test_a_choice_that_is_none_is_refused(
    operator: Caller, body: dict[str, Any], status: int, code: str
) -> None:
    answer = operator.post("/v1/dead/redrive", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert len(operator.get("/v1/dead").json()["items"]) == 1


def test_only_operators_of_the_same_environment_see_and_move_the_dead(
    site: Site, operator: Caller
) -> None:
    reader, stranger = site.key_of(operator.environment_id, "read", "admin"), site.caller("other")
    for path in ("/v1/dead", "/v1/audit", "/v1/processing"):
        assert reader.get(path).status_code == 403
    assert reader.post("/v1/dead/redrive", json={"all": True}).status_code == 403
    assert stranger.get("/v1/dead").json()["items"] == []
    assert stranger.post("/v1/dead/redrive", json={"seqs": [2]}).status_code == 404
    assert stranger.post("/v1/dead/waive", json={"all": True, "reason": "x"}).json()["events"] == 0
    assert operator.get("/v1/books").json()["dead"] == 2


def test_lists_page_with_a_link(operator: Caller) -> None:
    for n in range(3):
        body = {"seqs": [2 + n % 2], "by": f"p{n}"}
        operator.post("/v1/dead/redrive" if n < 2 else "/v1/dead/waive", json=body)
    first = operator.get("/v1/audit?limit=1")
    # The first act of an environment is that its source was added.
    assert first.json()["items"][0]["audit_id"] == 3
    assert first.headers["Link"] == f'<{first.json()["next"]}>; rel="next"'
    second = operator.get(first.json()["next"]).json()
    assert [act["audit_id"] for act in second["items"]] == [2]
    last = operator.get(second["next"]).json()
    assert ([act["audit_id"] for act in last["items"]], last["next"]) == ([1], None)


def test_figures_tell_what_waits_how_long_and_what_died(
    site: Site, settings: Settings, operator: Caller
) -> None:
    told = operator.get("/v1/processing").json()
    assert (told["pending"], told["oldest_pending_s"]) == (0, None)
    assert (told["dead"], told["duplicate"], told["conflict"], told["rescued"]) == (2, 1, 0, 0)
    assert told["canary_waits_s"] == 0
    assert told["quanta"] == 2
    assert told["coalescing_ratio"] == 1.5
    assert told["dwell"]["events"] == 1
    assert told["dwell"]["p50_s"] == told["dwell"]["p99_s"] > 0
    assert (told["alarms"], told["resting"]) == ([], None)
    with time_machine.travel(now(), tick=False) as clock:
        operator.post("/v1/events", json=[an_event("e9", learner="u9")])
        clock.shift(40)
        waiting = operator.get("/v1/processing").json()
        assert (waiting["pending"], waiting["oldest_pending_s"]) == (1, 40.0)
        drain_all(site.store, settings)
        assert operator.get("/v1/processing").json()["dwell"]["p99_s"] >= 40
    assert site.caller("other").get("/v1/processing").json()["quanta"] == 0


def test_metrics_show_the_figures_and_open_alarms_to_their_operator(
    site: Site, operator: Caller
) -> None:
    tally = table_of(Tally)
    with transaction(site.store) as connection:
        connection.execute(
            update(tally)
            .where(tally.c.environment_id == operator.environment_id, tally.c.stream == "quest")
            .values(applied=tally.c.applied + 1, dead=tally.c.dead - 1)
        )
    books = operator.get("/v1/books?recount=true").json()
    assert not books["balanced"]
    assert [alarm["kind"] for alarm in books["alarms"]] == ["journal_differs"]
    label = f'environment="{operator.environment_id}"'
    text = operator.get("/metrics").text
    assert f"fullcount_processing_quanta{{{label}}} 2.0" in text
    assert f'fullcount_alarms_open{{{label},kind="journal_differs"}} 1.0' in text
    assert "fullcount_processing" not in operator.client.get("/metrics").text
    alarms = operator.get("/v1/processing").json()["alarms"]
    assert alarms[0]["details"]["faults"] == books["faults"]


def test_a_full_environment_is_told_when_to_come_back_and_its_neighbours_notice_nothing(
    store: Store, settings: Settings
) -> None:
    site = open_site(store, settings.model_copy(update={"limit_pending_events": 120}))
    full, neighbour = site.caller("full"), site.caller("neighbour")

    def send(caller: Caller, start: int, count: int) -> Any:
        events = [an_event(f"e{n}", learner=f"u{n}") for n in range(start, start + count)]
        return caller.post("/v1/events", json=events)

    moment = now().replace(second=0, microsecond=0)
    with time_machine.travel(moment, tick=False) as clock:
        assert send(full, 0, 100).status_code == 202
        refused = send(full, 100, 50)
        assert (refused.status_code, refused.json()["code"]) == (429, "events.pending_limit")
        assert refused.headers["Retry-After"] == "30"
        drain_all(store, settings)
        clock.shift(20)
        assert send(full, 100, 120).status_code == 202
        late = send(full, 220, 10)
        # 100 events left in 20 s: the 10 that are too many need 2 s.
        assert (late.status_code, late.headers["Retry-After"]) == (429, "2")
        assert send(neighbour, 0, 120).status_code == 202
        drain_all(store, settings)
        assert send(full, 220, 10).status_code == 202
    books = full.get("/v1/books").json()
    assert (books["received"], books["accepted"], books["balanced"]) == (230, 230, True)
