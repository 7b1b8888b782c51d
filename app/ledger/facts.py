"""The numbers a verdict rests on and the lag of every stream, in one read of a snapshot.

A stream without any contract is reported too: it exists because its module type exists, not because
data arrived.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, literal_column, select

from app.learning.modules import STREAM_NAMES, stream_kind
from app.ledger.verdict import Facts, Verdict, judge_stream, roll_up
from app.store.sums import COUNTS
from app.store.tables import Environment, Event, Source, Stream, Tally
from app.store.tables.columns import table_of
from app.store.tables.journal import PENDING

SETTLED = ("applied", "superseded", "dead", "waived", "erased")


@dataclass(frozen=True, slots=True)
class StreamLag:
    """How a stream stands, of one source or rolled up over all of them.

    source: its key; empty when rolled up
    counts: events, by the names of COUNTS
    processing_lag_s: age of the oldest accepted event not applied yet; 0.0 when none is pending,
        None when nothing was ever received
    """

    stream: str
    kind: str
    source: str
    verdict: Verdict
    counts: dict[str, int]
    last_received_at: datetime | None
    last_applied_at: datetime | None
    processing_lag_s: float | None
    is_sealed: bool = False
    sources: tuple["StreamLag", ...] = ()

    @property
    def pending(self) -> int:
        """Accepted events that are not settled yet."""
        return self.counts["accepted"] - sum(self.counts[name] for name in SETTLED)

    @property
    def quarantined(self) -> int:
        """Items on the shelf: rejected and conflicting."""
        return self.counts["rejected"] + self.counts["conflict"]


@dataclass(frozen=True, slots=True)
class Lag:
    """All streams of an environment, as one snapshot has them.

    sources: per source and stream, contracted or seen
    streams: rolled up, one per stream name
    """

    environment_key: str
    revision: int
    evaluated_at: datetime
    streams: tuple[StreamLag, ...]
    sources: tuple[StreamLag, ...]


@dataclass(frozen=True, slots=True)
class Freshness:
    """The verdict over the streams a question touched.

    streams: the touched ones, worst first
    """

    verdict: Verdict
    streams: tuple[StreamLag, ...]
    revision: int
    evaluated_at: datetime


def read_lag(connection: Connection, environment_id: int, *, now: datetime) -> Lag:
    """Read and judge every stream of an environment.

    Shape:  streams in the order of the registry; sources by key
    """
    environment = table_of(Environment)
    row = connection.execute(
        select(environment.c.environment_key, environment.c.last_revision).where(
            environment.c.environment_id == environment_id
        )
    ).one()
    sources = tuple(_read_sources(connection, environment_id, now=now))
    streams = tuple(_roll_stream(name, sources) for name in STREAM_NAMES)
    return Lag(row.environment_key, row.last_revision, now, streams, sources)


def freshness_of(lag: Lag, touched: Iterable[str]) -> Freshness:
    """The verdict over these streams; over none of them it is unknown (`no_stream`)."""
    names = set(touched)
    streams = sorted(
        (stream for stream in lag.streams if stream.stream in names),
        key=lambda stream: -stream.verdict.state.severity,
    )
    verdict = roll_up(stream.verdict for stream in streams)
    return Freshness(verdict, tuple(streams), lag.revision, lag.evaluated_at)


def _read_sources(
    connection: Connection, environment_id: int, *, now: datetime
) -> Iterable[StreamLag]:
    contracts = _read_contracts(connection, environment_id)
    tallies = _read_tallies(connection, environment_id)
    sources = _read_source_names(connection, environment_id)
    order = {name: index for index, name in enumerate(STREAM_NAMES)}
    keys = {key for key in (*contracts, *tallies) if key[1] in order and key[0] in sources}
    for key in sorted(keys, key=lambda key: (sources[key[0]][0], order[key[1]])):
        source_id, stream = key
        counts, received_at, applied_at = tallies.get(key, (dict.fromkeys(COUNTS, 0), None, None))
        lag = StreamLag(
            stream=stream,
            kind=stream_kind(stream),
            source=sources[source_id][0],
            verdict=judge_stream(Facts(is_contracted=key in contracts)),
            counts=counts,
            last_received_at=received_at,
            last_applied_at=applied_at,
            processing_lag_s=None if received_at is None else 0.0,
            is_sealed=sources[source_id][1],
        )
        if lag.pending > 0:
            oldest_at = _oldest_pending(connection, environment_id, key=key)
            if oldest_at is not None:
                lag = replace(lag, processing_lag_s=max(0.0, (now - oldest_at).total_seconds()))
        yield lag


def _oldest_pending(
    connection: Connection, environment_id: int, *, key: tuple[int, str]
) -> datetime | None:
    """When the oldest pending event of a source's stream was received: one seek in its index."""
    event = table_of(Event)
    received_at: datetime | None = connection.execute(
        select(event.c.received_at)
        .where(
            event.c.environment_id == environment_id,
            event.c.source_id == key[0],
            event.c.stream == key[1],
            event.c.disposition == literal_column(str(PENDING)),
        )
        .order_by(event.c.seq)
        .limit(1)
    ).scalar()
    return received_at


def _read_contracts(connection: Connection, environment_id: int) -> set[tuple[int, str]]:
    stream = table_of(Stream)
    rows = connection.execute(
        select(stream.c.source_id, stream.c.stream).where(stream.c.environment_id == environment_id)
    )
    return {(row.source_id, row.stream) for row in rows}


def _read_source_names(connection: Connection, environment_id: int) -> dict[int, tuple[str, bool]]:
    source = table_of(Source)
    rows = connection.execute(
        select(source.c.source_id, source.c.source_key, source.c.sealed_at).where(
            source.c.environment_id == environment_id
        )
    )
    return {row.source_id: (row.source_key, row.sealed_at is not None) for row in rows}


def _read_tallies(
    connection: Connection, environment_id: int
) -> dict[tuple[int, str], tuple[dict[str, int], datetime | None, datetime | None]]:
    tally = table_of(Tally)
    rows = connection.execute(
        select(tally).where(tally.c.environment_id == environment_id)
    ).mappings()
    return {
        (row["source_id"], row["stream"]): (
            {name: row[name] for name in COUNTS},
            row["last_received_at"],
            row["last_applied_at"],
        )
        for row in rows
    }


def _roll_stream(name: str, sources: tuple[StreamLag, ...]) -> StreamLag:
    """One stream over all its sources; without any source it is under no contract."""
    parts = tuple(source for source in sources if source.stream == name)
    verdicts = [part.verdict for part in parts] or [judge_stream(Facts(is_contracted=False))]
    lags = [part.processing_lag_s for part in parts if part.processing_lag_s is not None]
    return StreamLag(
        stream=name,
        kind=stream_kind(name),
        source="",
        verdict=roll_up(verdicts),
        counts={key: sum(part.counts[key] for part in parts) for key in COUNTS},
        last_received_at=max(
            (p.last_received_at for p in parts if p.last_received_at), default=None
        ),
        last_applied_at=max((p.last_applied_at for p in parts if p.last_applied_at), default=None),
        processing_lag_s=max(lags, default=None),
        sources=parts,
    )
