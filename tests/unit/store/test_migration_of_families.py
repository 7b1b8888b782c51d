"""The migration of all event families: rows of before survive it, and are folded anew."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import select

from app.store.dialect import insert_rows
from app.store.engine import Store, close_store, open_store, schema_transaction
from app.store.tables import Environment, Progress
from app.store.tables.columns import table_of
from tests.builders import NOON

ROOT = Path(__file__).resolve().parents[3]
ADDED = (
    "stepped_at", "parts_s", "signoffs_pending", "activity_s", "activities_count", "block_from_s",
    "block_until_s", "open_seq", "open_until_s", "open_counted_s",
)  # fmt: skip


@pytest.fixture
def empty_store(database_url: str) -> Iterator[Store]:
    """An open store without a single table, on each database in turn."""
    opened = open_store(database_url)
    yield opened
    close_store(opened)


def upgrade(store: Store, revision: str) -> None:
    config = Config(ROOT / "alembic.ini")
    with schema_transaction(store) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_an_assignment_of_before_is_kept_and_waits_for_a_whole_fold(empty_store: Store) -> None:
    upgrade(empty_store, "first_light")
    progress = table_of(Progress)
    row: dict[str, Any] = {
        "environment_id": 1, "assignment_id": 7, "learner_key": "u1", "module_key": "m1",
        "series_key": "", "cycle": 1, "status": "completed", "percent_complete": 100.0,
        "mandatory": True, "implicit": False, "attempts": 2, "points": 0.0, "time_spent_s": 5,
        "parts_done": 0, "events_count": 3, "last_occurred_at": NOON, "last_sequence": 0,
        "last_event_id": "e1", "revision": 4, "changed_at": NOON, "is_deleted": False,
    }  # fmt: skip
    environment: dict[str, Any] = {
        "environment_id": 1, "environment_key": "acme", "name": "Acme", "timezone": "UTC",
        "weight": 1, "last_seq": 0, "last_revision": 4, "created_at": NOON,
    }  # fmt: skip
    with schema_transaction(empty_store) as connection:
        for table, told in ((table_of(Environment), environment), (progress, row)):
            insert_rows(connection, table, tuple(told), [tuple(told.values())])
    upgrade(empty_store, "all_families")

    with schema_transaction(empty_store) as connection:
        found = connection.execute(
            select(*[progress.c[name] for name in (*row, *ADDED)]).where(
                progress.c.environment_id == 1
            )
        ).one()
    kept = dict(found._mapping)
    assert {name: kept[name] for name in row} == row
    assert [kept[name] for name in ADDED] == [None, 0, 0, 0, 0, None, None, None, None, 0]
