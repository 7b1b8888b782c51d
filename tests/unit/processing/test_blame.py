"""Who is to blame when entities fail: an event among good ones, or us? Then nobody dies of it."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from app.base.clock import now
from app.base.config import Settings
from app.base.facts import EntitiesSpared, EntityDied, EnvironmentRested, Fact
from app.base.observe import listening
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.ledger.books import recount_books
from app.processing import drain, entity_rows
from app.processing.drain import drain_once
from app.processing.fold import fold_entity
from app.processing.pauses import LONGEST_PAUSE, MAX_ATTEMPTS
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Event, Learner, Turn, Work
from app.store.tables.columns import table_of
from tests.builders import an_environment, an_event

Break = Callable[[Callable[[str], bool]], None]


@pytest.fixture
def environment_id(store: Store) -> int:
    environment_id = an_environment(store)
    with transaction(store) as connection:
        add_source(connection, environment_id, source_key="lms")
    return environment_id


@pytest.fixture
def heard() -> Iterator[list[Fact]]:
    facts: list[Fact] = []
    with listening(facts.append):
        yield facts


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(now(), tick=False) as traveller:
        yield traveller


@pytest.fixture
def break_folds(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Let the fold of some entities raise."""

    def break_some(is_broken: Callable[[str], bool]) -> None:
        def fold_or_fail(entity_key: str, entries: Sequence[Any]) -> Any:
            if is_broken(entity_key):
                raise ValueError("no such luck")
            return fold_entity(entity_key, entries)

        monkeypatch.setattr(drain, "fold_entity", fold_or_fail)

    return break_some


def send_people(store: Store, settings: Settings, environment_id: int, *names: str) -> None:
    said = [
        an_event(id=f"{name}-{now().timestamp()}", type="learner.upserted", data={"learner": name})
        for name in names
    ]
    receipt = accept_items(store, settings, environment_id=environment_id, items=said)
    assert receipt.accepted == len(names)


def work_for(store: Store, settings: Settings, clock: time_machine.Traveller, hours: float) -> int:
    """Work for so many hours, whenever something is ready; how many rounds that took."""
    ends_at, rounds = now() + timedelta(hours=hours), 0
    while now() < ends_at:
        if drain_once(store, settings) is None:
            clock.shift(LONGEST_PAUSE / 4)
        else:
            rounds += 1
    return rounds


def fates(store: Store, environment_id: int) -> list[int]:
    event = table_of(Event)
    with snapshot(store) as connection:
        assert recount_books(connection, environment_id) == []
        rows = connection.execute(
            select(event.c.disposition)
            .where(event.c.environment_id == environment_id)
            .order_by(event.c.seq)
        )
        return list(rows.scalars())


def attempts(store: Store, environment_id: int) -> set[int]:
    work = table_of(Work)
    with snapshot(store) as connection:
        rows = connection.execute(
            select(work.c.attempts).where(work.c.environment_id == environment_id)
        )
        return set(rows.scalars())


def turn_of(store: Store, environment_id: int) -> Any:
    turn = table_of(Turn)
    with snapshot(store) as connection:
        return connection.execute(select(turn).where(turn.c.environment_id == environment_id)).one()


def test_what_went_well_before_and_fails_now_is_our_fault_and_nothing_dies(
    store: Store,
    settings: Settings,
    environment_id: int,
    heard: list[Fact],
    clock: time_machine.Traveller,
    break_folds: Break,
) -> None:
    send_people(store, settings, environment_id, "u1", "u2")
    assert drain_once(store, settings) is not None
    break_folds(lambda _: True)
    send_people(store, settings, environment_id, "u3")
    assert work_for(store, settings, clock, hours=3) > MAX_ATTEMPTS
    assert fates(store, environment_id) == [1, 1, 0]
    assert attempts(store, environment_id) == {0}
    rests = [fact for fact in heard if isinstance(fact, EnvironmentRested)]
    assert [fact.rest_count for fact in rests] == list(range(1, len(rests) + 1))
    assert max(fact.pause_s for fact in rests) <= LONGEST_PAUSE.total_seconds()
    resting = turn_of(store, environment_id)
    assert (resting.rest_count, resting.rest_error) == (len(rests), "ValueError: no such luck")
    break_folds(lambda _: False)
    clock.shift(LONGEST_PAUSE)
    assert drain_once(store, settings) is not None
    assert fates(store, environment_id) == [1, 1, 1]
    well = turn_of(store, environment_id)
    assert (well.rest_count, well.rest_until, well.rest_error) == (0, None, None)


