"""A rebuild beside readers, live work and crashes: the old rows or the new, and nothing lost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, select

from app.access.environments import list_environments
from app.base.config import Settings
from app.base.facts import Fact, RebuildFailed
from app.base.observe import listening
from app.ledger.books import recount_books
from app.processing import rebuild as steps
from app.processing.drain import drain_all, drain_once
from app.processing.rebuild import step_rebuild
from app.processing.rows import lock_revision
from app.processing.sweep import sweep_all
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Attempt, Progress
from app.store.tables.columns import table_of
from tests.projections import (
    a_sending_environment,
    begin_rebuild,
    corrupt,
    count_shadows,
    drop_projections,
    finish_rebuild,
    read_projections,
    rebuild,
    send,
    tell_rebuild,
)
from tests.rebuild_story import LIST, QUEST, SPOILS, STORY


@pytest.fixture
def told(store: Store, settings: Settings) -> int:
    """An environment that has been told the story, some of it late, in two batches."""
    environment_id = a_sending_environment(store, "acme")
    send(store, settings, environment_id, *STORY[::2])
    send(store, settings, environment_id, *STORY[1::2])
    return environment_id


def find(store: Store, model: Any, environment_id: int, *terms: Any) -> list[dict[str, Any]]:
    table = table_of(model)
    with snapshot(store) as connection:
        found = select(table).where(table.c.environment_id == environment_id, *terms)
        return [dict(row) for row in connection.execute(found).mappings()]


# Readers and live work


def test_readers_see_the_old_rows_or_the_new_and_never_half(store: Store, told: int) -> None:
    right = read_projections(store, told)
    for model, terms, values in SPOILS:
        corrupt(store, told, model, *terms, **values)
    wrong = read_projections(store, told)
    begin_rebuild(store, told)

    seen = []
    while step_rebuild(store, told):
        rows = read_projections(store, told)
        assert rows in (wrong, right)
        seen.append(rows == right)

    assert seen == sorted(seen)
    assert {False, True} == set(seen)
    with snapshot(store) as connection:
        assert [facts.environment for facts in list_environments(connection)] == ["acme"]


def test_live_work_goes_on_during_a_rebuild_and_nothing_of_it_is_lost(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "QUANTUM_ENTITIES", 3)
    environment_id, twin = a_sending_environment(store), a_sending_environment(store)
    send(store, settings, environment_id, *STORY)
    begin_rebuild(store, environment_id)

    live: list[tuple[str, dict[str, Any]]] = [
        ("progress.advanced", {**QUEST, "percent": 60}),
        ("progress.reset", LIST),
        ("progress.started", {"learner": "u9", "module": "c1", "module_type": "checklist"}),
        ("points.awarded", {**LIST, "points": 1}),
        ("learner.upserted", {"learner": "u9", "manager": "u2"}),
        ("attempt.voided", {**QUEST, "attempt": 2}),
    ]
    for number, said in enumerate(live):
        assert step_rebuild(store, environment_id)
        send(store, settings, environment_id, said, drained=number % 2 == 0)
    finish_rebuild(store, environment_id)
    send(store, settings, environment_id, ("progress.completed", {**QUEST, "passed": True}))

    for said in (*STORY, *live, ("progress.completed", {**QUEST, "passed": True})):
        send(store, settings, twin, said)
    with snapshot(store) as connection:
        assert recount_books(connection, environment_id) == []
    assert sweep_all(store) == 0
    mine, other = (
        read_projections(store, number, known=False) for number in (environment_id, twin)
    )
    assert timeless(mine) == timeless(other)


def timeless(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Projections without what differs between two tellings: the ids and times of events."""
    told = {"last_event_id", "last_sequence", "activity_id", "entry_id", "open_seq"}
    return {
        name: sorted(
            [
                [
                    (column, value)
                    for column, value in row
                    if column not in told and not isinstance(value, datetime)
                ]
                for row in found
            ],
            key=repr,
        )
        for name, found in rows.items()
        if name != "membership"
    }


def test_an_environment_that_changes_all_the_time_is_switched_all_the_same(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "QUANTUM_ENTITIES", 1)
    monkeypatch.setattr(steps, "MOST_ROUNDS", 4)
    environment_id = a_sending_environment(store)
    people = [{"learner": f"u{n}", "module": "q", "module_type": "quest"} for n in range(4)]
    send(store, settings, environment_id, *(("progress.started", data) for data in people))
    number = begin_rebuild(store, environment_id)
    percent = 0
    while tell_rebuild(store, environment_id, number)["switched_at"] is None:
        percent += 1
        said = [("progress.advanced", {**data, "percent": percent}) for data in people]
        send(store, settings, environment_id, *said)
        assert step_rebuild(store, environment_id)
    rows = find(store, Progress, environment_id)
    assert {row["percent_complete"] for row in rows} == {percent}
    assert tell_rebuild(store, environment_id, number)["rows_changed"] == 0


