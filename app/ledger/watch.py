"""Every minute: do the books balance, does what was set aside name its survivor, and is every
heartbeat still on its way through the queue? If not, an alarm row says so until it is over. Cheap:
tallies, a few rows and a stretch of the journal.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from app.base.clock import format_time, now
from app.ledger.books import recount_books, verify_tallies
from app.ledger.survivors import audit_survivors
from app.store.alarms import (
    BOOKS_UNBALANCED,
    CANARY_LOST,
    DEDUP_AUDIT,
    JOURNAL_DIFFERS,
    SWEEP_REPAIRED,
    list_open_alarms,
    raise_alarm,
    resolve_alarm,
)
from app.store.dialect import upsert_rows
from app.store.dwell import forget_dwell
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Watch
from app.store.tables.columns import table_of
from app.store.work import lost_canary_since

_STRETCH_EVENTS, _STRETCH_ITEMS = 50_000, 20_000
_NEXT_WALK = timedelta(hours=1)
_QUIET = timedelta(days=1)
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class _Walk:
    """How far the walk over an environment's journal has come, and what this stretch found.

    is_over: has it come to the end?
    """

    event_seq: int
    batch_id: int
    found_count: int
    told: tuple[str, ...] = ()
    is_over: bool = False


def watch_environments(store: Store, environment_ids: Iterable[int]) -> None:
    """Look at these environments one by one; open and close alarms.

    Raises: StoreBusy, StoreFull
    """
    for environment_id in environment_ids:
        moment = now()
        with snapshot(store) as connection:
            faults = verify_tallies(connection, environment_id)
            lost_since = lost_canary_since(connection, environment_id)
            walk = _walk_on(connection, environment_id, now=moment)
            alarms = list_open_alarms(connection, environment_id)
        with transaction(store) as connection:
            forget_dwell(connection, environment_id, now=moment)
            is_open = {alarm["kind"]: alarm["last_seen_at"] for alarm in alarms}
            if faults or BOOKS_UNBALANCED in is_open:
                _tell_faults(connection, environment_id, BOOKS_UNBALANCED, faults=faults)
            if lost_since or CANARY_LOST in is_open:
                lost = _describe_lost(lost_since)
                _tell_faults(connection, environment_id, CANARY_LOST, faults=lost)
            if walk is not None:
                _keep_walk(connection, environment_id, walk, now=moment)
            if moment - is_open.get(SWEEP_REPAIRED, moment) > _QUIET:
                resolve_alarm(connection, environment_id, SWEEP_REPAIRED, now=moment)


def recount_environment(
    store: Store, environment_id: int, *, limit_s: float | None = None
) -> list[str]:
    """Count journal and shelf row by row, look for every survivor, and open or close alarms.

    Shape:  one sentence per fault; empty when all agrees
    Raises: TooExpensive, StoreBusy, StoreFull
    """
    with snapshot(store, limit_s=limit_s) as connection:
        differing = recount_books(connection, environment_id)
        orphans = list(audit_survivors(connection, environment_id).told)
        alarms = {alarm["kind"] for alarm in list_open_alarms(connection, environment_id)}
    found = {JOURNAL_DIFFERS: differing, DEDUP_AUDIT: orphans}
    changed = {kind: faults for kind, faults in found.items() if faults or kind in alarms}
    if changed:
        with transaction(store) as connection:
            for kind, faults in changed.items():
                _tell_faults(connection, environment_id, kind, faults=faults)
    return differing + orphans


def _tell_faults(
    connection: Connection, environment_id: int, kind: str, *, faults: list[str]
) -> None:
    if faults:
        details = {"faults": faults[:_SHOWN], "count": len(faults)}
        raise_alarm(connection, environment_id, kind, details=details, now=now())
    else:
        resolve_alarm(connection, environment_id, kind, now=now())


def _describe_lost(since: datetime | None) -> list[str]:
    return [f"the heartbeat of {format_time(since)} has left the queue undone"] if since else []


def _walk_on(connection: Connection, environment_id: int, *, now: datetime) -> _Walk | None:
    """Look through the next stretch; None while the last walk has ended a short while ago."""
    watch = table_of(Watch)
    row = connection.execute(
        select(watch).where(watch.c.environment_id == environment_id)
    ).one_or_none()
    begun = _Walk(row.event_seq, row.batch_id, row.found_count) if row else _Walk(0, 0, 0)
    walked_at = row.walked_at if row else None
    rests = walked_at is not None and abs(now - walked_at) < _NEXT_WALK
    if rests and (begun.event_seq, begun.batch_id) == (0, 0):
        return None
    found = audit_survivors(
        connection,
        environment_id,
        after_seq=begun.event_seq,
        after_batch=begun.batch_id,
        most_events=_STRETCH_EVENTS,
        most_items=_STRETCH_ITEMS,
    )
    return _Walk(
        found.event_seq,
        found.batch_id,
        found_count=begun.found_count + len(found.told),
        told=found.told,
        is_over=found.is_all,
    )


def _keep_walk(connection: Connection, environment_id: int, walk: _Walk, *, now: datetime) -> None:
    """Keep how far the walk is. Only a whole walk that found nothing ends the alarm."""
    if walk.told:
        _tell_faults(connection, environment_id, DEDUP_AUDIT, faults=list(walk.told))
    elif walk.is_over and not walk.found_count:
        resolve_alarm(connection, environment_id, DEDUP_AUDIT, now=now)
    place = (0, 0, 0) if walk.is_over else (walk.event_seq, walk.batch_id, walk.found_count)
    told = {"walked_at": now} if walk.is_over else {}
    columns = ("environment_id", "event_seq", "batch_id", "found_count", *told)
    upsert_rows(
        connection,
        table_of(Watch),
        (*columns, "rescued_count"),
        [(environment_id, *place, *told.values(), 0)],
        key=("environment_id",),
        update=columns[1:],
    )
