"""Parts, sign-offs and points of an assignment, in cases worked by hand."""

from itertools import permutations
from math import copysign
from sys import float_info
from typing import Any

import pytest

from app.learning.facts import Fact
from app.learning.progress import Folded, extend_progress, fold_progress
from tests.unit.learning.told import ASSIGNMENT, at, fates, void, work


def fold(*facts: Fact) -> Folded:
    """The fold of these facts, which must be the same in every order."""
    folded = fold_progress(ASSIGNMENT, facts)
    if len(facts) <= 5:
        assert all(fold_progress(ASSIGNMENT, order) == folded for order in permutations(facts))
    return folded


def part(seq: int, kind: str, minute: float, **data: Any) -> Fact:
    return work(seq, f"part.{kind}", minute, part="a", **data)


def submitted(seq: int, minute: float, **data: Any) -> Fact:
    return work(seq, "signoff.submitted", minute, part="a", **data)


def decided(seq: int, minute: float, decision: str, **data: Any) -> Fact:
    told = {"reviewer": "boss", **data}
    return work(seq, "signoff.decided", minute, part="a", decision=decision, **told)


def test_a_part_is_reached_then_done_and_keeps_what_was_stated_last() -> None:
    folded = fold(
        part(1, "reached", 1, seconds=10, points=1),
        part(2, "done", 5, score=7),
        part(3, "done", 9, seconds=30),
    )
    (state,) = folded.parts
    assert (state.status, state.reached_at, state.done_at) == ("done", at(1), at(5))
    assert (state.score, state.points, state.time_spent_s) == (7.0, 1.0, 30)
    assert (folded.state.parts_done, folded.state.status) == (1, "in_progress")
    assert (folded.state.time_spent_s, folded.state.points) == (30, 0.0)
    assert fates(folded.settlements) == {1: None, 2: None, 3: None}


def test_a_rejected_part_is_not_done_until_it_is_done_again() -> None:
    facts = [part(1, "done", 1), part(2, "rejected", 2), part(3, "done", 3)]
    (rejected,) = fold(*facts[:2]).parts
    (again,) = fold(*facts).parts

    assert (rejected.status, rejected.done_at) == ("rejected", None)
    assert (again.status, again.reached_at, again.done_at) == ("done", at(1), at(3))


def test_a_part_handed_to_a_reviewer_waits_and_is_done_when_approved() -> None:
    facts = [part(1, "done", 1), submitted(2, 2), decided(3, 5, "approved")]
    waiting, approved = fold(*facts[:2]), fold(*facts)

    assert (waiting.state.status, waiting.state.parts_done) == ("awaiting_review", 0)
    assert waiting.parts[0].status == "reached"
    assert waiting.signoffs[0].is_pending
    assert (approved.state.status, approved.state.parts_done) == ("in_progress", 1)
    assert approved.parts[0].done_at == at(5)
    (signoff,) = approved.signoffs
    assert (signoff.submitted_at, signoff.decided_at) == (at(2), at(5))
    assert (signoff.decision, signoff.reviewer_key) == ("approved", "boss")


def test_what_a_reviewer_decides_is_no_work_of_the_learner() -> None:
    state = fold(submitted(1, 1), decided(2, 50, "approved")).state
    assert (state.started_at, state.last_activity_at) == (at(1), at(1))


def test_each_submission_after_a_decision_is_a_round_of_its_own() -> None:
    folded = fold(
        submitted(1, 1, reviewer="boss"),
        submitted(2, 2),
        decided(3, 3, "rejected"),
        submitted(4, 4),
    )
    assert [(entry.round, entry.submitted_at, entry.decision) for entry in folded.signoffs] == [
        (1, at(1), "rejected"),
        (2, at(4), None),
    ]
    assert (folded.state.signoffs_pending, folded.state.status) == (1, "awaiting_review")


def test_a_decision_on_a_decided_round_takes_its_place() -> None:
    folded = fold(submitted(1, 1), decided(2, 2, "rejected"), decided(3, 3, "approved"))

    assert [(entry.round, entry.decision) for entry in folded.signoffs] == [(1, "approved")]
    assert fates(folded.settlements) == {1: None, 2: 3, 3: None}


def test_a_decision_without_a_submission_is_a_round_too() -> None:
    (entry,) = fold(decided(1, 1, "approved")).signoffs
    assert (entry.round, entry.submitted_at, entry.decided_at) == (1, None, at(1))


def test_points_are_the_sum_of_what_was_awarded() -> None:
    folded = fold(
        work(1, "points.awarded", 1, points=5, reason="stage 1"),
        work(2, "points.awarded", 2, points=2.5, part="a"),
        work(3, "points.awarded", 3, points=-1),
        void(4, 4, "e2"),
    )
    assert folded.state.points == 4.0
    assert [(entry.seq, entry.points) for entry in folded.points] == [(1, 5.0), (3, -1.0)]
    assert fates(folded.settlements)[2] == 4


@pytest.mark.parametrize("most", [1.7e308, -1.7e308])
def test_a_sum_of_points_stays_a_number(most: float) -> None:
    awarded = [work(number, "points.awarded", number, points=most) for number in (1, 2, 3)]
    assert fold(*awarded).state.points == copysign(float_info.max, most)


def test_a_reset_takes_parts_sign_offs_points_and_time_away() -> None:
    folded = fold(
        part(1, "done", 1, seconds=60),
        submitted(2, 2),
        work(3, "points.awarded", 3, points=5),
        work(4, "progress.reset", 4),
        work(5, "progress.started", 5),
    )
    assert (folded.parts, folded.signoffs, folded.points) == ((), (), ())
    state = folded.state
    assert (state.status, state.parts_done, state.points, state.time_spent_s) == (
        "in_progress",
        0,
        0.0,
        0,
    )
    assert fates(folded.settlements) == {1: 4, 2: 4, 3: 4, 4: None, 5: None}


@pytest.mark.parametrize(
    ("module_type", "status"),
    [
        ("mission", "awaiting_review"),
        ("coaching", "awaiting_review"),
        ("quest", "in_progress"),
        ("assessment", "in_progress"),
    ],
)
def test_a_submission_waits_for_its_grade_where_people_grade(module_type: str, status: str) -> None:
    def attempt(seq: int, kind: str, minute: float, number: int, **data: Any) -> Fact:
        fact = work(seq, f"attempt.{kind}", minute, attempt=number, **data)
        fact.data["module_type"] = module_type
        return fact

    handed_in = attempt(1, "submitted", 1, 1)
    graded = attempt(2, "graded", 2, 1, score=5)
    assert fold(handed_in).state.status == status
    assert fold(handed_in, graded).state.status == "in_progress"
    assert fold(handed_in, graded, attempt(3, "submitted", 3, 2)).state.status == status
    assert fold(handed_in, attempt(3, "graded", 3, 2, passed=True)).state.status == "completed"


def test_a_fold_goes_on_with_parts_sign_offs_and_points() -> None:
    before = fold(part(1, "reached", 1), submitted(2, 2), work(3, "points.awarded", 3, points=1))
    added = [decided(4, 4, "approved"), work(5, "points.awarded", 5, points=2)]
    extended = extend_progress(before.before, added)
    full = fold(
        part(1, "reached", 1), submitted(2, 2), work(3, "points.awarded", 3, points=1), *added
    )

    assert extended is not None
    assert extended.before == full.before
    assert [entry.seq for entry in extended.points] == [5]
    assert not extended.is_whole
    assert extend_progress(full.before, [decided(6, 9, "rejected")]) is None
