"""Contracts, keys of evidence and seals over REST: who owes what, and who decided it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from app.base.clock import now
from app.base.config import Settings
from app.learning.contracts import Contract
from app.learning.modules import STREAM_NAMES
from app.processing.drain import drain_all
from app.store.contracts import write_contracts
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Audit, Bucket, StreamState
from app.store.tables.columns import table_of
from tests.builders import an_event
from tests.contract.site import Caller, open_site
from tests.declared import a_manifest, wire

TEN = datetime(2025, 5, 24, 10, tzinfo=UTC)


@pytest.fixture
def acme(store: Store, settings: Settings) -> Caller:
    return open_site(store, settings).caller("acme")


def rows(store: Store, caller: Caller, model: Any) -> list[Any]:
    table = table_of(model)
    with snapshot(store) as connection:
        return list(
            connection.execute(
                select(table)
                .where(table.c.environment_id == caller.environment_id)
                .order_by(*table.primary_key.columns)
            )
        )


def owed(caller: Caller, source: str) -> list[str]:
    items = caller.get("/v1/streams").json()["items"]
    return [
        item["stream"]
        for item in items
        for part in item["sources"]
        if part["source"] == source and part["contracted"]
    ]


def test_a_new_source_owes_every_stream_under_the_template(acme: Caller) -> None:
    assert owed(acme, "legacy") == list(STREAM_NAMES)
    contract = acme.get("/v1/streams/legacy/ilt").json()["contract"]
    assert contract == {
        "from": "1970-01-01T00:00:00.000000Z",
        "bucket_s": 600,
        "close_delay_s": 120,
        "grace_s": 180,
        "objective_s": 1200,
        "heartbeat_s": 60,
        "lateness_s": 86400,
        "stall_s": 1800,
        "skew_s": 300,
        "required_anchor": "outbox",
        "shards": [""],
    }


def test_a_source_may_owe_less_and_that_is_written_down(store: Store, acme: Caller) -> None:
    body = {"source": "hr", "streams": ["people"], "contract": {"bucket_s": 86400}}
    refused = acme.post("/v1/sources", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "streams.contract")
    assert refused.json()["problems"][0]["path"] == "objective_s"
    body["contract"]["objective_s"] = 26 * 3600  # type: ignore[index]
    assert acme.post("/v1/sources", json=body).status_code == 201
    assert owed(acme, "hr") == ["people"]
    assert acme.get("/v1/streams/hr/people").json()["contract"]["bucket_s"] == 86400
    act = rows(store, acme, Audit)[-1]
    assert (act.action, act.target) == ("source.added", "hr")
    assert orjson.loads(act.details)["owed"] == ["people"]
    assert len(orjson.loads(act.details)["not_owed"]) == len(STREAM_NAMES) - 1
    wrong = acme.post("/v1/sources", json={"source": "x", "streams": ["nothing"]})
    assert wrong.status_code == 422


def test_arriving_data_makes_no_contract(store: Store, acme: Caller, settings: Settings) -> None:
    acme.post("/v1/sources", json={"source": "lms", "streams": ["ilt"]})
    assert acme.post("/v1/events", json=[an_event(1)]).json()["accepted"] == 1
    drain_all(store, settings)
    assert owed(acme, "lms") == ["ilt"]
    assert acme.get("/v1/streams/lms/quest").json()["code"] == "evidence.no_contract"
    assert rows(store, acme, StreamState) == []


def test_a_contract_is_changed_removed_and_made_again_by_name(store: Store, acme: Caller) -> None:
    path = "/v1/streams/legacy/quest"
    changed = acme.ask("PUT", path, json={"objective_s": 3600})
    assert (changed.status_code, changed.json()["contract"]["objective_s"]) == (200, 3600)
    assert changed.json()["contract"]["bucket_s"] == 600
    before = len(rows(store, acme, Audit))
    assert acme.ask("PUT", path, json={"objective_s": 3600}).status_code == 200
    assert len(rows(store, acme, Audit)) == before
    assert acme.ask("DELETE", f"{path}?reason=moved").status_code == 204
    assert "quest" not in owed(acme, "legacy")
    assert acme.ask("DELETE", path).json()["code"] == "evidence.no_contract"
    assert acme.ask("PUT", path, json={}).status_code == 201
    acts = rows(store, acme, Audit)[-3:]
    assert [act.action for act in acts] == ["stream.changed", "stream.removed", "stream.added"]
    assert orjson.loads(acts[1].details)["reason"] == "moved"
    assert all(act.target == "legacy/quest" and act.actor != "cli" for act in acts)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"objective_s": 899}, 422),
        ({"bucket_s": 86400}, 422),
        ({"bucket_s": 7}, 422),
        ({"bucket_s": "600"}, 422),
        ({"required_anchor": "hope"}, 422),
        ({"shards": []}, 422),
        ({"from": "2025-05-24T10:03:00Z"}, 422),
        ({"from": "0001-01-01T00:00:00Z"}, 422),
        ({"from": "9999-12-31T23:50:00Z"}, 422),
        ({"more": 1}, 422),
    ],
)
def test_a_contract_that_cannot_be_kept_is_refused(
    acme: Caller, body: dict[str, Any], status: int
) -> None:
    assert acme.ask("PUT", "/v1/streams/legacy/quest", json=body).status_code == status
    assert acme.get("/v1/streams/legacy/quest").json()["contract"]["objective_s"] == 1200


@pytest.mark.parametrize(
    "edge", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 50, tzinfo=UTC)]
)
def test_a_contract_kept_from_before_at_the_edge_of_the_calendar_stops_no_question(
    store: Store, acme: Caller, edge: datetime
) -> None:
    wrong = {"quest": Contract(from_at=edge)}
    with transaction(store) as connection:
        write_contracts(connection, acme.environment_id, 1, wrong)
    told = {"spec": "fm/1", "source": "legacy", "stream": "quest", "anchor": "record"}
    told |= {"from": wire(TEN), "to": wire(TEN + timedelta(minutes=10)), "alg": "count"}
    assert acme.post("/v1/manifests", json={**told, "count": 0}).status_code == 200
    for path in ("/v1/ingestion/lag", "/v1/streams", "/odata/v4/LearnerProgress?$top=1"):
        assert acme.get(path).status_code == 200, path
    path = "/v1/streams/legacy/quest"
    refused = acme.ask("PUT", path, json={"objective_s": 3600})
    assert refused.json()["problems"][0]["path"] == "from"
    mended = acme.ask("PUT", path, json={"objective_s": 3600, "from": wire(TEN)})
    assert mended.status_code == 200


def test_only_an_administrator_changes_contracts(
    store: Store, settings: Settings, acme: Caller
) -> None:
    sender = open_site(store, settings).key_of(acme.environment_id, "ingest", "read", "operate")
    path = "/v1/streams/legacy/quest"
    assert sender.get(path).status_code == 200
    assert sender.ask("PUT", path, json={}).status_code == 403
    assert sender.ask("DELETE", path).status_code == 403
    assert sender.post("/v1/sources/legacy/keys", json={}).status_code == 403
    assert sender.post("/v1/sources/legacy/seal").status_code == 403
    other = open_site(store, settings).caller("beta")
    assert other.ask("PUT", "/v1/streams/lms/quest", json={}).status_code == 404


def test_a_bucket_may_only_grow_by_whole_multiples_once_events_are_summed(
    store: Store, settings: Settings, acme: Caller
) -> None:
    made = acme.post("/v1/sources", json={"source": "lms"}).json()
    event = an_event(1)
    acme.post("/v1/events", json=[event])
    drain_all(store, settings)
    path = "/v1/streams/lms/quest"
    for bucket_s, status in ((300, 422), (900, 422), (1200, 200), (600, 422), (3600, 200)):
        body = {"bucket_s": bucket_s, "objective_s": 4000}
        assert acme.ask("PUT", path, json=body).status_code == status, bucket_s
    noon = datetime(2025, 5, 24, 12, tzinfo=UTC)
    hour = noon + timedelta(hours=1)
    told = a_manifest(made["secret"], [event], begins=noon, ends=hour)
    assert acme.post("/v1/manifests", json=told).json()["state"] == "matched"
    assert acme.ask("PUT", "/v1/streams/lms/ilt", json={"bucket_s": 300}).status_code == 200


def test_a_lower_anchor_is_an_explicit_entry_and_counts_at_once(store: Store, acme: Caller) -> None:
    made = acme.post("/v1/sources", json={"source": "lms", "contract": {"from": wire(TEN)}}).json()
    told = a_manifest(made["secret"], [], begins=TEN, anchor="emitter")
    assert acme.post("/v1/manifests", json=told).json()["state"] == "matched"
    (state,) = rows(store, acme, StreamState)
    assert state.anchored_through is None
    acme.ask("PUT", "/v1/streams/lms/quest", json={"required_anchor": "emitter"})
    (state,) = rows(store, acme, StreamState)
    assert state.anchored_through == state.matched_through == TEN + timedelta(minutes=10)
    acme.ask("PUT", "/v1/streams/lms/quest", json={"required_anchor": "record"})
    assert rows(store, acme, StreamState)[0].anchored_through is None


def test_keys_rotate_with_overlap_each_bucket_with_its_own(
    store: Store, settings: Settings, acme: Caller
) -> None:
    first = acme.post("/v1/sources", json={"source": "lms"}).json()
    past = acme.post("/v1/sources/lms/keys", json={"valid_from": wire(TEN + timedelta(seconds=1))})
    assert past.status_code == 201
    second = past.json()
    assert (second["key_id"], second["valid_from"]) == ("k2", "2025-05-24T10:10:00Z")
    assert acme.get("/v1/sources").json()["items"][1]["key_id"] == "k2"
    moments = [TEN + timedelta(minutes=9), TEN + timedelta(minutes=10)]
    events = [
        an_event(n, time=at.isoformat(), recordedtime=at.isoformat())
        for n, at in enumerate(moments)
    ]
    acme.post("/v1/events", json=events)
    drain_all(store, settings)
    old = a_manifest(first["secret"], events[:1], begins=TEN)
    assert acme.post("/v1/manifests", json=old).json()["state"] == "matched"
    begins = TEN + timedelta(minutes=10)
    wrong = a_manifest(first["secret"], events[1:], begins=begins)
    assert acme.post("/v1/manifests", json=wrong).json()["code"] == "evidence.unknown_key"
    new = a_manifest(second["secret"], events[1:], begins=begins, key_id="k2")
    assert acme.post("/v1/manifests", json=new).json()["state"] == "matched"
    wide = a_manifest(
        first["secret"], [], begins=TEN - timedelta(hours=1), ends=TEN + timedelta(hours=1)
    )
    assert acme.post("/v1/manifests", json=wide).json()["code"] == "evidence.unknown_key"
    early = acme.post("/v1/sources/lms/keys", json={"valid_from": wire(TEN)})
    assert (early.status_code, early.json()["code"]) == (409, "sources.key_too_early")
    third = acme.post("/v1/sources/lms/keys", json={}).json()
    assert third["key_id"] == "k3"
    starts = datetime.fromisoformat(third["valid_from"])
    assert timedelta(minutes=59) < starts - now() <= timedelta(minutes=70)
    assert acme.post("/v1/sources/nobody/keys", json={}).status_code == 404
    assert first["secret"] not in str([tuple(row) for row in rows(store, acme, Audit)])


def test_sealing_is_written_down_once_and_evidence_of_before_still_counts(
    store: Store, acme: Caller
) -> None:
    made = acme.post("/v1/sources", json={"source": "lms"}).json()
    sealed = acme.post("/v1/sources/lms/seal").json()
    assert acme.post("/v1/sources/lms/seal").json() == sealed
    assert [a.action for a in rows(store, acme, Audit)].count("source.sealed") == 1
    told = a_manifest(made["secret"], [], begins=TEN)
    assert acme.post("/v1/manifests", json=told).json()["state"] == "matched"
    assert len(rows(store, acme, Bucket)) == 1
    assert acme.post("/v1/sources/nobody/seal").status_code == 404
