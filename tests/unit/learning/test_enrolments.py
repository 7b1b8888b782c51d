"""The folds of enrolments, awards and feedback, in cases worked by hand."""

from itertools import permutations
from typing import Any

from app.learning.awards import AwardFolded, FeedbackFolded, fold_award, fold_feedback
from app.learning.enrolments import EnrolmentFolded, fold_enrolment
from app.learning.facts import Fact
from tests.unit.learning.told import a_fact, at, fates, text_of

PLACE = {"learner": "u", "module": "m", "module_type": "ilt", "session": "s"}


def fold_place(*facts: Fact) -> EnrolmentFolded:
    entity = 'enrolment:["m","s","u"]'
    folded = fold_enrolment(entity, facts)
    assert all(fold_enrolment(entity, order) == folded for order in permutations(facts))
    return folded


def fold_certificate(*facts: Fact) -> AwardFolded:
    folded = fold_award('award:["c","u",1]', facts)
    orders = permutations(facts)
    assert all(fold_award('award:["c","u",1]', order) == folded for order in orders)
    return folded


def place(seq: int, kind: str, minute: float, **data: Any) -> Fact:
    return a_fact(seq, kind, minute, **PLACE, **data)


def award(seq: int, kind: str, minute: float, **data: Any) -> Fact:
    return a_fact(seq, f"certification.{kind}", minute, learner="u", certification="c", **data)


def test_a_learner_moves_from_the_waiting_list_into_the_session_and_attends() -> None:
    folded = fold_place(
        place(1, "session.enrolled", 1, status="waitlisted"),
        place(2, "session.enrolled", 2),
        place(3, "attendance.marked", 60, outcome="partial", minutes=40, marked_by="boss"),
    )
    state = folded.state
    assert (state.status, state.enrolled_at, state.waitlisted_at) == ("registered", at(1), at(1))
    assert (state.outcome, state.minutes, state.marked_by) == ("partial", 40, "boss")
    assert (state.marked_at, state.module_type, state.events_count) == (at(60), "ilt", 3)
    assert fates(folded.settlements) == {1: None, 2: None, 3: None}


def test_a_place_given_up_late_says_so_until_the_learner_enrols_again() -> None:
    facts = [
        place(1, "session.enrolled", 1),
        place(2, "session.unenrolled", 2, late=True),
        place(3, "session.enrolled", 3),
    ]
    gone, back = fold_place(*facts[:2]).state, fold_place(*facts).state

    assert (gone.status, gone.unenrolled_at, gone.is_late) == ("unenrolled", at(2), True)
    assert (back.status, back.unenrolled_at, back.is_late) == ("registered", None, False)
    assert (gone.enrolled_at, back.enrolled_at) == (at(1), at(3))


def test_the_latest_mark_holds_and_supersedes_the_earlier() -> None:
    folded = fold_place(
        place(1, "attendance.marked", 1, outcome="no_show", minutes=0),
        place(2, "attendance.marked", 2, outcome="attended"),
    )
    state = folded.state
    assert (state.status, state.outcome, state.minutes) == (None, "attended", None)
    assert fates(folded.settlements) == {1: 2, 2: None}


def test_a_voided_enrolment_leaves_nothing() -> None:
    void = a_fact(2, "event.voided", 2, event_id="e1", stream="ilt", **PLACE)
    assert fold_place(place(1, "session.enrolled", 1), void).state.is_empty


def test_an_award_is_issued_revoked_and_issued_again() -> None:
    facts = [
        award(1, "issued", 1, expires_at=text_of(90), module="m"),
        award(2, "revoked", 2),
        award(3, "issued", 3),
    ]
    issued, revoked, again = (fold_certificate(*facts[:n]).state for n in (1, 2, 3))

    assert (issued.issued_at, issued.expires_at, issued.revoked_at) == (at(1), at(90), None)
    assert (revoked.issued_at, revoked.revoked_at) == (at(1), at(2))
    assert (again.issued_at, again.expires_at, again.revoked_at) == (at(3), None, None)
    assert (again.module_key, again.module_type, again.cycle) == ("m", "external", 1)


def test_the_latest_feedback_holds() -> None:
    def feedback(seq: int, minute: float, rating: float) -> Fact:
        told = {**PLACE, "rating": rating, "scale_max": 5}
        return a_fact(seq, "feedback.given", minute, **told)

    facts = [feedback(1, 5, 2), feedback(2, 1, 5)]
    folded: FeedbackFolded = fold_feedback('feedback:["u","m","s"]', facts)
    assert (folded.state.rating, folded.state.scale_max, folded.state.given_at) == (2.0, 5.0, at(5))
    assert fates(folded.settlements) == {1: None, 2: 1}