def test_a_write_that_fails_for_everybody_is_our_fault(
    store: Store,
    settings: Settings,
    environment_id: int,
    heard: list[Fact],
    clock: time_machine.Traveller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write_and_fail(*_: Any) -> None:
        raise RuntimeError("no room")

    send_people(store, settings, environment_id, "u1")
    assert drain_once(store, settings) is not None
    broken = {**entity_rows._WRITERS, "learner": write_and_fail}
    monkeypatch.setattr(entity_rows, "_WRITERS", broken)
    send_people(store, settings, environment_id, "u2", "u3")
    work_for(store, settings, clock, hours=1)
    assert fates(store, environment_id) == [1, 0, 0]
    assert attempts(store, environment_id) == {0}
    assert not [fact for fact in heard if isinstance(fact, EntityDied)]


def test_poison_without_company_dies_where_others_of_its_kind_can_be_folded(
    store: Store,
    settings: Settings,
    environment_id: int,
    heard: list[Fact],
    clock: time_machine.Traveller,
    break_folds: Break,
) -> None:
    send_people(store, settings, environment_id, "good")
    assert drain_once(store, settings) is not None
    before = row_of_good(store, environment_id)
    break_folds(lambda entity_key: "bad" in entity_key)
    send_people(store, settings, environment_id, "bad1", "bad2")
    work_for(store, settings, clock, hours=1)
    assert fates(store, environment_id) == [1, 3, 3]
    assert sum(isinstance(fact, EntityDied) for fact in heard) == 2
    assert not [fact for fact in heard if isinstance(fact, EnvironmentRested)]
    assert row_of_good(store, environment_id) == before


def row_of_good(store: Store, environment_id: int) -> Any:
    """The row by which it was tried whether the fault is ours: the trial leaves no trace."""
    learner = table_of(Learner)
    with snapshot(store) as connection:
        return connection.execute(
            select(learner).where(
                learner.c.environment_id == environment_id, learner.c.learner_key == "good"
            )
        ).one()


def test_where_nothing_was_ever_applied_several_failures_are_ours_and_one_is_poison(
    store: Store,
    settings: Settings,
    environment_id: int,
    clock: time_machine.Traveller,
    break_folds: Break,
) -> None:
    break_folds(lambda _: True)
    send_people(store, settings, environment_id, "u1", "u2")
    work_for(store, settings, clock, hours=1)
    assert fates(store, environment_id) == [0, 0]
    other = an_environment(store, "other")
    with transaction(store) as connection:
        add_source(connection, other, source_key="lms")
    send_people(store, settings, other, "u1")
    work_for(store, settings, clock, hours=1)
    assert fates(store, other) == [3]


def test_a_kind_that_fails_as_a_whole_is_spared_while_other_kinds_go_on(
    store: Store,
    settings: Settings,
    environment_id: int,
    heard: list[Fact],
    clock: time_machine.Traveller,
    break_folds: Break,
) -> None:
    send_people(store, settings, environment_id, "u1")
    assert drain_once(store, settings) is not None
    break_folds(lambda entity_key: entity_key.startswith("learner:"))
    team = an_event(type="team.upserted", data={"team": "t1", "name": "Deck"})
    accept_items(store, settings, environment_id=environment_id, items=[team])
    send_people(store, settings, environment_id, "u2")
    drained = drain_once(store, settings)
    assert drained is not None
    assert (drained.entity_count, drained.failed_count) == (1, 1)
    assert [fact.entity_count for fact in heard if isinstance(fact, EntitiesSpared)] == [1]
    assert attempts(store, environment_id) == {0}
    assert fates(store, environment_id) == [1, 1, 0]
    clock.shift(timedelta(seconds=65))
    break_folds(lambda _: False)
    assert drain_once(store, settings) is not None
    assert fates(store, environment_id) == [1, 1, 1]


def test_nothing_waits_for_our_sake_for_more_than_a_day(
    store: Store,
    settings: Settings,
    environment_id: int,
    clock: time_machine.Traveller,
    break_folds: Break,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drain, "_MOST_RESTS", 5)
    break_folds(lambda _: True)
    send_people(store, settings, environment_id, "u1", "u2")
    work_for(store, settings, clock, hours=2)
    assert fates(store, environment_id) == [3, 3]
