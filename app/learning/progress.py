"""Fold: the facts of one assignment in, its progress, the rows below it and the settlements out.

Pure and order-independent: the same set of facts gives the same result in any order of arrival.
`extend_progress` goes on from a stored result where that gives exactly what a full fold would.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.learning.activities import ActivityState, TimeSpent
from app.learning.assignments import ASSIGNMENT_TYPES, Terms, fold_terms
from app.learning.attempts import ATTEMPT_TYPES, AttemptState, fold_attempts
from app.learning.course import WORK_TYPES, Course, PointsState, Step, Work, tell_course
from app.learning.facts import (
    AFTER_ALL,
    BEFORE_ALL,
    Fact,
    Living,
    Settlement,
    drop_voided,
    order_facts,
    settle,
)
from app.learning.identity import entity_parts
from app.learning.parts import PartProgressState, SignoffState

__all__ = ["AttemptState", "Before", "Folded", "ProgressState", "extend_progress", "fold_progress"]

_APPENDABLE_TYPES = WORK_TYPES - {"progress.reset", "attempt.voided"}

_TERMS_COLUMNS = (
    "due_at",
    "ended_at",
    "end_reason",
    "waived_at",
    "waive_reason",
    "mandatory",
    "rule",
)
_STANDING_COLUMNS = (
    "started_at",
    "last_activity_at",
    "completed_at",
    "failed_at",
    "passed",
    "score",
    "max_score",
    "first_score_percent",
    "best_score_percent",
    "last_score_percent",
    "module_version",
)
_SUM_COLUMNS = ("points", "parts_done", "parts_s", "signoffs_pending")


@dataclass(frozen=True, slots=True)
class ProgressState:
    """One assignment cycle as the facts tell it.

    event_module_type: the module type that the last of its progress events states
    status: not_started, in_progress, awaiting_review, completed, failed, waived
    assigned_at: None when every fact was voided
    implicit: nobody assigned it; its first fact did
    time_spent_s: union of its activity; where there is none, what attempts or parts state
    stepped_at: since when status, percent and best score are what they are
    parts_s, signoffs_pending: sums over its parts and sign-offs
    activity_s, activities_count, block_from_s, block_until_s: the union of its activity, how many
        made it, and its last interval, in seconds since 1970
    open_seq, open_until_s, open_counted_s: the latest activity without an end, how long it lasts,
        and what of it counts
    events_count: facts folded, voided and superseded ones included
    last_occurred_at: with last_sequence and last_event_id the position after which facts may be
        appended; the end of time while a void waits for its target
    """

    learner_key: str
    module_key: str
    series_key: str
    cycle: int
    event_module_type: str | None
    status: str
    percent_complete: float
    assigned_at: datetime | None
    due_at: datetime | None
    started_at: datetime | None
    last_activity_at: datetime | None
    completed_at: datetime | None
    failed_at: datetime | None
    waived_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    mandatory: bool
    reason: str | None
    rule: str | None
    waive_reason: str | None
    implicit: bool
    passed: bool | None
    attempts: int
    score: float | None
    max_score: float | None
    first_score_percent: float | None
    best_score_percent: float | None
    last_score_percent: float | None
    points: float
    time_spent_s: int
    parts_done: int
    module_version: str | None
    stepped_at: datetime | None
    parts_s: int
    signoffs_pending: int
    activity_s: int
    activities_count: int
    block_from_s: int | None
    block_until_s: int | None
    open_seq: int | None
    open_until_s: int | None
    open_counted_s: int
    events_count: int
    last_occurred_at: datetime
    last_sequence: int
    last_event_id: str

    @property
    def is_empty(self) -> bool:
        """Whether no fact counts any more: all were voided, and there is nothing to show."""
        return self.assigned_at is None


@dataclass(frozen=True, slots=True)
class Before:
    """What an earlier fold gave, as far as it must be known to go on from there.

    attempts: all of them
    parts, signoffs: at least those of the parts that the new facts name
    """

    state: ProgressState
    attempts: tuple[AttemptState, ...]
    parts: tuple[PartProgressState, ...] = ()
    signoffs: tuple[SignoffState, ...] = ()


@dataclass(frozen=True, slots=True)
class Folded:
    """What a fold gives.

    is_whole: of all facts; else what follows is what was known before and what the new facts add
    attempts, parts, signoffs: by number; by key; by key and round
    points, activities: in the order of their facts
    recounted: by the seq of an activity known before, what of it counts now
    steps: the history of the state; begins with the last step known before when not whole
    """

    state: ProgressState
    attempts: tuple[AttemptState, ...]
    settlements: tuple[Settlement, ...]
    is_whole: bool
    parts: tuple[PartProgressState, ...]
    signoffs: tuple[SignoffState, ...]
    points: tuple[PointsState, ...]
    activities: tuple[ActivityState, ...]
    recounted: Mapping[int, int]
    steps: tuple[Step, ...]

    @property
    def before(self) -> Before:
        """What a later fold may go on from."""
        return Before(self.state, self.attempts, self.parts, self.signoffs)


def fold_progress(entity_key: str, facts: Iterable[Fact]) -> Folded:
    """Fold all facts of one assignment, in whatever order they come."""
    everything = tuple(facts)
    living = drop_voided(everything)
    terms = fold_terms([fact for fact in living.facts if fact.type in ASSIGNMENT_TYPES])
    course = tell_course(living.facts)
    learner_key, module_key, series_key, cycle = entity_parts(entity_key)
    state = ProgressState(
        learner_key=learner_key,
        module_key=module_key,
        series_key=series_key,
        cycle=cycle,
        events_count=len(everything),
        **_terms_columns(terms, living),
        **_course_columns(course),
        **_position_columns(living),
    )
    losers = _losers_of(living, course.work)
    settlements = settle(everything, living.winners, terms.winners, *losers)
    return _make_folded(state, course, settlements)


def extend_progress(before: Before, facts: Iterable[Fact]) -> Folded | None:
    """Go on from a stored fold with facts that sort after it and correct nothing.

    Shape: as `fold_progress` of all facts would give it, but settlements and entries for the new
        facts only; None where only a full fold can tell
    """
    state, added = before.state, order_facts(facts)
    last = (state.last_occurred_at, state.last_sequence, state.last_event_id)
    if added and added[0].position <= last:
        return None
    if state.stepped_at is None or any(fact.type not in _APPENDABLE_TYPES for fact in added):
        return None
    course = _course_of(before, state.stepped_at)
    if not all(course.take(fact) for fact in added):
        return None
    if added:
        state = replace(
            state,
            assigned_at=state.assigned_at or added[0].occurred_at,
            events_count=state.events_count + len(added),
            last_occurred_at=added[-1].occurred_at,
            last_sequence=added[-1].sequence,
            last_event_id=added[-1].event_id,
            **_course_columns(course),
        )
    return _make_folded(state, course, settle(added))


def _make_folded(
    state: ProgressState, course: Course, settlements: tuple[Settlement, ...]
) -> Folded:
    work = course.work
    told = {stretch.seq for stretch in work.stretches}
    return Folded(
        state=state,
        attempts=tuple(work.attempts[number] for number in sorted(work.attempts)),
        settlements=settlements,
        is_whole=course.is_whole,
        parts=tuple(work.parts[key] for key in sorted(work.parts)),
        signoffs=tuple(work.signoffs[key] for key in sorted(work.signoffs)),
        points=tuple(work.entries),
        activities=work.activities,
        recounted={seq: s for seq, s in work.time.counted.items() if seq not in told},
        steps=tuple(course.steps),
    )


def _losers_of(living: Living, work: Work) -> Sequence[Mapping[int, int]]:
    """Give the winners of work that counts no more: reset, overwritten, decided anew."""
    done = [fact for fact in living.facts if fact.type in WORK_TYPES]
    resets = [index for index, fact in enumerate(done) if fact.type == "progress.reset"]
    wiped = done[: resets[-1]] if resets else []
    attempts = fold_attempts([fact for fact in work.since if fact.type in ATTEMPT_TYPES])
    decided = {fact.seq: facts[-1].seq for facts in work.decisions.values() for fact in facts[:-1]}
    return ({fact.seq: done[resets[-1]].seq for fact in wiped}, attempts.winners, decided)


def _terms_columns(terms: Terms, living: Living) -> dict[str, Any]:
    """Give the terms; where nobody assigned it, its first fact did, at the learner's own wish."""
    is_implicit = terms.assigned_at is None
    first = living.facts[0].occurred_at if living.facts else None
    columns = {name: getattr(terms, name) for name in _TERMS_COLUMNS}
    columns["implicit"] = is_implicit
    columns["assigned_at"] = first if is_implicit else terms.assigned_at
    columns["reason"] = terms.reason or ("self" if is_implicit else None)
    return columns


