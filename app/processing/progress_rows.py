"""Assignments and attempts: stored rows in, the state of an earlier fold out, and back again.

The caller holds the environment's row when it writes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, update

from app.learning.progress import AttemptState, Before, Folded, ProgressState
from app.processing.history_rows import write_history
from app.processing.numbering import number_rows
from app.processing.rows import Stamp
from app.processing.work_rows import Written, read_parts, write_work
from app.store.dialect import upsert_rows
from app.store.lookup import find_rows
from app.store.tables import Attempt, Module, Progress
from app.store.tables.columns import table_of

AssignmentKey = tuple[str, str, str, int]
"""(learner_key, module_key, series_key, cycle)"""

_KEY = ("learner_key", "module_key", "series_key", "cycle")
_STATE_COLUMNS = tuple(field.name for field in fields(ProgressState))
_ATTEMPT_COLUMNS = tuple(field.name for field in fields(AttemptState))
_state_of = attrgetter(*_STATE_COLUMNS)
_attempt_of = attrgetter(*_ATTEMPT_COLUMNS)
_STAMP = ("revision", "changed_at", "is_deleted")


@dataclass(frozen=True, slots=True)
class StoredProgress:
    """An assignment as it is stored."""

    assignment_id: int
    before: Before


def read_progress(
    connection: Connection, environment_id: int, keys: Sequence[AssignmentKey]
) -> dict[AssignmentKey, StoredProgress]:
    """Give those of these assignments that are stored."""
    rows = find_rows(
        connection,
        table_of(Progress),
        environment_id,
        columns=("assignment_id", *_STATE_COLUMNS),
        key=_KEY,
        keys=keys,
    )
    states: dict[int, ProgressState] = {}
    for row in rows:
        values: tuple[Any, ...] = tuple(row)
        states[values[0]] = ProgressState(*values[1:])
    attempts = _read_attempts(connection, environment_id, sorted(states))
    return {
        key_of(state): StoredProgress(number, Before(state, tuple(attempts.get(number, ()))))
        for number, state in states.items()
    }


def recall_parts(
    connection: Connection,
    environment_id: int,
    named: Sequence[tuple[StoredProgress, Collection[str]]],
) -> dict[int, StoredProgress]:
    """Give assignments with what is stored of the parts that new events name.

    Shape: by assignment_id
    """
    told = {stored.assignment_id: parts for stored, parts in named if parts}
    found = read_parts(connection, environment_id, told)
    return {
        stored.assignment_id: replace(
            stored, before=replace(stored.before, parts=parts, signoffs=signoffs)
        )
        for stored, (parts, signoffs) in (
            (stored, found.get(stored.assignment_id, ((), ()))) for stored, _ in named
        )
    }


def key_of(state: ProgressState) -> AssignmentKey:
    """Give the natural key of an assignment."""
    return (state.learner_key, state.module_key, state.series_key, state.cycle)


def write_progress(
    connection: Connection,
    environment_id: int,
    folded: Sequence[tuple[Folded, StoredProgress | None]],
    *,
    revision: int,
    now: datetime,
) -> None:
    """Write assignments and all below them, with what was stored of each before.

    An assignment without any fact that counts is kept as a tombstone.
    """
    states = [result.state for result, _ in folded]
    types = _read_types(connection, environment_id, {state.module_key for state in states})
    progress = table_of(Progress)
    new_count = sum(stored is None for _, stored in folded)
    fresh = number_rows(connection, progress, environment_id, new_count)
    numbers = [next(fresh) if stored is None else stored.assignment_id for _, stored in folded]
    rows = [
        (
            environment_id,
            number,
            types.get(state.module_key, state.event_module_type),
            *_state_of(state),
            revision,
            now,
            state.is_empty,
        )
        for number, state in zip(numbers, states, strict=True)
    ]
    written = ("module_type", *_STATE_COLUMNS, *_STAMP)
    upsert_rows(
        connection,
        progress,
        ("environment_id", "assignment_id", *written),
        rows,
        key=("environment_id", *_KEY),
        update=[name for name in written if name not in _KEY],
    )
    entries = [
        Written(number, result, None if stored is None else stored.before)
        for number, (result, stored) in zip(numbers, folded, strict=True)
    ]
    stamp = Stamp(environment_id, revision, now)
    _replace_attempts(connection, stamp, entries)
    write_work(connection, stamp, entries)
    write_history(connection, stamp, entries)


def _replace_attempts(connection: Connection, stamp: Stamp, entries: Sequence[Written]) -> None:
    """Write attempts that are new or other than before; bury those that are no more."""
    attempts: list[tuple[int, AttemptState]] = []
    gone: list[tuple[int, AttemptState]] = []
    for number, result, stored in entries:
        before = () if stored is None else stored.attempts
        attempts += [(number, state) for state in result.attempts if state not in before]
        kept = {state.attempt for state in result.attempts}
        gone += [(number, state) for state in before if state.attempt not in kept]
    revision, now = stamp.revision, stamp.now
    _write_attempts(connection, stamp.environment_id, attempts, stamp=(revision, now, False))
    _write_attempts(connection, stamp.environment_id, gone, stamp=(revision, now, True))


def restate_types(
    connection: Connection,
    environment_id: int,
    types: Mapping[str, str | None],
    *,
    revision: int,
    now: datetime,
) -> None:
    """Let the catalog's word on module types reach the progress rows of these modules.

    Shape: types: by module_key; None where the catalog knows none, so that the events' own holds
    """
    progress = table_of(Progress).c
    for module_key, module_type in types.items():
        value = progress.event_module_type if module_type is None else module_type
        connection.execute(
            update(table_of(Progress))
            .where(
                progress.environment_id == environment_id,
                progress.module_key == module_key,
                progress.module_type.is_distinct_from(value),
            )
            .values(module_type=value, revision=revision, changed_at=now)
        )


def _read_types(
    connection: Connection, environment_id: int, module_keys: Iterable[str]
) -> dict[str, str]:
    """Give the catalog's module types of those modules that it knows."""
    rows = find_rows(
        connection,
        table_of(Module),
        environment_id,
        columns=("module_key", "module_type", "known"),
        key=("module_key",),
        keys=[(key,) for key in sorted(module_keys)],
    )
    return {
        key: module_type for key, module_type, known in rows if known and module_type is not None
    }


