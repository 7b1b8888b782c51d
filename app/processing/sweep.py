"""Is every pending event pointed at? It must be: what the sweep finds is repaired, counted, told.

Work is derived anew from the journal, so that no fault in marking can lose an event for ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, exists, func, literal_column, select

from app.base.clock import now
from app.base.facts import SweepDone, SweepRepaired
from app.base.observe import observe
from app.store.alarms import SWEEP_REPAIRED, raise_alarm
from app.store.dialect import upsert_rows
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Environment, Event, Watch, Work
from app.store.tables.access import is_open
from app.store.tables.columns import table_of
from app.store.tables.journal import PENDING
from app.store.work import mark_again

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Uncovered:
    """The pending events of an entity that no work row points at.

    first_seq, last_seq: the oldest and the newest of them
    """

    first_seq: int
    last_seq: int


def sweep_all(store: Store) -> int:
    """Look at the pending events of every environment; give how many entities had to be marked."""
    with snapshot(store) as connection:
        environment_ids = _list_environments(connection)
    repaired_count = 0
    for environment_id in environment_ids:
        with snapshot(store) as connection:
            uncovered = find_uncovered(connection, environment_id)
        if uncovered:
            repaired_count += _repair(store, environment_id)
    if repaired_count:
        store.wake.set()
    observe(SweepDone(len(environment_ids), repaired_count))
    return repaired_count


def find_uncovered(connection: Connection, environment_id: int) -> Mapping[str, Uncovered]:
    """Give, by entity, the pending events without a work row with done_seq < seq <= dirty_seq."""
    event, work = table_of(Event), table_of(Work)
    points_at_it = exists().where(
        work.c.environment_id == environment_id,
        work.c.entity_key == event.c.entity_key,
        work.c.done_seq < event.c.seq,
        work.c.dirty_seq >= event.c.seq,
    )
    rows = connection.execute(
        select(event.c.entity_key, func.min(event.c.seq), func.max(event.c.seq))
        .where(
            event.c.environment_id == environment_id,
            # Spelled out, so that the index over pending events alone can answer.
            event.c.disposition == literal_column(str(PENDING)),
            ~points_at_it,
        )
        .group_by(event.c.entity_key)
    )
    return {entity_key: Uncovered(first_seq, last_seq) for entity_key, first_seq, last_seq in rows}


def _repair(store: Store, environment_id: int) -> int:
    with transaction(store) as connection:
        uncovered = find_uncovered(connection, environment_id)
        marks = {name: (found.first_seq, found.last_seq) for name, found in uncovered.items()}
        if marks:
            _tell_rescue(connection, environment_id, sorted(marks))
        mark_again(connection, environment_id, marks)
    if uncovered:
        observe(SweepRepaired(environment_id, len(uncovered)))
    return len(uncovered)


def _tell_rescue(connection: Connection, environment_id: int, names: Sequence[str]) -> None:
    """Count what is rescued for good, and ring."""
    details = {"entities": len(names), "first": names[:_SHOWN]}
    raise_alarm(connection, environment_id, SWEEP_REPAIRED, details=details, now=now())
    columns = ("rescued_count", "event_seq", "batch_id", "found_count")
    upsert_rows(
        connection,
        table_of(Watch),
        ("environment_id", *columns),
        [(environment_id, len(names), 0, 0, 0)],
        key=("environment_id",),
        update=(),
        added=("rescued_count",),
    )


def _list_environments(connection: Connection) -> Sequence[int]:
    environment = table_of(Environment)
    rows = connection.execute(
        select(environment.c.environment_id)
        .where(is_open(environment))
        .order_by(environment.c.environment_id),
        execution_options={"across_environments": "the sweep looks at each environment in turn"},
    )
    return rows.scalars().all()
