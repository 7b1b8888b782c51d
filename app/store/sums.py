"""Tallies as linear deltas: intake and processing add, the ledger reads.

They are added in the transaction that makes them true, so the books balance at every commit.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from app.store.dialect import upsert_rows
from app.store.tables import Tally
from app.store.tables.columns import table_of

_KEY = ("environment_id", "source_id", "stream")
COUNTS = (
    "received",
    "accepted",
    "duplicate",
    "conflict",
    "rejected",
    "applied",
    "superseded",
    "dead",
    "waived",
    "erased",
)


@dataclass(frozen=True, slots=True)
class TallyDelta:
    """What one transaction changes in the counts of a source and stream.

    source_id: 0 for items that named no registered source
    stream: empty for items that named none
    received_at, applied_at: when, if this transaction received or applied something
    """

    source_id: int
    stream: str
    received: int = 0
    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    rejected: int = 0
    applied: int = 0
    superseded: int = 0
    dead: int = 0
    waived: int = 0
    erased: int = 0
    received_at: datetime | None = None
    applied_at: datetime | None = None


def add_tallies(connection: Connection, environment_id: int, deltas: Iterable[TallyDelta]) -> None:
    """Add deltas to the tallies of an environment whose row is locked by this transaction."""
    by_moments: dict[tuple[str, ...], list[tuple[object, ...]]] = {}
    for delta in sorted(deltas, key=lambda delta: (delta.source_id, delta.stream)):
        moments = {"last_received_at": delta.received_at, "last_applied_at": delta.applied_at}
        told = {name: moment for name, moment in moments.items() if moment is not None}
        counts = [getattr(delta, name) for name in COUNTS]
        row = (environment_id, delta.source_id, delta.stream, *counts, *told.values())
        by_moments.setdefault(tuple(told), []).append(row)
    for told_names, rows in by_moments.items():
        upsert_rows(
            connection,
            table_of(Tally),
            (*_KEY, *COUNTS, *told_names),
            rows,
            key=_KEY,
            update=told_names,
            added=COUNTS,
        )
