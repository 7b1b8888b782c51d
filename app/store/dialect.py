"""All that differs between SQLite and PostgreSQL: connections, time limits and bulk writes."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from time import monotonic
from typing import Any

import psycopg
from sqlalchemy import Connection, Table, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from app.base.clock import format_time
from app.store.aggregates import add_aggregates
from app.store.arithmetic import add_arithmetic
from app.store.folding import add_folding
from app.store.guard import CROSSING_OPTION, GuardedText
from app.store.spans import add_spans

WRITE_OPTION = "fullcount_write"
FLEETING_OPTION = "fullcount_fleeting"
DRIVER_ERRORS = (sqlite3.Error, psycopg.Error)
BUSY_ERRORS = (sqlite3.OperationalError, psycopg.OperationalError)


# Connections


def engine_arguments(database_url: str) -> dict[str, Any]:
    """How the engine of this URL is made."""
    if make_url(database_url).get_backend_name() == "sqlite":
        return {"connect_args": {"check_same_thread": False}, "pool_size": 16, "max_overflow": 16}
    return {"pool_size": 16, "max_overflow": 16, "pool_pre_ping": True}


def prepare_connection(raw: Any, _record: Any) -> None:
    """Set a new connection up; SQLAlchemy's `connect` event."""
    if not hasattr(raw, "create_function"):
        return
    # pysqlite would open no transaction for a SELECT: we say BEGIN ourselves.
    raw.isolation_level = None
    add_aggregates(raw)
    add_arithmetic(raw)
    add_folding(raw)
    add_spans(raw)
    cursor = raw.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=5000",
        "wal_autocheckpoint=20000",
        "cache_size=-65536",
        "mmap_size=1073741824",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def begin_transaction(connection: Connection) -> None:
    """Open the transaction that was asked for; SQLAlchemy's `begin` event.

    A fleeting one is as atomic as any, but its commit does not wait for the disk.
    """
    options = connection.get_execution_options()
    raw: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        if options.get(FLEETING_OPTION):
            raw.execute("PRAGMA synchronous=NORMAL")
        raw.execute("BEGIN IMMEDIATE" if options.get(WRITE_OPTION) else "BEGIN")
    elif options.get(FLEETING_OPTION):
        raw.execute("SET LOCAL synchronous_commit = off")


def end_fleeting(connection: Connection) -> None:
    """Let commits of this connection wait for the disk again, unless the connection is gone."""
    if connection.dialect.name == "sqlite" and not connection.invalidated:
        raw: Any = connection.connection.dbapi_connection
        raw.execute("PRAGMA synchronous=FULL")


def limit_time(connection: Connection, limit_s: float | None) -> None:
    """Let no statement of this transaction run longer than this."""
    if limit_s is None:
        return
    if connection.dialect.name == "sqlite":
        _limit_sqlite(connection, limit_s)
        return
    connection.execute(
        text("SELECT set_config('statement_timeout', :ms, true)"),
        {"ms": str(int(limit_s * 1000))},
        execution_options={CROSSING_OPTION: "a setting of the connection"},
    )


def _limit_sqlite(connection: Connection, limit_s: float) -> None:
    deadline = monotonic() + limit_s
    raw: Any = connection.connection.dbapi_connection
    raw.set_progress_handler(lambda: int(monotonic() > deadline), 200_000)


def unlimit_time(connection: Connection, limit_s: float | None) -> None:
    """Take the limit off before the connection goes back to the pool."""
    if limit_s is not None and connection.dialect.name == "sqlite":
        raw: Any = connection.connection.dbapi_connection
        if raw is not None:
            raw.set_progress_handler(None, 0)


def says_timeout(cause: Any) -> bool:
    """Was the statement stopped by our time limit?"""
    return str(cause) == "interrupted" or getattr(cause, "sqlstate", None) == "57014"


def says_too_complex(cause: Any) -> bool:
    """Is the statement nested deeper than the database reads?"""
    words = str(cause)
    return (
        "parser stack overflow" in words
        or "Expression tree is too large" in words
        or getattr(cause, "sqlstate", None) == "54001"
    )


def says_out_of_range(cause: Any) -> bool:
    """Did a value of the question leave the range of its type?"""
    return str(getattr(cause, "sqlstate", None)).startswith("22") or (
        str(cause) == "integer overflow"
    )


