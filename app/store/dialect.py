"""All that differs between SQLite and PostgreSQL: connections, time limits and bulk writes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from itertools import chain
from math import isfinite
from time import monotonic
from typing import Any

import orjson
import psycopg
from sqlalchemy import Column, Connection, Float, String, Table, Text, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from app.base.clock import format_time
from app.store.addresses import add_addresses
from app.store.aggregates import add_aggregates
from app.store.arithmetic import add_arithmetic
from app.store.casts import add_casts
from app.store.folding import add_folding
from app.store.guard import CROSSING_OPTION, GuardedText
from app.store.json_fields import add_json_fields
from app.store.spans import add_spans
from app.store.tables.columns import UtcDateTime

WRITE_OPTION = "fullcount_write"
FLEETING_OPTION = "fullcount_fleeting"
READ_OPTION = "fullcount_read"


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
    add_addresses(raw)
    add_aggregates(raw)
    add_arithmetic(raw)
    add_casts(raw)
    add_folding(raw)
    add_json_fields(raw)
    add_spans(raw)
    cursor = raw.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=5000",
        "wal_autocheckpoint=20000",
        "cache_size=-65536",
        "mmap_size=2147418112",  # The most that SQLite maps.
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
        if options.get(READ_OPTION):
            return  # The snapshot said it.
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


def is_of_one_process(connection: Connection) -> bool:
    """Does one process have the database to itself? Its file is on this machine then."""
    return connection.dialect.name == "sqlite"


def finds_by_place(connection: Connection) -> bool:
    """Are rows found again sooner where they stand in a small index than by their key in that of
    a large table? Where looking up costs what the pages cost that it walks.
    """
    return connection.dialect.name == "sqlite"


# Bulk writes: texts are built once, rows are tuples in the order of the columns. SQLite takes them
# row by row; PostgreSQL takes all of them as one JSON text, in one statement


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
    _run_many(connection, statement, rows, table=table, columns=columns)


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
        _run_many(connection, statement, rows, table=table, columns=columns)


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
    for part in _parts_by_key(connection, columns, rows, key):
        _run_many(connection, statement, part, table=table, columns=columns)


def update_rows(
    connection: Connection,
    table: Table,
    rows: Sequence[Sequence[Any]],
    *,
    update: Sequence[str],
    key: Sequence[str],
) -> None:
    """Update rows by key; each row holds the new values, then the key, environment first."""
    if not rows:
        return
    columns = (*update, *key)
    statement = _update_text(connection.dialect.name, table, tuple(update), tuple(key))
    for part in _parts_by_key(connection, columns, rows, key):
        _run_many(connection, statement, part, table=table, columns=columns)


def _parts_by_key(
    connection: Connection,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    key: Sequence[str],
) -> Iterator[Sequence[Sequence[Any]]]:
    """Part rows so that no key is twice in a part: one statement of PostgreSQL writes a row once.

    All rows of one part is what there is nearly always.
    """
    if connection.dialect.name == "sqlite":
        yield rows
        return
    places = [columns.index(name) for name in key]
    part: dict[tuple[Any, ...], Sequence[Any]] = {}
    for row in rows:
        its_key = tuple([row[place] for place in places])
        if its_key in part:
            yield list(part.values())
            part = {}
        part[its_key] = row
    yield list(part.values())


def _run_many(
    connection: Connection,
    statement: str,
    rows: Sequence[Sequence[Any]],
    *,
    table: Table,
    columns: Sequence[str],
) -> None:
    if connection.dialect.name == "sqlite":
        values = _encode_moments(rows, _places_of(table, tuple(columns), UtcDateTime))
        connection.exec_driver_sql(statement, values)
        return
    with _planned_anew(connection, statement, (_write_rows(table, tuple(columns), rows),)):
        pass


@contextmanager
def _planned_anew(connection: Connection, statement: str, parameters: Any) -> Iterator[Any]:
    """Run a statement on PostgreSQL that is planned for the tables as they are; give its cursor.

    A prepared one would keep the plan it was given when its tables were small.
    """
    raw: Any = connection.connection.dbapi_connection
    with _integrity_told(statement), raw.cursor() as cursor:
        cursor.execute(statement, parameters, prepare=False)
        yield cursor


@contextmanager
def _integrity_told(statement: str) -> Iterator[None]:
    """Tell of what breaks a rule of the schema as SQLAlchemy does for statements of its own."""
    try:
        yield
    except psycopg.IntegrityError as error:
        raise IntegrityError(statement, None, error) from error


def _encode_moments(rows: Sequence[Sequence[Any]], places: Sequence[int]) -> list[tuple[Any, ...]]:
    """Give rows as SQLite keeps them, with moments as text."""
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for place in places:
        columns[place] = _spell_moments(columns[place])
    return list(zip(*columns, strict=True))


def _spell_moments(moments: Sequence[datetime | None]) -> list[str | None]:
    """Spell moments; one that stands in many rows is spelled once."""
    spelled: list[str | None] = []
    last: datetime | None = None
    told: str | None = None
    for moment in moments:
        if moment is not last:
            last, told = moment, None if moment is None else format_time(moment)
        spelled.append(told)
    return spelled


def _write_rows(table: Table, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> str:
    """Write rows as a JSON list of objects, for `_recordset`."""
    by_column: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for place in _places_of(table, columns, Float):
        # JSON has no infinity; PostgreSQL reads it from text.
        numbers = by_column[place]
        by_column[place] = [n if n is None or isfinite(n) else str(n) for n in numbers]
    told = [dict(zip(columns, row, strict=True)) for row in zip(*by_column, strict=True)]
    return orjson.dumps(told, default=_write_bytes).decode()


def _write_bytes(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        return f"\\x{value.hex()}"
    raise TypeError(f"a row holds a {type(value).__name__}")


def _recordset(name: str, told: Mapping[str, Any]) -> str:
    """Rows of a JSON parameter as a source of PostgreSQL, with these columns of these types."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    columns = ", ".join(f"{c} {kind.compile(dialect)}" for c, kind in told.items())
    return f"json_to_recordset(%s::json) AS {name} ({columns})"


