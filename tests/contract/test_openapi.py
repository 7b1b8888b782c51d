"""The REST contract: every promised path is there, described, and no input makes it fail."""

import json
from typing import Any

import pytest

from app.base.config import Settings
from app.store.engine import Store
from tests.contract.site import Caller, Site, an_event, open_site

# The protocol is the same whatever the database; what differs there has its tests on both.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


PROMISED = {
    ("get", "/v1/event-types"),
    ("post", "/v1/events"),
    ("get", "/v1/batches/{batch_id}"),
    ("get", "/v1/ingestion/lag"),
    ("get", "/v1/books"),
    ("get", "/v1/datasets"),
    ("get", "/v1/datasets/{name}"),
    ("post", "/v1/query"),
    ("get", "/v1/reports"),
    ("get", "/v1/reports/{name}"),
    ("get", "/v1/sources"),
    ("post", "/v1/sources"),
    ("get", "/v1/keys"),
    ("post", "/v1/keys"),
    ("delete", "/v1/keys/{key_id}"),
    ("get", "/v1/environment"),
    ("get", "/v1/limits"),
    ("get", "/v1/streams"),
    ("get", "/v1/streams/{source}/{stream}"),
    ("put", "/v1/streams/{source}/{stream}"),
    ("delete", "/v1/streams/{source}/{stream}"),
    ("post", "/v1/sources/{source}/keys"),
    ("post", "/v1/sources/{source}/seal"),
    ("post", "/v1/manifests"),
    ("post", "/v1/manifests/{manifest_id}/elements"),
    ("post", "/v1/heartbeats"),
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/metrics"),
    ("get", "/v1/status"),
}

HOSTILE = (
    "",
    "0",
    "-1",
    "9" * 5000,
    "1e309",
    "NaN",
    "null",
    "'; DROP TABLE event; --",
    "' or 1 eq 1 or '",
    "../../etc/passwd",
    "%00",
    "\ud7ff\ufffd",
    "a" * 3000,
    "__class__",
    "{{7*7}}",
    "\u202eabc",
    "(" * 500,
    "not " * 900 + "true",
    "2025-13-45T99:99:99Z",
    "🦓",
)


def post_text(caller: Caller, path: str, value: Any) -> Any:
    """Send a value as JSON, its characters unescaped."""
    text = json.dumps(value, ensure_ascii=False).encode()
    return caller.post(path, content=text, headers={"Content-Type": "application/json"})


def assert_told(response: Any) -> None:
    """An answer, or an error that was expected: 501 names what the standard knows and we do not."""
    assert response.status_code < 500 or response.status_code == 501, response.text


@pytest.fixture
def site(store: Store, settings: Settings) -> Site:
    return open_site(store, settings)


def test_every_promised_path_is_described(site: Site) -> None:
    document = site.client.get("/openapi.json").json()
    there = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert there >= PROMISED
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), (method, path)
            assert "4XX" in operation["responses"], (method, path)


def test_every_reference_of_the_document_leads_somewhere(site: Site) -> None:
    document = site.client.get("/openapi.json").json()
    waiting: list[Any] = [document]
    found = 0
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                place = document
                for step in part["$ref"].removeprefix("#/").split("/"):
                    place = place[step]
                found += 1
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    assert found > 10
    assert set(document["components"]["securitySchemes"]) == {"Bearer", "ApiKey", "Basic"}


def test_a_report_can_be_tried_out_with_the_parameters_that_most_have(site: Site) -> None:
    document = site.client.get("/openapi.json").json()
    told = document["paths"]["/v1/reports/{name}"]["get"]["parameters"]
    names = [one["name"] for one in told if one["in"] == "query"]
    caller = site.caller("acme")
    reports = caller.get("/v1/reports").json()["items"]
    of_each = [{one["name"] for one in report["parameters"]} for report in reports]
    most = {name for there in of_each for name in there if sum(name in o for o in of_each) > 9}
    assert most <= set(names)
    assert len(names) == len(set(names))
    for one in told:
        for word in one["schema"].get("enum", ()):
            path = f"/v1/reports/completion_summary?{one['name']}={word}"
            assert caller.get(path).json().get("code") in {None, "query.freshness_unmet"}, path


