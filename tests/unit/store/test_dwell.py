"""Dwell times in logarithmic buckets: figures, pace, and what is forgotten."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.store.dwell import (
    Dwelled,
    bucket_of,
    forget_dwell,
    longest_of,
    note_dwell,
    read_dwell,
    read_pace,
)
from app.store.engine import Store, snapshot, transaction
from tests.builders import NOON, an_environment


def settle(store: Store, environment_id: int, *, minutes: float = 0, **after_s: int) -> None:
    """Settle so many events, this long after noon, each so many seconds after it was received."""
    moment = NOON + timedelta(minutes=minutes)
    received = [
        moment - timedelta(seconds=int(name.removeprefix("s")))
        for name, count in after_s.items()
        for _ in range(count)
    ]
    with transaction(store) as connection:
        note_dwell(connection, environment_id, received, now=moment)


def dwell_of(store: Store, environment_id: int, *, minutes: float = 0) -> Dwelled:
    with snapshot(store) as connection:
        return read_dwell(connection, environment_id, now=NOON + timedelta(minutes=minutes))


def pace_of(store: Store, environment_id: int, *, minutes: float = 0) -> float | None:
    with snapshot(store) as connection:
        return read_pace(connection, environment_id, now=NOON + timedelta(minutes=minutes))


@given(some.floats(min_value=0.001, max_value=1e9))
def test_a_bucket_is_at_most_a_fifth_longer_than_what_it_holds(dwell_s: float) -> None:
    longest_s = longest_of(bucket_of(dwell_s))
    assert dwell_s * 0.999 - 0.001 <= longest_s <= dwell_s * 2**0.25 + 0.001


@pytest.mark.parametrize("dwell_s", [-86_400.0, 0.0, 0.0005])
def test_a_dwell_of_nothing_or_less_is_a_millisecond(dwell_s: float) -> None:
    assert longest_of(bucket_of(dwell_s)) == 0.001


def test_without_events_there_is_no_figure(store: Store) -> None:
    environment_id = an_environment(store)
    assert dwell_of(store, environment_id) == Dwelled(0, None, None)
    assert pace_of(store, environment_id) is None


def test_half_and_nearly_all_are_nearest_ranks(store: Store) -> None:
    environment_id = an_environment(store)
    settle(store, environment_id, s1=98, s100=1, s1000=1)
    dwelled = dwell_of(store, environment_id)
    assert dwelled.event_count == 100
    assert dwelled.p50_s == longest_of(bucket_of(1))
    assert dwelled.p99_s == longest_of(bucket_of(100))


def test_quanta_of_a_minute_add_up_and_an_hour_later_they_count_no_more(store: Store) -> None:
    environment_id = an_environment(store)
    settle(store, environment_id, s1=2)
    settle(store, environment_id, minutes=0.5, s1=3)
    settle(store, environment_id, minutes=30, s2=1)
    assert dwell_of(store, environment_id, minutes=31).event_count == 6
    assert dwell_of(store, environment_id, minutes=61).event_count == 1
    with transaction(store) as connection:
        moment = NOON + timedelta(minutes=61)
        assert forget_dwell(connection, environment_id, now=moment) == 1
    assert dwell_of(store, environment_id, minutes=31).event_count == 1


def test_pace_is_reckoned_from_the_first_minute_with_events(store: Store) -> None:
    environment_id = an_environment(store)
    settle(store, environment_id, s1=60)
    settle(store, environment_id, minutes=1, s1=60)
    assert pace_of(store, environment_id, minutes=2) == pytest.approx(1.0)
    assert pace_of(store, environment_id, minutes=10) is None


def test_a_neighbours_dwell_is_its_own(store: Store) -> None:
    settle(store, an_environment(store), s1=5)
    assert dwell_of(store, an_environment(store, "other")).event_count == 0
