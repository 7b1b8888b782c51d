"""Three environments have work for the same entities at once. Then the queue confuses them.

The planted faults let a key lose its environment. What the ledger says of it is told for each
environment by itself, and what was lost is worked off again without touching anything else.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select

import app.intake.accept as door
import app.processing.journal as journal
import app.store.work as marking
from app.base.config import Settings
from app.ledger.watch import watch_environments
from app.processing.sweep import sweep_all
from app.store.alarms import list_open_alarms
from app.store.engine import Store, snapshot
from app.store.sums import add_tallies
from app.store.tables import Work
from app.store.tables.columns import table_of
from app.store.work import canary_waits_since
from tests.world import System, World, open_world

START = datetime(2025, 5, 24, 6, tzinfo=UTC)
TEN = timedelta(minutes=10)
NAMES = ("production", "staging", "trial")
HOURS = 34


@pytest.fixture
def world(store: Store, settings: Settings) -> Iterator[World]:
    """Each environment has a source of quests whose learners and modules have the same keys."""
    for world in open_world(store, settings, begins=START):
        for name in NAMES:
            world.system("lms", "quest", "assignments", "catalog", environment=name)
        yield world


def record_everywhere(world: World, count: int = 2) -> None:
    """The same learners finish the same module in all environments, and it is handed over."""
    for system in world.systems:
        system.records("quest", *[world.now + timedelta(seconds=n) for n in range(count)])
        system.hands_over()


def close(world: World, begins: datetime, through: datetime) -> None:
    """Two minutes after its end an interval is declared everywhere; everyone beats."""
    world.moves_to(through + timedelta(minutes=2))
    for system in world.systems:
        system.declares(begins, through, width=through - begins)
        system.beats()
    world.works()
    world.witnesses()


def verdicts(world: World) -> dict[str, str]:
    return {name: world.ask("quest", environment=name).said for name in NAMES}


def canaries(world: World) -> dict[str, datetime | None]:
    """Since when a heartbeat of each environment has been on its way through the queue."""
    found = {}
    for name in NAMES:
        with snapshot(world.store) as connection:
            found[name] = canary_waits_since(connection, world.caller(name).environment_id)
    return found


def alarms(world: World) -> dict[str, list[str]]:
    """What rings in each environment once the worker has looked."""
    ids = {name: world.caller(name).environment_id for name in NAMES}
    watch_environments(world.store, ids.values())
    found = {}
    for name, environment_id in ids.items():
        with snapshot(world.store) as connection:
            open_alarms = list_open_alarms(connection, environment_id)
        found[name] = [alarm["kind"] for alarm in open_alarms]
    return found


def lose_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: work is merged by its entity alone, as long as any of it is undone."""
    mark_really = marking.mark_dirty

    def mark_once(
        connection: Connection, environment_id: int, marks: Mapping[str, int], **said: Any
    ) -> None:
        work = table_of(Work)
        taken = connection.execute(
            select(work.c.entity_key).where(
                work.c.environment_id != environment_id,
                work.c.entity_key.in_(list(marks)),
                work.c.dirty_seq > work.c.done_seq,
            ),
            execution_options={"across_environments": "this is the planted fault"},
        ).scalars()
        mine = marks.keys() - set(taken)
        mark_really(connection, environment_id, {name: marks[name] for name in mine}, **said)

    monkeypatch.setattr(door, "mark_dirty", mark_once)
    monkeypatch.setattr(marking, "mark_dirty", mark_once)


def test_without_a_fault_nothing_alarms_in_a_day_and_a_half(world: World) -> None:
    begins = START
    while begins < START + timedelta(hours=HOURS):
        record_everywhere(world)
        world.works()
        close(world, begins, begins + timedelta(hours=2))
        begins += timedelta(hours=2)
        assert sweep_all(world.store) == 0
        assert verdicts(world) == dict.fromkeys(NAMES, "complete")
        assert canaries(world) == dict.fromkeys(NAMES)
        assert alarms(world) == {name: [] for name in NAMES}
    for name in NAMES:
        assert world.defects("all", environment=name) == []
        path = "/v1/completeness/history?stream=quest&limit=1000"
        told = world.caller(name).get(path).json()["items"]
        assert [entry["verdict"] for entry in told if not entry["source"]] == ["complete"]
        assert world.pending_count(name) == 0


