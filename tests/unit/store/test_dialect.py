"""Bulk writes say the same on both databases: insert, insert missing, upsert, update."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.ledger.flow import SETTLED
from app.store.dialect import insert_missing, insert_rows, update_rows, upsert_rows
from app.store.engine import Store, snapshot, transaction
from app.store.lookup import find_rows
from app.store.tables import BucketSum, Module, Tally
from app.store.tables.columns import table_of
from tests.builders import NOON, an_environment

TALLY, MODULE, SUMS = table_of(Tally), table_of(Module), table_of(BucketSum)
KEY = ("environment_id", "source_id", "stream")
COUNTS = ("received", "accepted", "duplicate", "conflict", "rejected", *SETTLED)
COLUMNS = (*KEY, *COUNTS, "last_received_at")


def a_tally(environment_id: int, stream: str, received: int, at: Any = NOON) -> tuple[Any, ...]:
    return (environment_id, 1, stream, received, *[0] * (len(COUNTS) - 1), at)


def kept(store: Store, environment_id: int) -> dict[str, tuple[int, Any]]:
    with snapshot(store) as connection:
        rows = connection.execute(select(TALLY).where(TALLY.c.environment_id == environment_id))
        return {row.stream: (row.received, row.last_received_at) for row in rows}


@pytest.fixture
def environment_id(store: Store) -> int:
    number = an_environment(store)
    with transaction(store) as connection:
        insert_rows(connection, TALLY, COLUMNS, [a_tally(number, "quest", 1)])
    return number


def test_rows_come_back_as_they_went_in(store: Store, environment_id: int) -> None:
    columns = [column.name for column in MODULE.columns]
    given = {
        "environment_id": environment_id,
        "module_id": 2**53 + 1,
        "module_key": "a\tb\\c\n'\"",
        "name": "ü😀 \\N",
        "status": "published",
        "max_score": 0.1 + 0.2,
        "published_at": NOON + timedelta(microseconds=1),
        "tags": '["a"]',
        "parts_count": 0,
        "known": True,
        "events_count": 0,
        "revision": 1,
        "changed_at": NOON,
        "is_deleted": False,
    }
    with transaction(store) as connection:
        insert_rows(connection, MODULE, columns, [[given.get(name) for name in columns]])
    with snapshot(store) as connection:
        statement = select(MODULE).where(MODULE.c.environment_id == environment_id)
        (row,) = connection.execute(statement).mappings()
    assert dict(row) == dict.fromkeys(columns) | given


def test_no_rows_are_no_statement(store: Store, environment_id: int) -> None:
    with transaction(store) as connection:
        insert_rows(connection, TALLY, COLUMNS, [])
        insert_missing(connection, TALLY, COLUMNS, [], key=KEY)
        upsert_rows(connection, TALLY, COLUMNS, [], key=KEY, update=())
        update_rows(connection, TALLY, [], update=("received",), key=KEY)
    assert kept(store, environment_id) == {"quest": (1, NOON)}


def test_a_row_that_is_there_is_not_inserted_twice(store: Store, environment_id: int) -> None:
    again = [a_tally(environment_id, "course", 5), a_tally(environment_id, "quest", 9)]
    with pytest.raises(IntegrityError), transaction(store) as connection:
        insert_rows(connection, TALLY, COLUMNS, again)
    assert kept(store, environment_id) == {"quest": (1, NOON)}


def test_missing_rows_are_inserted_and_others_left_alone(store: Store, environment_id: int) -> None:
    rows = [a_tally(environment_id, "quest", 9), a_tally(environment_id, "course", 5)]
    with transaction(store) as connection:
        insert_missing(connection, TALLY, COLUMNS, rows, key=KEY)
    assert kept(store, environment_id) == {"quest": (1, NOON), "course": (5, NOON)}


def test_an_upsert_replaces_adds_and_keeps_the_greatest(store: Store, environment_id: int) -> None:
    later, earlier = NOON + timedelta(hours=1), NOON - timedelta(hours=1)
    told: list[tuple[Any, dict[str, Any]]] = [
        (a_tally(environment_id, "quest", 4, later), {"added": ("received",)}),
        (a_tally(environment_id, "quest", 2, earlier), {"greatest": ("last_received_at",)}),
        (a_tally(environment_id, "course", 7), {"added": ("received",)}),
    ]
    with transaction(store) as connection:
        for row, ways in told:
            update = () if "greatest" in ways else ("last_received_at",)
            upsert_rows(connection, TALLY, COLUMNS, [row], key=KEY, update=update, **ways)
    assert kept(store, environment_id) == {"quest": (5, later), "course": (7, NOON)}


def test_an_upsert_takes_the_same_key_twice(store: Store, environment_id: int) -> None:
    rows = [a_tally(environment_id, "quest", 2), a_tally(environment_id, "quest", 3)]
    with transaction(store) as connection:
        upsert_rows(connection, TALLY, COLUMNS, rows, key=KEY, update=(), added=("received",))
    assert kept(store, environment_id) == {"quest": (6, NOON)}


def test_an_update_takes_the_same_key_twice_and_the_last_one_holds(
    store: Store, environment_id: int
) -> None:
    rows = [(received, environment_id, 1, "quest") for received in (7, 8)]
    with transaction(store) as connection:
        update_rows(connection, TALLY, rows, update=("received",), key=KEY)
    assert kept(store, environment_id) == {"quest": (8, NOON)}


def test_bytes_and_moments_are_upserted_and_found_as_they_were(
    store: Store, environment_id: int
) -> None:
    columns = ("environment_id", "source_id", "stream", "slot_at", "accepted_sum", "applied_sum")
    moments = [NOON, NOON + timedelta(microseconds=1), NOON + timedelta(days=1)]
    rows = [
        (environment_id, 1, "quest", at, bytes([0, n, 255]), b"\\x") for n, at in enumerate(moments)
    ]
    counts = ("accepted", "applied", "weak")
    with transaction(store) as connection:
        upsert_rows(
            connection,
            SUMS,
            (*columns, *counts),
            [(*row, 0, 0, 0) for row in rows],
            key=columns[:4],
            update=("accepted_sum",),
        )
        found = find_rows(
            connection,
            SUMS,
            environment_id,
            columns=columns,
            key=("source_id", "slot_at"),
            keys=[(1, at) for at in (*moments[:2], NOON - timedelta(days=1))] + [(2, NOON)],
        )
        assert sorted(set(found)) == rows[:2]


def test_a_number_beyond_all_bounds_is_upserted_as_it_is(store: Store, environment_id: int) -> None:
    columns = ("environment_id", "module_id", "module_key", "name", "status", "tags", "max_score")
    rest = ("parts_count", "known", "events_count", "revision", "changed_at", "is_deleted")
    values = (environment_id, 1, "m", "m", "draft", "[]", float("inf"), 0, True, 0, 1, NOON, False)
    with transaction(store) as connection:
        key = ("environment_id", "module_key")
        upsert_rows(connection, MODULE, (*columns, *rest), [values], key=key, update=("max_score",))
    with snapshot(store) as connection:
        kept_score = select(MODULE.c.max_score).where(MODULE.c.environment_id == environment_id)
        assert connection.execute(kept_score).scalar_one() == float("inf")


def test_rows_are_updated_by_their_key(store: Store, environment_id: int) -> None:
    with transaction(store) as connection:
        insert_rows(connection, TALLY, COLUMNS, [a_tally(environment_id, "course", 5)])
        update_rows(
            connection,
            TALLY,
            [(8, None, environment_id, 1, "quest")],
            update=("received", "last_received_at"),
            key=KEY,
        )
    assert kept(store, environment_id) == {"quest": (8, None), "course": (5, NOON)}


def test_a_bulk_write_without_the_environment_is_refused(store: Store, environment_id: int) -> None:
    with transaction(store) as connection:
        with pytest.raises(ValueError, match="environment"):
            upsert_rows(
                connection,
                TALLY,
                ("source_id", "stream"),
                [(1, "quest")],
                key=("source_id", "stream"),
                update=(),
            )
        with pytest.raises(ValueError, match="environment"):
            update_rows(connection, TALLY, [(1, 1, 1)], update=("received",), key=("source_id",))
