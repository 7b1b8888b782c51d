"""The events of one run of the queue's property test: few entities, told of by two sources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.builders import an_event

SOURCES = ("lms", "hr")
_KINDS: Mapping[str, Sequence[str]] = {
    "progress.started": ("work",),
    "progress.advanced": ("work", "percent"),
    "progress.completed": ("work", "score", "passed"),
    "progress.failed": ("work", "score", "passed"),
    "progress.reset": ("work",),
    "attempt.submitted": ("work", "attempt", "score"),
    "attempt.graded": ("work", "attempt", "score", "passed"),
    "assignment.made": ("assignment", "mandatory"),
    "learner.upserted": ("learner", "country"),
    "membership.set": ("learner", "team"),
    "membership.ended": ("learner", "team"),
    "module.upserted": ("module", "module_type", "name"),
}
_NAMES = sorted(_KINDS)


@dataclass(frozen=True, slots=True)
class Sent:
    """An event as a source sends it."""

    item: Mapping[str, Any]

    @property
    def identity(self) -> tuple[str, str]:
        """What it is known by within an environment."""
        return self.item["source"], self.item["id"]

    def altered(self) -> "Sent":
        """The same identity with another content."""
        return Sent({**self.item, "subject": "another"})


def spell_universe(chance: Random, count: int = 14) -> list[Sent]:
    """All events of a run, some at the same moment; both sources use the same ids."""
    return [
        Sent(
            an_event(
                chance.randrange(6),
                id=f"e{number // 2}",
                source=SOURCES[number % 2],
                type=(kind := chance.choice(_NAMES)),
                data=_spell_data(chance, _KINDS[kind]),
            )
        )
        for number in range(count)
    ]


def _spell_data(chance: Random, parts: Sequence[str]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for part in parts:
        data |= _spell_part(chance, part)
    return data


def _spell_part(chance: Random, part: str) -> dict[str, Any]:
    if part in {"work", "assignment"}:
        data = {"learner": chance.choice("ab"), "module": chance.choice("mn")}
        return data | ({"module_type": "quest"} if part == "work" else {})
    values: Mapping[str, Sequence[Any]] = {
        "percent": range(101),
        "score": range(101),
        "passed": (True, False),
        "mandatory": (True, False),
        "attempt": (1, 2),
        "learner": "ab",
        "country": ("AT", "DE"),
        "team": "tu",
        "module": "mn",
        "module_type": ("quest", "course"),
        "name": ("Knots", "Sails"),
    }
    return {part: chance.choice(values[part])}
