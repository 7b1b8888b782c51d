"""The feed over HTTP: what each path, option and header answers, on both databases."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from app.base.config import Settings
from app.store.engine import Store
from tests.contract.feed_rows import ROOT, START, FeedKeys, feed_client, fill_feed, progress

# The protocol is the same whatever the database; what differs there has its tests on both.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


POWER_QUERY = (
    "application/json;odata.metadata=minimal;q=1.0,application/json;odata=minimalmetadata;q=0.9,"
    "application/atomsvc+xml;q=0.8,application/atom+xml;q=0.8,application/xml;q=0.7,text/plain;q=0.7"
)
ROWS = [progress(number) for number in range(23)]


@pytest.fixture
def keys(store: Store) -> FeedKeys:
    return fill_feed(store)


@pytest.fixture
def client(store: Store, settings: Settings, keys: FeedKeys) -> Iterator[TestClient]:
    with feed_client(store, settings, keys.reader) as opened:
        yield opened


def rows(client: TestClient, path: str) -> list[dict[str, Any]]:
    """The rows of one page."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["value"]
    return found


def ids(client: TestClient, query: str) -> list[int]:
    """The keys of assignments that a query finds, in order."""
    found = rows(client, f"LearnerProgress?$select=assignment_id&{query}")
    return [row["assignment_id"] for row in found]


def expected(condition: Any) -> list[int]:
    """The keys of the assignments for which a condition holds."""
    return [row["assignment_id"] for row in ROWS if condition(row)]


def code(client: TestClient, path: str, status: int) -> str:
    """The code of the OData error at a path."""
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers.get_list("odata-version") == ["4.01"]
    error = answer.json()["error"]
    assert error["message"]
    return str(error["code"])


def is_late(due_at: datetime | None) -> bool:
    """Due on or after the second of February."""
    return due_at is not None and due_at >= START + timedelta(days=32)


# Paths


def test_the_service_document_lists_the_sets(client: TestClient) -> None:
    told = client.get("").json()
    assert told["@odata.context"] == f"{ROOT}/$metadata"
    names = [one["name"] for one in told["value"]]
    assert {"LearnerProgress", "Learners", "Modules", "IngestionLag"} <= set(names)


def test_metadata_is_xml_of_version_4_0_unless_4_01_is_asked_for(client: TestClient) -> None:
    plain = client.get("$metadata")
    asked = client.get("$metadata", headers={"OData-MaxVersion": "4.01"})
    assert plain.headers["content-type"] == "application/xml"
    assert ('Version="4.0"' in plain.text, plain.headers["odata-version"]) == (True, "4.0")
    assert ('Version="4.01"' in asked.text, asked.headers["odata-version"]) == (True, "4.01")


def test_every_set_in_the_service_document_answers_with_its_declared_columns(
    client: TestClient,
) -> None:
    for one in client.get("").json()["value"]:
        if one["kind"] == "Singleton":
            alone = client.get(one["url"]).json()
            assert alone["@odata.context"] == f"{ROOT}/$metadata#{one['name']}"
            continue
        answer = client.get(f"{one['url']}?$top=1&$count=true")
        assert answer.status_code == 200, answer.text
        assert answer.json()["@odata.context"] == f"{ROOT}/$metadata#{one['name']}"
        assert answer.json()["@odata.count"] >= len(answer.json()["value"])


@pytest.mark.parametrize(
    "path",
    [
        "Learners(3)",
        "Learners(learner_id=3)",
        "Learners/3",
        "Learners%283%29",
    ],
)
def test_an_entity_has_several_addresses(client: TestClient, path: str) -> None:
    told = client.get(path).json()
    assert told["@odata.context"] == f"{ROOT}/$metadata#Learners/$entity"
    assert told["learner_key"] == "u/4'2"


def test_text_and_composite_keys_find_their_row(client: TestClient) -> None:
    assert client.get("IngestionLag('quest')").json()["stream"] == "quest"
    assert client.get("IngestionLag/quest").json()["stream"] == "quest"
    assert code(client, "IngestionLagSources(source='x',stream='quest')", 404)


