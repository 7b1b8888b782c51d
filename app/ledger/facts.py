"""How the streams of an environment stand, read in the snapshot of the question.

What evidence says is kept between requests until evidence changes or time alone may change it; what
the journal says (waiting events, digests not folded yet) is looked at each time, and only lowers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Table,
    bindparam,
    func,
    literal_column,
    select,
)

from app.learning.modules import STREAM_NAMES, stream_kind
from app.ledger.evidence import Key, Part, read_evidence
from app.ledger.standing import UNOWED, Standing, roll_standings, stand_part
from app.ledger.verdict import Verdict, roll_up
from app.store.engine import kept_between
from app.store.statement import Statement, compile_statement
from app.store.sums import COUNTS
from app.store.tables import BucketDelta, Environment, Event, Source, Tally
from app.store.tables.columns import table_of
from app.store.tables.journal import DEAD, PENDING

SETTLED = ("applied", "superseded", "dead", "waived", "erased")
_DOOR = ("accepted", "duplicate", "conflict", "rejected")
_NO_COUNTS = dict.fromkeys(COUNTS, 0)


@dataclass(frozen=True, slots=True)
class StreamLag:
    """How a stream stands, of one source or rolled up over all of them.

    source: its key; empty when rolled up
    standing: what evidence says
    counts: events, by the names of COUNTS; read for lag alone
    processing_lag_s: age of the oldest accepted event not applied yet; 0.0 when none is pending,
        None when nothing was ever received
    """

    stream: str
    kind: str
    source: str
    standing: Standing
    counts: Mapping[str, int] = field(default_factory=lambda: _NO_COUNTS)
    last_received_at: datetime | None = None
    last_applied_at: datetime | None = None
    processing_lag_s: float | None = None
    is_contracted: bool = True
    is_sealed: bool = False
    backlog: int | None = None
    oldest_pending_at: datetime | None = None
    sources: tuple["StreamLag", ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What may be said of its completeness."""
        return self.standing.verdict

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
    standing: all of them rolled up
    is_settled: no late fact is expected before the end of the question
    is_clipped: what is behind complete_through was left out
    receipt: a signed token of all this, or empty
    """

    verdict: Verdict
    streams: tuple[StreamLag, ...]
    revision: int
    evaluated_at: datetime
    standing: Standing = UNOWED
    is_settled: bool = False
    is_clipped: bool = False
    receipt: str = ""


@dataclass(frozen=True, slots=True)
class _Head:
    environment_id: int
    environment_key: str
    revision: int
    evidence_id: int


@dataclass(frozen=True, slots=True)
class _Known:
    """What is kept of a stream while evidence stands still."""

    parts: tuple[Part, ...]
    standings: tuple[Standing, ...]
    rolled: Standing


@dataclass(frozen=True, slots=True)
class _Flow:
    """What the journal says of streams at this moment.

    unfolded: the earliest slot of digests not folded yet
    waiting: sources and streams with events that are not settled
    dead: likewise with events that were given up
    unbalanced: sources and streams whose counts contradict one another
    """

    unfolded: Mapping[Key, datetime]
    waiting: frozenset[Key]
    dead: frozenset[Key]
    unbalanced: frozenset[Key]


# Questions


def read_freshness(
    connection: Connection,
    environment_id: int,
    touched: Iterable[str],
    *,
    now: datetime,
    end_at: datetime | None = None,
) -> Freshness:
    """The verdict over these streams; over none of them it is unknown (`no_stream`).

    end_at: the end of what the question asks for; None is now
    """
    names = [name for name in STREAM_NAMES if name in set(touched)]
    head = _read_head(connection, environment_id)
    known = _know_streams(connection, head, names, now=now)
    flow = _read_flow(connection, environment_id)
    streams = []
    for name in names:
        standing = known[name].rolled
        if _is_moved(known[name], flow) or _ends_early(known[name], end_at, now):
            parts = _add_flow(connection, head, known[name].parts, flow=flow)
            standing = roll_standings([stand_part(p, now=now, end_at=end_at) for p in parts])
        streams.append(StreamLag(name, stream_kind(name), "", standing))
    return _make_freshness(streams, head.revision, now=now, end_at=end_at)


def freshness_of(lag: Lag, touched: Iterable[str], *, end_at: datetime | None = None) -> Freshness:
    """The verdict over these streams of a lag; over none of them it is unknown (`no_stream`)."""
    names = set(touched)
    streams = [stream for stream in lag.streams if stream.stream in names]
    return _make_freshness(streams, lag.revision, now=lag.evaluated_at, end_at=end_at)


def _make_freshness(
    streams: list[StreamLag], revision: int, *, now: datetime, end_at: datetime | None
) -> Freshness:
    worst_first = sorted(streams, key=lambda stream: -stream.verdict.state.severity)
    standing = roll_standings([stream.standing for stream in streams])
    verdict = roll_up(stream.verdict for stream in worst_first)
    settled = standing.settled_through
    return Freshness(
        verdict,
        tuple(worst_first),
        revision,
        now,
        standing=replace(standing, verdict=verdict),
        is_settled=settled is not None and settled >= (end_at or now),
    )


def _read_head(connection: Connection, environment_id: int) -> _Head:
    statement = _head_statement(connection.dialect.name)
    values = statement.bind({"environment_id": environment_id})
    return _Head(environment_id, *connection.exec_driver_sql(statement.text, values).one())


@lru_cache(maxsize=2)
def _head_statement(dialect_name: str) -> Statement:
    """The environment's key, revision and evidence counter; written once, run for every answer."""
    environment = table_of(Environment)
    known = select(
        environment.c.environment_key, environment.c.last_revision, environment.c.last_evidence_id
    )
    environment_id: Any = bindparam("environment_id", type_=BigInteger())
    return compile_statement(
        known.where(environment.c.environment_id == environment_id), dialect_name
    )


