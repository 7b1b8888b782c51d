"""Rounds of work on a real store: folded, settled, written; poison set aside, leases fenced."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import time_machine
from sqlalchemy import select, update

from app.base.clock import now
from app.base.config import Settings
from app.base.facts import EntityDied, EntityFailed, Fact, QuantumApplied
from app.base.observe import listening
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.ledger.books import recount_books
from app.processing import drain, entity_rows, project
from app.processing.drain import drain_all, drain_once
from app.processing.fairness import SHORT_SHARE
from app.processing.fold import fold_entity
from app.processing.pauses import MAX_ATTEMPTS
from app.processing.queue import Claim, claim_turn, free_leases
from app.processing.sweep import sweep_all
from app.processing.turns import LEASE
from app.store.engine import Store, snapshot, transaction
from app.store.tables import (
    Attempt,
    Event,
    Learner,
    LearnerProfile,
    Membership,
    Module,
    Part,
    Progress,
    Series,
    SeriesModule,
    Team,
    Work,
)
from app.store.tables.columns import table_of
from tests.builders import an_environment, an_event

_NUMBERS = count(1)
QUEST = {"learner": "u1", "module": "m1", "module_type": "quest"}


@pytest.fixture
def environment_id(store: Store) -> int:
    return with_source(store, "acme")


@pytest.fixture
def heard() -> Iterator[list[Fact]]:
    facts: list[Fact] = []
    with listening(facts.append):
        yield facts


def with_source(store: Store, name: str) -> int:
    environment_id = an_environment(store, name)
    with transaction(store) as connection:
        add_source(connection, environment_id, source_key="lms")
    return environment_id


def said(kind: str, **data: Any) -> dict[str, Any]:
    return an_event(next(_NUMBERS), type=kind, data=data)


def send(store: Store, settings: Settings, environment_id: int, *events: dict[str, Any]) -> None:
    receipt = accept_items(store, settings, environment_id=environment_id, items=events)
    assert receipt.accepted == len(events), receipt


def rows_of(store: Store, model: Any, environment_id: int) -> list[Any]:
    table = table_of(model)
    with snapshot(store) as connection:
        found = select(table).where(table.c.environment_id == environment_id)
        return list(connection.execute(found.order_by(*table.primary_key.columns)))


def faults(store: Store, environment_id: int) -> list[str]:
    with snapshot(store) as connection:
        return recount_books(connection, environment_id)


def test_events_become_progress_and_are_settled(
    store: Store, settings: Settings, environment_id: int
) -> None:
    send(
        store, settings, environment_id,
        said("assignment.made", learner="u1", module="m1", due_at="2025-06-01T00:00:00Z"),
        said("progress.advanced", **QUEST, percent=40),
        said("attempt.graded", **QUEST, attempt=1, score=8, max_score=10, passed=True),
    )  # fmt: skip
    drained = drain_all(store, settings)
    assert (drained.event_count, drained.entity_count) == (3, 1)
    (row,) = rows_of(store, Progress, environment_id)
    (attempt,) = rows_of(store, Attempt, environment_id)
    assert (row.status, row.percent_complete, row.module_type) == ("completed", 100.0, "quest")
    assert (row.best_score_percent, row.attempts, row.events_count) == (80.0, 1, 3)
    assert (attempt.assignment_id, attempt.score_percent) == (row.assignment_id, 80.0)
    assert {e.disposition for e in rows_of(store, Event, environment_id)} == {1}
    assert all(e.applied_at for e in rows_of(store, Event, environment_id))
    assert faults(store, environment_id) == []


def test_events_folded_one_by_one_give_what_they_give_together(
    store: Store, settings: Settings
) -> None:
    events = [
        said("progress.started", **QUEST),
        said("attempt.submitted", **QUEST, attempt=1, score=5, max_score=10),
        said("attempt.graded", **QUEST, attempt=1, score=6, max_score=10, passed=False),
        said("attempt.graded", **QUEST, attempt=2, score=9, max_score=10, passed=True),
        said("progress.reset", **QUEST),
        said("progress.advanced", **QUEST, percent=30),
    ]
    one, two = with_source(store, "one"), with_source(store, "two")
    send(store, settings, one, *events)
    drain_all(store, settings)
    for event in [*events[3:], *events[:3]]:
        send(store, settings, two, event)
        drain_all(store, settings)
    told = [
        [
            {k: v for k, v in row._mapping.items() if k not in _OWN}
            for row in rows_of(store, model, environment_id)
            if not row.is_deleted
        ]
        for environment_id in (one, two)
        for model in (Progress, Attempt)
    ]
    assert told[0] == told[2]
    assert told[1] == told[3]
    winners = [
        {e.event_id: (e.disposition, e.winner_seq is None) for e in rows_of(store, Event, number)}
        for number in (one, two)
    ]
    assert winners[0] == winners[1]
    assert faults(store, one) == faults(store, two) == []


_OWN = {"environment_id", "assignment_id", "attempt_id", "revision", "changed_at"}


def test_what_events_name_before_its_introduction_gets_a_stub(
    store: Store, settings: Settings, environment_id: int
) -> None:
    send(store, settings, environment_id, said("progress.started", **QUEST, series="s1"))
    drain_all(store, settings)
    for model in (Learner, Module, Series):
        (row,) = rows_of(store, model, environment_id)
        assert (row.known, row.events_count) == (False, 0)
    send(store, settings, environment_id, said("learner.upserted", learner="u1", display_name="Al"))
    drain_all(store, settings)
    (learner,) = rows_of(store, Learner, environment_id)
    (profile,) = rows_of(store, LearnerProfile, environment_id)
    assert (learner.known, learner.events_count, profile.display_name) == (True, 1, "Al")


def test_the_catalog_has_the_last_word_on_the_type_of_a_module(
    store: Store, settings: Settings, environment_id: int
) -> None:
    send(store, settings, environment_id, said("progress.started", **QUEST))
    drain_all(store, settings)
    (before,) = rows_of(store, Progress, environment_id)
    module = said("module.upserted", module="m1", module_type="course", name="Knots")
    send(store, settings, environment_id, module)
    drain_all(store, settings)
    (row,) = rows_of(store, Progress, environment_id)
    assert (before.module_type, row.module_type) == ("quest", "course")
    assert row.revision > before.revision
    void = said("event.voided", event_id=module["id"], stream="catalog", module="m1")
    send(store, settings, environment_id, void)
    drain_all(store, settings)
    (row,) = rows_of(store, Progress, environment_id)
    assert row.module_type == "quest"


def test_memberships_and_parts_that_are_gone_stay_as_tombstones(
    store: Store, settings: Settings, environment_id: int
) -> None:
    joined = said("membership.set", learner="u1", team="t1", since="2025-01-01T00:00:00Z")
    part = said("part.upserted", module="m1", part="p1", part_type="stage", position=1)
    send(store, settings, environment_id, joined, part)
    drain_all(store, settings)
    assert [team.known for team in rows_of(store, Team, environment_id)] == [False]
    assert rows_of(store, Learner, environment_id)[0].team_key == "t1"
    send(
        store, settings, environment_id,
        said("event.voided", event_id=joined["id"], stream="people", learner="u1"),
        said("event.voided", event_id=part["id"], stream="catalog", module="m1"),
    )  # fmt: skip
    drain_all(store, settings)
    assert [row.is_deleted for row in rows_of(store, Membership, environment_id)] == [True]
    assert [row.is_deleted for row in rows_of(store, Part, environment_id)] == [True]
    assert rows_of(store, Learner, environment_id)[0].team_key is None
    assert faults(store, environment_id) == []


def test_a_series_lists_its_modules_as_it_said_last(
    store: Store, settings: Settings, environment_id: int
) -> None:
    for modules in (["m1", "m2"], ["m2", "m3"]):
        places = [{"module": key, "position": i} for i, key in enumerate(modules)]
        event = said("series.upserted", series="s1", name="Sea", modules=places)
        send(store, settings, environment_id, event)
        drain_all(store, settings)
    rows = rows_of(store, SeriesModule, environment_id)
    places_now = [(row.module_key, row.position) for row in rows if not row.is_deleted]
    assert places_now == [("m2", 0), ("m3", 1)]


def test_environments_take_turns(store: Store, settings: Settings, heard: list[Fact]) -> None:
    flood, small = with_source(store, "flood"), with_source(store, "small")
    for start in range(2):
        people = [said("learner.upserted", learner=f"u{start}-{n}") for n in range(600)]
        send(store, settings, flood, *people)
    send(store, settings, small, said("learner.upserted", learner="u1"))
    drain_all(store, settings)
    served = [fact.environment_id for fact in heard if isinstance(fact, QuantumApplied)]
    assert served[:3] == [flood, small, flood]
    # A long quantum, and short ones once there was someone who had little to do.
    assert served.count(flood) == 1 + 700 / SHORT_SHARE.entity_count


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the fold of learner `bad` raise."""
    fold = fold_entity

    def fold_or_fail(entity_key: str, entries: Sequence[Any]) -> Any:
        if "bad" in entity_key:
            raise ValueError("no such luck")
        return fold(entity_key, entries)

    monkeypatch.setattr(drain, "fold_entity", fold_or_fail)


