"""Dead events in verdicts: nothing is complete while one is dead; a waiver stops its alarm only."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.base.config import Settings
from app.processing import drain, project
from app.processing.fold import fold_entity
from app.store.engine import Store
from tests.world import System, World, open_world

START = datetime(2025, 5, 24, 10, tzinfo=UTC)
TEN = timedelta(minutes=10)


@pytest.fixture
def world(store: Store, settings: Settings) -> Iterator[World]:
    for world in open_world(store, settings, begins=START):
        world.system("hub", "assignments", "catalog")
        yield world


@pytest.fixture
def legacy(world: World) -> System:
    return world.system("legacy", "quest", "ilt")


@pytest.fixture(autouse=True)
def poison(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Entities of these learners die at their first try; it may be mended by taking one out."""
    doomed = {"bad"}
    monkeypatch.setattr(project, "MAX_ATTEMPTS", 1)

    def fold_or_fail(entity_key: str, entries: Sequence[Any]) -> Any:
        if any(f'"{name}"' in entity_key for name in doomed):
            raise ValueError("no such luck")
        return fold_entity(entity_key, entries)

    monkeypatch.setattr(drain, "fold_entity", fold_or_fail)
    monkeypatch.setattr(drain, "extend_entity", lambda _before, _entries: None)
    return doomed


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


def settle(world: World, how: str, **more: Any) -> None:
    told = world.caller().post(f"/v1/dead/{how}", json={"all": True, **more})
    assert told.status_code == 200, told.text
    world.works()


def test_nothing_is_complete_while_an_event_is_dead_until_it_is_redriven(
    world: World, legacy: System, poison: set[str]
) -> None:
    live_on(world, buckets=3)
    legacy.records("quest", world.now, learner="good")
    legacy.records("quest", world.now, learner="bad")
    legacy.hands_over()
    world.works()
    assert world.pending_count() == 0
    assert world.ask("quest").said == "incomplete dead_events"
    assert world.ask("ilt").said == "complete"
    live_on(world, buckets=1)
    assert world.ask("quest").said == "incomplete dead_events"
    live_on(world, buckets=1)
    assert world.ask("quest").said == "incomplete short"
    live_on(world, buckets=5)
    assert world.ask("quest").said == "stalled deficit_not_shrinking"
    poison.clear()
    settle(world, "redrive")
    live_on(world, buckets=1)
    assert world.ask("quest").said == "complete"


def test_a_dead_event_that_its_source_does_not_declare_counts_all_the_same(
    world: World, legacy: System
) -> None:
    live_on(world, buckets=3)
    legacy.records("quest", world.now, learner="bad")
    legacy.hands_over()
    world.works()
    legacy.facts["quest"].clear()
    live_on(world, buckets=5)
    assert world.defects() == []
    assert world.ask("quest").said == "incomplete dead_events"


def test_a_dead_event_of_a_source_that_does_not_owe_its_stream_counts_all_the_same(
    world: World, legacy: System, poison: set[str]
) -> None:
    """So does one that waits; the source itself is told apart from those that owe the stream."""
    other = world.system("other")
    live_on(world, buckets=4)
    other.records("quest", world.now - 3 * TEN, learner="bad")
    other.sends(other.waiting("quest"))
    for works, said, of_other in (
        (False, "catching_up in_flight", ("unknown", "no_contract")),
        (True, "incomplete dead_events", ("incomplete", "dead_events")),
    ):
        if works:
            world.works()
        told = world.ask("quest")
        assert (told.said, str(told.streams["quest"]["source"])) == (said, "other")
        assert told.through == START + TEN
        lag = world.lag("quest")
        assert f"{lag['verdict']} {lag['reason']}" == said
        sources = {row["source"]: (row["verdict"], row["reason"]) for row in lag["sources"]}
        assert sources == {"legacy": ("complete", None), "other": of_other}
        rows = world.caller().get("/odata/v4/IngestionLag?$filter=stream eq 'quest'").json()
        assert [f"{row['verdict']} {row['reason']}" for row in rows["value"]] == [said]
        assert lag["counts"]["declared"] == 0
        assert world.ask("ilt").said == "complete"
    poison.clear()
    settle(world, "redrive")
    assert world.ask("quest").said == "complete"


def test_a_dead_event_of_a_stream_that_nobody_owes_is_told(world: World, legacy: System) -> None:
    legacy.records("course", world.now, learner="bad")
    legacy.sends(legacy.waiting("course"))
    assert world.ask("course").said == "unknown no_contract"
    world.works()
    for told in (world.ask("course").said, "{verdict} {reason}".format(**world.lag("course"))):
        assert told == "incomplete dead_events"


def test_a_waived_dead_event_stops_the_alarm_and_not_the_verdict(
    world: World, legacy: System
) -> None:
    live_on(world, buckets=3)
    legacy.records("quest", world.now, learner="good")
    legacy.records("quest", world.now, learner="bad")
    live_on(world, buckets=5)
    assert world.ask("quest").said == "stalled deficit_not_shrinking"
    settle(world, "waive", reason="a test learner")
    for buckets in (4, 0):
        told = world.ask("quest")
        assert (told.said, told.parameters["waived"]) == ("incomplete short", True)
        lag = world.lag("quest")
        assert (lag["verdict"], lag["reason"], lag["waived"]) == ("incomplete", "short", True)
        rows = world.caller().get("/odata/v4/IngestionLag?$filter=stream eq 'quest'").json()
        (row,) = rows["value"]
        assert (row["verdict"], row["waived"], row["dead"]) == ("incomplete", True, 0)
        live_on(world, buckets=buckets)
    refused = world.caller().get(
        "/odata/v4/complete/LearnerProgress?$filter=module_type eq 'quest'"
    )
    assert refused.status_code == 412
    (defect,) = world.defects()
    assert (defect["missing"], defect["excused"], defect["waived_at"]) == (1, 1, None)


def test_a_waived_event_excuses_itself_and_nothing_else(world: World, legacy: System) -> None:
    """One was waived; another one, of the same bucket, never came, and is as many."""
    live_on(world, buckets=3)
    legacy.records("quest", world.now, learner="bad")
    legacy.hands_over()
    world.works()
    legacy.facts["quest"].clear()
    legacy.held.add("quest")
    legacy.records("quest", world.now, world.now, learner="good")
    legacy.facts["quest"].pop(0)
    legacy.held.clear()
    live_on(world, buckets=5)
    settle(world, "waive", reason="a test learner")
    (defect,) = world.defects()
    assert (defect["missing"], defect["excused"]) == (1, 0)
    assert world.ask("quest").said == "stalled deficit_not_shrinking"


def test_a_waived_event_leaves_the_verdict_when_its_source_states_the_bucket_without_it(
    world: World, legacy: System
) -> None:
    live_on(world, buckets=3)
    legacy.records("quest", world.now, learner="bad")
    begins = world.now - timedelta(seconds=world.now.timestamp() % 600)
    live_on(world, buckets=3)
    settle(world, "waive", reason="a test learner")
    assert world.ask("quest").parameters["waived"] is True
    legacy.facts["quest"].clear()
    legacy.declares(begins, begins + TEN, "quest")
    live_on(world, buckets=1)
    assert world.ask("quest").said == "complete"
