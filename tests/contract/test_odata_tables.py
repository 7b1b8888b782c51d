"""Tables: what CSV says of any set."""

import csv
import io
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.base.config import Settings
from app.store.engine import Store
from app.store.tables import Learner
from tests.contract.feed_rows import (
    LEARNERS,
    FeedKeys,
    feed_client,
    fill_feed,
    progress,
    write_rows,
)

# The protocol is the same whatever the database; what differs there has its tests on both.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


ROWS = [progress(number) for number in range(23)]
CSV = {"Accept": "text/csv"}


@pytest.fixture
def keys(store: Store) -> FeedKeys:
    return fill_feed(store)


@pytest.fixture
def client(store: Store, settings: Settings, keys: FeedKeys) -> Iterator[TestClient]:
    with feed_client(store, settings, keys.reader) as opened:
        yield opened


def table(client: TestClient, path: str, **headers: str) -> list[dict[str, str]]:
    """The rows of a table."""
    answer = client.get(path, headers={**CSV, **headers})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv;charset=utf-8;header=present"
    assert "data-freshness" in answer.headers
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_every_set_can_be_a_table_with_its_declared_columns(client: TestClient) -> None:
    for one in client.get("").json()["value"]:
        if one["kind"] != "EntitySet":
            continue
        rows = client.get(f"{one['url']}?$top=3").json()["value"]
        answer = client.get(f"{one['url']}?$top=3&$format=csv")
        read = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert len(read) == len(rows)
        assert all(list(a) == list(b) for a, b in zip(read, rows, strict=True))


def test_a_table_says_what_json_says(client: TestClient) -> None:
    path = "LearnerProgress?$select=assignment_id,score,passed,due_at&$orderby=score desc"
    rows = client.get(path).json()["value"]
    assert table(client, path) == [
        {
            "assignment_id": str(row["assignment_id"]),
            "score": "" if row["score"] is None else repr(row["score"]),
            "passed": "" if row["passed"] is None else str(row["passed"]).lower(),
            "due_at": row["due_at"] or "",
        }
        for row in rows
    ]
    (one,) = table(client, "Modules?$filter=module_id eq 1&$select=name,tags")
    assert one == {"name": 'Module "0"', "tags": '["a","b"]'}


def test_no_cell_is_a_formula(client: TestClient, store: Store) -> None:
    bad = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "＝1", "plain"]  # noqa: RUF001
    rows = [
        {"learner_id": 100 + n, "learner_key": key, "known": True, "attributes": "{}"}
        for n, key in enumerate(bad)
    ]
    write_rows(store, Learner, environment_id=1, rows=rows)
    found = table(client, "Learners?$filter=learner_id ge 100&$select=learner_key,learner_id")
    assert [row["learner_key"] for row in found] == [f"'{key}" for key in bad[:-1]] + ["plain"]


def test_a_table_is_never_cut_silently(store: Store, settings: Settings, keys: FeedKeys) -> None:
    small = settings.model_copy(update={"limit_page_rows_asked": 10})
    with feed_client(store, small, keys.reader) as client:
        refused = client.get("LearnerProgress", headers=CSV)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "query.too_complex")
        assert len(table(client, "LearnerProgress?$top=10")) == 10
        url, found = "LearnerProgress?$select=assignment_id", []
        while url:
            answer = client.get(url, headers={**CSV, "Prefer": "maxpagesize=9"})
            found += list(csv.DictReader(io.StringIO(answer.text)))
            links = [link for link in answer.headers["link"].split(", ") if 'rel="next"' in link]
            url = links[0].partition(">")[0].removeprefix("<") if links else ""
        assert sorted(int(row["assignment_id"]) for row in found) == list(range(1, 24))


def test_a_table_holds_one_set(client: TestClient) -> None:
    assert client.get("LearnerProgress?$expand=module", headers=CSV).status_code == 400
    assert client.get("LearnerProgress(1)", headers=CSV).status_code == 406


def test_reports_of_other_platforms_go_on_working(client: TestClient, keys: FeedKeys) -> None:
    answer = client.get(
        "LearnerModulePerformances?$filter=LearnerEmailId eq 'a@example.org'&$format=csv",
        headers={"X-API-Key": keys.personal},
    )
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    mine = [row for row in ROWS if row["learner_key"] == LEARNERS[0]]
    assert [row["AssignmentId"] for row in rows] == [str(row["assignment_id"]) for row in mine]
    first = rows[0]
    expected = (
        "UserId LearnerEmailId SeriesId SeriesName ModuleId ModuleName Version LearnerModuleState"
        " InvitedOn StartTime EndTime PercentCompleted Score MaxScore HasStarted HasCompleted"
        " HasFailed IsOverdue"
    )
    assert set(expected.split()) <= set(first)
    assert (first["UserId"], first["ModuleId"], first["SeriesName"]) == ("u1", "m0", "Series")
    assert (first["LearnerModuleState"], first["HasCompleted"]) == ("not_started", "false")
    assert 'Name="LearnerEmailId"' not in client.get("$metadata").text
    plain = client.get("LearnerModulePerformances?$filter=HasCompleted&$select=AssignmentId")
    completed = [row["assignment_id"] for row in ROWS if row["status"] == "completed"]
    assert [row["AssignmentId"] for row in plain.json()["value"]] == completed
