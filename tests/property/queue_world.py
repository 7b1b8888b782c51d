"""The queue over a real store, with a model beside it: acts that may fail at any moment, and laws.

Several environments share all entity keys and event ids; clocks jump, workers die or come too late.
A broken law raises AssertionError with its number (docs/reliability.md).
"""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
import time_machine
from sqlalchemy import Connection, delete, select, update
from sqlmodel import SQLModel

from app.base.clock import now
from app.base.config import Settings
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.learning.progress import Before
from app.processing import drain, project, rebuild
from app.processing.dead import DeadScope, redrive_dead
from app.processing.drain import drain_once
from app.processing.fold import extend_entity, fold_entity
from app.processing.queue import Claim, claim_turn, release, start_epoch
from app.processing.rebuild_requests import request_rebuild
from app.processing.rebuild_scope import RebuildScope
from app.processing.sweep import sweep_all
from app.store.engine import (
    Store,
    close_store,
    fleeting_transaction,
    open_store,
    schema_transaction,
    snapshot,
    transaction,
)
from app.store.tables import Event, Scheduler, Turn, Work
from app.store.tables.columns import table_of
from app.store.tables.journal import DEAD, PENDING
from tests.builders import an_environment, some_settings
from tests.dying import dying
from tests.projections import drop_projections, read_projections
from tests.projections import rebuild as rebuild_all
from tests.property.queue_events import SOURCES, Sent, spell_universe
from tests.property.queue_laws import (
    CROSSING,
    check_journal,
    check_settled,
    check_waiting,
    compare_folds,
    read_entities,
)

BEGIN = datetime(2025, 7, 1, 12, tzinfo=UTC)
ENVIRONMENTS = ("alpha", "beta")
_ATTEMPTS = 2
_MOST_ROUNDS = 300


@dataclass(slots=True)
class Figures:
    """What all runs together have done."""

    runs: int = 0
    steps: int = 0
    accepted: int = 0
    quanta: int = 0
    deaths: int = 0
    zombies: int = 0
    buried: int = 0
    rebuilds: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{getattr(self, name)} {name}" for name in self.__slots__)


