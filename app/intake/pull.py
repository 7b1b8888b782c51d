"""Pages of pulled sources: fetched politely, taken in by the one door, the cursor moved with them.

Which feed: the one that is due the longest. No network call is made inside a transaction; a page
that was taken in twice is all duplicates. Source: docs/rest.md, "Pulled sources".
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection, func, select, update

from app.base.clock import now
from app.base.config import Settings
from app.base.errors import AddressRefused, OutsideFailed, Problem, TooMuchPending
from app.base.facts import PagePulled, PullFailed
from app.base.observe import observe
from app.base.outbound import Fetched, fetch_url
from app.intake.accept import Delivery, accept_drafts, read_items
from app.intake.drafts import Draft, Refusal
from app.intake.strict_json import parse_json, tell_fault
from app.store.engine import Store, snapshot, transaction
from app.store.guard import CROSSING_OPTION
from app.store.tables import Feed, Source
from app.store.tables.columns import table_of

_CROSSING = {CROSSING_OPTION: "pages are pulled for every environment, the longest due first"}
_PAUSE_S = 30.0  # at the end of a feed
_FIRST_PAUSE_S = 5.0  # after a failure; doubled with each further one
_LEASE_MARGIN_S = 60.0
_CURSOR_LENGTH = 4000
_ERROR_LENGTH = 500
_ORIGIN_LENGTH = 200


@dataclass(frozen=True, slots=True)
class DueFeed:
    """A feed that was claimed: nobody else asks it until its lease is over."""

    environment_id: int
    source_id: int
    source_key: str
    endpoint: str
    cursor: str | None
    failure_count: int


@dataclass(frozen=True, slots=True)
class Page:
    """What a source gave.

    next: the cursor to ask for the following page with; None at the end, for now
    """

    events: list[Any]
    next: str | None


def pull_once(store: Store, settings: Settings) -> bool:
    """Take in one page of the feed that is due the longest; False when none is due."""
    feed = claim_feed(store, settings)
    if feed is None:
        return False
    query = {} if feed.cursor is None else {"cursor": feed.cursor}
    waits_s = 0.0
    try:
        fetched = fetch_url(feed.endpoint, settings, query=query)
        waits_s = fetched.retry_after_s
        page = read_page(fetched, settings)
    except (AddressRefused, OutsideFailed) as error:
        _note_failure(store, settings, feed, error=error.detail, waits_s=waits_s)
        return True
    try:
        _take_page(store, settings, feed, page)
    except TooMuchPending as full:
        _postpone(store, feed, waits_s=float(full.retry_after_s or 0))
    return True


def claim_feed(store: Store, settings: Settings) -> DueFeed | None:
    """Give the feed that is due the longest, and keep others from it for a while."""
    moment = now()
    feed, source = table_of(Feed), table_of(Source)
    due = (
        select(feed, source.c.source_key)
        .join(
            source,
            (source.c.environment_id == feed.c.environment_id)
            & (source.c.source_id == feed.c.source_id),
        )
        .where(feed.c.next_at <= moment, source.c.sealed_at.is_(None))
        .order_by(feed.c.next_at)
        .limit(1)
        .execution_options(**_CROSSING)
    )
    with snapshot(store) as connection:
        if connection.execute(due).first() is None:
            return None
    lease_s = settings.limit_outbound_total_s + _LEASE_MARGIN_S
    with transaction(store) as connection:
        row = connection.execute(due.with_for_update(of=feed, skip_locked=True)).first()
        if row is None:
            return None
        claimed = DueFeed(
            row.environment_id,
            row.source_id,
            row.source_key,
            row.endpoint,
            row.cursor,
            row.failure_count,
        )
        _set_feed(connection, claimed, next_at=moment + timedelta(seconds=lease_s))
    return claimed


def read_page(fetched: Fetched, settings: Settings) -> Page:
    """Read what a source answered.

    Raises: OutsideFailed
    """
    if fetched.status == 204:
        return Page([], None)
    if fetched.status != 200:
        raise OutsideFailed(f"it answered {fetched.status}")
    try:
        told = parse_json(fetched.body)
    except ValueError as error:
        raise OutsideFailed(f"its page is not JSON: {tell_fault(error)}") from None
    events = told.get("events") if isinstance(told, dict) else None
    if not isinstance(events, list):
        raise OutsideFailed('its page is no {"events": [...], "next": cursor}')
    if len(events) > settings.limit_ndjson_events:
        raise OutsideFailed(
            f"its page has {len(events)} events; {settings.limit_ndjson_events} are the limit"
        )
    following = told.get("next")
    if isinstance(following, int) and not isinstance(following, bool):
        following = str(following)
    if following is not None and not _is_cursor(following):
        raise OutsideFailed(f'its "next" is no text of up to {_CURSOR_LENGTH} printable characters')
    return Page(events, following)


def _is_cursor(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _CURSOR_LENGTH and value.isprintable()


def _take_page(store: Store, settings: Settings, feed: DueFeed, page: Page) -> None:
    """Accept a page's events and move the cursor, in one transaction."""
    goes_on = bool(page.events) and page.next is not None and page.next != feed.cursor
    moment = now()
    move = partial(
        _move_cursor,
        feed=feed,
        cursor=page.next or feed.cursor,
        next_at=moment if goes_on else moment + timedelta(seconds=_PAUSE_S),
        pulled_at=moment,
    )
    if page.events:
        accept_drafts(
            store,
            settings,
            environment_id=feed.environment_id,
            drafts=[_own_draft(draft, feed) for draft in read_items(page.events, settings)],
            delivery=Delivery(f"pull:{feed.source_key}"[:_ORIGIN_LENGTH]),
            within=move,
        )
    else:
        with transaction(store) as connection:
            move(connection)
    count = len(page.events)
    observe(PagePulled(feed.environment_id, feed.source_key, count, at_end=not goes_on))


