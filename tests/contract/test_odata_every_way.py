"""Every way of every set is expanded, in every shape and to every depth that is offered."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.base.config import Settings
from app.catalog.fields import Dataset
from app.catalog.index import DATASETS, dataset_named
from app.store.engine import Store
from tests.contract.feed_rows import feed_client, fill_feed, told

FULL = {"Accept": "application/json;odata.metadata=full"}
SETS = [one for one in DATASETS if one.navigations and one.scope == "read"]
DEEP = [
    "Learners?$expand=reports($levels=3;$select=learner_key)",
    "Learners?$expand=progress($expand=module($expand=lag))",
    "Modules?$expand=progress($expand=lag($select=verdict))",
    "Series?$expand=modules($select=position;$expand=module($expand=series/$ref))",
    "Teams?$select=name&$expand=learners($expand=progress($expand=attempts_made))",
    "Teams?$expand=learners($expand=progress($count=true;$orderby=module/name desc;$top=2;"
    "$filter=attempts_made/any(a:a/score gt 1 and a/module/name ne 'x');$expand=lag,parts/$count))",
]


@pytest.fixture
def client(store: Store, settings: Settings) -> Iterator[TestClient]:
    with feed_client(store, settings, fill_feed(store).personal) as opened:
        yield opened


def ways(dataset: Dataset, ending: str = "") -> Iterator[str]:
    """Navigations of a set, as many at a time as one question may name beside another."""
    names = [f"{way.name}{ending}" for way in dataset.navigations]
    for start in range(0, len(names), 5):
        yield ",".join(names[start : start + 5])


@pytest.mark.parametrize("dataset", SETS, ids=lambda one: one.name)
def test_every_way_is_expanded(client: TestClient, dataset: Dataset) -> None:
    path = f"{dataset.name}?$top=1&$expand="
    for ending, headers in (("", {}), ("", FULL), ("/$ref", {})):
        for named in ways(dataset, ending):
            told(client, f"{path}{named}", headers)
    for way in dataset.navigations:
        for named in ways(dataset_named(way.target)):
            told(client, f"{path}{way.name}($expand={named})", FULL)
        if way.target == dataset.name:
            body = told(client, f"{path}{way.name}($levels=3)", FULL)
            assert f"{way.name}+(" in body["@odata.context"]


def test_three_levels_are_expanded(client: TestClient) -> None:
    for path in DEEP:
        for headers in ({}, FULL):
            assert told(client, path, headers)["value"]
