"""Values of this installation: the secret that signs tokens, made once and kept in the database."""

import hashlib
import secrets

from sqlalchemy import Connection, select

from app.base.config import Settings
from app.store.dialect import insert_missing
from app.store.engine import Store, snapshot, transaction
from app.store.tables.access import Instance
from app.store.tables.columns import table_of

_SECRET = "signing_secret"  # noqa: S105 - the name of a row


def signing_secret(connection: Connection, settings: Settings) -> bytes:
    """The secret that signs tokens: the configured one, else the kept one, made when absent.

    A connection that only reads needs `keep_secret` to have run before.
    """
    if settings.secret:
        return hashlib.sha256(settings.secret.encode()).digest()
    table = table_of(Instance)
    kept = select(table.c.value).where(table.c.name == _SECRET)
    value = connection.execute(kept).scalar_one_or_none()
    if value is None:
        made = (_SECRET, secrets.token_hex(32))
        insert_missing(connection, table, ("name", "value"), [made], key=("name",))
        value = connection.execute(kept).scalar_one()
    return bytes.fromhex(value)


def keep_secret(store: Store, settings: Settings) -> bytes:
    """The secret that signs tokens; a database without one is given one."""
    if not settings.secret:
        with snapshot(store) as connection:
            table = table_of(Instance)
            kept = select(table.c.value).where(table.c.name == _SECRET)
            value: str | None = connection.execute(kept).scalar_one_or_none()
        if value is not None:
            return bytes.fromhex(value)
    with transaction(store) as connection:
        return signing_secret(connection, settings)
