"""Work in turn: claim, hold, finish, put off, bury; leases with fencing tokens.

A lease is a hint that saves double work, never a promise: who holds an older token than the row
changes nothing. Source: docs/decisions/0010, 0011.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select, update

from app.store.dialect import insert_missing, update_rows
from app.store.tables import Environment, Event, Turn, Work
from app.store.tables.columns import table_of
from app.store.work import EPOCH

LEASE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(seconds=300)
MAX_ATTEMPTS = 8
QUANTUM_ENTITIES = 500
QUANTUM_EVENTS = 2_000

_ERROR_LENGTH = 500
_KEY = ("environment_id", "entity_key")


@dataclass(frozen=True, slots=True)
class Lease:
    """One entity, ours for a while.

    dirty_seq: its projection must reflect the journal up to here, and this lease reads no further
    token: ours as long as the row holds the same
    attempts: failed ones so far
    """

    entity_key: str
    dirty_seq: int
    done_seq: int
    token: int
    attempts: int

    @property
    def is_first(self) -> bool:
        """Was the entity never claimed before? Then nothing of it is stored."""
        return self.token == 1


@dataclass(frozen=True, slots=True)
class Claim:
    """A fair share of one environment's work."""

    environment_id: int
    leases: tuple[Lease, ...]


def claim_turn(connection: Connection, *, now: datetime) -> Claim | None:
    """Lease work of the environment that was served least recently among those with any ready.

    Shape: up to 500 entities or 2,000 new events, oldest first; at least one entity
    """
    for environment_id in _environments_in_turn(connection, now):
        if not _take_turn(connection, environment_id):
            continue
        leases = _lease_entities(connection, environment_id, now)
        if leases:
            return Claim(environment_id, leases)
    return None


def hold_leases(connection: Connection, claim: Claim) -> set[str]:
    """Lock the claimed work rows and give the entities that are still ours."""
    work = table_of(Work)
    rows = connection.execute(
        select(work.c.entity_key, work.c.lease_token)
        .where(
            work.c.environment_id == claim.environment_id,
            work.c.entity_key.in_([lease.entity_key for lease in claim.leases]),
        )
        .order_by(work.c.entity_key)
        .with_for_update()
    )
    held = {(entity_key, token) for entity_key, token in rows}
    return {lease.entity_key for lease in claim.leases if (lease.entity_key, lease.token) in held}


def finish_work(connection: Connection, environment_id: int, leases: Iterable[Lease]) -> None:
    """Say that the projections reflect the journal up to the claimed seqs; give the leases back.

    What came meanwhile leaves dirty_seq beyond done_seq: ready again by itself.
    """
    rows = [(lease.dirty_seq, None, 0, None, environment_id, lease.entity_key) for lease in leases]
    columns = ("done_seq", "lease_until", "attempts", "error")
    update_rows(connection, table_of(Work), rows, update=columns, key=_KEY)


def put_off(
    connection: Connection, environment_id: int, lease: Lease, *, error: str, now: datetime
) -> None:
    """Count a failed attempt and let the entity rest, longer each time, by chance up to twofold."""
    pause_s = min(2**lease.attempts, LONGEST_PAUSE.total_seconds())
    chance = secrets.randbelow(1000) / 1000
    row = (
        now + timedelta(seconds=pause_s * (0.5 + chance / 2)),
        None,
        lease.attempts + 1,
        error[:_ERROR_LENGTH],
        environment_id,
        lease.entity_key,
    )
    columns = ("ready_at", "lease_until", "attempts", "error")
    update_rows(connection, table_of(Work), [row], update=columns, key=_KEY)


def give_up(connection: Connection, environment_id: int, lease: Lease, *, error: str) -> None:
    """Look at the entity no more until something new arrives for it; its error stays readable."""
    row = (lease.dirty_seq, EPOCH, None, 0, error[:_ERROR_LENGTH], environment_id, lease.entity_key)
    columns = ("done_seq", "ready_at", "lease_until", "attempts", "error")
    update_rows(connection, table_of(Work), [row], update=columns, key=_KEY)


def release(connection: Connection, claim: Claim) -> None:
    """Give leases back undone; those that are ours no more are left alone."""
    held = hold_leases(connection, claim)
    rows = [(None, claim.environment_id, entity_key) for entity_key in sorted(held)]
    update_rows(connection, table_of(Work), rows, update=("lease_until",), key=_KEY)


