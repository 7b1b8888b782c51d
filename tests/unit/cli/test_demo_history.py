"""The simulated companies: deterministic, valid, and with all in them that is to be shown."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from app.base.clock import format_time
from app.cli.simulation.company import COMPANIES, SOURCES, Company, make_world
from app.cli.simulation.history import (
    LIVE_EVERY,
    deliver_history,
    live_moment,
    simulate_history,
    simulate_live,
)
from app.cli.simulation.pen import Event, batched
from app.learning.events import EVENT_TYPES, check_data, event_type_named
from app.learning.modules import MODULE_TYPE_NAMES

UNTIL = datetime(2026, 1, 1, tzinfo=UTC)


def _history(company: Company, *, seed: int = 1) -> list[Event]:
    return list(simulate_history(make_world(company, seed=seed, until=UNTIL), seed=seed))


@pytest.fixture(scope="module", params=COMPANIES, ids=lambda company: company.key)
def history(request: pytest.FixtureRequest) -> list[Event]:
    return _history(request.param)


def test_the_same_seed_tells_the_same_history() -> None:
    world = make_world(COMPANIES[1], seed=7, until=UNTIL)
    one, other = (list(islice(simulate_history(world, seed=7), 500)) for _ in range(2))

    assert one == other
    assert one != list(islice(simulate_history(world, seed=8), 500))


def test_every_simulated_event_is_valid_and_has_an_id_of_its_own(history: list[Event]) -> None:
    for event in history:
        event_type = event_type_named(event["type"])
        assert event_type is not None
        assert check_data(event_type, event["data"]) == []
        assert event["source"] in SOURCES
    assert len({event["id"] for event in history}) == len(history)


def test_nothing_happens_after_the_moment_or_before_the_two_years(history: list[Event]) -> None:
    times = [event["time"] for event in history]

    assert max(times) <= format_time(UNTIL)
    assert min(times) >= format_time(UNTIL - timedelta(days=731))
    assert all(event["time"] <= event["recordedtime"] <= format_time(UNTIL) for event in history)


def test_every_event_type_and_every_module_type_is_in_it(history: list[Event]) -> None:
    types = Counter(event["type"] for event in history)
    modules = {event["data"].get("module_type") for event in history}

    assert [entry.name for entry in EVENT_TYPES if not types[entry.name]] == []
    assert set(MODULE_TYPE_NAMES) <= modules


def test_some_work_waits_for_people(history: list[Event]) -> None:
    types = Counter(event["type"] for event in history)
    marked = Counter(e["data"]["outcome"] for e in history if e["type"] == "attendance.marked")

    assert types["signoff.submitted"] > types["signoff.decided"]
    assert types["attempt.submitted"] > types["attempt.graded"]
    assert types["session.enrolled"] > types["attendance.marked"] + types["session.unenrolled"]
    assert set(marked) == {"attended", "partial", "no_show", "excused"}


def test_every_event_is_made_by_one_of_the_sources(history: list[Event]) -> None:
    assert {event["source"] for event in history} == set(SOURCES)


def test_a_network_brings_every_event_some_late_and_some_twice(history: list[Event]) -> None:
    (company,) = (one for one in COMPANIES if history[0]["id"].startswith(one.key))
    world = make_world(company, seed=1, until=UNTIL)
    brought = list(deliver_history(world, seed=1))
    place = {event["id"]: number for number, event in enumerate(history)}
    latest, late = 0, 0
    for event in brought:
        late += place[event["id"]] < latest
        latest = max(latest, place[event["id"]])

    assert {event["id"]: event for event in brought} == {event["id"]: event for event in history}
    assert len(history) / 1_000 < len(brought) - len(history) < len(history) / 100
    assert late > len(history) / 200


def test_a_void_names_an_event_of_its_own_source(history: list[Event]) -> None:
    source_of = {event["id"]: event["source"] for event in history}

    for event in history:
        if event["type"] == "event.voided":
            assert source_of[event["data"]["event_id"]] == event["source"]


def test_two_companies_together_have_a_few_thousand_learners() -> None:
    assert sum(company.learner_count for company in COMPANIES) == 3_000


def test_live_steps_go_through_all_module_types_and_are_valid() -> None:
    world = make_world(COMPANIES[0], seed=1, until=UNTIL)
    steps = [simulate_live(world, seed=1, number=number) for number in range(1, 101)]
    events = [event for step in steps for event in step]

    assert steps == [simulate_live(world, seed=1, number=number) for number in range(1, 101)]
    assert {e["data"].get("module_type") for e in events} >= set(MODULE_TYPE_NAMES)
    assert len({event["id"] for event in events}) == len(events)
    for event in events:
        event_type = event_type_named(event["type"])
        assert event_type is not None
        assert check_data(event_type, event["data"]) == []


def test_a_live_step_tells_nothing_that_lies_ahead_of_it() -> None:
    world = make_world(COMPANIES[1], seed=1, until=UNTIL)

    assert live_moment(world, 10) == UNTIL + 10 * LIVE_EVERY
    for number in range(1, 101):
        now = format_time(live_moment(world, number))
        step = simulate_live(world, seed=1, number=number)
        assert all(event["time"] <= event["recordedtime"] <= now for event in step)


def test_batches_hold_every_event_once() -> None:
    events: list[Event] = [{"id": str(number)} for number in range(25)]

    assert [len(batch) for batch in batched(iter(events), 10)] == [10, 10, 5]
    assert [event for batch in batched(iter(events), 10) for event in batch] == events
