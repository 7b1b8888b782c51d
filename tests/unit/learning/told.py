"""Facts for tests of the folds: one assignment, one learner; minutes after ten o'clock."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.learning.facts import Fact, Settlement

TEN = datetime(2025, 5, 24, 10, tzinfo=UTC)
ASSIGNMENT = 'assignment:["u42","m7","",1]'
WORK = {"learner": "u42", "module": "m7", "module_type": "quest"}


def at(minute: float) -> datetime:
    """The time so many minutes after ten."""
    return TEN + timedelta(minutes=minute)


def text_of(minute: float) -> str:
    """The same as RFC 3339 text."""
    return at(minute).isoformat()


def a_fact(seq: int, type_name: str, minute: float, **data: Any) -> Fact:
    """A fact named e<seq> of source 1; `sequence` and `source_id` are taken out of the data."""
    sequence, source_id = data.pop("sequence", 0), data.pop("source_id", 1)
    return Fact(
        seq=seq,
        source_id=source_id,
        event_id=data.pop("named", f"e{seq}"),
        type=type_name,
        occurred_at=at(minute),
        sequence=sequence,
        data=data,
    )


def work(seq: int, type_name: str, minute: float, **data: Any) -> Fact:
    """A fact about the assignment of u42 to m7."""
    return a_fact(seq, type_name, minute, **WORK, **data)


def void(seq: int, minute: float, event_id: str, **data: Any) -> Fact:
    """An event.voided about that assignment."""
    keys = {"stream": "quest", "learner": "u42", "module": "m7"}
    return a_fact(seq, "event.voided", minute, event_id=event_id, **keys, **data)


def fates(settlements: tuple[Settlement, ...]) -> dict[int, int | None]:
    """By seq, who superseded it; None = applied."""
    return {settlement.seq: settlement.winner_seq for settlement in settlements}
