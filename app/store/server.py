"""What a database says of itself: kind, version, clock, and whether a commit survives a crash."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from app.base.clock import now
from app.store.engine import Store, snapshot
from app.store.guard import GuardedText


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The database as it answers.

    durability_fault: what would let a committed event be lost, if anything
    now_at: its own clock
    """

    kind: str
    version: str
    durability_fault: str | None
    now_at: datetime


def read_server(store: Store) -> ServerFacts:
    """Ask the database about itself.

    Raises: StoreBusy, when it cannot be reached
    """
    with snapshot(store) as connection:
        version = ".".join(map(str, connection.dialect.server_version_info or ()))
        if store.dialect_name == "sqlite":
            fault = _sqlite_fault(connection)
            return ServerFacts("SQLite", version, fault, now())
        moment: datetime = _ask(connection, "SELECT clock_timestamp()")
        return ServerFacts("PostgreSQL", version, _postgres_fault(connection), moment)


def folder_fault(database_url: str) -> str | None:
    """Why SQLite could not write beside its file: it needs its log there. None on a server."""
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    file = Path(url.database)
    probe = file.parent / f".{file.name}.probe"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        return f"the folder of {file.name} cannot be written: {error.strerror}"
    return None


def _sqlite_fault(connection: Connection) -> str | None:
    level = int(_ask(connection, "PRAGMA synchronous"))
    return None if level >= 2 else "synchronous is not FULL"


def _postgres_fault(connection: Connection) -> str | None:
    if _ask(connection, "SHOW fsync") != "on":
        return "fsync is off"
    if _ask(connection, "SHOW full_page_writes") != "on":
        return "full_page_writes is off"
    return None


def _ask(connection: Connection, question: str) -> Any:
    """One value about the server itself; no environment's table is read."""
    return connection.exec_driver_sql(GuardedText(question)).scalar_one()