def _own_draft(draft: Draft | Refusal, feed: DueFeed) -> Draft | Refusal:
    """Refuse an event that says it is another source's."""
    if isinstance(draft, Refusal) or draft.source_key == feed.source_key:
        return draft
    problem = Problem("source", "is not the source whose page it came in")
    item = {"id": draft.event_id, "source": draft.source_key, "type": draft.type}
    return Refusal(
        draft.event_id,
        feed.source_key,
        draft.stream,
        "other_source",
        (problem,),
        orjson.dumps(item | {"data": orjson.loads(draft.data)}).decode(),
    )


def _move_cursor(
    connection: Connection,
    *,
    feed: DueFeed,
    cursor: str | None,
    next_at: datetime,
    pulled_at: datetime,
) -> None:
    """Move a feed on, unless somebody else has since its claim."""
    _set_feed(
        connection,
        feed,
        cursor=cursor,
        next_at=next_at,
        pulled_at=pulled_at,
        failure_count=0,
        failing_since=None,
        error=None,
    )


def _set_feed(connection: Connection, feed: DueFeed, **values: Any) -> None:
    table = table_of(Feed)
    connection.execute(
        update(table)
        .where(
            table.c.environment_id == feed.environment_id,
            table.c.source_id == feed.source_id,
            table.c.cursor.is_not_distinct_from(feed.cursor),
        )
        .values(**values)
    )


def _note_failure(
    store: Store, settings: Settings, feed: DueFeed, *, error: str, waits_s: float
) -> None:
    """Say that a source is failing, and let it rest: as long as it asked, or ever longer."""
    moment, failure_count = now(), feed.failure_count + 1
    pause_s = waits_s or min(
        _FIRST_PAUSE_S * 2 ** min(failure_count - 1, 20), float(settings.limit_retry_after_s)
    )
    with transaction(store) as connection:
        _set_feed(
            connection,
            feed,
            next_at=moment + timedelta(seconds=pause_s),
            failure_count=failure_count,
            failing_since=func.coalesce(table_of(Feed).c.failing_since, moment),
            error=error[:_ERROR_LENGTH],
        )
    observe(PullFailed(feed.environment_id, feed.source_key, failure_count, error))


def _postpone(store: Store, feed: DueFeed, *, waits_s: float) -> None:
    """Ask again later: the room is ours to make, and the source has done nothing wrong."""
    with transaction(store) as connection:
        _set_feed(connection, feed, next_at=now() + timedelta(seconds=waits_s))
