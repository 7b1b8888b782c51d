"""Does everything that was set aside for another name one that is there, in its own environment?

Superseded events name their winner, duplicate items of receipts the event that was kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, and_, func, select

from app.store.tables import Batch, Event
from app.store.tables.columns import table_of
from app.store.tables.journal import SUPERSEDED

_LOOKUP_COUNT = 500
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Orphans:
    """What names no survivor, as sentences, and how far was looked.

    event_seq, batch_id: the last ones looked at
    is_all: are they the newest there are?
    """

    told: tuple[str, ...]
    event_seq: int
    batch_id: int
    is_all: bool


def audit_survivors(
    connection: Connection,
    environment_id: int,
    *,
    after_seq: int = 0,
    after_batch: int = 0,
    most_events: int | None = None,
    most_items: int | None = None,
) -> Orphans:
    """Look through the journal and the receipts behind these places, so far at most.

    Shape: at most 20 sentences of each kind
    """
    event = table_of(Event)
    newest = connection.execute(
        select(func.max(event.c.seq)).where(event.c.environment_id == environment_id)
    ).scalar()
    end_seq = last_seq = int(newest or 0)
    if most_events is not None:
        last_seq = min(end_seq, after_seq + most_events)
    told = _find_unwon(connection, environment_id, after_seq=after_seq, last_seq=last_seq)
    repeats, batch_id, is_end = _read_repeats(
        connection, environment_id, after_batch=after_batch, most_items=most_items
    )
    told += _find_unkept(connection, environment_id, repeats)
    return Orphans(tuple(told), last_seq, batch_id, is_all=is_end and last_seq == end_seq)


def _find_unwon(
    connection: Connection, environment_id: int, *, after_seq: int, last_seq: int
) -> list[str]:
    event = table_of(Event)
    winner = event.alias("winner")
    is_winner = and_(
        winner.c.environment_id == environment_id,
        winner.c.seq == event.c.winner_seq,
        winner.c.entity_key == event.c.entity_key,
    )
    rows = connection.execute(
        select(event.c.seq, event.c.winner_seq)
        .select_from(event)
        .outerjoin(winner, is_winner)
        .where(
            event.c.environment_id == environment_id,
            event.c.seq > after_seq,
            event.c.seq <= last_seq,
            event.c.disposition == SUPERSEDED,
            winner.c.seq.is_(None),
        )
        .order_by(event.c.seq)
        .limit(_SHOWN)
    )
    return [
        f"event {seq} is superseded by {name or 'none'}, which is not there" for seq, name in rows
    ]


@dataclass(frozen=True, slots=True)
class _Repeat:
    """A duplicate item of a receipt."""

    batch_id: int
    index: int
    event_id: str
    seq: int | None


def _read_repeats(
    connection: Connection, environment_id: int, *, after_batch: int, most_items: int | None
) -> tuple[list[_Repeat], int, bool]:
    """Give duplicates of receipts, the last receipt looked at, and whether no other has any."""
    batch = table_of(Batch)
    rows = connection.execute(
        select(batch.c.batch_id, batch.c["items"])
        .where(
            batch.c.environment_id == environment_id,
            batch.c.batch_id > after_batch,
            batch.c.duplicate > 0,
        )
        .order_by(batch.c.batch_id)
    )
    found: list[_Repeat] = []
    last = after_batch
    for batch_id, items in rows:
        found += _repeats_of(batch_id, items)
        last = batch_id
        if most_items is not None and len(found) >= most_items:
            rows.close()
            return found, last, False
    return found, last, True


def _repeats_of(batch_id: int, items: str) -> Iterator[_Repeat]:
    for item in orjson.loads(items):
        if item["outcome"] == "duplicate":
            yield _Repeat(batch_id, item["index"], item["id"], item.get("seq"))


def _find_unkept(
    connection: Connection, environment_id: int, repeats: Sequence[_Repeat]
) -> list[str]:
    event = table_of(Event)
    kept: dict[int, str] = {}
    seqs = sorted({repeat.seq for repeat in repeats if repeat.seq is not None})
    for start in range(0, len(seqs), _LOOKUP_COUNT):
        rows = connection.execute(
            select(event.c.seq, event.c.event_id).where(
                event.c.environment_id == environment_id,
                event.c.seq.in_(seqs[start : start + _LOOKUP_COUNT]),
            )
        )
        kept.update((seq, event_id) for seq, event_id in rows)
    lost = [r for r in repeats if r.seq is None or kept.get(r.seq) != r.event_id]
    return [
        f"item {r.index} of batch {r.batch_id} repeats event {r.seq or 'none'}, which is another"
        for r in lost[:_SHOWN]
    ]
