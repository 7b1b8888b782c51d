"""Every projection of an environment as plain rows, told by natural keys: what a rebuild must give.

Numbers of ours are left out where they tell nothing; assignments are named by their keys.
"""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from sqlalchemy import Table, delete, func, select, update
from sqlmodel import SQLModel

from app.base.config import Settings
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.processing.drain import drain_all
from app.processing.rebuild import step_rebuild
from app.processing.rebuild_merge import MERGED, PROGRESS_KEY
from app.processing.rebuild_requests import describe_rebuild, read_rebuild, request_rebuild
from app.processing.rebuild_scope import RebuildScope
from app.store.engine import Store, snapshot, transaction
from app.store.tables import BulkTask, Environment, Event, Progress, ProgressHistory
from app.store.tables.columns import table_of
from app.store.tables.rollups import ROLLUPS
from tests.builders import an_environment, an_event

Rows = dict[str, list[Any]]

STAMPS = frozenset({"revision", "changed_at"})
_NUMBERS = count(1)
_KNOWN = frozenset({"known_from", "known_to"})


def a_sending_environment(store: Store, name: str = "") -> int:
    """A new environment with one source."""
    environment_id = an_environment(store, name or f"acme{next(_NUMBERS)}")
    with transaction(store) as connection:
        add_source(connection, environment_id, source_key="lms")
    return environment_id


def send(
    store: Store,
    settings: Settings,
    environment_id: int,
    *events: tuple[str, Mapping[str, Any]] | tuple[str, Mapping[str, Any], int],
    drained: bool = True,
) -> None:
    """Accept events told as kind, data and minute, and work them off.

    An event told without its minute happens a minute after the one told before it.
    """
    items = []
    for at, (kind, data, *minute) in enumerate(events, _told_before(store, environment_id)):
        number = next(_NUMBERS)
        said = an_event(*(minute or (at,)), id=f"r{number}", type=kind, data=dict(data))
        items.append(said)
    receipt = accept_items(store, settings, environment_id=environment_id, items=items)
    refused = [item for item in receipt.items if item.outcome != "accepted"]
    assert not refused
    if drained:
        drain_all(store, settings)


def _told_before(store: Store, environment_id: int) -> int:
    """How many events an environment has been told."""
    table = table_of(Event)
    with snapshot(store) as connection:
        told = select(func.count()).where(table.c.environment_id == environment_id)
        number: int = connection.execute(told.select_from(table)).scalar_one()
        return number


def read_projections(store: Store, environment_id: int, *, known: bool = True) -> Rows:
    """Every row of every projection, without the stubs that nothing may name any more.

    known: with when we knew each step of the history; else only what is known now
    """
    found: Rows = {}
    with snapshot(store) as connection:
        progress = table_of(Progress)
        names = _rows(connection, progress, environment_id)
        keys = {row["assignment_id"]: tuple(row[n] for n in PROGRESS_KEY) for row in names}
        for table in _tables():
            rows = _rows(connection, table, environment_id)
            found[table.name] = sorted(
                (_plain(row, table, keys, known=known) for row in rows if _counts(row, known)),
                key=repr,
            )
    return found


def read_revisions(store: Store, environment_id: int) -> dict[str, dict[Any, int]]:
    """The revision of every row that has one, by table and primary key."""
    found: dict[str, dict[Any, int]] = {}
    with snapshot(store) as connection:
        for table in _tables():
            if "revision" in table.c:
                keys = [column.name for column in table.primary_key]
                found[table.name] = {
                    tuple(row[key] for key in keys): row["revision"]
                    for row in _rows(connection, table, environment_id)
                }
    return found


def last_revision(store: Store, environment_id: int) -> int:
    """The newest revision of an environment."""
    table = table_of(Environment)
    with snapshot(store) as connection:
        found: int = connection.execute(
            select(table.c.last_revision).where(table.c.environment_id == environment_id)
        ).scalar_one()
        return found


def drop_projections(store: Store, environment_id: int) -> None:
    """Delete every row that was ever folded."""
    with transaction(store) as connection:
        for table in _tables():
            connection.execute(delete(table).where(table.c.environment_id == environment_id))


def corrupt(
    store: Store, environment_id: int, model: type[SQLModel], *terms: Any, **values: Any
) -> int:
    """Spoil rows of one table behind everybody's back; give how many."""
    table = table_of(model)
    with transaction(store) as connection:
        changed = update(table).where(table.c.environment_id == environment_id, *terms)
        return connection.execute(changed.values(**values)).rowcount


def begin_rebuild(store: Store, environment_id: int, *, queued: bool = False, **scope: Any) -> int:
    """Ask for a rebuild; give its number.

    queued: let the fair queue work on it too, not the test alone
    """
    table = table_of(BulkTask)
    with transaction(store) as connection:
        row = request_rebuild(connection, environment_id, RebuildScope(**scope), asked_by="tests")
        if not queued:
            connection.execute(delete(table).where(table.c.environment_id == environment_id))
    number: int = row["rebuild_id"]
    return number


def finish_rebuild(store: Store, environment_id: int) -> int:
    """Do what is left of an environment's rebuilds; give the number of steps."""
    steps = 0
    while step_rebuild(store, environment_id):
        steps += 1
        assert steps < 1000, "it does not end"
    return steps


def rebuild(store: Store, environment_id: int, **scope: Any) -> dict[str, Any]:
    """Rebuild a scope from beginning to end; tell it."""
    number = begin_rebuild(store, environment_id, **scope)
    finish_rebuild(store, environment_id)
    told = tell_rebuild(store, environment_id, number)
    assert told["state"] == "done", told
    return told


def tell_rebuild(store: Store, environment_id: int, number: int) -> dict[str, Any]:
    """A rebuild as the API tells it."""
    with snapshot(store) as connection:
        return describe_rebuild(read_rebuild(connection, environment_id, number))


def count_shadows(store: Store) -> int:
    """How many rows of any table belong to a shadow."""
    total = 0
    with snapshot(store) as connection:
        for table in SQLModel.metadata.sorted_tables:
            if "environment_id" in table.c:
                counted = select(func.count()).where(table.c.environment_id < 0)
                total += connection.execute(
                    counted, execution_options={"across_environments": "a test"}
                ).scalar_one()
    return total


def _tables() -> Iterator[Table]:
    yield from (merged.table for merged in MERGED)
    yield table_of(ProgressHistory)
    yield from (table_of(rollup) for rollup in ROLLUPS)


def _rows(connection: Any, table: Table, environment_id: int) -> list[dict[str, Any]]:
    rows = connection.execute(select(table).where(table.c.environment_id == environment_id))
    return [dict(row) for row in rows.mappings()]


def _counts(row: Mapping[str, Any], known: bool) -> bool:
    if "history_id" in row and not known:
        return row["known_to"] is None
    if "row_count" in row:
        return bool(row["row_count"])
    return bool(row.get("events_count", 1))


def _plain(
    row: Mapping[str, Any], table: Table, keys: Mapping[int, Any], *, known: bool
) -> list[tuple[str, Any]]:
    """A row without what the house numbers; a seq of the journal stays."""
    own = next((m.id_name for m in MERGED if m.table is table), None)
    dropped = {"environment_id", own, "history_id", *STAMPS, *(() if known else _KNOWN)}
    told = {name: value for name, value in row.items() if name not in dropped}
    if "assignment_id" in told:
        told["assignment_id"] = keys.get(told["assignment_id"])
    return sorted(told.items())
