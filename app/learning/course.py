"""The course of an assignment: its living facts told one by one, its standing after each known.

`Course.take` says False where only all facts can tell what one more means; that happens only to a
course that goes on from stored rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from sys import float_info

from app.learning.activities import ACTIVITY_TYPE, ActivityState, TimeSpent, activity_of
from app.learning.attempts import (
    ATTEMPT_TYPES,
    AttemptState,
    Score,
    extend_attempt,
    fold_attempts,
)
from app.learning.facts import Fact
from app.learning.modules import waits_for_grading
from app.learning.parts import (
    PART_TYPES,
    SIGNOFF_TYPES,
    PartProgressState,
    SignoffState,
    extend_part,
    extend_signoff,
)
from app.learning.standing import Standing, is_work, own_score

POINTS_TYPE = "points.awarded"
# Infinity is no number in JSON: one sum of it, and its row could not be read any more.
_MOST_POINTS = float_info.max
PROGRESS_TYPES = frozenset(
    {
        "progress.started",
        "progress.advanced",
        "progress.completed",
        "progress.failed",
        "progress.reset",
    }
)
WORK_TYPES = (
    PROGRESS_TYPES | ATTEMPT_TYPES | PART_TYPES | SIGNOFF_TYPES | {ACTIVITY_TYPE, POINTS_TYPE}
)


@dataclass(frozen=True, slots=True)
class PointsState:
    """Points awarded by one event, `seq`."""

    seq: int
    points: float
    awarded_at: datetime
    part_key: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """What held from a moment on, until the next step."""

    valid_from: datetime
    status: str
    percent_complete: float
    best_score_percent: float | None


class Work:
    """What the learner has done since the last reset, while it is being told.

    rounds: by part, the number of its latest sign-off
    stretches, entries: activity and points told here
    since: its facts, to be gone through again when one of them is annulled
    decisions: by part and round, the facts that decided it
    """

    def __init__(self, *, module_version: str | None = None) -> None:
        self.standing = Standing(module_version=module_version)
        self.attempts: dict[int, AttemptState] = {}
        self.parts: dict[str, PartProgressState] = {}
        self.signoffs: dict[tuple[str, int], SignoffState] = {}
        self.rounds: dict[str, int] = {}
        self.time = TimeSpent()
        self.stretches: list[ActivityState] = []
        self.points = 0.0
        self.entries: list[PointsState] = []
        self.parts_done = 0
        self.parts_s = 0
        self.signoffs_pending = 0
        self.since: list[Fact] = []
        self.decisions: dict[tuple[str, int], list[Fact]] = {}

    @property
    def activities(self) -> tuple[ActivityState, ...]:
        """The activity told here, in its order."""
        counted = self.time.counted
        return tuple(replace(one, counted_s=counted[one.seq]) for one in self.stretches)

    @property
    def time_spent_s(self) -> int:
        """Seconds of work: activity; where there is none, what attempts or parts state.

        Sources tell one and the same time by attempt and by part, so the larger sum is taken.
        """
        if self.time.activities_count:
            return self.time.total_s
        counted = [attempt for attempt in self.attempts.values() if not attempt.voided]
        return max(sum(attempt.seconds or 0 for attempt in counted), self.parts_s)

    @property
    def latest_attempt(self) -> AttemptState | None:
        """The attempt of the highest number among those that count."""
        counted = [attempt for attempt in self.attempts.values() if not attempt.voided]
        return max(counted, key=lambda attempt: attempt.attempt, default=None)

    def take_part(self, fact: Fact, *, is_pending: bool) -> None:
        """Let a fact move its part on, and the sums over all parts."""
        key = fact.data["part"]
        before = self.parts.get(key)
        after = self.parts[key] = extend_part(before, fact, is_pending=is_pending)
        if before is not None:
            self.parts_done -= before.status == "done"
            self.parts_s -= before.time_spent_s or 0
        self.parts_done += after.status == "done"
        self.parts_s += after.time_spent_s or 0

    def take_signoff(self, fact: Fact) -> bool:
        """Let a fact move a sign-off on; False when it decides anew what was decided before."""
        part = fact.data["part"]
        last = self.signoffs.get((part, self.rounds.get(part, 0)))
        after = extend_signoff(last, fact)
        key = (part, after.round)
        self.rounds[part] = after.round
        self.signoffs[key] = after
        is_same = last is not None and last.round == after.round
        self.signoffs_pending -= is_same and last is not None and last.is_pending
        self.signoffs_pending += after.is_pending
        if not after.is_pending:
            self.decisions.setdefault(key, []).append(fact)
        return not (is_same and last is not None and not last.is_pending)


class Course:
    """An assignment while it is told.

    is_whole: told from its first fact on
    module_type: what the last of its progress events states
    """

    def __init__(self) -> None:
        self.is_whole = True
        self.work = Work()
        self.waived_at: datetime | None = None
        self.module_type: str | None = None
        self.steps: list[Step] = []

    @property
    def status(self) -> str:
        """Completed before waived before failed before awaiting_review before in_progress."""
        standing = self.work.standing
        if standing.completed_at:
            return "completed"
        if self.waived_at:
            return "waived"
        if standing.failed_at:
            return "failed"
        if standing.started_at is None:
            return "not_started"
        return "awaiting_review" if self._awaits_review() else "in_progress"

    def take(self, fact: Fact) -> bool:
        """Let one fact, later than all before it, be told."""
        if fact.type == "assignment.waived":
            self.waived_at = fact.occurred_at
        elif fact.type in WORK_TYPES and not self._take_work(fact):
            return False
        return self._note_step(fact.occurred_at)

    def _take_work(self, fact: Fact) -> bool:
        self.module_type = fact.data["module_type"]
        if fact.type == "progress.reset":
            self.work = Work(module_version=fact.data.get("version"))
            return self.is_whole
        work = self.work
        if self.is_whole:
            work.since.append(fact)
        if is_work(fact) and not work.time.sign(fact.occurred_at):
            return False
        if fact.type in ATTEMPT_TYPES:
            return self._take_attempt(fact)
        work.standing.take_work(fact, own_score(fact))
        if fact.type in SIGNOFF_TYPES:
            if not work.take_signoff(fact) and not self.is_whole:
                return False
            work.take_part(fact, is_pending=self._is_pending(fact.data["part"]))
        elif fact.type in PART_TYPES:
            work.take_part(fact, is_pending=self._is_pending(fact.data["part"]))
        elif fact.type == ACTIVITY_TYPE:
            stretch = activity_of(fact)
            work.stretches.append(stretch)
            return work.time.take_activity(stretch)
        elif fact.type == POINTS_TYPE:
            self._take_points(fact)
        return True

    def _take_points(self, fact: Fact) -> None:
        data, points = fact.data, float(fact.data["points"])
        self.work.points = max(-_MOST_POINTS, min(self.work.points + points, _MOST_POINTS))
        self.work.entries.append(
            PointsState(fact.seq, points, fact.occurred_at, data.get("part"), data.get("reason"))
        )

    def _take_attempt(self, fact: Fact) -> bool:
        """Let an attempt fact be told; where it changes what was counted, go through all again."""
        work, number = self.work, fact.data["attempt"]
        attempt = None
        if fact.type != "attempt.voided":
            attempt = extend_attempt(work.attempts.get(number), fact)
        if attempt is not None:
            work.attempts[number] = attempt
            score = None if attempt.score is None else Score(attempt.score, attempt.max_score)
            work.standing.take_work(fact, score)
            return True
        if not self.is_whole:
            return False
        folded = fold_attempts([fact for fact in work.since if fact.type in ATTEMPT_TYPES])
        work.attempts = {attempt.attempt: attempt for attempt in folded.attempts}
        # What was stated of the version is stated again, or it came with the reset.
        work.standing = Standing(module_version=work.standing.module_version)
        for earlier in work.since:
            if earlier.seq not in folded.annulled:
                score = folded.scores.get(earlier.seq) or own_score(earlier)
                work.standing.take_work(earlier, score)
        return True

    def _is_pending(self, part: str) -> bool:
        last = self.work.signoffs.get((part, self.work.rounds.get(part, 0)))
        return last is not None and last.is_pending

    def _awaits_review(self) -> bool:
        """Whether a person must act: an undecided sign-off, or a submission not graded."""
        if self.work.signoffs_pending:
            return True
        if not waits_for_grading(self.module_type):
            return False
        latest = self.work.latest_attempt
        return latest is not None and latest.graded_at is None and latest.passed is None

    def _note_step(self, moment: datetime) -> bool:
        """Note what holds now; of one moment only what holds at its end."""
        standing, steps = self.work.standing, self.steps
        step = Step(moment, self.status, standing.percent_complete, standing.best_score_percent)
        if steps and _is_same(steps[-1], step):
            return True
        if steps and steps[-1].valid_from == moment:
            if not self.is_whole and len(steps) == 1:
                return False
            steps.pop()
            if steps and _is_same(steps[-1], step):
                return True
        steps.append(step)
        return True


def _is_same(one: Step, other: Step) -> bool:
    return (one.status, one.percent_complete, one.best_score_percent) == (
        other.status,
        other.percent_complete,
        other.best_score_percent,
    )


def tell_course(facts: Iterable[Fact]) -> Course:
    """Give the course of an assignment from all its living facts, in their order."""
    course = Course()
    for fact in facts:
        course.take(fact)
    return course
