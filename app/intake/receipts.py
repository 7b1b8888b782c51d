"""Receipts: what became of each item at the door, and later of each event in the journal."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import Connection, func, select

from app.base.clock import format_time
from app.base.errors import Problem, RepeatDiffers, UnknownName
from app.store.dialect import insert_rows
from app.store.tables import Batch, Event
from app.store.tables.columns import table_of
from app.store.tables.journal import DISPOSITIONS

ACCEPTED, DUPLICATE, CONFLICT, REJECTED = OUTCOMES = (
    "accepted",
    "duplicate",
    "conflict",
    "rejected",
)

_COLUMNS = (
    "environment_id",
    "batch_id",
    "received_at",
    "received",
    "accepted",
    "duplicate",
    "conflict",
    "rejected",
    "first_seq",
    "last_seq",
    "items",
    "origin",
    "origin_position",
    "idempotency_key",
    "body_digest",
)


@dataclass(frozen=True, slots=True)
class Repeat:
    """The caller's own name for a request, so that a second try does nothing twice.

    body_digest: SHA-256 of the body, unpacked
    """

    key: str
    body_digest: bytes


@dataclass(frozen=True, slots=True)
class ItemFate:
    """What became of one item at the door.

    index: its place in the delivery
    id: its event id, empty when it had none
    outcome: accepted, duplicate, conflict, rejected
    seq: of the event in the journal; of the first one when a duplicate or a conflict
    reason: one stable word when rejected or conflicting
    """

    index: int
    id: str
    outcome: str
    seq: int | None = None
    reason: str | None = None
    problems: tuple[Problem, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The item's shape on the wire; what does not apply is left out."""
        told: dict[str, Any] = {"index": self.index, "id": self.id, "outcome": self.outcome}
        if self.seq is not None:
            told["seq"] = self.seq
        if self.reason is not None:
            told["reason"] = self.reason
        if self.problems:
            told["problems"] = [{"path": p.path, "message": p.message} for p in self.problems]
        return told


@dataclass(frozen=True, slots=True)
class Receipt:
    """The fate of a delivery; received = accepted + duplicate + conflict + rejected.

    items: the fate of every item, in the order of the delivery
    is_single: one event came, and no list
    origin, origin_position: the file or feed it came from, and how far that was read
    is_replay: it was written before, for the same request
    """

    batch_id: int
    received_at: datetime
    received: int
    accepted: int
    duplicate: int
    conflict: int
    rejected: int
    items: tuple[ItemFate, ...]
    is_single: bool = False
    origin: str | None = None
    origin_position: int | None = None
    repeat: Repeat | None = None
    is_replay: bool = False

    @property
    def seqs(self) -> tuple[int, int] | None:
        """The first and the last journal number given, if any was."""
        given = [fate.seq for fate in self.items if fate.outcome == ACCEPTED and fate.seq]
        return (given[0], given[-1]) if given else None


def digest_body(body: bytes) -> bytes:
    """What tells one request from another under the same name."""
    return sha256(body).digest()


def write_receipt(connection: Connection, environment_id: int, receipt: Receipt) -> None:
    """Keep a receipt; of the accepted items their range of journal numbers is enough."""
    first_seq, last_seq = receipt.seqs or (None, None)
    told = [fate.as_dict() for fate in receipt.items if fate.outcome != ACCEPTED]
    row = (
        environment_id,
        receipt.batch_id,
        receipt.received_at,
        receipt.received,
        receipt.accepted,
        receipt.duplicate,
        receipt.conflict,
        receipt.rejected,
        first_seq,
        last_seq,
        orjson.dumps(told).decode(),
        receipt.origin,
        receipt.origin_position,
        None if receipt.repeat is None else receipt.repeat.key,
        None if receipt.repeat is None else receipt.repeat.body_digest,
    )
    insert_rows(connection, table_of(Batch), _COLUMNS, [row])


