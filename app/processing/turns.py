"""The rows by which environments take turns: the house's one scheduler row, a turn row for each.

A claim locks the scheduler row first, so claims follow one another; it never touches the row with
an environment's counters. Source: docs/decisions/0014.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    or_,
    select,
    update,
)

from app.processing.fairness import (
    Share,
    Standing,
    charge_of,
    cost_of,
    finish_tag,
    is_small,
    serve_quantum,
    start_tag,
)
from app.processing.pauses import LONGEST_PAUSE
from app.store.dialect import insert_missing
from app.store.tables import BulkTask, Environment, Scheduler, Turn, Work
from app.store.tables.columns import Long, UtcDateTime, table_of
from app.store.tables.work import BULK, LIVE

LEASE = timedelta(seconds=30)

_MEMORY = timedelta(seconds=10)
_SCHEDULER_ID = 1
_CROSSING = {"across_environments": "taking turns is all that environments share"}
_ERROR_LENGTH = 500


@dataclass(frozen=True, slots=True)
class House:
    """The scheduler row, locked.

    vnow: the virtual time of the whole house
    tick: quanta claimed so far
    small_last, small_at: who was last served while he had little to do, and when
    small_before_at: when that was last so of anyone else
    """

    vnow: int
    tick: int
    small_last: int | None
    small_at: datetime | None
    small_before_at: datetime | None


@dataclass(frozen=True, slots=True)
class Contender:
    """An environment with ready work, and what its turn row tells beside its standing.

    is_waiting: has it been passed over before?
    rest_count: how often in a row all it was given failed
    """

    standing: Standing
    is_waiting: bool
    has_row: bool
    rest_count: int


def lock_scheduler(connection: Connection) -> House:
    """Lock the scheduler row to the end of the transaction; make it if there is none."""
    scheduler = table_of(Scheduler)
    moments = scheduler.c.small_at, scheduler.c.small_before_at
    wanted = (
        select(scheduler.c.vnow, scheduler.c.tick, scheduler.c.small_last, *moments)
        .where(scheduler.c.scheduler_id == _SCHEDULER_ID)
        .with_for_update()
    )
    row = connection.execute(wanted).first()
    if row is None:
        columns, key = ("scheduler_id", "vnow", "tick", "epoch"), ("scheduler_id",)
        insert_missing(connection, scheduler, columns, [(_SCHEDULER_ID, 0, 0, 0)], key=key)
        row = connection.execute(wanted).one()
    return House(*row)


def raise_epoch(connection: Connection) -> int:
    """Count one more start of a worker; gives the number of its epoch."""
    lock_scheduler(connection)
    scheduler = table_of(Scheduler)
    epoch: int = connection.execute(
        update(scheduler)
        .where(scheduler.c.scheduler_id == _SCHEDULER_ID)
        .values(epoch=scheduler.c.epoch + 1)
        .returning(scheduler.c.epoch)
    ).scalar_one()
    return epoch


def read_contenders(connection: Connection, *, now: datetime) -> list[Contender]:
    """Give the environments with ready work, in no order; those that rest are left out."""
    rows = connection.execute(_contending(), moments_of(now), execution_options=_CROSSING)
    return [_contender_of(row) for row in rows if row.has_live or row.has_bulk or row.has_task]


def lock_turn(connection: Connection, contender: Contender) -> Contender | None:
    """Lock an environment's turn row and look again; None if another transaction holds it."""
    turn, standing = table_of(Turn), contender.standing
    if not contender.has_row:
        add_turns(connection, [standing.environment_id])
    vtime = connection.execute(
        select(turn.c.vtime)
        .where(turn.c.environment_id == standing.environment_id)
        .with_for_update(skip_locked=True)
    ).scalar()
    if vtime is None:
        return None
    return replace(contender, standing=replace(standing, vtime=vtime))


def has_small_rival(house: House, environment_id: int, *, now: datetime) -> bool:
    """Was any other environment served a short while ago that had little to do?"""
    is_other = house.small_last != environment_id
    moment = house.small_at if is_other else house.small_before_at
    return moment is not None and abs(now - moment) <= _MEMORY


@dataclass(frozen=True, slots=True)
class Taken:
    """A quantum as it was claimed.

    charge: what it was charged with, which is corrected when its real cost is known
    share: how much it could have taken
    has_more: was there more to take?
    rest_count: how often in a row before this one all that the environment was given failed
    """

    environment_id: int
    lane: int
    weight: int
    charge: int
    share: Share
    has_more: bool
    entity_count: int
    event_count: int
    rest_count: int


