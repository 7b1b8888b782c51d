"""What may be said of a stream: silence is unknown, the worst wins, every reason is explained."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest

from app.ledger.verdict import (
    MANIFEST_MISSING,
    NO_CONTRACT,
    NO_STREAM,
    REASONS,
    Facts,
    KnownDefects,
    State,
    Terms,
    Unmatched,
    Verdict,
    complete_through,
    holds_until,
    judge_stream,
    list_findings,
    roll_up,
    target_of,
)

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "completeness.md"
DAY = datetime(2025, 5, 23, tzinfo=UTC)
TERMS = Terms(from_at=DAY)


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    """A moment of the day."""
    return DAY + timedelta(hours=hour, minutes=minute, seconds=second)


def some_facts(**said: object) -> Facts:
    """A stream that is complete at 07:00: all declared and matched through 06:50."""
    facts = Facts(
        now=at(7),
        terms=TERMS,
        heard_at=at(6, 59, 30),
        declared_through=at(6, 50),
        matched_through=at(6, 50),
        anchored_through=at(6, 50),
        closed_through=at(6, 50),
        closed_moved_at=at(6, 52),
    )
    return replace(facts, **said)  # type: ignore[arg-type]


def a_defect(kind: str = "short", **said: object) -> KnownDefects:
    """Six events missing since 06:40, found at 06:55."""
    return replace(KnownDefects(kind, at(6, 40), at(6, 55), missing=6), **said)  # type: ignore[arg-type]


def said_of(facts: Facts) -> tuple[str, str | None]:
    """State and reason."""
    verdict = judge_stream(facts)
    return str(verdict.state), verdict.reason


def test_declared_and_matched_to_the_target_is_complete() -> None:
    assert judge_stream(some_facts()) == Verdict(State.COMPLETE)
    assert list_findings(some_facts()) == ()


def test_a_silent_source_is_never_complete() -> None:
    silent = Facts(now=at(7), terms=TERMS, heard_at=at(7))
    assert judge_stream(silent) == Verdict(State.UNKNOWN, MANIFEST_MISSING)


def test_a_stream_that_nobody_owes_is_unknown() -> None:
    facts = Facts(now=at(7), terms=None)
    assert judge_stream(facts) == Verdict(State.UNKNOWN, NO_CONTRACT)


SHORT_LATER = Unmatched(at(6, 50), at(7, 5), at(6, 52), "short")
TABLE: tuple[tuple[str, dict[str, object], str, str | None], ...] = (
    ("undeclared", {"declared_through": at(6, 30)}, "unknown", "manifest_missing"),
    ("declared to the target", {"declared_through": at(6, 40)}, "complete", None),
    ("never anchored", {"anchored_through": None}, "unknown", "origin_unverified"),
    ("anchored behind", {"anchored_through": at(6, 30)}, "unknown", "origin_unverified"),
    ("heard 3 periods ago", {"heard_at": at(6, 57)}, "complete", None),
    ("heard longer ago", {"heard_at": at(6, 56, 59)}, "unknown", "source_silent"),
    ("never heard", {"heard_at": None}, "unknown", "source_silent"),
    ("skew at the bound", {"transport_s": 300.0}, "complete", None),
    ("a clock behind", {"transport_s": 301.0}, "unknown", "clock_skew"),
    ("a clock ahead", {"transport_s": -301.0}, "unknown", "clock_skew"),
    (
        "held back",
        {"backlog": 618, "closed_through": at(6, 30)},
        "catching_up",
        "upstream_backlog",
    ),
    ("held back but closed", {"backlog": 618}, "complete", None),
    (
        "held back for long",
        {"backlog": 618, "closed_through": at(6, 30), "closed_moved_at": at(6, 30)},
        "stalled",
        "upstream_backlog",
    ),
    ("short", {"defects": (a_defect(),)}, "incomplete", "short"),
    ("young defect", {"defects": (a_defect(from_at=at(6, 50)),)}, "incomplete", "short"),
    (
        "shrank",
        {"defects": (a_defect(),), "shrank_at": at(6, 58)},
        "catching_up",
        "repairing",
    ),
    (
        "shrank before it was found",
        {"defects": (a_defect(),), "shrank_at": at(6, 54)},
        "incomplete",
        "short",
    ),
    (
        "stands still",
        {"defects": (a_defect(detected_at=at(6, 30)),)},
        "stalled",
        "deficit_not_shrinking",
    ),
    (
        "shrank long ago",
        {"defects": (a_defect(detected_at=at(5)),), "shrank_at": at(6, 30)},
        "stalled",
        "deficit_not_shrinking",
    ),
    (
        "waived",
        {"defects": (a_defect(detected_at=at(5), is_waived=True),)},
        "incomplete",
        "short",
    ),
    (
        "matched behind",
        {"matched_through": at(6, 30), "anchored_through": at(6, 30)},
        "catching_up",
        "in_flight",
    ),
    ("young and unmatched", {"unmatched": SHORT_LATER}, "complete", None),
    (
        "due without being found",
        {"unmatched": replace(SHORT_LATER, due_at=at(6, 59))},
        "incomplete",
        "short",
    ),
    ("pending", {"pending_from": at(6, 39)}, "catching_up", "in_flight"),
    ("pending behind the target", {"pending_from": at(6, 40)}, "complete", None),
    ("late", {"unfolded_from": at(3)}, "catching_up", "in_flight"),
    ("unbalanced", {"is_unbalanced": True}, "incomplete", "books_unbalanced"),
)


@pytest.mark.parametrize(("name", "told", "state", "reason"), TABLE, ids=[row[0] for row in TABLE])
def test_the_table_of_verdicts(
    name: str, told: dict[str, object], state: str, reason: str | None
) -> None:
    assert said_of(some_facts(**told)) == (state, reason)


@pytest.mark.parametrize("kind", ["surplus", "divergent", "conflict", "quarantined"])
def test_every_kind_of_defect_is_a_reason(kind: str) -> None:
    assert said_of(some_facts(defects=(a_defect(kind),))) == ("incomplete", kind)


def test_a_waiver_stops_the_alarm_and_not_the_verdict() -> None:
    waived = a_defect(detected_at=at(1), is_waived=True)
    assert judge_stream(some_facts(defects=(waived,))) == Verdict(
        State.INCOMPLETE, "short", is_waived=True
    )
    both = some_facts(defects=(waived, a_defect("surplus")))
    assert judge_stream(both) == Verdict(State.INCOMPLETE, "surplus")


def test_while_a_repair_holds_a_lease_defects_and_backlog_are_being_repaired() -> None:
    held = {"backlog": 9, "closed_through": at(6), "closed_moved_at": at(6)}
    old = a_defect(detected_at=at(1))
    facts = some_facts(defects=(old,), repair_until=at(7, 1), **held)
    assert said_of(facts) == ("catching_up", "repairing")
    ended = replace(facts, repair_until=None, repair_ended_at=at(6, 50))
    assert said_of(ended) == ("stalled", "upstream_backlog")
    assert said_of(replace(ended, backlog=0)) == ("incomplete", "short")
    assert said_of(replace(ended, backlog=0, repair_ended_at=at(6, 30)))[0] == "stalled"


def test_the_worst_condition_wins_and_all_are_told() -> None:
    facts = some_facts(
        heard_at=at(6), declared_through=at(6, 30), backlog=1, closed_through=at(6, 20)
    )
    told = [finding.reason for finding in list_findings(facts)]
    assert told == ["manifest_missing", "source_silent", "upstream_backlog"]
    assert said_of(facts) == ("unknown", "manifest_missing")


def test_a_sealed_source_needs_no_heartbeat_and_counts_for_its_own_interval() -> None:
    sealed = replace(TERMS, ends_at=at(5, 3))
    facts = some_facts(
        terms=sealed,
        heard_at=at(5),
        declared_through=at(5, 10),
        matched_through=at(5, 10),
        anchored_through=at(5, 10),
    )
    assert said_of(replace(facts, now=at(23))) == ("complete", None)
    assert said_of(replace(facts, declared_through=at(5))) == ("unknown", "manifest_missing")


def test_what_is_before_a_contract_is_not_vouched_for() -> None:
    young = replace(TERMS, from_at=at(6, 50))
    assert said_of(some_facts(terms=young)) == ("unknown", "manifest_missing")
    assert said_of(some_facts(end_at=DAY - timedelta(hours=1)))[0] == "unknown"


def test_a_question_about_yesterday_is_judged_by_yesterday() -> None:
    silent_since = some_facts(declared_through=at(6, 30), matched_through=at(6, 30))
    silent_since = replace(silent_since, anchored_through=at(6, 30))
    assert said_of(silent_since)[0] == "unknown"
    assert said_of(replace(silent_since, end_at=at(6, 35))) == ("complete", None)
    assert said_of(replace(silent_since, end_at=at(6, 40))) == ("unknown", "manifest_missing")


def test_the_target_is_the_objective_ago_on_a_boundary() -> None:
    assert target_of(TERMS, at(7, 7), now=at(7, 7)) == at(6, 40)
    assert target_of(TERMS, at(3, 33), now=at(7, 7)) == at(3, 30)


def test_complete_through_stops_at_whatever_does_not_hold() -> None:
    assert complete_through(some_facts()) == at(6, 50)
    assert complete_through(some_facts(anchored_through=at(4))) == at(4)
    assert complete_through(some_facts(defects=(a_defect(from_at=at(3, 30)),))) == at(3, 30)
    assert complete_through(some_facts(unfolded_from=at(2, 20))) == at(2, 20)
    assert complete_through(some_facts(pending_from=at(2, 27))) == at(2, 20)
    assert complete_through(some_facts(unmatched=SHORT_LATER)) == at(6, 50)
    assert complete_through(some_facts(anchored_through=None)) is None


def test_the_hidden_backlog_turns_at_the_minutes_the_document_tells() -> None:
    stopped = some_facts(
        declared_through=at(6, 10),
        matched_through=at(6),
        anchored_through=at(6),
        unmatched=Unmatched(at(6), at(6, 15), at(6, 12), "short"),
    )
    told = {}
    for minute in (13, 14, 15, 44, 45):
        now = at(6, minute)
        facts = replace(stopped, now=now, heard_at=now, declared_through=at(6, minute))
        told[minute] = said_of(facts)
    assert told[14] == ("complete", None)
    assert told[15] == told[44] == ("incomplete", "short")
    assert told[45] == ("stalled", "deficit_not_shrinking")


@pytest.mark.parametrize("row", [*TABLE, ("complete", {}, "complete", None)], ids=lambda r: r[0])
def test_a_verdict_holds_until_the_moment_it_says(
    row: tuple[str, dict[str, object], str, str | None],
) -> None:
    facts = some_facts(**row[1])
    until = holds_until(facts)
    assert until > facts.now
    before = judge_stream(facts)
    for step in range(1, 20):
        moment = facts.now + (until - facts.now) * step / 20
        assert moment >= until or judge_stream(replace(facts, now=moment)) == before, moment


@pytest.mark.parametrize(
    "edge", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 50, tzinfo=UTC)]
)
def test_a_moment_at_the_edge_of_the_calendar_has_a_verdict_as_any(edge: datetime) -> None:
    terms = replace(TERMS, from_at=edge, lateness_s=86_400)
    told = dict.fromkeys(("declared_through", "matched_through", "anchored_through"), edge)
    for facts in (
        some_facts(terms=terms),
        some_facts(terms=terms, heard_at=None),
        some_facts(closed_through=edge, closed_moved_at=edge, shrank_at=edge),
        some_facts(**told),
        some_facts(defects=(a_defect(from_at=edge, detected_at=edge),)),
    ):
        assert holds_until(facts) > facts.now
        assert judge_stream(facts).state in State


def test_without_any_new_evidence_complete_does_not_stand_for_long() -> None:
    facts, states = some_facts(), []
    for minute in range(0, 120, 5):
        states.append(judge_stream(replace(facts, now=at(7) + timedelta(minutes=minute))).state)
    assert states[0] is State.COMPLETE
    assert State.COMPLETE not in states[1:]


def test_a_roll_up_of_nothing_is_unknown() -> None:
    assert roll_up([]) == Verdict(State.UNKNOWN, NO_STREAM)
    assert roll_up(iter(())) == Verdict(State.UNKNOWN, NO_STREAM)


def test_severity_rises_from_complete_to_stalled() -> None:
    order = ["complete", "catching_up", "unknown", "incomplete", "stalled"]
    assert sorted(State, key=lambda state: state.severity) == order


@pytest.mark.parametrize("worst", State)
def test_the_worst_wins_in_any_order(worst: State) -> None:
    milder = [Verdict(state) for state in State if state.severity < worst.severity]
    wanted = Verdict(worst, "short")
    for verdicts in permutations([wanted, *milder]):
        assert roll_up(verdicts) == wanted


def test_among_equals_the_upper_row_of_the_table_gives_the_reason() -> None:
    upper, lower = Verdict(State.UNKNOWN, NO_CONTRACT), Verdict(State.UNKNOWN, MANIFEST_MISSING)
    assert roll_up([upper, lower]) == roll_up([lower, upper]) == upper


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_explained(reason: str) -> None:
    assert f"| `{reason}` |" in DOCUMENT.read_text("utf-8")
