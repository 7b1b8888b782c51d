"""Requests as BI tools send them: Power Query, Tableau, SAP Analytics Cloud, Salesforce Connect.

The shapes are written by hand from what these tools are known to send.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.base.config import Settings
from app.store.engine import Store
from tests.contract.feed_rows import ROOT, FeedKeys, feed_client, fill_feed, progress

# The protocol is the same whatever the database; what differs there has its tests on both.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


ROWS = [progress(number) for number in range(23)]
POWER_QUERY = {
    "Accept": (
        "application/json;odata.metadata=minimal;q=1.0,"
        "application/json;odata=minimalmetadata;q=0.9,application/atomsvc+xml;q=0.8,"
        "application/atom+xml;q=0.8,application/xml;q=0.7,text/plain;q=0.7"
    ),
    "OData-MaxVersion": "4.0",
    "OData-Version": "4.0",
    "MaxDataServiceVersion": "3.0",
    "User-Agent": "Microsoft.Data.Mashup (https://go.microsoft.com/fwlink/?LinkID=304225)",
    "Prefer": "odata.include-annotations=*",
    "Accept-Encoding": "gzip, deflate",
}


@pytest.fixture
def keys(store: Store) -> FeedKeys:
    return fill_feed(store)


@pytest.fixture
def client(store: Store, settings: Settings, keys: FeedKeys) -> Iterator[TestClient]:
    small = settings.model_copy(update={"limit_page_rows": 6})
    with feed_client(store, small, keys.reader) as opened:
        del opened.headers["X-API-Key"]
        opened.auth = ("anybody", keys.reader)
        yield opened


def walk(client: TestClient, path: str, headers: dict[str, str]) -> list[dict[str, Any]]:
    """All rows of a set, by next links."""
    url, found = path, []
    while url:
        answer = client.get(url, headers=headers)
        assert answer.status_code == 200, answer.text
        assert len(answer.headers.get_list("odata-version")) == 1
        found += answer.json()["value"]
        url = answer.json().get("@odata.nextLink", "")
    return found


# Power BI and Excel


def test_power_query_reads_the_service_and_its_metadata(client: TestClient) -> None:
    service = client.get("", headers=POWER_QUERY)
    assert service.headers["odata-version"] == "4.0"
    assert service.headers["content-type"].startswith("application/json;odata.metadata=minimal")
    assert service.json()["@odata.context"] == f"{ROOT}/$metadata"
    metadata = client.get("$metadata", headers=POWER_QUERY)
    assert metadata.headers["content-type"].startswith("application/xml")
    assert 'Version="4.0"' in metadata.text
    assert metadata.headers["odata-version"] == "4.0"


def test_power_query_without_a_key_is_asked_for_one(client: TestClient) -> None:
    answer = client.get("", headers=POWER_QUERY, auth=None)
    assert answer.status_code == 401
    assert "Basic realm=" in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("$top=1000", [row["assignment_id"] for row in ROWS]),
        ("$filter=status eq 'completed'&$select=assignment_id%2Cstatus", [3, 8, 13, 18, 23]),
        (
            "$orderby=score%20desc,assignment_id&$select=assignment_id,score&$top=3",
            [3, 6, 12],
        ),
        ("$filter=contains(learner_key, 'u') and score ge 2.0&$top=2", [3, 6]),
        ("$filter=startswith(learner_key,'u5')&$skip=1&$top=2", [10, 15]),
    ],
)  # fmt: skip
def test_power_query_folds_its_steps(client: TestClient, query: str, expected: list[int]) -> None:
    rows = walk(client, f"LearnerProgress?{query}", POWER_QUERY)
    assert [row["assignment_id"] for row in rows] == expected


def test_incremental_refresh_asks_for_a_window(client: TestClient) -> None:
    window = "assigned_at ge 2025-01-05T00:00:00Z and assigned_at lt 2025-01-09T00:00:00Z"
    rows = walk(client, f"LearnerProgress?$filter={window}", POWER_QUERY)
    assert [row["assignment_id"] for row in rows] == [5, 6, 7, 8]
    moments = [row["assigned_at"] for row in rows]
    assert all(datetime.fromisoformat(moment).utcoffset() is not None for moment in moments)
    counted = client.get(f"LearnerProgress/$count?$filter={window}", headers=POWER_QUERY)
    assert counted.text == "4"


def test_power_query_calls_a_navigation_for_each_row(client: TestClient) -> None:
    (row,) = client.get("LearnerProgress?$top=1", headers=POWER_QUERY).json()["value"]
    learner = client.get(f"LearnerProgress({row['assignment_id']})/learner", headers=POWER_QUERY)
    assert learner.json()["learner_key"] == row["learner_key"]
    expanded = client.get("LearnerProgress?$top=1&$expand=learner", headers=POWER_QUERY).json()
    assert expanded["@odata.context"] == f"{ROOT}/$metadata#LearnerProgress"
    assert expanded["value"][0]["learner"]["learner_key"] == row["learner_key"]


def test_power_query_is_told_the_columns_by_the_context(client: TestClient) -> None:
    body = client.get("LearnerProgress?$select=status,score&$top=0", headers=POWER_QUERY).json()
    assert body["@odata.context"] == f"{ROOT}/$metadata#LearnerProgress(status,score)"


def test_power_query_sends_batches(client: TestClient) -> None:
    body = (
        "--batch_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        f"GET {ROOT}/Teams?$top=1 HTTP/1.1\r\nAccept: application/json\r\n\r\n\r\n"
        "--batch_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        "GET Learners/$count HTTP/1.1\r\n\r\n\r\n--batch_1--\r\n"
    )
    headers = {
        **POWER_QUERY,
        "Content-Type": "multipart/mixed; boundary=batch_1",
        "Accept": "multipart/mixed",
    }
    answer = client.post("$batch", content=body.encode(), headers=headers)
    assert answer.status_code == 200
    assert answer.text.count("HTTP/1.1 200 OK") == 2
    assert '"Team"' in answer.text


def test_the_verdict_is_data_for_tools_that_drop_headers_and_annotations(
    client: TestClient,
) -> None:
    (row,) = walk(client, "IngestionLag?$filter=stream eq 'quest'", POWER_QUERY)
    assert row["verdict"] == "unknown"
    assert client.get("Freshness", headers=POWER_QUERY).json()["verdict"] == "unknown"


# Tableau


def test_tableau_walks_whole_sets_with_user_and_password(client: TestClient) -> None:
    headers = {"Accept": "application/json", "OData-MaxVersion": "4.0"}
    rows = walk(client, "LearnerProgress?$format=json", headers)
    assert [row["assignment_id"] for row in rows] == [row["assignment_id"] for row in ROWS]
    some = walk(client, "LearnerProgress?$select=assignment_id,status&$format=json", headers)
    assert [set(row) for row in some] == [{"assignment_id", "status"}] * 23


# SAP Analytics Cloud


def test_sap_analytics_cloud_reads_batches_by_skip_and_top(client: TestClient) -> None:
    headers = {"Accept": "application/json", "OData-MaxVersion": "4.0"}
    total = int(client.get("LearnerProgress/$count", headers=headers).text)
    found: list[int] = []
    for skip in range(0, total, 4):
        query = f"$select=assignment_id,score&$orderby=score&$skip={skip}&$top=4"
        page = client.get(f"LearnerProgress?{query}", headers=headers).json()
        assert "@odata.nextLink" not in page
        found += [row["assignment_id"] for row in page["value"]]
    assert sorted(found) == list(range(1, total + 1))


def test_large_batches_by_skip_and_top_are_paged(client: TestClient) -> None:
    rows = walk(client, "LearnerProgress?$skip=2&$top=50000&sap-client=100", {})
    assert len(rows) == 21
    wide = {"Prefer": "odata.maxpagesize=50000"}
    assert len(client.get("LearnerProgress?$top=50000", headers=wide).json()["value"]) == 23


# Salesforce Connect


def test_salesforce_connect_always_counts(client: TestClient) -> None:
    headers = {"Accept": "application/json", "OData-Version": "4.0", "OData-MaxVersion": "4.0"}
    query = "$count=true&$select=assignment_id,status,learner_key&$top=2&$skip=1"
    query += "&$orderby=assignment_id%20desc&$filter=status eq 'completed' or status eq 'failed'"
    body = client.get(f"LearnerProgress?{query}", headers=headers).json()
    done = [r["assignment_id"] for r in ROWS if r["status"] in {"completed", "failed"}]
    assert body["@odata.count"] == len(done)
    assert [row["assignment_id"] for row in body["value"]] == sorted(done, reverse=True)[1:3]
    one = client.get("LearnerProgress(3)?$select=assignment_id,status", headers=headers).json()
    assert one["status"] == "completed"


# Data Factory, dlt, Airbyte


def test_pipelines_ask_for_what_changed_since(client: TestClient) -> None:
    since = "changed_at gt 2024-12-31T00:00:00Z"
    rows = walk(client, f"LearnerProgress?$filter={since}&$orderby=changed_at", {})
    assert len(rows) == 23
    assert walk(client, "LearnerProgress?$filter=changed_at gt 2025-12-31T00:00:00Z", {}) == []
