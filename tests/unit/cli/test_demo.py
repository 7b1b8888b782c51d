"""`fullcount demo`: founded once, its history loaded once, its live events let in by the door."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient

from app.base.config import Settings
from app.base.facts import DefectOpened, SweepRepaired
from app.base.observe import observe
from app.cli import demo
from app.cli.demo import (
    DemoEnvironment,
    found_environments,
    greeting,
    load_history,
    remove_database,
    send_live,
)
from app.cli.evidence import open_account
from app.cli.simulation.company import COMPANIES
from app.ledger.books import Books, read_books
from app.main import create_app
from app.processing.drain import drain_all
from app.store.engine import Store, close_store, open_store, snapshot
from app.store.migrate import migrate_store


@pytest.fixture
def store(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The demo's kind of database, and companies that are quickly told."""
    small = tuple(replace(company, learner_count=60) for company in COMPANIES)
    monkeypatch.setattr(demo, "COMPANIES", small)
    opened = open_store(settings.database_url)
    migrate_store(opened)
    yield opened
    close_store(opened)


def _books(store: Store, environments: tuple[DemoEnvironment, ...]) -> list[Books]:
    with snapshot(store) as connection:
        return [read_books(connection, one.environment_id) for one in environments]


def test_what_is_held_back_is_told_once_with_a_plain_moment(
    capfd: pytest.CaptureFixture[str],
) -> None:
    demo._quiet_logs()
    for minute, stream in enumerate(("quest", "quest", "ilt", "quest")):
        since = datetime(2025, 5, 23, 6, minute, tzinfo=UTC)
        observe(DefectOpened(1, minute, 2, stream, "short", since, 6))
    observe(SweepRepaired(1, 2))
    lines = capfd.readouterr().err.splitlines()
    structlog.reset_defaults()
    assert ["quest" in line for line in lines] == [True, False, False]
    assert "2025-05-23T06:00:00.000000Z" in lines[0]
    assert "ilt" in lines[1]


def test_environments_are_founded_once_and_keys_made_at_each_start(store: Store) -> None:
    first, second = found_environments(store), found_environments(store)

    assert [one.company.key for one in first] == ["acme", "globex"]
    assert [one.environment_id for one in first] == [one.environment_id for one in second]
    assert first[0].since == second[0].since
    assert first[0].keys["read"] != second[0].keys["read"]


def test_a_stopped_load_goes_on_and_the_whole_history_is_applied(
    store: Store, settings: Settings
) -> None:
    environments = found_environments(store)
    before = sum(islice(load_history(store, settings, environments), 3))
    after = sum(load_history(store, settings, environments))
    drain_all(store, settings)

    books = _books(store, environments)
    assert sum(one.total("received") for one in books) == before + after
    for one in books:
        assert one.is_balanced
        assert one.total("received") == one.total("accepted") + one.total("duplicate")
        assert 0 < one.total("duplicate") < one.total("accepted") / 100
        assert one.pending + one.total("dead") == 0
    assert sum(load_history(store, settings, environments)) == 0


def test_live_events_are_let_in_by_the_http_door(store: Store, settings: Settings) -> None:
    environments = found_environments(store)
    with TestClient(create_app(settings, store=store, worker=False)) as client:
        door: Any = client
        with snapshot(store) as connection:
            accounts = [open_account(connection, one.environment_id) for one in environments]
        for number in range(1, 21):
            for one, account in zip(environments, accounts, strict=True):
                send_live(door, one.world(), account, key=one.keys["ingest"], number=number)

    for books in _books(store, environments):
        assert books.total("accepted") >= 20
        assert books.total("received") == books.total("accepted")


def test_the_greeting_names_every_key_and_address(store: Store) -> None:
    environments = found_environments(store)
    words = greeting("http://127.0.0.1:8000", environments)

    for one in environments:
        for key in one.keys.values():
            assert key in words
    for address in ("/docs", "/odata/v4/", "/v1/ingestion/lag", "/v1/events"):
        assert f"http://127.0.0.1:8000{address}" in words


def test_a_reset_removes_the_database_with_its_log(store: Store, settings: Settings) -> None:
    path = settings.database_url.removeprefix("sqlite:///")
    close_store(store)

    remove_database(Path(path))

    assert not Path(path).exists()
    remove_database(Path(path))
