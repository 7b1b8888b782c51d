"""Mark an entity dirty: the only place that points work rows at the journal.

A work row never holds the work itself; the events do. Marking twice is marking once.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, case, literal, select, update

from app.store.dialect import upsert_rows
from app.store.signals import announce_work
from app.store.tables import Environment, Work
from app.store.tables.columns import Long, UtcDateTime, table_of
from app.store.tables.work import LIVE

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The same in every environment: an ordinary day exercises what confuses environments.
CANARY = 'canary:["heartbeat"]'

_KEY = ("environment_id", "entity_key")
_COLUMNS = (
    *_KEY,
    "dirty_seq",
    "done_seq",
    "ready_at",
    "lease_token",
    "attempts",
    "lane",
    "since_seq",
)
# A row that waits already keeps its place, and the live lane; one that does not takes the new ones.
_IS_WAITING = "work.dirty_seq > work.done_seq"
_RECKONED = {
    "lane": f"CASE WHEN {_IS_WAITING} AND work.lane < excluded.lane"
    " THEN work.lane ELSE excluded.lane END",
    "since_seq": f"CASE WHEN {_IS_WAITING} THEN work.since_seq ELSE excluded.since_seq END",
}


def mark_dirty(
    connection: Connection, environment_id: int, marks: Mapping[str, int], *, lane: int = LIVE
) -> None:
    """Say that the projections of these entities must reflect the journal up to these seqs.

    Workers hear of it at the commit. A mark for the bulk lane leaves a live row live.

    Shape: marks: entity_key to dirty_seq; a row that is there keeps the greater
        lane: LIVE or BULK (store/tables/work.py)
    """
    # Sorted, so that two transactions lock the rows in one order.
    rows = [
        (environment_id, entity_key, dirty_seq, 0, EPOCH, 0, 0, lane, dirty_seq)
        for entity_key, dirty_seq in sorted(marks.items())
    ]
    upsert_rows(
        connection,
        table_of(Work),
        _COLUMNS,
        rows,
        key=_KEY,
        update=(),
        greatest=("dirty_seq",),
        reckoned=_RECKONED,
    )
    if rows:
        announce_work(connection)


def mark_again(
    connection: Connection,
    environment_id: int,
    marks: Mapping[str, tuple[int, int]],
    *,
    lane: int = LIVE,
) -> None:
    """Let entities be looked at again, though their work may say that all is done.

    Whoever works on one at the moment is fenced; and a row never looks as if it were claimed for
    the first time.

    Shape: marks: entity_key to the first and the last seq that its projection must reflect anew
    """
    last = {entity_key: last_seq for entity_key, (_, last_seq) in marks.items()}
    mark_dirty(connection, environment_id, last, lane=lane)
    work = table_of(Work)
    mine = (work.c.environment_id == environment_id) & (work.c.entity_key == bindparam("name"))
    undone = case(
        (work.c.done_seq >= bindparam("first_seq"), bindparam("first_seq", type_=Long) - 1),
        else_=work.c.done_seq,
    )
    statement = update(work).where(mine)
    values = {"done_seq": undone, "lease_token": work.c.lease_token + 1, "lease_until": None}
    rows = [{"name": name, "first_seq": first} for name, (first, _) in sorted(marks.items())]
    if rows:
        connection.execute(statement.values(values), rows)


def mark_canary(connection: Connection, environment_id: int, *, now: datetime) -> None:
    """Make a heartbeat a piece of work that goes through the fair queue and changes no row.

    It is marked as all work is. What was heard and what came through is counted with the
    environment, not in the queue: a queue that loses work would lose its own word for it too.
    """
    environment = table_of(Environment)
    is_its = environment.c.environment_id == environment_id
    is_through = environment.c.canary_through == environment.c.canary_heard
    since = case((is_through, literal(now, UtcDateTime())), else_=environment.c.canary_since)
    heard = environment.c.canary_heard + 1
    connection.execute(
        update(environment).where(is_its).values(canary_heard=heard, canary_since=since)
    )
    count: int = connection.execute(select(environment.c.canary_heard).where(is_its)).scalar_one()
    mark_dirty(connection, environment_id, {CANARY: count})


def note_canary(connection: Connection, environment_id: int, count: int) -> None:
    """Say that this many of an environment's heartbeats have come through the queue."""
    environment = table_of(Environment)
    connection.execute(
        update(environment)
        .where(
            environment.c.environment_id == environment_id,
            environment.c.canary_through < count,
        )
        .values(canary_through=count)
    )


def canary_waits_since(connection: Connection, environment_id: int) -> datetime | None:
    """Since when a heartbeat has been on its way through the queue; None when all are through."""
    environment = table_of(Environment)
    waits_since: datetime | None = connection.execute(
        select(environment.c.canary_since).where(
            environment.c.environment_id == environment_id,
            environment.c.canary_heard > environment.c.canary_through,
        )
    ).scalar()
    return waits_since


def lost_canary_since(connection: Connection, environment_id: int) -> datetime | None:
    """Since when a heartbeat has waited to which no undone work points; None without such a one."""
    work = table_of(Work)
    undone = connection.execute(
        select(work.c.entity_key).where(
            work.c.environment_id == environment_id,
            work.c.entity_key == CANARY,
            work.c.dirty_seq > work.c.done_seq,
        )
    ).first()
    return None if undone else canary_waits_since(connection, environment_id)
