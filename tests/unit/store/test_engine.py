"""Transactions commit whole or not at all; a snapshot sees one state and is stopped in time."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from sqlalchemy import Connection, func, literal_column, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from app.base.errors import AppError, StoreBusy, StoreFull, TooExpensive, TypeMismatch
from app.store.engine import (
    Store,
    close_store,
    fleeting_transaction,
    open_store,
    snapshot,
    transaction,
)
from app.store.tables import Environment
from app.store.tables.columns import table_of
from tests.builders import an_environment, set_revision

TABLE = table_of(Environment)
CROSSING = {"across_environments": "a test counts them all"}


def revision_of(store: Store, environment_id: int) -> int:
    with snapshot(store) as connection:
        return _read_revision(connection, environment_id)


def _read_revision(connection: Connection, environment_id: int) -> int:
    row = connection.execute(
        select(TABLE.c.last_revision).where(TABLE.c.environment_id == environment_id)
    )
    return int(row.scalar_one())


def test_what_a_transaction_wrote_is_there_afterwards(store: Store) -> None:
    environment_id = an_environment(store)
    set_revision(store, environment_id, 7)
    assert revision_of(store, environment_id) == 7


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    environment_id = an_environment(store)
    its_row = TABLE.c.environment_id == environment_id

    def fail_midway() -> None:
        with transaction(store) as connection:
            connection.execute(update(TABLE).where(its_row).values(last_revision=7))
            raise KeyError("midway")

    with pytest.raises(KeyError):
        fail_midway()
    assert revision_of(store, environment_id) == 0


def test_the_next_transaction_works_after_one_that_failed(store: Store) -> None:
    environment_id = an_environment(store)
    with pytest.raises(IntegrityError), transaction(store) as connection:
        connection.execute(
            TABLE.insert().from_select(
                [column.name for column in TABLE.columns],
                select(TABLE).where(TABLE.c.environment_id == environment_id),
            )
        )
    set_revision(store, environment_id, 3)
    assert revision_of(store, environment_id) == 3


@pytest.mark.parametrize("open_one", [transaction, fleeting_transaction])
def test_a_commit_that_fails_leaves_nothing_and_holds_nobody_up(
    store: Store, monkeypatch: pytest.MonkeyPatch, open_one: Callable[[Store], Any]
) -> None:
    environment_id = an_environment(store)
    its_row = TABLE.c.environment_id == environment_id

    def fail(_connection: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as full:
        full.setattr(store.engine.dialect, "do_commit", fail)
        full.setattr(store.engine.dialect.loaded_dbapi, "Error", sqlite3.Error)
        with pytest.raises(StoreFull), open_one(store) as connection:
            connection.execute(update(TABLE).where(its_row).values(last_revision=7))
    again = open_store(store.engine.url.render_as_string(hide_password=False))
    for other in (again, store):
        assert revision_of(other, environment_id) == 0
        set_revision(other, environment_id, 0)
    close_store(again)


def test_a_snapshot_sees_one_state_while_others_write(store: Store) -> None:
    environment_id = an_environment(store)
    with snapshot(store) as connection:
        before = _read_revision(connection, environment_id)
        set_revision(store, environment_id, 9)
        assert _read_revision(connection, environment_id) == before
    assert revision_of(store, environment_id) == 9


def test_a_snapshot_changes_nothing(store: Store) -> None:
    environment_id = an_environment(store)
    statement = update(TABLE).where(TABLE.c.environment_id == environment_id)
    with suppress(AppError, DBAPIError), snapshot(store) as connection:
        connection.execute(statement.values(last_revision=5))
    assert revision_of(store, environment_id) == 0


def test_writers_take_turns_and_lose_no_update(store: Store) -> None:
    environment_id = an_environment(store)
    its_row = TABLE.c.environment_id == environment_id

    def count_up() -> None:
        for _ in range(10):
            with transaction(store) as connection:
                connection.execute(
                    update(TABLE).where(its_row).values(last_revision=TABLE.c.last_revision + 1)
                )

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert revision_of(store, environment_id) == 40


def test_a_question_that_takes_too_long_is_stopped(store: Store) -> None:
    numbers = select(literal_column("1").label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n < 100_000_000))
    endless = select(func.max(numbers.c.n))
    with pytest.raises(TooExpensive) as refused, snapshot(store, limit_s=0.2) as connection:
        connection.execute(endless)
    assert "0.2 s" in refused.value.detail


def test_a_stopped_question_leaves_no_limit_behind(store: Store) -> None:
    test_a_question_that_takes_too_long_is_stopped(store)
    numbers = select(literal_column("1").label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n < 1_500_000))
    with snapshot(store) as connection:
        assert connection.execute(select(func.max(numbers.c.n))).scalar_one() == 1_500_000


def test_a_database_that_cannot_be_reached_is_busy() -> None:
    store = open_store("postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=2")
    with pytest.raises(StoreBusy) as refused, snapshot(store):
        pass
    assert refused.value.status == 503
    close_store(store)


def test_a_database_that_another_process_writes_is_busy(store: Store) -> None:
    if store.dialect_name != "sqlite":
        return
    other = open_store(store.engine.url.render_as_string(hide_password=False))
    with snapshot(store) as connection:
        connection.execute(text("PRAGMA busy_timeout=1"), execution_options=CROSSING)
    with transaction(other), pytest.raises(StoreBusy), transaction(store):
        pass
    close_store(other)
    an_environment(store)


def test_a_statement_that_fails_whenever_it_is_asked_is_not_busy(store: Store) -> None:
    if store.dialect_name != "sqlite":
        return
    with pytest.raises(OperationalError, match="malformed JSON"), snapshot(store) as connection:
        connection.execute(text("SELECT json('{')"), execution_options=CROSSING)
    for function in (lambda: 2**64, lambda: 1 // 0):
        with snapshot(store) as connection:
            raw: Any = connection.connection.dbapi_connection
            raw.create_function("fullcount_test", 0, function)
        with pytest.raises(TypeMismatch), snapshot(store) as connection:
            connection.execute(text("SELECT fullcount_test()"), execution_options=CROSSING)


def test_a_database_whose_connections_are_all_in_use_is_busy(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool: Any = store.engine.pool
    monkeypatch.setattr(pool, "_timeout", 0.01)
    with ExitStack() as readers:
        for _ in range(pool.size() + pool._max_overflow):
            readers.enter_context(snapshot(store))
        with pytest.raises(StoreBusy, match="in use"), snapshot(store):
            pass


def test_a_reader_leaves_its_connection_to_the_next_unless_it_failed(store: Store) -> None:
    with snapshot(store) as first:
        pass
    with snapshot(store) as second:
        assert (second is first) == (store.dialect_name == "sqlite")
    with suppress(KeyError), snapshot(store) as failed:
        raise KeyError("midway")
    assert failed.closed
    with snapshot(store) as following:
        assert following is not failed
        assert following.execute(select(literal_column("1"))).scalar_one() == 1
    close_store(store)
    assert store.readers == []


def test_every_commit_is_durable_on_sqlite(store: Store) -> None:
    if store.dialect_name != "sqlite":
        return
    with snapshot(store) as connection:
        wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
        found = {
            name: connection.execute(text(f"PRAGMA {name}"), execution_options=CROSSING).scalar()
            for name in wanted
        }
    assert found == wanted


def test_a_store_opened_twice_is_the_same_database(store: Store) -> None:
    an_environment(store)
    other = open_store(store.engine.url.render_as_string(hide_password=False))
    with snapshot(other) as connection:
        counted = select(func.count()).select_from(TABLE)
        assert connection.execute(counted, execution_options=CROSSING).scalar_one() == 1
    close_store(other)
