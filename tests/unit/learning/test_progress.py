"""The fold of an assignment, in cases worked by hand."""

from itertools import permutations

import pytest

from app.learning.facts import Fact
from app.learning.progress import Folded, ProgressState, extend_progress, fold_progress
from tests.unit.learning.told import ASSIGNMENT, at, fates, text_of, void, work


def fold(*facts: Fact) -> Folded:
    """The fold of these facts, which must be the same in every order."""
    folded = fold_progress(ASSIGNMENT, facts)
    if len(facts) <= 5:
        assert all(fold_progress(ASSIGNMENT, order) == folded for order in permutations(facts))
    return folded


def state_of(*facts: Fact) -> ProgressState:
    return fold(*facts).state


def test_an_assignment_that_nobody_began_is_not_started() -> None:
    state = state_of(work(1, "assignment.made", 0, due_at=text_of(60), reason="rule", rule="r1"))

    assert (state.status, state.percent_complete, state.implicit) == ("not_started", 0.0, False)
    assert (state.assigned_at, state.due_at) == (at(0), at(60))
    assert (state.reason, state.rule, state.mandatory) == ("rule", "r1", True)
    assert (state.learner_key, state.module_key, state.series_key, state.cycle) == (
        "u42",
        "m7",
        "",
        1,
    )
    assert (state.started_at, state.event_module_type, state.events_count) == (None, None, 1)


def test_progress_without_an_assignment_makes_one_implicitly() -> None:
    state = state_of(work(1, "progress.advanced", 5, percent=40), work(2, "progress.started", 3))

    assert (state.implicit, state.reason, state.mandatory) == (True, "self", True)
    assert state.assigned_at == state.started_at == at(3)
    assert (state.status, state.percent_complete) == ("in_progress", 40.0)
    assert (state.last_activity_at, state.event_module_type) == (at(5), "quest")


def test_a_later_assignment_takes_an_implicit_one_over() -> None:
    state = state_of(work(1, "progress.started", 3), work(2, "assignment.made", 9, reason="group"))

    assert (state.implicit, state.reason, state.assigned_at) == (False, "group", at(9))


def test_percent_never_goes_back() -> None:
    folded = fold(
        work(1, "progress.advanced", 1, percent=60), work(2, "progress.advanced", 2, percent=30)
    )

    assert folded.state.percent_complete == 60.0
    assert fates(folded.settlements) == {1: None, 2: None}


def test_a_later_completion_beats_an_earlier_failure_and_a_later_failure_undoes_nothing() -> None:
    facts = [
        work(1, "progress.failed", 1, passed=False, score=3, max_score=10),
        work(2, "progress.completed", 2, passed=True, score=8, max_score=10),
        work(3, "progress.failed", 3, passed=False),
    ]
    state = state_of(*facts)

    assert (state.status, state.percent_complete, state.passed) == ("completed", 100.0, True)
    assert (state.completed_at, state.failed_at) == (at(2), at(1))
    assert (state.first_score_percent, state.best_score_percent) == (30.0, 80.0)
    assert state_of(facts[0]).status == "failed"


def test_one_may_complete_without_passing() -> None:
    state = state_of(work(1, "progress.completed", 1, passed=False))
    assert (state.status, state.passed) == ("completed", False)


def test_completed_comes_before_waived_before_failed() -> None:
    waived = work(1, "assignment.waived", 5, waive_reason="sick")
    failed, completed = work(2, "progress.failed", 6), work(3, "progress.completed", 7)

    assert state_of(waived, failed).status == "waived"
    assert (state_of(waived).waived_at, state_of(waived).waive_reason) == (at(5), "sick")
    assert state_of(waived, failed, completed).status == "completed"


def test_a_reset_wipes_the_progress_before_it_but_not_the_assignment() -> None:
    folded = fold(
        work(1, "assignment.made", 0, due_at=text_of(90)),
        work(2, "progress.completed", 1, score=90, version="v1"),
        work(3, "attempt.graded", 2, attempt=1, score=50, seconds=60),
        work(4, "progress.reset", 3),
        work(5, "progress.advanced", 4, percent=10),
    )

    state = folded.state
    assert (state.status, state.percent_complete, state.completed_at) == ("in_progress", 10.0, None)
    assert (state.score, state.attempts, state.time_spent_s) == (None, 0, 0)
    assert (state.started_at, state.due_at, state.module_version) == (at(4), at(90), None)
    assert folded.attempts == ()
    assert fates(folded.settlements) == {1: None, 2: 4, 3: 4, 4: None, 5: None}


def test_passing_an_attempt_completes_and_its_grade_wins_over_the_hand_in() -> None:
    folded = fold(
        work(1, "attempt.submitted", 1, attempt=1, score=5, max_score=10, seconds=60),
        work(2, "attempt.graded", 4, attempt=1, score=9, max_score=12, passed=True),
        work(3, "attempt.submitted", 5, attempt=2, score=50),
    )

    state, (first, second) = folded.state, folded.attempts
    assert (state.status, state.completed_at, state.passed) == ("completed", at(4), True)
    assert (state.attempts, state.time_spent_s) == (2, 60)
    assert (first.submitted_at, first.graded_at, first.score_percent) == (at(1), at(4), 75.0)
    assert (second.score, second.max_score, second.score_percent) == (50.0, None, 50.0)
    assert (state.first_score_percent, state.best_score_percent) == (75.0, 75.0)
    assert (state.last_score_percent, state.score, state.max_score) == (50.0, 50.0, None)
    assert fates(folded.settlements) == {1: None, 2: None, 3: None}


