"""How answers are written: control information, numbers, tables, preferences, entity tags."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import time_machine
from fastapi.testclient import TestClient
from sqlalchemy import update
from starlette.applications import Starlette
from starlette.routing import Mount

from app.base.config import Settings
from app.catalog.changes import SchemaChange
from app.catalog.index import DATASETS
from app.odata.calls import MOUNTED_AT
from app.odata.routes import odata_application
from app.store.engine import Store, transaction
from app.store.tables import Environment
from app.store.tables.columns import table_of
from tests.contract.feed_rows import (
    ROOT,
    FeedKeys,
    feed_client,
    fill_feed,
    told,
)

# The protocol is the same whatever the database; what differs there has its tests on both.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


FULL = {"Accept": "application/json;odata.metadata=full"}
NONE = {"Accept": "application/json;odata.metadata=none"}
EXACT = {"Accept": "application/json;IEEE754Compatible=true"}


@pytest.fixture
def keys(store: Store) -> FeedKeys:
    return fill_feed(store)


@pytest.fixture
def client(store: Store, settings: Settings, keys: FeedKeys) -> Iterator[TestClient]:
    with feed_client(store, settings, keys.reader) as opened:
        yield opened


# Control information


def test_full_metadata_spells_everything_out(client: TestClient) -> None:
    select = "module_id,name,module_type,tags,parts"
    body = told(client, f"Modules(1)?$select={select}", FULL)
    own = {name: value for name, value in body.items() if not name.startswith("@fullcount")}
    assert own == {
        "@odata.context": f"{ROOT}/$metadata#Modules({select})/$entity",
        "@odata.type": "#fullcount.Module",
        "@odata.id": "Modules(1)",
        "@odata.readLink": "Modules(1)",
        "module_id@odata.type": "#Int64",
        "module_id": 1,
        "name": 'Module "0"',
        "module_type@odata.type": "#fullcount.ModuleType",
        "module_type": "quest",
        "tags@odata.type": "#Collection(String)",
        "tags": ["a", "b"],
        "parts@odata.associationLink": "Modules(1)/parts/$ref",
        "parts@odata.navigationLink": "Modules(1)/parts",
    }


def test_full_metadata_reaches_expanded_rows(client: TestClient) -> None:
    body = told(client, "LearnerProgress(1)?$select=due_at,assigned_at&$expand=learner", FULL)
    assert body["assigned_at@odata.type"] == "#DateTimeOffset"
    assert body["due_at"] is None
    assert "due_at@odata.type" not in body
    learner = body["learner"]
    assert learner["@odata.type"] == "#fullcount.Learner"
    assert learner["@odata.id"] == learner["@odata.readLink"] == "Learners(1)"
    assert learner["hired_on@odata.type"] == "#Date"
    assert learner["attributes"] == {
        "@odata.type": "#fullcount.Attributes",
        "grade": "A",
        "level": 3,
    }
    assert learner["progress@odata.navigationLink"] == "Learners(1)/progress"
    assert "module@odata.navigationLink" not in body


@pytest.mark.parametrize(
    ("path", "kind", "value"),
    [
        ("LearnerProgress(1)/time_spent_s", "#Int64", 2**53 + 1),
        ("LearnerProgress(1)/assigned_at", "#DateTimeOffset", "2025-01-01T00:00:00.000000Z"),
        ("LearnerProgress(1)/status", "#fullcount.Status", "not_started"),
        ("Modules(1)/tags", "#Collection(String)", ["a", "b"]),
        ("Modules(1)/name", None, 'Module "0"'),
    ],
)
def test_full_metadata_tells_the_type_of_a_property(
    client: TestClient, path: str, kind: str | None, value: Any
) -> None:
    body = told(client, path, FULL)
    assert (body.get("@odata.type"), body["value"]) == (kind, value)
    assert "@odata.type" not in told(client, path, {})


def test_full_metadata_tells_what_an_object_is(client: TestClient) -> None:
    body = told(client, "Learners(1)/attributes", FULL)
    assert (body["@odata.type"], body["grade"]) == ("#fullcount.Attributes", "A")
    alone = told(client, "Freshness", FULL)
    assert alone["@odata.id"] == alone["@odata.readLink"] == "Freshness"
    assert "@odata.id" not in told(client, "Freshness", {})


@pytest.mark.parametrize(
    "path",
    [
        "Learners(1)",
        "Learners(1)/attributes",
        "Modules(1)/tags",
        "Modules(1)/tags?$count=true",
        "Freshness",
    ],
)
def test_the_type_stands_next_to_the_context(client: TestClient, path: str) -> None:
    streamed = {"Accept": "application/json;odata.metadata=full;odata.streaming=true"}
    answer = client.get(path, headers=streamed)
    assert "odata.streaming=true" in answer.headers["content-type"]
    assert list(answer.json())[:2] == ["@odata.context", "@odata.type"]
    assert "@fullcount.verdict" in answer.json()


@pytest.mark.parametrize("path", ["Learners", "Learners(1)", "", "$metadata", "Nothing"])
def test_a_charset_is_told_to_those_who_name_one(client: TestClient, path: str) -> None:
    for accept in ("application/json", "application/json;odata.metadata=full", "*/*"):
        answer = client.get(path, headers={"Accept": accept})
        assert "charset" not in answer.headers["content-type"]
    named = client.get("Learners", headers={"Accept": "application/json;charset=utf-8"})
    assert named.headers["content-type"] == (
        "application/json;odata.metadata=minimal;charset=utf-8"
    )


def test_every_link_in_full_metadata_can_be_followed(client: TestClient) -> None:
    (row,) = told(client, "LearnerProgress?$top=1", FULL)["value"]
    links = [value for name, value in row.items() if name.endswith("Link")]
    assert len(links) == 1 + 2 * len([n for n in row if n.endswith("navigationLink")]) > 10
    assert links[0] == row["@odata.readLink"] == row["@odata.id"]
    for link in links:
        assert client.get(link).status_code in {200, 204}, link


def test_minimal_metadata_tells_an_address_only_where_the_key_is_missing(
    client: TestClient,
) -> None:
    plain = told(client, "Learners(3)", {})
    assert [name for name in plain if name.startswith("@odata")] == ["@odata.context"]
    keyless = told(client, "Learners?$select=status&$filter=learner_id eq 3", {})["value"]
    assert keyless == [{"@odata.id": "Learners(3)", "status": "active"}]
    assert "@odata.id" not in told(client, "Learners?$select=status,learner_id", {})["value"][0]
    composite = told(client, "IngestionLag?$select=verdict&$filter=stream eq 'quest'", {})
    assert composite["value"][0]["@odata.id"] == "IngestionLag('quest')"


def test_no_metadata_leaves_counts_and_links_to_pages(client: TestClient) -> None:
    headers = {**NONE, "Prefer": 'maxpagesize=2,include-annotations="-*"'}
    body = told(client, "Learners?$select=status&$count=true", headers)
    assert set(body) == {"@odata.count", "@odata.nextLink", "value"}
    assert body["value"] == [{"status": "active"}] * 2


@pytest.mark.parametrize(
    ("query", "newer", "older"),
    [
        ("$expand=module", "(module())", ""),
        ("$select=status&$expand=module", "(status,module())", "(status)"),
        ("$select=status,module&$expand=module", "(status,module,module())", "(status,module)"),
        ("$expand=module($select=name)", "(module(name))", "(module(name))"),
        ("$expand=module/$ref", "", ""),
        ("$expand=learner($expand=team)", "(learner(team()))", ""),
        ("$compute=score mul 2 as twice&$select=twice", "(twice)", "(twice)"),
    ],
)
def test_the_context_is_that_of_the_version(
    client: TestClient, query: str, newer: str, older: str
) -> None:
    base = f"{ROOT}/$metadata#LearnerProgress"
    path = f"LearnerProgress?$top=1&{query}"
    assert told(client, path, {})["@odata.context"] == base + newer
    assert told(client, path, {"OData-MaxVersion": "4.0"})["@odata.context"] == base + older


# Numbers, nulls, annotations


def test_whole_numbers_can_be_text(client: TestClient) -> None:
    answer = client.get(
        "LearnerProgress(1)?$expand=attempts_made($count=true;$top=1)", headers=EXACT
    )
    body = answer.json()
    assert "IEEE754Compatible=true" in answer.headers["content-type"]
    assert body["time_spent_s"] == str(2**53 + 1)
    assert (body["assignment_id"], body["score"]) == ("1", None)
    assert body["percent_complete"] == 0.0
    assert body["attempts_made"][0]["attempt_id"] == "1"
    assert body["attempts_made@odata.count"] == "4"
    assert told(client, "Learners?$count=true&$top=0", EXACT)["@odata.count"] == "5"
    assert told(client, "LearnerProgress(1)/time_spent_s", EXACT)["value"] == str(2**53 + 1)
    plain = client.get("LearnerProgress(1)")
    assert plain.json()["time_spent_s"] == 2**53 + 1
    assert "IEEE754Compatible" not in plain.headers["content-type"]


def test_nulls_can_be_left_out(client: TestClient) -> None:
    answer = client.get("Learners?$expand=team", headers={"Prefer": "omit-values=nulls"})
    assert answer.headers["preference-applied"] == "omit-values=nulls"
    rows = answer.json()["value"]
    assert None not in [value for row in rows for value in row.values()]
    assert rows[0]["hired_on"] == "2024-02-29"
    assert "hired_on" not in rows[1]
    assert "team" not in rows[1]
    whole = client.get("Learners?$expand=team").json()["value"]
    assert rows == [
        {name: strip_nulls(value) for name, value in row.items() if value is not None}
        for row in whole
    ]


def strip_nulls(value: Any) -> Any:
    """An object without its nulls."""
    if isinstance(value, dict):
        return {name: inside for name, inside in value.items() if inside is not None}
    return value


def test_annotations_come_as_they_are_wished_for(client: TestClient) -> None:
    def annotations(wish: str) -> tuple[set[str], str]:
        answer = client.get("Teams", headers={"Prefer": f'odata.include-annotations="{wish}"'})
        names = {name for name in answer.json() if name.startswith("@fullcount")}
        return names, answer.headers["preference-applied"]

    assert annotations("-*")[0] == set()
    names, applied = annotations("fullcount.verdict,fullcount.reason")
    assert names == {"@fullcount.verdict", "@fullcount.reason"}
    assert applied == 'include-annotations="fullcount.verdict,fullcount.reason"'
    assert "data-freshness" in client.get("Teams").headers


def test_a_strict_caller_is_told_what_is_not_known(client: TestClient) -> None:
    strict = {"Prefer": "handling=strict"}
    assert client.get("Teams?colour=blue").status_code == 200
    assert client.get("Teams?colour=blue", headers=strict).status_code == 400
    assert client.get("Teams", headers={"Prefer": "handling=strict,coffee"}).status_code == 400
    answer = client.get("Teams?as_of=2025-01-01T00:00:00Z", headers=strict)
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "handling=strict")


def test_what_nobody_can_keep_is_refused(client: TestClient) -> None:
    for name in ("Isolation", "OData-Isolation"):
        answer = client.get("Teams", headers={name: "snapshot"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (412, "http.precondition")


# Metadata in two formats, schema versions


def test_metadata_is_also_json(client: TestClient) -> None:
    answer = client.get("$metadata?$format=json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers.get_list("odata-version") == ["4.01"]
    model = answer.json()
    assert (model["$Version"], model["$EntityContainer"]) == ("4.01", "fullcount.Container")
    container = model["fullcount"]["Container"]
    assert {name for name in container if name[0] not in "$@"} == {
        one["name"] for one in client.get("").json()["value"]
    }
    assert client.get("$metadata", headers={"Accept": "application/json"}).json() == model
    assert client.get("$metadata", headers={"Accept": "image/png"}).status_code == 406


def test_metadata_is_never_of_a_higher_version_than_is_read(client: TestClient) -> None:
    older = {"OData-MaxVersion": "4.0"}
    for path, accept in (("$metadata?$format=json", "*/*"), ("$metadata", "application/json")):
        refused = client.get(path, headers={**older, "Accept": accept})
        assert refused.headers.get_list("odata-version") == ["4.0"]
        assert (refused.status_code, refused.json()["error"]["code"]) == (
            406,
            "query.not_acceptable",
        )
        assert "OData-MaxVersion" in refused.json()["error"]["message"]
    both = client.get("$metadata", headers={**older, "Accept": "application/json, application/xml"})
    assert both.headers.get_list("odata-version") == ["4.0"]
    assert both.headers["content-type"] == "application/xml"
    assert 'Version="4.0"' in both.text


@pytest.mark.parametrize(
    ("path", "accept", "status", "kind"),
    [
        ("$metadata", "application/xml;q=0,*/*", 200, "application/json"),
        ("$metadata", "application/json;q=0,*/*", 200, "application/xml"),
        ("Modules", "application/json;q=0, */*;q=0.5", 200, "text/csv"),
        ("Modules(1)", "application/json;q=0, */*;q=0.5", 406, "application/json"),
        ("", "application/json;q=0, */*", 406, "application/json"),
        ("Modules", "application/json;charset=utf-16", 406, "application/json"),
        ("Modules", "application/json;charset=utf-16, text/csv", 200, "text/csv"),
    ],
)
def test_what_is_refused_is_not_given(
    client: TestClient, path: str, accept: str, status: int, kind: str
) -> None:
    answer = client.get(path, headers={"Accept": accept})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(kind)


def test_another_version_of_the_schema_is_not_there(client: TestClient) -> None:
    assert 'Term="Core.SchemaVersion" String="1.0"' in client.get("$metadata").text
    for path in ("$metadata", "Teams", "Teams(1)", "Teams/$count", ""):
        assert client.get(f"{path}?$schemaversion=1.0").status_code == 200
        assert client.get(f"{path}?$schemaversion=*").status_code == 200
        assert client.get(f"{path}?$schemaversion=7").status_code == 404


# Entity tags


@pytest.mark.parametrize("path", ["Learners?$top=2", "Learners(1)", "Learners?$format=csv"])
def test_what_has_not_changed_is_not_sent_again(
    client: TestClient, store: Store, path: str
) -> None:
    first = client.get(path)
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    again = client.get(path, headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert (
        again.headers["data-freshness"].partition(";evaluated")[0]
        == (first.headers["data-freshness"].partition(";evaluated")[0])
    )
    assert client.get(path, headers={"If-Match": tag}).status_code == 200
    gone = client.get(path, headers={"If-Match": 'W/"other"'})
    assert (gone.status_code, gone.json()["error"]["code"]) == (412, "http.precondition")
    table_ = table_of(Environment)
    with transaction(store) as connection:
        connection.execute(
            update(table_)
            .where(table_.c.environment_id == 1)
            .values(last_revision=table_.c.last_revision + 1)
        )
    assert client.get("Teams/$count", headers={"If-Match": tag}).status_code == 412
    assert client.get("Teams/$count", headers={"If-Match": "*"}).status_code == 200
    later = client.get(path, headers={"If-None-Match": tag})
    assert later.status_code == 200
    assert later.headers["etag"] != tag


def test_a_tag_belongs_to_its_question_and_caller(client: TestClient, keys: FeedKeys) -> None:
    tags = {
        client.get("Learners", headers=headers).headers["etag"]
        for headers in ({}, FULL, NONE, {"X-API-Key": keys.personal}, {"OData-MaxVersion": "4.0"})
    }
    others = ("Learners?$top=1", "Modules", "Learners(1)", "Learners(2)")
    tags |= {client.get(path).headers["etag"] for path in others}
    tags |= {client.get("Modules", headers={"X-API-Key": keys.neighbour}).headers["etag"]}
    assert len(tags) == 10


def test_what_depends_on_the_moment_has_no_tag(client: TestClient) -> None:
    assert "etag" not in client.get("LearnerProgress").headers
    assert "etag" not in client.get("IngestionLag").headers
    assert "etag" not in client.get("Learners?$filter=changed_at lt now()").headers
    assert "etag" in client.get("LearnerProgress?as_of=2025-01-01T00:00:00Z").headers
    assert "etag" in client.get("LearnerProgress?$select=status").headers


# What will go


@time_machine.travel("2026-01-01T00:00:00Z", tick=False)
def test_a_set_that_will_go_says_so(store: Store, settings: Settings, keys: FeedKeys) -> None:
    going = SchemaChange(
        1,
        "9.0",
        "Teams",
        "deprecated",
        "Use Groups.",
        deprecated_on=date(2026, 1, 1),
        sunset_on=date(2027, 1, 1),
    )
    feed = odata_application(settings, store, DATASETS, (going,))
    application = Starlette(routes=[Mount(MOUNTED_AT, feed)])
    with TestClient(application, base_url=f"{ROOT}/", headers={"X-API-Key": keys.reader}) as client:
        headers = client.get("Teams").headers
        assert headers["deprecation"] == "@1767225600"
        assert headers["sunset"] == "Fri, 01 Jan 2027 00:00:00 GMT"
        assert "deprecation" not in client.get("Learners").headers