def test_a_property_its_value_and_null(client: TestClient) -> None:
    told = client.get("Learners(1)/hired_on").json()
    assert told["@odata.context"] == f"{ROOT}/$metadata#Learners(1)/hired_on"
    assert told["value"] == "2024-02-29"
    bare = client.get("Learners(3)/learner_key/$value")
    assert (bare.text, bare.headers["content-type"]) == ("u/4'2", "text/plain;charset=utf-8")
    nothing = client.get("Learners(2)/hired_on")
    assert (nothing.status_code, nothing.content) == (204, b"")
    assert "data-freshness" in nothing.headers
    assert client.get("LearnerProgress(1)/time_spent_s/$value").text == str(2**53 + 1)


def test_lists_and_open_objects_are_json(client: TestClient) -> None:
    assert client.get("Modules(1)/tags").json()["value"] == ["a", "b"]
    assert client.get("Modules(2)").json()["tags"] == []
    assert client.get("Learners(1)").json()["attributes"] == {"grade": "A", "level": 3}
    assert client.get("Learners(1)/attributes").json()["level"] == 3


def test_a_navigation_leads_to_the_related_row(client: TestClient) -> None:
    told = client.get("LearnerProgress(3)/learner?$select=learner_key").json()
    assert told["@odata.context"] == f"{ROOT}/$metadata#Learners(learner_key)/$entity"
    assert told["learner_key"] == "u/4'2"
    named = client.get("LearnerProgress(2)/module/name").json()
    assert named["@odata.context"] == f"{ROOT}/$metadata#Modules(2)/name"
    assert named["value"] == 'Module "1"'
    assert client.get("Attempts(1)/assignment/learner/team/name").json()["value"] == "Team"
    assert client.get("LearnerProgress(2)/series").status_code == 204
    assert code(client, "LearnerProgress(2)/series/name", 404)
    assert code(client, "LearnerProgress(99)/module", 404)


def test_counts_are_plain_text(client: TestClient) -> None:
    answer = client.get("LearnerProgress/$count")
    assert (answer.text, answer.headers["content-type"]) == ("23", "text/plain;charset=utf-8")
    filtered = client.get("LearnerProgress/$count?$filter=score eq null&$top=1&$orderby=cycle")
    assert filtered.text == str(len(expected(lambda row: row["score"] is None)))


def test_head_answers_like_get_without_a_body(client: TestClient) -> None:
    got, head = client.get("Learners"), client.head("Learners")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert "data-freshness" in head.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_not_allowed(client: TestClient, method: str) -> None:
    answer = client.request(method, "Learners(1)")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert answer.json()["error"]["code"] == "http.method"


# Options


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("$select=learner_key,status", "(learner_key,status)"),
        ("select=status", "(status)"),
        ("$select=*", "(*)"),
        ("$expand=module", "(module())"),
        ("$select=status&$expand=module($select=name)", "(status,module(name))"),
        ("$select=status,module&$expand=module", "(status,module,module())"),
        ("$expand=learner($expand=team($select=name))", "(learner(team(name)))"),
    ],
)
def test_the_context_tells_the_columns(client: TestClient, query: str, shown: str) -> None:
    told = client.get(f"LearnerProgress?$top=1&{query}").json()
    assert told["@odata.context"] == f"{ROOT}/$metadata#LearnerProgress{shown}"
    one = client.get(f"LearnerProgress(1)?{query}").json()
    assert one["@odata.context"] == f"{ROOT}/$metadata#LearnerProgress{shown}/$entity"


