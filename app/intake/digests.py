"""Kept events in; their elements out, and what they add to the digests of their slots.

The element is made once, here, and kept with the event: an erased event keeps it too.
"""

from collections.abc import Mapping, Sequence
from hmac import HMAC

from sqlalchemy import Connection

from app.intake.journal import Kept
from app.learning.contracts import DEFAULT_BUCKET_S
from app.learning.elements import (
    begin_elements,
    finish_element,
    frame_stream,
    slot_number,
)
from app.store.sums import (
    EvidenceKey,
    Sizes,
    Slot,
    SlotChange,
    append_changes,
    key_valid_at,
    read_bucket_sizes,
    read_keys,
)


def digest_events(
    connection: Connection,
    environment_id: int,
    kept: Sequence[Kept],
    *,
    environment_key: str,
) -> list[bytes | None]:
    """Add kept events to the digests of what was accepted; give their elements, in their order."""
    keys = read_keys(connection, environment_id)
    sizes = read_bucket_sizes(connection, environment_id)
    elements = _make_elements(kept, keys=keys, environment_key=environment_key)
    changes = _sum_by_slot(kept, elements, sizes=sizes)
    append_changes(connection, environment_id, changes, sizes=sizes)
    return elements


def _make_elements(
    kept: Sequence[Kept], *, keys: Mapping[int, Sequence[EvidenceKey]], environment_key: str
) -> list[bytes | None]:
    """Make the element of each event; what those of a stream have in common, once a key."""
    begun: dict[tuple[int, str, str], HMAC] = {}
    elements: list[bytes | None] = []
    for entry in kept:
        draft, own = entry.draft, keys.get(entry.source_id, ())
        if own and entry.recorded_at >= own[0].valid_from:
            key: EvidenceKey | None = own[0]
        else:
            key = key_valid_at(own, entry.recorded_at)
        if key is None:
            elements.append(None)
            continue
        common = (entry.source_id, draft.stream, key.key_id)
        start = begun.get(common)
        if start is None:
            framed = frame_stream(environment_key, draft.source_key, draft.stream)
            start = begun[common] = begin_elements(key.secret, framed)
        elements.append(finish_element(start, draft.event_id, draft.data_digest))
    return elements


def _sum_by_slot(
    kept: Sequence[Kept], elements: Sequence[bytes | None], *, sizes: Sizes
) -> dict[Slot, SlotChange]:
    changes: dict[Slot, SlotChange] = {}
    for entry, element in zip(kept, elements, strict=True):
        if element is None:
            continue
        stream = (entry.source_id, entry.draft.stream)
        number = slot_number(entry.recorded_at, sizes.get(stream, DEFAULT_BUCKET_S))
        change = changes.get((*stream, number))
        if change is None:
            change = changes[*stream, number] = SlotChange()
        change.accept(element, seq=entry.seq, is_weak=not entry.draft.data_digest)
    return changes
