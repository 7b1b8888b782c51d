"""Rows of folded entities: written by their natural keys, with surrogate ids that they keep.

The caller holds the environment's row, which is what makes max + 1 a safe number.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, select, update

from app.processing.numbering import id_name_of, number_rows
from app.store.dialect import update_rows, upsert_rows
from app.store.lookup import find_rows
from app.store.tables import Environment
from app.store.tables.columns import table_of

RowDict = Mapping[str, Any]

# What a row of each of these tables holds before its introduction, beside its key.
_STUBS: Mapping[str, RowDict] = {
    "learner": {"status": "active", "attributes": "{}"},
    "module": {"status": "draft", "tags": "[]", "parts_count": 0},
    "series": {"kind": "series", "modules_count": 0},
    "team": {"kind": "team"},
    "certification": {},
}


@dataclass(frozen=True, slots=True)
class Stamp:
    """What all rows share that one transaction writes.

    revision: drawn once from the environment's counter
    """

    environment_id: int
    revision: int
    now: datetime


def columns_of(state: Any) -> dict[str, Any]:
    """Give the fields of a state by their names, as they are: nothing is copied."""
    return {field.name: getattr(state, field.name) for field in fields(state)}


def lock_revision(connection: Connection, environment_id: int) -> int:
    """Lock the environment's row and give the newest revision of its rows."""
    environment = table_of(Environment)
    revision: int = connection.execute(
        select(environment.c.last_revision)
        .where(environment.c.environment_id == environment_id)
        .with_for_update(key_share=True)
    ).scalar_one()
    return revision


def keep_revision(connection: Connection, stamp: Stamp) -> None:
    """Say that the environment's rows are at the revision of this stamp."""
    environment = table_of(Environment)
    connection.execute(
        update(environment)
        .where(environment.c.environment_id == stamp.environment_id)
        .values(last_revision=stamp.revision)
    )


def write_entities(
    connection: Connection,
    table: Table,
    stamp: Stamp,
    *,
    key: Sequence[str],
    rows: Sequence[RowDict],
) -> None:
    """Insert or replace entities; those that are there keep their id.

    Shape: rows: all columns but environment_id, the id, revision and changed_at; one row a key
    """
    if not rows:
        return
    id_name = id_name_of(table)
    if id_name not in table.c:
        _write_by_key(connection, table, stamp, key=key, rows=rows)
        return
    keys = [tuple(row[name] for name in key) for row in rows]
    found = find_rows(
        connection, table, stamp.environment_id, columns=(id_name, *key), key=key, keys=keys
    )
    known: dict[tuple[Any, ...], int] = {tuple(row[1:]): row[0] for row in found}
    new_count = sum(name not in known for name in keys)
    fresh = number_rows(connection, table, stamp.environment_id, new_count)
    names = list(rows[0])
    values = [
        (
            stamp.environment_id,
            known.get(its_key) or next(fresh),
            *row.values(),
            stamp.revision,
            stamp.now,
        )
        for its_key, row in zip(keys, rows, strict=True)
    ]
    upsert_rows(
        connection,
        table,
        ("environment_id", id_name, *names, "revision", "changed_at"),
        values,
        key=("environment_id", *key),
        update=[name for name in (*names, "revision", "changed_at") if name not in key],
    )


def _write_by_key(
    connection: Connection,
    table: Table,
    stamp: Stamp,
    *,
    key: Sequence[str],
    rows: Sequence[RowDict],
) -> None:
    """Insert or replace rows of a table that has no surrogate id."""
    names = [*rows[0], "revision", "changed_at"]
    upsert_rows(
        connection,
        table,
        ("environment_id", *names),
        [(stamp.environment_id, *row.values(), stamp.revision, stamp.now) for row in rows],
        key=("environment_id", *key),
        update=[name for name in names if name not in key],
    )


def replace_children(
    connection: Connection,
    table: Table,
    stamp: Stamp,
    *,
    parent: tuple[str, Collection[str]],
    key: Sequence[str],
    rows: Sequence[RowDict],
) -> None:
    """Make these the rows of their parents: changed ones are written, missing ones buried.

    Shape: parent: its column and the keys of all parents that were folded, also those without rows
    """
    names = list(rows[0]) if rows else [c.name for c in table.c if c.name in key]
    stored = _read_children(connection, table, stamp, parent=parent, names=[*names, "is_deleted"])
    before = {tuple(row[name] for name in key): row for row in stored}
    after = {tuple(row[name] for name in key): {**row, "is_deleted": False} for row in rows}
    changed = [row for its_key, row in after.items() if before.get(its_key) != row]
    write_entities(connection, table, stamp, key=key, rows=changed)
    gone = [
        its_key for its_key, row in before.items() if its_key not in after and not row["is_deleted"]
    ]
    _bury_children(connection, table, stamp, key=key, gone=gone)


def add_stubs(connection: Connection, table: Table, stamp: Stamp, keys: Iterable[str]) -> None:
    """Insert rows, `known` false, for keys that events have named before their introduction."""
    key_name = f"{table.name}_key"
    wanted = sorted(set(keys))
    found = find_rows(
        connection,
        table,
        stamp.environment_id,
        columns=(key_name,),
        key=(key_name,),
        keys=[(key,) for key in wanted],
    )
    known = {key for (key,) in found}
    plain = _STUBS[table.name]
    rows = [
        {
            f"{table.name}_key": key,
            **plain,
            **({"name": key} if "name" in table.c else {}),
            **({"known": False} if "known" in table.c else {}),
            "events_count": 0,
            "is_deleted": False,
        }
        for key in wanted
        if key not in known
    ]
    write_entities(connection, table, stamp, key=(key_name,), rows=rows)


def _read_children(
    connection: Connection,
    table: Table,
    stamp: Stamp,
    *,
    parent: tuple[str, Collection[str]],
    names: Sequence[str],
) -> list[dict[str, Any]]:
    rows = find_rows(
        connection,
        table,
        stamp.environment_id,
        columns=names,
        key=parent[:1],
        keys=[(key,) for key in sorted(parent[1])],
    )
    return [dict(zip(names, row, strict=True)) for row in rows]


def _bury_children(
    connection: Connection,
    table: Table,
    stamp: Stamp,
    *,
    key: Sequence[str],
    gone: Iterable[tuple[Any, ...]],
) -> None:
    rows = [(True, stamp.revision, stamp.now, stamp.environment_id, *its_key) for its_key in gone]
    columns = ("is_deleted", "revision", "changed_at")
    update_rows(connection, table, rows, update=columns, key=("environment_id", *key))
