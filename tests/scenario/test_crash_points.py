"""A process dies at each commit of a story in turn, just before it or just after; nothing differs.

After each death another one starts, its source sends again what was not acknowledged, and the story
goes on. Figures are printed with `-s`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from app.base.config import Settings
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.ledger.books import recount_books
from app.processing.drain import drain_all, drain_once
from app.processing.queue import start_epoch
from app.processing.sweep import sweep_all
from app.processing.turns import LEASE
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Event
from app.store.tables.columns import table_of
from tests.builders import an_environment
from tests.dying import dying_at_commit
from tests.projections import read_projections
from tests.property.queue_events import SOURCES, spell_universe
from tests.property.queue_world import BEGIN, empty_store, quick_store

EVENTS, BATCH = 300, 25
# Each commit on SQLite; on PostgreSQL, where each costs more, one of so many.
_EVERY = {"sqlite": 1, "postgresql": 6}


@pytest.fixture
def swept(request: pytest.FixtureRequest, store: Store) -> Iterator[Store]:
    """An empty store, which on SQLite need not wait for a disk."""
    if store.dialect_name != "sqlite":
        yield store
        return
    with quick_store() as quick:
        yield quick


@dataclass(slots=True)
class Story:
    """Deliveries of two environments, a round of work after each, and work to the end.

    commits: those it has when nobody dies
    """

    store: Store
    settings: Settings
    clock: time_machine.Traveller
    commits: int = 0

    def tell(self, number: int | None, *, after: bool) -> list[Any]:
        """Tell it from the beginning, with a death at this commit; give all that is stored."""
        empty_store(self.store)
        self.clock.move_to(BEGIN)
        numbers = [self._open(name) for name in ("one", "two")]
        items = [sent.item for sent in spell_universe(Random(7), EVENTS // 2)]
        batches = [items[i : i + BATCH] for i in range(0, len(items), BATCH)]
        acts = [(place, batch) for batch in batches for place in numbers]
        done = 0
        with dying_at_commit(self.store, number, after=after) as death:
            for place, batch in acts:
                self._act(place, batch)
                done += 1
            drain_all(self.store, self.settings)
        assert death.is_dead == (number is not None)
        self.commits = death.moments
        if death.is_dead:
            self._start_again()
            for place, batch in acts[done:]:
                self._act(place, batch)
            drain_all(self.store, self.settings)
        return [self._look(place) for place in numbers]

    def _open(self, name: str) -> int:
        number = an_environment(self.store, name)
        with transaction(self.store) as connection:
            for source in SOURCES:
                add_source(connection, number, source_key=source)
        return number

    def _act(self, place: int, batch: Any) -> None:
        accept_items(self.store, self.settings, environment_id=place, items=batch)
        drain_once(self.store, self.settings)

    def _start_again(self) -> None:
        """What the dead one held is free at once, or when its lease has expired."""
        with transaction(self.store) as connection:
            freed_count = start_epoch(connection)
        assert freed_count == 0 or self.store.dialect_name == "sqlite"
        if self.store.dialect_name != "sqlite":
            self.clock.shift(LEASE + timedelta(seconds=1))
        assert sweep_all(self.store) == 0

    def _look(self, place: int) -> Any:
        """The projections and the journal of an environment; its books balance."""
        event = table_of(Event)
        columns = event.c.seq, event.c.source_id, event.c.event_id
        with snapshot(self.store) as connection:
            assert recount_books(connection, place) == []
            journal = connection.execute(
                select(*columns, event.c.disposition, event.c.winner_seq)
                .where(event.c.environment_id == place)
                .order_by(event.c.seq)
            ).all()
        rows = read_projections(self.store, place, known=False)
        return [tuple(row) for row in journal], rows


def test_a_death_at_any_commit_leaves_no_trace(swept: Store, settings: Settings) -> None:
    every = _EVERY[swept.dialect_name]
    with time_machine.travel(BEGIN, tick=False) as clock:
        story = Story(swept, settings, clock)
        undisturbed = story.tell(None, after=False)
        commits = story.commits
        assert sum(len(journal) for journal, _ in undisturbed) == EVENTS
        for number in range(1, commits + 1, every):
            for after in (False, True):
                assert story.tell(number, after=after) == undisturbed, (number, after)
    print(  # noqa: T201  (the figures of docs/reliability.md, shown by `pytest -s`)
        f"\n{swept.dialect_name}: {EVENTS} events, {commits} commits, "
        f"{2 * len(range(1, commits + 1, every))} deaths; differences 0"
    )
