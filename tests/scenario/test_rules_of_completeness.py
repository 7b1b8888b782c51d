"""Rules of the verdict that are told with a story and stand in no other scenario."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from app.base.config import Settings
from app.base.facts import Fact, FrontierRegressed
from app.base.observe import listening
from app.store.engine import Store
from tests.world import System, World, open_world, read_told

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


def test_a_later_page_is_judged_for_the_target_of_the_first(world: World, legacy: System) -> None:
    """What came meanwhile is no part of the walk: no page claims what was recorded since."""
    legacy.records("quest", *[world.now + timedelta(seconds=n) for n in range(4)])
    live_on(world, buckets=4)
    asked = "/odata/v4/complete/LearnerProgress?$filter=module_type eq 'quest'&$select=status"
    paged = {"Prefer": "odata.maxpagesize=2,track-changes"}
    caller, first = world.caller(), world.ask("quest", limit=2)
    feed = caller.get(asked, headers=paged)
    assert (first.said, read_told(feed).said) == ("complete", "complete")
    since = caller.get(asked, headers={"Prefer": "track-changes"}).json()["@odata.deltaLink"]
    legacy.records("quest", world.now)
    live_on(world, buckets=4)
    legacy.records("quest", *[world.now + timedelta(seconds=n) for n in range(3)])
    live_on(world, buckets=1)
    changes = caller.get(since, headers={"Prefer": "odata.maxpagesize=2"})
    told_first = read_told(changes)
    live_on(world, buckets=4)
    today = world.ask("quest")
    assert today.parameters["target"] > told_first.parameters["target"]
    assert told_first.parameters["target"] > first.parameters["target"]
    rest = world.ask("quest", limit=2, next=first.response.json()["next"], require="complete")
    for began, later in (
        (first, rest),
        (read_told(feed), read_told(caller.get(feed.json()["@odata.nextLink"]))),
        (told_first, read_told(caller.get(changes.json()["@odata.nextLink"]))),
    ):
        assert (later.status, later.said) == (200, "complete")
        for claimed in ("through", "target"):
            assert later.parameters[claimed] == began.parameters[claimed]
        assert later.parameters["target"] <= later.parameters["through"]
    freshness = rest.response.json()["freshness"]
    assert freshness["target"] <= freshness["through"]


def test_a_later_page_tells_of_a_stream_that_has_become_worse(world: World, legacy: System) -> None:
    legacy.records("quest", *[world.now + timedelta(seconds=n) for n in range(3)])
    live_on(world, buckets=4)
    first = world.ask("quest", limit=2)
    legacy.held.add("quest")
    legacy.records("quest", world.now)
    live_on(world, buckets=2)
    later = world.ask("quest", limit=2, next=first.response.json()["next"])
    assert (first.said, later.said) == ("complete", "incomplete short")
    assert later.parameters["target"] == first.parameters["target"]


def test_lag_of_one_source_is_judged_by_what_is_listed_of_it(world: World, legacy: System) -> None:
    other = world.system("other")
    live_on(world, buckets=4)
    other.records("quest", world.now)
    other.sends(other.waiting("quest"))
    world.works()
    own = {"legacy": {"quest", "mission"}, "other": {"quest"}}
    for of_legacy in ("complete", "unknown source_silent"):
        for source, said in (("legacy", of_legacy), ("other", "unknown no_contract")):
            path = f"/v1/ingestion/lag?stream=quest,mission&source={source}"
            told = read_told(world.caller().get(path))
            body = told.response.json()
            assert told.said == f"{body['verdict']} {body['reason'] or ''}".strip() == said
            assert {row["stream"] for row in body["streams"]} == set(told.streams) == own[source]
            assert {row["verdict"] for row in body["streams"]} == {body["verdict"]}
        world.passes(minutes=4)


def test_the_target_of_an_answer_is_that_of_its_hour(world: World, legacy: System) -> None:
    """What is kept of a stream between two answers holds no longer than its target."""
    live_on(world, buckets=4)
    world.moves_to(START + timedelta(minutes=49))
    for system in world.systems:
        system.beats()
    for minute, target in ((49, 2), (50, 3), (51, 3)):
        world.moves_to(START + timedelta(minutes=minute))
        told, lag = world.ask("quest"), world.lag("quest")
        assert told.parameters["target"] == datetime.fromisoformat(lag["target"])
        assert told.parameters["target"] == START + target * TEN
        assert told.said == lag["verdict"] == "complete"