def find_first(
    connection: Connection, environment_id: int, repeat: Repeat | None
) -> Receipt | None:
    """Give the receipt that a request of this name was answered with, if there was one.

    Raises: RepeatDiffers, when that request had another body
    """
    if repeat is None:
        return None
    batch = table_of(Batch)
    row = connection.execute(
        select(batch).where(
            batch.c.environment_id == environment_id, batch.c.idempotency_key == repeat.key
        )
    ).one_or_none()
    if row is None:
        return None
    if bytes(row.body_digest) != repeat.body_digest:
        raise RepeatDiffers(
            f"this Idempotency-Key came with another body, which became batch {row.batch_id}",
            hint="Send the first body again, or this one under a key of its own.",
            headers={"Location": f"/v1/batches/{row.batch_id}"},
        )
    return Receipt(
        batch_id=row.batch_id,
        received_at=row.received_at,
        received=row.received,
        accepted=row.accepted,
        duplicate=row.duplicate,
        conflict=row.conflict,
        rejected=row.rejected,
        items=_fates_of(connection, environment_id, row),
        is_replay=True,
    )


def _fates_of(connection: Connection, environment_id: int, row: Any) -> tuple[ItemFate, ...]:
    """The fates of a receipt as they were told: those that were kept, and in between the rest."""
    event = table_of(Event)
    between = event.c.seq.between(row.first_seq or 0, row.last_seq or -1)
    kept = iter(
        connection.execute(
            select(event.c.event_id, event.c.seq)
            .where(event.c.environment_id == environment_id, between)
            .order_by(event.c.seq)
        )
    )
    told = {item["index"]: item for item in orjson.loads(row.items)}
    fates = []
    for index in range(row.received):
        item = told.get(index)
        if item is None:
            event_id, seq = next(kept)
            fates.append(ItemFate(index, event_id, ACCEPTED, seq))
        else:
            problems = tuple(Problem(**problem) for problem in item.pop("problems", ()))
            fates.append(ItemFate(**item, problems=problems))
    return tuple(fates)


def next_batch_id(connection: Connection, environment_id: int) -> int:
    """Give the next free batch number of an environment whose row is locked."""
    batch = table_of(Batch)
    newest = connection.execute(
        select(func.max(batch.c.batch_id)).where(batch.c.environment_id == environment_id)
    ).scalar()
    return (newest or 0) + 1


def receipt_of(connection: Connection, environment_id: int, batch_id: int) -> dict[str, Any]:
    """Give a receipt as it was, with what has become of each event since.

    Shape:  the answer to `POST /v1/events`; each item also says disposition, winner_seq and error
        of its event, a duplicate those of the first
    Raises: UnknownName
    """
    batch = table_of(Batch)
    row = connection.execute(
        select(batch).where(batch.c.environment_id == environment_id, batch.c.batch_id == batch_id)
    ).one_or_none()
    if row is None:
        raise UnknownName(f"there is no batch {batch_id} in this environment")
    told = {item["index"]: item for item in orjson.loads(row.items)}
    seqs = iter(range(row.first_seq or 0, (row.last_seq or -1) + 1))
    items = [
        told.get(index) or {"index": index, "outcome": ACCEPTED, "seq": next(seqs)}
        for index in range(row.received)
    ]
    _add_fates(connection, environment_id, items)
    return {
        "batch_id": batch_id,
        "received_at": format_time(row.received_at),
        "received": row.received,
        "accepted": row.accepted,
        "duplicate": row.duplicate,
        "conflict": row.conflict,
        "rejected": row.rejected,
        "items": items,
    }


def _add_fates(connection: Connection, environment_id: int, items: list[dict[str, Any]]) -> None:
    event = table_of(Event)
    columns = (
        event.c.seq,
        event.c.event_id,
        event.c.disposition,
        event.c.winner_seq,
        event.c.error,
    )
    seqs = sorted({item["seq"] for item in items if "seq" in item})
    found: dict[int, Any] = {}
    for start in range(0, len(seqs), 1000):
        rows = connection.execute(
            select(*columns).where(
                event.c.environment_id == environment_id,
                event.c.seq.in_(seqs[start : start + 1000]),
            )
        )
        found.update((row.seq, row) for row in rows)
    for item in items:
        row = found.get(item.get("seq", 0))
        if row is None or item["outcome"] == CONFLICT:
            continue
        item.setdefault("id", row.event_id)
        item["disposition"] = DISPOSITIONS[row.disposition]
        if row.winner_seq is not None:
            item["winner_seq"] = row.winner_seq
        if row.error is not None:
            item["error"] = row.error
