"""What errors look like from outside: problem documents, challenges, nothing of the inside."""

import gzip
import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.base.config import Settings
from app.main import create_app
from app.store.engine import Store
from tests.contract.site import Site, an_event, open_site

# The protocol is the same whatever the database; what differs there has its tests on both.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


MEMBERS = {"type", "title", "status", "detail", "code", "hint", "instance"}


@pytest.fixture
def site(store: Store, settings: Settings) -> Site:
    return open_site(store, settings)


def assert_problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body.keys() >= MEMBERS
    assert (body["status"], body["code"]) == (status, code)
    assert body["instance"].endswith(response.headers["x-request-id"])
    assert response.text.isascii()
    return body


def test_a_request_without_a_key_is_told_how_to_send_one(site: Site) -> None:
    response = site.stranger().get("/v1/books")
    body = assert_problem(response, 401, "access.not_authenticated")
    assert response.headers["www-authenticate"] == 'Basic realm="Fullcount", Bearer'
    assert "X-API-Key" in body["hint"]


def test_a_key_opens_as_bearer_as_header_and_as_password(site: Site) -> None:
    caller = site.caller("acme", "read")
    assert caller.get("/v1/books").status_code == 200
    stranger = site.stranger()
    assert stranger.get("/v1/books", headers={"X-API-Key": caller.key}).status_code == 200
    assert site.client.get("/v1/books", auth=("anyone", caller.key)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer fc_abc"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic /////w=="},
        {"Authorization": "Digest x"},
        {"X-API-Key": "fc_AAAAAAAAAAAAAAAA_" + "a" * 43},
    ],
)
def test_a_wrong_key_is_401_whatever_it_looks_like(site: Site, headers: dict[str, str]) -> None:
    response = site.stranger().get("/v1/books", headers=headers)
    assert_problem(response, 401, "access.not_authenticated")
    assert "www-authenticate" in response.headers


def test_a_revoked_key_is_gone_at_the_next_request(site: Site) -> None:
    admin = site.caller("acme")
    reader = site.key_of(admin.environment_id, "read")
    assert reader.get("/v1/books").status_code == 200
    assert admin.ask("DELETE", f"/v1/keys/{reader.key.split('_')[1]}").status_code == 204
    body = assert_problem(reader.get("/v1/books"), 401, "access.not_authenticated")
    assert "revoked" in body["detail"]


def test_an_address_that_fails_too_often_waits(store: Store, settings: Settings) -> None:
    few = settings.model_copy(update={"limit_failed_keys_per_min": 3})
    site = open_site(store, few)
    wrong = {"X-API-Key": "fc_wrong"}
    for _ in range(3):
        assert site.stranger().get("/v1/books", headers=wrong).status_code == 401
    response = site.stranger().get("/v1/books", headers=wrong)
    assert_problem(response, 429, "access.too_many_failures")
    assert response.headers["retry-after"] == "60"


def test_keys_that_are_good_pass_whoever_failed_at_their_address(
    store: Store, settings: Settings
) -> None:
    site = open_site(store, settings.model_copy(update={"limit_failed_keys_per_min": 1}))
    reader, stranger = site.caller("acme", "read"), site.stranger()
    wrong = {"X-API-Key": "fc_wrong"}
    for path in ("/v1/books", "/odata/v4/Freshness"):
        for _ in range(3):
            failed = stranger.get(path, headers=wrong)
        assert failed.status_code == 429, path
        assert reader.get(path).status_code == 200, path
        # A client that waits for the challenge sends its key after this answer only.
        assert stranger.get(path).headers["www-authenticate"], path


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/events", "ingest"),
        ("POST", "/v1/query", "read"),
        ("GET", "/v1/ingestion/lag", "read"),
        ("GET", "/v1/keys", "admin"),
        ("POST", "/v1/sources", "admin"),
        ("DELETE", "/v1/keys/x", "admin"),
        ("GET", "/metrics", "operate"),
    ],
)
def test_a_key_without_the_scope_is_told_which(
    site: Site, method: str, path: str, scope: str
) -> None:
    caller = site.caller("acme", "pii")
    body = assert_problem(caller.ask(method, path), 403, "access.scope_missing")
    assert scope in body["detail"]


def test_an_unknown_address_is_404_and_a_wrong_method_405_with_allow(site: Site) -> None:
    assert_problem(site.stranger().get("/v1/nothing"), 404, "query.unknown_path")
    response = site.stranger().ask("PUT", "/v1/keys")
    assert_problem(response, 405, "http.method")
    assert response.headers["allow"] == "GET, POST"
    assert site.stranger().ask("POST", "/healthz").headers["allow"] == "GET"


