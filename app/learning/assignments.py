"""The terms of an assignment: its assignments-family facts in, terms and losers out.

The latest statement of each field wins; a later assignment.made opens what was ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.learning.facts import Fact, Slots

ASSIGNMENT_TYPES = frozenset(
    {"assignment.made", "assignment.changed", "assignment.ended", "assignment.waived"}
)

_STATED = {"due_at": "time", "mandatory": "plain", "reason": "plain", "rule": "plain"}


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed about an assignment.

    assigned_at: when it was made, or made again after it had ended; None when nobody made it
    winners: by the seq of each superseded fact, the seq of its winner
    """

    assigned_at: datetime | None
    due_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    waived_at: datetime | None
    waive_reason: str | None
    mandatory: bool
    reason: str | None
    rule: str | None
    winners: dict[int, int]


NO_TERMS = Terms(None, None, None, None, None, None, True, None, None, {})


def fold_terms(facts: Sequence[Fact]) -> Terms:
    """Fold the living assignment.* facts of one assignment, in their order."""
    if not facts:
        return NO_TERMS
    slots = Slots()
    for fact in facts:
        if fact.type == "assignment.ended":
            slots.claim(fact, "ended_at", fact.occurred_at)
        elif fact.type == "assignment.waived":
            slots.claim(fact, "waived_at", fact.occurred_at)
        else:
            if fact.type == "assignment.made":
                _open(slots, fact)
            slots.claim_stated(fact, _STATED)
    ended, waived = slots.holder("ended_at"), slots.holder("waived_at")
    is_ended = slots.value("ended_at") is not None
    return Terms(
        assigned_at=slots.value("assigned_at"),
        due_at=slots.value("due_at"),
        ended_at=slots.value("ended_at"),
        end_reason=ended.data["end_reason"] if ended is not None and is_ended else None,
        waived_at=slots.value("waived_at"),
        waive_reason=None if waived is None else waived.data.get("waive_reason"),
        mandatory=slots.value("mandatory", default=True),
        reason=slots.value("reason"),
        rule=slots.value("rule"),
        winners=slots.winners(),
    )


def _open(slots: Slots, fact: Fact) -> None:
    """Let assignment.made open the assignment; it is its beginning unless one is open already."""
    if slots.value("assigned_at") is None or slots.value("ended_at") is not None:
        slots.claim(fact, "assigned_at", fact.occurred_at)
    slots.claim(fact, "ended_at", None)
