"""A delivery of xAPI statements: bytes in, a receipt and the statements' ids out.

A void names a statement and nothing else: what that one changed is looked up here, in the delivery
or in the journal, before the one door is asked. It never changes what the door decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.base.clock import now
from app.base.config import Settings
from app.base.errors import NotEvents, Problem
from app.intake.accept import Delivery, accept_drafts, latest_time
from app.intake.decode import PLAIN_TYPE, Broken, decode_body
from app.intake.drafts import Draft, Refusal
from app.intake.formats.cloudevents import write_item
from app.intake.formats.xapi import Reading, Void, read_statement, resolve_void
from app.intake.journal import find_told
from app.intake.receipts import Receipt
from app.intake.sources import read_sources
from app.intake.unpack import unpack_body
from app.store.engine import Store, snapshot

# Reasons of statements that are valid xAPI and say nothing that is progress: noted, not refused.
NOTED_REASONS = frozenset({"verb_not_mapped", "not_a_person", "object_not_mapped"})

_Target = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class StatementReceipt:
    """The fate of a delivery of statements.

    ids: of every statement in its order, also those that were given one here; empty without one
    """

    receipt: Receipt
    ids: tuple[str, ...]


def accept_statements(
    store: Store,
    settings: Settings,
    *,
    environment_id: int,
    source_key: str,
    content_type: str | None,
    content_encoding: str | None,
    body: bytes,
    statement_id: str | None = None,
) -> StatementReceipt:
    """Take statements in, one or a list, through the one door for events.

    Shape:  statement_id: the id that the address gives to the one statement of the body
    Raises: BodyEncodingUnknown, BodyTooLarge, BodyNotUnpacked, BodyTypeUnknown, BodyNotJson,
        NotEvents, TooManyEvents, TooMuchPending
    """
    plain = unpack_body(body, content_encoding, settings)
    kind = (content_type or "").partition(";")[0].strip().lower()
    decoded = decode_body(plain, content_type if kind == PLAIN_TYPE else f"not {kind}", settings)
    if statement_id is not None and not decoded.is_single:
        raise NotEvents("a list came where one statement was promised")
    reading = Reading(settings, source_key, now(), latest_time(settings))
    items = [_name_item(item, statement_id) for item in decoded.items]
    parsed = [_read_item(item, reading) for item in items]
    drafts = _resolve_voids(store, environment_id, parsed, source_key=source_key)
    receipt = accept_drafts(
        store,
        settings,
        environment_id=environment_id,
        drafts=drafts,
        delivery=Delivery(is_single=decoded.is_single),
    )
    return StatementReceipt(receipt, tuple(draft.event_id for draft in drafts))


def _name_item(item: Any, statement_id: str | None) -> Any:
    if statement_id is None or not isinstance(item, dict):
        return item
    named = item.get("id", statement_id)
    if isinstance(named, str) and named.lower() != statement_id:
        return Broken("its id is not the statementId of the address", write_item(item))
    return {"id": statement_id} | item


def _read_item(item: Any, reading: Reading) -> Draft | Void | Refusal:
    if isinstance(item, Broken):
        problem = Problem("", item.message)
        return Refusal("", reading.source_key, "", "bad_json", (problem,), item.text)
    return read_statement(item, reading)


def _resolve_voids(
    store: Store,
    environment_id: int,
    parsed: Sequence[Draft | Void | Refusal],
    *,
    source_key: str,
) -> list[Draft | Refusal]:
    wanted = {part.target_id for part in parsed if isinstance(part, Void)}
    if not wanted:
        return [part for part in parsed if not isinstance(part, Void)]
    targets = dict(_find_targets(store, environment_id, wanted, source_key=source_key))
    for part in parsed:
        if isinstance(part, Draft) and part.event_id in wanted:
            targets.setdefault(part.event_id, (part.stream, orjson.loads(part.data)))
    return [
        resolve_void(part, targets.get(part.target_id)) if isinstance(part, Void) else part
        for part in parsed
    ]


def _find_targets(
    store: Store, environment_id: int, wanted: set[str], *, source_key: str
) -> Mapping[str, _Target]:
    with snapshot(store) as connection:
        source = read_sources(connection, environment_id).get(source_key)
        if source is None:
            return {}
        identities = [(source.source_id, event_id) for event_id in wanted]
        found = find_told(connection, environment_id, identities)
    return {identity[1]: (stream, orjson.loads(data)) for identity, (stream, data) in found.items()}