@pytest.mark.usefixtures("poison")
def test_a_poisoned_entity_is_tried_again_and_then_dead_and_its_neighbours_go_on(
    store: Store, settings: Settings, environment_id: int, heard: list[Fact]
) -> None:
    send(store, settings, environment_id, *[said("learner.upserted", learner="bad")] * 1)
    send(store, settings, environment_id, said("learner.upserted", learner="good"))
    with time_machine.travel(now(), tick=False):
        drained = drain_all(store, settings)
    assert (drained.entity_count, drained.failed_count) == (1, 1)
    assert [row.learner_key for row in rows_of(store, Learner, environment_id)] == ["good"]
    assert faults(store, environment_id) == []
    with time_machine.travel(now(), tick=False) as clock:
        for _ in range(MAX_ATTEMPTS - 1):
            assert drain_once(store, settings) is None
            clock.shift(timedelta(seconds=301))
            assert drain_once(store, settings) is not None
    dead, good = rows_of(store, Event, environment_id)
    assert (dead.disposition, dead.error) == (3, "ValueError: no such luck")
    assert good.disposition == 1
    failed = [fact.attempt_count for fact in heard if isinstance(fact, EntityFailed)]
    assert failed == list(range(1, 9))
    assert [fact.dead_count for fact in heard if isinstance(fact, EntityDied)] == [1]
    assert faults(store, environment_id) == []
    assert sweep_all(store) == 0


