"""Workers of other processes are woken: by NOTIFY on PostgreSQL, on SQLite not at all.

A signal may be lost; then a worker finds the work when it looks again by itself.
"""

from typing import Any

from sqlalchemy import Connection

from app.store.engine import Store
from app.store.guard import GuardedText

_CHANNEL = "fullcount_work"
_NOTIFY = GuardedText(f"NOTIFY {_CHANNEL}")
_LISTEN = GuardedText(f"LISTEN {_CHANNEL}")


def announce_work(connection: Connection) -> None:
    """Let the workers of all processes hear, at the commit, that there is work."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_NOTIFY)


def has_signals(store: Store) -> bool:
    """Can processes wake one another through this database?"""
    return store.dialect_name == "postgresql"


class Listener:
    """A connection of its own that hears when any process leaves work behind."""

    def __init__(self, store: Store) -> None:
        self._connection = store.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        # It belongs to no pool any more: closing it ends it, and with it the listening.
        self._connection.detach()
        self._connection.exec_driver_sql(_LISTEN)

    def hear(self, timeout_s: float) -> bool:
        """Wait for a signal, this long at most; was there one?

        Raises: whatever the driver says when the server is gone
        """
        raw: Any = self._connection.connection.dbapi_connection
        return any(True for _ in raw.notifies(timeout=timeout_s, stop_after=1))

    def close(self) -> None:
        """Listen no more."""
        self._connection.close()
