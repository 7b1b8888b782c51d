"""Laws of the folds: the order of arrival, the batching and the shortcut change nothing."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.learning.activities import ActivityState, epoch_second
from app.learning.awards import fold_award, fold_feedback
from app.learning.catalog import fold_module
from app.learning.course import PointsState, Step
from app.learning.enrolments import fold_enrolment
from app.learning.facts import Fact
from app.learning.people import fold_learner, fold_team
from app.learning.progress import Folded, extend_progress, fold_progress

TEN = datetime(2025, 5, 24, 10, tzinfo=UTC)
ASSIGNMENT = 'assignment:["u","m","",1]'
KEYS = {"learner": "u", "module": "m"}

minutes = st.integers(0, 12)
scores = st.fixed_dictionaries(
    {},
    optional={
        "score": st.sampled_from([0, 5, 7.5, 10, 250]),
        "max_score": st.sampled_from([10, 3, 1e-300]),
        "passed": st.booleans(),
        "seconds": st.integers(0, 100),
        "version": st.sampled_from(["v1", "v2"]),
    },
)
times = minutes.map(lambda minute: (TEN + timedelta(minutes=minute)).isoformat())
# Kinds that tell what lies below an assignment.
BELOW_TYPES = [
    "part.reached",
    "part.done",
    "part.done",
    "part.rejected",
    "signoff.submitted",
    "signoff.submitted",
    "signoff.decided",
    "points.awarded",
    "activity.recorded",
    "activity.recorded",
    "activity.recorded",
]
WORK_TYPES = [
    "progress.started",
    "progress.advanced",
    "progress.advanced",
    "progress.completed",
    "progress.failed",
    "progress.reset",
    "attempt.submitted",
    "attempt.submitted",
    "attempt.graded",
    "attempt.graded",
    "attempt.voided",
]


@st.composite
def work_data(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    type_name = draw(st.sampled_from(WORK_TYPES))
    module_type = draw(st.sampled_from(["quest", "mission"]))
    data = {**KEYS, "module_type": module_type, **draw(scores)}
    data["percent"] = draw(st.sampled_from([0, 10, 55.5, 100]))
    data["attempt"] = draw(st.integers(1, 4))
    return type_name, data


@st.composite
def below_data(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    type_name = draw(st.sampled_from(BELOW_TYPES))
    data: dict[str, Any] = {**KEYS, "module_type": draw(st.sampled_from(["checklist", "quest"]))}
    if type_name == "activity.recorded":
        stated = {"ended_at": times, "seconds": st.sampled_from([0, 45, 100, 2**31 - 1])}
        data |= draw(st.fixed_dictionaries({"started_at": times}, optional=stated))
    elif type_name == "points.awarded":
        data["points"] = draw(st.sampled_from([0.1, 0.2, 3, -1]))
    else:
        data |= {"part": draw(st.sampled_from("pq")), **draw(scores)}
        data["decision"] = draw(st.sampled_from(["approved", "rejected"]))
        data["reviewer"] = draw(st.sampled_from("xy"))
        if type_name != "signoff.decided":
            del data["decision"]
    return type_name, data


@st.composite
def terms_data(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    kind = draw(st.sampled_from(["made", "changed", "ended", "waived"]))
    stated = {
        "due_at": st.none() | times,
        "mandatory": st.booleans(),
        "reason": st.sampled_from([None, "rule", "manual"]),
    }
    data = {**KEYS, "end_reason": "removed", **draw(st.fixed_dictionaries({}, optional=stated))}
    return f"assignment.{kind}", data


@st.composite
def learner_data(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    kind = draw(
        st.sampled_from(
            [
                "learner.upserted",
                "learner.upserted",
                "learner.deactivated",
                "membership.set",
                "membership.ended",
                "reporting_line.set",
            ]
        )
    )
    if kind == "learner.upserted":
        names = st.sampled_from([None, "x", "y"])
        stated = {
            "display_name": names,
            "department": names,
            "manager": names,
            "attributes": st.none() | st.dictionaries(st.sampled_from("ab"), names),
        }
        return kind, {"learner": "u", **draw(st.fixed_dictionaries({}, optional=stated))}
    if kind == "reporting_line.set":
        return kind, {"learner": "u", "manager": draw(st.sampled_from([None, "b"]))}
    dated = draw(st.fixed_dictionaries({}, optional={"since": times, "until": times}))
    return kind, {"learner": "u", "team": draw(st.sampled_from("st")), **dated}


@st.composite
def module_data(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    kind = draw(
        st.sampled_from(["module.upserted", "module.archived", "module.deleted", "part.upserted"])
    )
    if kind == "part.upserted":
        part = {"part": draw(st.sampled_from("pq")), "part_type": "card"}
        return kind, {"module": "m", **part, "position": draw(st.integers(0, 2))}
    stated = {"tags": st.none() | st.lists(st.sampled_from("xy")), "version": st.sampled_from("12")}
    told = {"module": "m", "module_type": "quest", "name": draw(st.sampled_from("MN"))}
    return kind, {**told, **draw(st.fixed_dictionaries({}, optional=stated))}


@st.composite
def facts_of(
    draw: st.DrawFn, data: st.SearchStrategy[tuple[str, dict[str, Any]]], *, most: int = 14
) -> list[Fact]:
    """Facts of one entity, in an order of arrival, with voids of some, of voids and of nobody."""
    count = draw(st.integers(1, most))
    facts = []
    for seq in range(1, count + 1):
        if draw(st.integers(0, 6)) == 0:
            target = f"e{draw(st.integers(1, count + 1))}"
            type_name, told = "event.voided", {**KEYS, "stream": "quest", "event_id": target}
        else:
            type_name, told = draw(data)
        facts.append(
            Fact(
                seq=seq,
                source_id=draw(st.integers(1, 2)),
                event_id=f"e{seq}",
                type=type_name,
                occurred_at=TEN + timedelta(minutes=draw(minutes)),
                sequence=draw(st.integers(0, 1)),
                data=told,
            )
        )
    return facts


some_work = st.one_of(work_data(), below_data())
assignment_facts = facts_of(st.one_of(work_data(), below_data(), below_data(), terms_data()))


@dataclass
class Stored:
    """What a worker would have stored after its folds.

    shortcuts: folds that went on from what was stored
    """

    folded: Folded
    settled: dict[int, int | None]
    points: dict[int, PointsState]
    activities: dict[int, ActivityState]
    steps: tuple[Step, ...]
    shortcuts: int = 0

    def add(self, folded: Folded) -> None:
        """Take what a fold gave: all there is, or what it adds."""
        if folded.is_whole:
            self.points, self.activities, self.steps = {}, {}, ()
        else:
            self.shortcuts += 1
        self.folded = folded
        self.settled |= {entry.seq: entry.winner_seq for entry in folded.settlements}
        self.points |= {entry.seq: entry for entry in folded.points}
        self.activities |= {entry.seq: entry for entry in folded.activities}
        for seq, counted_s in folded.recounted.items():
            self.activities[seq] = replace(self.activities[seq], counted_s=counted_s)
        self.steps = self.steps[:-1] + folded.steps

    def agrees_with(self, full: Folded) -> bool:
        """Whether it is what one fold of all facts gives."""
        return (
            self.folded.before == full.before
            and self.settled == {entry.seq: entry.winner_seq for entry in full.settlements}
            and self.points == {entry.seq: entry for entry in full.points}
            and self.activities == {entry.seq: entry for entry in full.activities}
            and self.steps == full.steps
        )


def fold_in_batches(facts: list[Fact], sizes: list[int]) -> Stored:
    """Fold as a worker does, batch by batch."""
    heard: list[Fact] = []
    waiting = list(facts)
    stored: Stored | None = None
    while waiting or stored is None:
        size = sizes.pop() if sizes else 1
        batch, waiting = waiting[:size], waiting[size:]
        heard += batch
        extended = None if stored is None else extend_progress(stored.folded.before, batch)
        folded = extended or fold_progress(ASSIGNMENT, heard)
        stored = stored or Stored(folded, {}, {}, {}, ())
        stored.add(folded)
    return stored


@given(data=st.data(), facts=assignment_facts)
def test_an_assignment_is_the_fold_of_a_set(data: st.DataObject, facts: list[Fact]) -> None:
    shuffled = data.draw(st.permutations(facts))
    assert fold_progress(ASSIGNMENT, shuffled) == fold_progress(ASSIGNMENT, facts)


@given(facts=assignment_facts, sizes=st.lists(st.integers(1, 5)))
def test_batches_in_any_order_give_the_full_fold_and_its_settlements(
    facts: list[Fact], sizes: list[int]
) -> None:
    assert fold_in_batches(facts, sizes).agrees_with(fold_progress(ASSIGNMENT, facts))


@given(facts=facts_of(some_work, most=20), sizes=st.lists(st.integers(1, 5)))
def test_batches_in_the_order_of_events_give_the_full_fold(
    facts: list[Fact], sizes: list[int]
) -> None:
    ordered = sorted(facts, key=lambda fact: fact.position)
    assert fold_in_batches(ordered, sizes).agrees_with(fold_progress(ASSIGNMENT, facts))


@given(facts=assignment_facts)
def test_every_fact_is_settled_once_and_winners_are_facts_that_count(facts: list[Fact]) -> None:
    folded = fold_progress(ASSIGNMENT, facts)
    settled = {entry.seq: entry.winner_seq for entry in folded.settlements}

    assert sorted(settled) == [fact.seq for fact in facts]
    assert len(folded.settlements) == folded.state.events_count == len(facts)
    assert all(winner != seq and winner in settled for seq, winner in settled.items() if winner)


@given(facts=assignment_facts)
def test_a_void_leaves_what_there_would_be_without_its_target(facts: list[Fact]) -> None:
    voided = {
        (fact.source_id, fact.data["event_id"]) for fact in facts if fact.type == "event.voided"
    }
    left = [
        fact
        for fact in facts
        if fact.type != "event.voided" and (fact.source_id, fact.event_id) not in voided
    ]
    with_voids, without = fold_progress(ASSIGNMENT, facts), fold_progress(ASSIGNMENT, left)
    told = [
        *("status", "percent_complete", "completed_at", "score", "attempts", "due_at", "implicit"),
        *("points", "time_spent_s", "parts_done", "signoffs_pending"),
    ]

    assert with_voids.attempts == without.attempts
    assert (with_voids.parts, with_voids.signoffs) == (without.parts, without.signoffs)
    assert (with_voids.activities, with_voids.steps) == (without.activities, without.steps)
    for name in told:
        assert getattr(with_voids.state, name) == getattr(without.state, name)


@given(facts=assignment_facts)
def test_a_completed_assignment_says_when_and_is_whole(facts: list[Fact]) -> None:
    state = fold_progress(ASSIGNMENT, facts).state

    assert (state.status == "completed") == (state.completed_at is not None)
    assert (state.percent_complete == 100.0) or state.status != "completed"
    assert state.passed is not True or state.status == "completed"
    assert 0 <= state.percent_complete <= 100


def test_facts_that_arrive_in_order_take_the_shortcut() -> None:
    told = {**KEYS, "module_type": "quest"}
    facts = [
        Fact(seq, 1, f"e{seq}", "progress.advanced", TEN + timedelta(minutes=seq), 0, data)
        for seq, data in ((seq, {**told, "percent": seq}) for seq in range(1, 30))
    ]
    assert fold_in_batches(facts, []).shortcuts == 28


@given(facts=assignment_facts)
def test_sums_of_an_assignment_are_those_of_its_rows(facts: list[Fact]) -> None:
    folded = fold_progress(ASSIGNMENT, facts)
    state = folded.state

    assert state.parts_done == sum(part.status == "done" for part in folded.parts)
    assert state.parts_s == sum(part.time_spent_s or 0 for part in folded.parts)
    assert state.signoffs_pending == sum(entry.is_pending for entry in folded.signoffs)
    assert state.activity_s == sum(entry.counted_s for entry in folded.activities)
    assert state.points == sum(entry.points for entry in folded.points)
    assert state.activities_count == len(folded.activities)


@given(facts=facts_of(below_data()))
def test_time_spent_is_the_union_of_closed_activity_whatever_its_order(facts: list[Fact]) -> None:
    closed = [
        fact
        for fact in facts
        if fact.type == "activity.recorded"
        and ({"ended_at", "seconds"} & fact.data.keys())
        and (fact.data.get("seconds") or 0) < 1000
    ]
    folded = fold_progress(ASSIGNMENT, closed)
    seconds = {
        second
        for entry in folded.activities
        for second in range(
            epoch_second(entry.started_at),
            min(
                epoch_second(entry.ended_at or entry.started_at),
                epoch_second(entry.started_at) + (entry.seconds or 0),
            ),
        )
    }
    assert folded.state.activity_s == len(seconds)


@given(facts=assignment_facts)
def test_history_is_what_each_earlier_set_of_facts_gave(facts: list[Fact]) -> None:
    told = [fact for fact in facts if fact.type != "event.voided"]
    steps = fold_progress(ASSIGNMENT, told).steps
    for moment in {fact.occurred_at for fact in told}:
        state = fold_progress(
            ASSIGNMENT, [fact for fact in told if fact.occurred_at <= moment]
        ).state
        step = [step for step in steps if step.valid_from <= moment][-1]
        assert (step.status, step.percent_complete) == (state.status, state.percent_complete)
        assert step.best_score_percent == state.best_score_percent


enrolment_data = st.one_of(
    st.tuples(
        st.just("session.enrolled"),
        st.fixed_dictionaries(
            {"module_type": st.just("ilt")},
            optional={"status": st.sampled_from(["registered", "waitlisted", "invited"])},
        ),
    ),
    st.tuples(
        st.just("session.unenrolled"),
        st.fixed_dictionaries({"module_type": st.just("ilt"), "late": st.booleans()}),
    ),
    st.tuples(
        st.just("attendance.marked"),
        st.fixed_dictionaries(
            {"module_type": st.just("ilt"), "outcome": st.sampled_from(["attended", "no_show"])}
        ),
    ),
)
award_data = st.tuples(
    st.sampled_from(["certification.issued", "certification.revoked"]),
    st.fixed_dictionaries({}, optional={"expires_at": times, "module": st.sampled_from("mn")}),
)
feedback_data = st.tuples(
    st.just("feedback.given"),
    st.fixed_dictionaries(
        {"module_type": st.just("ilt"), "rating": st.integers(1, 5), "scale_max": st.just(5)}
    ),
)


@given(data=st.data(), facts=facts_of(enrolment_data))
def test_an_enrolment_is_the_fold_of_a_set(data: st.DataObject, facts: list[Fact]) -> None:
    folded = fold_enrolment('enrolment:["m","s","u"]', facts)
    shuffled = data.draw(st.permutations(facts))
    assert fold_enrolment('enrolment:["m","s","u"]', shuffled) == folded
    assert len(folded.settlements) == folded.state.events_count == len(facts)


@given(data=st.data(), facts=facts_of(award_data))
def test_an_award_is_the_fold_of_a_set(data: st.DataObject, facts: list[Fact]) -> None:
    folded = fold_award('award:["c","u",1]', facts)
    assert fold_award('award:["c","u",1]', data.draw(st.permutations(facts))) == folded
    assert len(folded.settlements) == folded.state.events_count == len(facts)


@given(data=st.data(), facts=facts_of(feedback_data))
def test_feedback_is_the_fold_of_a_set(data: st.DataObject, facts: list[Fact]) -> None:
    folded = fold_feedback('feedback:["u","m",""]', facts)
    assert fold_feedback('feedback:["u","m",""]', data.draw(st.permutations(facts))) == folded
    assert len(folded.settlements) == folded.state.events_count == len(facts)


@given(data=st.data(), facts=facts_of(learner_data()))
def test_a_learner_is_the_fold_of_a_set(data: st.DataObject, facts: list[Fact]) -> None:
    folded = fold_learner('learner:["u"]', facts)

    assert fold_learner('learner:["u"]', data.draw(st.permutations(facts))) == folded
    assert len(folded.settlements) == len(facts)
    for row, following in zip(folded.memberships, folded.memberships[1:], strict=False):
        if row.team_key == following.team_key:
            assert row.until is not None
            assert row.since <= row.until <= following.since


@given(data=st.data(), facts=facts_of(module_data()))
def test_a_module_is_the_fold_of_a_set(data: st.DataObject, facts: list[Fact]) -> None:
    folded = fold_module('module:["m"]', facts)

    assert fold_module('module:["m"]', data.draw(st.permutations(facts))) == folded
    assert len(folded.settlements) == folded.state.events_count == len(facts)


team_data = st.tuples(
    st.sampled_from(["team.upserted", "team.removed"]),
    st.fixed_dictionaries({"team": st.just("t"), "name": st.sampled_from("AB")}),
)


@given(data=st.data(), facts=facts_of(team_data))
def test_a_team_is_the_fold_of_a_set(data: st.DataObject, facts: list[Fact]) -> None:
    folded = fold_team('team:["t"]', facts)
    assert fold_team('team:["t"]', data.draw(st.permutations(facts))) == folded
