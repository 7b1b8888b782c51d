"""How a learner stands in an assignment by its progress and attempt facts, told one by one."""

from datetime import datetime

from app.learning.attempts import ATTEMPT_TYPES, Score
from app.learning.facts import Fact

JUDGED_TYPES = frozenset({"progress.completed", "progress.failed"})

# What a reviewer says is no work of the learner.
_NO_WORK = frozenset({"signoff.decided"})


class Standing:
    """What the learner has reached since the last reset, while it is being told."""

    def __init__(self, *, module_version: str | None = None) -> None:
        self.started_at: datetime | None = None
        self.last_activity_at: datetime | None = None
        self.completed_at: datetime | None = None
        self.failed_at: datetime | None = None
        self.percent = 0.0
        self.passed: bool | None = None
        self.score: float | None = None
        self.max_score: float | None = None
        self.first_score_percent: float | None = None
        self.best_score_percent: float | None = None
        self.last_score_percent: float | None = None
        self.module_version = module_version

    @property
    def percent_complete(self) -> float:
        """How far it got; all the way once it is completed."""
        return 100.0 if self.completed_at else self.percent

    def take_work(self, fact: Fact, score: Score | None) -> None:
        """Let one fact, later than all before it, move the standing on."""
        data = fact.data
        if fact.type in _NO_WORK:
            return
        self.started_at = self.started_at or fact.occurred_at
        self.last_activity_at = fact.occurred_at
        if fact.type.startswith("progress."):
            self.module_version = data.get("version") or self.module_version
        if fact.type == "progress.advanced":
            self.percent = max(self.percent, float(data["percent"]))
        if fact.type not in JUDGED_TYPES and fact.type not in ATTEMPT_TYPES:
            return
        passed = data.get("passed")
        if fact.type == "progress.completed" or passed is True:
            self.completed_at = self.completed_at or fact.occurred_at
        if fact.type == "progress.failed":
            self.failed_at = self.failed_at or fact.occurred_at
        if passed is not None:
            self.passed = passed or self.passed or False
        if score is not None:
            self._take_score(score)

    def _take_score(self, score: Score) -> None:
        percent = score.percent
        self.score, self.max_score = score.score, score.max_score
        self.last_score_percent = percent
        if percent is None:
            return
        if self.first_score_percent is None:
            self.first_score_percent = percent
        best = self.best_score_percent
        self.best_score_percent = percent if best is None else max(best, percent)


def own_score(fact: Fact) -> Score | None:
    """Give the score that a completion or a failure states."""
    score, max_score = fact.data.get("score"), fact.data.get("max_score")
    if fact.type not in JUDGED_TYPES or score is None:
        return None
    return Score(float(score), None if max_score is None else float(max_score))


def is_work(fact: Fact) -> bool:
    """Whether a fact is a sign of the learner's life."""
    return fact.type not in _NO_WORK
