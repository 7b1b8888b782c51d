"""Migrations lead an empty database of either kind to exactly what the models say, forward only."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlmodel import SQLModel

from app.store.engine import Store, close_store, open_store, schema_transaction
from app.store.migrate import migrate_store

ROOT = Path(__file__).resolve().parents[2]
VERSION_TABLE = "alembic_version"


@pytest.fixture
def empty_store(database_url: str) -> Iterator[Store]:
    """An open store without a single table, on each database in turn."""
    opened = open_store(database_url)
    yield opened
    close_store(opened)


def alembic_config() -> Config:
    """Alembic as an operator at the root of the project would call it."""
    return Config(ROOT / "alembic.ini")


def describe_schema(connection: Connection) -> dict[str, Any]:
    """All that the database itself says of its tables: columns in order, keys, checks, indexes."""
    inspector = inspect(connection)
    return {
        table: {
            "columns": [
                (c["name"], str(c["type"]), c["nullable"], c["default"])
                for c in inspector.get_columns(table)
            ],
            "primary key": inspector.get_pk_constraint(table),
            "foreign keys": by_name(inspector.get_foreign_keys(table)),
            "unique": by_name(inspector.get_unique_constraints(table)),
            "checks": by_name(inspector.get_check_constraints(table)),
            "indexes": by_name(inspector.get_indexes(table)),
        }
        for table in inspector.get_table_names()
        if table != VERSION_TABLE
    }


def by_name(constraints: Any) -> list[str]:
    """Constraints in an order that does not depend on when they were made."""
    return sorted(spell(constraint) for constraint in constraints)


def spell(part: Any) -> str:
    """One text for equal descriptions, whatever objects they hold."""
    if isinstance(part, dict):
        return str({key: spell(value) for key, value in sorted(part.items())})
    return str(part)


def test_the_head_equals_the_models(empty_store: Store) -> None:
    migrate_store(empty_store)
    with schema_transaction(empty_store) as connection:
        migrated = describe_schema(connection)
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, SQLModel.metadata) == []
        SQLModel.metadata.drop_all(connection)
        assert describe_schema(connection) == {}
        SQLModel.metadata.create_all(connection)
        modelled = describe_schema(connection)

    assert set(migrated) == {table.name for table in SQLModel.metadata.tables.values()}
    assert migrated == modelled


def test_migrating_again_changes_nothing(empty_store: Store) -> None:
    migrate_store(empty_store)
    with schema_transaction(empty_store) as connection:
        before = describe_schema(connection)
    assert migrate_store(empty_store).is_current
    with schema_transaction(empty_store) as connection:
        assert describe_schema(connection) == before


def test_a_migration_that_fails_leaves_nothing_behind(empty_store: Store) -> None:
    def fail_after_all_steps() -> None:
        config = alembic_config()
        with schema_transaction(empty_store) as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            assert len(inspect(connection).get_table_names()) > 1
            raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        fail_after_all_steps()
    with schema_transaction(empty_store) as connection:
        assert inspect(connection).get_table_names() == []


def test_two_migrators_at_once_both_succeed(empty_store: Store, database_url: str) -> None:
    order = [sys.executable, "-m", "alembic", "-x", f"url={database_url}", "upgrade", "head"]
    running = [
        subprocess.Popen(order, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    with schema_transaction(empty_store) as connection:
        assert VERSION_TABLE in inspect(connection).get_table_names()


def test_each_migration_has_a_date_and_a_sentence_and_no_way_back() -> None:
    steps = list(ScriptDirectory.from_config(alembic_config()).walk_revisions())
    assert steps
    for step in steps:
        assert re.fullmatch(r"\d{4}_\d\d_\d\d_[a-z0-9_]+\.py", Path(step.path).name)
        assert step.doc.endswith(".")
        assert not hasattr(step.module, "downgrade")


def test_there_is_one_head_and_one_beginning() -> None:
    script = ScriptDirectory.from_config(alembic_config())
    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1


def test_the_models_hold_no_name_too_long_for_postgresql() -> None:
    names = []
    for table in SQLModel.metadata.tables.values():
        names += [table.name, *(str(constraint.name) for constraint in table.constraints)]
        names += [str(index.name) for index in table.indexes]
    assert [name for name in names if len(name) > 63] == []
