"""Turns, lanes, leases and epochs on a real store: as the rules say, for any number of workers."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select, update

from app.base.clock import now
from app.base.config import Settings
from app.base.facts import LeasesRenewed
from app.base.observe import listening
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.processing import renewal
from app.processing.drain import drain_all, drain_once
from app.processing.fairness import LONG_SHARE, SHORT_SHARE
from app.processing.pauses import LONGEST_PAUSE, SHORTEST_PAUSE, choose_pause
from app.processing.queue import Claim, claim_turn, free_leases, renew_leases, start_epoch
from app.processing.turns import LEASE
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Environment, Scheduler, Turn, Work
from app.store.tables.columns import table_of
from app.store.tables.work import BULK, LIVE
from app.store.work import mark_again, mark_dirty
from tests.builders import an_environment, an_event


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that stands still until it is moved."""
    with time_machine.travel(now(), tick=False) as traveller:
        yield traveller


def with_work(store: Store, name: str, *, entity_count: int, lane: int = LIVE) -> int:
    """An environment whose queue holds so many entities, of which nothing is in the journal."""
    environment_id = an_environment(store, name)
    add_work(store, environment_id, entity_count=entity_count, lane=lane)
    return environment_id


def add_work(
    store: Store, environment_id: int, *, entity_count: int, lane: int = LIVE, first: int = 1
) -> None:
    numbers = range(first, first + entity_count)
    with transaction(store) as connection:
        marks = {f'learner:["{lane}-{number}"]': number for number in numbers}
        mark_dirty(connection, environment_id, marks, lane=lane)


def claim(store: Store) -> Claim | None:
    with transaction(store) as connection:
        return claim_turn(connection, now=now())


def serve(store: Store, count: int) -> list[tuple[int, int]]:
    """Claim so often; whose turn it was, and in which lane. Nothing is given back."""
    told = []
    for _ in range(count):
        claimed = claim(store)
        assert claimed is not None
        assert claimed.taken is not None
        told.append((claimed.environment_id, claimed.taken.lane))
    return told


def row_of(store: Store, model: Any, **where: Any) -> Any:
    table = table_of(model)
    with snapshot(store) as connection:
        wanted = [table.c[name] == value for name, value in where.items()]
        return connection.execute(select(table).where(*wanted)).one()


@pytest.mark.usefixtures("clock")
def test_environments_of_equal_weight_come_round_one_after_the_other(store: Store) -> None:
    numbers = [with_work(store, name, entity_count=2_000) for name in ("one", "two", "three")]
    assert [number for number, _ in serve(store, 9)] == numbers * 3
    assert [row_of(store, Turn, environment_id=n).served_count for n in numbers] == [3, 3, 3]
    assert [row_of(store, Turn, environment_id=n).waited_max for n in numbers] == [2, 2, 2]


@pytest.mark.usefixtures("clock")
def test_weights_say_how_often_an_environment_comes_round(store: Store) -> None:
    heavy, light = (with_work(store, name, entity_count=9_000) for name in ("heavy", "light"))
    environment = table_of(Environment)
    with transaction(store) as connection:
        connection.execute(
            update(environment).where(environment.c.environment_id == heavy).values(weight=3)
        )
    order = [number for number, _ in serve(store, 16)]
    assert (order.count(heavy), order.count(light)) == (12, 4)
    assert [order[i : i + 4].count(light) for i in range(0, 16, 4)] == [1, 1, 1, 1]


@pytest.mark.usefixtures("clock")
def test_idle_time_is_not_saved_up_in_the_database_either(store: Store) -> None:
    busy = with_work(store, "busy", entity_count=9_000)
    serve(store, 8)
    idle = with_work(store, "idle", entity_count=3_000)
    assert [number for number, _ in serve(store, 6)] == [idle, busy] * 3


@pytest.mark.usefixtures("clock")
def test_of_five_quanta_four_are_live_and_one_is_bulk(store: Store) -> None:
    environment_id = with_work(store, "both", entity_count=5_000, lane=BULK)
    assert [lane for _, lane in serve(store, 2)] == [BULK, BULK]
    add_work(store, environment_id, entity_count=9_000)
    assert [lane for _, lane in serve(store, 10)] == [LIVE, LIVE, LIVE, LIVE, BULK] * 2
    assert row_of(store, Turn, environment_id=environment_id).bulk_count == 4


