"""The database: engine, transaction, snapshot and wake-up. The only file with a commit.

A transaction writes, a snapshot reads; both are SQLAlchemy Core connections. Every statement on an
environment's tables must name its environment, or is refused here.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Transaction, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.base.errors import StoreBusy, StoreFull, TooComplex, TooExpensive, TypeMismatch
from app.store.dialect import (
    FLEETING_OPTION,
    READ_OPTION,
    WRITE_OPTION,
    begin_transaction,
    end_fleeting,
    engine_arguments,
    limit_time,
    prepare_connection,
    unlimit_time,
)
from app.store.faults import (
    DRIVER_ERRORS,
    says_busy,
    says_full,
    says_out_of_range,
    says_timeout,
    says_too_complex,
)
from app.store.guard import CROSSING_OPTION, check_statement

_FULL_RETRY_S = 30
_IDLE_READERS = 8
_KEPT_OPTION = "fullcount_kept"


@dataclass(frozen=True, slots=True)
class Store:
    """An open database.

    wake: set after each commit that left work behind; a worker waits on it
    write_lock: lets one writer in at a time on SQLite, in this process
    kept: what readers keep between snapshots, each under a place of its own
    readers: idle connections of readers on SQLite
    """

    engine: Engine
    wake: threading.Event = field(default_factory=threading.Event)
    write_lock: threading.Lock = field(default_factory=threading.Lock)
    kept: dict[Any, Any] = field(default_factory=dict)
    readers: list[Connection] = field(default_factory=list)

    @property
    def dialect_name(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @property
    def is_embedded(self) -> bool:
        """Does the database run in this process, so that no network is waited for?"""
        return self.dialect_name == "sqlite"


def open_store(database_url: str) -> Store:
    """Open the database at this URL; the schema is not looked at."""
    engine = create_engine(database_url, **engine_arguments(database_url))
    event.listen(engine, "connect", prepare_connection)
    event.listen(engine, "begin", begin_transaction)
    event.listen(engine, "before_cursor_execute", check_statement)
    return Store(engine)


def close_store(store: Store) -> None:
    """Give all connections back; on SQLite the last one checkpoints the log."""
    while store.readers:
        store.readers.pop().close()
    store.engine.dispose()


@contextmanager
def transaction(store: Store) -> Iterator[Connection]:
    """A writing transaction: committed at the end, rolled back by any exception.

    Raises: StoreBusy, StoreFull
    """
    with _writer_lock(store), _translated_errors(), store.engine.connect() as connection:
        connection = connection.execution_options(**{WRITE_OPTION: True})
        with connection.begin() as begun:
            yield connection
            _commit(begun)


@contextmanager
def fleeting_transaction(store: Store) -> Iterator[Connection]:
    """A writing transaction whose commit does not wait for the disk: a power cut may take it back,
    whole. For what is a hint, such as a lease; never for what anyone was told.

    Raises: StoreBusy, StoreFull
    """
    with _writer_lock(store), _translated_errors(), store.engine.connect() as connection:
        options = {WRITE_OPTION: True, FLEETING_OPTION: True}
        connection = connection.execution_options(**options)
        try:
            with connection.begin() as begun:
                yield connection
                _commit(begun)
        finally:
            end_fleeting(connection)


@contextmanager
def rehearsal(store: Store) -> Iterator[Connection]:
    """A writing transaction of which nothing stays.

    Raises: StoreBusy, StoreFull
    """
    with _writer_lock(store), _translated_errors(), store.engine.connect() as connection:
        connection = connection.execution_options(**{WRITE_OPTION: True})
        begun = connection.begin()
        try:
            yield connection
        finally:
            begun.rollback()


@contextmanager
def snapshot(store: Store, *, limit_s: float | None = None) -> Iterator[Connection]:
    """A reading transaction: everything in it sees one state of the database.

    Raises: StoreBusy; TooExpensive, when statements run longer than `limit_s`
    """
    with _translated_errors(limit_s), _reader(store) as connection:
        if store.dialect_name == "postgresql":
            connection = connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        end_reading = _begin_reading(connection)
        try:
            limit_time(connection, limit_s)
            yield connection
        finally:
            unlimit_time(connection, limit_s)
            end_reading()


def _begin_reading(connection: Connection) -> Callable[[], None]:
    """Open a transaction that sees one state of the database, and give what ends it.

    On SQLite straight to the driver: SQLAlchemy's own way costs more than many a question.
    """
    if connection.dialect.name != "sqlite":
        return connection.begin().rollback
    raw: Any = connection.connection.dbapi_connection
    raw.execute("BEGIN")
    return raw.rollback  # type: ignore[no-any-return]


@contextmanager
def glance(store: Store) -> Iterator[Connection]:
    """A connection outside of any transaction, for one question (`run_statement`) that nothing else
    must agree with; it costs half of a snapshot.

    Raises: StoreBusy
    """
    with _translated_errors(), _reader(store) as connection:
        yield connection


@contextmanager
def _reader(store: Store) -> Iterator[Connection]:
    """A connection to read with. On SQLite a few stay open: to fetch one from the pool and to give
    it back costs more than most questions. One on which something went wrong is closed.
    """
    try:
        connection = store.readers.pop()
    except IndexError:
        opened = store.engine.connect()
        connection = opened.execution_options(**{_KEPT_OPTION: store.kept, READ_OPTION: True})
    try:
        yield connection
    except BaseException:
        connection.close()
        raise
    if store.is_embedded and len(store.readers) < _IDLE_READERS:
        store.readers.append(connection)
    else:
        connection.close()


def kept_between(connection: Connection) -> dict[Any, Any]:
    """What readers keep between snapshots of a store; nothing outlives a transaction that writes,
    since it sees what may never be committed.
    """
    kept: dict[Any, Any] | None = connection.get_execution_options().get(_KEPT_OPTION)
    return {} if kept is None else kept


@contextmanager
def schema_transaction(store: Store) -> Iterator[Connection]:
    """A writing transaction for migrations, which look at and change all tables."""
    with _writer_lock(store), _translated_errors(), store.engine.connect() as connection:
        connection = connection.execution_options(
            **{WRITE_OPTION: True, CROSSING_OPTION: "the schema belongs to all environments"}
        )
        with connection.begin() as begun:
            yield connection
            _commit(begun)


def _commit(begun: Transaction) -> None:
    """Commit; where that fails, roll back, since SQLAlchemy takes the transaction for ended and the
    database does not: the connection would keep everyone else from writing.
    """
    raw: Any = begun.connection.connection.dbapi_connection
    try:
        begun.commit()
    except BaseException:
        with suppress(*DRIVER_ERRORS):
            raw.rollback()
        raise


@contextmanager
def _writer_lock(store: Store) -> Iterator[None]:
    if store.dialect_name != "sqlite":
        yield
        return
    if not store.write_lock.acquire(timeout=30):
        raise StoreBusy("other writers held the database for 30 s", retry_after_s=5)
    try:
        yield
    finally:
        store.write_lock.release()


@contextmanager
def _translated_errors(limit_s: float | None = None) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _translate_error(error, error.orig, limit_s) from error
    except PoolTimeout as error:
        raise StoreBusy("all connections to the database are in use", retry_after_s=5) from error
    except DRIVER_ERRORS as error:
        # BEGIN and COPY go to the driver directly.
        raise _translate_error(error, error, limit_s) from error


def _translate_error(error: Exception, cause: Any, limit_s: float | None) -> Exception:
    if says_timeout(cause):
        return TooExpensive(
            f"the question took longer than {limit_s or 0:g} s",
            hint="Ask for less at a time: a narrower $filter, fewer fields, or smaller pages.",
        )
    if says_too_complex(cause):
        return TooComplex("the expression is nested deeper than the database reads")
    if says_out_of_range(cause):
        return TypeMismatch("a number in the expression leaves the range of its type")
    if says_full(cause):
        return StoreFull(
            "the disk is full or read-only; nothing of this request was stored",
            retry_after_s=_FULL_RETRY_S,
        )
    if says_busy(cause):
        return StoreBusy("the database cannot be reached or is locked", retry_after_s=5)
    return error
