"""Whose turn is it, in which lane, and how much? Start-time fair queueing over integers; pure.

Each environment has a virtual time, the house has one of its own. Who starts earliest goes first;
what it takes moves its own time on, the slower the more it weighs. Source: docs/decisions/0014.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from app.store.tables.work import BULK, LIVE

SCALE = 1 << 20
QUANTUM_COST = 200
LONGEST_LIVE_RUN = 4


@dataclass(frozen=True, slots=True)
class Share:
    """The most that one claim takes: entities, and events they wait for; at least one entity."""

    entity_count: int
    event_count: int


# Beside an environment that has little to do a quantum is short, since it may have to wait for it.
# Among those that all have much to do long ones cost less, and come round as fairly.
SHORT_SHARE = Share(50, QUANTUM_COST)
LONG_SHARE = Share(500, 2_000)


@dataclass(frozen=True, slots=True)
class Standing:
    """An environment with ready work, and where it stands.

    served_tick: the quantum of the house with which it was last served; 0 if never
    live_run: its live quanta since its last bulk one
    has_more: did its newest quantum leave work behind?
    has_live, has_bulk, has_task: what is ready: entities in either lane, tasks for the bulk lane
    """

    environment_id: int
    weight: int
    vtime: int
    served_tick: int
    live_run: int
    bulk_count: int
    has_more: bool
    has_live: bool
    has_bulk: bool
    has_task: bool


def start_tag(vtime: int, vnow: int) -> int:
    """When an environment's next quantum starts, in virtual time; idle time is not saved up."""
    return max(vtime, vnow)


def finish_tag(start: int, *, cost: int, weight: int) -> int:
    """When a quantum of this cost ends, in virtual time."""
    return start + cost * SCALE // max(weight, 1)


def order_standings(standings: Iterable[Standing], *, vnow: int) -> list[Standing]:
    """Who goes first: the earliest start; of equal ones whoever was served least recently."""
    return sorted(
        standings,
        key=lambda standing: (
            start_tag(standing.vtime, vnow),
            standing.served_tick,
            standing.environment_id,
        ),
    )


def order_lanes(standing: Standing) -> tuple[int, ...]:
    """The lanes with ready work, whose turn it is first: four of five quanta are live."""
    has_bulk = standing.has_bulk or standing.has_task
    if standing.has_live and has_bulk:
        return (BULK, LIVE) if standing.live_run >= LONGEST_LIVE_RUN else (LIVE, BULK)
    return ((LIVE,) if standing.has_live else ()) + ((BULK,) if has_bulk else ())


def prefers_task(standing: Standing) -> bool:
    """Is a bulk quantum for a task? Where entities wait too, every other one is."""
    return standing.has_task and (not standing.has_bulk or standing.bulk_count % 2 == 0)


def serve_quantum(
    standing: Standing, *, vnow: int, tick: int, lane: int, charge: int, has_more: bool
) -> Standing:
    """Where an environment stands once it was given a quantum, the house's number `tick`."""
    start = start_tag(standing.vtime, vnow)
    is_bulk = lane == BULK
    return replace(
        standing,
        vtime=finish_tag(start, cost=charge, weight=standing.weight),
        served_tick=tick,
        live_run=0 if is_bulk else min(standing.live_run + 1, LONGEST_LIVE_RUN),
        bulk_count=standing.bulk_count + is_bulk,
        has_more=has_more,
    )


def choose_share(*, has_small_rival: bool) -> Share:
    """How much a claim takes at most."""
    return SHORT_SHARE if has_small_rival else LONG_SHARE


def is_small(standing: Standing, *, cost: int, has_more: bool) -> bool:
    """Had an environment little to do: less than a short quantum, and nothing before or after?"""
    return cost <= QUANTUM_COST and not has_more and not standing.has_more


def cost_of(*, entity_count: int, event_count: int) -> int:
    """What a quantum costs: its events, and no entity less than its part of a full quantum."""
    floor = SHORT_SHARE.event_count // SHORT_SHARE.entity_count
    return max(event_count, entity_count * floor)


def charge_of(cost: int, share: Share) -> int:
    """What a quantum is charged with: one whole quantum, or more if it cost more than its share.

    Since small ones are charged as whole ones, an environment that becomes ready waits for one
    quantum of each other at most.
    """
    return max(cost * QUANTUM_COST // share.event_count, QUANTUM_COST)
