"""Rows found by composite keys, many in one statement."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Table

from app.store.dialect import read_by_keys

_SIZES = (8, 64, 512)


def find_rows(
    connection: Connection,
    table: Table,
    environment_id: int,
    *,
    columns: Sequence[str],
    key: Sequence[str],
    keys: Sequence[Sequence[Any]],
) -> Iterator[tuple[Any, ...]]:
    """Give the rows of an environment whose `key` columns hold one of `keys`.

    Shape: tuples of `columns`, in no order; a row may come twice
    """
    for start in range(0, len(keys), _SIZES[-1]):
        part = keys[start : start + _SIZES[-1]]
        yield from read_by_keys(
            connection,
            table,
            environment_id,
            columns=columns,
            key=key,
            keys=part,
            size=next(size for size in _SIZES if size >= len(part)),
        )
