"""Fold: the facts of one learner's enrolment in one session in, its state and settlements out.

The latest statement of each field wins. Attendance may be marked of somebody who never enrolled.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from app.learning.facts import Fact, Settlement, Slots, drop_voided, settle
from app.learning.identity import entity_parts


@dataclass(frozen=True, slots=True)
class EnrolmentState:
    """A learner's place in a session.

    status: registered, waitlisted, invited, unenrolled; None for attendance without enrolment
    enrolled_at: when this enrolment began; another begins after an unenrolment
    waitlisted_at: when the learner was last put on the waiting list
    is_late: unenrolled too late, by the source's word
    """

    module_key: str
    session_key: str
    learner_key: str
    module_type: str | None
    status: str | None
    enrolled_at: datetime | None
    waitlisted_at: datetime | None
    unenrolled_at: datetime | None
    is_late: bool
    outcome: str | None
    minutes: int | None
    marked_at: datetime | None
    marked_by: str | None
    events_count: int
    is_empty: bool


@dataclass(frozen=True, slots=True)
class EnrolmentFolded:
    """What the fold of an enrolment gives."""

    state: EnrolmentState
    settlements: tuple[Settlement, ...]


def fold_enrolment(entity_key: str, facts: Iterable[Fact]) -> EnrolmentFolded:
    """Fold all facts of one enrolment, in whatever order they come."""
    everything = tuple(facts)
    living = drop_voided(everything)
    slots = Slots()
    for fact in living.facts:
        if fact.type == "session.enrolled":
            _enrol(slots, fact)
        elif fact.type == "session.unenrolled":
            slots.claim(fact, "status", "unenrolled")
            slots.claim(fact, "unenrolled_at", fact.occurred_at)
            slots.claim(fact, "late", fact.data.get("late"))
        else:
            slots.claim(fact, "marked_at", fact.occurred_at)
            for name in ("outcome", "minutes", "marked_by"):
                slots.claim(fact, name, fact.data.get(name))
    module_key, session_key, learner_key = entity_parts(entity_key)
    state = EnrolmentState(
        module_key=module_key,
        session_key=session_key,
        learner_key=learner_key,
        module_type=living.facts[-1].data["module_type"] if living.facts else None,
        status=slots.value("status"),
        enrolled_at=slots.value("enrolled_at"),
        waitlisted_at=slots.value("waitlisted_at"),
        unenrolled_at=slots.value("unenrolled_at"),
        is_late=slots.value("late", default=False),
        outcome=slots.value("outcome"),
        minutes=slots.value("minutes"),
        marked_at=slots.value("marked_at"),
        marked_by=slots.value("marked_by"),
        events_count=len(everything),
        is_empty=not living.facts,
    )
    return EnrolmentFolded(state, settle(everything, living.winners, slots.winners()))


def _enrol(slots: Slots, fact: Fact) -> None:
    """Let session.enrolled open the enrolment, or restate one that is open already."""
    status = fact.data.get("status") or "registered"
    if slots.value("enrolled_at") is None or slots.value("unenrolled_at") is not None:
        slots.claim(fact, "enrolled_at", fact.occurred_at)
    slots.claim(fact, "status", status)
    slots.claim(fact, "unenrolled_at", None)
    slots.claim(fact, "late", None)
    if status == "waitlisted":
        slots.claim(fact, "waitlisted_at", fact.occurred_at)
