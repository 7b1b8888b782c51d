"""The simulated companies: deterministic, valid, and with all in them that is to be shown."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from app.base.clock import format_time
from app.cli.simulate import (
    COMPANIES,
    SOURCES,
    Company,
    Event,
    batched,
    make_world,
    simulate_history,
    simulate_live,
)
from app.learning.events import check_data, event_type_named
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


def test_all_module_types_and_all_turns_of_fate_are_in_it(history: list[Event]) -> None:
    types = Counter(event["type"] for event in history)
    modules = {event["data"].get("module_type") for event in history}

    assert set(MODULE_TYPE_NAMES) <= modules
    for name in (
        "learner.deactivated",
        "series.upserted",
        "assignment.changed",
        "assignment.ended",
        "assignment.waived",
        "progress.failed",
        "progress.reset",
        "attempt.voided",
        "event.voided",
    ):
        assert types[name] > 0, name


def test_a_void_names_an_event_of_its_own_source(history: list[Event]) -> None:
    source_of = {event["id"]: event["source"] for event in history}

    for event in history:
        if event["type"] == "event.voided":
            assert source_of[event["data"]["event_id"]] == event["source"]


def test_two_companies_together_have_a_few_thousand_learners() -> None:
    assert sum(company.learner_count for company in COMPANIES) == 3_000


def test_live_steps_go_through_all_module_types_and_are_valid() -> None:
    world = make_world(COMPANIES[0], seed=1, until=UNTIL)
    later = [UNTIL + timedelta(seconds=number) for number in range(40)]
    steps = [simulate_live(world, seed=1, at=at, number=n) for n, at in enumerate(later)]
    events = [event for step in steps for event in step]

    assert {e["data"].get("module_type") for e in events} >= set(MODULE_TYPE_NAMES)
    assert len({event["id"] for event in events}) == len(events)
    for event in events:
        event_type = event_type_named(event["type"])
        assert event_type is not None
        assert check_data(event_type, event["data"]) == []


def test_batches_hold_every_event_once() -> None:
    events: list[Event] = [{"id": str(number)} for number in range(25)]

    assert [len(batch) for batch in batched(iter(events), 10)] == [10, 10, 5]
    assert [event for batch in batched(iter(events), 10) for event in batch] == events
