"""Which fate does each item of a delivery meet? Drafts in, fates and rows to write out; pure.

What the journal and the register of sources say is handed in.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from app.base.errors import Problem
from app.intake.drafts import Draft, Refusal
from app.intake.journal import Identity, Kept, Shelved
from app.intake.receipts import ACCEPTED, CONFLICT, DUPLICATE, REJECTED, ItemFate
from app.intake.sources import SourceEntry
from app.learning.times import parse_time


@dataclass(frozen=True, slots=True)
class Sorted:
    """The items of a delivery, sorted by their fate."""

    fates: list[ItemFate] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    shelved: list[Shelved] = field(default_factory=list)
    counts: Counter[tuple[int, str, str]] = field(default_factory=Counter)


def identities_of(
    drafts: Sequence[Draft | Refusal], sources: Mapping[str, SourceEntry]
) -> set[Identity]:
    """Give the identities that the journal must be asked for."""
    return {
        (sources[draft.source_key].source_id, draft.event_id)
        for draft in drafts
        if isinstance(draft, Draft) and draft.source_key in sources
    }


def sort_drafts(
    drafts: Sequence[Draft | Refusal],
    *,
    sources: Mapping[str, SourceEntry],
    known: dict[Identity, tuple[int, bytes]],
    last_seq: int,
) -> Sorted:
    """Decide the fate of each item; twins within one delivery are found too.

    Shape: known: seq and digest by identity; it learns the new ones
    """
    found = Sorted()
    for index, draft in enumerate(drafts):
        source = sources.get(draft.source_key)
        if isinstance(draft, Refusal):
            _reject(found, index, draft, source)
            continue
        if (
            source is None
            or source.is_sealed
            or not (draft.recorded_at or source.takes_occurred_at)
        ):
            _reject(found, index, _refuse(draft, source), source)
            continue
        identity = (source.source_id, draft.event_id)
        first = known.get(identity)
        if first is None:
            last_seq += 1
            known[identity] = (last_seq, draft.digest)
            recorded_at = draft.recorded_at or draft.occurred_at
            found.kept.append(Kept(last_seq, source.source_id, recorded_at, draft))
            found.fates.append(ItemFate(index, draft.event_id, ACCEPTED, last_seq))
            found.counts[source.source_id, draft.stream, ACCEPTED] += 1
        elif first[1] == draft.digest:
            found.fates.append(ItemFate(index, draft.event_id, DUPLICATE, first[0]))
            found.counts[source.source_id, draft.stream, DUPLICATE] += 1
        else:
            _conflict(found, index, draft, first_seq=first[0])
            found.counts[source.source_id, draft.stream, CONFLICT] += 1
    return found


def _refuse(draft: Draft, source: SourceEntry | None) -> Refusal:
    """Refuse what only the register of sources can tell."""
    if source is None:
        problem = Problem("source", "is not registered in this environment")
        reason = "unknown_source"
    elif source.is_sealed:
        problem = Problem("source", "is sealed: it sends no more events")
        reason = "source_sealed"
    else:
        problem = Problem(
            "recordedtime",
            "is required: when the system of record stored it; this source's contract does not let "
            "time stand for it",
        )
        reason = "no_recordedtime"
    return Refusal(
        draft.event_id, draft.source_key, draft.stream, reason, (problem,), _write_draft(draft)
    )


def _reject(found: Sorted, index: int, refusal: Refusal, source: SourceEntry | None) -> None:
    source_id = 0 if source is None else source.source_id
    found.counts[source_id, refusal.stream, REJECTED] += 1
    found.fates.append(
        ItemFate(index, refusal.event_id, REJECTED, None, refusal.reason, refusal.problems)
    )
    found.shelved.append(
        Shelved(
            index,
            REJECTED,
            refusal.source_key,
            refusal.stream,
            refusal.event_id,
            (Problem("", refusal.reason), *refusal.problems),
            refusal.item,
            None,
            _recorded_of(refusal.item),
        )
    )


def _conflict(found: Sorted, index: int, draft: Draft, *, first_seq: int) -> None:
    problem = Problem("id", "is known with other content; the first one stands")
    found.fates.append(
        ItemFate(index, draft.event_id, CONFLICT, first_seq, "other_content", (problem,))
    )
    found.shelved.append(
        Shelved(
            index,
            CONFLICT,
            draft.source_key,
            draft.stream,
            draft.event_id,
            (problem, Problem("digest", draft.digest.hex())),
            _write_draft(draft),
            first_seq,
            draft.recorded_at,
        )
    )


def _recorded_of(item: str) -> datetime | None:
    """When the system of record stored an item that was refused, if it says so."""
    try:
        told = orjson.loads(item)
        return parse_time(told["recordedtime"])
    except (ValueError, TypeError, KeyError):
        return None


def _write_draft(draft: Draft) -> str:
    """Write a draft as the event it was made from, for the shelf."""
    extras = orjson.loads(draft.extras) if draft.extras else {}
    told = {
        "specversion": "1.0",
        "id": draft.event_id,
        "source": draft.source_key,
        "type": draft.type,
        "subject": draft.subject,
        "time": draft.occurred_at,
        "recordedtime": draft.recorded_at,
        "sequence": str(draft.sequence) if draft.sequence else None,
        "datadigest": draft.data_digest or None,
        "data": orjson.loads(draft.data),
    }
    return orjson.dumps(extras | {k: v for k, v in told.items() if v is not None}).decode()
