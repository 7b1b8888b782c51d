"""The parts and sign-offs of an assignment: one fact in, the state of its part after it out.

Facts come in their order. A part whose sign-off is not decided yet is reached, not done.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from app.learning.facts import Fact

PART_TYPES = frozenset({"part.reached", "part.done", "part.rejected"})
SIGNOFF_TYPES = frozenset({"signoff.submitted", "signoff.decided"})

_WORDS = {"part.done": "done", "part.rejected": "rejected"}
_DECISIONS = {"approved": "done", "rejected": "rejected"}


@dataclass(frozen=True, slots=True)
class PartProgressState:
    """How far one part got.

    status: reached, done, rejected
    done_at: when it was done, the first time since it was last not; None while it is not
    score, points, time_spent_s: what was stated last
    """

    part_key: str
    status: str
    reached_at: datetime
    done_at: datetime | None
    score: float | None
    points: float | None
    time_spent_s: int | None


@dataclass(frozen=True, slots=True)
class SignoffState:
    """One round of a part's sign-off: handed in, then decided.

    round: 1 for the part's first
    submitted_at: None when it was decided without having been handed in
    """

    part_key: str
    round: int
    submitted_at: datetime | None
    decision: str | None
    reviewer_key: str | None
    decided_at: datetime | None

    @property
    def is_pending(self) -> bool:
        """Whether a person must still decide."""
        return self.decision is None


def extend_part(
    part: PartProgressState | None, fact: Fact, *, is_pending: bool
) -> PartProgressState:
    """Give the state of a part after a fact of it or of its sign-off.

    is_pending: its sign-off is undecided after the fact
    """
    was_done = part is not None and part.status == "done"
    word = _WORDS.get(fact.type) or _DECISIONS.get(fact.data.get("decision") or "")
    status = word or ("done" if was_done else "reached")
    if is_pending and status == "done":
        status = "reached"
    done_at = part.done_at if part is not None and was_done else fact.occurred_at
    told = {name: fact.data.get(name) for name in ("score", "points", "seconds")}
    score, points, seconds = told["score"], told["points"], told["seconds"]
    if part is not None:
        score = part.score if score is None else score
        points = part.points if points is None else points
        seconds = part.time_spent_s if seconds is None else seconds
    return PartProgressState(
        part_key=fact.data["part"],
        status=status,
        reached_at=fact.occurred_at if part is None else part.reached_at,
        done_at=done_at if status == "done" else None,
        score=None if score is None else float(score),
        points=None if points is None else float(points),
        time_spent_s=seconds,
    )


def extend_signoff(last: SignoffState | None, fact: Fact) -> SignoffState:
    """Give the round of a sign-off that a fact opens, confirms, decides or decides anew.

    last: the latest round of the part before
    """
    data, reviewer = fact.data, fact.data.get("reviewer")
    if fact.type == "signoff.submitted":
        if last is not None and last.is_pending:
            return replace(last, reviewer_key=reviewer or last.reviewer_key)
        number = 1 if last is None else last.round + 1
        return SignoffState(data["part"], number, fact.occurred_at, None, reviewer, None)
    decided = SignoffState(data["part"], 1, None, data["decision"], reviewer, fact.occurred_at)
    if last is None:
        return decided
    return replace(decided, round=last.round, submitted_at=last.submitted_at)
