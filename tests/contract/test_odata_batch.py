"""$batch, as JSON and as multipart: reads grouped in one request, each answered as if alone."""

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.base.config import Settings
from app.odata import batch
from app.store.engine import Store
from tests.contract.batches import (
    BOUNDARY,
    get,
    multipart,
    post_parts,
    read_http,
    refusal,
    send,
    statuses,
)
from tests.contract.feed_rows import ROOT, FeedKeys, feed_client, fill_feed

# The protocol is the same whatever the database; what differs there has its tests on both.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


MIXED = {"Accept": "multipart/mixed"}


@pytest.fixture
def keys(store: Store) -> FeedKeys:
    return fill_feed(store)


@pytest.fixture
def client(store: Store, settings: Settings, keys: FeedKeys) -> Iterator[TestClient]:
    with feed_client(store, settings, keys.reader) as opened:
        yield opened


# JSON


def test_each_part_is_answered_as_if_it_had_come_alone(client: TestClient) -> None:
    urls = {
        "set": "Learners?$top=2&$select=learner_key&$count=true",
        "one": "/odata/v4/Learners(3)",
        "all": f"{ROOT}/Teams",
        "count": "LearnerProgress/$count?$filter=score eq null",
        "value": "Learners(3)/learner_key/$value",
    }
    responses = send(client, *(get(name, url) for name, url in urls.items()))
    assert [one["id"] for one in responses] == list(urls)
    for one in responses:
        alone = client.get(urls[one["id"]].removeprefix("/odata/v4/"))
        assert one["status"] == alone.status_code == 200
        body = one["body"]
        if isinstance(body, dict):
            told = alone.json()
            assert body | {"@fullcount.evaluated_at": ""} == told | {"@fullcount.evaluated_at": ""}
        else:
            assert str(body) == alone.text
        assert one["headers"]["content-type"] == alone.headers["content-type"]


def test_each_part_carries_its_own_verdict(client: TestClient) -> None:
    quest, people = send(
        client,
        get("1", "LearnerProgress?$filter=module_type eq 'quest'&$select=status"),
        get("2", "Teams"),
    )
    assert "streams=1" in people["headers"]["data-freshness"]
    assert quest["headers"]["data-freshness"] != people["headers"]["data-freshness"]
    assert quest["body"]["@fullcount.verdict"] == "unknown"


def test_an_error_belongs_to_its_part_and_the_others_go_on(client: TestClient) -> None:
    responses = send(
        client,
        get("1", "Nonsense"),
        get("2", "Learners(99)"),
        get("3", "Learners?$filter=learner_key eq"),
        {"id": "4", "method": "delete", "url": "Learners(1)"},
        {"id": "5", "method": "post", "url": "Learners", "body": {"learner_key": "x"}},
        get("6", "Teams(1)"),
    )
    assert statuses(responses) == {"1": 404, "2": 404, "3": 400, "4": 405, "5": 405, "6": 200}
    assert responses[0]["body"]["error"]["code"] == "query.unknown_path"
    assert responses[3]["headers"]["allow"] == "GET, HEAD, OPTIONS"


def test_a_caller_may_want_the_first_error_to_end_it(client: TestClient) -> None:
    parts = (get("1", "Teams(1)"), get("2", "Nonsense"), get("3", "Teams(1)"))
    stopped = send(client, *parts, prefer="continue-on-error=false")
    assert statuses(stopped) == {"1": 200, "2": 404}
    went_on = client.post(
        "$batch",
        json={"requests": list(parts)},
        headers={"Prefer": "odata.continue-on-error"},
    )
    assert went_on.headers["preference-applied"] == "continue-on-error=true"
    assert len(went_on.json()["responses"]) == 3


def test_a_part_can_depend_on_others_and_begin_where_they_ended(client: TestClient) -> None:
    responses = send(
        client,
        get("a", "LearnerProgress(3)"),
        get("b", "$a/learner?$select=learner_key", dependsOn=["a"]),
        get("c", "$b/team", dependsOn=["a", "b"]),
        get("d", "$a/learner"),
        get("bad", "Nonsense"),
        get("e", "Teams(1)", dependsOn=["bad"]),
        get("f", "Teams(1)", dependsOn=["e"]),
    )
    assert statuses(responses) == {
        "a": 200, "b": 200, "c": 204, "d": 400, "bad": 404, "e": 424, "f": 424,
    }  # fmt: skip
    assert responses[1]["body"]["learner_key"] == "u/4'2"
    assert responses[5]["body"]["error"]["code"] == "query.dependency"


