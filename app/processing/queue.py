"""Work in turn: claim, hold, finish, put off, bury; leases with fencing tokens.

A lease is a hint that saves double work, never a promise: who holds an older token than the row
changes nothing. Source: docs/decisions/0010, 0014.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Text,
    Update,
    bindparam,
    func,
    literal_column,
    select,
    update,
)

from app.processing.fairness import (
    Share,
    charge_of,
    choose_share,
    cost_of,
    order_lanes,
    order_standings,
    prefers_task,
)
from app.processing.pauses import choose_pause
from app.processing.tasks import Task, lease_task, release_task, renew_task
from app.processing.turns import (
    LEASE,
    Contender,
    Taken,
    has_small_rival,
    is_ready,
    lock_scheduler,
    lock_turn,
    moments_of,
    raise_epoch,
    read_contenders,
    take_turn,
)
from app.store.dialect import finds_by_place, is_of_one_process, update_rows
from app.store.tables import BulkTask, Event, Work
from app.store.tables.columns import table_of
from app.store.tables.work import BULK
from app.store.words import AmongTexts, IsWaiting, KeyedBetween, Unindexed
from app.store.work import EPOCH

_ERROR_LENGTH = 500
_LATER_TOKEN = 2  # of an entity that was claimed before
_SPARED = 5  # pauses of up to 64 s
_KEY = ("environment_id", "entity_key")
_DEAD_WORKERS = {"across_environments": "a worker that starts frees what a dead one held"}


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
    """A fair share of one environment's work: entities, or one step of a task.

    taken: the turn it was claimed with
    """

    environment_id: int
    leases: tuple[Lease, ...]
    taken: Taken | None = None
    task: Task | None = None


def claim_turn(connection: Connection, *, now: datetime) -> Claim | None:
    """Lease work of the environment whose turn it is, in the lane whose turn it is there.

    Shape: oldest work first; at least one entity, or one task
    """
    house = lock_scheduler(connection)
    contenders = read_contenders(connection, now=now)
    by_id = {contender.standing.environment_id: contender for contender in contenders}
    standings = [contender.standing for contender in contenders]
    for standing in order_standings(standings, vnow=house.vnow):
        chosen = lock_turn(connection, by_id[standing.environment_id])
        if chosen is None:
            continue
        rivalled = has_small_rival(house, standing.environment_id, now=now)
        share = choose_share(has_small_rival=rivalled)
        claim = _claim_share(connection, chosen, share=share, now=now)
        if claim is not None and claim.taken is not None:
            others = [c for c in contenders if c.standing.environment_id != standing.environment_id]
            take_turn(connection, house, chosen, others, taken=claim.taken, now=now)
            return claim
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
    rows = [
        (lease.dirty_seq, lease.dirty_seq + 1, None, 0, None, environment_id, lease.entity_key)
        for lease in leases
    ]
    columns = ("done_seq", "since_seq", "lease_until", "attempts", "error")
    update_rows(connection, table_of(Work), rows, update=columns, key=_KEY)


def put_off(
    connection: Connection, environment_id: int, lease: Lease, *, error: str, now: datetime
) -> None:
    """Count a failed attempt and let the entity rest, longer each time."""
    row = (
        now + choose_pause(lease.attempts),
        None,
        lease.attempts + 1,
        error[:_ERROR_LENGTH],
        environment_id,
        lease.entity_key,
    )
    columns = ("ready_at", "lease_until", "attempts", "error")
    update_rows(connection, table_of(Work), [row], update=columns, key=_KEY)


def spare_entities(
    connection: Connection, claim: Claim, leases: Sequence[Lease], *, error: str, now: datetime
) -> None:
    """Let entities rest that failed through no fault of theirs: no attempt is counted."""
    held = hold_leases(connection, claim)
    rows = [
        (now + choose_pause(_SPARED), None, error[:_ERROR_LENGTH], claim.environment_id, name)
        for name in sorted(lease.entity_key for lease in leases)
        if name in held
    ]
    columns = ("ready_at", "lease_until", "error")
    update_rows(connection, table_of(Work), rows, update=columns, key=_KEY)


def give_up(connection: Connection, environment_id: int, lease: Lease, *, error: str) -> None:
    """Look at the entity no more until something new arrives for it; its error stays readable."""
    seqs = (lease.dirty_seq, lease.dirty_seq + 1)
    row = (*seqs, EPOCH, None, 0, error[:_ERROR_LENGTH], environment_id, lease.entity_key)
    columns = ("done_seq", "since_seq", "ready_at", "lease_until", "attempts", "error")
    update_rows(connection, table_of(Work), [row], update=columns, key=_KEY)


def release(connection: Connection, claim: Claim) -> None:
    """Give leases back undone; those that are ours no more are left alone."""
    if claim.task is not None:
        release_task(connection, claim.task)
    held = hold_leases(connection, claim)
    rows = [(None, claim.environment_id, entity_key) for entity_key in sorted(held)]
    update_rows(connection, table_of(Work), rows, update=("lease_until",), key=_KEY)


def renew_leases(connection: Connection, claim: Claim, *, now: datetime) -> int:
    """Keep the leases that are still ours and still wanted; gives how many.

    Rows that are locked are just being finished.
    """
    if claim.task is not None:
        renew_task(connection, claim.task, until=now + LEASE)
    work = table_of(Work)
    rows = connection.execute(
        select(work.c.entity_key, work.c.lease_token)
        .where(
            work.c.environment_id == claim.environment_id,
            work.c.entity_key.in_([lease.entity_key for lease in claim.leases]),
            work.c.lease_until.is_not(None),
        )
        .order_by(work.c.entity_key)
        .with_for_update(skip_locked=True)
    )
    held = {(entity_key, token) for entity_key, token in rows}
    renewed = [
        (now + LEASE, claim.environment_id, lease.entity_key)
        for lease in claim.leases
        if (lease.entity_key, lease.token) in held
    ]
    update_rows(connection, work, renewed, update=("lease_until",), key=_KEY)
    return len(renewed)


def find_applied(
    connection: Connection, environment_id: int, kinds: Sequence[str]
) -> tuple[Lease, ...]:
    """Give one entity of each kind that was applied and has nothing new, where there is one.

    The leases are no claims: they name what may be tried and must be taken back.
    """
    work = table_of(Work)
    found: list[Lease] = []
    for kind in kinds:
        row = connection.execute(
            select(work.c.entity_key, work.c.dirty_seq, work.c.done_seq)
            .where(
                work.c.environment_id == environment_id,
                work.c.entity_key >= f"{kind}:",
                work.c.entity_key < f"{kind};",
                work.c.done_seq > 0,
                work.c.done_seq >= work.c.dirty_seq,
                work.c.error.is_(None),
            )
            .limit(1)
        ).first()
        if row is not None:
            found.append(Lease(*row, token=_LATER_TOKEN, attempts=0))
    return tuple(found)


def start_epoch(connection: Connection) -> int:
    """Count the start of a worker. Where one process has the database to itself, whoever held a
    lease is dead: all are freed. Elsewhere he may be alive, and his leases expire by themselves.

    Gives how many leases were freed.
    """
    raise_epoch(connection)
    return free_leases(connection) if is_of_one_process(connection) else 0


def free_leases(connection: Connection) -> int:
    """Take back every lease; safe at any time, since tokens move on. Gives how many."""
    freed_count = 0
    for table in (table_of(Work), table_of(BulkTask)):
        result = connection.execute(
            update(table)
            .where(table.c.lease_until.is_not(None))
            .values(lease_until=None, lease_token=table.c.lease_token + 1),
            execution_options=_DEAD_WORKERS,
        )
        freed_count += result.rowcount
    return freed_count


def _claim_share(
    connection: Connection, contender: Contender, *, share: Share, now: datetime
) -> Claim | None:
    """Lease in the first lane that has anything to lease."""
    standing, environment_id = contender.standing, contender.standing.environment_id
    for lane in order_lanes(standing):
        if lane == BULK and prefers_task(standing):
            task = lease_task(connection, environment_id, now=now)
            if task is not None:
                taken = _take(contender, _Leased((), (), True), lane=lane, share=share)
                return Claim(environment_id, (), taken, task)
        leased = _lease_entities(connection, environment_id, lane=lane, share=share, now=now)
        if leased.leases:
            taken = _take(contender, leased, lane=lane, share=share)
            return Claim(environment_id, leased.leases, taken)
    return None


@dataclass(frozen=True, slots=True)
class _Leased:
    """Entities of one lane, the count of new events of each, and whether more could be there."""

    leases: tuple[Lease, ...]
    counts: tuple[int, ...]
    has_more: bool


def _take(contender: Contender, leased: _Leased, *, lane: int, share: Share) -> Taken:
    cost = cost_of(entity_count=len(leased.counts), event_count=sum(leased.counts))
    return Taken(
        contender.standing.environment_id,
        lane=lane,
        weight=contender.standing.weight,
        charge=charge_of(cost, share),
        share=share,
        has_more=leased.has_more,
        entity_count=len(leased.counts),
        event_count=sum(leased.counts),
        rest_count=contender.rest_count,
    )


def _lease_entities(
    connection: Connection, environment_id: int, *, lane: int, share: Share, now: datetime
) -> _Leased:
    """Lease the oldest work of a lane, up to a share."""
    place = {"environment": environment_id, "lane": lane, "most": share.entity_count}
    chosen = connection.execute(_ready_rows(), place | moments_of(now)).all()
    leases: list[Lease] = []
    counts: list[int] = []
    event_count = 0
    for row in chosen:
        event_count += row.new_count
        if leases and event_count > share.event_count:
            break
        counts.append(row.new_count)
        leases.append(
            Lease(row.entity_key, row.dirty_seq, row.done_seq, row.lease_token + 1, row.attempts)
        )
    names = [lease.entity_key for lease in leases]
    if names:
        wanted: dict[str, Any] = {"environment": environment_id, "until": now + LEASE}
        wanted["names"] = orjson.dumps(names).decode()
        by_place = finds_by_place(connection)
        if by_place:
            seqs = chosen[0].since_seq, chosen[len(names) - 1].since_seq
            wanted |= {"of_lane": lane, "first_seq": seqs[0], "last_seq": seqs[1]}
        connection.execute(_leasing(by_place=by_place), wanted)
    has_more = len(leases) < len(chosen) or len(chosen) == share.entity_count
    return _Leased(tuple(leases), tuple(counts), has_more)


@cache
def _leasing(*, by_place: bool) -> Update:
    """The tokens of these rows move on, and they are leased.

    by_place: they are looked for where they were chosen, in the index of what is ready
    """
    work = table_of(Work)
    terms: list[ColumnElement[Any]] = [
        work.c.environment_id == bindparam("environment"),
        AmongTexts(Unindexed(work.c.entity_key), bindparam("names", type_=Text())),
    ]
    if by_place:
        terms += [
            work.c.lane == bindparam("of_lane"),
            work.c.dirty_seq > work.c.done_seq,
            work.c.since_seq.between(bindparam("first_seq"), bindparam("last_seq")),
        ]
    return (
        update(work)
        .where(*terms)
        .values(lease_token=work.c.lease_token + 1, lease_until=bindparam("until"))
    )


@cache
def _ready_rows() -> Select[Any]:
    """The oldest work of a lane that is ready, and how many events of each wait up to where it is
    dirty.

    They are counted by a subquery for each row: PostgreSQL may join, and then reads the keys of a
    whole journal.
    """
    work, event = table_of(Work), table_of(Event)
    new_count = (
        select(func.count())
        .select_from(event)
        .where(
            event.c.environment_id == work.c.environment_id,
            KeyedBetween(
                *(event.c.entity_key, event.c.seq),
                *(work.c.entity_key, literal_column("0"), work.c.dirty_seq),
            ),
            IsWaiting(event.c.disposition),
        )
        .scalar_subquery()
    )
    columns = work.c.entity_key, work.c.dirty_seq, work.c.done_seq, work.c.lease_token
    return (
        select(*columns, work.c.attempts, work.c.since_seq, new_count.label("new_count"))
        .where(
            work.c.environment_id == bindparam("environment"),
            work.c.lane == bindparam("lane"),
            is_ready(work),
        )
        .order_by(work.c.since_seq)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
    )
