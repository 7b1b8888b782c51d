"""The demo's sources: they declare what they recorded, and one of them holds quests back."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from fastapi.testclient import TestClient

from app.base.clock import now
from app.base.config import Settings
from app.cli import demo
from app.cli.demo import DemoEnvironment, found_environments, send_live
from app.cli.evidence import HELD_BACK, Account, open_account
from app.cli.simulation.company import COMPANIES
from app.ledger.buckets import fold_everywhere
from app.main import create_app
from app.processing.drain import drain_all
from app.store.engine import Store, snapshot

BEGIN = datetime(2026, 1, 5, 10, 0, 7, tzinfo=UTC)
HALF_A_SECOND = timedelta(milliseconds=500)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    small = tuple(replace(company, learner_count=60) for company in COMPANIES)
    monkeypatch.setattr(demo, "COMPANIES", small)
    with time_machine.travel(BEGIN, tick=False) as clock:
        yield clock


class Life:
    """The demo without its terminal: its companies live on while the clock moves."""

    def __init__(self, store: Store, settings: Settings, clock: Any) -> None:
        self._store, self._settings, self._clock = store, settings, clock
        self.environments = found_environments(store)
        self.door: Any = TestClient(create_app(settings, store=store, worker=False))
        self._number = 0
        self.accounts = self.open_accounts()

    def open_accounts(self) -> list[Account]:
        with snapshot(self._store) as connection:
            return [open_account(connection, one.environment_id) for one in self.environments]

    def goes_on(self, seconds: int) -> None:
        """Live so long, and let the worker do its part."""
        for _ in range(2 * seconds):
            self._clock.shift(HALF_A_SECOND)
            for one, account in zip(self.environments, self.accounts, strict=True):
                key, world = one.keys["ingest"], one.world()
                send_live(self.door, world, account, key=key, number=self._number)
            self._number += 1
        drain_all(self._store, self._settings)
        fold_everywhere(self._store)

    def lag(self, environment: DemoEnvironment, stream: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {environment.keys['read']}"}
        path = f"/v1/ingestion/lag?stream={stream}"
        told: dict[str, Any] = self.door.get(path, headers=headers).json()["streams"][0]
        return told


def test_what_one_source_holds_back_shows_within_a_minute_and_a_half(
    store: Store, settings: Settings, clock: Any
) -> None:
    life = Life(store, settings, clock)
    acme, globex = life.environments
    life.goes_on(90)
    held = life.accounts[1].held_back
    quest = life.lag(globex, "quest")
    assert (quest["verdict"], quest["reason"]) == ("incomplete", "short")
    assert 1 <= quest["counts"]["missing"] <= len(held)
    guilty = {source["source"]: source for source in quest["sources"]}[HELD_BACK[1]]
    assert 1 <= guilty["pending"] <= len(held)
    assert quest["lag"]["generation_s"] >= 60
    assert life.lag(globex, "course")["verdict"] == "complete"
    assert life.lag(acme, "quest")["verdict"] == "complete"
    assert life.accounts[0].held_back == []


def test_after_a_restart_the_sources_go_on_where_they_stopped(
    store: Store, settings: Settings, clock: Any
) -> None:
    life = Life(store, settings, clock)
    acme = life.environments[0]
    life.goes_on(90)
    assert life.lag(acme, "course")["verdict"] == "complete"
    clock.shift(timedelta(hours=3))
    life.accounts = life.open_accounts()
    assert sum(map(len, life.accounts[0].made.values())) > 0
    assert life.lag(acme, "course")["verdict"] == "unknown"
    life.goes_on(2)
    lag = life.lag(acme, "course")
    assert lag["verdict"] == "complete"
    assert now() - datetime.fromisoformat(lag["complete_through"]) < timedelta(seconds=30)
