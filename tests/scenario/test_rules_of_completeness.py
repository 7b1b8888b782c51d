"""Rules of the verdict that are told with a story and stand in no other scenario."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from app.base.config import Settings
from app.base.facts import Fact, FrontierRegressed
from app.base.observe import listening
from app.store.engine import Store
from tests.world import System, World, open_world

START = datetime(2025, 5, 24, 6, tzinfo=UTC)
TEN = timedelta(minutes=10)


@pytest.fixture
def world(store: Store, settings: Settings) -> Iterator[World]:
    for world in open_world(store, settings, begins=START):
        world.system("hub", "assignments", "catalog")
        yield world


@pytest.fixture
def legacy(world: World) -> System:
    return world.system("legacy", "quest", "mission")


def live_on(world: World, *, buckets: int) -> None:
    """So many buckets end and are declared, two minutes after each; all systems beat."""
    for _ in range(buckets):
        moment = world.now - timedelta(seconds=world.now.timestamp() % 600) + TEN
        world.moves_to(moment + timedelta(minutes=2))
        for system in world.systems:
            system.hands_over()
            world.works()
            system.declares(moment - TEN, moment)
            system.beats()
        world.works()
        world.witnesses()


def test_a_watermark_that_goes_back_is_logged_and_told(world: World, legacy: System) -> None:
    """A late event enters its recorded bucket, which was closed long ago."""
    live_on(world, buckets=6)
    assert world.ask("quest").through == START + 6 * TEN
    facts: list[Fact] = []
    with listening(facts.append):
        legacy.records("quest", START + 2 * TEN)
        legacy.hands_over()
        world.works()
        world.witnesses()
    (regress,) = [fact for fact in facts if isinstance(fact, FrontierRegressed)]
    assert (regress.stream, regress.after) == ("quest", START + 2 * TEN)
    assert world.ask("quest").through == START + 2 * TEN
    path = "/v1/completeness/history?stream=quest&limit=1000"
    entries = world.caller().get(path).json()["items"]
    now_said = [entry for entry in entries if entry["known_to"] is None]
    assert {entry["complete_through"][:16] for entry in now_said} == {"2025-05-24T06:20"}
    legacy.declares(START + 2 * TEN, START + 3 * TEN)
    world.works()
    assert world.ask("quest").through == START + 6 * TEN


def test_an_event_dated_in_the_future_moves_no_watermark(world: World, legacy: System) -> None:
    live_on(world, buckets=4)
    before = world.ask("quest").through
    legacy.records("quest", world.now + timedelta(hours=3))
    legacy.hands_over()
    world.works()
    told = world.ask("quest")
    assert (told.said, told.through) == ("complete", before)
    lag = world.lag("quest")
    assert lag["data_lag_s"] == (world.now - START - 4 * TEN).total_seconds()


def test_waiting_for_people_is_shown_beside_completeness_and_never_inside(
    world: World, legacy: System
) -> None:
    live_on(world, buckets=3)
    legacy.records("mission", world.now)
    (fact,) = legacy.waiting("mission")
    fact.event["type"] = "attempt.submitted"
    fact.event["data"]["attempt"] = 1
    live_on(world, buckets=3)
    told = world.ask("mission", select=["status"])
    assert told.response.json()["rows"] == [{"status": "awaiting_review"}]
    assert told.said == "complete"


def test_lag_is_never_told_as_that_of_a_revision(world: World, legacy: System) -> None:
    live_on(world, buckets=1)
    caller = world.caller()
    for path in ("/v1/ingestion/lag?as_of=1", "/v1/reports/data_completeness?as_of=1"):
        refused = caller.get(path)
        assert (refused.status_code, refused.json()["code"]) == (400, "query.option")
        assert "/v1/completeness/history?as_known_at=" in refused.json()["hint"]
    when = world.now.isoformat().replace("+00:00", "Z")
    assert caller.get(f"/v1/completeness/history?as_known_at={when}").status_code == 200
