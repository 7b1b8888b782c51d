"""Every answer to a question about data says how complete it is, in headers that parse."""

from datetime import UTC, datetime, timedelta
from typing import Any

import http_sf
import pytest

from app.base.config import Settings
from app.http.freshness import freshness_headers
from app.ledger.facts import Freshness, StreamLag
from app.ledger.standing import Standing
from app.ledger.verdict import MANIFEST_MISSING, State, Verdict
from app.store.engine import Store, transaction
from app.store.tables import Stream
from app.store.tables.columns import table_of
from tests.contract.site import Caller, an_event, open_site

QUESTIONS = (
    ("GET", "/v1/ingestion/lag", None),
    ("GET", "/v1/reports/completion_summary", None),
    ("GET", "/v1/reports/learner_progress?module_type=quest", None),
    ("POST", "/v1/query", {"dataset": "LearnerProgress"}),
    ("POST", "/v1/query", {"dataset": "IngestionLag"}),
    ("GET", "/odata/v4/LearnerProgress", None),
    ("GET", "/odata/v4/Modules/$count", None),
)


@pytest.fixture
def caller(store: Store, settings: Settings) -> Caller:
    return open_site(store, settings).caller("acme")


def ask(caller: Caller, method: str, path: str, body: Any) -> Any:
    return caller.ask(method, path, **({} if body is None else {"json": body}))


def item_of(header: str) -> tuple[str, dict[str, Any]]:
    parsed: Any = http_sf.parse(header.encode(), tltype="item")
    return str(parsed[0]), dict(parsed[1])


@pytest.mark.parametrize(("method", "path", "body"), QUESTIONS)
def test_an_answer_about_data_carries_its_verdict(
    caller: Caller, method: str, path: str, body: Any
) -> None:
    response = ask(caller, method, path, body)
    assert response.status_code == 200, response.text
    header = response.headers["data-freshness"]
    verdict, told = item_of(header)
    assert header.partition(";")[0] == verdict == "unknown"
    assert str(told["reason"]) == "manifest_missing"
    assert told["streams"] >= 1
    assert told["revision"] == 0
    assert isinstance(told["evaluated"], datetime)
    streams: Any = http_sf.parse(response.headers["data-freshness-streams"].encode(), tltype="list")
    assert str(streams[0][0]) == told["worst"]
    assert all(str(parameters["v"]) == "unknown" for _, parameters in streams)
    assert 'rel="describedby"' in response.headers["link"]
    assert response.headers["cache-control"] == "private, no-cache"
    assert "Authorization" in response.headers["vary"]


def test_what_nobody_owes_is_unknown_because_there_is_no_contract(
    store: Store, settings: Settings
) -> None:
    site = open_site(store, settings)
    site.caller("acme")
    with_nothing = site.caller("empty")
    table = table_of(Stream)
    with transaction(store) as connection:
        connection.execute(
            table.delete().where(table.c.environment_id == with_nothing.environment_id)
        )
    response = with_nothing.get("/v1/ingestion/lag?stream=quest")
    assert response.headers["data-freshness"].startswith("unknown;reason=no_contract;streams=1")


def test_the_verdict_stands_in_the_body_as_well_and_unknown_counts_are_null(
    caller: Caller,
) -> None:
    told = caller.post("/v1/query", json={"dataset": "LearnerProgress"}).json()["freshness"]
    assert (told["verdict"], told["reason"]) == ("unknown", "manifest_missing")
    assert (told["through"], told["missing"]) == (None, None)
    assert told["streams"][0].keys() == {"stream", "verdict", "reason", "through"}


def test_a_question_touches_only_the_streams_of_its_module_types(caller: Caller) -> None:
    asked = {"dataset": "LearnerProgress", "where": "module_type in ('quest','ilt')"}
    told = caller.post("/v1/query", json=asked).json()["freshness"]
    types = {stream["stream"] for stream in told["streams"]} - {"people", "catalog", "assignments"}
    assert types == {"quest", "ilt"}


def test_pending_work_shows_in_the_lag_of_its_stream_alone(caller: Caller) -> None:
    caller.post("/v1/events", json=[an_event("e-1"), an_event("e-2", learner="u2"), {"id": "bad"}])
    lag = caller.get("/v1/ingestion/lag").json()
    by_name = {row["stream"]: row for row in lag["streams"]}
    assert by_name["quest"]["counts"]["pending"] == 2
    assert by_name["quest"]["counts"]["accepted"] == 2
    assert by_name["ilt"]["counts"]["pending"] == 0
    assert by_name["quest"]["last_received_at"] is not None
    assert by_name["quest"]["lag"]["processing_s"] >= 0
    assert by_name["quest"]["counts"]["missing"] is None
    assert lag["verdict"] == "unknown"
    one = caller.get("/v1/ingestion/lag?stream=quest&source=legacy").json()["streams"]
    assert [(row["source"], row["counts"]["pending"]) for row in one] == [("legacy", 2)]


def test_the_headers_stay_within_their_room_and_name_the_worst_first() -> None:
    def lag(name: str, state: State) -> StreamLag:
        return StreamLag(name, "module_type", "", Standing(Verdict(state, MANIFEST_MISSING)))

    streams = (
        lag("worst", State.STALLED),
        *(lag("n" * 200 + str(i), State.UNKNOWN) for i in range(40)),
    )
    moment = datetime(2025, 5, 28, 23, 36, 40, tzinfo=UTC) + timedelta(microseconds=5)
    headers = freshness_headers(Freshness(streams[0].verdict, streams, 88123, moment))
    shown = headers["Data-Freshness"] + headers["Data-Freshness-Streams"]
    assert len(shown) <= 2048
    verdict, told = item_of(headers["Data-Freshness"])
    assert (verdict, told["worst"], told["revision"]) == ("stalled", "worst", 88123)
    assert headers["Data-Freshness"].endswith("evaluated=@1748475400")
    assert headers["Data-Freshness-Streams"].startswith("worst;v=stalled")


def test_an_error_that_never_became_a_question_claims_nothing(caller: Caller) -> None:
    response = caller.post("/v1/query", json={"dataset": "Nope"})
    assert response.status_code == 404
    assert "data-freshness" not in response.headers


def test_a_page_of_another_origin_may_read_the_freshness(store: Store, settings: Settings) -> None:
    allowed = settings.model_copy(update={"cors_origins": "https://bi.example"})
    caller = open_site(store, allowed).caller("acme")
    response = caller.get("/v1/reports/learner_progress", headers={"Origin": "https://bi.example"})
    exposed = response.headers["access-control-expose-headers"]
    for name in ("Data-Freshness", "Data-Freshness-Streams", "Data-Receipt", "Link", "ETag"):
        assert name in exposed
