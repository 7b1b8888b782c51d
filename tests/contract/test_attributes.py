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