def test_events_that_wait_are_not_folded_before_their_turn(
    store: Store, settings: Settings, told: int
) -> None:
    rows = read_projections(store, told)
    waiting = [
        ("points.awarded", {**LIST, "points": 5}),
        ("progress.started", {**QUEST, "cycle": 2}),
    ]
    send(store, settings, told, *waiting, drained=False)

    rebuild(store, told)
    assert read_projections(store, told) == rows

    send(store, settings, told)
    (row,) = find(store, Progress, told, table_of(Progress).c.module_key == "c1")
    assert (row["points"], row["events_count"]) == (7.6, 12)


def test_the_bulk_lane_works_a_rebuild_off_beside_live_work_and_other_environments(
    store: Store, settings: Settings, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "QUANTUM_ENTITIES", 2)
    rows = read_projections(store, told)
    corrupt(store, told, Progress, points=77.0)
    other = a_sending_environment(store)
    first = begin_rebuild(store, told, queued=True, learner_key="u1")
    second = begin_rebuild(store, told, queued=True, learner_key="u2")

    send(store, settings, other, *STORY)

    assert {tell_rebuild(store, told, number)["state"] for number in (first, second)} == {"done"}
    assert read_projections(store, told) == rows
    assert drain_once(store, settings) is None


def test_what_was_folded_before_the_switch_is_folded_again_behind_it(
    store: Store, settings: Settings, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if store.dialect_name == "sqlite":
        pytest.skip("one writer at a time: no switch comes between a fold and its writing")
    corrupt(store, told, Progress, points=77.0, events_count=70)
    attempt = table_of(Attempt)
    with transaction(store) as connection:
        connection.execute(delete(attempt).where(attempt.c.environment_id == told))
    begin_rebuild(store, told)
    send(store, settings, told, ("points.awarded", {**LIST, "points": 1}), drained=False)
    folds = 0

    def switch_first(connection: Any, environment_id: int) -> int:
        nonlocal folds
        folds += 1
        if folds == 1:
            finish_rebuild(store, told)
        return lock_revision(connection, environment_id)

    monkeypatch.setattr("app.processing.project.lock_revision", switch_first)
    drain_all(store, settings)

    assert folds == 1
    (row,) = find(store, Progress, told, table_of(Progress).c.module_key == "c1")
    assert (row["points"], row["events_count"]) == (3.6, 12)
    assert len(find(store, Attempt, told)) == 2


# Crashes


@contextmanager
def dying_at(engine: Engine, statement_number: int) -> Iterator[Callable[[], int]]:
    """Let the n-th statement fail; gives how many were begun."""
    seen = 0

    def fail(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == statement_number:
            raise ConnectionAbortedError

    event.listen(engine, "before_cursor_execute", fail)
    yield lambda: seen
    event.remove(engine, "before_cursor_execute", fail)


def test_a_rebuild_that_dies_at_any_statement_goes_on_and_ends_equal(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "QUANTUM_ENTITIES", 8)
    monkeypatch.setattr(steps, "MOST_FAILURES", 10**6)
    environment_id = a_sending_environment(store)
    send(store, settings, environment_id, *STORY)
    right = read_projections(store, environment_id, known=False)
    drop_projections(store, environment_id)
    wrong = read_projections(store, environment_id, known=False)
    number = begin_rebuild(store, environment_id)
    failed: list[Fact] = []

    dead_at = 1
    with listening(lambda fact: failed.append(fact) if isinstance(fact, RebuildFailed) else None):
        while tell_rebuild(store, environment_id, number)["state"] != "done":
            with dying_at(store.engine, dead_at) as begun:
                with suppress(ConnectionAbortedError):
                    step_rebuild(store, environment_id)
                has_died = begun() >= dead_at
            rows = read_projections(store, environment_id, known=False)
            switched = tell_rebuild(store, environment_id, number)["switched_at"]
            assert rows == (right if switched else wrong)
            dead_at = dead_at + 7 if has_died else 1

    assert len(failed) > 40
    assert read_projections(store, environment_id, known=False) == right
    assert count_shadows(store) == 0


def test_a_fold_that_always_fails_ends_the_rebuild_and_nothing_of_it_is_seen(
    store: Store, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrupt(store, told, Progress, points=77.0)
    wrong = read_projections(store, told)
    number = begin_rebuild(store, told)
    with monkeypatch.context() as patched:
        patched.setattr("app.processing.rebuild_shadow.fold_entity", lambda *_: 1 / 0)
        step_rebuild(store, told)
        for _ in range(steps.MOST_FAILURES):
            with pytest.raises(ZeroDivisionError):
                step_rebuild(store, told)
        finish_rebuild(store, told)
    ended = tell_rebuild(store, told, number)
    assert ended["state"] == "failed"
    assert "ZeroDivisionError" in ended["error"]
    assert read_projections(store, told) == wrong
    assert count_shadows(store) == 0
    assert rebuild(store, told)["rows_changed"] == 2
