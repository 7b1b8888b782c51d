"""Transformations of rows as they were at a revision."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.base.config import Settings
from app.store.engine import Store, transaction
from app.store.tables import Environment, Progress
from app.store.tables.columns import table_of
from tests.contract.feed_rows import feed_client, fill_feed


@pytest.fixture
def client(store: Store, settings: Settings) -> Iterator[TestClient]:
    reader = fill_feed(store).reader
    write_revision(store, 1)
    with feed_client(store, settings, reader) as opened:
        yield opened


def write_revision(store: Store, revision: int, **values: float) -> None:
    """Some rows change their values, and the revision is told."""
    environment, progress = table_of(Environment), table_of(Progress)
    with transaction(store) as connection:
        for number in (1, 2):
            its = environment.c.environment_id == number
            connection.execute(update(environment).where(its).values(last_revision=revision))
            some = (progress.c.environment_id == number) & (progress.c.assignment_id < 12)
            connection.execute(update(progress).where(some).values(revision=revision, **values))


@pytest.mark.parametrize(
    "steps",
    [
        "groupby((status),filter(score gt 1)/aggregate($count as n))",
        "filter(score gt 1)/skip(1)/top(5)/aggregate(score with sum as total)",
        "concat(aggregate(score with sum as n),groupby((status),aggregate(score with max as m)))",
        "groupby((status),topsum(3,score)/aggregate(score with sum as total))",
    ],
)
def test_rows_of_a_revision_are_transformed_as_they_were(
    store: Store, client: TestClient, steps: str
) -> None:
    before = client.get(f"LearnerProgress?$apply={steps}").json()
    write_revision(store, 2, score=0.5)
    now = client.get(f"LearnerProgress?$apply={steps}").json()
    assert now["@fullcount.revision"] == 2
    assert now["value"] != before["value"]
    past = client.get(f"LearnerProgress?$apply={steps}&as_of=1").json()
    assert past["value"] == before["value"]
