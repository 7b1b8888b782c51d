"""One claim: pending events of its entities in, their rows out, each event settled.

Folds first, then locks the environment's row and looks again whether the leases are still ours; so
whoever came too late changes nothing. Runs inside one transaction of its caller.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.base.facts import EntityDied, EntityFailed
from app.base.observe import observe
from app.learning.identity import entity_kind, entity_parts
from app.learning.progress import Before
from app.processing.dead import note_death
from app.processing.entity_rows import write_folded
from app.processing.fairness import cost_of
from app.processing.fold import Failed, named_parts
from app.processing.journal import Entry, bury_pending, read_entries, read_pending, settle_entries
from app.processing.partition_rows import is_late, note_applied
from app.processing.pauses import MAX_ATTEMPTS
from app.processing.progress_rows import (
    AssignmentKey,
    StoredProgress,
    read_progress,
    recall_parts,
)
from app.processing.queue import (
    Claim,
    Lease,
    finish_work,
    give_up,
    hold_leases,
    put_off,
)
from app.processing.rebuild_requests import count_switches
from app.processing.rollup_rows import keep_rollups
from app.processing.rows import Stamp, keep_revision, lock_revision
from app.store.tables.journal import PENDING
from app.store.tables.work import BULK
from app.store.work import CANARY, note_canary

Fold = Callable[[str, Sequence[Entry]], Any]
Extend = Callable[[Before, Sequence[Entry]], Any]
Failure = tuple[Lease, str]
"""(the lease of an entity, why it could not be folded or written)"""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a claim.

    event_count: events that are pending no more
    entity_count: entities folded and written
    fenced_count: entities whose lease had moved on
    failed_count: entities that could not be folded or written
    failures: those of them of whose kind none went well; nothing is written down of them yet
    well_kinds: the kinds of the entities that were written
    cost: what it cost (`app/processing/fairness.py`)
    """

    environment_id: int
    event_count: int = 0
    entity_count: int = 0
    fenced_count: int = 0
    failed_count: int = 0
    failures: tuple[Failure, ...] = ()
    well_kinds: frozenset[str] = frozenset()
    cost: int = 0


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
    """Work a claim off. An entity that fails where others of its kind do not is put off.

    Shape: fold and extend: give what a fold gives, or Failed; they never raise
    """
    switched_count = count_switches(connection, claim.environment_id)
    round_ = _fold_all(connection, claim, fold=fold, extend=extend)
    revision = lock_revision(connection, claim.environment_id)
    if count_switches(connection, claim.environment_id) != switched_count:
        # What was read is of before: to go on from it would undo what the rebuild has repaired.
        round_ = _fold_all(connection, claim, fold=fold, extend=extend)
    held = hold_leases(connection, claim)
    results = [result for result in round_.results if result.lease.entity_key in held]
    failures = [(lease, f.error) for lease, f in round_.failures if lease.entity_key in held]
    changed = [result for result in results if result.folded is not None]
    if changed:
        stamp = Stamp(claim.environment_id, revision + 1, now)
        _write_results(connection, stamp, changed)
        is_bulk = claim.taken is not None and claim.taken.lane == BULK
        note_applied(connection, stamp, _lateness_of(changed), is_bulk=is_bulk)
    event_count = settle_entries(connection, claim.environment_id, _settled_of(results), now=now)
    finish_work(connection, claim.environment_id, [result.lease for result in results])
    for result in results:
        if result.lease.entity_key == CANARY:
            note_canary(connection, claim.environment_id, result.lease.dirty_seq)
    well_kinds = frozenset(entity_kind(result.lease.entity_key) for result in changed)
    for lease, error in failures:
        if entity_kind(lease.entity_key) in well_kinds:
            _fail_entity(connection, claim.environment_id, lease, error=error, now=now)
    read_count = sum(len(result.entries) for result in round_.results)
    return Applied(
        claim.environment_id,
        event_count=event_count,
        entity_count=len(results),
        fenced_count=len(claim.leases) - len(held),
        failed_count=len(failures),
        failures=tuple(f for f in failures if entity_kind(f[0].entity_key) not in well_kinds),
        well_kinds=well_kinds,
        cost=cost_of(entity_count=len(claim.leases), event_count=read_count),
    )


def rehearse_claim(connection: Connection, claim: Claim, *, fold: Fold, now: datetime) -> bool:
    """Fold and write entities as if they were claimed; the caller takes all of it back.

    Gives whether every one of them can be folded.

    Raises: whatever their writing raises
    """
    round_ = _fold_all(connection, claim, fold=fold, extend=lambda _before, _entries: None)
    if round_.failures:
        return False
    revision = lock_revision(connection, claim.environment_id)
    changed = [result for result in round_.results if result.folded is not None]
    _write_results(connection, Stamp(claim.environment_id, revision + 1, now), changed)
    return True


def fail_entities(
    connection: Connection, claim: Claim, failures: Sequence[Failure], *, now: datetime
) -> None:
    """Put off what could not be worked on, or give it up after its last attempt; what is no longer
    ours is left alone.
    """
    lock_revision(connection, claim.environment_id)
    held = hold_leases(connection, claim)
    for lease, error in failures:
        if lease.entity_key in held:
            _fail_entity(connection, claim.environment_id, lease, error=error, now=now)


def _write_results(connection: Connection, stamp: Stamp, changed: Sequence[_Result]) -> None:
    names = [result.lease.entity_key for result in changed]
    with keep_rollups(connection, stamp.environment_id, names):
        write_folded(
            connection,
            stamp,
            [(result.lease.entity_key, result.folded, result.stored) for result in changed],
        )
    keep_revision(connection, stamp)


def _lateness_of(changed: Iterable[_Result]) -> dict[str, bool]:
    """Say of each entity whether something came late of what is settled now."""
    return {
        result.lease.entity_key: any(
            is_late(entry.occurred_at, entry.received_at)
            for entry in result.entries
            if entry.disposition == PENDING
        )
        for result in changed
    }


def _fail_entity(
    connection: Connection, environment_id: int, lease: Lease, *, error: str, now: datetime
) -> None:
    attempt_count = lease.attempts + 1
    observe(EntityFailed(environment_id, lease.entity_key, attempt_count, error))
    if attempt_count < MAX_ATTEMPTS:
        put_off(connection, environment_id, lease, error=error, now=now)
        return
    dead_count = bury_pending(connection, environment_id, lease, error=error)
    note_death(connection, environment_id, lease, error=error, now=now)
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
    added = read_pending(connection, environment_id, extended)
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


def _settled_of(results: Iterable[_Result]) -> Iterable[tuple[Entry, Any]]:
    for result in results:
        if result.folded is None:
            continue
        entries = {entry.seq: entry for entry in result.entries}
        for settlement in result.folded.settlements:
            yield entries[settlement.seq], settlement
