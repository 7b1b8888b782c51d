"""Custom attributes from the event to the feeds: typed, found by name, an environment's own."""

from typing import Any

from app.base.config import Settings
from app.processing.drain import drain_all
from app.store.engine import Store
from tests.contract.site import Caller, open_site


def tell(caller: Caller, *told: dict[str, Any]) -> None:
    """Send one learner.upserted each, u1 first."""
    events = [
        {
            "specversion": "1.0",
            "id": f"e{number}",
            "source": "legacy",
            "type": "learner.upserted",
            "time": "2025-05-24T10:00:00Z",
            "recordedtime": "2025-05-24T10:00:01Z",
            "data": {"learner": f"u{number}", "attributes": attributes},
        }
        for number, attributes in enumerate(told, start=1)
    ]
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    assert caller.post("/v1/events", json=events, headers=headers).json()["accepted"] == len(told)


def test_an_attribute_is_a_field_of_the_feeds_of_its_environment(
    store: Store, settings: Settings
) -> None:
    site = open_site(store, settings)
    caller, stranger = site.caller("acme"), site.caller("globex")
    tell(caller, {"grade": "A", "level": 3}, {"grade": "B", "level": 2.5}, {"level": 1})
    tell(stranger, {"colour": "red"})
    drain_all(store, settings)

    told = caller.get("/v1/datasets/Learners").json()["fields"]
    own = {field["name"]: field["type"] for field in told if "/" in field["name"]}
    assert own == {"attributes/grade": "text", "attributes/level": "number"}
    told = stranger.get("/v1/datasets/LearnerProgress").json()["fields"]
    assert [field["name"] for field in told if "/" in field["name"]] == ["attributes/colour"]

    body = {
        "dataset": "Learners",
        "select": ["attributes/grade", {"field": "attributes/level", "aggregate": "max"}],
        "where": "attributes/level ge 2",
    }
    answer = caller.post("/v1/query", json=body).json()
    assert [column["type"] for column in answer["columns"]] == ["text", "number"]
    assert answer["rows"] == [
        {"attributes/grade": "A", "attributes/level_max": 3},
        {"attributes/grade": "B", "attributes/level_max": 2.5},
    ]
    refused = stranger.post("/v1/query", json=body)
    assert (refused.status_code, refused.json()["code"]) == (400, "query.unknown_field")


def test_odata_takes_attributes_as_dynamic_properties(store: Store, settings: Settings) -> None:
    site = open_site(store, settings)
    caller = site.caller("acme")
    tell(caller, {"grade": "A", "level": 3}, {"grade": "B", "level": 2.5}, {})
    drain_all(store, settings)
    learners = "/odata/v4/Learners"

    def keys(query: str) -> list[str]:
        return [row["learner_key"] for row in caller.get(f"{learners}?{query}").json()["value"]]

    assert keys("$filter=attributes/level gt 2.5") == ["u1"]
    assert keys("$orderby=attributes/level,learner_key") == ["u3", "u2", "u1"]
    query = "$select=learner_key,attributes/level&$orderby=learner_key&$top=2"
    page = caller.get(f"{learners}?{query}").json()
    assert page["@odata.context"].endswith("#Learners(learner_key,attributes/level)")
    for row in page["value"]:
        del row["@odata.id"]
    assert page["value"] == [
        {"learner_key": "u1", "attributes": {"level": 3}},
        {"learner_key": "u2", "attributes": {"level": 2.5}},
    ]
    both = caller.get(f"{learners}?$select=attributes/level,attributes&$top=1").json()
    assert both["value"][0]["attributes"] == {"grade": "A", "level": 3}
    one = caller.get(f"{learners}(1)?$select=attributes/grade").json()
    assert one["attributes"] == {"grade": "A"}
    refused = caller.get(f"{learners}?$filter=attributes/levle eq 3")
    assert refused.status_code == 400
    assert "attributes/level" in refused.json()["error"]["message"]
    # A dynamic property that a row does not have is left out of it (OData Protocol 4.01, 11.2.4).
    row = caller.get(f"{learners}?$select=attributes/levle&$top=1").json()["value"][0]
    assert row["attributes"] == {}


def test_days_among_attributes_are_told_with_their_type(store: Store, settings: Settings) -> None:
    """JSON Format 4.01, 4.6.3: a reader takes them for texts."""
    site = open_site(store, settings)
    caller, stranger = site.caller("acme"), site.caller("globex")
    code = 'a.b "c" ü,probation'
    own = {"ends": "2025-05-21", "grade": "A", "level": 3, "née (?)": "1990-02-28", code: "x"}
    tell(caller, own, {"grade": '{"ends":'}, {"level": 1, code: "2025-01-01"})
    tell(stranger, {"ends": "soon"}, {"ends": "2025-05-21"})
    drain_all(store, settings)
    learners = "/odata/v4/Learners"

    def told(path: str, level: str = "minimal") -> Any:
        answer = caller.get(path, headers={"Accept": f"application/json;odata.metadata={level}"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    shown = own | {"ends@odata.type": "#Date", "née (?)@odata.type": "#Date"}
    query = "$select=learner_id,attributes&$orderby=learner_id"
    for level, whole in (("minimal", shown), ("full", shown), ("none", own)):
        inside = {"@odata.type": "#fullcount.Attributes"} if level == "full" else {}
        rows = told(f"{learners}?{query}", level)["value"]
        assert [row["attributes"] for row in rows] == [
            inside | whole,
            inside | {"grade": '{"ends":'},
            inside | {"level": 1, code: "2025-01-01"},
        ]
        assert told(f"{learners}(1)?$select=attributes", level)["attributes"] == inside | whole
        alone = told(f"{learners}(1)/attributes", level)
        assert {name: alone[name] for name in alone if name[0] != "@"} == whole
        one = told(f"{learners}(1)/attributes/ends", level)
        assert one.get("@odata.type", "") == ("" if level == "none" else "#Date")
        assert one["value"] == "2025-05-21"
    some = told(f"{learners}(1)?$select=attributes/ends")["attributes"]
    assert list(some.items()) == [("ends@odata.type", "#Date"), ("ends", "2025-05-21")]
    behind = told(f"{learners}?$expand=manager,reports&$filter=learner_id eq 1&{query}")
    assert behind["value"][0]["attributes"] == shown
    assert told(f"{learners}?$apply=identity&{query}&$top=1")["value"][0]["attributes"] == shown
    assert caller.get(f"{learners}(1)/attributes/ends/$value").text == "2025-05-21"
    table = caller.get(f"{learners}?{query}&$format=csv").text
    assert "odata.type" not in table
    mixed = stranger.get(f"{learners}?{query}").json()["value"]
    assert [row["attributes"] for row in mixed] == [{"ends": "soon"}, {"ends": "2025-05-21"}]
