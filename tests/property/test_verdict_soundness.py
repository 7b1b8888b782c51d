"""The law of the verdict: `complete` implies that what was declared is what is applied.

Whatever is dropped, repeated, reordered, late, restated, sharded or restarted on the way; and when
everything has arrived and is stated, the verdict says so.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import select

from app.base.config import Settings
from app.ledger.facts import Freshness, read_freshness
from app.ledger.verdict import State
from app.processing.drain import drain_once
from app.processing.queue import free_leases
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Event
from app.store.tables.columns import table_of
from app.store.tables.journal import APPLIED, SUPERSEDED
from tests.world import Fact, System, World, open_world

START = datetime(2025, 5, 24, 6, tzinfo=UTC)
TEN = timedelta(minutes=10)
STEPS = 80
TIDY_SHARE, ALIVE_SHARE = 0.5, 0.8
STEP_NAMES = (
    "record", "send", "send", "drop", "declare", "declare", "work", "late", "again", "tidy"
)  # fmt: skip


@pytest.fixture
def world(store: Store, settings: Settings) -> Iterator[World]:
    yield from open_world(store, settings, begins=START)


class Chaos:
    """One source whose facts come in any order, some never, some twice.

    stated: by the start of each declared interval, the ids that its newest manifest counted
    """

    def __init__(self, world: World, chance: Random, name: str) -> None:
        self.world, self._chance = world, chance
        self.source: System = world.system("lms", "quest", environment=name)
        self.begins = world.now
        self.stated: dict[datetime, frozenset[str]] = {}

    def step(self) -> None:
        """Time passes, the source mostly gives a sign of life, and something happens."""
        self.world.passes(seconds=self._chance.choice([5, 40, 170]))
        if self._chance.random() < ALIVE_SHARE:
            self.source.beats()
        getattr(self, f"_{self._chance.choice(STEP_NAMES)}")()

    def _record(self) -> None:
        self.source.records("quest", *[self.world.now] * self._chance.choice([1, 1, 3]))

    def _late(self) -> None:
        """Stored now as if it had been stored long ago, in a bucket that is closed."""
        back = timedelta(minutes=self._chance.choice([15, 45]))
        self.source.records("quest", max(self.world.now - back, self.begins))

    def _send(self) -> None:
        waiting = self.source.waiting()
        self._chance.shuffle(waiting)
        self.source.sends(waiting[: self._chance.choice([1, 2, 9])])

    def _drop(self) -> None:
        """Said to be sent and never there, until somebody looks for it."""
        for fact in self.source.waiting()[:1]:
            fact.is_sent = True

    def _again(self) -> None:
        sent = self.arrived_facts()
        self.source.sends(self._chance.sample(sent, min(3, len(sent))))

    def _declare(self) -> None:
        """One of the last buckets, for the first time or anew."""
        boundary = self.world.now - timedelta(seconds=self.world.now.timestamp() % 600)
        begins = boundary - TEN * self._chance.choice([1, 1, 2, 5])
        if begins >= self.begins:
            self.state(begins)

    def _tidy(self) -> None:
        if self._chance.random() < TIDY_SHARE:
            self.tidy()

    def tidy(self) -> None:
        """All that was dropped is found, all that was late is stated: nothing is in the way."""
        for fact in self.source.facts.get("quest", ()):
            fact.is_sent = False
        self.source.hands_over()
        begins = self.begins
        while begins + TEN <= self.world.now:
            self.state(begins)
            begins += TEN
        self.source.beats()
        self.world.works()

    def state(self, begins: datetime) -> None:
        """State an interval as it is recorded now."""
        self.source.declares(begins, begins + TEN)
        facts = self.source.facts.get("quest", ())
        self.stated[begins] = frozenset(
            fact.event["id"] for fact in facts if begins <= fact.at < begins + TEN
        )

    def _work(self) -> None:
        """Some of the work is done, or a worker dies over it and another begins."""
        how = self._chance.choice(["drain", "fold", "both", "die"])
        if how == "die":
            with transaction(self.world.store) as connection:
                free_leases(connection)
        elif how == "drain":
            drain_once(self.world.store, self.world.settings)
        elif how == "both":
            self.world.works()

    def arrived_facts(self) -> list[Fact]:
        """The facts whose events lie in the journal."""
        known = self.journal()
        return [f for f in self.source.facts.get("quest", ()) if f.event["id"] in known]

    def journal(self) -> dict[str, Any]:
        """What lies in the journal, by id."""
        event = table_of(Event)
        with snapshot(self.world.store) as connection:
            rows = connection.execute(
                select(event).where(event.c.environment_id == self.source.caller.environment_id)
            )
            return {row.event_id: row for row in rows}

    def judge(self) -> Freshness:
        """What would be said of quests now."""
        with snapshot(self.world.store) as connection:
            environment_id = self.source.caller.environment_id
            return read_freshness(connection, environment_id, ["quest"], now=self.world.now)

    def check(self) -> None:
        """What may never be otherwise."""
        told = self.judge()
        marks = [told.standing.complete_through]
        if told.verdict.state is State.COMPLETE:
            marks.append(told.standing.target_at)
        for mark in filter(None, marks):
            self._check_before(mark)

    def _check_before(self, mark: datetime) -> None:
        """Every bucket before this moment was declared, and is applied exactly as declared."""
        applied: dict[datetime, set[str]] = {}
        for name, row in self.journal().items():
            if row.disposition in (APPLIED, SUPERSEDED):
                begins = row.recorded_at - timedelta(seconds=row.recorded_at.timestamp() % 600)
                applied.setdefault(begins, set()).add(name)
        begins = self.begins
        while begins + TEN <= mark:
            assert begins in self.stated, (begins, mark)
            assert applied.get(begins, set()) == self.stated[begins], (begins, mark)
            begins += TEN


@pytest.mark.parametrize("seed", range(8))
def test_complete_implies_that_the_declared_set_is_the_applied_set(world: World, seed: int) -> None:
    chaos = Chaos(world, Random(seed), f"env-{seed}")
    seen = set()
    for _ in range(STEPS):
        chaos.step()
        chaos.check()
        seen.add(chaos.judge().verdict.state)
    assert State.COMPLETE in seen
    assert len(seen) >= 2
    world.passes(minutes=15)
    chaos.tidy()
    chaos.check()
    assert chaos.judge().verdict.state is State.COMPLETE
    assert len(chaos.journal()) == len(chaos.source.facts.get("quest", ()))