def test_a_row_in_both_lanes_is_live_until_it_is_done(store: Store) -> None:
    environment_id = an_environment(store)
    told = []
    for number, lane in enumerate([BULK, LIVE, BULK], start=1):
        with transaction(store) as connection:
            mark_dirty(connection, environment_id, {'learner:["u1"]': number}, lane=lane)
        row = row_of(store, Work, environment_id=environment_id)
        told.append((row.lane, row.since_seq, row.dirty_seq))
    assert told == [(BULK, 1, 1), (LIVE, 1, 2), (LIVE, 1, 3)]
    work = table_of(Work)
    with transaction(store) as connection:
        connection.execute(
            update(work).where(work.c.environment_id == environment_id).values(done_seq=3)
        )
        mark_dirty(connection, environment_id, {'learner:["u1"]': 9}, lane=BULK)
    row = row_of(store, Work, environment_id=environment_id)
    assert (row.lane, row.since_seq, row.dirty_seq) == (BULK, 9, 9)


@pytest.mark.usefixtures("clock")
def test_an_entity_that_is_marked_again_and_again_keeps_its_place(store: Store) -> None:
    environment_id = with_work(store, "busy", entity_count=1)
    for number in range(2, 2_000, 600):
        add_work(store, environment_id, entity_count=600, first=number)
        with transaction(store) as connection:
            marks = {f'learner:["{LIVE}-1"]': number + 600}
            mark_dirty(connection, environment_id, marks)
    claimed = claim(store)
    assert claimed is not None
    assert claimed.leases[0].entity_key == f'learner:["{LIVE}-1"]'
    assert claimed.leases[0].dirty_seq == 2_402


def test_what_is_marked_again_is_ready_and_fences_whoever_works_on_it(store: Store) -> None:
    environment_id = with_work(store, "acme", entity_count=1)
    claimed = claim(store)
    assert claimed is not None
    with transaction(store) as connection:
        mark_again(connection, environment_id, {f'learner:["{LIVE}-1"]': (1, 1)})
    again = claim(store)
    assert again is not None
    assert again.leases[0].token > claimed.leases[0].token
    with transaction(store) as connection:
        assert renew_leases(connection, claimed, now=now()) == 0
        assert renew_leases(connection, again, now=now()) == 1


def test_quanta_are_short_for_ten_seconds_after_someone_had_little_to_do(
    store: Store, clock: time_machine.Traveller
) -> None:
    big, small = (with_work(store, name, entity_count=n) for name, n in [("b", 3_000), ("s", 1)])
    counts = []
    for shift_s in (0, 0, 0, 9, 2):
        clock.shift(shift_s)
        claimed = claim(store)
        assert claimed is not None
        counts.append((claimed.environment_id, len(claimed.leases)))
    long, short = LONG_SHARE.entity_count, SHORT_SHARE.entity_count
    assert counts == [(big, long), (small, 1), (big, short), (big, short), (big, long)]


def test_leases_are_renewed_as_long_as_they_are_held_and_expire_when_they_are_not(
    store: Store, clock: time_machine.Traveller
) -> None:
    with_work(store, "acme", entity_count=1)
    claimed = claim(store)
    assert claimed is not None
    for _ in range(6):
        clock.shift(10)
        with transaction(store) as connection:
            assert renew_leases(connection, claimed, now=now()) == 1
        assert claim(store) is None
    clock.shift(LEASE + timedelta(seconds=1))
    assert claim(store) is not None
    with transaction(store) as connection:
        assert renew_leases(connection, claimed, now=now()) == 0


@pytest.mark.usefixtures("clock")
def test_a_row_that_rests_among_those_that_are_leased_is_not_leased_with_them(store: Store) -> None:
    environment_id = with_work(store, "acme", entity_count=5)
    add_work(store, environment_id, entity_count=5, lane=BULK)
    work, resting = table_of(Work), f'learner:["{LIVE}-3"]'
    its = (work.c.environment_id == environment_id) & (work.c.entity_key == resting)
    with transaction(store) as connection:
        connection.execute(update(work).where(its).values(ready_at=now() + SHORTEST_PAUSE))
    claimed = claim(store)
    assert claimed is not None
    leased = [f'learner:["{LIVE}-{number}"]' for number in (1, 2, 4, 5)]
    assert [lease.entity_key for lease in claimed.leases] == leased
    with snapshot(store) as connection:
        rows = connection.execute(
            select(work.c.entity_key, work.c.lease_token)
            .where(work.c.environment_id == environment_id, work.c.lease_until.is_not(None))
            .order_by(work.c.since_seq)
        )
        assert [tuple(row) for row in rows] == [(name, 1) for name in leased]