@pytest.mark.parametrize(
    ("url", "headers", "body"),
    [
        ("Learners(3)", {}, ""),
        ("Learners(@k)?@k=3&$select=status", {"accept": "application/json;metadata=none"}, ""),
        ("Learners(learner_key=@k)?@k='u%2F4''2'", {}, ""),
        ("$entity?$id=Learners(3)", {}, ""),
        ("$entity/fullcount.Learner?$id=/odata/v4/Learners(@k)&@k=3", {}, ""),
        ("Learners(@k)/$query", {"content-type": "text/plain"}, "@k=3"),
        ("Learners(3)/progress(3)/learner", {}, ""),
        ("Learners(3)/progress(@k)/learner?@k=3", {}, ""),
    ],
)
def test_a_reference_is_the_entity_that_was_returned_however_it_was_named(
    client: TestClient, url: str, headers: dict[str, str], body: str
) -> None:
    first = get("1", url, headers=headers)
    if body:
        first |= {"method": "post", "body": body}
    needed = {"dependsOn": ["1"]}
    responses = send(
        client,
        first,
        get("2", "$1/learner_key/$value?@k=5", **needed),
        get("3", "$1?$select=learner_key", **needed),
        get("4", "$3/learner_key/$value", dependsOn=["3"]),
    )
    assert [one["status"] for one in responses] == [200] * 4
    assert responses[1]["body"] == responses[3]["body"] == "u/4'2"
    assert responses[2]["body"]["learner_key"] == "u/4'2"


@pytest.mark.parametrize("name", ["batch", "crossjoin", "all", "entity", "root", "id", "metadata"])
def test_a_resource_of_the_system_is_never_a_reference(client: TestClient, name: str) -> None:
    expected = send(client, get("x", f"${name}"))[0]["status"]
    _, second = send(client, get(name, "Modules(1)"), get("x", f"${name}"))
    assert second["status"] == expected
    parts = multipart("GET Modules(1)", f"GET ${name} HTTP/1.1")
    parts = parts.replace(b"Content-ID: 1", f"Content-ID: {name}".encode())
    assert read_http(post_parts(client, parts)[1])[0] == expected


def test_changes_and_batches_within_a_batch_are_refused_politely(client: TestClient) -> None:
    responses = send(
        client,
        get("1", "Teams(1)", atomicityGroup="g"),
        {"id": "2", "method": "post", "url": "$batch", "body": {"requests": []}},
        get("3", "Teams(1)", **{"if": "$1/$succeeded"}),
        get("4", "/elsewhere/Teams(1)"),
        get("5", "https://elsewhere.example/other/Teams(1)"),
        get("6", "http://["),
    )
    assert statuses(responses) == {"1": 501, "2": 400, "3": 424, "4": 404, "5": 404, "6": 404}
    assert responses[0]["atomicityGroup"] == "g"


@pytest.mark.parametrize(
    ("prefix", "mount", "expected"),
    [
        ("/behind/a/proxy", "", [200, 200, 200, 200]),
        # What is not complete is refused, but found.
        ("", "/complete", [200, 200, 412, 424]),
    ],
)
def test_a_part_may_have_the_address_that_our_links_have(
    store: Store,
    settings: Settings,
    keys: FeedKeys,
    prefix: str,
    mount: str,
    expected: list[int],
) -> None:
    behind = settings.model_copy(update={"public_url": f"https://host.example{prefix}"})
    root = f"{prefix}/odata/v4{mount}"
    parts = [
        get("1", f"{root}/$metadata"),
        get("2", f"https://host.example{root}/$metadata"),
        get("3", f"{root}/SchemaChanges(1)"),
        get("4", "$3/number/$value", dependsOn=["3"]),
    ]
    with feed_client(store, behind, keys.reader) as client:
        responses = client.post(f"{ROOT}{mount}/$batch", json={"requests": parts}).json()[
            "responses"
        ]
    assert list(statuses(responses).values()) == expected


