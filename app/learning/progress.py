"""Fold: the facts of one assignment in, its progress, its attempts and the settlements out.

Pure and order-independent: the same set of facts gives the same result in any order of arrival.
`extend_progress` goes on from a stored result where that gives exactly what a full fold would.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.learning.assignments import ASSIGNMENT_TYPES, Terms, fold_terms
from app.learning.attempts import (
    ATTEMPT_TYPES,
    AttemptState,
    Score,
    extend_attempt,
    fold_attempts,
)
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

__all__ = ["AttemptState", "Folded", "ProgressState", "extend_progress", "fold_progress"]

_JUDGED_TYPES = frozenset({"progress.completed", "progress.failed"})
_NOTED_TYPES = frozenset({"progress.started", "progress.advanced", "progress.reset"})
_WORK_TYPES = _JUDGED_TYPES | _NOTED_TYPES | ATTEMPT_TYPES
_APPENDABLE_TYPES = _WORK_TYPES - {"progress.reset", "attempt.voided"}

_TERMS_COLUMNS = (
    "due_at",
    "ended_at",
    "end_reason",
    "waived_at",
    "waive_reason",
    "mandatory",
    "rule",
)
_COURSE_COLUMNS = (
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


@dataclass(frozen=True, slots=True)
class ProgressState:
    """One assignment cycle as the facts tell it.

    event_module_type: the module type that the last of its progress events states
    status: not_started, in_progress, completed, failed, waived
    assigned_at: None when every fact was voided
    implicit: nobody assigned it; its first fact did
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
    events_count: int
    last_occurred_at: datetime
    last_sequence: int
    last_event_id: str

    @property
    def is_empty(self) -> bool:
        """Whether no fact counts any more: all were voided, and there is nothing to show."""
        return self.assigned_at is None


@dataclass(frozen=True, slots=True)
class Folded:
    """What a fold gives: the state, the attempts by number, and the settlements by seq."""

    state: ProgressState
    attempts: tuple[AttemptState, ...]
    settlements: tuple[Settlement, ...]


@dataclass(slots=True)
class _Course:
    """What the learner has done since the last reset, while it is being told."""

    started_at: datetime | None = None
    last_activity_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    percent: float = 0.0
    passed: bool | None = None
    score: float | None = None
    max_score: float | None = None
    first_score_percent: float | None = None
    best_score_percent: float | None = None
    last_score_percent: float | None = None
    module_version: str | None = None


def fold_progress(entity_key: str, facts: Iterable[Fact]) -> Folded:
    """Fold all facts of one assignment, in whatever order they come."""
    everything = tuple(facts)
    living = drop_voided(everything)
    terms = fold_terms([fact for fact in living.facts if fact.type in ASSIGNMENT_TYPES])
    work = [fact for fact in living.facts if fact.type in _WORK_TYPES]
    wiped, since = _split_at_reset(work)
    attempts = fold_attempts([fact for fact in since if fact.type in ATTEMPT_TYPES])
    course = _Course(module_version=wiped[-1].data.get("version") if wiped else None)
    for fact in since:
        if fact.seq not in attempts.annulled:
            _take(course, fact, attempts.scores.get(fact.seq) or _own_score(fact))
    learner_key, module_key, series_key, cycle = entity_parts(entity_key)
    state = ProgressState(
        learner_key=learner_key,
        module_key=module_key,
        series_key=series_key,
        cycle=cycle,
        event_module_type=work[-1].data["module_type"] if work else None,
        parts_done=0,
        points=0.0,
        events_count=len(everything),
        **_terms_columns(terms, living),
        **_course_columns(course, waived_at=terms.waived_at),
        **_attempts_columns(attempts.attempts),
        **_position_columns(living),
    )
    lost = {fact.seq: wiped[-1].seq for fact in wiped[:-1]}
    settlements = settle(everything, living.winners, terms.winners, lost, attempts.winners)
    return Folded(state, attempts.attempts, settlements)


def extend_progress(
    folded_before: tuple[ProgressState, tuple[AttemptState, ...]], facts: Iterable[Fact]
) -> Folded | None:
    """Go on from a stored fold with facts that sort after it and correct nothing.

    Shape: as `fold_progress` of all facts would give it, but settlements for the new facts only;
        None where only a full fold can tell
    """
    state, attempts_before = folded_before
    added = order_facts(facts)
    if not added:
        return Folded(state, attempts_before, ())
    last = (state.last_occurred_at, state.last_sequence, state.last_event_id)
    if added[0].position <= last or any(fact.type not in _APPENDABLE_TYPES for fact in added):
        return None
    attempts = {attempt.attempt: attempt for attempt in attempts_before}
    course = _course_of(state)
    for fact in added:
        score = _own_score(fact)
        if fact.type in ATTEMPT_TYPES:
            attempt = extend_attempt(attempts.get(fact.data["attempt"]), fact)
            if attempt is None:
                return None
            attempts[attempt.attempt] = attempt
            score = None if attempt.score is None else Score(attempt.score, attempt.max_score)
        _take(course, fact, score)
    attempts_after = tuple(attempts[number] for number in sorted(attempts))
    state = replace(
        state,
        assigned_at=state.assigned_at or added[0].occurred_at,
        event_module_type=added[-1].data["module_type"],
        events_count=state.events_count + len(added),
        last_occurred_at=added[-1].occurred_at,
        last_sequence=added[-1].sequence,
        last_event_id=added[-1].event_id,
        **_course_columns(course, waived_at=state.waived_at),
        **_attempts_columns(attempts_after),
    )
    return Folded(state, attempts_after, settle(added))


