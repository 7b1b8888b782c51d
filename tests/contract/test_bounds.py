"""No number beyond 64 bits and no moment at the edges of the calendar makes any route fail."""

import re
from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest

from app.base.clock import now
from app.base.config import Settings
from app.ledger.buckets import fold_everywhere
from app.ledger.history import keep_history
from app.processing.drain import drain_all
from app.store.engine import Store
from tests.contract.site import Caller, an_event, open_site

Path = tuple[str, ...]

NUMBERS = (-1, 2**31, 2**53 - 1, 2**63 - 1, 2**63, 99999999999999999999)
MOMENTS = (
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "1969-12-31T23:50:00Z",
    "9999-12-31T23:50:00Z",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-14:00",
)
EARLY = quote(MOMENTS[1], safe="")
FILLED = {"stream": "quest", "source": "legacy", "name": "completion_summary", "token": "x"}
HOUR = {"from": "2025-05-24T10:00:00Z", "to": "2025-05-24T11:00:00Z"}
CONTRACT = {"objective_s": 2000}
SOUND: dict[str, Any] = {
    "/v1/manifests": {
        "spec": "fm/1",
        "source": "legacy",
        "stream": "quest",
        **HOUR,
        "anchor": "record",
        "count": 0,
        "alg": "count",
    },
    "/v1/manifests/{manifest_id}/elements": {
        "splits": [{"counts": [0] * 16, "sums": ["A" * 43] * 16}]
    },
    "/v1/heartbeats": {
        "source": "legacy",
        "sent_at": "2025-05-24T10:00:00Z",
        "seq": 1,
        "streams": [{"stream": "quest"}],
    },
    "/v1/query": {"dataset": "LearnerProgress"},
    "/v1/rebuilds": {"stream": "quest"},
    "/v1/dead/redrive": {"seqs": [1]},
    "/v1/dead/waive": {"seqs": [1], "reason": "r"},
    "/v1/streams/{source}/{stream}": CONTRACT,
    "/v1/sources": {"source": "more", "contract": CONTRACT},
    "/v1/sources/{source}/keys": {},
    "/v1/keys": {"scopes": ["read"]},
}
LATER = (
    "/v1/ingestion/lag",
    "/v1/ingestion/buckets?stream=quest&source=legacy",
    "/v1/ingestion/defects",
    "/v1/completeness/history",
    "/v1/streams",
    "/v1/sources",
    "/v1/keys",
    "/v1/rebuilds",
    "/v1/books?recount=true",
    "/v1/processing",
    "/v1/status",
    "/metrics",
    "/odata/v4/LearnerProgress",
    "/odata/v4/IngestionLagSources",
    "/odata/v4/Freshness",
)


