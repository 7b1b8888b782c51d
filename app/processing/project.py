"""One claim: pending events of its entities in, their rows out, each event settled.

Folds first, then locks the environment's row and looks again whether the leases are still ours; so
whoever came too late changes nothing. Runs inside one transaction of its caller.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from app.base.observe import EntityDied, EntityFailed, observe
from app.learning.identity import entity_kind, entity_parts
from app.learning.progress import Before
from app.processing.catalog_rows import (
    write_certifications,
    write_modules,
    write_series,
    write_sessions,
)
from app.processing.fold import Failed, named_parts
from app.processing.journal import Entry, bury_pending, read_entries, settle_entries
from app.processing.people_rows import write_learners, write_teams
from app.processing.progress_rows import (
    AssignmentKey,
    StoredProgress,
    read_progress,
    recall_parts,
    write_progress,
)
from app.processing.queue import (
    MAX_ATTEMPTS,
    Claim,
    Lease,
    finish_work,
    give_up,
    hold_leases,
    put_off,
)
from app.processing.rollup_rows import keep_rollups
from app.processing.rows import Stamp, add_stubs
from app.processing.taking_part_rows import write_awards, write_enrolments, write_feedback
from app.store.tables import Environment, Learner, Module, Series
from app.store.tables.columns import table_of
from app.store.tables.journal import PENDING

Fold = Callable[[str, Sequence[Entry]], Any]
Extend = Callable[[Before, Sequence[Entry]], Any]

_WRITERS: Mapping[str, Callable[[Connection, Stamp, Sequence[Any]], None]] = {
    "module": write_modules,
    "series": write_series,
    "session": write_sessions,
    "certification": write_certifications,
    "team": write_teams,
    "learner": write_learners,
    "enrolment": write_enrolments,
    "award": write_awards,
    "feedback": write_feedback,
}


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a claim.

    event_count: events that are pending no more
    entity_count: entities folded and written
    fenced_count: entities whose lease had moved on
    failed_count: entities put off or given up
    """

    environment_id: int
    event_count: int = 0
    entity_count: int = 0
    fenced_count: int = 0
    failed_count: int = 0


@dataclass(frozen=True, slots=True)
class _Result:
    """What the fold of one leased entity gave.

    entries: those that the fold has looked at
    folded: its state and settlements; None where nothing was left to fold
    """

    lease: Lease
    entries: Sequence[Entry]
    folded: Any
    stored: StoredProgress | None = None


@dataclass(frozen=True, slots=True)
class _Round:
    """The results of a claim while it is worked off."""

    results: list[_Result] = field(default_factory=list)
    failures: list[tuple[Lease, Failed]] = field(default_factory=list)


def project_claim(
    connection: Connection, claim: Claim, *, fold: Fold, extend: Extend, now: datetime
) -> Applied:
    """Work a claim off.

    Shape: fold and extend: give what a fold gives, or Failed; they never raise
    """
    round_ = _fold_all(connection, claim, fold=fold, extend=extend)
    revision = _lock_environment(connection, claim.environment_id)
    held = hold_leases(connection, claim)
    results = [result for result in round_.results if result.lease.entity_key in held]
    failures = [entry for entry in round_.failures if entry[0].entity_key in held]
    stamp = Stamp(claim.environment_id, revision + 1, now)
    if any(result.folded is not None for result in results):
        changed = [result for result in results if result.folded is not None]
        names = [result.lease.entity_key for result in changed]
        with keep_rollups(connection, claim.environment_id, names):
            _write_results(connection, stamp, changed)
        _set_revision(connection, stamp)
    event_count = settle_entries(connection, claim.environment_id, _settled_of(results), now=now)
    finish_work(connection, claim.environment_id, [result.lease for result in results])
    for lease, failed in failures:
        fail_entity(connection, claim.environment_id, lease, error=failed.error, now=now)
    return Applied(
        claim.environment_id,
        event_count=event_count,
        entity_count=len(results),
        fenced_count=len(claim.leases) - len(held),
        failed_count=len(failures),
    )


def fail_entity(
    connection: Connection, environment_id: int, lease: Lease, *, error: str, now: datetime
) -> None:
    """Put an entity off that could not be worked on, or give it up after its last attempt."""
    attempt_count = lease.attempts + 1
    observe(EntityFailed(environment_id, lease.entity_key, attempt_count, error))
    if attempt_count < MAX_ATTEMPTS:
        put_off(connection, environment_id, lease, error=error, now=now)
        return
    dead_count = bury_pending(connection, environment_id, lease, error=error)
    give_up(connection, environment_id, lease, error=error)
    observe(EntityDied(environment_id, lease.entity_key, dead_count, error))


