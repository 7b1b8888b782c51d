"""The attempts of an assignment: attempt.* facts since the last reset in, attempts and losers out.

Of one attempt the latest grading wins over earlier ones and over what was handed in;
attempt.voided annuls what was said of the attempt before it, not what is said later.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.learning.facts import Fact

ATTEMPT_TYPES = frozenset({"attempt.submitted", "attempt.graded", "attempt.voided"})

_PERCENT_DIGITS = 6
_DEFAULT_MAX_SCORE = 100.0


@dataclass(frozen=True, slots=True)
class Score:
    """Points out of a maximum; 100 where the maximum was not told."""

    score: float
    max_score: float | None

    @property
    def percent(self) -> float | None:
        """The score as a percentage, None where it is beyond all numbers."""
        return score_percent(self.score, self.max_score)


@dataclass(frozen=True, slots=True)
class AttemptState:
    """One attempt.

    attempt: its number within the cycle
    score_percent: of the score, by the stated maximum or 100
    voided: it does not count; the rest tells what was said of it before
    """

    attempt: int
    submitted_at: datetime | None
    graded_at: datetime | None
    score: float | None
    max_score: float | None
    score_percent: float | None
    passed: bool | None
    seconds: int | None
    voided: bool


@dataclass(frozen=True, slots=True)
class AttemptsFolded:
    """What became of all attempts.

    attempts: by number
    scores: by the seq of the fact that gives an attempt its score, that score
    winners: by the seq of each superseded fact, the seq of its winner
    annulled: seqs of facts that an attempt.voided took out, and of the attempt.voided facts
    """

    attempts: tuple[AttemptState, ...]
    scores: dict[int, Score]
    winners: dict[int, int]
    annulled: frozenset[int]


def score_percent(score: float | None, max_score: float | None) -> float | None:
    """Give a score as a percentage, rounded to 6 decimals; None where there is none.

    Units: 0 to 100, more where the source gave more than the maximum
    """
    if score is None:
        return None
    ratio = score / (_DEFAULT_MAX_SCORE if max_score is None else max_score)
    percent = round(100.0 * ratio, _PERCENT_DIGITS) if math.isfinite(ratio) else math.inf
    return percent if math.isfinite(percent) else None


def fold_attempts(facts: Sequence[Fact]) -> AttemptsFolded:
    """Fold the living attempt.* facts since the last reset, in their order."""
    by_number: dict[int, list[Fact]] = {}
    for fact in facts:
        by_number.setdefault(fact.data["attempt"], []).append(fact)
    attempts: list[AttemptState] = []
    scores: dict[int, Score] = {}
    winners: dict[int, int] = {}
    annulled: set[int] = set()
    for number in sorted(by_number):
        alive, dead, void = _split_at_void(by_number[number])
        if void is not None:
            winners.update((fact.seq, void.seq) for fact in dead)
            annulled.update(fact.seq for fact in (*dead, void))
        submitted, graded = _last_of(alive or dead)
        attempt = make_attempt(number=number, submitted=submitted, graded=graded, voided=not alive)
        attempts.append(attempt)
        if alive:
            winners.update(_overwritten(alive, submitted=submitted, graded=graded))
            scored = graded if _has_score(graded) else submitted
            if scored is not None and attempt.score is not None:
                scores[scored.seq] = Score(attempt.score, attempt.max_score)
    return AttemptsFolded(tuple(attempts), scores, winners, frozenset(annulled))


def make_attempt(
    *, number: int, submitted: Fact | None, graded: Fact | None, voided: bool
) -> AttemptState:
    """Give the state of one attempt from its last hand-in and its last grading."""
    stated = [fact.data for fact in (graded, submitted) if fact is not None]

    def told(name: str) -> float | None:
        return next((data[name] for data in stated if data.get(name) is not None), None)

    score, max_score, seconds, passed = map(told, ("score", "max_score", "seconds", "passed"))
    return AttemptState(
        attempt=number,
        submitted_at=None if submitted is None else submitted.occurred_at,
        graded_at=None if graded is None else graded.occurred_at,
        score=None if score is None else float(score),
        max_score=None if max_score is None else float(max_score),
        score_percent=score_percent(score, max_score),
        passed=None if passed is None else bool(passed),
        seconds=None if seconds is None else int(seconds),
        voided=voided,
    )


def extend_attempt(attempt: AttemptState | None, fact: Fact) -> AttemptState | None:
    """Append a hand-in or a grading to what is known of its attempt.

    A first fact of an attempt, and the first grading of one without a score, only add; all else
    changes what was counted before, and the answer is None: fold the attempt anew.
    """
    is_graded = fact.type == "attempt.graded"
    alone = make_attempt(
        number=fact.data["attempt"],
        submitted=None if is_graded else fact,
        graded=fact if is_graded else None,
        voided=False,
    )
    if attempt is None:
        return alone
    if not is_graded or attempt.voided or attempt.graded_at or attempt.score is not None:
        return None
    max_score = attempt.max_score if alone.max_score is None else alone.max_score
    return replace(
        alone,
        submitted_at=attempt.submitted_at,
        max_score=max_score,
        score_percent=score_percent(alone.score, max_score),
        passed=attempt.passed if alone.passed is None else alone.passed,
        seconds=attempt.seconds if alone.seconds is None else alone.seconds,
    )


def _has_score(fact: Fact | None) -> bool:
    return fact is not None and fact.data.get("score") is not None


def _overwritten(
    alive: Sequence[Fact], *, submitted: Fact | None, graded: Fact | None
) -> dict[int, int]:
    """Give, by the seq of each earlier hand-in or grading, the seq of the last of its kind."""
    losers: dict[int, int] = {}
    for fact in alive:
        winner = submitted if fact.type == "attempt.submitted" else graded
        if winner is not None and fact is not winner:
            losers[fact.seq] = winner.seq
    return losers


def _split_at_void(facts: Sequence[Fact]) -> tuple[Sequence[Fact], Sequence[Fact], Fact | None]:
    """Part the facts of one attempt at its last attempt.voided: after it, before it, itself."""
    for index in range(len(facts) - 1, -1, -1):
        if facts[index].type == "attempt.voided":
            return facts[index + 1 :], facts[:index], facts[index]
    return facts, (), None


def _last_of(facts: Sequence[Fact]) -> tuple[Fact | None, Fact | None]:
    """Give the last hand-in and the last grading among the facts of one attempt."""
    submitted = graded = None
    for fact in facts:
        if fact.type == "attempt.submitted":
            submitted = fact
        elif fact.type == "attempt.graded":
            graded = fact
    return submitted, graded
