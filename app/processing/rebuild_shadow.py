"""The shadow of an environment: where a rebuild folds its entities, by the writers of every day.

It is an environment of its own, with a negative number and no keys; nothing lists it, no question
can name it. Whoever writes to it holds the row of the rebuild.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, literal, select
from sqlmodel import SQLModel

from app.learning.identity import entity_kind, entity_parts
from app.processing.entity_rows import write_folded
from app.processing.fold import fold_entity
from app.processing.journal import Entry
from app.processing.progress_rows import StoredProgress, read_progress
from app.processing.rows import Stamp
from app.store.dialect import upsert_rows
from app.store.lookup import find_rows
from app.store.tables import Environment, Event, RebuildEntity, Work
from app.store.tables.columns import table_of
from app.store.tables.journal import APPLIED, SUPERSEDED

_IN_LIST = 500


def shadow_of(environment_id: int) -> int:
    """Give the number of an environment's shadow."""
    return -environment_id


def open_shadow(connection: Connection, environment_id: int) -> None:
    """Make the shadow: a row like the environment's own, under another number and name."""
    table = table_of(Environment)
    told: dict[str, Any] = {
        "environment_id": literal(shadow_of(environment_id)),
        "environment_key": literal(f"~{environment_id}"),
    }
    names = [column.name for column in table.columns]
    copied = select(*[told.get(name, table.c[name]) for name in names]).where(
        table.c.environment_id == environment_id
    )
    connection.execute(insert(table).from_select(names, copied, include_defaults=False))


def fold_into_shadow(
    connection: Connection, environment_id: int, keys: Sequence[str], *, now: datetime
) -> None:
    """Fold entities from their settled events, which is what their rows reflect, and keep as of
    when.

    What live work does meanwhile moves done_seq or lease_token, and so is seen later. They are
    read first: a fold may be newer than what is kept of it, never older.
    """
    shadow_id = shadow_of(environment_id)
    versions = _read_versions(connection, environment_id, keys)
    entries = _read_settled(connection, environment_id, keys)
    assignments: dict[str, Any] = {
        key: tuple(entity_parts(key)) for key in entries if entity_kind(key) == "assignment"
    }
    stored: Mapping[Any, StoredProgress] = read_progress(
        connection, shadow_id, list(assignments.values())
    )
    folded = [
        (key, fold_entity(key, found), stored.get(assignments.get(key)))
        for key, found in entries.items()
    ]
    write_folded(connection, Stamp(shadow_id, 1, now), folded)
    upsert_rows(
        connection,
        table_of(RebuildEntity),
        ("environment_id", "entity_key", "done_seq", "lease_token"),
        [(environment_id, key, *versions.get(key, (0, 0))) for key in keys],
        key=("environment_id", "entity_key"),
        update=("done_seq", "lease_token"),
    )


def find_moved(connection: Connection, environment_id: int) -> list[str]:
    """Give the entities of the shadow that live work has claimed or changed since."""
    kept, work = table_of(RebuildEntity), table_of(Work)
    rows = connection.execute(
        select(kept.c.entity_key)
        .join(
            work,
            (work.c.environment_id == kept.c.environment_id)
            & (work.c.entity_key == kept.c.entity_key),
        )
        .where(
            kept.c.environment_id == environment_id,
            work.c.environment_id == environment_id,
            (work.c.done_seq != kept.c.done_seq) | (work.c.lease_token != kept.c.lease_token),
        )
        .order_by(kept.c.entity_key)
    )
    return list(rows.scalars())


def find_new(
    connection: Connection, environment_id: int, *, after_seq: int, through_seq: int
) -> list[str]:
    """Give the entities that events of this span name and the shadow does not hold."""
    event, kept = table_of(Event), table_of(RebuildEntity)
    held = (
        select(kept.c.entity_key)
        .where(
            kept.c.environment_id == environment_id,
            kept.c.entity_key == event.c.entity_key,
        )
        .exists()
    )
    rows = connection.execute(
        select(event.c.entity_key)
        .distinct()
        .where(
            event.c.environment_id == environment_id,
            event.c.seq > after_seq,
            event.c.seq <= through_seq,
            ~held,
        )
        .order_by(event.c.entity_key)
    )
    return list(rows.scalars())


def clear_shadow(connection: Connection, environment_id: int, *, limit: int) -> bool:
    """Take up to about `limit` rows of each table of the shadow away; tell whether all are gone."""
    is_empty = True
    for table in _tables():
        is_empty &= _clear_rows(connection, table, shadow_of(environment_id), limit=limit)
    is_empty &= _clear_rows(connection, table_of(RebuildEntity), environment_id, limit=limit)
    if is_empty:
        environment = table_of(Environment)
        its_row = environment.c.environment_id == shadow_of(environment_id)
        connection.execute(delete(environment).where(its_row))
    return is_empty


def _clear_rows(connection: Connection, table: Table, environment_id: int, *, limit: int) -> bool:
    """Delete rows in the order of their key, those alike in its second column together."""
    mine = table.c.environment_id == environment_id
    place = next((c for c in table.primary_key if c.name != "environment_id"), None)
    if place is None:
        connection.execute(delete(table).where(mine))
        return True
    last = connection.execute(
        select(place).where(mine).order_by(place).offset(limit - 1).limit(1)
    ).scalar()
    connection.execute(delete(table).where(mine, *([] if last is None else [place <= last])))
    return last is None


def _tables() -> Iterator[Table]:
    """Every table of environments, since any of them may get rows from a fold."""
    for table in reversed(SQLModel.metadata.sorted_tables):
        if "environment_id" in table.c and table is not table_of(Environment):
            yield table


def _read_versions(
    connection: Connection, environment_id: int, keys: Sequence[str]
) -> dict[str, tuple[int, int]]:
    rows = find_rows(
        connection,
        table_of(Work),
        environment_id,
        columns=("entity_key", "done_seq", "lease_token"),
        key=("entity_key",),
        keys=[(key,) for key in keys],
    )
    return {key: (done_seq, lease_token) for key, done_seq, lease_token in rows}


def _read_settled(
    connection: Connection, environment_id: int, keys: Sequence[str]
) -> dict[str, list[Entry]]:
    event = table_of(Event)
    found: dict[str, list[Entry]] = {}
    for start in range(0, len(keys), _IN_LIST):
        rows = connection.execute(
            select(*[event.c[name] for name in Entry._fields]).where(
                event.c.environment_id == environment_id,
                event.c.entity_key.in_(keys[start : start + _IN_LIST]),
                event.c.disposition.in_((APPLIED, SUPERSEDED)),
            )
        )
        for row in rows:
            found.setdefault(row.entity_key, []).append(Entry._make(row))
    return found