def free_leases(connection: Connection) -> int:
    """Take back every lease, for a worker that starts; safe, since tokens move on.

    Gives how many.
    """
    work = table_of(Work)
    result = connection.execute(
        update(work)
        .where(work.c.lease_until.is_not(None))
        .values(lease_until=None, lease_token=work.c.lease_token + 1),
        execution_options={
            "across_environments": "a worker that starts frees what a dead one held"
        },
    )
    return result.rowcount


def _is_ready(now: datetime) -> ColumnElement[bool]:
    """Dirty, rested and unleased; a moment beyond its maximum comes from a clock that jumped."""
    work = table_of(Work)
    return and_(
        work.c.dirty_seq > work.c.done_seq,
        or_(work.c.ready_at <= now, work.c.ready_at > now + LONGEST_PAUSE),
        or_(
            work.c.lease_until.is_(None),
            work.c.lease_until <= now,
            work.c.lease_until > now + LEASE,
        ),
    )


def _environments_in_turn(connection: Connection, now: datetime) -> Sequence[int]:
    environment, turn, work = table_of(Environment), table_of(Turn), table_of(Work)
    mine = work.c.environment_id == environment.c.environment_id
    rows = connection.execute(
        select(environment.c.environment_id)
        .outerjoin(turn, turn.c.environment_id == environment.c.environment_id)
        .where(exists().where(mine, _is_ready(now)))
        .order_by(func.coalesce(turn.c.served_tick, 0), environment.c.environment_id),
        execution_options={"across_environments": "taking turns is all that environments share"},
    )
    return rows.scalars().all()


def _take_turn(connection: Connection, environment_id: int) -> bool:
    """Take an environment's turn, unless another worker is just doing so."""
    turn = table_of(Turn)
    columns, row = ("environment_id", "served_count", "served_tick"), (environment_id, 0, 0)
    insert_missing(connection, turn, columns, [row], key=("environment_id",))
    locked = connection.execute(
        select(turn.c.environment_id)
        .where(turn.c.environment_id == environment_id)
        .with_for_update(skip_locked=True)
    ).first()
    if locked is None:
        return False
    newest = connection.execute(
        select(func.max(turn.c.served_tick)),
        execution_options={"across_environments": "taking turns is all that environments share"},
    ).scalar()
    connection.execute(
        update(turn)
        .where(turn.c.environment_id == environment_id)
        .values(served_count=turn.c.served_count + 1, served_tick=(newest or 0) + 1)
    )
    return True


def _lease_entities(
    connection: Connection, environment_id: int, now: datetime
) -> tuple[Lease, ...]:
    work = table_of(Work)
    chosen = connection.execute(_ready_rows(environment_id, now)).all()
    counts = _count_new(connection, environment_id, [row.entity_key for row in chosen])
    leases: list[Lease] = []
    event_count = 0
    for row in chosen:
        event_count += counts.get(row.entity_key, 0)
        if leases and event_count > QUANTUM_EVENTS:
            break
        leases.append(
            Lease(row.entity_key, row.dirty_seq, row.done_seq, row.lease_token + 1, row.attempts)
        )
    rows = [(lease.token, now + LEASE, environment_id, lease.entity_key) for lease in leases]
    update_rows(connection, work, rows, update=("lease_token", "lease_until"), key=_KEY)
    return tuple(leases)


def _ready_rows(environment_id: int, now: datetime) -> Select[Any]:
    work = table_of(Work)
    columns = work.c.entity_key, work.c.dirty_seq, work.c.done_seq, work.c.lease_token
    return (
        select(*columns, work.c.attempts)
        .where(work.c.environment_id == environment_id, _is_ready(now))
        .order_by(work.c.dirty_seq)
        .limit(QUANTUM_ENTITIES)
        .with_for_update(skip_locked=True)
    )


def _count_new(
    connection: Connection, environment_id: int, entity_keys: Sequence[str]
) -> dict[str, int]:
    """Count, by entity, the events that its projection does not reflect yet."""
    work, event = table_of(Work), table_of(Event)
    rows = connection.execute(
        select(work.c.entity_key, func.count())
        .join(event, event.c.entity_key == work.c.entity_key)
        .where(
            work.c.environment_id == environment_id,
            work.c.entity_key.in_(entity_keys),
            event.c.environment_id == environment_id,
            event.c.seq > work.c.done_seq,
            event.c.seq <= work.c.dirty_seq,
        )
        .group_by(work.c.entity_key)
    )
    return {row[0]: row[1] for row in rows}
