"""Which intervals are asked about, and how far each has come: claimed, kept, ended.

One asker at a time has an interval; what he finds is kept with how far he is, so that whoever comes
after him goes on from there. A source that fails rests, with all its intervals.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, Select, func, or_, select, update

from app.base.clock import now
from app.base.config import Settings
from app.base.errors import OutsideFailed
from app.learning.ranges import Digest, Range
from app.ledger.balance import MATCHED, SURPLUS
from app.ledger.buckets import lock_ledger
from app.ledger.missing import DeclaredInterval
from app.ledger.names import Naming, count_missing, forget_names, keep_names
from app.store.dialect import upsert_rows
from app.store.engine import Store, snapshot, transaction
from app.store.guard import CROSSING_OPTION
from app.store.tables import Bucket, Defect, Inquiry, Source
from app.store.tables.columns import table_of

ASKING, DONE, FAILING = "asking", "done", "failing"

_CROSSING = {CROSSING_OPTION: "what differs is asked about for every environment, the oldest first"}
_LEASE_MARGIN_S = 60.0
_AGAIN = timedelta(hours=1)
_FIRST_PAUSE_S = 5.0
_ERROR_LENGTH = 500
_COLUMNS = tuple(column.name for column in table_of(Inquiry).columns)
_KEY = tuple(column.name for column in table_of(Inquiry).primary_key.columns)


@dataclass(frozen=True, slots=True)
class Claimed:
    """An interval that was claimed: nobody else asks about it until its lease is over.

    token: what proves it
    declared: count and sum that its source has stated
    missing: how many events it lacks, as last folded
    want: the ranges still to be looked into; None when nothing was asked yet
    after: where a list goes on; None unless it is paged through
    begun_at: when this inquiry began, perhaps by another asker
    """

    environment_id: int
    source_key: str
    url: str
    interval: DeclaredInterval
    token: int
    declared: Digest
    missing: int
    want: tuple[Range, ...] | None
    after: str | None
    begun_at: datetime


def claim_inquiry(store: Store, settings: Settings) -> Claimed | None:
    """Give the interval that has differed the longest and may be asked about; None without one."""
    moment = now()
    with snapshot(store) as connection:
        due = _list_due(moment).limit(1).execution_options(**_CROSSING)
        first = connection.execute(due).first()
    if first is None:
        return None
    bucket = table_of(Bucket)
    with transaction(store) as connection:
        lock_ledger(connection, first.environment_id)
        row = connection.execute(
            _list_due(moment).where(
                bucket.c.environment_id == first.environment_id,
                bucket.c.source_id == first.source_id,
                bucket.c.stream == first.stream,
                bucket.c.from_at == first.from_at,
            )
        ).first()
        return None if row is None else _take_up(connection, row, settings, moment=moment)


def _list_due(moment: datetime) -> Select[Any]:
    """Intervals with a defect that nobody waived, of sources that can be asked and do not rest."""
    bucket, defect, source = table_of(Bucket), table_of(Defect), table_of(Source)
    inquiry = table_of(Inquiry)
    return (
        select(
            bucket,
            source.c.source_key,
            source.c.evidence_url,
            *(inquiry.c[name].label(f"known_{name}") for name in _COLUMNS[len(_KEY) :]),
        )
        .select_from(defect)
        .join(
            source,
            (source.c.environment_id == defect.c.environment_id)
            & (source.c.source_id == defect.c.source_id),
        )
        .join(bucket, _is_of(bucket, defect) & (bucket.c.defect_id == defect.c.defect_id))
        .outerjoin(inquiry, _is_of(inquiry, bucket))
        .where(
            source.c.evidence_url.is_not(None),
            source.c.sealed_at.is_(None),
            bucket.c.state.not_in((MATCHED, SURPLUS)),
            bucket.c.declared_sum.is_not(None),
            # Open ones, told so that the index over them alone can answer.
            defect.c.resolved_at.is_(None),
            defect.c.waived_at.is_(None),
            or_(
                inquiry.c.next_at.is_(None),
                inquiry.c.next_at <= moment,
                inquiry.c.declared_sum != bucket.c.declared_sum,
            ),
            ~_is_resting(bucket, moment),
        )
        .order_by(func.coalesce(inquiry.c.next_at, defect.c.detected_at), bucket.c.from_at)
    )


def _is_resting(bucket: Any, moment: datetime) -> Any:
    """Did the source fail at any of its intervals, and is its pause not over?"""
    other = table_of(Inquiry).alias("other")
    return (
        select(other.c.token)
        .where(
            other.c.environment_id == bucket.c.environment_id,
            other.c.source_id == bucket.c.source_id,
            other.c.state == FAILING,
            other.c.next_at > moment,
        )
        .exists()
    )


def _is_of(one: Any, other: Any) -> Any:
    """Are both of the same interval?"""
    return (
        (one.c.environment_id == other.c.environment_id)
        & (one.c.source_id == other.c.source_id)
        & (one.c.stream == other.c.stream)
        & (one.c.from_at == other.c.from_at)
    )


def _take_up(connection: Connection, row: Any, settings: Settings, *, moment: datetime) -> Claimed:
    """Go on where an inquiry was left, or begin one: anew where another sum is declared now."""
    goes_on = row.known_state in (ASKING, FAILING) and (
        bytes(row.known_declared_sum) == bytes(row.declared_sum)
    )
    claimed = Claimed(
        environment_id=row.environment_id,
        source_key=row.source_key,
        url=row.evidence_url,
        interval=DeclaredInterval(row.source_id, row.stream, row.from_at, row.to_at),
        token=(row.known_token or 0) + 1,
        declared=Digest(row.declared, bytes(row.declared_sum)),
        missing=row.missing,
        want=_read_want(row.known_want) if goes_on else None,
        after=row.known_after if goes_on else None,
        begun_at=row.known_asked_at if goes_on else moment,
    )
    line = {
        "environment_id": row.environment_id,
        "source_id": row.source_id,
        "stream": row.stream,
        "from_at": row.from_at,
        "token": claimed.token,
        "next_at": moment + _lease_of(settings),
        "declared_sum": claimed.declared.sum,
        "want": row.known_want if goes_on else None,
        "after": claimed.after,
        "state": ASKING,
        "failure_count": row.known_failure_count or 0,
        "error": row.known_error if goes_on else None,
        "request_count": row.known_request_count or 0,
        "asked_at": claimed.begun_at,
    }
    values = [[line[name] for name in _COLUMNS]]
    others = _COLUMNS[len(_KEY) :]
    upsert_rows(connection, table_of(Inquiry), _COLUMNS, values, key=_KEY, update=others)
    return claimed


def renew_inquiry(store: Store, settings: Settings, claimed: Claimed) -> None:
    """Keep others from an interval for longer.

    Raises: OutsideFailed
    """
    with transaction(store) as connection:
        _set_inquiry(connection, claimed, next_at=now() + _lease_of(settings))


def keep_progress(
    store: Store,
    settings: Settings,
    claimed: Claimed,
    *,
    named: Sequence[Naming],
    want: Sequence[Range],
    after: str | None,
    request_count: int,
) -> None:
    """Keep what was found, and where whoever comes next goes on, in one transaction.

    Raises: OutsideFailed
    """
    with transaction(store) as connection:
        _set_inquiry(
            connection,
            claimed,
            next_at=now() + _lease_of(settings),
            want=orjson.dumps([[part.lo, part.hi, part.parts] for part in want]).decode(),
            after=after,
            request_count=table_of(Inquiry).c.request_count + request_count,
        )
        # Never before the inquiry, however the clock steps back: what is older is forgotten.
        moment = max(now(), claimed.begun_at)
        keep_names(connection, claimed.environment_id, claimed.interval, named, now=moment)
        told_count = count_missing(
            connection, claimed.environment_id, claimed.interval, since=claimed.begun_at
        )
        if told_count > claimed.declared.count:
            raise OutsideFailed("it names more events than it has declared")


def leave_inquiry(store: Store, claimed: Claimed) -> None:
    """Let others have their turn; this one goes on when it comes again.

    Raises: OutsideFailed
    """
    with transaction(store) as connection:
        _set_inquiry(connection, claimed, next_at=now())


def end_inquiry(store: Store, claimed: Claimed, *, error: str | None) -> None:
    """All is asked: what this inquiry did not name is named no more; it is asked again in an hour.

    error: what was odd about it, though it came to its end

    Raises: OutsideFailed
    """
    inquiry = table_of(Inquiry)
    with transaction(store) as connection:
        _set_inquiry(
            connection,
            claimed,
            next_at=now() + _AGAIN,
            state=DONE,
            failure_count=0,
            error=error,
            want=None,
            after=None,
        )
        interval = claimed.interval
        forget_names(connection, claimed.environment_id, interval, before=claimed.begun_at)
        # It answers again: those of its intervals that failed need not rest any longer.
        connection.execute(
            update(inquiry)
            .where(
                inquiry.c.environment_id == claimed.environment_id,
                inquiry.c.source_id == interval.source_id,
                inquiry.c.state == FAILING,
            )
            .values(state=ASKING, failure_count=0, next_at=now())
        )


def fail_inquiry(
    store: Store, settings: Settings, claimed: Claimed, *, error: str, waits_s: float
) -> int:
    """Let a failing source rest: as long as it asked, or ever longer; give how often it failed in a
    row, 0 when somebody else asks by now.
    """
    inquiry = table_of(Inquiry)
    with transaction(store) as connection:
        most = connection.execute(
            select(func.max(inquiry.c.failure_count)).where(
                inquiry.c.environment_id == claimed.environment_id,
                inquiry.c.source_id == claimed.interval.source_id,
            )
        ).scalar()
        failure_count = int(most or 0) + 1
        longest_s = float(settings.limit_retry_after_s)
        pause_s = waits_s or min(_FIRST_PAUSE_S * 2 ** min(failure_count - 1, 20), longest_s)
        is_mine = _try_set(
            connection,
            claimed,
            next_at=now() + timedelta(seconds=pause_s),
            state=FAILING,
            failure_count=failure_count,
            error=error[:_ERROR_LENGTH],
        )
    return failure_count if is_mine else 0


def _set_inquiry(connection: Connection, claimed: Claimed, **values: Any) -> None:
    if not _try_set(connection, claimed, **values):
        raise OutsideFailed("somebody else asks about this interval now")


def _try_set(connection: Connection, claimed: Claimed, **values: Any) -> bool:
    """Change an inquiry that is still this asker's; one with an older token changes nothing."""
    table, interval = table_of(Inquiry), claimed.interval
    done = connection.execute(
        update(table)
        .where(
            table.c.environment_id == claimed.environment_id,
            table.c.source_id == interval.source_id,
            table.c.stream == interval.stream,
            table.c.from_at == interval.from_at,
            table.c.token == claimed.token,
        )
        .values(**values)
    )
    return bool(done.rowcount)


def _lease_of(settings: Settings) -> timedelta:
    return timedelta(seconds=settings.limit_outbound_total_s + _LEASE_MARGIN_S)


def _read_want(told: str | None) -> tuple[Range, ...] | None:
    return None if told is None else tuple(Range(*part) for part in orjson.loads(told))
