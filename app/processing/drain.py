"""One fair round: claim, project, finish. A poisoned entity is set aside, its neighbours go on.

Where all fails that went well before, nobody is to blame but us: what failed rests, unharmed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from app.base.clock import now
from app.base.config import Settings
from app.base.errors import AppError
from app.base.facts import EntitiesSpared, EnvironmentRested, QuantumApplied, TaskFailed
from app.base.observe import observe
from app.learning.identity import entity_kind
from app.learning.progress import Before
from app.processing.fold import Failed, extend_entity, fold_entity
from app.processing.journal import Entry
from app.processing.pauses import choose_pause
from app.processing.project import (
    Applied,
    Failure,
    fail_entities,
    project_claim,
    rehearse_claim,
)
from app.processing.queue import Claim, claim_turn, find_applied, release, spare_entities
from app.processing.rebuild import take_rebuild_step
from app.processing.renewal import renewed_leases
from app.processing.tasks import Step, Task, fail_task, settle_task
from app.processing.turns import Taken, is_settled, rest_environment, settle_turn
from app.store.engine import Store, fleeting_transaction, rehearsal, transaction

TaskStep = Callable[[Store, Settings, Task], Step]

# The steps of tasks, by their kind (docs/architecture.md, "The fair queue").
_STEPS: Mapping[str, TaskStep] = {"rebuild": take_rebuild_step}

# A day of rests: longer than that nothing may wait for our sake. Then attempts count again.
_MOST_RESTS = 300
_ERROR_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Drained:
    """What rounds have done.

    event_count: events that are pending no more
    entity_count: entities written
    failed_count: entities that were put off or given up, and steps of tasks that failed
    """

    event_count: int
    entity_count: int
    failed_count: int


def _never() -> bool:
    return False


def drain_once(
    store: Store, settings: Settings, *, is_stopping: Callable[[], bool] = _never
) -> Drained | None:
    """Work off one environment's fair share; None when nothing is ready.

    Shape:  is_stopping: asked where a long round can be left; what is undone is given back
    Raises: StoreBusy, StoreFull; the work is ready again then
    """
    started = monotonic()
    with fleeting_transaction(store) as connection:
        claim = claim_turn(connection, now=now())
    if claim is None:
        return None
    with renewed_leases(store, claim):
        if claim.task is not None:
            applied = [_take_step(store, settings, claim, claim.task)]
        else:
            applied = _work_off(store, claim, is_stopping)
            _judge_failures(store, claim, applied)
        _settle(store, claim.taken, applied)
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


def _work_off(store: Store, claim: Claim, is_stopping: Callable[[], bool]) -> list[Applied]:
    """Work a claim off in one transaction; where that fails, entity by entity."""
    try:
        return [_project(store, claim)]
    except AppError:
        _give_back(store, claim)
        raise
    except Exception as error:
        if len(claim.leases) == 1:
            return [_failed(claim, error)]
    return _work_off_singly(store, claim, is_stopping)


def _work_off_singly(store: Store, claim: Claim, is_stopping: Callable[[], bool]) -> list[Applied]:
    applied: list[Applied] = []
    for place, lease in enumerate(claim.leases):
        if is_stopping():
            _give_back(store, Claim(claim.environment_id, claim.leases[place:]))
            break
        part = Claim(claim.environment_id, (lease,), claim.taken)
        try:
            applied.append(_project(store, part))
        except AppError:
            _give_back(store, Claim(claim.environment_id, claim.leases[place:]))
            raise
        except Exception as error:
            applied.append(_failed(part, error))
    return applied


def _project(store: Store, claim: Claim) -> Applied:
    with transaction(store) as connection:
        return project_claim(connection, claim, fold=_fold_safely, extend=_extend_safely, now=now())


def _failed(claim: Claim, error: Exception) -> Applied:
    failures = tuple((lease, _tell(error)) for lease in claim.leases)
    return Applied(claim.environment_id, failed_count=len(failures), failures=failures)


def _give_back(store: Store, claim: Claim) -> None:
    """Let go of a claim that the store did not let us work on; failing that, the lease expires."""
    try:
        with transaction(store) as connection:
            release(connection, claim)
    except AppError:
        return


def _take_step(store: Store, settings: Settings, claim: Claim, task: Task) -> Applied:
    """Let a task go one step on."""
    try:
        done = _STEPS[task.kind](store, settings, task)
    except AppError:
        _give_back(store, claim)
        raise
    except Exception as error:
        words = _tell(error)
        with transaction(store) as connection:
            fail_task(connection, task, error=words, now=now())
        observe(TaskFailed(task.environment_id, task.task_key, task.attempts + 1, words))
        return Applied(task.environment_id, failed_count=1)
    with transaction(store) as connection:
        settle_task(connection, task, is_done=done.is_done, now=now())
    return Applied(task.environment_id, cost=done.cost)


def _settle(store: Store, taken: Taken | None, applied: Sequence[Applied]) -> None:
    """Correct the charge of the turn, where it was wrong: rarely."""
    cost = sum(part.cost for part in applied)
    is_well = any(part.well_kinds for part in applied)
    if taken is not None and not is_settled(taken, cost=cost, is_well=is_well):
        with transaction(store) as connection:
            settle_turn(connection, taken, cost=cost, is_well=is_well)


def _judge_failures(store: Store, claim: Claim, applied: Sequence[Applied]) -> None:
    """Decide about what failed: poison, or no fault of theirs? Where one entity of a kind was
    written, another that was not is poison; where none was, it is tried.
    """
    well_kinds = frozenset[str]().union(*(part.well_kinds for part in applied))
    failures = [failure for part in applied for failure in part.failures]
    doubtful = [f for f in failures if entity_kind(f[0].entity_key) not in well_kinds]
    spared = doubtful if doubtful and _is_ours(store, claim, doubtful) else []
    poisoned = [failure for failure in failures if failure not in spared]
    if poisoned:
        with transaction(store) as connection:
            fail_entities(connection, claim, poisoned, now=now())
    if spared and not well_kinds:
        _rest(store, claim, spared)
    elif spared:
        error = spared[0][1]
        with transaction(store) as connection:
            leases = [lease for lease, _ in spared]
            spare_entities(connection, claim, leases, error=error, now=now())
        observe(EntitiesSpared(claim.environment_id, len(spared), error))


def _is_ours(store: Store, claim: Claim, failures: Sequence[Failure]) -> bool:
    """Is the fault with us or the database? Entities that were applied before tell: they are folded
    and written once more, which is taken back.

    Of a kind that has none, one entity that fails is poison, and several are not.
    """
    if claim.taken is not None and claim.taken.rest_count >= _MOST_RESTS:
        return False
    kinds = sorted({entity_kind(lease.entity_key) for lease, _ in failures})
    try:
        with rehearsal(store) as connection:
            known = find_applied(connection, claim.environment_id, kinds)
            trial = Claim(claim.environment_id, known)
            if not rehearse_claim(connection, trial, fold=_fold_safely, now=now()):
                return True
    except AppError:
        raise
    except Exception:
        return True
    return len(known) < len(kinds) and len(failures) > 1


def _rest(store: Store, claim: Claim, failures: Sequence[Failure]) -> None:
    """Let the environment rest, longer each time; its work stays as it is."""
    rest_count = claim.taken.rest_count if claim.taken is not None else 0
    pause, error = choose_pause(rest_count), failures[0][1]
    with transaction(store) as connection:
        until = now() + pause
        rest_environment(connection, claim.environment_id, until=until, error=error)
        release(connection, claim)
    observe(
        EnvironmentRested(
            claim.environment_id,
            entity_count=len(failures),
            rest_count=rest_count + 1,
            pause_s=pause.total_seconds(),
            error=error,
        )
    )


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
