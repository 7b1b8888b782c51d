"""Entries of one entity in, the result of its fold out; the kind of entity tells which fold."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.learning.awards import fold_award, fold_feedback
from app.learning.catalog import fold_certification, fold_module, fold_series, fold_session
from app.learning.enrolments import fold_enrolment
from app.learning.facts import Fact
from app.learning.identity import entity_kind
from app.learning.parts import PART_TYPES, SIGNOFF_TYPES
from app.learning.people import fold_learner, fold_team
from app.learning.progress import Before, extend_progress, fold_progress
from app.processing.journal import Entry

_FOLDS: Mapping[str, Callable[[str, Iterable[Fact]], Any]] = {
    "assignment": fold_progress,
    "learner": fold_learner,
    "team": fold_team,
    "module": fold_module,
    "series": fold_series,
    "session": fold_session,
    "certification": fold_certification,
    "enrolment": fold_enrolment,
    "award": fold_award,
    "feedback": fold_feedback,
}


@dataclass(frozen=True, slots=True)
class Failed:
    """A fold or a write that could not be done.

    error: what went wrong, in words for an operator
    """

    error: str


def fold_entity(entity_key: str, entries: Iterable[Entry]) -> Any:
    """Fold all entries of an entity."""
    return _FOLDS[entity_kind(entity_key)](entity_key, [_make_fact(entry) for entry in entries])


def extend_entity(before: Before, entries: Iterable[Entry]) -> Any:
    """Go on from a stored fold; None where only all entries can tell."""
    return extend_progress(before, [_make_fact(entry) for entry in entries])


def named_parts(entries: Iterable[Entry]) -> set[str]:
    """Give the parts that entries of an assignment are about."""
    about = PART_TYPES | SIGNOFF_TYPES
    return {orjson.loads(entry.data)["part"] for entry in entries if entry.type in about}


def _make_fact(entry: Entry) -> Fact:
    return Fact(
        entry.seq,
        entry.source_id,
        entry.event_id,
        entry.type,
        entry.occurred_at,
        entry.sequence,
        orjson.loads(entry.data),
    )
