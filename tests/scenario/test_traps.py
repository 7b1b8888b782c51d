"""Seven ways in which such ledgers are known to go wrong, each told as it would happen again."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.base.config import Settings
from app.store.engine import Store
from tests.world import System, World, open_world

START = datetime(2025, 5, 24, 6, tzinfo=UTC)
TEN = timedelta(minutes=10)
SHORT, STALLED = "incomplete short", "stalled deficit_not_shrinking"


@pytest.fixture
def world(store: Store, settings: Settings) -> Iterator[World]:
    for world in open_world(store, settings, begins=START):
        world.system("hub", "assignments", "catalog")
        yield world


@pytest.fixture
def legacy(world: World) -> System:
    return world.system("legacy", "quest", "ilt")


def live_on(world: World, *, buckets: int, speaking: tuple[System, ...] = ()) -> None:
    """So many buckets end and are declared, two minutes after each; all systems beat."""
    for _ in range(buckets):
        moment = world.now - timedelta(seconds=world.now.timestamp() % 600) + TEN
        world.moves_to(moment + timedelta(minutes=2))
        for system in speaking or tuple(world.systems):
            system.hands_over()
            world.works()
            system.declares(moment - TEN, moment)
            system.beats()
        world.works()
        world.witnesses()


def hold_back(world: World, system: System, *streams: str, count: int = 1) -> None:
    """Facts of the present bucket that never become events."""
    system.held.update(streams)
    for stream in streams:
        system.records(stream, *[world.now + timedelta(seconds=n) for n in range(count)])
    system.held.difference_update(streams)


def heal(system: System, *streams: str, count: int | None = None) -> None:
    """Generate and hand over what never was, the earliest first."""
    system.sends(system.waiting(*streams)[:count])


def test_a_deficit_never_ages_out_of_any_window(world: World, legacy: System) -> None:
    live_on(world, buckets=3)
    hold_back(world, legacy, "quest")
    live_on(world, buckets=6)
    assert world.ask("quest").said == STALLED
    for _ in range(3):
        begins = world.now - timedelta(minutes=2)
        world.moves_to(begins + timedelta(days=150, minutes=2))
        for system in world.systems:
            system.declares(begins, begins + timedelta(days=150), width=timedelta(days=150))
            system.beats()
        world.works()
        told = world.ask("quest")
        assert (told.said, told.parameters["missing"]) == (STALLED, 1)
        assert told.through == START + 3 * TEN
    assert world.ask("ilt").said == "complete"
    (defect,) = world.defects()
    waiver = {"person": "M. Weber", "reason": "The event was a test and is not wanted."}
    path = f"/v1/ingestion/defects/{defect['defect_id']}/waive"
    assert world.caller().post(path, json=waiver).status_code == 200
    told = world.ask("quest")
    assert (told.said, told.parameters["waived"]) == (SHORT, True)
    assert world.ask("quest", require="complete").status == 412
    heal(legacy)
    world.works()
    assert world.ask("quest").said == "complete"


def test_a_known_defect_counts_at_once_though_it_is_younger_than_the_objective(
    world: World,
) -> None:
    slow = world.system("slow", "quest", objective_s=6 * 3600)
    hold_back(world, slow, "quest")
    live_on(world, buckets=1)
    world.moves_to(START + timedelta(minutes=15))
    told = world.ask("quest")
    assert told.said == SHORT
    assert told.parameters["target"] < START
    heal(slow)
    world.works()
    world.moves_to(START + timedelta(hours=6, minutes=2))
    for system in world.systems:
        system.declares(START + TEN, START + timedelta(hours=6), width=timedelta(minutes=350))
        system.beats()
    assert world.ask("quest").said == "complete"


def test_a_sparse_stream_does_not_flap_while_a_repair_covers_it(
    world: World, legacy: System
) -> None:
    hold_back(world, legacy, "quest", count=12)
    hold_back(world, legacy, "ilt")
    live_on(world, buckets=6)
    assert [world.ask(stream).said for stream in ("quest", "ilt")] == [STALLED, STALLED]
    # The one of ilt comes last; its deficit stands still for two hours of the repair.
    for _ in range(12):
        legacy.repairs(("quest", "ilt"), lease=timedelta(minutes=15))
        heal(legacy, "quest", count=1)
        live_on(world, buckets=1)
        assert world.ask("ilt").said == "catching_up repairing"
    assert world.ask("quest").said == "complete"
    heal(legacy, "ilt")
    live_on(world, buckets=1)
    assert world.ask("quest", "ilt").said == "complete"
    verdicts = [entry["verdict"] for entry in history_of(world, "ilt")]
    assert verdicts[-3:] == ["stalled", "catching_up", "complete"]


def history_of(world: World, stream: str) -> list[dict[str, Any]]:
    """What was said of a stream over all its sources; equal verdicts in a row are one."""
    path = f"/v1/completeness/history?stream={stream}&limit=1000"
    told: list[dict[str, Any]] = []
    for entry in world.caller().get(path).json()["items"]:
        if not entry["source"] and (not told or told[-1]["verdict"] != entry["verdict"]):
            told.append(entry)
    return told


@pytest.mark.parametrize(
    ("terms", "least"),
    [
        ({"objective_s": 899}, "900"),
        ({"bucket_s": 1200, "objective_s": 1200}, "1500"),
        ({"grace_s": 600}, "1320"),
        ({"heartbeat_s": 1300}, "heartbeats"),
        ({"bucket_s": 86_400, "objective_s": 90_000}, "93600"),
    ],
)
def test_an_objective_shorter_than_its_evidence_is_refused(
    world: World, legacy: System, terms: dict[str, int], least: str
) -> None:
    for path, body in (
        ("/v1/streams/legacy/quest", terms),
        ("/v1/sources", {"source": "new", "contract": terms}),
    ):
        method = "PUT" if "streams" in path else "POST"
        told = world.caller().ask(method, path, json=body)
        assert (told.status_code, told.json()["code"]) == (422, "streams.contract")
        assert least in told.text
    kept = world.caller().get("/v1/streams/legacy/quest").json()["contract"]
    assert (kept["bucket_s"], kept["objective_s"]) == (600, 1200)


def test_nothing_alarms_once_the_fix_is_in(world: World, legacy: System) -> None:
    hold_back(world, legacy, "quest", count=3)
    for _ in range(6):
        live_on(world, buckets=1)
        legacy.beats(**legacy.backlog())
    assert world.ask("quest").said == "stalled upstream_backlog"
    legacy.repairs(("quest",), lease=timedelta(minutes=30))
    legacy.beats(**legacy.backlog())
    assert world.ask("quest").said == "catching_up repairing"
    heal(legacy)
    world.works()
    assert world.ask("quest").said == "complete"
    legacy.repairs(("quest",), lease=timedelta())
    fixed_at = world.now
    for _ in range(8):
        legacy.beats(**legacy.backlog())
        live_on(world, buckets=1)
        assert world.ask("quest", "ilt").said == "complete"
    told = [entry for entry in history_of(world, "quest") if entry["known_to"] is None]
    assert [entry["verdict"] for entry in told] == ["complete"]
    assert datetime.fromisoformat(told[0]["known_from"]) <= fixed_at + TEN
    assert world.defects() == []


def test_a_repair_that_ends_undone_has_the_stall_window_before_it_is_a_stall_again(
    world: World, legacy: System
) -> None:
    hold_back(world, legacy, "quest", count=2)
    live_on(world, buckets=6)
    legacy.repairs(("quest",), lease=timedelta(minutes=30))
    heal(legacy, count=1)
    live_on(world, buckets=1)
    assert world.ask("quest").said == "catching_up repairing"
    live_on(world, buckets=2)
    legacy.repairs(("quest",), lease=timedelta())
    live_on(world, buckets=1)
    assert world.ask("quest").said == SHORT
    live_on(world, buckets=2)
    assert world.ask("quest").said == STALLED


def test_a_sealed_source_stays_what_it_was_and_needs_no_heartbeat(
    world: World, legacy: System
) -> None:
    legacy.records("quest", world.now)
    live_on(world, buckets=1)
    world.moves_to(START + 2 * TEN + timedelta(minutes=3))
    for system in world.systems:
        system.declares(START + TEN, START + 2 * TEN)
    world.system("successor", "quest", "ilt")
    legacy.declares(START + 2 * TEN, START + 2 * TEN)
    assert world.caller().post("/v1/sources/legacy/seal").status_code == 200
    going_on = tuple(system for system in world.systems if system is not legacy)
    world.moves_to(START + 3 * TEN + timedelta(minutes=2))
    legacy.declares(START + 2 * TEN, START + 3 * TEN)
    for system in going_on:
        system.declares(START + 2 * TEN, START + 3 * TEN)
        system.beats()
    for _ in range(3):
        live_on(world, buckets=3, speaking=going_on)
        told = world.ask("quest", "ilt")
        assert told.said == "complete"
        assert told.through == world.now - timedelta(minutes=2)
    begins = world.now - timedelta(minutes=2)
    world.moves_to(begins + timedelta(days=30, minutes=2))
    for system in going_on:
        system.declares(begins, begins + timedelta(days=30), width=timedelta(days=30))
        system.beats()
    assert world.ask("quest", "ilt").said == "complete"
    sources = {row["source"]: row for row in world.lag("quest")["sources"]}
    assert (sources["legacy"]["sealed"], sources["successor"]["sealed"]) == (True, False)
    world.passes(minutes=4)
    assert world.ask("quest").said == "unknown source_silent"


def test_what_a_repaired_emitter_sends_is_surplus_until_it_is_stated_anew(world: World) -> None:
    lowered = world.system("bus", "quest", anchor="emitter", required_anchor="emitter")
    hold_back(world, lowered, "quest", count=2)
    live_on(world, buckets=5)
    told = world.ask("quest")
    assert (told.said, str(told.parameters["assurance"])) == ("complete", "emitter")
    receipt = told.response.headers["data-receipt"]
    world.passes(minutes=1)
    heal(lowered)
    # Closed buckets are not what they were: from this moment nobody may call them complete.
    assert world.ask("quest").said == "catching_up in_flight"
    world.works()
    world.witnesses()
    told = world.ask("quest")
    assert (told.said, told.parameters["missing"]) == ("incomplete surplus", 0)
    (defect,) = world.defects()
    assert (defect["kind"], defect["surplus"]) == ("surplus", 2)
    lowered.declares(START, START + TEN)
    world.works()
    assert world.ask("quest").said == "complete"
    (defect,) = world.defects("resolved")
    assert defect["resolution"] == "restated"
    told_then = world.caller().get(f"/v1/receipts/{receipt}").json()
    assert (told_then["then"]["verdict"], told_then["now_known"]["verdict"]) == (
        "complete",
        "incomplete",
    )
