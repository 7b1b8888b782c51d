"""The main job on real input: two small environments of OULAD in over HTTP, and all figures equal.

Data: OULAD, Kuzilek et al. 2017, CC BY 4.0, changed (docs/mapping-oulad.md).
"""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient

from app.access.environments import add_environment
from app.access.keys import issue_key
from app.base.config import Settings
from app.intake.sources import add_source
from app.ledger.books import recount_books
from app.main import create_app
from app.processing.drain import drain_all
from app.store.engine import Store, snapshot, transaction
from bench.figures import Ask, differences, figures_by_odata, figures_by_rest
from bench.oulad import (
    SMALL_ENVIRONMENTS,
    SOURCE_KEY,
    expected_figures,
    find_oulad,
    map_oulad,
    read_events,
)

FOLDER = find_oulad()
AS_OF = (datetime(2014, 3, 1, tzinfo=UTC), datetime(2016, 1, 1, tzinfo=UTC))

pytestmark = pytest.mark.skipif(
    FOLDER is None,
    reason="OULAD is not at hand (docs/mapping-oulad.md says where it is looked for)",
)


@pytest.fixture(scope="module")
def mapped() -> Iterator[duckdb.DuckDBPyConnection]:
    """The small environments, mapped to events."""
    assert FOLDER is not None
    connection = map_oulad(FOLDER, environments=SMALL_ENVIRONMENTS, small=True)
    yield connection
    connection.close()


@pytest.fixture
def client(store: Store, settings: Settings) -> Iterator[TestClient]:
    """The HTTP door without a worker: the tests fold when they want to."""
    with TestClient(create_app(settings, store=store, worker=False)) as opened:
        yield opened


def _found(store: Store, name: str) -> tuple[int, str]:
    """An environment with OULAD's source: its number and a key."""
    with transaction(store) as connection:
        number = add_environment(connection, environment_key=name, name=name, timezone="UTC")
        add_source(connection, number, source_key=SOURCE_KEY, kind="push", takes_occurred_at=True)
        issued = issue_key(connection, number, scopes=("ingest", "read", "operate"), name="")
    return number, issued.key


def _asker(client: TestClient, key: str) -> Ask:
    def ask(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {key}"}
        answer = client.request(method, path, json=body, headers=headers)
        assert answer.status_code == 200, (path, answer.text)
        if path != "/v1/books":
            assert answer.headers["Data-Freshness"].startswith("unknown")
        return answer.json()

    return ask


def _send_all(
    client: TestClient, mapped: duckdb.DuckDBPyConnection, *, environment: str, key: str
) -> dict[str, int]:
    """Send an environment's events in batches; give the sums of their fates."""
    sums = dict.fromkeys(("received", "accepted", "duplicate", "conflict", "rejected"), 0)
    for batch in read_events(mapped, environment):
        answer = client.post(
            "/v1/events",
            content="\n".join(batch).encode(),
            headers={
                "Authorization": f"Bearer {key}",
                "Content-Type": "application/x-ndjson",
            },
        )
        assert answer.status_code == 202, answer.text
        receipt = answer.json()
        sums = {name: value + receipt[name] for name, value in sums.items()}
    return sums


def test_real_learning_data_comes_out_as_it_went_in(
    client: TestClient, store: Store, settings: Settings, mapped: duckdb.DuckDBPyConnection
) -> None:
    keys = {name: _found(store, name) for name in SMALL_ENVIRONMENTS}
    first = {
        name: _send_all(client, mapped, environment=name, key=key)
        for name, (_, key) in keys.items()
    }
    drain_all(store, settings)

    for name, (number, key) in keys.items():
        assert first[name]["accepted"] == first[name]["received"] > 10_000
        ask = _asker(client, key)
        books = ask("GET", "/v1/books")
        assert books["balanced"]
        assert (books["pending"], books["dead"]) == (0, 0)
        with snapshot(store) as connection:
            assert recount_books(connection, number) == []
        for as_of in AS_OF:
            expected = expected_figures(mapped, name, as_of=as_of)
            types = [figures.module_type for figures in expected]
            by_odata = figures_by_odata(ask, module_types=types, as_of=as_of)
            assert differences(expected, by_odata) == []
            assert differences(expected, figures_by_rest(ask, as_of=as_of)) == []

    for name, (_, key) in keys.items():
        ask = _asker(client, key)
        revision = ask("GET", "/v1/books")["revision"]
        again = _send_all(client, mapped, environment=name, key=key)
        drain_all(store, settings)
        assert again["duplicate"] == first[name]["accepted"]
        assert (again["accepted"], again["conflict"], again["rejected"]) == (0, 0, 0)
        assert ask("GET", "/v1/books")["revision"] == revision


def test_every_real_event_keeps_the_id_of_its_row(mapped: duckdb.DuckDBPyConnection) -> None:
    strangers = mapped.execute(
        f"""select count(*) from read_csv('{FOLDER}/events_small.csv.gz') as row
            where list_contains($names, row.env_id)
              and row.event_id not in (select event->>'id' from sent)""",
        {"names": list(SMALL_ENVIRONMENTS)},
    ).fetchone()

    assert strangers == (0,)


def test_every_kind_of_figure_is_compared_on_the_small_environments(
    mapped: duckdb.DuckDBPyConnection,
) -> None:
    expected = [
        asdict(figures)
        for name in SMALL_ENVIRONMENTS
        for figures in expected_figures(mapped, name, as_of=AS_OF[1])
    ]

    assert [name for name in expected[0] if not any(one[name] for one in expected)] == []
