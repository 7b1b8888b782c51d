"""Do the books balance? The equations per environment and stream, from the tallies or recounted.

received = accepted + duplicate + conflict + rejected
accepted = applied + superseded + pending + dead + waived + erased
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, literal_column, select

from app.ledger.flow import SETTLED
from app.store.sums import COUNTS
from app.store.tables import Environment, Event, Quarantine, Source, Tally
from app.store.tables.columns import table_of
from app.store.tables.journal import DEAD, DISPOSITIONS, PENDING


@dataclass(frozen=True, slots=True)
class StreamBooks:
    """The counts of one source and stream; both names are empty for items that named none."""

    source: str
    stream: str
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Books:
    """All counts of an environment, from one snapshot.

    last_seq: the newest journal number; gapless, so it equals accepted
    """

    environment_key: str
    revision: int
    last_seq: int
    streams: tuple[StreamBooks, ...]

    def total(self, name: str) -> int:
        """The sum of one count over all streams."""
        return sum(stream.counts[name] for stream in self.streams)

    @property
    def pending(self) -> int:
        """Accepted and not settled."""
        return self.total("accepted") - sum(self.total(name) for name in SETTLED)

    @property
    def is_balanced(self) -> bool:
        """Do both equations hold, in every stream, and does the journal hold what was accepted?"""
        return self.total("accepted") == self.last_seq and all(
            _is_balanced(stream.counts) for stream in self.streams
        )

    def as_dict(self) -> dict[str, Any]:
        """The shape of `GET /v1/books`."""
        return {
            "environment": self.environment_key,
            "revision": self.revision,
            **{name: self.total(name) for name in COUNTS},
            "pending": self.pending,
            "balanced": self.is_balanced,
            "streams": [
                {
                    "source": s.source,
                    "stream": s.stream,
                    **s.counts,
                    "pending": pending_of(s.counts),
                }
                for s in self.streams
            ],
        }


def pending_of(counts: dict[str, int]) -> int:
    """Accepted and not settled, of one stream's counts."""
    return counts["accepted"] - sum(counts[name] for name in SETTLED)


def _is_balanced(counts: dict[str, int]) -> bool:
    at_the_door = ("accepted", "duplicate", "conflict", "rejected")
    return counts["received"] == sum(counts[n] for n in at_the_door) and pending_of(counts) >= 0


def read_books(connection: Connection, environment_id: int) -> Books:
    """The books as the tallies have them: a few rows, whatever the journal's length."""
    tally, source, environment = table_of(Tally), table_of(Source), table_of(Environment)
    head = connection.execute(
        select(environment).where(environment.c.environment_id == environment_id)
    ).one()
    rows = connection.execute(
        select(tally, func.coalesce(source.c.source_key, "").label("source_key"))
        .select_from(tally)
        .outerjoin(
            source,
            (source.c.environment_id == environment_id) & (source.c.source_id == tally.c.source_id),
        )
        .where(tally.c.environment_id == environment_id)
        .order_by("source_key", tally.c.stream)
    ).mappings()
    streams = tuple(
        StreamBooks(row["source_key"], row["stream"], {name: row[name] for name in COUNTS})
        for row in rows
    )
    return Books(head.environment_key, head.last_revision, head.last_seq, streams)


def verify_tallies(connection: Connection, environment_id: int) -> list[str]:
    """Say what cannot be right, as far as tallies and two small indexes tell; cheap at any length.

    Shape:  one sentence per fault; empty when all agrees
    """
    books = read_books(connection, environment_id)
    faults = [] if books.is_balanced else ["the equations of the tallies do not hold"]
    event = table_of(Event)
    for disposition, expected in ((PENDING, books.pending), (DEAD, books.total("dead"))):
        # Spelled out, so that the index over these events alone can answer.
        is_such = event.c.disposition == literal_column(str(disposition))
        found = connection.execute(
            select(func.count()).where(event.c.environment_id == environment_id, is_such)
        ).scalar_one()
        if found != expected:
            name = DISPOSITIONS[disposition]
            faults.append(f"{name} is {expected} in the books, {found} found")
    return faults


def recount_books(connection: Connection, environment_id: int) -> list[str]:
    """Count the journal and the shelf row by row and say where the tallies differ.

    Shape:  one sentence per difference; empty when everything agrees
    """
    books = read_books(connection, environment_id)
    counted = _count_journal(connection, environment_id)
    kept: dict[tuple[str, str], dict[str, int]] = {
        (s.source, s.stream): s.counts for s in books.streams
    }
    faults = [] if books.is_balanced else ["the equations of the tallies do not hold"]
    for key in sorted({*counted, *kept}):
        tallied = kept.get(key, dict.fromkeys(COUNTS, 0))
        for name, value in counted.get(key, {}).items():
            expected = pending_of(tallied) if name == "pending" else tallied[name]
            if value != expected:
                faults.append(
                    f"{key[0]}/{key[1]}: {name} is {expected} in the books, {value} found"
                )
        if key not in counted and tallied["accepted"]:
            faults.append(f"{key[0]}/{key[1]}: {tallied['accepted']} accepted events are not there")
    faults += _check_shelf(connection, environment_id, books)
    return faults


def _count_journal(
    connection: Connection, environment_id: int
) -> dict[tuple[str, str], dict[str, int]]:
    event, source = table_of(Event), table_of(Source)
    rows = connection.execute(
        select(source.c.source_key, event.c.stream, event.c.disposition, func.count())
        .where(
            event.c.environment_id == environment_id,
            source.c.environment_id == environment_id,
            source.c.source_id == event.c.source_id,
        )
        .group_by(source.c.source_key, event.c.stream, event.c.disposition)
    )
    counted: dict[tuple[str, str], dict[str, int]] = {}
    for source_key, stream, disposition, count in rows:
        counts = counted.setdefault(
            (source_key, stream), {"accepted": 0, **dict.fromkeys(DISPOSITIONS, 0)}
        )
        counts[DISPOSITIONS[disposition]] += count
        counts["accepted"] += count
    return counted


def _check_shelf(connection: Connection, environment_id: int, books: Books) -> list[str]:
    shelf = table_of(Quarantine)
    rows = connection.execute(
        select(shelf.c.outcome, func.count())
        .where(shelf.c.environment_id == environment_id)
        .group_by(shelf.c.outcome)
    )
    found: dict[str, int] = {row[0]: row[1] for row in rows}
    return [
        f"{name}: {books.total(name)} in the books, {found.get(name, 0)} on the quarantine shelf"
        for name in ("conflict", "rejected")
        if books.total(name) != found.get(name, 0)
    ]
