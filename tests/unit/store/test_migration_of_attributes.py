"""The migration of custom attributes: what learners of before have told becomes typed fields."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config

from app.query.attributes import read_definitions
from app.store.dialect import insert_rows
from app.store.engine import Store, close_store, open_store, schema_transaction, snapshot
from app.store.tables import Environment, Learner
from app.store.tables.columns import table_of
from tests.builders import NOON

ROOT = Path(__file__).resolve().parents[3]


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


def test_attributes_of_before_get_the_type_of_their_values(empty_store: Store) -> None:
    upgrade(empty_store, "rebuilds")
    environments: list[dict[str, Any]] = [
        {
            "environment_id": n, "environment_key": f"e{n}", "name": f"E {n}", "timezone": "UTC",
            "weight": 1, "last_seq": 0, "last_revision": 4, "created_at": NOON,
        }
        for n in (1, 2)
    ]  # fmt: skip
    told = ((1, '{"level":3,"grade":"A"}'), (1, '{"level":"x"}'), (1, "{}"), (2, '{"level":4}'))
    learners: list[dict[str, Any]] = [
        {
            "environment_id": environment_id, "learner_key": f"u{n}", "learner_id": n,
            "status": "active", "known": True, "attributes": attributes, "events_count": 1,
            "revision": n, "changed_at": NOON, "is_deleted": False,
        }
        for n, (environment_id, attributes) in enumerate(told, start=1)
    ]  # fmt: skip
    with schema_transaction(empty_store) as connection:
        for table, rows in ((table_of(Environment), environments), (table_of(Learner), learners)):
            columns = tuple(name for name in rows[0] if name in table.c)
            insert_rows(
                connection, table, columns, [[row[name] for name in columns] for row in rows]
            )
    upgrade(empty_store, "learner_attributes")

    with snapshot(empty_store) as connection:
        assert read_definitions(connection, 1) == (("grade", "text"), ("level", "text"))
        assert read_definitions(connection, 2) == (("level", "number"),)