# What evidence says, kept


def _know_streams(
    connection: Connection, head: _Head, names: list[str], *, now: datetime
) -> Mapping[str, _Known]:
    """What evidence says of these streams: kept, unless it changed or time may have changed it."""
    kept = kept_between(connection)
    place = ("standing", head.environment_id)
    evidence_id: int | None
    known: Mapping[str, _Known]
    evidence_id, known = kept.get(place, (None, {}))
    if evidence_id != head.evidence_id:
        known = {}
    missing = [name for name in names if name not in known or not _is_good(known[name], now)]
    if missing:
        read = read_evidence(connection, head.environment_id, missing, now=now)
        known = {**known, **{name: _know_parts(parts, now=now) for name, parts in read.items()}}
        kept[place] = (head.evidence_id, known)
    return known


def _is_good(known: _Known, now: datetime) -> bool:
    """Does what was judged still hold? A clock that went back makes us look again."""
    until = known.rolled.until
    began_at = known.parts[0].facts.now if known.parts else None
    return began_at is None or (until is not None and began_at <= now < until)


def _know_parts(parts: tuple[Part, ...], *, now: datetime) -> _Known:
    standings = tuple(stand_part(part, now=now) for part in parts)
    return _Known(parts, standings, roll_standings(standings))


def _ends_early(known: _Known, end_at: datetime | None, now: datetime) -> bool:
    """Does the question end before what every source has promised by now?"""
    if end_at is None:
        return False
    promises = [part.facts.terms.objective_s for part in known.parts if part.facts.terms]
    return end_at < now - timedelta(seconds=min(promises, default=0))


# What the journal says, read each time


def _read_flow(connection: Connection, environment_id: int) -> _Flow:
    unfolded, tallied = _flow_statements(connection.dialect.name)
    given = {"environment_id": environment_id}
    slots = connection.exec_driver_sql(unfolded.text, unfolded.bind(given)).all()
    rows = connection.exec_driver_sql(tallied.text, tallied.bind(given)).all()
    return _Flow(
        {(row[0], row[1]): _moment_of(row[2]) for row in slots},
        frozenset((row[0], row[1]) for row in rows if row[2] > 0),
        frozenset((row[0], row[1]) for row in rows if row[4] > 0),
        frozenset((row[0], row[1]) for row in rows if row[2] < 0 or row[3] != 0),
    )


