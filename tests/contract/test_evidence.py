"""Evidence over HTTP: manifests answered at once, exactly, item by item; heartbeats; names."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.base.config import Settings
from app.intake.sources import add_source
from app.learning.contracts import Contract
from app.processing.drain import drain_all
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Bucket, Defect, Heartbeat, StreamState
from app.store.tables.columns import table_of
from tests.builders import an_event
from tests.contract.site import Caller, open_site
from tests.declared import BUCKET, a_manifest, element_of, spell, sum_of, wire

TEN = datetime(2025, 5, 24, 10, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Speaker:
    """A source `lms` of an environment `acme` that sends, declares and beats."""

    store: Store
    settings: Settings
    caller: Caller
    secret: str

    def sends(self, *events: dict[str, Any]) -> None:
        receipt = self.caller.post("/v1/events", json=list(events)).json()
        assert receipt["accepted"] == len(events)
        drain_all(self.store, self.settings)

    def declares(self, events: list[dict[str, Any]], **said: Any) -> Any:
        return self.posts(a_manifest(self.secret, events, **{"begins": TEN, **said}))

    def posts(self, manifest: Any) -> Any:
        return self.caller.post("/v1/manifests", json=manifest)

    def rows(self, model: Any) -> list[Any]:
        table = table_of(model)
        with snapshot(self.store) as connection:
            return list(
                connection.execute(
                    select(table)
                    .where(table.c.environment_id == self.caller.environment_id)
                    .order_by(*table.primary_key.columns)
                )
            )


@pytest.fixture
def lms(store: Store, settings: Settings) -> Speaker:
    caller = open_site(store, settings).caller("acme")
    contract = Contract(from_at=TEN)
    with transaction(store) as connection:
        made = add_source(connection, caller.environment_id, source_key="lms", contract=contract)
    return Speaker(store, settings, caller, made.secret)


def at(minute: float, number: int | None = None, **said: Any) -> dict[str, Any]:
    """A quest event recorded so many minutes after ten."""
    moment = (TEN + timedelta(minutes=minute)).isoformat()
    name = f"e{number if number is not None else minute:g}"
    return an_event(id=name, time=moment, recordedtime=moment, **said)


def test_what_is_declared_and_applied_matches_and_moves_the_frontier(lms: Speaker) -> None:
    events = [at(1), at(5), at(9.99)]
    lms.sends(*events, at(10))
    answer = lms.declares(events)
    assert (answer.status_code, answer.json()["state"]) == (200, "matched")
    (state,) = lms.rows(StreamState)
    assert state.stream == "quest"
    assert state.declared_through == state.matched_through == TEN + BUCKET
    assert state.anchored_through == TEN + BUCKET
    assert (state.declared, state.missing, state.surplus) == (3, 0, 0)
    assert state.is_weak
    assert lms.rows(Defect) == []


def test_one_missing_event_is_named_by_arithmetic_and_heals(lms: Speaker) -> None:
    events = [at(1), at(2), at(3)]
    lms.sends(*events[:2])
    told = lms.declares(events).json()
    assert told["state"] == "short"
    assert (told["applied"], told["missing"]) == (2, 1)
    assert told["element"] == spell(element_of(lms.secret, events[2]))
    (defect,) = lms.rows(Defect)
    assert (defect.kind, defect.missing, defect.resolved_at) == ("short", 1, None)
    lms.sends(events[2])
    assert lms.declares(events).json()["state"] == "matched"
    (defect,) = lms.rows(Defect)
    assert (defect.resolution, defect.missing) == ("matched", 0)
    (state,) = lms.rows(StreamState)
    assert state.missing == 0
    assert state.shrank_at is not None


def test_an_accepted_event_that_is_not_applied_is_still_missing(lms: Speaker) -> None:
    event = at(1)
    lms.caller.post("/v1/events", json=[event])
    told = lms.declares([event]).json()
    assert (told["state"], told["accepted"], told["applied"]) == ("short", 1, 0)
    drain_all(lms.store, lms.settings)
    assert lms.declares([event]).json()["state"] == "matched"


def test_too_many_and_other_ones_are_surplus_and_divergent(lms: Speaker) -> None:
    lms.sends(at(1), at(2))
    told = lms.declares([at(1)]).json()
    assert (told["state"], told["surplus"]) == ("surplus", 1)
    told = lms.declares([at(1), at(3)], version=2).json()
    assert told["state"] == "divergent"
    assert told["want"] == [{"lo": "0", "hi": "10"}]
    digest = "ab" * 32
    changed = [at(1), at(2, datadigest=digest)]
    assert lms.declares(changed, version=3).json()["state"] == "divergent"
    assert lms.declares([at(1), at(2)], version=4).json()["state"] == "matched"
    (defect,) = lms.rows(Defect)
    assert defect.resolution == "restated"


def test_zero_is_a_statement_and_silence_is_none(lms: Speaker) -> None:
    assert lms.rows(Bucket) == []
    assert lms.declares([], ends=TEN + timedelta(days=7)).json()["state"] == "matched"
    (bucket,) = lms.rows(Bucket)
    assert (bucket.state, bucket.declared, bucket.is_weak) == ("matched", 0, False)
    (state,) = lms.rows(StreamState)
    assert state.matched_through == TEN + timedelta(days=7)
    lms.sends(at(60 * 24))
    told = lms.declares([], ends=TEN + timedelta(days=7)).json()
    assert (told["state"], told["surplus"]) == ("surplus", 1)
    (state,) = lms.rows(StreamState)
    assert state.declared_through == TEN + timedelta(days=7)
    assert state.matched_through is None


def test_versions_replace_one_another_and_never_change(lms: Speaker) -> None:
    events = [at(1), at(2)]
    lms.sends(*events)
    first = lms.declares(events[:1]).json()
    assert lms.declares(events[:1]).json() == first
    other = lms.declares(events)
    assert (other.status_code, other.json()["code"]) == (409, "evidence.conflict")
    assert lms.declares(events, version=3).json()["state"] == "matched"
    assert lms.declares(events[:1]).json()["state"] == "superseded"
    late = lms.declares([], version=2).json()
    assert (late["state"], late["version"]) == ("superseded", 3)
    assert lms.declares(events, version=3).json()["state"] == "matched"
    wider = lms.declares(events, version=4, ends=TEN + 2 * BUCKET)
    assert (wider.status_code, wider.json()["code"]) == (409, "evidence.overlap")


def test_shards_add_up_and_nothing_is_declared_before_the_last(lms: Speaker) -> None:
    put = lms.caller.ask("PUT", "/v1/streams/lms/quest", json={"shards": ["a", "b"]})
    assert put.json()["contract"]["shards"] == ["a", "b"]
    events = [at(1), at(2), at(3)]
    lms.sends(*events)
    assert lms.declares(events[:1], shard="a").json()["state"] == "undeclared"
    (state,) = lms.rows(StreamState)
    assert state.declared_through is None
    assert lms.declares(events[1:], shard="c").status_code == 422
    crossing = lms.declares(events[1:], shard="b", ends=TEN + 2 * BUCKET)
    assert crossing.status_code == 409
    assert lms.declares(events[1:], shard="b", anchor="emitter").json()["state"] == "matched"
    (bucket,) = lms.rows(Bucket)
    assert (bucket.anchor, bucket.is_anchored, bucket.declared) == ("emitter", False, 3)
    (state,) = lms.rows(StreamState)
    assert (state.matched_through, state.anchored_through) == (TEN + BUCKET, None)


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ({"begins": TEN + timedelta(minutes=1)}, 422, "evidence.invalid"),
        ({"ends": TEN}, 422, "evidence.invalid"),
        ({"ends": TEN + timedelta(days=36500)}, 422, "evidence.invalid"),
        ({"anchor": "hope"}, 422, "evidence.invalid"),
        ({"alg": "xor"}, 422, "evidence.invalid"),
        ({"sum": None}, 422, "evidence.invalid"),
        ({"alg": "count"}, 422, "evidence.invalid"),
        ({"key_id": "k2"}, 422, "evidence.unknown_key"),
        ({"source": "nobody"}, 422, "evidence.no_contract"),
        ({"stream": "nothing"}, 422, "evidence.no_contract"),
        ({"sum": "short"}, 422, "body.invalid"),
        ({"count": -1}, 422, "body.invalid"),
        ({"count": 1.5}, 422, "body.invalid"),
        ({"from": 1748080800}, 422, "body.invalid"),
        ({"from": "2025-05-24T10:00:00"}, 422, "body.invalid"),
        ({"spec": "fm/2"}, 422, "body.invalid"),
        ({"more": 1}, 422, "body.invalid"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_and_leaves_no_trace(
    lms: Speaker, said: dict[str, Any], status: int, code: str
) -> None:
    response = lms.declares([], **said)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert lms.rows(Bucket) == []


def test_a_list_is_answered_item_by_item(lms: Speaker) -> None:
    lms.sends(at(1), at(11))
    manifests = [
        a_manifest(lms.secret, [at(1)], begins=TEN),
        {"spec": "fm/1"},
        a_manifest(lms.secret, [at(11)], begins=TEN, ends=TEN + 2 * BUCKET),
        a_manifest(lms.secret, [at(11)], begins=TEN + BUCKET),
        a_manifest(lms.secret, [], begins=TEN + BUCKET, stream="ilt"),
    ]
    items = lms.posts(manifests).json()["items"]
    assert [item["state"] for item in items] == [
        "matched", "refused", "refused", "matched", "matched",
    ]  # fmt: skip
    assert [item["index"] for item in items] == list(range(5))
    assert [items[n]["problem"]["code"] for n in (1, 2)] == ["body.invalid", "evidence.overlap"]
    assert lms.posts([]).status_code == 400
    assert lms.posts([{}] * 1001).status_code == 413
    states = {row.stream: row.matched_through for row in lms.rows(StreamState)}
    assert states == {"quest": TEN + 2 * BUCKET, "ilt": None}


def test_counts_alone_are_allowed_and_weak(lms: Speaker) -> None:
    lms.sends(at(1, datadigest="ab" * 32), at(2, datadigest="cd" * 32))
    told = [at(1), at(3)]
    assert lms.declares(told, alg="count", sum=None, key_id=None).json()["state"] == "matched"
    (state,) = lms.rows(StreamState)
    assert state.is_weak
    exact = [at(1, datadigest="ab" * 32), at(2, datadigest="cd" * 32)]
    assert lms.declares(exact, version=2).json()["state"] == "matched"
    (state,) = lms.rows(StreamState)
    assert not state.is_weak


def test_an_item_on_the_shelf_gives_the_defect_its_kind(lms: Speaker) -> None:
    first, other = at(1), at(1, data={**at(1)["data"], "percent": 60})
    lms.sends(first)
    receipt = lms.caller.post("/v1/events", json=[other]).json()
    assert receipt["conflict"] == 1
    assert lms.declares([at(1, datadigest="ab" * 32)]).json()["state"] == "conflict"
    bad = at(12, data={**at(12)["data"], "percent": 600})
    assert lms.caller.post("/v1/events", json=[bad]).json()["rejected"] == 1
    assert lms.declares([bad], begins=TEN + BUCKET).json()["state"] == "quarantined"
    assert [row.kind for row in lms.rows(Defect)] == ["conflict", "quarantined"]


def test_a_late_event_makes_a_matched_bucket_surplus_until_it_is_restated(lms: Speaker) -> None:
    lms.sends(at(1), at(11))
    lms.declares([at(1)])
    lms.declares([at(11)], begins=TEN + BUCKET)
    lms.sends(at(2))
    assert lms.declares([at(1)]).json()["state"] == "surplus"
    (state,) = lms.rows(StreamState)
    assert (state.matched_through, state.declared_through) == (None, TEN + 2 * BUCKET)
    assert lms.declares([at(1), at(2)], version=2).json()["state"] == "matched"
    (state,) = lms.rows(StreamState)
    assert state.matched_through == TEN + 2 * BUCKET


def test_the_frontier_stops_at_a_gap_and_goes_on_when_it_closes(lms: Speaker) -> None:
    for number in (0, 1, 3):
        lms.declares([], begins=TEN + number * BUCKET)
    (state,) = lms.rows(StreamState)
    assert state.declared_through == state.matched_through == TEN + 2 * BUCKET
    lms.declares([], begins=TEN + 2 * BUCKET)
    (state,) = lms.rows(StreamState)
    assert state.declared_through == state.matched_through == TEN + 4 * BUCKET


def test_missing_events_are_named_by_id_and_by_range(lms: Speaker) -> None:
    digests = {"datadigest": "ab" * 32}
    events = [at(n / 10, n, **digests) for n in range(60)]
    lost = events[7::20]
    lms.sends(*[event for event in events if event not in lost])
    told = lms.declares(events).json()
    path = f"/v1/manifests/{told['manifest_id']}/elements"
    listed = [{"id": event["id"], "digest": "ab" * 32} for event in events]
    listed[0]["digest"] = "cd" * 32
    named = lms.caller.post(path, json={"events": listed}).json()
    assert named["missing"] == [event["id"] for event in lost]
    assert (named["asked"], named["different"], named["waiting"]) == (60, [events[0]["id"]], [])
    counts, sums = [0] * 16, [0] * 16
    for event in events:
        element = element_of(lms.secret, event)
        counts[element >> 252] += 1
        sums[element >> 252] += element
    split = {"counts": counts, "sums": [spell(number) for number in sums]}
    found = lms.caller.post(path, json={"splits": [split]}).json()
    names = {spell(element_of(lms.secret, event)) for event in lost}
    few = [int(part["lo"], 16) for part in found["few"]]
    assert names == {
        *found["missing"],
        *(e for e in names if element_first_digit(e) in few),
    }
    assert len(found["missing"]) >= 1
    assert (found["want"], found["surplus"]) == ([], [])
    for wrong in ({}, {"splits": [split], "events": listed}, {"splits": [{**split, "lo": "g"}]}):
        assert lms.caller.post(path, json=wrong).status_code == 422
    for number in ("2", "x", "9" * 30):
        away = lms.caller.post(f"/v1/manifests/{number}/elements", json={"events": listed})
        assert away.status_code == 404


def element_first_digit(text: str) -> int:
    """The first hexadecimal digit of a spelled element."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return letters.index(text[0]) >> 2


