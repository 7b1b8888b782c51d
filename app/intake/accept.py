"""The one door for events: each is kept once, and every item learns its fate.

Items go in, a receipt comes out. One transaction: either all of a delivery is on disk, journal,
work, tallies and receipt together, or nothing is.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from time import monotonic
from typing import Any

from sqlalchemy import Connection

from app.base.clock import now
from app.base.config import Settings
from app.base.errors import Problem, TooMuchPending
from app.base.facts import BatchAccepted, BatchRefused
from app.base.observe import observe
from app.intake.decode import Broken, decode_body
from app.intake.digests import digest_events
from app.intake.drafts import Draft, Refusal
from app.intake.fates import Sorted, identities_of, sort_drafts
from app.intake.formats.cloudevents import read_event
from app.intake.journal import (
    Kept,
    Locked,
    append_events,
    count_pending,
    find_known,
    lock_environment,
    marks_of,
    set_last_seq,
    shelve_items,
)
from app.intake.receipts import (
    ACCEPTED,
    CONFLICT,
    DUPLICATE,
    OUTCOMES,
    REJECTED,
    Receipt,
    Repeat,
    digest_body,
    find_first,
    next_batch_id,
    write_receipt,
)
from app.intake.sources import read_sources
from app.intake.unpack import unpack_body
from app.store.dwell import read_pace
from app.store.engine import Store, transaction
from app.store.sums import TallyDelta, add_tallies
from app.store.tables.work import LIVE
from app.store.work import mark_dirty

_UNKNOWN_WAIT_S = 30
_LONGEST_WAIT_S = 300


@dataclass(frozen=True, slots=True)
class Delivery:
    """How events came, for their receipt.

    origin, origin_position: the file or feed they came from, and how far it has been read with them
    repeat: the caller's name for the request, which makes a second try harmless
    is_single: one event came, and no list
    lane: where the work they leave behind waits: LIVE, or BULK for what nobody waits for
    """

    origin: str | None = None
    origin_position: int | None = None
    repeat: Repeat | None = None
    is_single: bool = False
    lane: int = LIVE


_PLAIN = Delivery()


def accept_body(
    store: Store,
    settings: Settings,
    *,
    environment_id: int,
    content_type: str | None,
    content_encoding: str | None,
    body: bytes,
    idempotency_key: str | None = None,
) -> Receipt:
    """Take the body of a request: unpack it, take it apart, accept its items.

    Raises: BodyEncodingUnknown, BodyTooLarge, BodyNotUnpacked, BodyTypeUnknown, BodyNotJson,
        NotEvents, TooManyEvents, TooMuchPending, RepeatDiffers
    """
    plain = unpack_body(body, content_encoding, settings)
    decoded = decode_body(plain, content_type, settings)
    repeat = Repeat(idempotency_key, digest_body(plain)) if idempotency_key else None
    return accept_drafts(
        store,
        settings,
        environment_id=environment_id,
        drafts=read_items(decoded.items, settings),
        delivery=Delivery(repeat=repeat, is_single=decoded.is_single),
    )


def accept_items(
    store: Store,
    settings: Settings,
    *,
    environment_id: int,
    items: Sequence[Any],
    origin: str | None = None,
    origin_position: int | None = None,
    is_single: bool = False,
    lane: int = LIVE,
) -> Receipt:
    """Keep each event once and tell each item's fate; when this returns, all of it is on disk.

    Shape:  items: parsed JSON objects; origin and origin_position: which file or feed they came
        from and how far it has been read with them; lane: LIVE or BULK
    Raises: TooMuchPending
    """
    return accept_drafts(
        store,
        settings,
        environment_id=environment_id,
        drafts=read_items(items, settings),
        delivery=Delivery(origin, origin_position, is_single=is_single, lane=lane),
    )


def read_items(items: Sequence[Any], settings: Settings) -> list[Draft | Refusal]:
    """Make a draft or a refusal of each item of a delivery."""
    latest_at = latest_time(settings)
    return [_read_item(item, settings=settings, latest_at=latest_at) for item in items]


def latest_time(settings: Settings) -> datetime:
    """The moment that no event may claim to be later than."""
    return now() + timedelta(hours=settings.limit_future_hours)


def accept_drafts(
    store: Store,
    settings: Settings,
    *,
    environment_id: int,
    drafts: Sequence[Draft | Refusal],
    delivery: Delivery = _PLAIN,
    within: Callable[[Connection], None] | None = None,
) -> Receipt:
    """Keep each event once and tell each item's fate; when this returns, all of it is on disk.

    A repeated request is answered with its first receipt, and nothing is written.

    Shape:  within: what else belongs to the transaction, such as a feed's new position
    Raises: TooMuchPending, RepeatDiffers
    """
    started = monotonic()
    with transaction(store) as connection:
        locked = lock_environment(connection, environment_id)
        first = find_first(connection, environment_id, delivery.repeat)
        if first is not None:
            return replace(first, is_single=delivery.is_single)
        _check_pending(connection, environment_id, count=len(drafts), settings=settings)
        sources = read_sources(connection, environment_id)
        known = find_known(connection, environment_id, identities_of(drafts, sources))
        found = sort_drafts(drafts, sources=sources, known=known, last_seq=locked.last_seq)
        batch_id = next_batch_id(connection, environment_id)
        receipt = _make_receipt(found, batch_id=batch_id, delivery=delivery)
        _keep_events(
            connection,
            environment_id,
            found.kept,
            locked=locked,
            receipt=receipt,
            lane=delivery.lane,
        )
        _keep_counts(connection, environment_id, found, receipt=receipt, settings=settings)
        write_receipt(connection, environment_id, receipt)
        if within is not None:
            within(connection)
    store.wake.set()
    observe(
        BatchAccepted(
            environment_id,
            batch_id=receipt.batch_id,
            accepted_count=receipt.accepted,
            duplicate_count=receipt.duplicate,
            conflict_count=receipt.conflict,
            rejected_count=receipt.rejected,
            unknown_field_count=sum(entry.draft.unknown_field_count for entry in found.kept),
            duration_s=monotonic() - started,
        )
    )
    return receipt


def _read_item(item: Any, *, settings: Settings, latest_at: datetime) -> Draft | Refusal:
    if isinstance(item, Broken):
        return Refusal("", "", "", "bad_json", (Problem("", item.message),), item.text)
    return read_event(item, settings=settings, latest_at=latest_at)


def _check_pending(
    connection: Connection, environment_id: int, *, count: int, settings: Settings
) -> None:
    pending_count = count_pending(connection, environment_id)
    over_count = pending_count + count - settings.limit_pending_events
    if pending_count and over_count > 0:
        pace = read_pace(connection, environment_id, now=now())
        observe(BatchRefused(environment_id, pending_count))
        raise TooMuchPending(
            f"{pending_count} events wait to be processed; the limit is "
            f"{settings.limit_pending_events}",
            hint="Nothing of this request was stored. Send it again later.",
            retry_after_s=_choose_wait(over_count, pace),
        )


def _choose_wait(over_count: int, pace: float | None) -> int:
    """How long until there is room for a delivery, as fast as events leave at present."""
    if pace is None:
        return _UNKNOWN_WAIT_S
    return min(max(ceil(over_count / pace), 1), _LONGEST_WAIT_S)


def _make_receipt(found: Sorted, *, batch_id: int, delivery: Delivery) -> Receipt:
    sums: Counter[str] = Counter()
    for (_, _, outcome), count in found.counts.items():
        sums[outcome] += count
    return Receipt(
        batch_id=batch_id,
        received_at=now(),
        received=len(found.fates),
        accepted=sums[ACCEPTED],
        duplicate=sums[DUPLICATE],
        conflict=sums[CONFLICT],
        rejected=sums[REJECTED],
        items=tuple(found.fates),
        is_single=delivery.is_single,
        origin=delivery.origin,
        origin_position=delivery.origin_position,
        repeat=delivery.repeat,
    )


def _keep_events(
    connection: Connection,
    environment_id: int,
    kept: Sequence[Kept],
    *,
    locked: Locked,
    receipt: Receipt,
    lane: int,
) -> None:
    if not kept:
        return
    elements = digest_events(
        connection, environment_id, kept, environment_key=locked.environment_key
    )
    append_events(
        connection, environment_id, kept, elements=elements, received_at=receipt.received_at
    )
    mark_dirty(connection, environment_id, marks_of(kept), lane=lane)
    set_last_seq(connection, environment_id, kept[-1].seq)


def _keep_counts(
    connection: Connection,
    environment_id: int,
    found: Sorted,
    *,
    receipt: Receipt,
    settings: Settings,
) -> None:
    received_at = receipt.received_at
    shelve_items(
        connection,
        environment_id,
        found.shelved,
        batch_id=receipt.batch_id,
        received_at=received_at,
        limit_bytes=settings.limit_event_bytes,
    )
    add_tallies(connection, environment_id, _deltas_of(found.counts, received_at))


def _deltas_of(counts: Counter[tuple[int, str, str]], received_at: datetime) -> list[TallyDelta]:
    streams = {(source_id, stream) for source_id, stream, _ in counts}
    deltas: list[TallyDelta] = []
    for key in streams:
        told = {outcome: counts[*key, outcome] for outcome in OUTCOMES}
        received = sum(told.values())
        deltas.append(
            TallyDelta(
                source_id=key[0],
                stream=key[1],
                received=received,
                accepted=told[ACCEPTED],
                duplicate=told[DUPLICATE],
                conflict=told[CONFLICT],
                rejected=told[REJECTED],
                received_at=received_at,
            )
        )
    return deltas
