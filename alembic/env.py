"""How migrations reach a database: the caller's connection, `-x url=`, or the settings' database.

One transaction over all steps, on SQLite too, and one migrator at a time. Forward only.
"""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeEngine
from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import AutoString

import app.store.tables  # noqa: F401 - fills the metadata
from app.base.config import Settings
from app.store.tables.columns import Long
from app.store.tables.past import create_triggers, drop_triggers

MIGRATION_LOCK = 4_211_965  # any number, as long as nobody else takes it


def render_type(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Spell the house's own column types by their names, with an import, and text plainly."""
    if kind != "type" or not isinstance(item, TypeEngine):
        return False
    if isinstance(item, AutoString):
        return f"sa.String(length={item.length})" if item.length else "sa.String()"
    if item is Long:
        autogen.imports.add("from app.store.tables.columns import Long")
        return "Long"
    home, name = type(item).__module__, type(item).__name__
    if home.startswith("app."):
        autogen.imports.add(f"from {home} import {name}")
        return f"{name}()"
    return False


def begin_at_once(connection: Connection) -> None:
    """Make SQLite's DDL part of the transaction, which the driver would not; wait for others."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def run_on(connection: Connection) -> None:
    """Bring this database to the head; it fails rather than stand in the way of readers."""
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=True,
        render_item=render_type,
        compare_type=True,
        compare_server_default=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        # Off while tables change, then on again for the columns that there are now.
        drop_triggers(connection)
        context.run_migrations()
        create_triggers(connection)


def run_by_url(url: str) -> None:
    """Open the database, bring it to the head, close it."""
    engine = create_engine(url, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
        event.listen(engine, "begin", begin_at_once)
    with engine.connect() as connection:
        run_on(connection)


given = context.config.attributes.get("connection")
if context.is_offline_mode():
    raise SystemExit("Migrations read the database they change: there is no offline mode.")
if given is None:
    run_by_url(context.get_x_argument(as_dictionary=True).get("url") or Settings().database_url)
else:
    run_on(given)