def test_heartbeats_rise_and_report_the_backlog_without_declaring(lms: Speaker) -> None:
    def beats(seq: int, **said: Any) -> Any:
        told = {"stream": "quest", "closed_through": wire(TEN), "pending": 3}
        body = {"source": "lms", "sent_at": wire(TEN), "seq": seq, "streams": [told | said]}
        return lms.caller.post("/v1/heartbeats", json=body)

    assert beats(5).json()["state"] == "heard"
    (first,) = lms.rows(StreamState)
    assert (first.backlog, first.closed_through, first.declared_through) == (3, TEN, None)
    assert beats(5, pending=9).json()["state"] == "superseded"
    assert beats(6, pending=4, oldest_pending=wire(TEN)).json()["state"] == "heard"
    (second,) = lms.rows(StreamState)
    assert (second.backlog, second.oldest_pending_at) == (4, TEN)
    assert second.closed_moved_at == first.closed_moved_at
    assert beats(7, closed_through=wire(TEN + BUCKET)).json()["state"] == "heard"
    (third,) = lms.rows(StreamState)
    assert third.closed_moved_at > second.closed_moved_at
    (heart,) = lms.rows(Heartbeat)
    assert (heart.beat, heart.sent_at) == (7, TEN)
    assert heart.transport_s == pytest.approx((heart.received_at - TEN).total_seconds())
    assert beats(8, stream="nothing").json()["code"] == "evidence.no_contract"
    assert lms.caller.post("/v1/sources/lms/seal").status_code == 200
    assert beats(9).json()["code"] == "evidence.sealed"


def test_evidence_needs_the_scope_ingest_and_stays_in_its_environment(
    lms: Speaker, settings: Settings
) -> None:
    site = open_site(lms.store, settings)
    reader = site.key_of(lms.caller.environment_id, "read")
    manifest = a_manifest(lms.secret, [], begins=TEN)
    for path, body in (("/v1/manifests", manifest), ("/v1/heartbeats", {})):
        assert reader.post(path, json=body).status_code == 403
    other = site.caller("beta")
    assert other.post("/v1/manifests", json=manifest).status_code == 422
    number = lms.posts(manifest).json()["manifest_id"]
    named = {"events": [{"id": "e1"}]}
    assert other.post(f"/v1/manifests/{number}/elements", json=named).status_code == 404


def test_a_sum_of_another_environment_does_not_match(lms: Speaker) -> None:
    event = at(1)
    lms.sends(event)
    stolen = sum_of(lms.secret, [event], environment="beta")
    assert lms.declares([event], sum=stolen).json()["state"] == "divergent"
