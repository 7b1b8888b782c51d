"""The folds of learners and teams, in cases worked by hand."""

from itertools import permutations
from typing import Any

from app.learning.facts import Fact
from app.learning.people import LearnerFolded, MembershipState, fold_learner, fold_team
from tests.unit.learning.told import a_fact, at, fates, text_of


def about(seq: int, type_name: str, minute: float, **data: Any) -> Fact:
    return a_fact(seq, type_name, minute, learner="u42", **data)


def fold(*facts: Fact) -> LearnerFolded:
    """The fold of these facts, which must be the same in every order."""
    folded = fold_learner('learner:["u42"]', facts)
    assert all(fold_learner('learner:["u42"]', order) == folded for order in permutations(facts))
    return folded


def test_the_latest_statement_of_each_field_wins_null_clears_and_absent_leaves() -> None:
    folded = fold(
        about(1, "learner.upserted", 1, display_name="A", department="d1", hired_on="2020-01-01"),
        about(2, "learner.upserted", 2, department="d2", country="DE"),
        about(3, "learner.upserted", 3, department=None),
    )

    state = folded.state
    assert (state.display_name, state.department, state.country) == ("A", None, "DE")
    assert (state.hired_on, state.known, state.status, state.events_count) == (
        "2020-01-01",
        True,
        "active",
        3,
    )
    assert fates(folded.settlements) == {1: None, 2: None, 3: None}


def test_an_upsert_of_which_nothing_is_left_is_superseded_by_the_last_to_overwrite_it() -> None:
    folded = fold(
        about(1, "learner.upserted", 1, display_name="A", department="d1"),
        about(2, "learner.upserted", 2, display_name="B"),
        about(3, "learner.upserted", 3, department="d2"),
    )
    assert fates(folded.settlements) == {1: 3, 2: None, 3: None}


def test_attributes_are_merged_code_by_code_and_null_clears_them_all() -> None:
    first = about(1, "learner.upserted", 1, attributes={"a": 1, "b": "x"})
    second = about(2, "learner.upserted", 2, attributes={"b": None, "c": True})
    cleared = about(3, "learner.upserted", 3, attributes=None)

    assert fold(first, second).state.attributes == {"a": 1, "c": True}
    assert fold(first, second, cleared).state.attributes == {}


def test_a_later_upsert_makes_a_learner_active_again() -> None:
    gone = about(1, "learner.deactivated", 5)

    assert (fold(gone).state.status, fold(gone).state.known) == ("inactive", False)
    assert fold(gone, about(2, "learner.upserted", 4)).state.status == "inactive"
    assert fold(gone, about(2, "learner.upserted", 6)).state.status == "active"


def test_the_manager_is_the_last_one_stated_by_whichever_event() -> None:
    stated = about(1, "learner.upserted", 1, manager="b1")
    line = about(2, "reporting_line.set", 2, manager="b2")

    assert fold(stated, line).state.manager_key == "b2"
    assert (
        fold(stated, line, about(3, "learner.upserted", 3, manager="b3")).state.manager_key == "b3"
    )
    assert fold(line, about(3, "reporting_line.set", 3, manager=None)).state.manager_key is None


def test_memberships_open_and_close_and_the_latest_open_one_is_primary() -> None:
    folded = fold(
        about(1, "membership.set", 1, team="t1"),
        about(2, "membership.set", 2, team="t2", since=text_of(0)),
        about(3, "membership.set", 3, team="t3"),
        about(4, "membership.ended", 4, team="t3"),
    )

    assert folded.memberships == (
        MembershipState("t1", at(1), None),
        MembershipState("t2", at(0), None),
        MembershipState("t3", at(3), at(4)),
    )
    assert folded.state.team_key == "t1"


def test_teams_joined_at_one_moment_are_told_apart_by_their_keys() -> None:
    joined = [about(seq, "membership.set", 1, team=team) for seq, team in enumerate("cab")]
    assert fold(*joined).state.team_key == "a"


def test_a_learner_who_comes_back_has_two_memberships() -> None:
    folded = fold(
        about(1, "membership.set", 1, team="t"),
        about(2, "membership.ended", 5, team="t", until=text_of(4)),
        about(3, "membership.set", 9, team="t"),
    )
    assert folded.memberships == (
        MembershipState("t", at(1), at(4)),
        MembershipState("t", at(9), None),
    )


def test_a_membership_that_is_merely_confirmed_stays_one() -> None:
    folded = fold(about(1, "membership.set", 1, team="t"), about(2, "membership.set", 9, team="t"))
    assert folded.memberships == (MembershipState("t", at(1), None),)
    assert fates(folded.settlements) == {1: None, 2: None}


def test_the_last_word_about_an_end_wins() -> None:
    folded = fold(
        about(1, "membership.set", 1, team="t"),
        about(2, "membership.ended", 5, team="t", until=text_of(4)),
        about(3, "membership.ended", 6, team="t", until=text_of(3)),
    )
    assert folded.memberships == (MembershipState("t", at(1), at(3)),)
    assert fates(folded.settlements) == {1: 3, 2: 3, 3: None}


def test_a_void_takes_a_statement_back() -> None:
    named = about(1, "learner.upserted", 1, display_name="A")
    renamed = about(2, "learner.upserted", 2, display_name="B")
    voided = about(3, "event.voided", 3, event_id="e2", stream="people")
    folded = fold(named, renamed, voided)

    assert folded.state.display_name == "A"
    assert fates(folded.settlements) == {1: None, 2: 3, 3: None}


def test_a_team_is_removed_until_it_is_stated_again() -> None:
    stated = a_fact(1, "team.upserted", 1, team="t", name="T", kind="cohort", parent="p")
    removed = a_fact(2, "team.removed", 2, team="t")
    again = a_fact(3, "team.upserted", 3, team="t", name="T2")

    for order in permutations([stated, removed, again]):
        folded = fold_team('team:["t"]', order)
        assert (folded.state.is_removed, folded.state.name, folded.state.kind) == (
            False,
            "T2",
            "cohort",
        )
        assert fates(folded.settlements) == {1: None, 2: 3, 3: None}
    gone = fold_team('team:["t"]', [removed, stated]).state
    assert (gone.is_removed, gone.known, gone.parent_key) == (True, True, "p")