@dataclass(slots=True)
class QueueWorld:
    """One run: a store emptied for it, and what must be true of it by what was done to it.

    sent: by environment, each event that was accepted
    claims: in the hands of workers that sleep or have died; any may wake later
    newest: by environment and entity, the claim that holds it; None once it is fenced
    poisoned: by environment, the entity that cannot be folded at the moment
    """

    store: Store
    figures: Figures
    clock: time_machine.Traveller
    seed: int
    settings: Settings = field(default_factory=some_settings)
    universe: list[Sent] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    sent: dict[int, dict[tuple[str, str], Sent]] = field(default_factory=dict)
    counts: dict[int, Counter[str]] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    newest: dict[tuple[int, str], Claim | None] = field(default_factory=dict)
    poisoned: dict[int, str] = field(default_factory=dict)
    ever_poisoned: set[tuple[int, str]] = field(default_factory=set)
    given: Claim | None = None
    taken: Claim | None = None
    at_work: Claim | None = None

    def __post_init__(self) -> None:
        self.clock.move_to(BEGIN)
        empty_store(self.store)
        self.universe = spell_universe(Random(self.seed))
        self.numbers = [self.open(name) for name in ENVIRONMENTS]
        self.figures.runs += 1

    def open(self, name: str) -> int:
        """Make an environment that knows both sources."""
        number = an_environment(self.store, name)
        with transaction(self.store) as connection:
            for source in SOURCES:
                add_source(connection, number, source_key=source)
        self.sent[number], self.counts[number] = {}, Counter()
        return number

    def check(self) -> None:
        """The laws that hold at any time."""
        check_journal(self.store, self.counts, self.ever_poisoned)

    # Sources

    def deliver(
        self, place: int, picks: Sequence[tuple[int, bool]], dies_at: int | None = None
    ) -> None:
        """Send events, known ones with other content if so told; maybe die while they are taken."""
        number = self.numbers[place]
        parts = [(self.universe[pick], is_altered) for pick, is_altered in picks]
        known = self.sent[number]
        told = [
            part.altered() if is_altered and part.identity in known else part
            for part, is_altered in parts
        ]
        with dying(self.store, dies_at) as death:
            self.accept(number, told)
        self.figures.deaths += death.is_dead

    def accept(self, number: int, told: Sequence[Sent]) -> None:
        """I4: what becomes of an item follows from what this environment was sent, and no other."""
        known, fates = dict(self.sent[number]), []
        for part in told:
            first = known.get(part.identity)
            known.setdefault(part.identity, part)
            same = first is not None and first.item == part.item
            fates.append("accepted" if first is None else "duplicate" if same else "conflict")
        items = [part.item for part in told]
        receipt = accept_items(self.store, self.settings, environment_id=number, items=items)
        found = [item.outcome for item in receipt.items]
        assert found == fates, f"I4: the fates in {number} are {found}, not {fates}"
        self.sent[number] = known
        self.counts[number].update(fates)
        self.figures.accepted += fates.count("accepted")

    # Workers

    def claim(self) -> None:
        """A worker claims and sleeps."""
        self.claim_watched()
        if self.taken is not None:
            self.claims.append(self.taken)

    def claim_watched(self) -> None:
        """I10: who is served starts where the house is, however long he was idle."""
        before = read_times(self.store)
        with fleeting_transaction(self.store) as connection:
            self.taken = claim_turn(connection, now=now())
        if self.taken is None:
            return
        self.register(self.taken)
        after, number = read_times(self.store), self.taken.environment_id
        start = max(before.get(number, 0), before[0])
        assert after[0] == start, f"I10: the house is at {after[0]}, not {start}"
        assert after[number] > start, f"I10: {number} was served on credit"

    def wake(self, place: int) -> None:
        """I7: a worker goes on with its claim; where others hold that now, nothing changes."""
        claim = self.claims.pop(place % len(self.claims))
        number = claim.environment_id
        fenced = {
            (number, lease.entity_key)
            for lease in claim.leases
            if self.newest.get((number, lease.entity_key)) is not claim
        }
        before = read_entities(self.store, fenced) if fenced else []
        self.given = claim
        self.drain()
        if fenced:
            self.figures.zombies += 1
            after = read_entities(self.store, fenced)
            assert after == before, f"I7: who came too late changed {before} into {after}"

    def drain(self) -> bool:
        """One round of a worker; was there anything to do?"""
        self.forget()
        found = drain_once(self.store, self.settings)
        self.figures.quanta += found is not None
        if self.taken is not None:
            self.register(self.taken)
        return found is not None

    def die_draining(self, moment: int) -> None:
        """A worker dies in the middle of a round; its claim may be woken later all the same."""
        self.forget()
        with dying(self.store, moment) as death:
            drain_once(self.store, self.settings)
        self.figures.deaths += death.is_dead
        if self.taken is not None and self.register(self.taken) and death.is_dead:
            self.claims.append(self.taken)

    def forget(self) -> None:
        """Nothing has been claimed in this round."""
        self.taken = None

    def register(self, claim: Claim) -> bool:
        """Note whose the entities are; False when the claim was never committed."""
        work = table_of(Work)
        number = claim.environment_id
        with snapshot(self.store) as connection:
            rows = connection.execute(
                select(work.c.entity_key, work.c.lease_token).where(work.c.environment_id == number)
            )
            tokens = {row.entity_key: row.lease_token for row in rows}
        if any(tokens.get(lease.entity_key, 0) < lease.token for lease in claim.leases):
            return False
        for lease in claim.leases:
            self.newest[number, lease.entity_key] = claim
        return True

    def give_back(self, place: int) -> None:
        """A worker is told to stop and lets go of its claim undone."""
        claim = self.claims.pop(place % len(self.claims))
        with transaction(self.store) as connection:
            release(connection, claim)

    def restart(self) -> None:
        """A worker starts: where one process has the database, that frees what others held."""
        held = self.list_leased()
        with transaction(self.store) as connection:
            start_epoch(connection)
        for key in held - self.list_leased():
            self.newest[key] = None

    def list_leased(self) -> set[tuple[int, str]]:
        """The entities that somebody holds, or held when he died."""
        work = table_of(Work)
        with snapshot(self.store) as connection:
            rows = connection.execute(
                select(work.c.environment_id, work.c.entity_key).where(
                    work.c.lease_until.is_not(None)
                ),
                execution_options=CROSSING,
            )
            return {(number, entity_key) for number, entity_key in rows}

    def settle(self) -> None:
        """Workers work until they find nothing to do; what waits then has a reason."""
        self.drain_all()
        held = {
            (claim.environment_id, lease.entity_key)
            for claim in self.claims
            for lease in claim.leases
            if self.newest.get((claim.environment_id, lease.entity_key)) is claim
        }
        check_waiting(self.store, held, self.ever_poisoned, now=now())

    def drain_all(self) -> None:
        """Work until there is nothing to do."""
        for _ in range(_MOST_ROUNDS):
            if not self.drain():
                return
        raise AssertionError("I1: the work does not end")

    # Mischief and repair

    def pass_time(self, seconds: int) -> None:
        """The clock moves on, or jumps to either side."""
        self.clock.shift(timedelta(seconds=seconds))

    def sweep(self) -> None:
        """I6: the sweeper finds nothing to repair."""
        found = sweep_all(self.store)
        assert found == 0, f"I6: the sweeper had to repair {found} entities"

    def lose_mark(self, place: int) -> None:
        """Behind everybody's back a work row forgets what waits; the sweeper repairs that."""
        work, number = table_of(Work), self.numbers[place]
        with transaction(self.store) as connection:
            lost = self.list_pending(connection, number)[:1]
            connection.execute(
                update(work)
                .where(work.c.environment_id == number, work.c.entity_key.in_(lost))
                .values(done_seq=work.c.dirty_seq)
            )
        found = sweep_all(self.store)
        assert found == len(lost), f"I6: the sweeper repaired {found} of {len(lost)}"
        self.newest.update(((number, name), None) for name in lost)

    def list_pending(self, connection: Connection, number: int) -> list[str]:
        """The entities of an environment that something waits for."""
        event = table_of(Event)
        rows = connection.execute(
            select(event.c.entity_key)
            .where(event.c.environment_id == number, event.c.disposition == PENDING)
            .distinct()
            .order_by(event.c.entity_key)
        )
        return list(rows.scalars())

    def poison(self, place: int, pick: int) -> None:
        """From now on an entity of an environment cannot be folded; at most one each."""
        number = self.numbers[place]
        with snapshot(self.store) as connection:
            names = self.list_pending(connection, number)
        if names:
            self.poisoned[number] = names[pick % len(names)]
            self.ever_poisoned.add((number, self.poisoned[number]))

    def cure(self, place: int) -> None:
        """Everything can be folded again; what died of it is tried again."""
        number, event = self.numbers[place], table_of(Event)
        self.poisoned.pop(number, None)
        with transaction(self.store) as connection:
            dead = list(
                connection.execute(
                    select(event.c.entity_key).where(
                        event.c.environment_id == number, event.c.disposition == DEAD
                    )
                ).scalars()
            )
            redrive_dead(connection, number, DeadScope(), actor="tests", now=now())
        self.figures.buried += len(dead)
        self.newest.update(((number, name), None) for name in dead)

    def ask_rebuild(self, place: int) -> None:
        """An operator asks for a rebuild; workers do it in the bulk lane."""
        with transaction(self.store) as connection:
            request_rebuild(connection, self.numbers[place], RebuildScope(), asked_by="tests")
        self.figures.rebuilds += 1

    # The end

    def finish(self) -> None:
        """All causes are gone: everything settles, and the projections are the fold of the set."""
        for place in range(len(self.numbers)):
            self.cure(place)
        self.pass_time(86_800)
        for number in self.numbers:
            rest = [part for part in self.universe if part.identity not in self.sent[number]]
            self.accept(number, rest)
        reference = self.open("reference")
        self.accept(reference, self.universe[::-1])
        self.drain_all()
        self.sweep()
        self.check()
        check_settled(self.store, self.numbers)
        compare_folds(self.store, self.numbers, reference)
        while self.claims:
            self.wake(0)
        self.check()

    def check_rebuild(self, place: int) -> None:
        """I17: a rebuild changes nothing, and gives back what was dropped."""
        number = self.numbers[place]
        rows = read_projections(self.store, number, known=False)
        told = rebuild_all(self.store, number)
        changed = [told[name] for name in ("rows_added", "rows_changed", "rows_removed")]
        assert changed == [0, 0, 0], f"I17: the rebuild changed {changed} rows"
        drop_projections(self.store, number)
        rebuild_all(self.store, number)
        assert read_projections(self.store, number, known=False) == rows, "I17: other rows"
        self.figures.rebuilds += 2

    # Between the worker and the queue

    def hand_over(self, connection: Connection, *, now: datetime) -> Claim | None:
        """The claim of a round: the one that a worker slept on, or a new one."""
        given, self.given = self.given, None
        if given is None:
            self.taken = claim_turn(connection, now=now)
        self.at_work = given or self.taken
        return self.at_work

    def fold(self, entity_key: str, entries: Sequence[Any]) -> Any:
        """Fold an entity, unless it is poisoned."""
        self.fail_if_poisoned(entity_key)
        return fold_entity(entity_key, entries)

    def extend(self, before: Before, entries: Sequence[Any]) -> Any:
        """Go on from a stored fold, unless the entity is poisoned."""
        self.fail_if_poisoned(entries[0].entity_key)
        return extend_entity(before, entries)

    def fail_if_poisoned(self, entity_key: str) -> None:
        """What a fault in a fold does."""
        assert self.at_work is not None
        if self.poisoned.get(self.at_work.environment_id) == entity_key:
            raise ValueError("poison")


