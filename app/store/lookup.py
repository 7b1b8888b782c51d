"""Rows found by composite keys, many in one statement.

A list of row values would be answered by a scan of the whole environment on SQLite; a join with a
list of VALUES uses the unique index on both databases.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Table, TextClause, text

from app.store.guard import STORE_TEXT_OPTION

# A statement is compiled once a size; shorter lists are filled up with their last key.
_SIZES = (8, 64, 512)


def find_rows(
    connection: Connection,
    table: Table,
    environment_id: int,
    *,
    columns: Sequence[str],
    key: Sequence[str],
    keys: Sequence[Sequence[Any]],
) -> Iterator[Row[Any]]:
    """Give the rows of an environment whose `key` columns hold one of `keys`.

    Shape: in no order; a row may come twice
    """
    for start in range(0, len(keys), _SIZES[-1]):
        part = keys[start : start + _SIZES[-1]]
        size = next(size for size in _SIZES if size >= len(part))
        filled = [*part, *[part[-1]] * (size - len(part))]
        values = {f"k{i}_{j}": v for i, row in enumerate(filled) for j, v in enumerate(row)}
        statement = _join_text(table, tuple(columns), tuple(key), size)
        result = connection.execute(
            statement.columns(*[table.c[name] for name in columns]),
            {"environment_id": environment_id, **values},
            execution_options={STORE_TEXT_OPTION: True},
        )
        yield from result


@lru_cache(maxsize=128)
def _join_text(
    table: Table, columns: tuple[str, ...], key: tuple[str, ...], size: int
) -> TextClause:
    names = ", ".join(f"w{j}" for j in range(len(key)))
    marks = ", ".join(
        "(" + ", ".join(f":k{i}_{j}" for j in range(len(key))) + ")" for i in range(size)
    )
    told = ", ".join(f"{table.name}.{name}" for name in columns)
    joined = " AND ".join(f"{table.name}.{name} = w{j}" for j, name in enumerate(key))
    return text(
        f"WITH wanted ({names}) AS (VALUES {marks}) "  # noqa: S608  (names are the schema's own)
        f"SELECT {told} FROM wanted JOIN {table.name} "
        f"ON {table.name}.environment_id = :environment_id AND {joined}"
    )