def test_a_part_inherits_which_annotations_are_wished_for(client: TestClient) -> None:
    own = {"prefer": 'odata.include-annotations="fullcount.verdict",maxpagesize=1'}
    parts = get("1", "Teams"), get("2", "Teams", headers=own)
    first, second = send(client, *parts, prefer='include-annotations="-*",maxpagesize=2')
    assert first["headers"]["preference-applied"] == 'include-annotations="-*"'
    assert not [name for name in first["body"] if name.startswith("@fullcount.")]
    assert second["headers"]["preference-applied"] == (
        'maxpagesize=1, include-annotations="fullcount.verdict"'
    )
    assert "@fullcount.verdict" in second["body"]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Isolation": "snapshot"}, 412, "http.precondition"),
        ({"OData-Isolation": "snapshot"}, 412, "http.precondition"),
        ({"OData-Version": "3.0"}, 400, "query.option"),
        ({"OData-Version": "5.0"}, 400, "query.option"),
        ({"OData-Version": "4.0"}, 200, ""),
        ({"OData-Version": "4.01"}, 200, ""),
    ],
)
def test_a_batch_whose_headers_cannot_be_kept_is_refused(
    client: TestClient, headers: dict[str, str], status: int, code: str
) -> None:
    answer = client.post("$batch", json={"requests": [get("1", "Teams")]}, headers=headers)
    assert answer.status_code == status
    assert answer.json().get("error", {"code": ""})["code"] == code
    assert client.get("Teams", headers={"OData-Version": "3.0"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], "query.syntax"),
        ({}, "query.syntax"),
        ({"requests": [1]}, "query.syntax"),
        ({"requests": [{"method": "get", "url": "Teams"}]}, "query.syntax"),
        ({"requests": [get("a b", "Teams")]}, "query.syntax"),
        ({"requests": [{"id": "1", "method": "look", "url": "Teams"}]}, "query.syntax"),
        ({"requests": [{"id": "1", "method": "get"}]}, "query.syntax"),
        ({"requests": [get("1", "Teams"), get("1", "Teams")]}, "query.syntax"),
        ({"requests": [get("1", "Teams", dependsOn=["2"]), get("2", "Teams")]}, "query.syntax"),
        ({"requests": [get("1", "Teams", headers={"accept": 1})]}, "query.syntax"),
        ({"requests": [get(str(n), "Teams") for n in range(21)]}, "query.too_complex"),
    ],
)
def test_a_batch_that_cannot_be_read_is_refused_as_a_whole(
    client: TestClient, body: Any, code: str
) -> None:
    assert refusal(client, body)["code"] == code


def test_a_batch_has_no_options_but_the_version_of_the_schema(client: TestClient) -> None:
    asked = {"requests": [get("1", "Teams"), get("2", "Teams?$schemaversion=7")]}
    for query, status, code in (
        ("$schemaversion=7", 404, "query.unknown_path"),
        ("$filter=x", 400, "query.option"),
        ("$nonsense=1", 400, "query.option"),
        ("$schemaversion=1.0&colour=blue", 200, ""),
        ("schemaversion=*", 200, ""),
    ):
        answer = client.post(f"$batch?{query}", json=asked)
        assert answer.status_code == status
        assert answer.json().get("error", {"code": ""})["code"] == code
    assert statuses(answer.json()["responses"]) == {"1": 200, "2": 404}


def test_other_bodies_are_not_read(client: TestClient) -> None:
    assert refusal(client, b"a=1", "application/x-www-form-urlencoded")["code"] == (
        "body.unknown_type"
    )
    assert refusal(client, b"{", "application/json; charset=utf-8")["code"] == "body.not_json"
    assert refusal(client, b"--x--", "multipart/mixed")["code"] == "query.syntax"
    assert refusal(client, b"--x\r\n", "multipart/mixed; boundary=x")["code"] == "query.syntax"


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("$batch", "application/json", json.dumps({"requests": [get("1", "Teams")]}).encode()),
        ("$batch", f"multipart/mixed; boundary={BOUNDARY}", multipart("GET Teams HTTP/1.1")),
        ("Teams/$query", "text/plain", b"$top=1&$select=name"),
    ],
)
def test_a_body_is_unpacked_where_it_is_packed_with_gzip(
    client: TestClient, path: str, kind: str, body: bytes
) -> None:
    def post(content: bytes, encoding: str) -> tuple[int, str, str]:
        headers = {"Content-Type": kind, "Content-Encoding": encoding}
        answer = client.post(path, content=content, headers=headers)
        is_json = "application/json" in answer.headers["content-type"]
        error = answer.json().get("error", {}) if is_json else {}
        return answer.status_code, error.get("code", ""), answer.text

    for packed, word in ((gzip.compress(body), "gzip"), (body, "identity")):
        assert post(packed, word)[0] == 200
        assert "Team" in post(packed, word)[2]
    for word in ("br", "deflate", "gzip, gzip"):
        assert post(body, word)[:2] == (415, "body.unknown_encoding")
    assert post(body, "gzip")[:2] == (400, "body.not_gzip")
    assert post(gzip.compress(b" " * 2**20), "gzip")[:2] == (413, "body.too_large")