def test_the_docs_need_nothing_but_this_server(site: Site) -> None:
    page = site.client.get("/docs")
    assert "http" not in page.text.replace("http-equiv", "")
    assert "<script>" not in page.text
    assert "unsafe" not in page.headers["content-security-policy"]
    for asset in ("/docs/assets/swagger-ui-bundle.js", "/docs/assets/swagger-ui.css"):
        assert asset in page.text
        assert len(site.client.get(asset).content) > 100_000
    start = site.client.get("/docs/swagger-initializer.js")
    assert '"/openapi.json"' in start.text


@pytest.mark.parametrize("value", HOSTILE)
def test_no_hostile_word_makes_the_server_fail(site: Site, value: str) -> None:
    caller = site.caller("acme")
    questions: list[Any] = [
        {"dataset": value},
        {"dataset": "LearnerProgress", "select": [value]},
        {"dataset": "LearnerProgress", "where": value},
        {"dataset": "LearnerProgress", "where": f"learner_key eq '{value}'"},
        {"dataset": "LearnerProgress", "order": [{"by": value}]},
        {"dataset": "LearnerProgress", "next": value},
        {"dataset": "LearnerProgress", "timezone": value},
        {"dataset": "LearnerProgress", "as_of": value},
        {"dataset": "LearnerProgress", "select": [{"measure": value}]},
        {
            "dataset": "LearnerProgress",
            "select": [{"aggregate": value, "field": value, "as": value}],
        },
        {"dataset": "LearnerProgress", "limit": value},
        {value: value},
    ]
    for question in questions:
        assert_told(post_text(caller, "/v1/query", question))
    for name in ("as_of", "by", "module_type", "module", "limit", "next", "timezone", value[:50]):
        assert_told(caller.get("/v1/reports/completion_summary", params={name: value}))
    for path in ("/v1/datasets/", "/v1/reports/", "/v1/batches/"):
        assert_told(caller.get(path + value.replace("/", "%2F")[:2000]))
    for path in ("/v1/ingestion/lag", "/v1/keys", "/v1/sources"):
        for name in ("stream", "source", "limit", "after"):
            assert_told(caller.get(path, params={name: value}))
    assert_told(caller.ask("DELETE", f"/v1/keys/{value[:200].replace('/', '_')}"))


@pytest.mark.parametrize("value", [*HOSTILE, None, 5, 1.5, True, [], {}, [[]], {"a": {"b": []}}])
def test_no_hostile_event_makes_the_server_fail(site: Site, value: Any) -> None:
    caller = site.caller("acme")
    spoiled: list[Any] = [value]
    for name in an_event():
        spoiled.append({**an_event(), name: value})
    for name in ("learner", "module", "module_type", "cycle", "score", "passed", "series", "x"):
        spoiled.append(an_event(f"id-{name}", **{name: value}))
    response = post_text(caller, "/v1/events", spoiled)
    assert response.status_code == 202, response.text
    assert response.json()["received"] == len(spoiled)
    assert caller.get("/v1/books").json()["balanced"] is True
    for body in ({"source": value}, {"scopes": value}, {"scopes": [value]}, value):
        for path in ("/v1/sources", "/v1/keys"):
            assert_told(post_text(caller, path, body))


def test_a_delivery_is_receipted_now_and_later(site: Site) -> None:
    caller = site.caller("acme")
    events = [an_event("a"), an_event("b", learner="u2"), an_event("a")]
    first = caller.post("/v1/events", json=events, headers={"Prefer": "return=representation"})
    assert first.status_code == 202
    assert first.headers["preference-applied"] == "return=representation"
    told = first.json()
    assert [item["outcome"] for item in told["items"]] == ["accepted", "accepted", "duplicate"]
    later = caller.get(first.headers["location"]).json()
    assert later["batch_id"] == told["batch_id"]
    assert [item.get("disposition") for item in later["items"]] == ["pending"] * 3


def test_lists_are_paged_to_their_end(site: Site) -> None:
    caller = site.caller("acme")
    for number in range(5):
        caller.post("/v1/sources", json={"source": f"s&{number}"})
    path: str | None = "/v1/sources?limit=2"
    seen: list[str] = []
    while path and len(seen) < 20:
        page = caller.get(path)
        seen += [item["source"] for item in page.json()["items"]]
        path = page.json()["next"]
        assert (path is not None) == ("link" in page.headers)
    assert seen == ["legacy", *(f"s&{number}" for number in range(5))]
