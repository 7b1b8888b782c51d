"""Every heartbeat goes through the fair queue, under the same entity key in all environments."""

from datetime import datetime, timedelta

from sqlalchemy import select

from app.base.config import Settings
from app.ledger.books import read_books
from app.processing.drain import drain_all
from app.processing.sweep import sweep_all
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Work
from app.store.tables.columns import table_of
from app.store.work import canary_waits_since, mark_canary
from tests.builders import NOON, an_environment


def beat(store: Store, environment_id: int, now: datetime) -> None:
    with transaction(store) as connection:
        mark_canary(connection, environment_id, now=now)


def waits_since(store: Store, environment_id: int) -> datetime | None:
    with snapshot(store) as connection:
        return canary_waits_since(connection, environment_id)


def test_heartbeats_of_all_environments_come_through_the_queue(
    store: Store, settings: Settings
) -> None:
    first, second = an_environment(store), an_environment(store, "other")
    for environment_id in (first, second, first):
        beat(store, environment_id, NOON)
    assert waits_since(store, first) == waits_since(store, second) == NOON
    assert drain_all(store, settings).entity_count == 2
    assert waits_since(store, first) is None
    assert waits_since(store, second) is None
    work = table_of(Work)
    with snapshot(store) as connection:
        keys = [
            connection.execute(
                select(work.c.entity_key).where(work.c.environment_id == environment_id)
            ).scalar_one()
            for environment_id in (first, second)
        ]
    assert keys[0] == keys[1]


def test_a_canary_of_one_environment_is_not_settled_by_that_of_another(
    store: Store, settings: Settings
) -> None:
    first, second = an_environment(store), an_environment(store, "other")
    beat(store, first, NOON)
    drain_all(store, settings)
    beat(store, second, NOON + timedelta(minutes=1))
    assert waits_since(store, first) is None
    assert waits_since(store, second) == NOON + timedelta(minutes=1)


def test_what_waits_is_as_old_as_its_first_heartbeat(store: Store) -> None:
    environment_id = an_environment(store)
    beat(store, environment_id, NOON)
    beat(store, environment_id, NOON + timedelta(minutes=1))
    assert waits_since(store, environment_id) == NOON


def test_a_canary_is_in_no_book_and_the_sweep_finds_nothing(
    store: Store, settings: Settings
) -> None:
    environment_id = an_environment(store)
    beat(store, environment_id, NOON)
    drain_all(store, settings)
    with snapshot(store) as connection:
        books = read_books(connection, environment_id)
    assert (books.total("received"), books.revision, books.is_balanced) == (0, 0, True)
    assert sweep_all(store) == 0