def test_select_and_expand_bring_what_they_name(client: TestClient) -> None:
    (row,) = rows(
        client,
        "LearnerProgress?$filter=assignment_id eq 1&$select=status"
        "&$expand=learner($select=learner_key;$expand=team($select=name)),series($select=name)",
    )
    assert row == {
        "@odata.id": "LearnerProgress(1)",
        "status": "not_started",
        "learner": {
            "@odata.id": "Learners(1)",
            "learner_key": "u1",
            "team": {"@odata.id": "Teams(1)", "name": "Team"},
        },
        "series": {"@odata.id": "Series(1)", "name": "Series"},
    }
    (other,) = rows(client, "LearnerProgress?$filter=assignment_id eq 2&$expand=series")
    assert other["series"] is None
    assert len(other) > 20


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("score eq null", lambda row: row["score"] is None),
        ("score ne 1.1", lambda row: row["score"] != 1.1),
        ("score gt 1", lambda row: row["score"] is not None and row["score"] > 1),
        ("not (score gt 1)", lambda row: not (row["score"] is not None and row["score"] > 1)),
        ("status eq 'completed'", lambda row: row["status"] == "completed"),
        ("status in ('failed','waived')", lambda row: row["status"] in {"failed", "waived"}),
        ("learner_key eq 'u/4''2'", lambda row: row["learner_key"] == "u/4'2"),
        ("learner_key eq 'ü&x=1'", lambda row: row["learner_key"] == "ü&x=1"),
        ("module/name eq 'Module \"1\"'", lambda row: row["module_key"] == "m1"),
        ("series_key ne null", lambda row: row["series_key"] != ""),
        ("due_at eq null", lambda row: row["due_at"] is None),
        ("due_at ge 2025-02-02T01:00:00%2B01:00", lambda row: is_late(row["due_at"])),
        ("time_spent_s eq 9007199254740993", lambda row: row["assignment_id"] == 1),
        ("passed", lambda row: row["passed"] is True),
    ],
)  # fmt: skip
def test_filters_find_what_python_finds(client: TestClient, text: str, condition: Any) -> None:
    asked = text if "%2B" in text else quote(text)
    assert ids(client, f"$filter={asked}") == expected(condition)


def test_aliases_stand_for_values(client: TestClient) -> None:
    assert ids(client, "$filter=score gt @low&@low=1.5") == expected(
        lambda row: row["score"] is not None and row["score"] > 1.5
    )


def test_a_count_is_judged_by_which_rows_there_are_alone(client: TestClient) -> None:
    quests = client.get("LearnerProgress/$count?$filter=module_type eq 'quest'").headers
    streams = {part.split(";")[0].strip() for part in quests["Data-Freshness-Streams"].split(",")}
    assert streams == {"quest", "catalog", "assignments"}
    shown = client.get("LearnerProgress?$filter=module_type eq 'quest'").headers
    assert "people;" in shown["Data-Freshness-Streams"]


def test_top_skip_and_count(client: TestClient) -> None:
    told = client.get("LearnerProgress?$top=2&$skip=3&$count=true&$select=assignment_id").json()
    assert told["@odata.count"] == 23
    assert [row["assignment_id"] for row in told["value"]] == [4, 5]
    assert "@odata.nextLink" not in told
    none = client.get("LearnerProgress?$top=0&$count=true").json()
    assert (none["value"], none["@odata.count"]) == ([], 23)
    assert rows(client, "LearnerProgress?$skip=100") == []