@pytest.mark.usefixtures("poison")
def test_a_dead_event_is_not_folded_when_its_entity_goes_on(
    store: Store, settings: Settings, environment_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "MAX_ATTEMPTS", 1)
    send(store, settings, environment_id, said("learner.upserted", learner="bad", country="AT"))
    drain_all(store, settings)
    monkeypatch.undo()
    send(store, settings, environment_id, said("learner.upserted", learner="bad", location="Graz"))
    drain_all(store, settings)
    (learner,) = rows_of(store, Learner, environment_id)
    assert (learner.country, learner.location, learner.events_count) == (None, "Graz", 1)
    assert faults(store, environment_id) == []


def test_a_write_that_fails_for_one_entity_spares_the_others(
    store: Store, settings: Settings, environment_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = entity_rows._WRITERS["learner"]

    def write_or_fail(connection: Any, stamp: Any, folded: Sequence[Any]) -> None:
        write(connection, stamp, folded)
        if any(result.state.learner_key == "u3" for result in folded):
            raise ValueError("too large for its column")

    monkeypatch.setattr(entity_rows, "_WRITERS", {**entity_rows._WRITERS, "learner": write_or_fail})
    people = [said("learner.upserted", learner=f"u{n}") for n in range(1, 6)]
    send(store, settings, environment_id, *people)
    with time_machine.travel(now(), tick=False):
        drained = drain_all(store, settings)
    assert (drained.entity_count, drained.failed_count) == (4, 1)
    kept = [row.learner_key for row in rows_of(store, Learner, environment_id)]
    assert kept == ["u1", "u2", "u4", "u5"]
    assert faults(store, environment_id) == []


def test_a_worker_that_stops_gives_back_what_it_has_not_come_to(
    store: Store, settings: Settings, environment_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = entity_rows._WRITERS["learner"]

    def write_one(connection: Any, stamp: Any, folded: Sequence[Any]) -> None:
        if len(folded) > 1:
            raise ValueError("only one by one")
        write(connection, stamp, folded)

    monkeypatch.setattr(entity_rows, "_WRITERS", {**entity_rows._WRITERS, "learner": write_one})
    people = [said("learner.upserted", learner=f"u{n}") for n in range(1, 6)]
    send(store, settings, environment_id, *people)
    answers = iter([False, False, True])
    drained = drain_once(store, settings, is_stopping=lambda: next(answers))
    assert drained is not None
    assert (drained.entity_count, drained.failed_count) == (2, 0)
    assert [row.lease_until for row in rows_of(store, Work, environment_id)] == [None] * 5
    claimed = _claim(store)
    assert [lease.attempts for lease in claimed.leases] == [0, 0, 0]


def test_who_holds_an_older_token_changes_nothing(
    store: Store, settings: Settings, environment_id: int
) -> None:
    send(store, settings, environment_id, said("learner.upserted", learner="u1"))
    late = _claim(store)
    assert _claim_or_none(store) is None
    with transaction(store) as connection:
        assert free_leases(connection) == 1
    drain_all(store, settings)
    (before,) = rows_of(store, Learner, environment_id)
    applied = drain._project(store, late)
    assert (applied.fenced_count, applied.event_count, applied.entity_count) == (1, 0, 0)
    assert rows_of(store, Learner, environment_id) == [before]
    assert faults(store, environment_id) == []


def test_an_event_that_comes_after_the_claim_is_left_for_the_next(
    store: Store, settings: Settings, environment_id: int
) -> None:
    send(store, settings, environment_id, said("learner.upserted", learner="u1", country="AT"))
    claim = _claim(store)
    send(store, settings, environment_id, said("learner.upserted", learner="u1", country="IT"))
    assert drain._project(store, claim).event_count == 1
    (work,) = rows_of(store, Work, environment_id)
    assert (work.dirty_seq, work.done_seq) == (2, 1)
    drain_all(store, settings)
    (learner,) = rows_of(store, Learner, environment_id)
    assert (learner.country, learner.events_count) == ("IT", 2)


def test_a_lease_expires_and_one_from_a_clock_that_jumped_counts_as_expired(
    store: Store, settings: Settings, environment_id: int
) -> None:
    send(store, settings, environment_id, said("learner.upserted", learner="u1"))
    start = now()
    with time_machine.travel(start + timedelta(days=365), tick=False):
        _claim(store)
    assert _claim_or_none(store) is not None
    assert _claim_or_none(store) is None
    with time_machine.travel(now() + LEASE + timedelta(seconds=1), tick=False):
        assert drain_all(store, settings).event_count == 1


def test_a_crash_inside_an_apply_leaves_nothing_and_is_made_good(
    store: Store, settings: Settings, environment_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    send(store, settings, environment_id, said("learner.upserted", learner="u1"))
    monkeypatch.setattr(project, "finish_work", crash)
    with pytest.raises(KeyboardInterrupt):
        drain_all(store, settings)
    monkeypatch.undo()
    assert rows_of(store, Learner, environment_id) == []
    assert [row.disposition for row in rows_of(store, Event, environment_id)] == [0]
    with transaction(store) as connection:
        free_leases(connection)
    assert drain_all(store, settings).event_count == 1
    assert faults(store, environment_id) == []


def test_the_sweep_finds_pending_events_that_nothing_points_at(
    store: Store, settings: Settings, environment_id: int
) -> None:
    send(
        store, settings, environment_id,
        said("learner.upserted", learner="u1"), said("progress.started", **QUEST),
    )  # fmt: skip
    assert sweep_all(store) == 0
    work = table_of(Work)
    with transaction(store) as connection:
        connection.execute(
            update(work).where(work.c.environment_id == environment_id).values(done_seq=2)
        )
    assert drain_once(store, settings) is None
    assert sweep_all(store) == 2
    assert drain_all(store, settings).event_count == 2
    assert sweep_all(store) == 0
    assert faults(store, environment_id) == []


def _claim(store: Store) -> Claim:
    claim = _claim_or_none(store)
    assert claim is not None
    return claim


def _claim_or_none(store: Store) -> Claim | None:
    with transaction(store) as connection:
        return claim_turn(connection, now=now())
