"""Tasks of the bulk lane: step by step, in turn with everything else, fenced, given up at last."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from app.base.clock import now
from app.base.config import Settings
from app.base.errors import StoreBusy
from app.base.facts import Fact, TaskFailed
from app.base.observe import listening
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.processing import drain
from app.processing.drain import drain_all, drain_once
from app.processing.fairness import QUANTUM_COST, SCALE
from app.processing.pauses import MAX_ATTEMPTS
from app.processing.queue import claim_turn, free_leases, renew_leases
from app.processing.tasks import Step, Task, hold_task, open_task, settle_task
from app.store.engine import Store, snapshot, transaction
from app.store.tables import BulkTask, Turn
from app.store.tables.columns import table_of
from tests.builders import an_environment, an_event


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(now(), tick=False) as traveller:
        yield traveller


def with_task(store: Store, name: str = "acme") -> int:
    environment_id = an_environment(store, name)
    with transaction(store) as connection:
        open_task(connection, environment_id, task_key="t1", kind="count", now=now())
    return environment_id


def task_row(store: Store, environment_id: int) -> Any:
    task = table_of(BulkTask)
    with snapshot(store) as connection:
        return connection.execute(select(task).where(task.c.environment_id == environment_id)).one()


def count_to(store: Store, last: int, *, cost: int = 1) -> list[int]:
    """A step that does nothing but count, and is done after the last."""
    steps: list[int] = []

    def count(_store: Store, _settings: Settings, task: Task) -> Step:
        with transaction(store) as connection:
            assert hold_task(connection, task)
        steps.append(task.environment_id)
        return Step(cost=cost, is_done=len(steps) == last)

    drain._STEPS["count"] = count  # type: ignore[index]
    return steps


@pytest.fixture(autouse=True)
def steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "_STEPS", dict(drain._STEPS))


def test_a_task_is_worked_on_step_by_step_until_it_is_done(
    store: Store, settings: Settings
) -> None:
    environment_id = with_task(store)
    taken = count_to(store, 3)
    drain_all(store, settings)
    assert taken == [environment_id] * 3
    row = task_row(store, environment_id)
    assert row.closed_at is not None
    assert (row.lease_until, row.error, row.attempts) == (None, None, 0)


@pytest.mark.usefixtures("clock")
def test_a_task_takes_turns_with_the_entities_of_its_environment_and_with_others(
    store: Store, settings: Settings
) -> None:
    environment_id = with_task(store)
    other = an_environment(store, "other")
    for number in (environment_id, other):
        with transaction(store) as connection:
            add_source(connection, number, source_key="lms")
        people = [
            an_event(n, type="learner.upserted", data={"learner": f"u{n}"}) for n in range(800)
        ]
        accept_items(store, settings, environment_id=number, items=people)
    told: list[str] = []

    def tell(_store: Store, _settings: Settings, task: Task) -> Step:
        told.append(task.task_key)
        return Step(cost=QUANTUM_COST, is_done=len(told) > 20)

    drain._STEPS["count"] = tell  # type: ignore[index]
    served = []
    for _ in range(8):
        before = len(told)
        drained = drain_once(store, settings)
        assert drained is not None
        served.append("task" if len(told) > before else drained.entity_count)
    # Two live quanta of either are all there is; then the task has the bulk lane to itself.
    assert served == [500, 500, 300, 300, "task", "task", "task", "task"]


@pytest.mark.usefixtures("clock")
def test_a_step_that_cost_more_than_a_quantum_is_paid_for(store: Store, settings: Settings) -> None:
    environment_id = with_task(store)
    count_to(store, 1, cost=20_000)
    drain_all(store, settings)
    turn = table_of(Turn)
    with snapshot(store) as connection:
        vtime = connection.execute(
            select(turn.c.vtime).where(turn.c.environment_id == environment_id)
        ).scalar_one()
    assert vtime == 10 * QUANTUM_COST * SCALE


def test_a_step_that_fails_rests_and_is_given_up_after_the_last_try(
    store: Store, settings: Settings, clock: time_machine.Traveller
) -> None:
    environment_id = with_task(store)

    def fail(*_: Any) -> Step:
        raise ValueError("no such luck")

    drain._STEPS["count"] = fail  # type: ignore[index]
    heard: list[Fact] = []
    with listening(heard.append):
        for _ in range(MAX_ATTEMPTS):
            assert task_row(store, environment_id).closed_at is None
            drained = drain_once(store, settings)
            assert drained is not None
            assert drained.failed_count == 1
            assert drain_once(store, settings) is None
            clock.shift(timedelta(seconds=301))
    row = task_row(store, environment_id)
    assert row.closed_at is not None
    assert row.error == "ValueError: no such luck"
    failures = [fact.attempt_count for fact in heard if isinstance(fact, TaskFailed)]
    assert failures == list(range(1, MAX_ATTEMPTS + 1))
    assert drain_once(store, settings) is None


def test_a_step_that_the_store_did_not_let_through_is_ready_again(
    store: Store, settings: Settings
) -> None:
    environment_id = with_task(store)

    def meet_lock(*_: Any) -> Step:
        raise StoreBusy("locked")

    drain._STEPS["count"] = meet_lock  # type: ignore[index]
    with pytest.raises(StoreBusy):
        drain_once(store, settings)
    row = task_row(store, environment_id)
    assert (row.lease_until, row.attempts, row.closed_at) == (None, 0, None)
    taken = count_to(store, 1)
    drain_all(store, settings)
    assert taken == [environment_id]


def test_who_holds_an_older_token_of_a_task_changes_nothing(store: Store) -> None:
    environment_id = with_task(store)
    with transaction(store) as connection:
        late = claim_turn(connection, now=now())
    assert late is not None
    assert late.task is not None
    with transaction(store) as connection:
        assert claim_turn(connection, now=now()) is None
        assert renew_leases(connection, late, now=now()) == 0
        assert free_leases(connection) == 1
        assert not hold_task(connection, late.task)
        settle_task(connection, late.task, is_done=True, now=now())
    assert task_row(store, environment_id).closed_at is None


def test_opening_a_task_again_leaves_it_as_it_is(store: Store) -> None:
    environment_id = with_task(store)
    before = task_row(store, environment_id)
    with transaction(store) as connection:
        later = now() + timedelta(hours=1)
        open_task(connection, environment_id, task_key="t1", kind="count", now=later)
    assert task_row(store, environment_id) == before
