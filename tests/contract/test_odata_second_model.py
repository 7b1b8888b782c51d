"""A second model through the same layer: text keys, ways to several rows, and faults of ours."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.routing import Mount

from app.base.config import Settings
from app.catalog.fields import Dataset, Field, Navigation, Role, Type
from app.odata import routes
from app.odata.calls import MOUNTED_AT
from app.odata.routes import odata_application
from app.store.engine import Store
from app.store.tables import Learner, Progress
from app.store.tables.columns import table_of
from tests.contract.feed_rows import LEARNERS, ROOT, fill_feed

# The protocol is the same whatever the database; what differs there has its tests on both.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


def column(name: str, type_: Type, *, column: str, nullable: bool = False) -> Field:
    """A column under a name of its own."""
    role = Role.KEY if not nullable else Role.DIMENSION
    return Field(name, type_, name, name, role=role, nullable=nullable, column=column)


PERSONS = Dataset(
    name="Persons",
    entity="Person",
    label="Persons",
    description="People.",
    table=table_of(Learner),
    key=("code",),
    fields=(
        column("code", Type.TEXT, column="learner_key"),
        column("group", Type.TEXT, column="team_key", nullable=True),
    ),
    navigations=(
        Navigation("works", "Works", (("code", "by"),), "Theirs.", many=True, partner="person"),
        Navigation("peers", "Persons", (("group", "group"),), "The same group.", many=True),
    ),
)
WORKS = Dataset(
    name="Works",
    entity="Work",
    label="Works",
    description="What people do.",
    table=table_of(Progress),
    key=("number",),
    fields=(
        column("number", Type.INT, column="assignment_id"),
        column("by", Type.TEXT, column="learner_key"),
        column("points", Type.NUMBER, column="score", nullable=True),
    ),
    navigations=(Navigation("person", "Persons", (("by", "code"),), "Whose.", partner="works"),),
)


@pytest.fixture
def client(store: Store, settings: Settings) -> Iterator[TestClient]:
    keys = fill_feed(store)
    feed = odata_application(settings, store, datasets=(PERSONS, WORKS))
    application = Starlette(routes=[Mount(MOUNTED_AT, feed)])
    headers = {"X-API-Key": keys.reader}
    with TestClient(
        application, base_url=f"{ROOT}/", headers=headers, raise_server_exceptions=False
    ) as opened:
        yield opened


def test_only_its_own_sets_exist(client: TestClient) -> None:
    assert [one["name"] for one in client.get("").json()["value"]] == ["Persons", "Works"]
    assert client.get("LearnerProgress").status_code == 404
    assert 'Partner="works"' in client.get("$metadata").text


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("Persons('u1')", "u1"),
        ("Persons('u%2F4''2')", "u/4'2"),
        ("Persons(%27u%2F4%27%272%27)", "u/4'2"),
        ("Persons/u%2F4'2", "u/4'2"),
        ("Persons('%C3%BC%26x%3D1')", "ü&x=1"),
        ("Persons(code='ü&x=1')", "ü&x=1"),
    ],
)
def test_awkward_text_keys_find_their_row(client: TestClient, path: str, code: str) -> None:
    assert client.get(path).json()["code"] == code


def test_the_context_of_a_property_spells_the_key(client: TestClient) -> None:
    told = client.get("Persons/u%2F4'2/code").json()
    assert told["@odata.context"] == f"{ROOT}/$metadata#Persons('u%2F4%27%272')/code"


def test_an_address_is_spelled_as_the_context_spells_the_key(client: TestClient) -> None:
    """JSON Format 4.01, 4.3: colons, too, are encoded in what is relative."""
    references = [one["@odata.id"] for one in client.get("Persons/$ref").json()["value"]]
    assert "Persons('u%2F4%27%272')" in references
    assert "Persons('%C3%BC%26x%3D1')" in references
    for reference in references:
        context = client.get(f"{reference}/code").json()["@odata.context"]
        assert context == f"{ROOT}/$metadata#{reference}/code"


def test_a_way_to_several_rows_is_a_set_with_every_option(client: TestClient) -> None:
    told = client.get(
        "Persons('u%2F4''2')/works?$count=true&$select=number&$orderby=number desc",
        headers={"Prefer": "odata.maxpagesize=3"},
    ).json()
    assert told["@odata.context"] == f"{ROOT}/$metadata#Works(number)"
    assert (told["@odata.count"], [row["number"] for row in told["value"]]) == (5, [23, 18, 13])
    assert told["@odata.nextLink"].startswith(f"{ROOT}/Persons('u%2F4''2')/works?")
    rest = client.get(told["@odata.nextLink"]).json()
    assert [row["number"] for row in rest["value"]] == [8, 3]
    assert client.get("Persons('u1')/works/$count").text == "5"
    assert client.get("Works(3)/person/works/$count?$filter=points ne null").text == "4"


def test_a_condition_cannot_break_out_of_the_entity(client: TestClient) -> None:
    answer = client.get("Persons('u1')/works/$count?$filter=number gt 0) or (number gt 0")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "query.syntax")
    assert client.get("Persons('u1')/works/$count?$filter=number lt 2 or number gt 20").text == "2"


def test_null_leads_to_no_rows(client: TestClient) -> None:
    assert client.get("Persons('u2')/peers").json()["value"] == []
    assert client.get("Persons('u1')/peers/$count").text == "1"
    assert client.get("Persons('nobody')/works").status_code == 404


def test_to_several_rows_is_expanded_as_the_way_itself_answers(client: TestClient) -> None:
    path = "Persons?$select=code&$expand=works($select=number;$orderby=number desc;$top=2)"
    for row in client.get(path).json()["value"]:
        options = {
            "$filter": "by eq '{}'".format(row["code"].replace("'", "''")),
            "$select": "number",
            "$orderby": "number desc",
            "$top": "2",
        }
        assert row["works"] == client.get("Works", params=options).json()["value"]


def test_every_address_of_a_row_leads_to_it(client: TestClient) -> None:
    rows = client.get("Persons?$select=group").json()["value"]
    found = [client.get(row["@odata.id"]).json()["code"] for row in rows]
    assert sorted(found) == sorted(LEARNERS)
    full = {"Accept": "application/json;odata.metadata=full"}
    for row in client.get("Persons", headers=full).json()["value"]:
        behind = client.get(row["works@odata.navigationLink"]).json()["value"]
        assert {work["by"] for work in behind} <= {row["code"]}
        assert client.get(f"{row['@odata.id']}/$ref").json()["@odata.id"] == row["@odata.id"]


def test_every_key_in_the_context_can_be_asked_again(client: TestClient) -> None:
    for code in LEARNERS:
        found = client.get(
            "Persons", params={"$filter": "code eq '{}'".format(code.replace("'", "''"))}
        )
        assert [row["code"] for row in found.json()["value"]] == [code]


def test_a_fault_of_ours_shows_nothing_of_the_inside(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(routes, "read_address", fail)
    answer = client.get("Persons")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert answer.headers.get_list("odata-version") == ["4.01"]
