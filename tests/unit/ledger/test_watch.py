"""The watch: what is wrong with the books or the survivors rings, once, until it is over."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select, update

from app.base.clock import now
from app.base.config import Settings
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.ledger import watch
from app.ledger.watch import recount_environment, watch_environments
from app.processing.drain import drain_all
from app.processing.sweep import sweep_all
from app.store.alarms import (
    BOOKS_UNBALANCED,
    DEDUP_AUDIT,
    JOURNAL_DIFFERS,
    SWEEP_REPAIRED,
    list_open_alarms,
)
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Alarm, Batch, Event, Tally, Watch, Work
from app.store.tables.columns import table_of
from tests.builders import an_environment, an_event


@pytest.fixture
def environment_id(store: Store, settings: Settings) -> int:
    """An environment with three events, one of them superseded, and a delivery of duplicates."""
    environment_id = an_environment(store)
    with transaction(store) as connection:
        add_source(connection, environment_id, source_key="lms")
    void = an_event(
        4,
        type="event.voided",
        data={"event_id": "e2", "stream": "quest", "learner": "u42", "module": "m7"},
    )
    events = [an_event(1), an_event(2), void]
    for _ in range(2):
        accept_items(store, settings, environment_id=environment_id, items=events)
    drain_all(store, settings)
    return environment_id


def change(store: Store, environment_id: int, model: Any, *where: Any, **values: Any) -> None:
    table = table_of(model)
    with transaction(store) as connection:
        changed = connection.execute(
            update(table).where(table.c.environment_id == environment_id, *where).values(values)
        )
        assert changed.rowcount > 0


def alarms(store: Store, environment_id: int) -> dict[str, Any]:
    with snapshot(store) as connection:
        return {alarm["kind"]: alarm for alarm in list_open_alarms(connection, environment_id)}


def look(store: Store, environment_id: int) -> dict[str, Any]:
    watch_environments(store, [environment_id])
    return alarms(store, environment_id)


def past(store: Store, environment_id: int) -> list[tuple[str, bool]]:
    alarm = table_of(Alarm)
    with snapshot(store) as connection:
        rows = connection.execute(
            select(alarm.c.kind, alarm.c.resolved_at)
            .where(alarm.c.environment_id == environment_id)
            .order_by(alarm.c.alarm_id)
        )
        return [(kind, resolved_at is not None) for kind, resolved_at in rows]


def test_where_all_is_well_nothing_rings(store: Store, environment_id: int) -> None:
    event = table_of(Event)
    with snapshot(store) as connection:
        superseded = connection.execute(
            select(event.c.seq).where(
                event.c.environment_id == environment_id, event.c.winner_seq.is_not(None)
            )
        ).all()
    assert superseded
    assert look(store, environment_id) == {}
    assert recount_environment(store, environment_id) == []
    assert alarms(store, environment_id) == {}


def test_books_that_do_not_balance_ring_once_until_they_do(
    store: Store, environment_id: int
) -> None:
    tally = table_of(Tally)
    change(store, environment_id, Tally, received=tally.c.received + 1)
    first = look(store, environment_id)[BOOKS_UNBALANCED]
    assert first["details"] == {
        "count": 1,
        "faults": ["the equations of the tallies do not hold"],
    }
    second = look(store, environment_id)[BOOKS_UNBALANCED]
    assert (second["first_seen_at"], second["seen_count"]) == (first["first_seen_at"], 2)
    change(store, environment_id, Tally, received=tally.c.received - 1)
    assert look(store, environment_id) == {}
    assert past(store, environment_id) == [(BOOKS_UNBALANCED, True)]


def test_an_event_that_waits_though_the_books_say_it_was_settled_rings(
    store: Store, environment_id: int
) -> None:
    change(store, environment_id, Event, table_of(Event).c.seq == 1, disposition=0)
    told = look(store, environment_id)[BOOKS_UNBALANCED]["details"]["faults"]
    assert told == ["pending is 0 in the books, 1 found"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda store, number: change(
            store, number, Event, table_of(Event).c.winner_seq.is_not(None), winner_seq=77
        ),
        lambda store, number: change(
            store, number, Event, table_of(Event).c.winner_seq.is_not(None), winner_seq=None
        ),
        lambda store, number: change(
            store,
            number,
            Batch,
            table_of(Batch).c.duplicate > 0,
            items='[{"index":0,"id":"e1","outcome":"duplicate","seq":2}]',
        ),
        lambda store, number: change(
            store,
            number,
            Batch,
            table_of(Batch).c.duplicate > 0,
            items='[{"index":0,"id":"e1","outcome":"duplicate","seq":400}]',
        ),
    ],
)
def test_what_names_no_survivor_rings(
    store: Store, environment_id: int, spoil: Callable[[Store, int], None]
) -> None:
    spoil(store, environment_id)
    found = look(store, environment_id)
    assert found[DEDUP_AUDIT]["details"]["count"] == 1
    assert len(recount_environment(store, environment_id)) == 1


def test_a_survivor_of_another_environment_is_none(
    store: Store, settings: Settings, environment_id: int
) -> None:
    other = an_environment(store, "other")
    with transaction(store) as connection:
        add_source(connection, other, source_key="lms")
    events = [an_event(n) for n in range(1, 9)]
    accept_items(store, settings, environment_id=other, items=events)
    superseded = table_of(Event).c.winner_seq.is_not(None)
    change(store, environment_id, Event, superseded, winner_seq=8)
    assert DEDUP_AUDIT in look(store, environment_id)
    assert look(store, other) == {}


def test_the_walk_goes_in_stretches_rests_and_ends_its_alarm_by_a_whole_clean_round(
    store: Store, environment_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_STRETCH_EVENTS", 1)
    table = table_of(Watch)

    def place() -> Any:
        with snapshot(store) as connection:
            return connection.execute(
                select(table.c.event_seq, table.c.found_count, table.c.walked_at).where(
                    table.c.environment_id == environment_id
                )
            ).one()

    superseded = table_of(Event).c.disposition == 2
    winner_seq = 3
    with time_machine.travel(now(), tick=False) as clock:
        change(store, environment_id, Event, superseded, winner_seq=77)
        seen = []
        for _ in range(3):
            rings = DEDUP_AUDIT in look(store, environment_id)
            seen.append((rings, place().event_seq))
        assert seen == [(False, 1), (True, 2), (True, 0)]
        change(store, environment_id, Event, superseded, winner_seq=winner_seq)
        assert DEDUP_AUDIT in look(store, environment_id)
        assert place().event_seq == 0
        clock.shift(timedelta(hours=1))
        assert [DEDUP_AUDIT in look(store, environment_id) for _ in range(3)] == [True, True, False]


def test_a_recount_opens_and_closes_an_alarm_of_its_own(store: Store, environment_id: int) -> None:
    tally = table_of(Tally)
    for step, rings in ((1, True), (-1, False)):
        change(
            store,
            environment_id,
            Tally,
            applied=tally.c.applied + step,
            superseded=tally.c.superseded - step,
        )
        assert bool(recount_environment(store, environment_id)) is rings
        assert set(look(store, environment_id)) == ({JOURNAL_DIFFERS} if rings else set())


def test_a_rescue_by_the_sweep_rings_for_a_day_and_is_counted_for_good(
    store: Store, settings: Settings, environment_id: int
) -> None:
    watched = table_of(Watch)
    with time_machine.travel(now(), tick=False) as clock:
        for number in (11, 12):
            item = an_event(number)
            accept_items(store, settings, environment_id=environment_id, items=[item])
            change(store, environment_id, Work, done_seq=table_of(Work).c.dirty_seq)
            assert sweep_all(store) == 1
            drain_all(store, settings)
        alarm = look(store, environment_id)[SWEEP_REPAIRED]
        assert (alarm["seen_count"], alarm["details"]["entities"]) == (2, 1)
        clock.shift(timedelta(days=1, seconds=1))
        assert look(store, environment_id) == {}
    with snapshot(store) as connection:
        rescued = connection.execute(
            select(watched.c.rescued_count).where(watched.c.environment_id == environment_id)
        ).scalar()
    assert rescued == 2