@dataclass(slots=True)
class Stage:
    """Where runs take place one after the other, on one store."""

    store: Store
    clock: time_machine.Traveller
    figures: Figures = field(default_factory=Figures)
    world: QueueWorld | None = None

    def begin(self, seed: int) -> QueueWorld:
        """A new run on the emptied store."""
        self.world = QueueWorld(self.store, self.figures, self.clock, seed)
        return self.world

    def now_playing(self) -> QueueWorld:
        """The run that is on."""
        assert self.world is not None
        return self.world


@contextmanager
def queue_stage(store: Store) -> Iterator[Stage]:
    """Let runs come between workers, queue and folds; small quanta of rebuilds, few attempts."""
    with time_machine.travel(BEGIN, tick=False) as clock, pytest.MonkeyPatch.context() as patch:
        stage = Stage(store, clock)
        patch.setattr(drain, "claim_turn", lambda *a, **k: stage.now_playing().hand_over(*a, **k))
        patch.setattr(drain, "fold_entity", lambda *a: stage.now_playing().fold(*a))
        patch.setattr(drain, "extend_entity", lambda *a: stage.now_playing().extend(*a))
        patch.setattr(project, "MAX_ATTEMPTS", _ATTEMPTS)
        patch.setattr(rebuild, "QUANTUM_ENTITIES", 2)
        yield stage


def read_times(store: Store) -> dict[int, int]:
    """The virtual time of each environment, and of the house under 0."""
    turn, scheduler = table_of(Turn), table_of(Scheduler)
    with snapshot(store) as connection:
        rows = connection.execute(
            select(turn.c.environment_id, turn.c.vtime), execution_options=CROSSING
        )
        times = {row.environment_id: row.vtime for row in rows}
        return {0: connection.execute(select(scheduler.c.vnow)).scalar() or 0, **times}


def empty_store(store: Store) -> None:
    """Delete every row."""
    with schema_transaction(store) as connection:
        for table in reversed(SQLModel.metadata.sorted_tables):
            connection.execute(delete(table))


@contextmanager
def quick_store() -> Iterator[Store]:
    """A store on SQLite with the whole schema."""
    with tempfile.TemporaryDirectory(prefix="fc") as folder:
        store = open_store(f"sqlite:///{folder}/quick.db")
        with schema_transaction(store) as connection:
            SQLModel.metadata.create_all(connection)
        try:
            yield store
        finally:
            close_store(store)