@lru_cache(maxsize=512)
def _places_of(table: Table, columns: tuple[str, ...], kind: type[Any]) -> tuple[int, ...]:
    """The places of those columns that are of a type."""
    return tuple(
        place for place, name in enumerate(columns) if isinstance(table.c[name].type, kind)
    )


@lru_cache(maxsize=512)
def _insert_text(
    kind: str, table: Table, columns: tuple[str, ...], key: tuple[str, ...], sets: tuple[str, ...]
) -> str:
    if "environment_id" in table.c and "environment_id" not in columns:
        raise ValueError(f"rows of {table.name} need environment_id")
    names = ", ".join(columns)
    if kind == "sqlite":
        given = f"VALUES ({', '.join('?' * len(columns))})"
    else:
        given = f"SELECT {names} FROM {_recordset('given', _types_of(table, columns))}"  # noqa: S608
    statement = f"INSERT INTO {table.name} ({names}) {given}"
    if key:
        action = f"DO UPDATE SET {', '.join(sets)}" if sets else "DO NOTHING"
        statement += f" ON CONFLICT ({', '.join(key)}) {action}"
    return GuardedText(statement)


@lru_cache(maxsize=512)
def _update_text(kind: str, table: Table, update: tuple[str, ...], key: tuple[str, ...]) -> str:
    if key[0] != "environment_id":
        raise ValueError(f"rows of {table.name} are updated by environment first")
    if kind == "sqlite":
        sets = ", ".join(f"{c} = ?" for c in update)
        wheres = " AND ".join(f"{c} = ?" for c in key)
        return GuardedText(f"UPDATE {table.name} SET {sets} WHERE {wheres}")  # noqa: S608
    sets = ", ".join(f"{c} = given.{c}" for c in update)
    wheres = " AND ".join(f"{table.name}.{c} = given.{c}" for c in key)
    given = _recordset("given", _types_of(table, (*update, *key)))
    return GuardedText(f"UPDATE {table.name} SET {sets} FROM {given} WHERE {wheres}")  # noqa: S608