@pytest.fixture
def acme(store: Store, settings: Settings) -> Caller:
    caller = open_site(store, settings).caller("acme")
    assert caller.post("/v1/events", json=[an_event()]).json()["accepted"] == 1
    return caller


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every method of every path, as the API docs tell it."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def find_bounded(
    schema: dict[str, Any], document: dict[str, Any], at: Path = ()
) -> Iterator[tuple[Path, tuple[Any, ...]]]:
    """Where a body holds whole numbers and moments, with such as may be too much for it."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if schema.get("type") == "integer":
        yield at, NUMBERS
    if schema.get("format") == "date-time":
        yield at, MOMENTS
    for name in ("anyOf", "oneOf"):
        for choice in schema.get(name, ()):
            yield from find_bounded(choice, document, at)
    for name, part in schema.get("properties", {}).items():
        yield from find_bounded(part, document, (*at, name))
    if "items" in schema and at:
        yield from find_bounded(schema["items"], document, (*at, "0"))


def spoil(body: Any, at: Path, value: Any) -> Any:
    """The body with this value at a place of it."""
    spoiled = deepcopy(body)
    place = spoiled
    for name, following in pairwise(at):
        if isinstance(place, list):
            place = place[int(name)]
        else:
            place = place.setdefault(name, [None] if following == "0" else {})
    place[int(at[-1]) if isinstance(place, list) else at[-1]] = value
    return spoiled


def fill(path: str, **given: str) -> str:
    """A path with its parameters, `1` for what is a number."""
    return re.sub(r"{(\w+)}", lambda found: ({**FILLED, **given}).get(found[1], "1"), path)


def assert_told(response: Any, *asked: object) -> None:
    assert response.status_code < 500, (asked, response.text)


def test_no_parameter_of_any_route_leads_beyond_what_can_be_kept(acme: Caller) -> None:
    document = acme.client.get("/openapi.json").json()
    texts = [str(number) for number in NUMBERS] + list(MOMENTS)
    tried = 0
    for method, path, operation in operations(document):
        given = operation.get("parameters", ())
        if method != "GET":
            given = [one for one in given if one["in"] == "path" and one["name"].endswith("_id")]
        needed = "&".join(
            f"{one['name']}={FILLED[one['name']]}"
            for one in given
            if one["in"] == "query" and one["required"]
        )
        for one in given:
            for text in texts:
                said = quote(text, safe="")
                if one["in"] == "path":
                    asked = f"{fill(path, **{one['name']: said})}?{needed}"
                else:
                    asked = f"{fill(path)}?{needed}&{one['name']}={said}"
                response = acme.ask(method, asked, json=SOUND.get(path, {}))
                if path != "/readyz":
                    assert_told(response, method, asked)
                tried += 1
    assert tried > 500


def test_no_body_of_any_route_leads_beyond_what_can_be_kept(
    acme: Caller, store: Store, settings: Settings
) -> None:
    document = acme.client.get("/openapi.json").json()
    tried = 0
    for method, path, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        spoiled = [
            spoil(SOUND[path], at, value)
            for at, values in dict.fromkeys(find_bounded(schema, document))
            for value in values
        ]
        for body in spoiled:
            assert_told(acme.ask(method, fill(path), json=body), method, path, body)
        tried += len(spoiled)
        if spoiled:
            for later in LATER:
                assert_told(acme.get(later), method, path, later)
            fold_everywhere(store)
            keep_history(store, now=now())
            drain_all(store, settings)
    assert tried > 200


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("/v1/ingestion/defects?after=99999999999999999999", None, "query.after"),
        ("/v1/ingestion/defects/99999999999999999999/missing", None, "path.defect_id"),
        ("/v1/completeness/history?after=9223372036854775808", None, "query.after"),
        (f"/v1/completeness/history?as_known_at={EARLY}", None, "query.as_known_at"),
        ("/v1/ingestion/lag?at=1969-12-31T23:59:59Z", None, "query.at"),
        ("/v1/rebuilds", {"from": "0001-01-01T00:00:00+14:00"}, "from"),
        ("/v1/rebuilds", {"to": "9999-12-31T23:59:59-14:00"}, "to"),
        ("/v1/keys", {"scopes": ["read"], "expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
        ("/v1/sources/legacy/keys", {"valid_from": "9999-12-31T23:59:59Z"}, "valid_from"),
    ],
)
def test_what_is_out_of_bounds_is_named(
    acme: Caller, path: str, body: dict[str, Any] | None, word: str
) -> None:
    refused = acme.get(path) if body is None else acme.post(path, json=body)
    assert refused.status_code == (400 if body is None else 422)
    assert [problem["path"] for problem in refused.json()["problems"]] == [word]


@pytest.mark.parametrize(
    "asked",
    [
        "$filter=cycle mul 9223372036854775807 gt 1",
        "$apply=toppercent(50,score)",
        "$orderby=points mul 10",
        "$select=points",
    ],
)
def test_the_greatest_numbers_of_events_are_answered(
    acme: Caller, store: Store, settings: Settings, asked: str
) -> None:
    most = {"cycle": 2**62, "score": 1.7e308, "max_score": 1.7e308}
    events = [an_event("g-0", **most)]
    for number in (1, 2):
        awarded = an_event(f"g-{number}", cycle=2**62, points=1.7e308)
        events.append({**awarded, "type": "points.awarded"})
    assert acme.post("/v1/events", json=events).json()["accepted"] == 3
    drain_all(store, settings)
    response = acme.get(f"/odata/v4/LearnerProgress?{quote(asked, safe='$=')}")
    assert response.status_code == 200, response.text