def _split_at_reset(work: Sequence[Fact]) -> tuple[Sequence[Fact], Sequence[Fact]]:
    """Part the work of an assignment: up to its last reset and with it, and after it."""
    for index in range(len(work) - 1, -1, -1):
        if work[index].type == "progress.reset":
            return work[: index + 1], work[index + 1 :]
    return (), work


def _take(course: _Course, fact: Fact, score: Score | None) -> None:
    """Let one fact, later than all before it, move the course on."""
    data = fact.data
    course.started_at = course.started_at or fact.occurred_at
    course.last_activity_at = fact.occurred_at
    if fact.type not in ATTEMPT_TYPES:
        course.module_version = data.get("version") or course.module_version
    if fact.type == "progress.advanced":
        course.percent = max(course.percent, float(data["percent"]))
        return
    if fact.type == "progress.started":
        return
    passed = data.get("passed")
    if fact.type == "progress.completed" or passed is True:
        course.completed_at = course.completed_at or fact.occurred_at
    if fact.type == "progress.failed":
        course.failed_at = course.failed_at or fact.occurred_at
    if passed is not None:
        course.passed = passed or course.passed or False
    if score is not None:
        _take_score(course, score)


def _take_score(course: _Course, score: Score) -> None:
    percent = score.percent
    course.score, course.max_score = score.score, score.max_score
    course.last_score_percent = percent
    if percent is None:
        return
    if course.first_score_percent is None:
        course.first_score_percent = percent
    best = course.best_score_percent
    course.best_score_percent = percent if best is None else max(best, percent)


def _own_score(fact: Fact) -> Score | None:
    """Give the score that a completion or a failure states."""
    score, max_score = fact.data.get("score"), fact.data.get("max_score")
    if fact.type not in _JUDGED_TYPES or score is None:
        return None
    return Score(float(score), None if max_score is None else float(max_score))


def _terms_columns(terms: Terms, living: Living) -> dict[str, Any]:
    """Give the terms; where nobody assigned it, its first fact did, at the learner's own wish."""
    is_implicit = terms.assigned_at is None
    first = living.facts[0].occurred_at if living.facts else None
    columns = {name: getattr(terms, name) for name in _TERMS_COLUMNS}
    columns["implicit"] = is_implicit
    columns["assigned_at"] = first if is_implicit else terms.assigned_at
    columns["reason"] = terms.reason or ("self" if is_implicit else None)
    return columns


def _course_columns(course: _Course, *, waived_at: datetime | None) -> dict[str, Any]:
    columns = {name: getattr(course, name) for name in _COURSE_COLUMNS}
    columns["status"] = _status_of(course, waived_at=waived_at)
    columns["percent_complete"] = 100.0 if course.completed_at else course.percent
    return columns


def _course_of(state: ProgressState) -> _Course:
    """Give back the course that a state was made of."""
    columns = {name: getattr(state, name) for name in _COURSE_COLUMNS}
    return _Course(percent=state.percent_complete, **columns)


def _attempts_columns(attempts: Sequence[AttemptState]) -> dict[str, Any]:
    """Count the attempts that count, and the seconds spent on them."""
    counted = [attempt for attempt in attempts if not attempt.voided]
    time_spent_s = sum(attempt.seconds or 0 for attempt in counted)
    return {"attempts": len(counted), "time_spent_s": time_spent_s}


def _position_columns(living: Living) -> dict[str, Any]:
    """Give the position after which facts may be appended; none is, while a void waits."""
    last = living.last
    occurred_at = BEFORE_ALL if last is None else last.occurred_at
    return {
        "last_occurred_at": AFTER_ALL if living.has_waiting_void else occurred_at,
        "last_sequence": 0 if last is None else last.sequence,
        "last_event_id": "" if last is None else last.event_id,
    }


def _status_of(course: _Course, *, waived_at: datetime | None) -> str:
    """Give the status: completed before waived before failed before in progress."""
    if course.completed_at:
        return "completed"
    if waived_at:
        return "waived"
    if course.failed_at:
        return "failed"
    return "in_progress" if course.started_at else "not_started"