@lru_cache(maxsize=2)
def _flow_statements(dialect_name: str) -> tuple[Statement, Statement]:
    """The earliest slot not folded of each stream; the streams whose counts are not all settled, or
    of which something is dead.

    Written once: they are run for every answer.
    """
    delta, tally = table_of(BucketDelta), table_of(Tally)
    environment_id: Any = bindparam("environment_id", type_=BigInteger())
    unfolded = (
        select(delta.c.source_id, delta.c.stream, func.min(delta.c.slot_at))
        .where(delta.c.environment_id == environment_id)
        .group_by(delta.c.source_id, delta.c.stream)
    )
    settled = _sum_of(tally, SETTLED)
    at_the_door = _sum_of(tally, _DOOR)
    unsettled = select(
        tally.c.source_id,
        tally.c.stream,
        tally.c.accepted - settled,
        tally.c.received - at_the_door,
        tally.c.dead,
    ).where(
        tally.c.environment_id == environment_id,
        (tally.c.accepted != settled) | (tally.c.received != at_the_door) | (tally.c.dead != 0),
    )
    return compile_statement(unfolded, dialect_name), compile_statement(unsettled, dialect_name)


def _sum_of(tally: Table, names: Iterable[str]) -> ColumnElement[Any]:
    total: ColumnElement[Any] = literal_column("0")
    for name in names:
        total = total + tally.c[name]
    return total


