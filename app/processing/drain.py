"""One fair round: claim, project, finish. A poisoned entity is set aside, its neighbours go on."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from app.base.clock import now
from app.base.config import Settings
from app.base.errors import AppError
from app.base.observe import QuantumApplied, observe
from app.learning.progress import Before
from app.processing.fold import Failed, extend_entity, fold_entity
from app.processing.journal import Entry
from app.processing.project import Applied, fail_entity, project_claim
from app.processing.queue import Claim, claim_turn, hold_leases, release
from app.store.engine import Store, transaction

_ERROR_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Drained:
    """What rounds have done.

    event_count: events that are pending no more
    entity_count: entities written
    failed_count: entities that were put off or given up
    """

    event_count: int
    entity_count: int
    failed_count: int


def drain_once(store: Store, settings: Settings) -> Drained | None:
    """Work off one environment's fair share; None when nothing is ready.

    Raises: StoreBusy, StoreFull; the work is ready again then
    """
    del settings
    started = monotonic()
    with transaction(store) as connection:
        claim = claim_turn(connection, now=now())
    if claim is None:
        return None
    applied = _work_off(store, claim)
    observe(
        QuantumApplied(
            claim.environment_id,
            entity_count=sum(part.entity_count for part in applied),
            event_count=sum(part.event_count for part in applied),
            fenced_count=sum(part.fenced_count for part in applied),
            duration_s=monotonic() - started,
        )
    )
    return _sum(applied)


def drain_all(store: Store, settings: Settings) -> Drained:
    """Work until nothing is ready; what rests after a failure is left for later."""
    rounds: list[Drained] = []
    while (drained := drain_once(store, settings)) is not None:
        rounds.append(drained)
    return _sum(rounds)


def _sum(parts: Sequence[Applied | Drained]) -> Drained:
    return Drained(
        event_count=sum(part.event_count for part in parts),
        entity_count=sum(part.entity_count for part in parts),
        failed_count=sum(part.failed_count for part in parts),
    )


def _work_off(store: Store, claim: Claim) -> list[Applied]:
    """Work a claim off in one transaction; where that fails, entity by entity."""
    try:
        return [_project(store, claim)]
    except AppError:
        _give_back(store, claim)
        raise
    except Exception as error:
        if len(claim.leases) == 1:
            return [_set_aside(store, claim, error)]
    parts = [Claim(claim.environment_id, (lease,)) for lease in claim.leases]
    return [applied for part in parts for applied in _work_off(store, part)]


def _project(store: Store, claim: Claim) -> Applied:
    with transaction(store) as connection:
        return project_claim(connection, claim, fold=_fold_safely, extend=_extend_safely, now=now())


def _give_back(store: Store, claim: Claim) -> None:
    """Let go of a claim that the store did not let us work on; failing that, the lease expires."""
    try:
        with transaction(store) as connection:
            release(connection, claim)
    except AppError:
        return


def _set_aside(store: Store, claim: Claim, error: Exception) -> Applied:
    (lease,) = claim.leases
    with transaction(store) as connection:
        if lease.entity_key not in hold_leases(connection, claim):
            return Applied(claim.environment_id, fenced_count=1)
        words = _tell(error)
        fail_entity(connection, claim.environment_id, lease, error=words, now=now())
    return Applied(claim.environment_id, failed_count=1)


def _fold_safely(entity_key: str, entries: Sequence[Entry]) -> Any:
    try:
        return fold_entity(entity_key, entries)
    except Exception as error:
        return Failed(_tell(error))


def _extend_safely(before: Before, entries: Sequence[Entry]) -> Any:
    try:
        return extend_entity(before, entries)
    except Exception as error:
        return Failed(_tell(error))


def _tell(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_ERROR_LENGTH]
