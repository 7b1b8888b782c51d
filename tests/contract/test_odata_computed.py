"""Columns that a question makes: what they are made from, and how their types are told."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.base.config import Settings
from app.store.engine import Store
from tests.contract.feed_rows import feed_client, fill_feed, told

FULL = {"Accept": "application/json;odata.metadata=full"}
NONE = {"Accept": "application/json;odata.metadata=none"}


@pytest.fixture
def client(store: Store, settings: Settings) -> Iterator[TestClient]:
    with feed_client(store, settings, fill_feed(store).reader) as opened:
        yield opened


def test_computed_columns_tell_what_a_reader_could_not_know(client: TestClient) -> None:
    path = (
        "LearnerProgress(1)?$compute=date(assigned_at) as day,time_spent_s add 1 as more,"
        "percent_complete div 2 as half&$select=day,more,half"
    )
    plain = told(client, path, {})
    assert (plain["day@odata.type"], plain["day"]) == ("#Date", "2025-01-01")
    assert plain["more@odata.type"] == "#Int64"
    assert "half@odata.type" not in plain
    exact = told(client, path, {"Accept": f"{FULL['Accept']};IEEE754Compatible=true"})
    assert (exact["more@odata.type"], exact["more"]) == ("#Int64", str(2**53 + 2))
    assert (exact["day@odata.type"], exact["half"]) == ("#Date", 0.0)
    assert "day@odata.type" not in told(client, path, NONE)


def test_computed_columns_of_expanded_rows_tell_their_type(client: TestClient) -> None:
    path = "Learners(1)?$select=learner_id&$expand=progress($compute=date(assigned_at) as day;"
    for options in ("$select=day;$top=1)", "$select=day;$top=1;$expand=module)"):
        (row,) = told(client, path + options, {})["progress"]
        assert list(row)[:3] == ["@odata.id", "day@odata.type", "day"]


@pytest.mark.parametrize(
    ("path", "members"),
    [
        (
            "LearnerProgress?$compute=cycle add 1 as next&$select=next",
            ["@odata.id", "next@odata.type", "next"],
        ),
        (
            "LearnerProgress?$apply=groupby((module/name,status),aggregate($count as n))",
            ["module", "status", "n@odata.type", "n"],
        ),
        (
            "LearnerProgress?$apply=concat(aggregate($count as n),groupby((status)))"
            "&$compute=status eq null as none,date(@at) as day&@at=2025-01-01T00:00:00Z&$skip=1",
            ["status", "none", "day@odata.type", "day"],
        ),
    ],
)
def test_types_of_columns_that_are_made_are_written_by_the_database(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str, members: list[str]
) -> None:
    for room in ("rows", "apply"):
        monkeypatch.setattr(f"app.odata.{room}.split_objects", None)
    assert list(told(client, path, {})["value"][0]) == members


def test_a_row_behind_a_way_computes_from_its_own_columns(client: TestClient) -> None:
    path = "LearnerProgress(1)/module?$compute=length(name) as size,date(changed_at) as day"
    assert told(client, path, {})["size"] == len('Module "0"')
    assert told(client, f"{path}&$select=day", {})["day@odata.type"] == "#Date"
    assert client.get("LearnerProgress(1)/module?$compute=score add 1 as x").status_code == 400
