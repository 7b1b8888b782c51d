"""Days that were over and have changed: which rows, how many, and why."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import update

from app.base.clock import format_time
from app.base.clock import now as clock_now
from app.base.config import Settings
from app.catalog.index import DATASETS
from app.processing.partition_rows import PARTITIONED, is_late
from app.query.request import Request
from app.store.engine import Store, transaction
from app.store.tables import PAST, Progress, Work
from app.store.tables.columns import table_of
from app.store.tables.work import BULK
from tests.builders import NOON, ask, rows_of
from tests.projections import a_sending_environment, corrupt, read_projections, rebuild, send
from tests.rebuild_story import STORY

QUEST = {"learner": "u1", "module": "q1", "module_type": "quest"}
DAY = timedelta(days=1)
TODAY = NOON.date().isoformat()
BOTH = {"LearnerProgress", "Assignments", "LearnerModulePerformances"}
FIELDS = ("set", "day", "rows_changed", "first_changed_at", "last_changed_at", "cause")


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """It is noon and an hour of the day on which everything happens."""
    with time_machine.travel(NOON + timedelta(hours=1), tick=False) as traveller:
        yield traveller


def read_changes(store: Store, environment_id: int, **wanted: Any) -> list[dict[str, Any]]:
    """The rows of the set, as anyone may ask for them."""
    select = ("change_id", *FIELDS)
    request = Request("PartitionChanges", select=select)
    found = rows_of(ask(store, request, environment_id=environment_id))
    return [row for row in found if all(row[name] == value for name, value in wanted.items())]


def tell(store: Store, environment_id: int) -> set[tuple[str, str, int, str]]:
    """Set, day, count and cause of every change."""
    return {
        (row["set"], row["day"], row["rows_changed"], row["cause"])
        for row in read_changes(store, environment_id)
    }


def advance(
    store: Store, settings: Settings, environment_id: int, *minutes: int, **said: Any
) -> None:
    """Points in a quest, so many minutes after noon of the day."""
    events = [("points.awarded", {**QUEST, "points": 1, **said}, minute) for minute in minutes]
    send(store, settings, environment_id, *events)


def test_what_happens_today_is_told_only_when_a_later_day_changes_it(
    store: Store, settings: Settings, clock: time_machine.Traveller
) -> None:
    acme = a_sending_environment(store)
    advance(store, settings, acme, 1, 2)
    assert tell(store, acme) == set()

    clock.shift(DAY)
    send(store, settings, acme, ("progress.completed", QUEST, 24 * 60))

    assert tell(store, acme) == {
        *((name, TODAY, 1, "live") for name in BOTH),
        # The step of today is closed, and stands anew with its end.
        ("ProgressHistory", TODAY, 2, "live"),
    }


def test_what_happened_yesterday_is_told_with_its_rows(
    store: Store, settings: Settings, clock: time_machine.Traveller
) -> None:
    acme, other = a_sending_environment(store), a_sending_environment(store)
    clock.shift(DAY)

    advance(store, settings, acme, 1, 2)
    advance(store, settings, acme, 3, learner="u2")

    assert tell(store, acme) == {
        *((name, TODAY, 2, "live") for name in BOTH),
        ("ProgressHistory", TODAY, 2, "live"),
        ("Points", TODAY, 3, "live"),
    }
    assert tell(store, other) == set()


def test_one_who_loads_by_day_asks_for_what_changed_since_the_last_load(
    store: Store, settings: Settings, clock: time_machine.Traveller
) -> None:
    acme = a_sending_environment(store)
    clock.shift(DAY)
    advance(store, settings, acme, 1)
    clock.shift(timedelta(hours=1))
    advance(store, settings, acme, 24 * 60, 2 - 24 * 60)

    since = f"set eq 'Points' and last_changed_at ge {format_time(clock_now())}"
    where = f"{since} and day lt {(NOON + DAY).date()} and cause eq 'late'"
    request = Request("PartitionChanges", select=("set", "day"), where=where)

    found = rows_of(ask(store, request, environment_id=acme))
    assert found == [{"set": "Points", "day": (NOON - DAY).date().isoformat()}]


def test_what_is_written_just_before_midnight_is_told(
    store: Store, settings: Settings, clock: time_machine.Traveller
) -> None:
    acme = a_sending_environment(store)
    clock.move_to(NOON + timedelta(hours=11, minutes=54))
    advance(store, settings, acme, 1)
    assert tell(store, acme) == set()

    clock.move_to(NOON + timedelta(hours=11, minutes=55))
    advance(store, settings, acme, 2)

    assert ("Points", TODAY, 1, "live") in tell(store, acme)


def test_what_comes_later_than_the_next_day_is_late(
    store: Store, settings: Settings, clock: time_machine.Traveller
) -> None:
    acme = a_sending_environment(store)
    clock.shift(2 * DAY)

    advance(store, settings, acme, 1)

    assert {row["cause"] for row in read_changes(store, acme)} == {"late"}
    assert len(read_changes(store, acme, set="Points", rows_changed=1)) == 1


def test_one_late_learner_makes_no_other_late(
    store: Store, settings: Settings, clock: time_machine.Traveller
) -> None:
    acme = a_sending_environment(store)
    place = {"module": "i1", "module_type": "ilt", "session": "e1"}
    clock.shift(2 * DAY)

    send(
        store,
        settings,
        acme,
        ("points.awarded", {**QUEST, "points": 1}, 1),
        ("points.awarded", {**QUEST, "points": 1, "learner": "u2"}, 24 * 60),
        ("points.awarded", {**QUEST, "points": 1, "learner": "u3"}, 24 * 60),
        ("session.enrolled", {**place, "learner": "u1"}, 1),
        ("session.enrolled", {**place, "learner": "u2"}, 24 * 60),
    )

    after = (NOON + DAY).date().isoformat()
    assert {told for told in tell(store, acme) if told[0] in {"Points", "SessionAttendance"}} == {
        ("Points", TODAY, 1, "late"),
        ("Points", after, 2, "live"),
        ("SessionAttendance", TODAY, 1, "late"),
        ("SessionAttendance", after, 1, "live"),
    }


def test_the_bulk_lane_backfills(
    store: Store, settings: Settings, clock: time_machine.Traveller
) -> None:
    acme = a_sending_environment(store)
    clock.shift(2 * DAY)
    send(store, settings, acme, ("points.awarded", {**QUEST, "points": 1}, 1), drained=False)
    work = table_of(Work)
    with transaction(store) as connection:
        its_own = work.c.environment_id == acme
        connection.execute(update(work).where(its_own).values(lane=BULK))

    advance(store, settings, acme, 2, learner="u2")

    points = read_changes(store, acme, set="Points")
    assert {(row["cause"], row["rows_changed"]) for row in points} == {
        ("late", 1),
        ("backfill", 1),
    }


def test_a_row_that_moves_changes_the_day_it_leaves_and_the_day_it_comes_to(
    store: Store, settings: Settings, clock: time_machine.Traveller
) -> None:
    acme = a_sending_environment(store)
    step = {**QUEST, "part": "a"}
    send(store, settings, acme, ("part.reached", step, 1))
    clock.shift(DAY)

    send(store, settings, acme, ("part.reached", step, 1 - 24 * 60))

    before = (NOON - DAY).date().isoformat()
    assert {told for told in tell(store, acme) if told[0] == "PartProgress"} == {
        ("PartProgress", before, 1, "late"),
        ("PartProgress", TODAY, 1, "late"),
    }


def test_a_day_keeps_one_row_a_cause_and_adds_up(
    store: Store, settings: Settings, clock: time_machine.Traveller
) -> None:
    acme = a_sending_environment(store)
    clock.shift(DAY)
    advance(store, settings, acme, 1)
    (first,) = read_changes(store, acme, set="Points")
    clock.shift(timedelta(hours=1))
    advance(store, settings, acme, 2, 3)
    clock.shift(DAY)
    advance(store, settings, acme, 4)

    live, late = read_changes(store, acme, set="Points")

    assert {name for name in live if live[name] != first[name]} == {
        "rows_changed",
        "last_changed_at",
    }
    assert (first["rows_changed"], live["rows_changed"], late["rows_changed"]) == (1, 3, 1)
    began, ended = (datetime.fromisoformat(live[name]) for name in FIELDS[3:5])
    assert ended - began == timedelta(hours=1)
    assert late["cause"] == "late"
    assert len({row["change_id"] for row in read_changes(store, acme)}) == len(tell(store, acme))


def test_the_catalog_is_in_no_day_but_what_its_word_changes_is(
    store: Store, settings: Settings, clock: time_machine.Traveller
) -> None:
    acme = a_sending_environment(store)
    advance(store, settings, acme, 1)
    clock.shift(DAY)

    module = {"module": "m1", "module_type": "mission", "name": "Knots"}
    send(store, settings, acme, ("module.upserted", module, 24 * 60))
    assert tell(store, acme) == set()

    send(store, settings, acme, ("module.upserted", {**module, "module": "q1"}, 24 * 60))
    assert tell(store, acme) == {(name, TODAY, 1, "live") for name in BOTH}


def test_a_rebuild_tells_the_rows_it_has_repaired_and_no_other(
    store: Store, settings: Settings, clock: time_machine.Traveller
) -> None:
    acme = a_sending_environment(store)
    send(store, settings, acme, *STORY)
    clock.shift(40 * DAY)
    rows, before = read_projections(store, acme), tell(store, acme)
    assert rebuild(store, acme)["rows_changed"] == 0
    assert tell(store, acme) == before

    spoilt = corrupt(store, acme, Progress, points=77.0)
    rebuild(store, acme)

    assert read_projections(store, acme) == rows
    told = tell(store, acme) - before
    assert {(name, cause) for name, _, _, cause in told} == {(name, "rebuild") for name in BOTH}
    assert sum(count for name, _, count, _ in told if name == "Assignments") == spoilt


def test_every_set_cut_into_days_is_one_of_the_catalog_and_shows_its_moment() -> None:
    by_name = {dataset.name: dataset for dataset in DATASETS}
    for one in PARTITIONED:
        assert one.table.name in PAST
        for name in one.sets:
            dataset = by_name[name]
            assert dataset.table is one.table
            shown = {field.column or field.name for field in dataset.fields}
            assert one.column in shown, name
    told = {name for one in PARTITIONED for name in one.sets}
    tables = {one.table for one in PARTITIONED}
    assert {d.name for d in DATASETS if d.table in tables} == told


@pytest.mark.parametrize(
    ("hours", "late"), [(-1, False), (11, False), (12, False), (35.99, False), (36, True)]
)
def test_late_is_after_the_day_that_follows(hours: float, late: bool) -> None:
    assert is_late(NOON, NOON + timedelta(hours=hours)) is late
