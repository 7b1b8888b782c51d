"""`Idempotency-Key`: a request that is tried again gets its first answer and changes nothing."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select

from app.base.config import Settings
from app.processing.drain import drain_all
from app.store.engine import Store, snapshot
from app.store.tables import Batch, Quarantine
from app.store.tables.columns import table_of
from tests.contract.site import Caller, Site, an_event, open_site

ALL = {"Prefer": "return=representation"}
MIXED = [an_event("e-1"), an_event("e-1", score=5), {"id": 7}, an_event("e-2"), an_event("e-2")]


@pytest.fixture
def site(store: Store, settings: Settings) -> Site:
    return open_site(store, settings)


@pytest.fixture
def sender(site: Site) -> Caller:
    return site.caller("acme", "ingest", "read")


def send(caller: Caller, events: Any, key: str | None, **headers: str) -> Any:
    named = {} if key is None else {"Idempotency-Key": key}
    return caller.post("/v1/events", json=events, headers=named | headers)


def count_of(store: Store, model: Any, caller: Caller) -> int:
    table = table_of(model)
    with snapshot(store) as connection:
        found = select(func.count()).where(table.c.environment_id == caller.environment_id)
        return int(connection.execute(found.select_from(table)).scalar_one())


def test_the_same_key_and_body_get_the_first_answer(
    store: Store, settings: Settings, sender: Caller
) -> None:
    first = send(sender, MIXED, "k1", **ALL)
    drain_all(store, settings)
    again = send(sender, MIXED, "k1", **ALL)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    outcomes = [item["outcome"] for item in again.json()["items"]]
    assert outcomes == ["accepted", "conflict", "rejected", "accepted", "duplicate"]
    assert (count_of(store, Batch, sender), count_of(store, Quarantine, sender)) == (1, 2)
    assert sender.get("/v1/books").json()["received"] == len(MIXED)
    assert send(sender, MIXED, "k1").json()["items"] == [
        item for item in first.json()["items"] if item["outcome"] != "accepted"
    ]


def test_without_a_key_a_second_try_is_told_as_duplicates(sender: Caller) -> None:
    send(sender, [an_event()], None)
    assert send(sender, [an_event()], None).json()["duplicate"] == 1


def test_the_same_key_with_another_body_is_refused_and_nothing_is_kept(sender: Caller) -> None:
    first = send(sender, [an_event("e-1")], "k1")
    other = send(sender, [an_event("e-2")], "k1")
    assert (other.status_code, other.json()["code"]) == (422, "events.key_reused")
    assert other.headers["location"] == first.headers["location"]
    assert send(sender, [an_event("e-2")], "k2").json()["accepted"] == 1


def test_a_packed_body_is_the_same_as_a_plain_one(sender: Caller) -> None:
    body = json.dumps([an_event()]).encode()
    kind = {"Content-Type": "application/json", "Idempotency-Key": "k1"}
    first = sender.post("/v1/events", content=body, headers=kind)
    packed = sender.post(
        "/v1/events", content=gzip.compress(body), headers=kind | {"Content-Encoding": "gzip"}
    )
    assert packed.json() == first.json()


def test_the_same_key_in_another_environment_is_another_key(site: Site, sender: Caller) -> None:
    other = site.caller("beta", "ingest", "read")
    send(sender, [an_event("e-1")], "k1")
    assert send(other, [an_event("e-2")], "k1").json()["accepted"] == 1


def test_a_single_event_that_was_refused_is_refused_the_same_way(sender: Caller) -> None:
    kind = {"Content-Type": "application/cloudevents+json"}
    wrong = an_event(module_type="nope")
    first, again = (send(sender, wrong, "k1", **kind) for _ in range(2))
    assert first.status_code == again.status_code == 422
    told = ("code", "detail", "problems")
    assert [first.json()[name] for name in told] == [again.json()[name] for name in told]


def test_what_was_never_stored_may_be_tried_again(
    store: Store, settings: Settings, sender: Caller
) -> None:
    small = open_site(store, settings.model_copy(update={"limit_pending_events": 1}))
    caller = Caller(small.client, sender.environment_id, sender.key)
    send(caller, [an_event("e-1")], "k1")
    assert send(caller, [an_event("e-2")], "k2").status_code == 429
    drain_all(store, settings)
    assert send(caller, [an_event("e-2")], "k2").json()["accepted"] == 1


@pytest.mark.parametrize("key", ["", "a" * 201])
def test_a_key_that_is_no_name_is_refused(sender: Caller, key: str) -> None:
    response = send(sender, [an_event()], key)
    assert (response.status_code, response.json()["code"]) == (400, "query.option")


def test_tries_at_once_are_one_delivery(store: Store, sender: Caller) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: send(sender, MIXED, "k1").json(), range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert count_of(store, Batch, sender) == 1