def test_the_request_id_of_the_caller_is_kept_only_when_harmless(site: Site) -> None:
    kept = site.client.get("/healthz", headers={"X-Request-ID": "abc-123"})
    assert kept.headers["x-request-id"] == "abc-123"
    for bad in ("a" * 65, "a b", 'x"y', "a;b"):
        response = site.client.get("/healthz", headers={"X-Request-ID": bad})
        assert response.headers["x-request-id"] != bad


def test_what_is_too_long_is_named_with_its_limit(site: Site) -> None:
    long_url = site.client.get("/v1/books?x=" + "a" * 17_000)
    assert "16384" in assert_problem(long_url, 414, "http.url_too_long")["detail"]
    many = site.client.get("/v1/books", headers={f"x-{i}": "1" for i in range(120)})
    assert_problem(many, 431, "http.headers_too_large")
    wide = site.client.get("/v1/books", headers={"x-a": "a" * 40_000})
    assert_problem(wide, 431, "http.headers_too_large")


@pytest.mark.parametrize(
    "path",
    ["/v1/keys?after=%00", "/v1/datasets/%00"],
)
def test_a_url_with_a_nul_is_refused(site: Site, path: str) -> None:
    assert_problem(site.caller("acme").get(path), 400, "query.syntax")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/odata/v4/Modules?$filter=name%20eq%20'%00'", 400, "query.syntax"),
        ("/odata/v4/complete/Modules?x=" + "a" * 17_000, 414, "http.url_too_long"),
    ],
)
def test_what_the_feed_never_sees_is_refused_in_its_words(
    site: Site, path: str, status: int, code: str
) -> None:
    answer = site.caller("acme").get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers["odata-version"] == "4.01"
    assert answer.headers["x-request-id"]


def test_a_body_over_the_limit_is_refused_announced_or_not(site: Site) -> None:
    caller = site.caller("acme", "ingest")
    body = b" " * (2 * 1024 * 1024 + 1)
    kind = {"Content-Type": "application/x-ndjson"}
    announced = caller.post("/v1/events", content=body, headers=kind)
    assert_problem(announced, 413, "body.too_large")
    streamed = caller.post(
        "/v1/events",
        content=(body[i : i + 65536] for i in range(0, len(body), 65536)),
        headers=kind,
    )
    assert_problem(streamed, 413, "body.too_large")


def test_a_gzip_bomb_is_stopped(site: Site) -> None:
    caller = site.caller("acme", "ingest", "read")
    bomb = gzip.compress(b"[" + b" " * (60 * 1024 * 1024) + b"]")
    given = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    for path in ("/v1/events", "/v1/query"):
        response = caller.post(path, content=bomb, headers=given)
        assert_problem(response, 413, "body.too_large")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "body.not_json"),
        (b"{", 400, "body.not_json"),
        (b'{"dataset":"A","dataset":"B"}', 400, "body.not_json"),
        (b'{"dataset":NaN}', 400, "body.not_json"),
        (b'{"dataset":' + b"[" * 40 + b"]" * 40 + b"}", 400, "body.not_json"),
        (b'{"dataset":"a\\u0000"}', 400, "body.not_json"),
        (b'{"dataset":"\\ud800"}', 400, "body.not_json"),
        (b'{"limit":123456789012345678901234567890}', 400, "body.not_json"),
        (b"\xff\xfe", 400, "body.not_json"),
        (b"[]", 422, "body.invalid"),
        (b"{}", 422, "body.invalid"),
        (b'{"dataset":"Modules","limits":5}', 422, "body.invalid"),
        (b'{"dataset":"Modules","limit":"5"}', 422, "body.invalid"),
        (b'{"dataset":"Modules","limit":0}', 422, "body.invalid"),
        (b'{"dataset":"Modules","select":[{"nope":1}]}', 422, "body.invalid"),
        (b'{"dataset":"Modules","as_of":"2025-01-01T00:00:00"}', 422, "body.invalid"),
        (b'{"dataset":"Modulez"}', 404, "query.unknown_dataset"),
        (b'{"dataset":"Modules","select":["nam"]}', 400, "query.unknown_field"),
        (b'{"dataset":"Modules","where":"name eq"}', 400, "query.syntax"),
        (b'{"dataset":"Modules","where":"name eq 5"}', 400, "query.type"),
        (b'{"dataset":"Modules","next":"abc"}', 400, "query.token"),
        (b'{"dataset":"Modules","timezone":"../etc"}', 422, "access.bad_name"),
    ],
)
def test_a_bad_question_is_told_what_is_wrong(
    site: Site, body: bytes, status: int, code: str
) -> None:
    caller = site.caller("acme", "read")
    response = caller.post("/v1/query", content=body, headers={"Content-Type": "application/json"})
    assert_problem(response, status, code)