def _types_of(table: Table, columns: Sequence[str]) -> dict[str, Any]:
    return {name: table.c[name].type for name in columns}


def _copy_rows(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    raw: Any = connection.connection.dbapi_connection
    command = f"COPY {table.name} ({', '.join(columns)}) FROM STDIN"
    with _integrity_told(command), raw.cursor() as cursor, cursor.copy(command) as copy:
        for row in rows:
            copy.write_row(row)


# Bulk reads


def read_by_keys(
    connection: Connection,
    table: Table,
    environment_id: int,
    *,
    columns: Sequence[str],
    key: Sequence[str],
    keys: Sequence[Sequence[Any]],
    size: int,
) -> list[tuple[Any, ...]]:
    """Read the rows of an environment whose `key` columns hold one of `keys`, at most `size`.

    A list of row values would be answered by a scan of the whole environment on SQLite; a join with
    a list uses the unique index on both databases.

    Shape: a statement is built once a size; shorter lists are filled up with their last key
    """
    kind = connection.dialect.name
    statement = _select_text(kind, table, tuple(columns), tuple(key), size)
    parameters: tuple[Any, ...]
    rows: list[Sequence[Any]]
    if kind == "sqlite":
        filled = [*keys, *[keys[-1]] * (size - len(keys))]
        spelled = _encode_moments(filled, _places_of(table, tuple(key), UtcDateTime))
        parameters = (*chain.from_iterable(spelled), environment_id)
        rows = list(connection.exec_driver_sql(statement, parameters).all())
    else:
        parameters = (_write_rows(table, tuple(key), keys), environment_id)
        with _planned_anew(connection, statement, parameters) as cursor:
            rows = cursor.fetchall()
    readers = [
        (place, reader)
        for place, name in enumerate(columns)
        if (reader := _reader_of(connection, table.c[name])) is not None
    ]
    return _decode_rows(rows, readers)


def _reader_of(connection: Connection, column: Column[Any]) -> Callable[[Any], Any] | None:
    """What makes a value of Python of what the driver gives; None where it is one already."""
    dialect, kind = connection.dialect, column.type
    if dialect.name != "sqlite" and not isinstance(kind, UtcDateTime):
        return None
    reader: Callable[[Any], Any] | None = kind.dialect_impl(dialect).result_processor(dialect, None)
    return reader


def _decode_rows(
    rows: Sequence[Sequence[Any]], readers: Sequence[tuple[int, Callable[[Any], Any]]]
) -> list[tuple[Any, ...]]:
    if not rows:
        return []
    columns: list[Iterable[Any]] = list(zip(*rows, strict=True))
    for place, reader in readers:
        columns[place] = map(reader, columns[place])
    return list(zip(*columns, strict=True))


@lru_cache(maxsize=128)
def _select_text(
    kind: str, table: Table, columns: tuple[str, ...], key: tuple[str, ...], size: int
) -> str:
    told = ", ".join(f"{table.name}.{name}" for name in columns)
    where = f"{table.name}.environment_id = {'?' if kind == 'sqlite' else '%s'}"
    if kind == "sqlite":
        names = [f"w{place}" for place in range(len(key))]
        row = f"({', '.join('?' * len(key))})"
        wanted = f"WITH wanted ({', '.join(names)}) AS (VALUES {', '.join([row] * size)}) "
        source = "wanted"
    else:
        names, wanted = [f"wanted.{name}" for name in key], ""
        # A key that is too long for its column is no error: no row has it.
        types = _types_of(table, key)
        texts = {name: Text() for name, kind in types.items() if isinstance(kind, String)}
        source = _recordset("wanted", types | texts)
    joined = " AND ".join(f"{table.name}.{name} = {w}" for name, w in zip(key, names, strict=True))
    return GuardedText(
        f"{wanted}SELECT {told} FROM {source} "  # noqa: S608  (names are the schema's own)
        f"JOIN {table.name} ON {where} AND {joined}"
    )