def _fold_all(connection: Connection, claim: Claim, *, fold: Fold, extend: Extend) -> _Round:
    """Fold each entity from its stored state where that is enough, else from all its events."""
    environment_id = claim.environment_id
    repeated = [lease.entity_key for lease in claim.leases if not lease.is_first]
    keys = {name: _assignment_of(name) for name in repeated}
    wanted = [key for key in keys.values() if key is not None]
    stored = read_progress(connection, environment_id, wanted)
    by_entity = {name: stored.get(key) for name, key in keys.items() if key is not None}
    extended = [
        lease for lease in claim.leases if lease.done_seq and by_entity.get(lease.entity_key)
    ]
    added = read_entries(connection, environment_id, extended, dispositions=(PENDING,))
    round_ = _Round()
    _extend_all(
        connection,
        environment_id,
        round_,
        extend=extend,
        added=[(lease, by_entity[lease.entity_key], added[lease.entity_key]) for lease in extended],
    )
    done = {result.lease.entity_key for result in round_.results}
    done |= {lease.entity_key for lease, _ in round_.failures}
    rest = [lease for lease in claim.leases if lease.entity_key not in done]
    everything = read_entries(connection, environment_id, rest)
    for lease in rest:
        entries = everything[lease.entity_key]
        folded = fold(lease.entity_key, entries) if entries else None
        _take(round_, _Result(lease, entries, folded, by_entity.get(lease.entity_key)))
    return round_


def _extend_all(
    connection: Connection,
    environment_id: int,
    round_: _Round,
    *,
    extend: Extend,
    added: Sequence[tuple[Lease, StoredProgress | None, Sequence[Entry]]],
) -> None:
    """Go on from what is stored of assignments, where that is enough."""
    known = [(lease, stored, entries) for lease, stored, entries in added if stored and entries]
    named = [(stored, named_parts(entries)) for _, stored, entries in known]
    recalled = recall_parts(connection, environment_id, named)
    for lease, stored, entries in known:
        before = recalled[stored.assignment_id]
        folded = extend(before.before, entries)
        if folded is not None:
            _take(round_, _Result(lease, entries, folded, before))


def _take(round_: _Round, result: _Result) -> None:
    if isinstance(result.folded, Failed):
        round_.failures.append((result.lease, result.folded))
    else:
        round_.results.append(result)


def _assignment_of(entity_key: str) -> AssignmentKey | None:
    if entity_kind(entity_key) != "assignment":
        return None
    learner_key, module_key, series_key, cycle = entity_parts(entity_key)
    return (learner_key, module_key, series_key, cycle)


def _write_results(connection: Connection, stamp: Stamp, results: Sequence[_Result]) -> None:
    """Write rows kind by kind: the catalog before the progress that takes its word."""
    by_kind: dict[str, list[_Result]] = {}
    for result in results:
        by_kind.setdefault(entity_kind(result.lease.entity_key), []).append(result)
    for kind, write in _WRITERS.items():
        if kind in by_kind:
            write(connection, stamp, [result.folded for result in by_kind[kind]])
    assignments = [(result.folded, result.stored) for result in by_kind.get("assignment", ())]
    if assignments:
        write_progress(
            connection,
            stamp.environment_id,
            assignments,
            revision=stamp.revision,
            now=stamp.now,
        )
        fresh = [folded.state for folded, stored in assignments if stored is None]
        learners = {state.learner_key for state in fresh}
        modules = {state.module_key for state in fresh}
        series = {state.series_key for state in fresh if state.series_key}
        add_stubs(connection, table_of(Learner), stamp, learners)
        add_stubs(connection, table_of(Module), stamp, modules)
        add_stubs(connection, table_of(Series), stamp, series)


def _settled_of(results: Iterable[_Result]) -> Iterable[tuple[Entry, Any]]:
    for result in results:
        if result.folded is None:
            continue
        entries = {entry.seq: entry for entry in result.entries}
        for settlement in result.folded.settlements:
            yield entries[settlement.seq], settlement


def _lock_environment(connection: Connection, environment_id: int) -> int:
    environment = table_of(Environment)
    revision: int = connection.execute(
        select(environment.c.last_revision)
        .where(environment.c.environment_id == environment_id)
        .with_for_update()
    ).scalar_one()
    return revision


def _set_revision(connection: Connection, stamp: Stamp) -> None:
    environment = table_of(Environment)
    connection.execute(
        update(environment)
        .where(environment.c.environment_id == stamp.environment_id)
        .values(last_revision=stamp.revision)
    )