def take_turn(
    connection: Connection,
    house: House,
    chosen: Contender,
    others: Sequence[Contender],
    *,
    taken: Taken,
    now: datetime,
) -> None:
    """Write down who was served, and that the others were passed over."""
    served = serve_quantum(
        chosen.standing,
        vnow=house.vnow,
        tick=house.tick + 1,
        lane=taken.lane,
        charge=taken.charge,
        has_more=taken.has_more,
    )
    _write_served(connection, house, served, taken)
    _pass_over(connection, house, [other for other in others if not other.is_waiting])
    scheduler = table_of(Scheduler)
    vnow = start_tag(chosen.standing.vtime, house.vnow)
    values: dict[str, Any] = {"vnow": vnow, "tick": house.tick + 1}
    cost = cost_of(entity_count=taken.entity_count, event_count=taken.event_count)
    if taken.entity_count and is_small(chosen.standing, cost=cost, has_more=taken.has_more):
        values |= {"small_last": taken.environment_id, "small_at": now}
        if house.small_last != taken.environment_id:
            values["small_before_at"] = house.small_at
    connection.execute(
        update(scheduler).where(scheduler.c.scheduler_id == _SCHEDULER_ID).values(values)
    )


def is_settled(taken: Taken, *, cost: int, is_well: bool) -> bool:
    """Is the turn row right as it was claimed? It nearly always is."""
    owed = charge_of(cost, taken.share) - taken.charge
    return owed == 0 and not (is_well and taken.rest_count)


def settle_turn(connection: Connection, taken: Taken, *, cost: int, is_well: bool) -> None:
    """Correct the charge by what the quantum really cost; end the rests if anything went well."""
    turn = table_of(Turn)
    owed = charge_of(cost, taken.share) - taken.charge
    later = finish_tag(0, cost=owed, weight=taken.weight)
    values: dict[str, Any] = {"vtime": turn.c.vtime + later}
    if is_well:
        values |= {"rest_count": 0, "rest_until": None, "rest_error": None}
    connection.execute(
        update(turn).where(turn.c.environment_id == taken.environment_id).values(values)
    )


def rest_environment(
    connection: Connection, environment_id: int, *, until: datetime, error: str
) -> None:
    """Let an environment rest, since all that it was given failed."""
    turn = table_of(Turn)
    connection.execute(
        update(turn)
        .where(turn.c.environment_id == environment_id)
        .values(
            rest_count=turn.c.rest_count + 1, rest_until=until, rest_error=error[:_ERROR_LENGTH]
        )
    )


def add_turns(connection: Connection, environment_ids: Sequence[int]) -> None:
    """Make the turn rows that are missing."""
    names = ("served_count", "served_tick", "vtime", "live_run", "bulk_count", "waited_max")
    columns = ("environment_id", *names, "entity_count", "event_count", "rest_count", "has_more")
    rows = [(number, *[0] * (len(columns) - 2), False) for number in sorted(environment_ids)]
    insert_missing(connection, table_of(Turn), columns, rows, key=("environment_id",))


def is_ready(work: Table) -> ColumnElement[bool]:
    """Dirty, rested and unleased; a moment beyond its maximum comes from a clock that jumped.

    Shape: its binds are those of `moments_of`
    """
    return and_(
        work.c.dirty_seq > work.c.done_seq,
        _is_due(work.c.ready_at, latest="latest_rest"),
        _is_due(work.c.lease_until, latest="latest_lease"),
    )


def is_task_ready() -> ColumnElement[bool]:
    """Open, rested and unleased; its binds are those of `moments_of`."""
    task = table_of(BulkTask)
    return and_(
        task.c.closed_at.is_(None),
        _is_due(task.c.ready_at, latest="latest_rest"),
        _is_due(task.c.lease_until, latest="latest_lease"),
    )


def moments_of(now: datetime) -> dict[str, datetime]:
    """The values of the binds that say what is ready."""
    return {"now": now, "latest_rest": now + LONGEST_PAUSE, "latest_lease": now + LEASE}


def _is_due(moment: ColumnElement[datetime | None], *, latest: str) -> ColumnElement[bool]:
    now, end = bindparam("now", type_=UtcDateTime()), bindparam(latest, type_=UtcDateTime())
    return or_(moment.is_(None), moment <= now, moment > end)