def test_without_a_canary_the_first_real_loss_is_found_with_its_bucket(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(world, START, START + 2 * TEN)
    lose_the_environment(monkeypatch)
    world.moves_to(START + 2 * TEN + timedelta(minutes=5))
    record_everywhere(world)
    world.works()
    assert [world.pending_count(name) for name in NAMES] == [0, 2, 2]
    close(world, START + 2 * TEN, START + 3 * TEN)
    assert verdicts(world) == dict.fromkeys(NAMES, "complete")
    world.moves_to(START + 3 * TEN + timedelta(minutes=5))
    world.works()
    lost = dict.fromkeys(("staging", "trial"), "incomplete short")
    assert verdicts(world) == {"production": "complete"} | lost
    for name in lost:
        (defect,) = world.defects(environment=name)
        path = f"/v1/ingestion/defects/{defect['defect_id']}/missing"
        told = world.caller(name).get(path).json()
        assert {one["id"] for one in told["stuck"]} == {"lms-quest-1", "lms-quest-2"}
    monkeypatch.undo()
    revision = world.ask("quest", environment="production").parameters["revision"]
    assert sweep_all(world.store) == 4
    world.works()
    assert verdicts(world) == dict.fromkeys(NAMES, "complete")
    assert world.ask("quest", environment="production").parameters["revision"] == revision
    assert sweep_all(world.store) == 0


def test_with_a_canary_the_fault_shows_within_a_minute_before_anything_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(world, START, START + TEN)
    lose_the_environment(monkeypatch)
    faulty_at = world.now
    world.passes(seconds=60)
    for system in world.systems:
        system.beats()
    world.works()
    beaten = dict.fromkeys(("staging", "trial"), faulty_at + timedelta(seconds=60))
    assert canaries(world) == {"production": None} | beaten
    assert alarms(world) == {"production": [], "staging": ["canary_lost"], "trial": ["canary_lost"]}
    assert [world.pending_count(name) for name in NAMES] == [0, 0, 0]
    world.passes(seconds=60)
    for system in world.systems:
        system.beats()
    world.works()
    assert canaries(world) == {"production": None} | beaten
    assert alarms(world)["trial"] == ["canary_lost"]
    monkeypatch.undo()
    for system in world.systems:
        system.beats()
    world.works()
    assert canaries(world) == dict.fromkeys(NAMES)
    assert alarms(world) == {name: [] for name in NAMES}


def test_counts_that_go_to_another_environment_unbalance_the_books_of_both(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(world, START, START + 2 * TEN)
    staging, trial = (world.caller(name).environment_id for name in ("staging", "trial"))

    def count_astray(connection: Connection, environment_id: int, deltas: Any) -> None:
        counted_for = trial if environment_id == staging else environment_id
        add_tallies(connection, counted_for, deltas)

    monkeypatch.setattr(journal, "add_tallies", count_astray)
    world.passes(minutes=1)
    record_everywhere(world)
    world.works()
    # Nobody had to look first: each question sees it, in the snapshot of its rows.
    wrong = "incomplete books_unbalanced"
    assert verdicts(world) == {"production": "complete", "staging": wrong, "trial": wrong}
    world.witnesses()
    told = {name: [d["kind"] for d in world.defects(environment=name)] for name in NAMES}
    unbalanced = ["books_unbalanced"]
    assert told == {"production": [], "staging": unbalanced, "trial": unbalanced}
    assert verdicts(world) == {"production": "complete", "staging": wrong, "trial": wrong}
    systems: dict[str, System] = {system.environment: system for system in world.systems}
    systems["staging"].repairs(("quest",), lease=timedelta(minutes=30))
    # No repair of events mends books.
    assert verdicts(world)["staging"] == wrong
