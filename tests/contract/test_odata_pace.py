"""A question whose like was quick is answered where it arrives, as it would be in a thread."""

import threading
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update
from starlette.responses import Response

from app.access.keys import list_keys
from app.access.principal import Principal
from app.base.config import Settings
from app.base.errors import TooExpensive
from app.http.caller import note_use
from app.odata import routes
from app.odata.calls import Call
from app.store.engine import Store, snapshot, transaction
from app.store.tables import ApiKey
from app.store.tables.columns import table_of
from tests.contract.feed_rows import feed_client, fill_feed

QUICK = "Learners?$filter=learner_key eq 'u1'"


@pytest.fixture
def client(store: Store, settings: Settings) -> Iterator[TestClient]:
    with feed_client(store, settings, fill_feed(store).reader) as opened:
        yield opened


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each try of an answer, whether it was in a thread of the feed."""
    tries: list[bool] = []
    answer = routes.answer_call

    def noted(front: routes.Front, call: Call) -> Response:
        tries.append(threading.current_thread().name.startswith("feed"))
        return answer(front, call)

    monkeypatch.setattr(routes, "answer_call", noted)
    # What the machine does beside it is not asked here.
    monkeypatch.setattr(routes, "thread_time", lambda: 0.0)
    return tries


def test_a_question_whose_like_was_quick_needs_no_thread_on_sqlite(
    store: Store, client: TestClient, answering: list[bool]
) -> None:
    first = client.get(QUICK)
    like = client.get(QUICK.replace("u1", "u2"))
    again = client.get(QUICK)
    assert answering == [True, *[store.dialect_name == "postgresql"] * 2]
    assert (first.status_code, like.status_code) == (200, 200)
    assert again.json()["value"] == first.json()["value"] != like.json()["value"]
    assert again.headers["etag"] == first.headers["etag"]


def test_what_is_wrong_with_it_is_said_in_the_same_words(
    client: TestClient, answering: list[bool]
) -> None:
    said = [client.get("Learners?$filter=nonsense eq 1") for _ in range(2)]
    assert [one.status_code for one in said] == [400, 400]
    assert said[0].json() == said[1].json()
    assert len(answering) == 2


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_one_that_takes_too_long_after_all_goes_to_a_thread(
    client: TestClient, answering: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = client.get(QUICK).json()["value"]
    left = Call.seconds_left

    def none_left(call: Call, limit_s: float) -> float:
        if call.within_s is not None:
            raise TooExpensive("it took longer than it may here")
        return left(call, limit_s)

    monkeypatch.setattr(Call, "seconds_left", none_left)
    assert client.get(QUICK).json()["value"] == plain
    assert answering == [True, False, True]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_that_a_key_was_used_is_written_down_by_a_thread(
    store: Store, client: TestClient, answering: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    writers: list[bool] = []
    is_written = threading.Event()

    def noted(store: Store, principal: Principal) -> None:
        writers.append(threading.current_thread().name.startswith("feed"))
        note_use(store, principal)
        is_written.set()

    client.get(QUICK)
    keys = table_of(ApiKey)
    with transaction(store) as connection:
        unused = update(keys).where(keys.c.environment_id == 1).values(last_used_at=None)
        connection.execute(unused)
    monkeypatch.setattr("app.odata.routes.note_use", noted)
    assert client.get(QUICK).status_code == 200
    assert answering == [True, False]
    assert is_written.wait(30)
    assert writers == [True]
    with snapshot(store) as connection:
        assert any(one.last_used_at is not None for one in list_keys(connection, 1))