# Statements of every claim are made once: to make them anew costs more than to run them.


@cache
def _contending() -> Select[Any]:
    """Each environment that does not rest, its turn row, and what kinds of work are ready there."""
    environment, turn, task = table_of(Environment), table_of(Turn), table_of(BulkTask)
    has_task = exists().where(
        task.c.environment_id == environment.c.environment_id, is_task_ready()
    )
    return (
        select(
            environment.c.environment_id,
            environment.c.weight,
            turn.c.environment_id.is_not(None).label("has_row"),
            func.coalesce(turn.c.vtime, 0).label("vtime"),
            func.coalesce(turn.c.served_tick, 0).label("served_tick"),
            func.coalesce(turn.c.live_run, 0).label("live_run"),
            func.coalesce(turn.c.bulk_count, 0).label("bulk_count"),
            func.coalesce(turn.c.rest_count, 0).label("rest_count"),
            func.coalesce(turn.c.has_more, false()).label("has_more"),
            turn.c.waiting_tick.is_not(None).label("is_waiting"),
            _has_ready(LIVE).label("has_live"),
            _has_ready(BULK).label("has_bulk"),
            has_task.label("has_task"),
        )
        .outerjoin(turn, turn.c.environment_id == environment.c.environment_id)
        .where(_is_due(turn.c.rest_until, latest="latest_rest"))
    )


def _has_ready(lane: int) -> ColumnElement[bool]:
    """Is anything ready in a lane of the environment? The oldest is looked for, where an EXISTS
    would do: PostgreSQL takes a third of all work for waiting, and would read it row by row.
    """
    environment, work = table_of(Environment), table_of(Work)
    oldest = (
        select(work.c.since_seq)
        .where(
            work.c.environment_id == environment.c.environment_id,
            work.c.lane == lane,
            is_ready(work),
        )
        .order_by(work.c.since_seq)
        .limit(1)
    )
    return oldest.correlate(environment).scalar_subquery().is_not(None)


@cache
def _serving() -> Update:
    """A turn row of which a quantum was taken, in the house's tick `tick`."""
    turn = table_of(Turn)
    tick = bindparam("tick", type_=Long)
    waited = tick - func.coalesce(turn.c.waiting_tick, tick)
    told = ("vtime", "served_tick", "bulk_count", "live_run", "has_more")
    return (
        update(turn)
        .where(turn.c.environment_id == bindparam("of_environment"))
        .values(
            {name: bindparam(f"new_{name}") for name in told}
            | {
                "served_count": turn.c.served_count + 1,
                "waited_max": case((waited > turn.c.waited_max, waited), else_=turn.c.waited_max),
                "waiting_tick": None,
                "entity_count": turn.c.entity_count + bindparam("entities", type_=Long),
                "event_count": turn.c.event_count + bindparam("events", type_=Long),
            }
        )
    )


def _contender_of(row: Any) -> Contender:
    standing = Standing(
        environment_id=row.environment_id,
        weight=row.weight,
        vtime=row.vtime,
        served_tick=row.served_tick,
        live_run=row.live_run,
        bulk_count=row.bulk_count,
        has_more=bool(row.has_more),
        has_live=bool(row.has_live),
        has_bulk=bool(row.has_bulk),
        has_task=bool(row.has_task),
    )
    return Contender(standing, bool(row.is_waiting), bool(row.has_row), row.rest_count)


def _write_served(connection: Connection, house: House, served: Standing, taken: Taken) -> None:
    connection.execute(
        _serving(),
        {
            "of_environment": taken.environment_id,
            "tick": house.tick,
            "new_vtime": served.vtime,
            "new_served_tick": served.served_tick,
            "new_bulk_count": served.bulk_count,
            "new_live_run": served.live_run,
            "new_has_more": served.has_more,
            "entities": taken.entity_count,
            "events": taken.event_count,
        },
    )


def _pass_over(connection: Connection, house: House, others: Sequence[Contender]) -> None:
    """Remember since when they have been waiting."""
    if not others:
        return
    turn = table_of(Turn)
    add_turns(connection, [c.standing.environment_id for c in others if not c.has_row])
    connection.execute(
        update(turn)
        .where(turn.c.environment_id.in_([c.standing.environment_id for c in others]))
        .values(waiting_tick=house.tick),
        execution_options=_CROSSING,
    )
