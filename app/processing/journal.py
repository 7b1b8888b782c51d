"""The journal as processing sees it: the events of entities, and what became of them.

Reading needs no lock: an event never changes, and its state only under the lease of its entity.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import ColumnElement, Connection, Text, and_, bindparam, func, select, update

from app.learning.facts import Settlement
from app.processing.queue import Lease
from app.store.dialect import update_rows
from app.store.dwell import note_dwell
from app.store.sums import Counted, TallyDelta, add_tallies, count_applied
from app.store.tables import Event
from app.store.tables.columns import table_of
from app.store.tables.journal import APPLIED, DEAD, PENDING, SUPERSEDED
from app.store.words import AmongTexts, IsWaiting

FOLDABLE = (PENDING, APPLIED, SUPERSEDED)

_ERROR_LENGTH = 500


class Entry(NamedTuple):
    """An event as it lies in the journal; a named tuple, since one is made for each event."""

    entity_key: str
    seq: int
    source_id: int
    event_id: str
    type: str
    stream: str
    occurred_at: datetime
    recorded_at: datetime
    sequence: int
    data: str
    disposition: int
    winner_seq: int | None
    received_at: datetime
    element: bytes | None


def read_entries(
    connection: Connection, environment_id: int, leases: Sequence[Lease]
) -> dict[str, list[Entry]]:
    """Give the events of leased entities that are or can be folded, each up to its claimed seq.

    Shape: by entity_key, in no order
    """
    are_foldable = table_of(Event).c.disposition.in_(FOLDABLE)
    return _read_those(connection, environment_id, leases, are_foldable)


def read_pending(
    connection: Connection, environment_id: int, leases: Sequence[Lease]
) -> dict[str, list[Entry]]:
    """Give the events of leased entities that wait, and touch no others of theirs.

    Shape: by entity_key, in no order
    """
    return _read_those(connection, environment_id, leases, IsWaiting(table_of(Event).c.disposition))


def settle_entries(
    connection: Connection,
    environment_id: int,
    settled: Iterable[tuple[Entry, Settlement]],
    *,
    now: datetime,
) -> int:
    """Write down what became of events, where that is new; keep the tallies and the digests.

    Gives how many left pending. Of two settled states, each is counted as applied by the digests.
    """
    first: list[tuple[Any, ...]] = []
    again: list[tuple[Any, ...]] = []
    received: list[datetime] = []
    counts: Counter[tuple[int, str, int]] = Counter()
    entering: list[Counted] = []
    for entry, settlement in settled:
        winner_seq = settlement.winner_seq
        disposition = APPLIED if winner_seq is None else SUPERSEDED
        if (entry.disposition, entry.winner_seq) == (disposition, winner_seq):
            continue
        if entry.disposition == PENDING:
            first.append((disposition, winner_seq, now, environment_id, entry.seq))
            received.append(entry.received_at)
            told = (entry.source_id, entry.stream, entry.recorded_at, entry.element)
            entering.append(Counted(*told))
        else:
            again.append((disposition, winner_seq, environment_id, entry.seq))
        counts[entry.source_id, entry.stream, entry.disposition] -= 1
        counts[entry.source_id, entry.stream, disposition] += 1
    event, key = table_of(Event), ("environment_id", "seq")
    columns = ("disposition", "winner_seq")
    update_rows(connection, event, first, update=(*columns, "applied_at"), key=key)
    update_rows(connection, event, again, update=columns, key=key)
    add_tallies(connection, environment_id, _deltas_of(counts, now))
    note_dwell(connection, environment_id, received, now=now)
    count_applied(connection, environment_id, entering=entering)
    return len(first)


def bury_pending(connection: Connection, environment_id: int, lease: Lease, *, error: str) -> int:
    """Declare the waiting events of an entity dead, with the reason; give how many they were.

    Neither a waiting nor a dead event is in the digests of applied ones, so these stay as they are.
    """
    event = table_of(Event)
    waiting = and_(
        event.c.environment_id == environment_id,
        event.c.entity_key == lease.entity_key,
        event.c.seq <= lease.dirty_seq,
        IsWaiting(event.c.disposition),
    )
    counted = connection.execute(
        select(event.c.source_id, event.c.stream, func.count())
        .where(waiting)
        .group_by(event.c.source_id, event.c.stream)
    ).all()
    connection.execute(
        update(event).where(waiting).values(disposition=DEAD, error=error[:_ERROR_LENGTH])
    )
    deltas = [TallyDelta(source_id, stream, dead=count) for source_id, stream, count in counted]
    add_tallies(connection, environment_id, deltas)
    return sum(delta.dead for delta in deltas)


def _read_those(
    connection: Connection,
    environment_id: int,
    leases: Sequence[Lease],
    are_wanted: ColumnElement[bool],
) -> dict[str, list[Entry]]:
    event = table_of(Event)
    limits = {lease.entity_key: lease.dirty_seq for lease in leases}
    found: dict[str, list[Entry]] = {entity_key: [] for entity_key in limits}
    if not limits:
        return found
    names = orjson.dumps(list(limits)).decode()
    rows = connection.execute(
        select(*[event.c[name] for name in Entry._fields]).where(
            event.c.environment_id == environment_id,
            AmongTexts(event.c.entity_key, bindparam("names", names, type_=Text())),
            are_wanted,
        )
    )
    for row in rows.all():
        entry = Entry._make(row)
        if entry.seq <= limits[entry.entity_key]:
            found[entry.entity_key].append(entry)
    return found


def _deltas_of(
    counts: Mapping[tuple[int, str, int], int], applied_at: datetime
) -> list[TallyDelta]:
    streams = {(source_id, stream) for source_id, stream, _ in counts}
    return [
        TallyDelta(
            *key,
            applied=counts.get((*key, APPLIED), 0),
            superseded=counts.get((*key, SUPERSEDED), 0),
            applied_at=applied_at,
        )
        for key in streams
    ]
