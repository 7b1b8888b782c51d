"""A house in simulated time: environments that get work, workers that take turns by the rules.

The rules are those of app/processing/fairness.py; only the rows and the clock are missing.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from math import ceil

from app.processing.fairness import (
    QUANTUM_COST,
    Share,
    Standing,
    charge_of,
    choose_share,
    cost_of,
    finish_tag,
    is_small,
    order_lanes,
    order_standings,
    serve_quantum,
    start_tag,
)

# What a quantum takes, in microseconds: once, and for each event.
FIXED_US = 3_000
EVENT_US = 100
_MEMORY_US = 10_000_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """Entities of one environment that become ready at a moment, each with so many new events."""

    at_us: int
    environment_id: int
    event_count: int = 1
    lane: int = 0


@dataclass(frozen=True, slots=True)
class Served:
    """A quantum that was claimed.

    waited: quanta of others since the environment became ready
    contender_count: environments that had work at any time meanwhile, itself included
    debt: the quanta that it owed when it became ready, for one that cost too much
    """

    at_us: int
    environment_id: int
    lane: int
    charge: int
    entity_count: int
    waited: int
    contender_count: int
    debt: int


@dataclass(slots=True)
class House:
    """The state of all queues; `run` lets the arrivals come and the workers work.

    spans_us: of each entity, by environment, when it came and when it was done
    """

    weights: dict[int, int]
    worker_count: int = 1
    vnow: int = 0
    tick: int = 0
    small_us: dict[int, int] = field(default_factory=dict)
    standings: dict[int, Standing] = field(default_factory=dict)
    queues: dict[tuple[int, int], list[Arrival]] = field(default_factory=dict)
    ready_since: dict[int, int] = field(default_factory=dict)
    rivals: dict[int, set[int]] = field(default_factory=dict)
    debts: dict[int, int] = field(default_factory=dict)
    served: list[Served] = field(default_factory=list)
    spans_us: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, weight in self.weights.items():
            self.standings[number] = Standing(number, weight, 0, 0, 0, 0, *[False] * 4)
            self.spans_us[number] = []

    def run(self, arrivals: Sequence[Arrival]) -> None:
        """Work all of it off."""
        order = count()
        events: list[tuple[int, int, Arrival | None, int]] = [
            (arrival.at_us, next(order), arrival, 0) for arrival in arrivals
        ]
        heapq.heapify(events)
        free = self.worker_count
        while events:
            at_us, _, arrival, freed = heapq.heappop(events)
            free += freed
            if arrival is not None:
                self.queues.setdefault((arrival.environment_id, arrival.lane), []).append(arrival)
            if events and events[0][0] == at_us:
                continue  # all that happens at a moment comes before the next claim
            self._note_ready()
            while free and (took_us := self._claim(at_us)) is not None:
                free -= 1
                heapq.heappush(events, (at_us + took_us, next(order), None, 1))

    def _ready(self) -> list[Standing]:
        found = []
        for number, standing in self.standings.items():
            has_live, has_bulk = (bool(self.queues.get((number, lane))) for lane in (0, 1))
            if has_live or has_bulk:
                found.append(replace(standing, has_live=has_live, has_bulk=has_bulk))
        return found

    def _note_ready(self) -> None:
        ready = {standing.environment_id for standing in self._ready()}
        for number in ready:
            if number not in self.ready_since:
                self.ready_since[number] = self.tick
                self.rivals[number] = set()
                ahead = self.standings[number].vtime - self.vnow
                one = finish_tag(0, cost=QUANTUM_COST, weight=1)
                self.debts[number] = max(1, -(-ahead * self.weights[number] // one))
        for number in self.ready_since:
            self.rivals[number] |= ready

    def _claim(self, at_us: int) -> int | None:
        ready = order_standings(self._ready(), vnow=self.vnow)
        if not ready:
            return None
        chosen = ready[0]
        number, lane = chosen.environment_id, order_lanes(chosen)[0]
        others_us = [us for other, us in self.small_us.items() if other != number]
        rivalled = any(at_us - us <= _MEMORY_US for us in others_us)
        share = choose_share(has_small_rival=rivalled)
        entities = self._take(number, lane, share)
        event_count = sum(entity.event_count for entity in entities)
        cost = cost_of(entity_count=len(entities), event_count=event_count)
        took_us = FIXED_US + EVENT_US * event_count
        self.spans_us[number] += [(entity.at_us, at_us + took_us) for entity in entities]
        has_more = bool(self.queues[number, lane])
        if is_small(chosen, cost=cost, has_more=has_more):
            self.small_us[number] = at_us
        charge, entity_count = charge_of(cost, share), len(entities)
        self._note_served(chosen, lane, at_us=at_us, charge=charge, entity_count=entity_count)
        self.standings[number] = serve_quantum(
            chosen,
            vnow=self.vnow,
            tick=self.tick + 1,
            lane=lane,
            charge=charge,
            has_more=has_more,
        )
        self.vnow, self.tick = start_tag(chosen.vtime, self.vnow), self.tick + 1
        self._note_ready()
        return took_us

    def _take(self, number: int, lane: int, share: Share) -> list[Arrival]:
        queue = self.queues[number, lane]
        taken = [queue.pop(0)]
        while queue and len(taken) < share.entity_count:
            if sum(e.event_count for e in taken) + queue[0].event_count > share.event_count:
                break
            taken.append(queue.pop(0))
        return taken

    def _note_served(
        self, chosen: Standing, lane: int, *, at_us: int, charge: int, entity_count: int
    ) -> None:
        number = chosen.environment_id
        self.served.append(
            Served(
                at_us,
                number,
                lane,
                charge,
                entity_count=entity_count,
                waited=self.tick - self.ready_since.pop(number),
                contender_count=len(self.rivals[number]),
                debt=self.debts[number],
            )
        )


def backlogs(arrivals_of: dict[int, int]) -> Iterator[Arrival]:
    """So many entities of each environment, ready from the beginning."""
    for number, entity_count in arrivals_of.items():
        yield from (Arrival(0, number) for _ in range(entity_count))


def percentile(values: Sequence[int], share: float) -> int:
    """The smallest value that at least this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[ceil(len(ordered) * share) - 1]
