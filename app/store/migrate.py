"""The schema brought to the newest revision, and how far it is. Alembic is imported only here."""

import importlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

import app
from app.base.errors import SchemaBehind
from app.store.engine import Store, schema_transaction, snapshot

if TYPE_CHECKING:
    from alembic.config import Config

_CROSSING = {"across_environments": "the schema belongs to all environments"}


@dataclass(frozen=True, slots=True)
class SchemaState:
    """How far a database's schema is.

    current: its revision; None for a database without our tables
    head: the revision this program is written for
    """

    current: str | None
    head: str

    @property
    def is_current(self) -> bool:
        """Does the database fit this program?"""
        return self.current == self.head


def migrate_store(store: Store) -> SchemaState:
    """Bring the schema to the head, all steps in one transaction, and say where it was before."""
    before = read_schema(store)
    if not before.is_current:
        command = importlib.import_module("alembic.command")
        with schema_transaction(store) as connection:
            config = _alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return before


def read_schema(store: Store) -> SchemaState:
    """How far the schema is.

    Raises: StoreBusy, when the database cannot be reached
    """
    with snapshot(store) as connection:
        return SchemaState(_current_revision(connection), head_revision())


def require_schema(store: Store) -> None:
    """Refuse a database whose schema does not fit this program.

    Raises: SchemaBehind
    """
    state = read_schema(store)
    if not state.is_current:
        raise SchemaBehind(
            f"the database is at revision {state.current or 'none'}, not at {state.head}",
            hint="Run: fullcount migrate",
        )


@cache
def head_revision() -> str:
    """The newest revision this program brings along."""
    script = importlib.import_module("alembic.script")
    return str(script.ScriptDirectory.from_config(_alembic_config()).get_current_head())


def _current_revision(connection: Connection) -> str | None:
    migration = importlib.import_module("alembic.runtime.migration")
    crossing = connection.execution_options(**_CROSSING)
    revision: str | None = migration.MigrationContext.configure(crossing).get_current_revision()
    return revision


def _alembic_config() -> "Config":
    """A configuration without a file: a wheel carries app/migrations, a checkout alembic/."""
    package = Path(app.__file__).parent
    inside = package / "migrations"
    config: Config = importlib.import_module("alembic.config").Config()
    config.set_main_option("path_separator", "os")
    place = inside if inside.is_dir() else package.parent / "alembic"
    config.set_main_option("script_location", str(place).replace("%", "%%"))
    return config