def order_key(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    """Nulls sort before everything."""
    return tuple((row[name] is not None, row[name] or 0) for name in names)


@pytest.mark.parametrize(
    ("order", "sort"),
    [
        ("score", lambda row: (*order_key(row, "score"), row["assignment_id"])),
        (
            "score desc",
            lambda row: (row["score"] is None, -(row["score"] or 0), row["assignment_id"]),
        ),
        ("due_at desc,score asc", None),
        ("module/name desc", None),
        ("percent_complete,assignment_id desc", None),
    ],
)
@pytest.mark.parametrize("size", [1, 4])
def test_a_walk_over_pages_finds_every_row_once_in_order(
    client: TestClient, order: str, sort: Any, size: int
) -> None:
    whole = ids(client, f"$orderby={order}")
    walked = []
    url = f"LearnerProgress?$select=status&$expand=module&$orderby={order}&$count=true"
    headers = {"Prefer": f"odata.maxpagesize={size}"}
    keyed = f"{url}&$select=assignment_id".replace("$select=status&", "")
    while keyed:
        answer = client.get(keyed, headers=headers)
        assert answer.headers["preference-applied"] == f"odata.maxpagesize={size}"
        told = answer.json()
        assert told["@odata.count"] == 23
        assert len(told["value"]) <= size
        walked += [row["assignment_id"] for row in told["value"]]
        keyed = told.get("@odata.nextLink", "")
    assert walked == whole
    assert sorted(walked) == [row["assignment_id"] for row in ROWS]
    if sort is not None:
        assert walked == [row["assignment_id"] for row in sorted(ROWS, key=sort)]


def test_a_walk_without_the_key_among_its_columns_ends(client: TestClient) -> None:
    url, seen, pages = "LearnerProgress?$select=status&$orderby=status desc&$top=9", [], 0
    while url:
        told = client.get(url, headers={"Prefer": "maxpagesize=4"}).json()
        seen += [row["status"] for row in told["value"]]
        assert all(set(row) == {"@odata.id", "status"} for row in told["value"])
        url, pages = told.get("@odata.nextLink", ""), pages + 1
    assert (len(seen), pages) == (9, 3)
    assert seen == sorted((row["status"] for row in ROWS), reverse=True)[:9]


def test_the_next_link_is_absolute_and_keeps_the_other_options(client: TestClient) -> None:
    query = "$filter=learner_key ne 'a%26b'&custom=1&$count=true"
    link = client.get(
        f"LearnerProgress?{query}",
        headers={"Prefer": "odata.maxpagesize=2", "Host": "evil.example"},
    ).json()["@odata.nextLink"]
    assert link.startswith(f"{ROOT}/LearnerProgress?$filter=learner_key")
    assert "'a%26b'&custom=1&$count=true&$skiptoken=" in link
    assert link.isascii()
    assert " " not in link


def test_a_token_of_another_question_is_refused(client: TestClient, keys: FeedKeys) -> None:
    told = client.get("LearnerProgress", headers={"Prefer": "odata.maxpagesize=2"}).json()
    token = told["@odata.nextLink"].partition("$skiptoken=")[2]
    assert code(client, f"Learners?$skiptoken={token}", 400) == "query.token"
    assert code(client, f"LearnerProgress?$filter=passed&$skiptoken={token}", 400) == "query.token"
    assert code(client, f"LearnerProgress?$skiptoken={token[:-4]}AAAA", 400) == "query.token"
    stranger = client.get(told["@odata.nextLink"], headers={"X-API-Key": keys.neighbour})
    assert stranger.status_code == 400


# Headers


def test_exactly_one_version_is_said(client: TestClient) -> None:
    assert client.get("Learners").headers.get_list("odata-version") == ["4.01"]
    older = client.get("Learners", headers={"OData-MaxVersion": "4.0"})
    assert older.headers.get_list("odata-version") == ["4.0"]


@pytest.mark.parametrize(
    ("accept", "level"),
    [
        (POWER_QUERY, "minimal"),
        ("*/*", "minimal"),
        ("application/json;odata.metadata=none", "none"),
    ],
)
def test_the_format_is_chosen(client: TestClient, accept: str, level: str) -> None:
    answer = client.get("Learners", headers={"Accept": accept})
    assert answer.headers["content-type"] == f"application/json;odata.metadata={level}"
    assert ("@odata.context" in answer.json()) is (level == "minimal")


def test_the_verdict_travels_in_headers_and_body(client: TestClient) -> None:
    answer = client.get("LearnerProgress?$top=1")
    told = answer.json()
    assert answer.headers["data-freshness"].startswith("unknown;reason=no_contract")
    assert (told["@fullcount.verdict"], told["@fullcount.reason"]) == ("unknown", "no_contract")
    assert told["@fullcount.evaluated_at"].endswith("Z")
    assert {"stream", "verdict", "reason"} == set(told["@fullcount.streams"][0])
    assert answer.headers["cache-control"] == "private, no-cache"
    assert "Authorization" in answer.headers["vary"]


# Refusals


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("Nonsense", 404, "query.unknown_path"),
        ("Learners(99)", 404, "query.unknown_entity"),
        ("Learners(1)/nonsense", 404, "query.unknown_path"),
        ("Learners(1)/email", 404, "query.unknown_path"),
        ("Learners('u1')", 400, "query.type"),
        ("Learners(1)?$top=1", 400, "query.option"),
        ("Learners?$top=-1", 400, "query.option"),
        ("Learners?$top=1&$top=1", 400, "query.option"),
        ("Learners?$nonsense=1", 400, "query.option"),
        ("Learners?$select=nonsense", 400, "query.unknown_field"),
        ("Learners?$select=email", 400, "query.unknown_field"),
        ("Learners?$filter=email eq 'a'", 400, "query.unknown_field"),
        ("Learners?$orderby=email", 400, "query.unknown_field"),
        ("Learners?$filter=nonsense eq 1", 400, "query.unknown_field"),
        ("Learners?$filter=__class__ eq 1", 400, "query.unknown_field"),
        ("Learners?$filter=learner_key eq", 400, "query.syntax"),
        ("Learners?$filter=learner_id eq 'x'", 400, "query.type"),
        ("Learners?$filter=learner_id", 400, "query.type"),
        ("Learners?$filter=" + "(" * 3_000 + "1", 400, None),
        ("Learners?$orderby=nonsense", 400, "query.unknown_field"),
        ("Learners?$expand=nonsense", 400, "query.unknown_field"),
        ("Learners?$skiptoken=nonsense", 400, "query.token"),
        ("Learners?$apply=nest(identity as n)", 501, "query.not_supported"),
        ("Learners?$index=1", 501, "query.not_supported"),
        ("Learners?$search=", 400, "query.option"),
        ("$batch", 405, "http.method"),
        ("$crossjoin(Learners,Teams)", 501, "query.not_supported"),
        ("Learners/$each", 501, "query.not_supported"),
        ("Learners(1)?$format=csv", 406, "query.not_acceptable"),
        ("Learners?$format=atom", 406, "query.not_acceptable"),
        ("Learners?$schemaversion=2.0", 404, "query.unknown_path"),
        ("$entity", 400, "query.option"),
        ("$entity?$id=https://elsewhere.example/Learners(1)", 400, "query.option"),
        ("$all?$skiptoken=Nonsense!x", 400, "query.token"),
        ("$all?$filter=true", 501, "query.not_supported"),
        ("$async/nonsense", 400, "query.token"),
        ("Learners(@id)", 400, "query.syntax"),
        ("Learners(1)/attributes/$value", 404, "query.unknown_path"),
        ("Learners(%ff)", 400, "query.syntax"),
    ],
)
def test_a_wrong_request_is_refused_with_a_code(
    client: TestClient, path: str, status: int, error: str | None
) -> None:
    found = code(client, path, status)
    assert error is None or found == error


