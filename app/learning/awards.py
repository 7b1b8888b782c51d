"""Folds: one certification award, one learner's feedback; facts in, state and settlements out."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from app.learning.facts import Fact, Settlement, Slots, drop_voided, settle
from app.learning.identity import entity_parts


@dataclass(frozen=True, slots=True)
class AwardState:
    """A certification that a learner was awarded; a renewal is a new cycle.

    expires_at: as stated; None = as long as its certification is valid
    revoked_at: None unless it was revoked and not issued again since
    """

    certification_key: str
    learner_key: str
    cycle: int
    module_key: str | None
    module_type: str
    issued_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    events_count: int
    is_empty: bool


@dataclass(frozen=True, slots=True)
class AwardFolded:
    """What the fold of an award gives."""

    state: AwardState
    settlements: tuple[Settlement, ...]


@dataclass(frozen=True, slots=True)
class FeedbackState:
    """What a learner said of a module or a session.

    session_key: empty when it is about the module
    """

    learner_key: str
    module_key: str
    session_key: str
    module_type: str | None
    rating: float | None
    scale_max: float | None
    given_at: datetime | None
    events_count: int
    is_empty: bool


@dataclass(frozen=True, slots=True)
class FeedbackFolded:
    """What the fold of feedback gives."""

    state: FeedbackState
    settlements: tuple[Settlement, ...]


def fold_award(entity_key: str, facts: Iterable[Fact]) -> AwardFolded:
    """Fold all facts of one award, in whatever order they come; the latest issue holds."""
    everything = tuple(facts)
    living = drop_voided(everything)
    slots = Slots()
    for fact in living.facts:
        if fact.data.get("module") is not None:
            slots.claim(fact, "module", fact.data["module"])
        if fact.type == "certification.issued":
            slots.claim(fact, "issued_at", fact.occurred_at)
            slots.claim(fact, "expires_at", None)
            slots.claim_stated(fact, {"expires_at": "time"})
            slots.claim(fact, "revoked_at", None)
        else:
            slots.claim(fact, "revoked_at", fact.occurred_at)
    certification_key, learner_key, cycle = entity_parts(entity_key)
    types = [fact.data.get("module_type") for fact in living.facts]
    state = AwardState(
        certification_key=certification_key,
        learner_key=learner_key,
        cycle=cycle,
        module_key=slots.value("module"),
        module_type=next((name for name in reversed(types) if name), "external"),
        issued_at=slots.value("issued_at"),
        expires_at=slots.value("expires_at"),
        revoked_at=slots.value("revoked_at"),
        events_count=len(everything),
        is_empty=not living.facts,
    )
    return AwardFolded(state, settle(everything, living.winners, slots.winners()))


def fold_feedback(entity_key: str, facts: Iterable[Fact]) -> FeedbackFolded:
    """Fold all feedback of one learner on one module or session; the latest holds."""
    everything = tuple(facts)
    living = drop_voided(everything)
    slots = Slots()
    for fact in living.facts:
        slots.claim(fact, "given", fact)
    given: Fact | None = slots.value("given")
    learner_key, module_key, session_key = entity_parts(entity_key)
    state = FeedbackState(
        learner_key=learner_key,
        module_key=module_key,
        session_key=session_key,
        module_type=None if given is None else given.data["module_type"],
        rating=None if given is None else float(given.data["rating"]),
        scale_max=None if given is None else float(given.data["scale_max"]),
        given_at=None if given is None else given.occurred_at,
        events_count=len(everything),
        is_empty=given is None,
    )
    return FeedbackFolded(state, settle(everything, living.winners, slots.winners()))