def test_a_claim_counts_the_events_that_wait_and_none_that_were_folded(
    store: Store, settings: Settings
) -> None:
    environment_id = an_environment(store)
    with transaction(store) as connection:
        add_source(connection, environment_id, source_key="lms")
    accept_items(
        store, settings, environment_id=environment_id, items=[an_event(n) for n in range(5)]
    )
    drain_all(store, settings)
    told = row_of(store, Turn, environment_id=environment_id)
    assert (told.entity_count, told.event_count) == (1, 5)

    late = [an_event(number) for number in range(5, 7)]
    accept_items(store, settings, environment_id=environment_id, items=late)
    entity_key = row_of(store, Work, environment_id=environment_id).entity_key
    with transaction(store) as connection:
        mark_again(connection, environment_id, {entity_key: (1, 7)})
    claimed = claim(store)
    assert claimed is not None
    assert claimed.taken is not None
    assert (claimed.taken.entity_count, claimed.taken.event_count) == (1, 2)


def test_a_round_that_takes_its_time_keeps_its_leases(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment_id = an_environment(store)
    with transaction(store) as connection:
        add_source(connection, environment_id, source_key="lms")
    accept_items(store, settings, environment_id=environment_id, items=[an_event(1)])
    renewed = threading.Event()
    monkeypatch.setattr(renewal, "RENEWAL_S", 0.01)
    with listening(lambda fact: renewed.set() if isinstance(fact, LeasesRenewed) else None):
        claimed = claim(store)
        assert claimed is not None
        with renewal.renewed_leases(store, claimed):
            assert renewed.wait(30)
    row = row_of(store, Work, environment_id=environment_id)
    assert row.lease_until is not None


def test_only_where_one_process_has_the_database_does_a_start_free_leases(store: Store) -> None:
    with_work(store, "acme", entity_count=2)
    assert claim(store) is not None
    is_alone = store.dialect_name == "sqlite"
    with transaction(store) as connection:
        assert start_epoch(connection) == (2 if is_alone else 0)
        assert start_epoch(connection) == 0
    assert row_of(store, Scheduler, scheduler_id=1).epoch == 2
    assert (claim(store) is not None) == is_alone


@pytest.mark.parametrize("jump", [timedelta(days=-1), timedelta(days=1)])
def test_a_clock_that_jumps_hides_no_work(
    store: Store, clock: time_machine.Traveller, jump: timedelta
) -> None:
    environment_id = with_work(store, "acme", entity_count=1)
    work = table_of(Work)
    with transaction(store) as connection:
        connection.execute(
            update(work)
            .where(work.c.environment_id == environment_id)
            .values(ready_at=now() + LONGEST_PAUSE)
        )
    assert claim(store) is None
    clock.shift(jump)
    assert claim(store) is not None
    assert claim(store) is None
    clock.shift(jump)
    assert claim(store) is not None


def test_pauses_grow_to_five_minutes_and_are_left_to_chance() -> None:
    for failed_count in range(20):
        most = min(timedelta(seconds=2.0 ** (failed_count + 1)), LONGEST_PAUSE)
        pauses = {choose_pause(failed_count) for _ in range(200)}
        assert min(pauses) >= SHORTEST_PAUSE
        assert max(pauses) <= most
        assert len(pauses) > 50
    assert most == LONGEST_PAUSE


def test_workers_beside_one_another_share_the_work_and_do_none_of_it_twice(
    store: Store, settings: Settings
) -> None:
    numbers = [an_environment(store, f"env{n}") for n in range(4)]
    for environment_id in numbers:
        with transaction(store) as connection:
            add_source(connection, environment_id, source_key="lms")
        items = [an_event(n, data={"learner": f"u{n % 70}", **_QUEST}) for n in range(140)]
        accept_items(store, settings, environment_id=environment_id, items=items)
    counts: list[int] = []

    def work() -> None:
        while (drained := drain_once(store, settings)) is not None:
            counts.append(drained.event_count)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert drain_all(store, settings).event_count == 0
    assert sum(counts) == 4 * 140
    with transaction(store) as connection:
        assert free_leases(connection) == 0


_QUEST = {"module": "m1", "module_type": "quest", "percent": 50}
