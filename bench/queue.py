"""The fair queue: what it costs beside the bare work, how it fares over HTTP, and how it grows.

The overhead is that of the very same folds and writes with nothing of the queue: the quanta of a
drain are written down once, and worked off again without claims, leases and turns.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection

from app.base.clock import now
from app.base.config import Settings
from app.intake.accept import accept_items
from app.processing import drain, project, queue
from app.processing.drain import drain_all
from app.processing.fairness import LONG_SHARE, SHORT_SHARE, Share
from app.processing.fold import extend_entity, fold_entity
from app.processing.project import project_claim
from app.processing.queue import Claim, claim_turn
from app.store.engine import Store, close_store, open_store, transaction
from bench.databases import KINDS, Databases, open_databases
from bench.growth import run_growth
from bench.measure import ROUNDS, Figure, interleave, tell
from bench.throughput import make_events, prepare_environments, run_lag, run_throughput

_WANTED_OVERHEAD = 0.4
_EVENTS = 8_000
_SHARES = (("long", LONG_SHARE, 1), ("short", SHORT_SHARE, 15))


@dataclass(frozen=True, slots=True)
class Backlog:
    """Events that wait in a database to be copied, and the claims by which they are worked off."""

    name: str
    url: str
    share: Share
    event_count: int
    claims: tuple[Claim, ...]


def run_queue_bench() -> list[Figure]:
    """Overhead, throughput and lag on both databases, then growth."""
    with open_databases() as databases:
        return [
            *run_overhead(databases),
            *run_throughput(databases),
            *run_lag(databases),
            *run_growth(databases),
        ]


def run_overhead(
    databases: Databases, *, events: int = _EVENTS, rounds: int = ROUNDS
) -> list[Figure]:
    """What claims, leases and turns add to folds and writes: in long quanta, and in short ones."""
    tell("  accepting a backlog")
    figures = []
    backlogs = [
        _make_backlog(
            databases, kind, name=name, share=share, environments=count, events=events // count
        )
        for kind in KINDS
        for name, share, count in _SHARES
    ]
    measures: dict[str, Callable[[], float]] = {}
    for backlog in backlogs:
        measures[f"{backlog.name}: queue"] = partial(_measure, databases, backlog, _drain)
        measures[f"{backlog.name}: bare"] = partial(_measure, databases, backlog, _repeat_bare)
    medians = interleave(measures, rounds=rounds)
    for backlog in backlogs:
        queued, bare = medians[f"{backlog.name}: queue"], medians[f"{backlog.name}: bare"]
        quanta = f"{backlog.name} quanta, {len(backlog.claims)} of them"
        each_ms = (queued - bare) / len(backlog.claims) * 1e3
        figures += [
            Figure(f"{quanta}: drained", backlog.event_count / queued, "events/s"),
            Figure(f"{quanta}: the queue's part of each", each_ms, "ms"),
            Figure(
                f"{quanta}: overhead of the queue",
                queued / bare - 1,
                "ratio",
                _WANTED_OVERHEAD,
                at_most=True,
            ),
        ]
    return figures


def _make_backlog(
    databases: Databases, kind: str, *, name: str, share: Share, environments: int, events: int
) -> Backlog:
    """Accept the same events in each environment, and drain a copy to have the claims."""
    settings = Settings(_env_file=None)
    url = databases.copy(databases.urls[kind])
    store = open_store(url)
    numbers = range(1, len(prepare_environments(store, environments)) + 1)
    waiting = make_events(events)
    for start in range(0, events, 1_000):
        for number in numbers:
            batch = waiting[start : start + 1_000]
            accept_items(store, settings, environment_id=number, items=batch)
    close_store(store)
    with databases.opened_copy(url) as copied, _quanta_of(share):
        claims = _note_claims(copied)
    return Backlog(f"{kind}, {name}", url, share, environments * events, claims)


@contextmanager
def _quanta_of(share: Share) -> Iterator[None]:
    """Let claims take this much, whoever waits beside them."""

    def choose(*, has_small_rival: bool) -> Share:
        del has_small_rival
        return share

    with patch.object(queue, "choose_share", choose):
        yield


def _note_claims(store: Store) -> tuple[Claim, ...]:
    """Drain, and give the claims in their order."""
    noted: list[Claim] = []

    def note(connection: Connection, *, now: datetime) -> Claim | None:
        claim = claim_turn(connection, now=now)
        if claim is not None:
            noted.append(claim)
        return claim

    with patch.object(drain, "claim_turn", note):
        drain_all(store, Settings(_env_file=None))
    return tuple(noted)


def _measure(
    databases: Databases, backlog: Backlog, work: Callable[[Store, Backlog], int]
) -> float:
    """The seconds of working off a copy."""
    with databases.opened_copy(backlog.url) as store, _quanta_of(backlog.share):
        started = time.monotonic()
        event_count = work(store, backlog)
        seconds = time.monotonic() - started
    if event_count != backlog.event_count:
        raise AssertionError(f"{backlog.name}: {event_count} of {backlog.event_count} settled")
    return seconds


def _drain(store: Store, _backlog: Backlog) -> int:
    return drain_all(store, Settings(_env_file=None)).event_count


def _repeat_bare(store: Store, backlog: Backlog) -> int:
    """Fold, write and settle what the claims name, without a row of the queue."""

    def hold(_connection: Connection, claim: Claim) -> set[str]:
        return {lease.entity_key for lease in claim.leases}

    def finish(*_unused: Any) -> None:
        """Nothing is held, so nothing is given back."""

    with patch.object(project, "hold_leases", hold), patch.object(project, "finish_work", finish):
        return sum(_work_off(store, claim) for claim in backlog.claims)


def _work_off(store: Store, claim: Claim) -> int:
    with transaction(store) as connection:
        applied = project_claim(
            connection, claim, fold=fold_entity, extend=extend_entity, now=now()
        )
    return applied.event_count
