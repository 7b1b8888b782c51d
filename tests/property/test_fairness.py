"""Laws of the fair queue: how long an environment waits at most, whatever the others do.

Figures are printed with `-s`; FULLCOUNT_TEST_TURNS asks for more cases.
"""

import os
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.processing.fairness import LONG_SHARE, QUANTUM_COST, SHORT_SHARE
from app.store.tables.work import BULK, LIVE
from tests.property.queueing import EVENT_US, FIXED_US, Arrival, House, backlogs, percentile

CASES = int(os.environ.get("FULLCOUNT_TEST_TURNS", "200"))
FLOOD, FLOOD_SIZE = 10, 4_000
SMALL = range(1, 10)

_ARRIVALS = st.lists(
    st.builds(
        Arrival,
        at_us=st.integers(0, 300_000),
        environment_id=st.integers(1, 6),
        event_count=st.integers(1, SHORT_SHARE.event_count),
        lane=st.sampled_from([LIVE, BULK]),
    ),
    max_size=120,
)


@examples(max_examples=CASES, deadline=None)
@given(arrivals=_ARRIVALS, worker_count=st.integers(1, 4))
def test_who_becomes_ready_waits_for_one_quantum_of_each_other_at_most(
    arrivals: Sequence[Arrival], worker_count: int
) -> None:
    house = House(dict.fromkeys(range(1, 7), 1), worker_count)
    house.run(arrivals)
    assert sum(len(spans) for spans in house.spans_us.values()) == len(arrivals)
    for served in house.served:
        assert served.waited <= served.contender_count - 1, served


@examples(max_examples=CASES, deadline=None)
@given(
    arrivals=_ARRIVALS,
    giants=st.lists(st.builds(Arrival, st.integers(0, 300_000), st.integers(1, 6), st.just(1_900))),
)
def test_only_who_took_more_than_a_quantum_waits_longer_and_as_much_longer(
    arrivals: Sequence[Arrival], giants: Sequence[Arrival]
) -> None:
    house = House(dict.fromkeys(range(1, 7), 1))
    house.run([*arrivals, *giants])
    for served in house.served:
        assert served.waited <= (served.contender_count - 1) * served.debt, served


@examples(max_examples=CASES // 4, deadline=None)
@given(
    weights=st.lists(st.integers(1, 10), min_size=2, max_size=6),
    sizes=st.randoms(use_true_random=False),
)
def test_environments_with_work_are_served_by_their_weights(
    weights: Sequence[int], sizes: Random
) -> None:
    house = House(dict(enumerate(weights)))
    largest = 3 * QUANTUM_COST
    house.run(
        [
            Arrival(0, number, sizes.randint(1, largest))
            for number in house.weights
            for _ in range(60)
        ]
    )
    for one in house.weights:
        for other in house.weights:
            if one < other:
                check_shares(house, one, other, largest)


def check_shares(house: House, one: int, other: int, largest: int) -> None:
    """|S_i/w_i - S_j/w_j| is at most Q/w_i + Q/w_j in every span in which both have work."""
    weights = house.weights
    last = {n: max(i for i, s in enumerate(house.served) if s.environment_id == n) for n in weights}
    ahead = [0.0]
    for served in house.served[: min(last[one], last[other])]:
        part = served.charge / weights[served.environment_id]
        sign = {one: 1, other: -1}.get(served.environment_id, 0)
        ahead.append(ahead[-1] + sign * part)
    assert max(ahead) - min(ahead) <= largest / weights[one] + largest / weights[other] + 1e-6


def test_an_environment_that_was_idle_has_nothing_saved_up() -> None:
    house = House({1: 1, 2: 1})
    house.run([*backlogs({1: 10_000}), *(Arrival(200_000, 2) for _ in range(4_000))])
    first = next(i for i, served in enumerate(house.served) if served.environment_id == 2)
    both = [served.environment_id for served in house.served[first:]][:16]
    assert both == [2, 1] * 8


def test_four_of_five_quanta_are_live_and_every_fifth_is_bulk() -> None:
    house = House({1: 1, 2: 1})
    bulk = [Arrival(0, 1, lane=BULK) for _ in range(12_000)]
    live = [Arrival(200_000, 1, lane=LIVE) for _ in range(12_000)]
    house.run([*bulk, *live, *backlogs({2: 4_000})])
    lanes = [served.lane for served in house.served if served.environment_id == 1]
    assert lanes[: lanes.index(LIVE)] == [BULK] * lanes.index(LIVE)
    both = lanes[lanes.index(LIVE) :][:25]
    assert both == [LIVE, LIVE, LIVE, LIVE, BULK] * 5
    assert lanes.count(LIVE) == lanes.count(BULK) == 12_000 / LONG_SHARE.entity_count


def test_quanta_are_short_only_beside_environments_that_have_little_to_do() -> None:
    house = House({1: 1, 2: 1, 3: 1})
    house.run([*backlogs({1: 5_000, 2: 5_000}), Arrival(1_000, 3)])
    taken = [(served.environment_id, served.entity_count) for served in house.served]
    long, short = LONG_SHARE.entity_count, SHORT_SHARE.entity_count
    assert taken[:5] == [(1, long), (2, long), (3, 1), (1, short), (2, short)]
    late = House({1: 1, 2: 1})
    late.run([Arrival(0, 2), *(Arrival(10_100_000, 1) for _ in range(5_000))])
    assert [served.entity_count for served in late.served] == [1] + [long] * 10


@pytest.mark.parametrize("worker_count", [1, 2, 4])
def test_nine_small_environments_hardly_notice_a_flood_of_four_thousand(worker_count: int) -> None:
    houses = [
        (simulate(seed, worker_count, flood=0), simulate(seed, worker_count, flood=FLOOD_SIZE))
        for seed in range(40)
    ]
    before = percentile([dwell for alone, _ in houses for dwell in small_dwells(alone)], 0.99)
    beside = percentile([dwell for _, flooded in houses for dwell in small_dwells(flooded)], 0.99)
    worst = max(served.waited for _, flooded in houses for served in flooded.served)
    print(  # noqa: T201  (the figures of docs/reliability.md, shown by `pytest -s`)
        f"\n{worker_count} workers: worst wait {worst} foreign quanta; small p99 "
        f"{before / 1000:.1f} ms alone, {beside / 1000:.1f} ms under flood ({beside / before:.1f}x)"
    )
    assert worst <= len(SMALL) + worker_count
    assert beside <= 3 * before
    assert all(len(flooded.spans_us[FLOOD]) == FLOOD_SIZE for _, flooded in houses)


def simulate(seed: int, worker_count: int, *, flood: int) -> House:
    """Nine small environments send a few events now and then, which keeps the workers busy a third
    of the time. After a while another one floods at once; it all ends when the flood would.
    """
    chance = Random(seed)
    lasts_us = FLOOD_SIZE // 50 * (FIXED_US + 50 * EVENT_US) // worker_count
    arrivals = [
        Arrival(at_us, number)
        for number in SMALL
        for at_us in (chance.randrange(2 * lasts_us) - lasts_us for _ in range(12))
        for _ in range(5)
    ]
    arrivals += [Arrival(0, FLOOD) for _ in range(flood)]
    house = House(dict.fromkeys([*SMALL, FLOOD], 1), worker_count)
    house.run(arrivals)
    return house


def small_dwells(house: House) -> list[int]:
    """From arrival to written, of all that small environments sent beside the flood."""
    return [done - at for n in SMALL for at, done in house.spans_us[n] if at >= 0]
