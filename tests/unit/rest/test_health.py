"""Liveness, readiness and status: a database that does not fit is said, not hidden."""

from collections.abc import Iterator

import pytest

from app.base.config import Settings
from app.store.engine import Store, close_store, open_store
from app.store.migrate import migrate_store, read_schema
from tests.contract.site import open_site


@pytest.fixture
def empty_store(database_url: str) -> Iterator[Store]:
    opened = open_store(database_url)
    yield opened
    close_store(opened)


def test_a_server_is_ready_once_its_database_fits(empty_store: Store, settings: Settings) -> None:
    client = open_site(empty_store, settings).client
    assert client.get("/healthz").json() == {"status": "ok"}
    behind = client.get("/readyz")
    assert (behind.status_code, behind.json()["code"]) == (503, "store.schema_behind")
    assert client.get("/v1/status").json()["status"] == "degraded"
    assert migrate_store(empty_store).current is None
    assert client.get("/readyz").status_code == 200
    assert client.get("/v1/status").json()["status"] == "ok"
    assert read_schema(empty_store).is_current
    assert migrate_store(empty_store).is_current


def test_metrics_are_text_for_prometheus(store: Store, settings: Settings) -> None:
    response = open_site(store, settings).client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "fullcount_accept_seconds_count" in response.text
