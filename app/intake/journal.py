"""The journal: events are found by their identity and kept; items that were wrong go on the shelf.

Every function here runs inside the transaction that holds the environment's row.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import orjson
from sqlalchemy import Connection, func, select, update

from app.base.errors import Problem
from app.intake.drafts import Draft
from app.store.dialect import insert_rows
from app.store.tables import Environment, Event, Quarantine, Tally
from app.store.tables.columns import table_of
from app.store.tables.journal import PENDING

_LOOKUP_COUNT = 1000
_EVENT_COLUMNS = (
    "environment_id",
    "seq",
    "source_id",
    "event_id",
    "type",
    "stream",
    "entity_key",
    "subject",
    "occurred_at",
    "recorded_at",
    "received_at",
    "sequence",
    "digest",
    "data_digest",
    "data",
    "extras",
    "disposition",
    "element",
)
_SHELF_COLUMNS = (
    "environment_id",
    "quarantine_id",
    "batch_id",
    "item_index",
    "outcome",
    "source_key",
    "stream",
    "event_id",
    "problems",
    "item",
    "winner_seq",
    "received_at",
    "recorded_at",
)

Identity = tuple[int, str]
"""(source_id, event_id): with the environment, what an event is known by for ever."""


class Kept(NamedTuple):
    """A draft that gets its place in the journal."""

    seq: int
    source_id: int
    recorded_at: datetime
    draft: Draft


class Shelved(NamedTuple):
    """An item that goes on the quarantine shelf."""

    item_index: int
    outcome: str
    source_key: str
    stream: str
    event_id: str
    problems: tuple[Problem, ...]
    item: str
    winner_seq: int | None
    recorded_at: datetime | None = None


class Locked(NamedTuple):
    """What is read of an environment's row when it is locked."""

    last_seq: int
    environment_key: str


def lock_environment(connection: Connection, environment_id: int) -> Locked:
    """Lock an environment's row to the end of the transaction; give its newest journal number."""
    environment = table_of(Environment)
    row = connection.execute(
        select(environment.c.last_seq, environment.c.environment_key)
        .where(environment.c.environment_id == environment_id)
        .with_for_update(key_share=True)
    ).one()
    return Locked(*row)


def set_last_seq(connection: Connection, environment_id: int, last_seq: int) -> None:
    """Move the journal's counter."""
    environment = table_of(Environment)
    connection.execute(
        update(environment)
        .where(environment.c.environment_id == environment_id)
        .values(last_seq=last_seq)
    )


def count_pending(connection: Connection, environment_id: int) -> int:
    """Give how many accepted events are not settled, from the tallies."""
    tally = table_of(Tally).c
    settled = tally.applied + tally.superseded + tally.dead + tally.waived + tally.erased
    count = connection.execute(
        select(func.sum(tally.accepted - settled)).where(tally.environment_id == environment_id)
    ).scalar()
    return int(count or 0)


def find_known(
    connection: Connection, environment_id: int, identities: Iterable[Identity]
) -> dict[Identity, tuple[int, bytes]]:
    """Give seq and digest of those identities that the journal holds already."""
    by_source: dict[int, list[str]] = {}
    for source_id, event_id in identities:
        by_source.setdefault(source_id, []).append(event_id)
    event = table_of(Event)
    known: dict[Identity, tuple[int, bytes]] = {}
    for source_id, event_ids in by_source.items():
        for start in range(0, len(event_ids), _LOOKUP_COUNT):
            rows = connection.execute(
                select(event.c.event_id, event.c.seq, event.c.digest).where(
                    event.c.environment_id == environment_id,
                    event.c.source_id == source_id,
                    event.c.event_id.in_(event_ids[start : start + _LOOKUP_COUNT]),
                )
            )
            for event_id, seq, digest in rows:
                known[source_id, event_id] = (seq, bytes(digest))
    return known


def find_told(
    connection: Connection, environment_id: int, identities: Iterable[Identity]
) -> dict[Identity, tuple[str, str]]:
    """Give stream and data of those identities that the journal holds."""
    event = table_of(Event)
    told: dict[Identity, tuple[str, str]] = {}
    for source_id, event_id in identities:
        row = connection.execute(
            select(event.c.stream, event.c.data).where(
                event.c.environment_id == environment_id,
                event.c.source_id == source_id,
                event.c.event_id == event_id,
            )
        ).one_or_none()
        if row is not None:
            told[source_id, event_id] = (row.stream, row.data)
    return told


def append_events(
    connection: Connection,
    environment_id: int,
    kept: Sequence[Kept],
    *,
    elements: Sequence[bytes | None],
    received_at: datetime,
) -> None:
    """Write drafts into the journal, pending, each with its element."""
    rows = [
        (
            environment_id,
            seq,
            source_id,
            draft.event_id,
            draft.type,
            draft.stream,
            draft.entity_key,
            draft.subject,
            draft.occurred_at,
            recorded_at,
            received_at,
            draft.sequence,
            draft.digest,
            draft.data_digest,
            draft.data,
            draft.extras,
            PENDING,
            element,
        )
        for (seq, source_id, recorded_at, draft), element in zip(kept, elements, strict=True)
    ]
    insert_rows(connection, table_of(Event), _EVENT_COLUMNS, rows)


def shelve_items(
    connection: Connection,
    environment_id: int,
    shelved: Sequence[Shelved],
    *,
    batch_id: int,
    received_at: datetime,
    limit_bytes: int,
) -> None:
    """Put items on the quarantine shelf, each cut to the size that an event may have."""
    if not shelved:
        return
    shelf = table_of(Quarantine)
    newest = connection.execute(
        select(func.max(shelf.c.quarantine_id)).where(shelf.c.environment_id == environment_id)
    ).scalar()
    rows = [
        (
            environment_id,
            number,
            batch_id,
            entry.item_index,
            entry.outcome,
            entry.source_key,
            entry.stream,
            entry.event_id,
            _write_problems(entry.problems),
            _cut_text(entry.item, limit_bytes),
            entry.winner_seq,
            received_at,
            entry.recorded_at,
        )
        for number, entry in enumerate(shelved, (newest or 0) + 1)
    ]
    insert_rows(connection, shelf, _SHELF_COLUMNS, rows)


def marks_of(kept: Iterable[Kept]) -> Mapping[str, int]:
    """Give, by entity, the newest seq that its projection must reflect."""
    return {entry.draft.entity_key: entry.seq for entry in kept}


def _write_problems(problems: Iterable[Problem]) -> str:
    told = [{"path": problem.path, "message": problem.message} for problem in problems]
    return orjson.dumps(told).decode()


def _cut_text(text: str, limit_bytes: int) -> str:
    plain = text.replace("\x00", "\ufffd").encode("utf-8", "replace")
    return plain[:limit_bytes].decode("utf-8", "ignore")