def test_a_batch_is_posted_by_somebody_with_a_key(client: TestClient, keys: FeedKeys) -> None:
    assert client.get("$batch").headers["allow"] == "POST, OPTIONS"
    asked: dict[str, Any] = {"json": {"requests": [get("1", "Teams")]}}
    assert client.post("$batch", headers={"X-API-Key": "wrong"}, **asked).status_code == 401
    assert client.post("$batch", headers={"X-API-Key": keys.deliverer}, **asked).status_code == 403


def test_a_key_in_a_part_changes_nothing(client: TestClient, keys: FeedKeys) -> None:
    (mine,) = send(client, get("1", "Teams(1)", headers={"x-api-key": keys.neighbour}))
    assert mine["body"]["name"] == "Team"


def test_parts_have_headers_of_their_own_and_inherit_the_rest(client: TestClient) -> None:
    answer = client.post(
        "$batch",
        json={
            "requests": [
                get("1", "Teams"),
                get("2", "Teams", headers={"accept": "application/json;odata.metadata=none"}),
                get("3", "Teams", headers={"Accept": "text/csv"}),
                get("4", "Teams", headers={"prefer": "odata.maxpagesize=1"}),
            ]
        },
        headers={"OData-MaxVersion": "4.0", "Accept": "application/json;odata.metadata=full"},
    )
    full, none, table, page = answer.json()["responses"]
    assert full["headers"]["odata-version"] == "4.0"
    assert full["body"]["value"][0]["@odata.type"] == "#fullcount.Team"
    assert "@odata.context" not in none["body"]
    assert table["body"].startswith("team_id,")
    assert page["headers"]["preference-applied"] == "odata.maxpagesize=1"


def test_a_part_can_be_a_head_request_and_is_no_longer_than_a_url(client: TestClient) -> None:
    head = {"id": "1", "method": "HEAD", "url": "Teams(1)"}
    long = get("2", f"Teams?$filter=name eq '{'a' * 6_000}'&x={'b' * 2_000}")
    more = get("3", "$1")
    responses = send(client, head, long, more)
    assert statuses(responses) == {"1": 200, "2": 200, "3": 400}
    assert "body" not in responses[0]
    body = multipart(f"GET Teams?x={'b' * 17_000} HTTP/1.1")
    assert read_http(post_parts(client, body)[0])[0] == 414


def test_metadata_in_a_json_batch_is_encoded(client: TestClient) -> None:
    (one,) = send(client, get("1", "$metadata"))
    assert one["headers"]["content-type"] == "application/xml"
    assert one["body"].startswith("PD94bWw")


