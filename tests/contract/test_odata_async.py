"""`Prefer: respond-async`: a status monitor instead of a long wait, signed, kept briefly."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from fastapi.testclient import TestClient

from app.base.clock import now
from app.base.config import Settings
from app.odata import routes
from app.odata.asking import Asker, Reading
from app.odata.path import Address
from app.odata.reading import read_address
from app.store.engine import Store
from tests.contract.feed_rows import ROOT, FeedKeys, feed_client, fill_feed

# The protocol is the same whatever the database; what differs there has its tests on both.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


LATER = {"Prefer": "respond-async"}


@pytest.fixture
def keys(store: Store) -> FeedKeys:
    return fill_feed(store)


@pytest.fixture
def client(store: Store, settings: Settings, keys: FeedKeys) -> Iterator[TestClient]:
    small = settings.model_copy(update={"limit_async_jobs": 2})
    with feed_client(store, small, keys.reader) as opened:
        yield opened


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Holds every question about data back until it is set."""
    opened = threading.Event()

    def held(asker: Asker, address: Address) -> Reading:
        assert opened.wait(timeout=30)
        return read_address(asker, address)

    monkeypatch.setattr(routes, "read_address", held)
    yield opened
    opened.set()


def begin(client: TestClient, path: str) -> str:
    """The monitor of a question that is not answered at once."""
    answer = client.get(path, headers=LATER)
    assert answer.status_code == 202, answer.text
    assert answer.headers["preference-applied"] == "respond-async"
    assert answer.headers["retry-after"] == "1"
    assert answer.headers.get_list("odata-version") == ["4.01"]
    location = answer.headers["location"]
    assert location.startswith(f"{ROOT}/$async/")
    return location


def finish(client: TestClient, monitor: str, **headers: str) -> Any:
    """The answer at a monitor, asked for until it is there."""
    for _ in range(10_000):
        answer = client.get(monitor, headers=headers)
        if answer.status_code != 202:
            return answer
    raise AssertionError("the monitor never had an answer")


def test_the_answer_is_fetched_later(client: TestClient, gate: threading.Event) -> None:
    monitor = begin(client, "Learners?$top=2&$select=learner_key")
    pending = client.get(monitor)
    assert (pending.status_code, pending.headers["location"]) == (202, monitor)
    gate.set()
    answer = finish(client, monitor)
    assert (answer.status_code, answer.headers["asyncresult"]) == (200, "200")
    assert "data-freshness" in answer.headers
    assert len(answer.json()["value"]) == 2
    assert answer.json()["@odata.context"] == f"{ROOT}/$metadata#Learners(learner_key)"


def test_a_question_answered_in_time_needs_no_monitor(client: TestClient) -> None:
    answer = client.get("Teams", headers={"Prefer": "respond-async, wait=10"})
    assert (answer.status_code, len(answer.json()["value"])) == (200, 1)
    assert "preference-applied" not in answer.headers


def test_an_error_is_fetched_with_its_status(client: TestClient, gate: threading.Event) -> None:
    monitor = begin(client, "Learners(99)")
    gate.set()
    answer = finish(client, monitor)
    assert (answer.status_code, answer.headers["asyncresult"]) == (200, "404")
    assert answer.json()["error"]["code"] == "query.unknown_entity"


def test_older_clients_get_a_whole_http_message(client: TestClient, gate: threading.Event) -> None:
    monitor = begin(client, "Teams/$count")
    gate.set()
    answer = finish(client, monitor, Accept="application/http", **{"OData-MaxVersion": "4.0"})
    assert answer.headers["content-type"] == "application/http"
    assert answer.text.startswith("HTTP/1.1 200 OK\r\n")
    assert answer.text.endswith("\r\n\r\n1")


def test_a_client_of_4_0_that_names_no_format_gets_a_whole_message(
    client: TestClient, gate: threading.Event
) -> None:
    monitor = begin(client, "Teams/$count")
    gate.set()
    older = {"OData-MaxVersion": "4.0"}
    plain = finish(client, monitor, Accept="*/*", **older)
    assert (plain.headers["asyncresult"], plain.text) == ("200", "1")
    gate.clear()
    monitor = begin(client, "Teams/$count")
    gate.set()
    whole = finish(client, monitor, Accept="", **older)
    assert whole.headers["content-type"] == "application/http"
    assert whole.text.endswith("\r\n\r\n1")


def test_a_deleted_monitor_is_not_there(client: TestClient, gate: threading.Event) -> None:
    monitor = begin(client, "Teams")
    assert client.delete(monitor).status_code == 204
    gate.set()
    gone = client.get(monitor)
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "query.unknown_path")
    assert client.delete(monitor).status_code == 204
    gate.clear()
    another = begin(client, "Teams")
    gate.set()
    assert finish(client, another).json()["value"]


def test_the_answer_has_the_format_that_was_asked_for(
    client: TestClient, gate: threading.Event
) -> None:
    headers = {
        "Prefer": "respond-async, omit-values=nulls, odata.maxpagesize=1",
        "Accept": "application/json;odata.metadata=none",
        "OData-MaxVersion": "4.0",
    }
    monitor = client.get("Learners", headers=headers).headers["location"]
    gate.set()
    answer = finish(client, monitor)
    assert answer.headers["odata-version"] == "4.0"
    assert len(answer.json()["value"]) == 1
    assert None not in answer.json()["value"][0].values()


def test_a_monitor_answers_wherever_it_is_asked(
    store: Store, settings: Settings, keys: FeedKeys, client: TestClient, gate: threading.Event
) -> None:
    monitor = begin(client, "Teams/$count")
    gate.set()
    with feed_client(store, settings, keys.reader) as another_process:
        assert finish(another_process, monitor).text == "1"


def test_there_is_room_for_so_many(client: TestClient, gate: threading.Event) -> None:
    first = begin(client, "Teams")
    begin(client, "Learners")
    refused = client.get("Modules", headers=LATER)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "query.too_many_waiting"
    assert refused.headers["retry-after"] == "5"
    assert client.delete(first).status_code == 204
    begin(client, "Modules")


def test_a_monitor_is_no_longer_kept_after_its_time(
    client: TestClient, gate: threading.Event
) -> None:
    monitor = begin(client, "Teams")
    with time_machine.travel(now() + timedelta(seconds=301), tick=False):
        gone = client.get(monitor)
        assert (gone.status_code, gone.json()["error"]["code"]) == (410, "query.link_expired")
        begin(client, "Learners")
        begin(client, "Modules")


def test_a_monitor_belongs_to_its_environment(
    client: TestClient, keys: FeedKeys, gate: threading.Event
) -> None:
    monitor = begin(client, "Teams")
    stranger = client.get(monitor, headers={"X-API-Key": keys.neighbour})
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (400, "query.token")
    assert client.get(f"{monitor[:-4]}AAAA").status_code == 400
    assert client.get(monitor, headers={"X-API-Key": "wrong"}).status_code == 401


def test_parts_of_a_batch_are_answered_at_once(client: TestClient) -> None:
    part = {
        "id": "1",
        "method": "get",
        "url": "Teams/$count",
        "headers": {"prefer": "respond-async"},
    }
    (one,) = client.post("$batch", json={"requests": [part]}).json()["responses"]
    assert (one["status"], one["body"]) == (200, "1")


def test_only_questions_about_data_are_answered_later(client: TestClient) -> None:
    assert client.get("$metadata", headers=LATER).status_code == 200
    assert client.get("", headers=LATER).status_code == 200