def _moment_of(value: Any) -> datetime:
    """A moment as the driver gives it."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value.astimezone(UTC)


def _is_moved(known: _Known, flow: _Flow) -> bool:
    """May the journal have lowered what evidence said?"""
    if not (flow.unfolded or flow.waiting or flow.dead or flow.unbalanced):
        return False
    told = flow.waiting | flow.dead | flow.unbalanced
    return any(part.key in told or _is_late(part, flow) for part in known.parts)


def _is_late(part: Part, flow: _Flow) -> bool:
    """Has something come into a bucket that was matched already?"""
    slot_at, matched = flow.unfolded.get(part.key), part.facts.matched_through
    return slot_at is not None and matched is not None and slot_at < matched


def _add_flow(
    connection: Connection, head: _Head, parts: Iterable[Part], *, flow: _Flow
) -> list[Part]:
    moved = []
    for part in parts:
        pending_from, is_unbalanced = None, part.key in flow.unbalanced
        dead_from = None
        if part.key in flow.dead:
            dead_from = _earliest_of(connection, head.environment_id, key=part.key, state=DEAD)
        if part.key in flow.waiting:
            pending_from = _earliest_of(
                connection, head.environment_id, key=part.key, state=PENDING
            )
            # The counts say that something waits; then it lies in the journal, or they are wrong.
            is_unbalanced = is_unbalanced or pending_from is None
        facts = replace(
            part.facts,
            unfolded_from=flow.unfolded.get(part.key) if _is_late(part, flow) else None,
            pending_from=pending_from,
            dead_from=dead_from,
            is_unbalanced=is_unbalanced,
        )
        moved.append(replace(part, facts=facts))
    return moved


def _earliest_of(
    connection: Connection, environment_id: int, *, key: Key, state: int
) -> datetime | None:
    """The earliest recorded moment of what waits, or is dead, in a stream of a source."""
    event = table_of(Event)
    recorded_at: datetime | None = connection.execute(
        select(func.min(event.c.recorded_at)).where(
            event.c.environment_id == environment_id,
            event.c.source_id == key[0],
            event.c.stream == key[1],
            event.c.disposition == literal_column(str(state)),
        )
    ).scalar()
    return recorded_at


# Lag in full


def read_lag(
    connection: Connection,
    environment_id: int,
    *,
    now: datetime,
    end_at: datetime | None = None,
    streams: Iterable[str] = STREAM_NAMES,
) -> Lag:
    """Read and judge streams of an environment, with their counts.

    A source that sends a stream it does not owe is listed as `no_contract`; the roll-up is over
    those that owe it.

    Shape:  streams in the order of the registry; sources by key
    """
    wanted = set(streams)
    names = [name for name in STREAM_NAMES if name in wanted]
    head = _read_head(connection, environment_id)
    flow = _read_flow(connection, environment_id)
    # Read anew: what is kept may be older in what no verdict rests on, such as the last heartbeat.
    found = read_evidence(connection, environment_id, names, now=now)
    owed = [part for name in names for part in found[name]]
    parts = _add_flow(connection, head, owed, flow=flow)
    lags = {
        part.key: _lag_of_part(part, stand_part(part, now=now, end_at=end_at)) for part in parts
    }
    tallies = _read_tallies(connection, environment_id)
    for key in sorted(tallies.keys() - lags.keys()):
        source = _read_source_key(connection, environment_id, key[0])
        if key[1] in wanted and source is not None:
            lag = StreamLag(key[1], stream_kind(key[1]), source, UNOWED, is_contracted=False)
            lags[key] = lag
    counted = []
    for key, lag in lags.items():
        told = replace(lag, **tallies.get(key, {}))
        counted.append(
            replace(told, processing_lag_s=_wait_s(connection, head, told, key=key, now=now))
        )
    order = {name: place for place, name in enumerate(STREAM_NAMES)}
    counted.sort(key=lambda lag: (lag.source, order[lag.stream]))
    rolled = tuple(_roll_stream(name, counted) for name in names)
    return Lag(head.environment_key, head.revision, now, rolled, tuple(counted))


def _lag_of_part(part: Part, standing: Standing) -> StreamLag:
    return StreamLag(
        part.stream,
        stream_kind(part.stream),
        part.source,
        standing,
        is_sealed=part.is_sealed,
        backlog=part.backlog,
        oldest_pending_at=part.oldest_pending_at,
    )


def _wait_s(
    connection: Connection, head: _Head, lag: StreamLag, *, key: Key, now: datetime
) -> float | None:
    """The age of the oldest event that waits: one seek in the index of pending events."""
    if lag.last_received_at is None or lag.pending <= 0:
        return None if lag.last_received_at is None else 0.0
    event = table_of(Event)
    received_at: datetime | None = connection.execute(
        select(event.c.received_at)
        .where(
            event.c.environment_id == head.environment_id,
            event.c.source_id == key[0],
            event.c.stream == key[1],
            event.c.disposition == literal_column(str(PENDING)),
        )
        .order_by(event.c.seq)
        .limit(1)
    ).scalar()
    return 0.0 if received_at is None else max(0.0, (now - received_at).total_seconds())


def _read_source_key(connection: Connection, environment_id: int, source_id: int) -> str | None:
    source = table_of(Source)
    found: str | None = connection.execute(
        select(source.c.source_key).where(
            source.c.environment_id == environment_id, source.c.source_id == source_id
        )
    ).scalar()
    return found


def _read_tallies(connection: Connection, environment_id: int) -> dict[Key, dict[str, Any]]:
    """What the books say of each source and stream, by the names of StreamLag."""
    tally = table_of(Tally)
    rows = connection.execute(
        select(tally).where(tally.c.environment_id == environment_id)
    ).mappings()
    return {
        (row["source_id"], row["stream"]): {
            "counts": {name: row[name] for name in COUNTS},
            "last_received_at": row["last_received_at"],
            "last_applied_at": row["last_applied_at"],
        }
        for row in rows
    }


def _roll_stream(name: str, sources: Iterable[StreamLag]) -> StreamLag:
    """One stream over all its sources; without any that owes it, it is under no contract."""
    parts = tuple(source for source in sources if source.stream == name)
    waits = [part.processing_lag_s for part in parts if part.processing_lag_s is not None]
    received = [part.last_received_at for part in parts if part.last_received_at]
    applied = [part.last_applied_at for part in parts if part.last_applied_at]
    return StreamLag(
        stream=name,
        kind=stream_kind(name),
        source="",
        standing=roll_standings([part.standing for part in parts if part.is_contracted]),
        counts={key: sum(part.counts[key] for part in parts) for key in COUNTS},
        last_received_at=max(received, default=None),
        last_applied_at=max(applied, default=None),
        processing_lag_s=max(waits, default=None),
        is_contracted=any(part.is_contracted for part in parts),
        sources=parts,
    )