def says_full(cause: Any) -> bool:
    """Is the disk full or read-only?"""
    words = str(cause)
    return (
        "disk is full" in words
        or "readonly database" in words
        or getattr(cause, "sqlstate", None) in {"53100", "25006"}
    )


def is_of_one_process(connection: Connection) -> bool:
    """Does one process have the database to itself? Its file is on this machine then."""
    return connection.dialect.name == "sqlite"


# Bulk writes: texts are built once, rows are tuples in the order of the columns


def insert_rows(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Insert new rows; on PostgreSQL by COPY."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        _copy_rows(connection, table, columns, rows)
        return
    statement = _insert_text(connection.dialect.name, table, tuple(columns), (), ())
    _run_many(connection, statement, rows)


def insert_missing(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    key: Sequence[str],
) -> None:
    """Insert the rows whose key is not there yet; leave the others as they are."""
    if rows:
        statement = _insert_text(connection.dialect.name, table, tuple(columns), tuple(key), ())
        _run_many(connection, statement, rows)


def upsert_rows(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    key: Sequence[str],
    update: Sequence[str],
    greatest: Sequence[str] = (),
    added: Sequence[str] = (),
    reckoned: Mapping[str, str] | None = None,
) -> None:
    """Insert rows; where the key is there, replace the columns of `update`.

    Columns of `greatest` keep the larger value, columns of `added` the sum, columns of `reckoned`
    what an expression makes of the old row, by the table's name, and the new one, `excluded`.
    """
    if not rows:
        return
    kind = connection.dialect.name
    largest = "MAX" if kind == "sqlite" else "GREATEST"
    sets = [f"{c} = excluded.{c}" for c in update]
    sets += [f"{c} = {largest}({table.name}.{c}, excluded.{c})" for c in greatest]
    sets += [f"{c} = {table.name}.{c} + excluded.{c}" for c in added]
    sets += [f"{c} = {expression}" for c, expression in (reckoned or {}).items()]
    statement = _insert_text(kind, table, tuple(columns), tuple(key), tuple(sets))
    _run_many(connection, statement, rows)


def update_rows(
    connection: Connection,
    table: Table,
    rows: Sequence[Sequence[Any]],
    *,
    update: Sequence[str],
    key: Sequence[str],
) -> None:
    """Update rows by key; each row holds the new values, then the key, environment first."""
    if rows:
        statement = _update_text(connection.dialect.name, table.name, tuple(update), tuple(key))
        _run_many(connection, statement, rows)


def _run_many(connection: Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    values = rows if connection.dialect.name == "postgresql" else _encode_rows(rows)
    connection.exec_driver_sql(statement, [tuple(row) for row in values])


def _encode_rows(rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return [tuple([format_time(v) if isinstance(v, datetime) else v for v in row]) for row in rows]


@lru_cache(maxsize=512)
def _insert_text(
    kind: str, table: Table, columns: tuple[str, ...], key: tuple[str, ...], sets: tuple[str, ...]
) -> str:
    if "environment_id" in table.c and "environment_id" not in columns:
        raise ValueError(f"rows of {table.name} need environment_id")
    mark = "?" if kind == "sqlite" else "%s"
    marks = ", ".join([mark] * len(columns))
    statement = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
    if key:
        action = f"DO UPDATE SET {', '.join(sets)}" if sets else "DO NOTHING"
        statement += f" ON CONFLICT ({', '.join(key)}) {action}"
    return GuardedText(statement)


@lru_cache(maxsize=512)
def _update_text(kind: str, table: str, update: tuple[str, ...], key: tuple[str, ...]) -> str:
    if key[0] != "environment_id":
        raise ValueError(f"rows of {table} are updated by environment first")
    mark = "?" if kind == "sqlite" else "%s"
    sets = ", ".join(f"{c} = {mark}" for c in update)
    wheres = " AND ".join(f"{c} = {mark}" for c in key)
    return GuardedText(f"UPDATE {table} SET {sets} WHERE {wheres}")  # noqa: S608


def _copy_rows(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    raw: Any = connection.connection.dbapi_connection
    command = f"COPY {table.name} ({', '.join(columns)}) FROM STDIN"
    try:
        with raw.cursor() as cursor, cursor.copy(command) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.IntegrityError as error:
        # As SQLAlchemy tells it for statements of its own.
        raise IntegrityError(command, None, error) from error
