"""SQLite and PostgreSQL tell the same: one random story, the same projections and fates."""

import os
from random import Random
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from app.base.config import Settings
from app.intake.accept import accept_items
from app.processing.drain import drain_all, drain_once
from app.processing.sweep import sweep_all
from app.store.engine import Store, close_store, open_store, snapshot
from app.store.tables import Event
from app.store.tables.columns import table_of
from tests.builders import a_database, an_event
from tests.projections import a_sending_environment, read_projections, rebuild
from tests.property.queue_events import spell_universe
from tests.property.queue_world import BEGIN, quick_store
from tests.rebuild_story import STORY

SCRIPTS = max(int(os.environ.get("FULLCOUNT_TEST_RUNS", "500")) // 80, 1)
DATABASES = os.environ.get("FULLCOUNT_TEST_DATABASES", "sqlite,postgresql").split(",")


@pytest.mark.skipif(len(DATABASES) < 2, reason="one database has nobody to agree with")
def test_the_same_script_gives_the_same_rows_on_both_databases(
    postgres_url: str, postgres_template: str, settings: Settings
) -> None:
    with (
        time_machine.travel(BEGIN, tick=False),
        a_database(postgres_url, template=postgres_template) as url,
        quick_store() as one,
    ):
        other = open_store(url)
        for seed in range(SCRIPTS):
            told, repeated = (play_script(store, settings, seed) for store in (one, other))
            assert told == repeated, f"script {seed}"
            assert len(told[0]) > len(STORY)
            assert all(told[1].values())
        close_store(other)


def play_script(store: Store, settings: Settings, seed: int) -> tuple[list[Any], Any]:
    """Deliveries in no order, some of them twice, with rounds of work between; what there is then,
    before and after a rebuild.
    """
    chance = Random(seed)
    environment_id = a_sending_environment(store, f"script{seed}")
    items = _spell_events(chance)
    chance.shuffle(items)
    while items:
        share, items = items[:6], items[chance.randint(3, 6) :]
        accept_items(store, settings, environment_id=environment_id, items=share)
        for _ in range(chance.randint(0, 2)):
            drain_once(store, settings)
    drain_all(store, settings)
    assert sweep_all(store) == 0
    rows = read_projections(store, environment_id)
    changes = rebuild(store, environment_id)
    assert (changes["rows_added"], changes["rows_changed"], changes["rows_removed"]) == (0, 0, 0)
    return _read_fates(store, environment_id), rows


def _spell_events(chance: Random) -> list[Any]:
    """Events of every kind, and a good many about few entities."""
    told = [
        an_event(chance.randrange(600), id=f"s{number}", type=kind, data=dict(data))
        for number, (kind, data) in enumerate(STORY)
    ]
    few = [dict(sent.item) | {"source": "lms"} for sent in spell_universe(chance, 40)]
    return told + [event | {"id": f"f{number}"} for number, event in enumerate(few)]


def _read_fates(store: Store, environment_id: int) -> list[Any]:
    event = table_of(Event)
    columns = event.c.seq, event.c.event_id, event.c.disposition, event.c.winner_seq
    with snapshot(store) as connection:
        rows = connection.execute(
            select(*columns).where(event.c.environment_id == environment_id).order_by(event.c.seq)
        )
        return [tuple(row) for row in rows]
