"""What may be said of a stream: silence is unknown, the worst wins, every reason is explained."""

from itertools import permutations
from pathlib import Path

import pytest

from app.ledger.verdict import (
    MANIFEST_MISSING,
    NO_CONTRACT,
    NO_STREAM,
    REASONS,
    Facts,
    State,
    Verdict,
    judge_stream,
    roll_up,
)

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "completeness.md"


def test_a_silent_source_is_never_complete() -> None:
    assert judge_stream(Facts(is_contracted=True)) == Verdict(State.UNKNOWN, MANIFEST_MISSING)


def test_a_stream_that_nobody_owes_is_unknown() -> None:
    assert judge_stream(Facts(is_contracted=False)) == Verdict(State.UNKNOWN, NO_CONTRACT)


def test_a_roll_up_of_nothing_is_unknown() -> None:
    assert roll_up([]) == Verdict(State.UNKNOWN, NO_STREAM)
    assert roll_up(iter(())) == Verdict(State.UNKNOWN, NO_STREAM)


def test_severity_rises_from_complete_to_stalled() -> None:
    order = ["complete", "catching_up", "unknown", "incomplete", "stalled"]
    assert sorted(State, key=lambda state: state.severity) == order


@pytest.mark.parametrize("worst", State)
def test_the_worst_wins_in_any_order(worst: State) -> None:
    milder = [Verdict(state) for state in State if state.severity < worst.severity]
    wanted = Verdict(worst, "why")
    for verdicts in permutations([wanted, *milder]):
        assert roll_up(verdicts) == wanted


def test_among_equals_the_first_gives_the_reason() -> None:
    first, second = Verdict(State.UNKNOWN, NO_CONTRACT), Verdict(State.UNKNOWN, MANIFEST_MISSING)
    assert roll_up([first, second]) == first
    assert roll_up([second, first]) == second


def test_one_unknown_stream_spoils_any_number_of_complete_ones() -> None:
    verdicts = [Verdict(State.COMPLETE)] * 12 + [Verdict(State.UNKNOWN, NO_CONTRACT)]
    assert roll_up(verdicts).state is State.UNKNOWN


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_explained(reason: str) -> None:
    assert f"`{reason}`" in DOCUMENT.read_text("utf-8")