def test_all_parts_share_one_limit_of_time(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        """A clock that is ten seconds later each time it is looked at after the first part."""

        looks = 0

        @classmethod
        def monotonic(cls) -> float:
            cls.looks += 1
            return 0.0 if cls.looks < 3 else 10.0 * cls.looks

    monkeypatch.setattr(batch, "time", Clock)
    monkeypatch.setattr("app.odata.calls.time", Clock)
    responses = send(client, get("1", "Teams(1)"), get("2", "Teams(1)"))
    assert statuses(responses) == {"1": 200, "2": 400}
    assert responses[1]["body"]["error"]["code"] == "query.too_expensive"
    assert time.monotonic() > 0


# Multipart


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_multipart_parts_are_answered_in_their_order(client: TestClient, newline: str) -> None:
    body = multipart(
        "GET Learners(3) HTTP/1.1\nHost: host\nAccept: application/json;odata.metadata=none",
        f"GET {ROOT}/Teams/$count HTTP/1.1",
        "GET /odata/v4/Learners(1)/learner_key/$value HTTP/1.1\nHost: host",
        newline=newline,
    )
    parts = post_parts(client, body)
    assert [part["Content-ID"] for part in parts] == ["1", "2", "3"]
    answers = [read_http(part) for part in parts]
    assert [status for status, _ in answers] == [200, 200, 200]
    assert json.loads(str(answers[0][1].get_payload()))["learner_key"] == "u/4'2"
    assert str(answers[1][1].get_payload()).strip() == "1"
    assert str(answers[2][1].get_payload()).strip() == "u1"
    assert all("streams=" in str(message["data-freshness"]) for _, message in answers)


def test_the_first_error_ends_a_multipart_batch_unless_it_shall_go_on(client: TestClient) -> None:
    body = multipart("GET Teams(1)", "GET Nonsense HTTP/1.1", "GET Teams(1) HTTP/1.1")
    assert [read_http(part)[0] for part in post_parts(client, body)] == [200, 404]
    went_on = post_parts(client, body, Prefer="odata.continue-on-error=true")
    assert [read_http(part)[0] for part in went_on] == [200, 404, 200]


def test_a_multipart_part_can_begin_where_another_ended(client: TestClient) -> None:
    parts = post_parts(client, multipart("GET LearnerProgress(3)", "GET $1/learner HTTP/1.1"))
    assert "u/4'2" in str(read_http(parts[1])[1].get_payload())


def test_a_change_set_is_answered_by_one_error(client: TestClient) -> None:
    body = (
        f"--{BOUNDARY}\r\nContent-Type: multipart/mixed; boundary=cs\r\n\r\n"
        "--cs\r\nContent-Type: application/http\r\nContent-ID: 1\r\n\r\n"
        "DELETE Teams(1) HTTP/1.1\r\n\r\n\r\n--cs--\r\n"
        f"--{BOUNDARY}\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
        f"--{BOUNDARY}\r\nContent-Type: application/http\r\n\r\nhello there\r\n"
        f"--{BOUNDARY}--\r\n"
    )
    parts = post_parts(client, body.encode(), Prefer="continue-on-error")
    assert [read_http(part)[0] for part in parts] == [501, 400, 400]


@pytest.mark.parametrize(
    ("boundary", "parameter"),
    [("b", "b"), ("b, c;d", '"b, c;d"'), ("B'()+_,-./:=?", '"B\'()+_,-./:=?"')],
)
def test_any_boundary_is_found_and_only_as_a_whole_line(
    client: TestClient, boundary: str, parameter: str
) -> None:
    body = (
        f"--{boundary}\r\nContent-Type: multipart/mixed; boundary={boundary}_1\r\n\r\n"
        f"--{boundary}_1\r\nContent-Type: application/http\r\nContent-ID: 1\r\n\r\n"
        f"DELETE Teams(1) HTTP/1.1\r\n\r\n\r\n--{boundary}_1--\r\n"
        f"--{boundary}  \r\nContent-Type: application/http\r\n\r\nGET Teams HTTP/1.1\r\n\r\n\r\n"
        f"--{boundary}--"
    )
    answer = client.post(
        "$batch",
        content=body,
        headers={
            "Content-Type": f"multipart/mixed; boundary={parameter}",
            "Accept": "application/json",
            "Prefer": "continue-on-error",
        },
    )
    assert [one["status"] for one in answer.json()["responses"]] == [501, 200]


def test_the_answer_takes_the_format_that_is_asked_for(client: TestClient) -> None:
    body = multipart("GET Teams/$count HTTP/1.1")
    answer = client.post(
        "$batch",
        content=body,
        headers={
            "Content-Type": f"multipart/mixed; boundary={BOUNDARY}",
            "Accept": "application/json",
        },
    )
    (one,) = answer.json()["responses"]
    assert (one["id"], one["status"], one["body"]) == ("1", 200, "1")
    other = client.post(
        "$batch",
        json={"requests": [get("x", "Teams/$count")]},
        headers=MIXED,
    )
    assert other.headers["content-type"].startswith("multipart/mixed")
    assert "Content-ID: x" in other.text
    for asked in ("json", "application/json"):
        named = client.post(f"$batch?$format={asked}", json={"requests": []}, headers=MIXED)
        assert named.headers["content-type"] == "application/json"


def test_a_hostile_body_is_read_in_one_pass(client: TestClient) -> None:
    for body in (b"--x" * 50_000, b"--x\r\n" + b"\r\n" * 50_000 + b"--x--", b"--x--" * 9_000):
        answer = client.post(
            "$batch", content=body, headers={"Content-Type": "multipart/mixed; boundary=x"}
        )
        assert answer.status_code in {200, 400}