def test_a_wrong_name_gets_the_nearest_one(client: TestClient) -> None:
    told = client.get("LearnerProgress?$select=learner_kee").json()["error"]
    assert "Did you mean" in told["message"]
    assert "learner_key" in told["message"]


def test_no_key_no_answer(client: TestClient, keys: FeedKeys) -> None:
    for path in ("", "$metadata", "Learners"):
        answer = client.get(path, headers={"X-API-Key": "wrong"})
        assert answer.status_code == 401
        assert "Basic" in answer.headers["www-authenticate"]
        assert answer.json()["error"]["code"] == "access.not_authenticated"
    forbidden = client.get("Learners", headers={"X-API-Key": keys.deliverer})
    assert forbidden.json()["error"]["code"] == "access.scope_missing"


def test_personal_columns_need_their_scope(client: TestClient, keys: FeedKeys) -> None:
    personal = {"X-API-Key": keys.personal}
    assert client.get("Learners(1)", headers=personal).json()["email"] == "a@example.org"
    assert "email" not in client.get("Learners(1)").json()
    assert 'Name="email"' in client.get("$metadata", headers=personal).text
    assert 'Name="email"' not in client.get("$metadata").text


def test_another_environment_sees_its_own_rows_only(client: TestClient, keys: FeedKeys) -> None:
    theirs = client.get("Teams(1)", headers={"X-API-Key": keys.neighbour}).json()
    assert (theirs["name"], client.get("Teams(1)").json()["name"]) == ("other Team", "Team")
