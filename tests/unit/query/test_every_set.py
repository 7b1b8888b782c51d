"""Every set answers on both databases with all it has: fields, measures, and what they read."""

import pytest

from app.access.principal import SCOPES
from app.catalog.fields import Dataset
from app.catalog.functions import AGGREGATES
from app.catalog.index import DATASETS
from app.query.answer import run_plan
from app.query.plan import make_plan
from app.query.request import Aggregate, Expand, Order, Request
from app.store.engine import Store
from tests.builders import (
    NOON,
    a_caller,
    a_small_world,
    an_environment,
    rows_of,
    some_settings,
)

# The protocol is the same whatever the database; what differs there has its tests on both.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


def count_rows(store: Store, environment_id: int, request: Request) -> int:
    """How many rows a caller of all scopes gets at noon."""
    plan = make_plan(request, a_caller(environment_id, *SCOPES), some_settings())
    return len(rows_of(run_plan(plan, store, now=NOON)))


@pytest.mark.parametrize("dataset", DATASETS, ids=[dataset.name for dataset in DATASETS])
def test_a_set_shows_its_fields_and_related_rows(store: Store, dataset: Dataset) -> None:
    environment_id = a_small_world(store)
    names = [navigation.name for navigation in dataset.navigations]

    whole = count_rows(store, environment_id, Request(dataset.name))
    for start in range(0, len(names), 5):
        expand = tuple(Expand(name) for name in names[start : start + 5])
        asked = Request(dataset.name, expand=expand, order=(Order(dataset.key[0], True),))
        assert count_rows(store, environment_id, asked) == whole


@pytest.mark.parametrize("dataset", DATASETS, ids=[dataset.name for dataset in DATASETS])
def test_a_set_reckons_its_measures_and_aggregates(store: Store, dataset: Dataset) -> None:
    environment_id = an_environment(store)
    measures = tuple(Aggregate(measure.name) for measure in dataset.measures)
    if measures:
        assert count_rows(store, environment_id, Request(dataset.name, aggregates=measures)) == 1
    for field in (*dataset.fields, *dataset.measured):
        picks = tuple(
            Aggregate(row.name, row.name, field.name)
            for row in AGGREGATES
            if field.type in row.takes and not row.beside and row.name != "share"
        )
        if picks:
            assert count_rows(store, environment_id, Request(dataset.name, aggregates=picks)) == 1
