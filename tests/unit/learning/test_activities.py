"""Time spent: the union of activity, in cases worked by hand; minutes after ten o'clock."""

from itertools import permutations
from typing import Any

import pytest

from app.learning.facts import Fact
from app.learning.progress import Folded, extend_progress, fold_progress
from tests.unit.learning.told import ASSIGNMENT, at, text_of, work

MINUTE = 60


def fold(*facts: Fact) -> Folded:
    """The fold of these facts, which must be the same in every order."""
    folded = fold_progress(ASSIGNMENT, facts)
    assert all(fold_progress(ASSIGNMENT, order) == folded for order in permutations(facts))
    return folded


def active(
    seq: int, start: float, end: float | None = None, *, told_at: float | None = None, **data: Any
) -> Fact:
    """Activity from a minute to a minute, told at its start unless said otherwise."""
    if end is not None:
        data["ended_at"] = text_of(end)
    minute = start if told_at is None else told_at
    return work(seq, "activity.recorded", minute, started_at=text_of(start), **data)


def counted(folded: Folded) -> list[int]:
    return [entry.counted_s for entry in folded.activities]


def test_an_overlap_is_counted_once_and_for_the_earlier() -> None:
    folded = fold(active(1, 0, 10), active(2, 5, 20), active(3, 6, 8), active(4, 30, 31))

    assert counted(folded) == [10 * MINUTE, 10 * MINUTE, 0, MINUTE]
    assert folded.state.time_spent_s == 21 * MINUTE
    assert [entry.seconds for entry in folded.activities] == [600, 900, 120, 60]


def test_activity_told_late_fills_only_the_gap() -> None:
    folded = fold(active(1, 0, 10), active(2, 20, 30), active(3, 5, 25, told_at=40))
    assert counted(folded) == [600, 600, 600]
    assert folded.state.time_spent_s == 30 * MINUTE


def test_stated_seconds_are_a_length_and_the_shorter_of_both_counts() -> None:
    folded = fold(active(1, 0, seconds=90), active(2, 10, 20, seconds=60))

    assert [(entry.seconds, entry.ended_at) for entry in folded.activities] == [
        (90, at(1.5)),
        (60, at(20)),
    ]
    assert counted(folded) == [90, 60]


@pytest.mark.parametrize(
    ("signs", "minutes"),
    [((), 30), ((20,), 50), ((20, 45), 75), ((20, 51), 50), ((31,), 30)],
)
def test_open_activity_lasts_until_the_idle_cap_after_the_last_sign_of_life(
    signs: tuple[float, ...], minutes: int
) -> None:
    told = [work(9 + i, "progress.started", minute) for i, minute in enumerate(signs)]
    folded = fold(active(1, 0), *told)

    assert folded.state.time_spent_s == minutes * MINUTE
    (entry,) = folded.activities
    assert (entry.ended_at, entry.seconds, entry.counted_s) == (None, None, minutes * MINUTE)


def test_an_end_before_the_beginning_counts_nothing() -> None:
    folded = fold(active(1, 10, 5))
    assert (counted(folded), folded.activities[0].ended_at) == ([0], at(10))


def test_attempts_and_parts_tell_the_time_only_where_no_activity_does() -> None:
    attempts = [
        work(1, "attempt.submitted", 1, attempt=1, seconds=100),
        work(2, "part.done", 2, part="a", seconds=30),
    ]
    assert fold(*attempts).state.time_spent_s == 100
    assert fold(*attempts, active(3, 0, 1, told_at=3)).state.time_spent_s == 60


def test_a_fold_goes_on_with_activity_and_prolongs_what_is_open() -> None:
    first = fold(active(1, 0, 10), active(2, 12))
    extended = extend_progress(first.before, [work(3, "progress.started", 20), active(4, 60, 61)])

    assert extended is not None
    assert extended.recounted == {2: 38 * MINUTE}
    assert [(entry.seq, entry.counted_s) for entry in extended.activities] == [(4, 60)]
    assert extended.state.time_spent_s == (10 + 38 + 1) * MINUTE
    assert extend_progress(extended.before, [active(5, 1, 3, told_at=70)]) is None


def test_hundreds_of_stretches_in_their_order_are_each_added_without_looking_back() -> None:
    folded = fold_progress(ASSIGNMENT, [active(1, 0, 1)])
    for number in range(2, 400):
        added = [active(number, 2 * number, 2 * number + 1)]
        extended = extend_progress(folded.before, added)
        assert extended is not None
        assert len(extended.activities) == 1
        folded = extended
    assert folded.state.time_spent_s == 399 * MINUTE


def test_times_beyond_all_calendars_break_nothing() -> None:
    end = "9999-12-31T23:59:00Z"
    facts = [
        work(1, "activity.recorded", 0, started_at=end, seconds=2**31 - 1),
        work(2, "activity.recorded", 1, started_at="0001-01-01T00:00:00Z", seconds=1),
        work(3, "activity.recorded", 2, started_at=end),
    ]
    assert len(fold(*facts).activities) == 3