def test_a_bad_shape_names_each_member_and_never_echoes_the_input(site: Site) -> None:
    caller = site.caller("acme", "read")
    secret = "sEcReT-input"
    asked = {"dataset": 5, "where": {"a": secret}, "select": [[secret]], "order": secret}
    response = caller.post("/v1/query", json=asked)
    body = assert_problem(response, 422, "body.invalid")
    paths = {problem["path"] for problem in body["problems"]}
    assert paths == {"dataset", "where", "select[0]", "order"}
    assert secret not in response.text
    many = caller.post(
        "/v1/query", json={"dataset": "Modules", "order": [5] * 20, "select": [5] * 9}
    )
    assert len(many.json()["problems"]) == 20


def test_a_parameter_of_the_wrong_type_is_told_by_name(site: Site) -> None:
    caller = site.caller("acme")
    body = assert_problem(caller.get("/v1/keys?limit=abc"), 400, "query.option")
    assert body["problems"][0]["path"] == "query.limit"
    assert_problem(caller.get("/v1/ingestion/lag?stream=nope"), 400, "query.option")
    assert_problem(caller.get("/v1/ingestion/lag?source=nope"), 404, "access.unknown_name")


def test_other_content_types_and_encodings_are_415(site: Site) -> None:
    caller = site.caller("acme")
    for path in ("/v1/query", "/v1/events", "/v1/keys", "/v1/sources"):
        plain = caller.post(path, content=b"{}", headers={"Content-Type": "text/plain"})
        assert_problem(plain, 415, "body.unknown_type")
        given = {"Content-Type": "application/json", "Content-Encoding": "br"}
        assert_problem(
            caller.post(path, content=b"{}", headers=given), 415, "body.unknown_encoding"
        )


def test_a_single_bad_event_is_422_and_a_changed_one_409_but_a_list_is_202(site: Site) -> None:
    caller = site.caller("acme")
    kind = {"Content-Type": "application/cloudevents+json"}
    bad = caller.post("/v1/events", content=json.dumps(an_event(module_type="nope")), headers=kind)
    body = assert_problem(bad, 422, "events.rejected")
    assert any("module_type" in problem["path"] for problem in body["problems"])
    assert caller.post("/v1/events", json=an_event()).status_code == 202
    assert caller.post("/v1/events", json=an_event()).json()["duplicate"] == 1
    changed = caller.post("/v1/events", json=an_event(score=5))
    assert_problem(changed, 409, "events.conflict")
    mixed = caller.post("/v1/events", json=[an_event(score=5), an_event("e-2"), 7])
    assert mixed.status_code == 202
    assert [item["outcome"] for item in mixed.json()["items"]] == ["conflict", "rejected"]
    assert mixed.json()["accepted"] == 1


def test_an_unexpected_failure_shows_nothing_of_the_inside(
    store: Store, settings: Settings
) -> None:
    application = create_app(settings, store=store, worker=False)

    def fail() -> None:
        raise RuntimeError("the inside: SELECT secret FROM table")

    application.add_api_route("/fail", fail)
    client = TestClient(application, raise_server_exceptions=False)
    response = client.get("/fail")
    body = assert_problem(response, 500, "internal")
    assert "SELECT" not in response.text
    assert "RuntimeError" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"
    assert body["hint"]


def test_every_answer_has_its_security_headers(site: Site) -> None:
    for path in ("/", "/healthz", "/v1/books", "/nope", "/docs", "/odata/v4/"):
        headers = site.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "x-request-id" in headers


def test_a_page_of_another_origin_may_read_the_verdict_only_when_it_is_listed(
    store: Store, settings: Settings
) -> None:
    listed = settings.model_copy(update={"cors_origins": "https://dashboards.example.org"})
    client = open_site(store, listed).client
    good = client.get("/healthz", headers={"Origin": "https://dashboards.example.org"})
    assert good.headers["access-control-allow-origin"] == "https://dashboards.example.org"
    assert "Data-Freshness" in good.headers["access-control-expose-headers"]
    bad = client.get("/healthz", headers={"Origin": "https://evil.example.org"})
    assert "access-control-allow-origin" not in bad.headers
    closed = open_site(store, settings).client
    shut = closed.get("/healthz", headers={"Origin": "https://dashboards.example.org"})
    assert "access-control-allow-origin" not in shut.headers
