"""Everything again, from the journal: one quantum of a rebuild at a time, then the switch.

Each step is one transaction that holds the rebuild's row, so that a crash leaves it where it was.
Source: docs/decisions/0015-rebuild.md
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

from sqlalchemy import Connection, func, select

from app.base.clock import now
from app.base.config import Settings
from app.base.errors import AppError
from app.base.facts import RebuildFailed, RebuildSwitched
from app.base.observe import observe
from app.processing.partition_rows import note_partitions
from app.processing.rebuild_requests import (
    RebuildRow,
    lock_next_rebuild,
    note_rebuild,
    read_rebuild,
    rebuild_of,
    scope_of,
)
from app.processing.rebuild_scope import choose_entities, list_entities
from app.processing.rebuild_shadow import (
    clear_shadow,
    find_moved,
    find_new,
    fold_into_shadow,
    open_shadow,
)
from app.processing.rebuild_switch import merge_shadow
from app.processing.rows import Stamp, keep_revision, lock_revision
from app.processing.tasks import Step, Task
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Environment, Work
from app.store.tables.columns import table_of
from app.store.tables.partitions import REBUILD
from app.store.tables.rebuilds import (
    CATCHING_UP,
    CLEARING,
    DONE,
    ENDED,
    FAILED,
    FAILING,
    RUNNING,
    WAITING,
)

QUANTUM_ENTITIES = 100
QUANTUM_EVENTS = 1_000
SCANNED_ENTITIES = 2_000
CLEARED_ROWS = 5_000
MOST_ROUNDS = 50
MOST_FAILURES = 7

_ERROR_LENGTH = 500
# What a quantum costs beside its folds, in events: a look at 2,000 keys, or rows merged by SQL.
_SCAN_COST = 20
_MERGED_FOR_ONE = 20


@dataclass(frozen=True, slots=True)
class _Stepped:
    """What a quantum has done.

    values: what is new in the row of the rebuild
    cost: in events
    """

    values: Mapping[str, Any]
    cost: int = 1


def take_rebuild_step(store: Store, settings: Settings, task: Task) -> Step:
    """Do one quantum of the rebuild whose turn it is in the environment of this task.

    Raises: StoreBusy, StoreFull, and whatever a fold raises
    """
    del settings
    cost = step_rebuild(store, task.environment_id)
    with snapshot(store) as connection:
        row = read_rebuild(connection, task.environment_id, rebuild_of(task.task_key))
    return Step(cost=cost, is_done=row["state"] in ENDED)


def step_rebuild(store: Store, environment_id: int) -> int:
    """Do one quantum of an environment's rebuild; give what it cost, in events: 0 where there is
    none to work on, or another worker is at it.

    Raises: StoreBusy, StoreFull, and whatever a fold raises; the seventh time in a row it is over
    """
    try:
        with transaction(store) as connection:
            row = lock_next_rebuild(connection, environment_id)
            if row is None:
                return 0
            stepped = _STEPS[row["state"]](connection, row, now())
            error = row["error"] if row["state"] == FAILING else None
            values = {"failures_count": 0, "error": error, **stepped.values}
            note_rebuild(connection, environment_id, row["rebuild_id"], **values)
    except AppError:
        raise
    except Exception as error:
        _note_failure(store, environment_id, f"{type(error).__name__}: {error}")
        raise
    return stepped.cost


def _begin(connection: Connection, row: RebuildRow, moment: datetime) -> _Stepped:
    environment_id = row["environment_id"]
    open_shadow(connection, environment_id)
    total: int | None = None
    if scope_of(row).is_everything:
        work = table_of(Work)
        counted = select(func.count()).where(work.c.environment_id == environment_id)
        total = connection.execute(counted).scalar_one()
    values = {
        "state": RUNNING,
        "through_seq": _read_last_seq(connection, environment_id),
        "entities_total": total,
        "started_at": moment,
    }
    return _Stepped(values)


def _walk(connection: Connection, row: RebuildRow, moment: datetime) -> _Stepped:
    """Fold the next entities of the scope into the shadow."""
    environment_id, scope = row["environment_id"], scope_of(row)
    limit = QUANTUM_ENTITIES if scope.is_everything else SCANNED_ENTITIES
    found = list_entities(connection, environment_id, after=row["cursor"], limit=limit)
    if not found:
        return _Stepped({"state": CATCHING_UP})
    chosen = choose_entities(connection, environment_id, scope, [key for key, _ in found])
    counts, cursor = dict(found), found[-1][0]
    share: list[str] = []
    event_count = 0
    for key in chosen:
        event_count += counts[key]
        if share and (event_count > QUANTUM_EVENTS or len(share) >= QUANTUM_ENTITIES):
            cursor = share[-1]
            break
        share.append(key)
    fold_into_shadow(connection, environment_id, share, now=moment)
    values = {"cursor": cursor, "entities_count": row["entities_count"] + len(share)}
    return _Stepped(values, cost=sum(counts[key] for key in share) + _SCAN_COST)


def _catch_up(connection: Connection, row: RebuildRow, moment: datetime) -> _Stepped:
    """Fold again what live work has changed; once that is little, switch."""
    environment_id = row["environment_id"]
    changed, _ = _find_changed(connection, row)
    if len(changed) <= QUANTUM_ENTITIES or row["rounds_count"] >= MOST_ROUNDS:
        return _switch(connection, row, moment)
    share = changed[:QUANTUM_ENTITIES]
    fold_into_shadow(connection, environment_id, share, now=moment)
    return _Stepped({"rounds_count": row["rounds_count"] + 1}, cost=len(share))


def _switch(connection: Connection, row: RebuildRow, moment: datetime) -> _Stepped:
    """Hold live work of the environment up, fold what it has changed, and make the rows equal."""
    started = monotonic()
    environment_id = row["environment_id"]
    revision = lock_revision(connection, environment_id)
    changed, through_seq = _find_changed(connection, row)
    for start in range(0, len(changed), QUANTUM_ENTITIES):
        share = changed[start : start + QUANTUM_ENTITIES]
        fold_into_shadow(connection, environment_id, share, now=moment)
    stamp = Stamp(environment_id, revision + 1, moment)
    changes = merge_shadow(connection, scope_of(row), stamp)
    if any(changes):
        keep_revision(connection, stamp)
        note_partitions(connection, stamp, cause=REBUILD)
    observe(
        RebuildSwitched(
            environment_id,
            row["rebuild_id"],
            added_count=changes.added,
            changed_count=changes.changed,
            removed_count=changes.removed,
            duration_s=monotonic() - started,
        )
    )
    values = {
        "state": CLEARING,
        "through_seq": through_seq,
        "rows_added": changes.added,
        "rows_changed": changes.changed,
        "rows_removed": changes.removed,
        "revision": stamp.revision if any(changes) else None,
        "switched_at": moment,
    }
    return _Stepped(values, cost=row["entities_count"] // _MERGED_FOR_ONE + len(changed) + 1)


def _clear(connection: Connection, row: RebuildRow, moment: datetime) -> _Stepped:
    """Take the shadow away, some rows at a time."""
    if not clear_shadow(connection, row["environment_id"], limit=CLEARED_ROWS):
        return _Stepped({"state": row["state"]}, cost=CLEARED_ROWS // _MERGED_FOR_ONE)
    return _Stepped({"state": FAILED if row["state"] == FAILING else DONE, "ended_at": moment})


_STEPS: Mapping[str, Callable[[Connection, RebuildRow, datetime], _Stepped]] = {
    WAITING: _begin,
    RUNNING: _walk,
    CATCHING_UP: _catch_up,
    CLEARING: _clear,
    FAILING: _clear,
}


def _find_changed(connection: Connection, row: RebuildRow) -> tuple[list[str], int]:
    """Give the entities of the scope that the shadow does not have as they are, and the last seq.

    The journal's end is read first: what commits behind it is looked for the next time.
    """
    environment_id = row["environment_id"]
    last_seq = _read_last_seq(connection, environment_id)
    moved = find_moved(connection, environment_id)
    new = find_new(connection, environment_id, after_seq=row["through_seq"], through_seq=last_seq)
    return moved + choose_entities(connection, environment_id, scope_of(row), new), last_seq


def _read_last_seq(connection: Connection, environment_id: int) -> int:
    environment = table_of(Environment)
    last_seq: int = connection.execute(
        select(environment.c.last_seq).where(environment.c.environment_id == environment_id)
    ).scalar_one()
    return last_seq


def _note_failure(store: Store, environment_id: int, error: str) -> None:
    """Count a failed quantum; the last one ends the rebuild, and nothing of it is ever seen."""
    with transaction(store) as connection:
        row = lock_next_rebuild(connection, environment_id)
        if row is None:
            return
        failures_count = row["failures_count"] + 1
        values: dict[str, Any] = {"failures_count": failures_count, "error": error[:_ERROR_LENGTH]}
        if failures_count >= MOST_FAILURES and row["state"] not in {CLEARING, FAILING}:
            values["state"] = FAILING
        note_rebuild(connection, environment_id, row["rebuild_id"], **values)
    observe(RebuildFailed(environment_id, row["rebuild_id"], failures_count, error[:_ERROR_LENGTH]))
