"""Standings rolled up: the worst verdict, the earliest watermarks, the sum of what is missing."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.ledger.standing import UNOWED, Standing, roll_standings
from app.ledger.verdict import COMPLETE, State, Verdict

NOON = datetime(2025, 5, 24, 12, tzinfo=UTC)
SHORT = Verdict(State.INCOMPLETE, "short")


def standing(verdict: Verdict = COMPLETE, *, hours: int | None = 0, **told: Any) -> Standing:
    """A standing complete through so many hours before noon, or through nothing."""
    through = None if hours is None else NOON - timedelta(hours=hours)
    return Standing(verdict, complete_through=through, settled_through=through, **told)


def test_over_several_through_is_the_earliest_missing_the_sum_and_the_verdict_the_worst() -> None:
    rolled = roll_standings(
        [standing(missing=0, declared=9), standing(SHORT, hours=3, missing=2), standing(hours=1)]
    )
    assert (rolled.verdict, rolled.missing, rolled.declared) == (SHORT, 2, 9)
    assert rolled.complete_through == rolled.settled_through == NOON - timedelta(hours=3)


def test_what_is_true_of_no_moment_for_one_is_true_of_none_for_all() -> None:
    rolled = roll_standings([standing(), standing(hours=None, verdict=UNOWED.verdict)])
    assert rolled.complete_through is None
    assert (rolled.verdict.state, rolled.missing) == (State.UNKNOWN, None)


def test_the_maximum_over_nothing_is_unknown() -> None:
    assert roll_standings([]).verdict.state is State.UNKNOWN


def test_a_waived_deficit_never_looks_better_than_one_that_is_not() -> None:
    waived = Verdict(State.INCOMPLETE, "short", is_waived=True)
    for pair in ((waived, SHORT), (SHORT, waived)):
        assert roll_standings([standing(one) for one in pair]).verdict == SHORT
    assert roll_standings([standing(waived), standing()]).verdict == waived