def _read_attempts(
    connection: Connection, environment_id: int, numbers: Sequence[int]
) -> dict[int, list[AttemptState]]:
    """Give attempts by assignment_id, in the order of their numbers."""
    rows = find_rows(
        connection,
        table_of(Attempt),
        environment_id,
        columns=("is_deleted", "assignment_id", *_ATTEMPT_COLUMNS),
        key=("assignment_id",),
        keys=[(number,) for number in numbers],
    )
    found: dict[int, dict[int, AttemptState]] = {}
    for is_deleted, assignment_id, *values in rows:
        if not is_deleted:
            state = AttemptState(*values)
            found.setdefault(assignment_id, {})[state.attempt] = state
    return {number: [of[key] for key in sorted(of)] for number, of in found.items()}


def _write_attempts(
    connection: Connection,
    environment_id: int,
    attempts: Sequence[tuple[int, AttemptState]],
    *,
    stamp: tuple[Any, ...],
) -> None:
    table = table_of(Attempt)
    fresh = number_rows(connection, table, environment_id, len(attempts))
    rows = [
        (environment_id, next(fresh), number, *_attempt_of(state), *stamp)
        for number, state in attempts
    ]
    key = ("environment_id", "assignment_id", "attempt")
    upsert_rows(
        connection,
        table,
        ("environment_id", "attempt_id", "assignment_id", *_ATTEMPT_COLUMNS, *_STAMP),
        rows,
        key=key,
        update=[name for name in (*_ATTEMPT_COLUMNS, *_STAMP) if name not in key],
    )
