"""Facts of one entity, and what all folds do alike.

Facts are ordered by position, voided ones are dropped, and slots tell which statement of a field
came last. A fold that uses them gives the same result for every order of arrival.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.learning.times import parse_time

Position = tuple[datetime, int, str]

_VOID = "event.voided"

# Nothing occurs before or after these: where no fact was folded, and where none may be appended.
BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)
AFTER_ALL = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fact:
    """An accepted event, as a fold sees it.

    seq: its place in the journal; tells who it is, never who wins
    source_id: who sent it
    event_id: its name at that source
    type: the name of its event type
    occurred_at: when it happened
    sequence: the source's own order within one moment, 0 when it gave none
    data: what it says
    received_at: our clock; no fold looks at it
    """

    seq: int
    source_id: int
    event_id: str
    type: str
    occurred_at: datetime
    sequence: int
    data: dict[str, Any]
    received_at: datetime | None = None

    @property
    def position(self) -> Position:
        """Where it stands among the facts of its entity; the greatest wins."""
        return (self.occurred_at, self.sequence, self.event_id)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of an event: applied, or superseded by the event `winner_seq`."""

    seq: int
    winner_seq: int | None


@dataclass(frozen=True, slots=True)
class Living:
    """The facts of an entity that count.

    facts: in order, without the voided ones and without the voids
    winners: by the seq of each voided fact, the seq of its void
    last: the last of all facts, voids and voided ones included
    has_waiting_void: some void has not met its target yet
    """

    facts: tuple[Fact, ...]
    winners: dict[int, int]
    last: Fact | None
    has_waiting_void: bool


def order_facts(facts: Iterable[Fact]) -> list[Fact]:
    """Put facts in their order; two sources that agree in everything are ordered by their ids."""
    return sorted(facts, key=_order_of)


def _order_of(fact: Fact) -> tuple[datetime, int, str, int]:
    return (fact.occurred_at, fact.sequence, fact.event_id, fact.source_id)


def drop_voided(facts: Iterable[Fact]) -> Living:
    """Order the facts and take out the voids with their targets.

    A void holds whatever its own time is. Of two voids with one target the later is the winner. A
    void cannot be voided.
    """
    ordered = order_facts(facts)
    voids = {
        (fact.source_id, fact.data["event_id"]): fact for fact in ordered if fact.type == _VOID
    }
    last = ordered[-1] if ordered else None
    if not voids:
        return Living(tuple(ordered), {}, last, has_waiting_void=False)
    winners: dict[int, int] = {}
    living: list[Fact] = []
    waiting = set(voids)
    for fact in ordered:
        name = (fact.source_id, fact.event_id)
        waiting.discard(name)
        if fact.type == _VOID:
            continue
        if name in voids:
            winners[fact.seq] = voids[name].seq
        else:
            living.append(fact)
    return Living(tuple(living), winners, last, has_waiting_void=bool(waiting))


@dataclass(slots=True)
class Slots:
    """The fields of an entity while it is folded: the last fact to claim a slot holds it.

    A fact that has claimed slots and holds none of them any more is superseded.
    """

    _held: dict[str, tuple[Fact, Any]] = field(default_factory=dict)
    _claimed: dict[int, tuple[Fact, list[str]]] = field(default_factory=dict)

    def claim(self, fact: Fact, slot: str, value: Any) -> None:
        """Let a fact hold a slot; facts claim in their order."""
        self._held[slot] = (fact, value)
        self._claimed.setdefault(fact.seq, (fact, []))[1].append(slot)

    def claim_stated(self, fact: Fact, fields: Mapping[str, str], *, prefix: str = "") -> None:
        """Let a fact claim a slot for each field that its data states; null is a statement too.

        Shape: fields: name in the data to kind of value, `time` or `plain`
        """
        for name, kind in fields.items():
            if name in fact.data:
                value = fact.data[name]
                is_time = kind == "time" and value is not None
                self.claim(fact, prefix + name, parse_time(value) if is_time else value)

    def holder(self, slot: str) -> Fact | None:
        """Give the fact that holds a slot, if any has claimed it."""
        held = self._held.get(slot)
        return None if held is None else held[0]

    def value(self, slot: str, default: Any = None) -> Any:
        """Give the value of a slot; the default where nobody claimed it or the last cleared it."""
        held = self._held.get(slot)
        return default if held is None or held[1] is None else held[1]

    def names(self, prefix: str) -> list[str]:
        """Give the names of slots that begin with a prefix, without it, as first claimed."""
        return [slot.removeprefix(prefix) for slot in self._held if slot.startswith(prefix)]

    def winners(self) -> dict[int, int]:
        """Give, by the seq of each superseded fact, the seq of the last fact that overwrote it."""
        losers: dict[int, int] = {}
        for seq, (fact, slots) in self._claimed.items():
            holders = [self._held[slot][0] for slot in slots]
            if all(holder is not fact for holder in holders):
                losers[seq] = max(holders, key=_order_of).seq
        return losers


def settle(facts: Iterable[Fact], *winners: Mapping[int, int]) -> tuple[Settlement, ...]:
    """Settle facts: superseded where one of the maps names a winner, else applied.

    Shape: one settlement a fact, by seq
    """
    merged: dict[int, int] = {}
    for part in winners:
        merged.update(part)
    return tuple(Settlement(seq, merged.get(seq)) for seq in sorted(fact.seq for fact in facts))
