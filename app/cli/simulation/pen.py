"""Writes what simulated sources say as events: envelopes with running ids, and what is on the way.

Pure: chance comes from outside and falls alike for the same seed.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

from app.base.clock import format_time

Event = dict[str, Any]

_SUBJECTS = ("learner", "team", "session", "certification", "module", "series")
_REPEATED_SHARE = 0.004
_LATE_SHARE = 0.01
_LATE_BY_EVENTS = (50, 20_000)


def stamp(moment: datetime) -> str:
    """A moment as these sources write it: to the second."""
    return format_time(moment.replace(microsecond=0))


class Pen:
    """Writes envelopes with running ids; what would happen after `until` has not happened."""

    __slots__ = ("_numbers", "_prefix", "_rng", "_until")

    def __init__(self, *, prefix: str, until: datetime, rng: Random) -> None:
        self._prefix, self._until, self._rng = prefix, until, rng
        self._numbers = count(1)

    def write(
        self, type_name: str, *, source: str, at: datetime, data: dict[str, Any]
    ) -> Iterator[Event]:
        """Give the event, or nothing when it lies ahead."""
        number = next(self._numbers)
        delay_s = self._rng.uniform(0.2, 20.0)
        if at > self._until:
            return
        subject = next(name for name in _SUBJECTS if name in data)
        yield {
            "specversion": "1.0",
            "id": f"{self._prefix}{number:07d}",
            "source": source,
            "type": type_name,
            "subject": f"{subject}:{data[subject]}",
            "time": stamp(at),
            "recordedtime": format_time(min(at + timedelta(seconds=delay_s), self._until)),
            "sequence": str(number),
            "data": data,
        }


def deliver_events(events: Iterator[Event], rng: Random) -> Iterator[Event]:
    """The same events as a network brings them: some late, some twice."""
    held: list[tuple[int, int, Event]] = []
    for place, event in enumerate(events):
        chance = rng.random()
        if chance < _LATE_SHARE:
            heappush(held, (place + rng.randint(*_LATE_BY_EVENTS), place, event))
        else:
            yield event
            if chance > 1 - _REPEATED_SHARE:
                heappush(held, (place + rng.randint(*_LATE_BY_EVENTS), place, event))
        while held and held[0][0] <= place:
            yield heappop(held)[2]
    while held:
        yield heappop(held)[2]


def batched(events: Iterator[Event], size: int) -> Iterator[list[Event]]:
    """The same events in lists of this size; the last may be shorter."""
    batch: list[Event] = []
    for event in events:
        batch.append(event)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
