"""Surrogate ids: numbers of a table's rows within their environment."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, func, select

_ID_NAMES = {
    "progress": "assignment_id",
    "progress_history": "history_id",
    "partition_change": "change_id",
    "points_entry": "entry_id",
}


def id_name_of(table: Table) -> str:
    """Give the name of a table's surrogate id."""
    return _ID_NAMES.get(table.name, f"{table.name}_id")


def number_rows(
    connection: Connection, table: Table, environment_id: int, count: int
) -> Iterator[int]:
    """Give `count` new surrogate ids of a table; the environment's row must be locked."""
    newest = 0
    if count:
        named = {"its_environment": environment_id}
        newest = connection.execute(_select_newest(table), named).scalar() or 0
    return iter(range(newest + 1, newest + 1 + count))


@lru_cache(maxsize=64)
def _select_newest(table: Table) -> Select[Any]:
    newest = func.max(table.c[id_name_of(table)])
    return select(newest).where(table.c.environment_id == bindparam("its_environment"))