def _course_columns(course: Course) -> dict[str, Any]:
    work, time = course.work, course.work.time
    columns = {name: getattr(work.standing, name) for name in _STANDING_COLUMNS}
    columns |= {name: getattr(work, name) for name in _SUM_COLUMNS}
    block = time.blocks[-1] if time.blocks else (None, None)
    return columns | {
        "event_module_type": course.module_type,
        "status": course.status,
        "percent_complete": work.standing.percent_complete,
        "attempts": sum(not attempt.voided for attempt in work.attempts.values()),
        "time_spent_s": work.time_spent_s,
        "stepped_at": course.steps[-1].valid_from if course.steps else None,
        "activity_s": time.total_s,
        "activities_count": time.activities_count,
        "block_from_s": block[0],
        "block_until_s": block[1],
        "open_seq": time.open_seq,
        "open_until_s": time.open_until_s,
        "open_counted_s": time.open_counted_s,
    }


def _course_of(before: Before, stepped_at: datetime) -> Course:
    """Give back the course that a state was made of."""
    state, course = before.state, Course()
    course.is_whole = False
    course.waived_at, course.module_type = state.waived_at, state.event_module_type
    best = state.best_score_percent
    course.steps = [Step(stepped_at, state.status, state.percent_complete, best)]
    work = course.work
    for name in _STANDING_COLUMNS:
        setattr(work.standing, name, getattr(state, name))
    work.standing.percent = state.percent_complete
    for name in _SUM_COLUMNS:
        setattr(work, name, getattr(state, name))
    work.attempts = {attempt.attempt: attempt for attempt in before.attempts}
    work.parts = {part.part_key: part for part in before.parts}
    for entry in before.signoffs:
        work.signoffs[entry.part_key, entry.round] = entry
        work.rounds[entry.part_key] = max(entry.round, work.rounds.get(entry.part_key, 0))
    _recall_time(work.time, state)
    return course


def _recall_time(time: TimeSpent, state: ProgressState) -> None:
    """Give the union of activity back, as far as it is stored."""
    time.total_s, time.activities_count = state.activity_s, state.activities_count
    if state.block_from_s is not None and state.block_until_s is not None:
        time.blocks = [(state.block_from_s, state.block_until_s)]
    time.is_whole = not time.blocks
    time.open_seq, time.open_until_s = state.open_seq, state.open_until_s
    time.open_counted_s = state.open_counted_s


def _position_columns(living: Living) -> dict[str, Any]:
    """Give the position after which facts may be appended; none is, while a void waits."""
    last = living.last
    occurred_at = BEFORE_ALL if last is None else last.occurred_at
    return {
        "last_occurred_at": AFTER_ALL if living.has_waiting_void else occurred_at,
        "last_sequence": 0 if last is None else last.sequence,
        "last_event_id": "" if last is None else last.event_id,
    }