def test_of_several_gradings_the_latest_wins() -> None:
    folded = fold(
        work(1, "attempt.graded", 1, attempt=1, score=40, passed=False),
        work(2, "attempt.graded", 2, attempt=1, score=60, passed=True),
        work(3, "attempt.graded", 1.5, attempt=1, score=99),
    )

    assert folded.attempts[0].score == 60.0
    assert folded.state.first_score_percent == folded.state.best_score_percent == 60.0
    assert fates(folded.settlements) == {1: 2, 2: None, 3: 2}


def test_a_voided_attempt_does_not_count_and_a_later_word_revives_it() -> None:
    submitted = work(1, "attempt.submitted", 1, attempt=1, score=90, passed=True, seconds=30)
    voided = work(2, "attempt.voided", 2, attempt=1)
    folded = fold(submitted, voided)

    assert (folded.state.status, folded.state.attempts, folded.state.score) == (
        "not_started",
        0,
        None,
    )
    assert (folded.attempts[0].voided, folded.attempts[0].score) == (True, 90.0)
    assert fates(folded.settlements) == {1: 2, 2: None}

    revived = fold(submitted, voided, work(3, "attempt.graded", 3, attempt=1, score=20))
    assert (revived.attempts[0].voided, revived.attempts[0].submitted_at) == (False, None)
    assert (revived.state.score, revived.state.status) == (20.0, "in_progress")


def test_a_score_beyond_all_numbers_has_no_percent() -> None:
    state = state_of(work(1, "progress.completed", 1, score=1e308, max_score=1e-308))
    assert (state.score, state.last_score_percent, state.best_score_percent) == (1e308, None, None)


def test_terms_are_merged_field_by_field() -> None:
    folded = fold(
        work(1, "assignment.made", 0, due_at=text_of(60), mandatory=False, reason="rule"),
        work(2, "assignment.changed", 1, due_at=text_of(70)),
        work(3, "assignment.changed", 2, due_at=None),
        work(4, "assignment.changed", 1.5, mandatory=True),
    )

    assert (folded.state.due_at, folded.state.mandatory) == (None, True)
    assert folded.state.reason == "rule"
    assert fates(folded.settlements) == {1: None, 2: 3, 3: None, 4: None}


def test_an_assignment_that_ended_is_opened_again_by_a_later_one() -> None:
    made = work(1, "assignment.made", 0)
    ended = work(2, "assignment.ended", 5, end_reason="removed")
    state = state_of(made, ended)
    assert (state.ended_at, state.end_reason, state.assigned_at) == (at(5), "removed", at(0))

    again = fold(made, ended, work(3, "assignment.made", 9))
    assert (again.state.ended_at, again.state.end_reason) == (None, None)
    assert again.state.assigned_at == at(9)
    assert fates(again.settlements) == {1: 3, 2: 3, 3: None}


def test_a_repeated_assignment_keeps_the_time_of_the_first() -> None:
    state = state_of(work(1, "assignment.made", 0), work(2, "assignment.made", 9))
    assert state.assigned_at == at(0)


def test_a_void_undoes_a_completion_whenever_it_comes() -> None:
    folded = fold(
        work(1, "progress.started", 0), work(2, "progress.completed", 5), void(3, 2, "e2")
    )

    assert (folded.state.status, folded.state.events_count) == ("in_progress", 3)
    assert fates(folded.settlements) == {1: None, 2: 3, 3: None}


def test_nothing_is_left_when_every_fact_is_voided() -> None:
    state = state_of(work(1, "progress.completed", 5), void(2, 6, "e1"))
    assert state.is_empty
    assert (state.status, state.events_count) == ("not_started", 2)


def test_a_waiting_void_makes_every_later_fold_a_full_one() -> None:
    folded = fold(void(1, 0, "e2"))
    target = work(2, "progress.completed", 5)

    assert extend_progress(folded.before, [target]) is None
    assert fold(void(1, 0, "e2"), target).state.status == "not_started"


def test_a_fold_goes_on_where_facts_only_add() -> None:
    before = [
        work(1, "assignment.made", 0),
        work(2, "attempt.submitted", 1, attempt=1, max_score=10, seconds=30),
    ]
    added = [
        work(3, "attempt.graded", 2, attempt=1, score=9),
        work(4, "progress.completed", 3, version="v2"),
    ]
    stored = fold(*before)
    extended = extend_progress(stored.before, added[::-1])
    full = fold(*before, *added)

    assert extended is not None
    assert (extended.state, extended.attempts) == (full.state, full.attempts)
    assert extended.state.last_score_percent == 90.0
    assert fates(extended.settlements) == {3: None, 4: None}


@pytest.mark.parametrize(
    "added",
    [
        work(9, "progress.advanced", 4, percent=1),
        work(9, "progress.started", 5, named="e2"),
        work(9, "progress.reset", 9),
        work(9, "attempt.voided", 9, attempt=1),
        work(9, "attempt.graded", 9, attempt=1, score=3),
        work(9, "attempt.submitted", 9, attempt=1),
        work(9, "assignment.changed", 9, due_at=None),
        void(9, 9, "e1"),
    ],
    ids=lambda fact: f"{fact.type} at {fact.occurred_at:%M}",
)
def test_a_fold_does_not_go_on_where_a_fact_corrects_or_comes_late(added: Fact) -> None:
    stored = fold(work(1, "attempt.graded", 1, attempt=1, score=5), work(2, "progress.started", 5))
    assert extend_progress(stored.before, [added]) is None


def test_a_fold_does_not_go_on_where_a_voided_attempt_is_spoken_of_again() -> None:
    before = [work(1, "attempt.submitted", 1, attempt=1), work(2, "attempt.voided", 2, attempt=1)]
    graded = work(3, "attempt.graded", 3, attempt=1, score=7)
    stored = fold(*before)

    assert extend_progress(stored.before, [graded]) is None
    assert fold(*before, graded).attempts[0].submitted_at is None
