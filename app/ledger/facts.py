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
    Connection,
    bindparam,
    literal_column,
    select,
)

from app.learning.modules import STREAM_NAMES, stream_kind
from app.ledger.evidence import Key, Part, read_evidence
from app.ledger.flow import (
    SETTLED,
    STILL,
    Flow,
    add_flow,
    is_flowing,
    put_under_terms,
    read_flow,
    read_source_key,
    read_strays,
)
from app.ledger.standing import UNOWED, Standing, roll_standings, stand_part
from app.ledger.verdict import Verdict, roll_up
from app.store.engine import kept_between
from app.store.statement import Statement, compile_statement, run_statement
from app.store.sums import COUNTS
from app.store.tables import Environment, Event, Tally
from app.store.tables.columns import table_of
from app.store.tables.journal import PENDING

_NO_COUNTS = dict.fromkeys(COUNTS, 0)
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, eq=False, slots=True)
class StreamLag:
    """How a stream stands, of one source or rolled up over all of them.

    The same object while nothing moves, so that what is written of it is found again.

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
    is_flowing: bool


@dataclass(frozen=True, slots=True)
class _Known:
    """What is kept of a stream while evidence stands still."""

    parts: tuple[Part, ...]
    lag: StreamLag


@dataclass(frozen=True, slots=True)
class _Rolled:
    """Several streams, worst first, and what may be said of all of them.

    holds_from, holds_until: while evidence stands still
    """

    streams: tuple[StreamLag, ...]
    standing: Standing
    holds_from: datetime = _EARLIEST
    holds_until: datetime = _EARLIEST


@dataclass(slots=True)
class _Kept:
    """What is kept between requests: as of a state of evidence, by stream and by set of streams."""

    evidence_id: int
    known: Mapping[str, _Known]
    rolled: dict[tuple[str, ...], _Rolled]


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
    names = _in_order(frozenset(touched))
    head = _read_head(connection, environment_id)
    kept = _keep_known(connection, head, names, now=now)
    flow = read_flow(connection, environment_id) if head.is_flowing else STILL
    moved = {}
    if end_at is not None or not flow.is_still:
        moved = {
            name: _lower(connection, head, known, flow=flow, now=now, end_at=end_at)
            for name in names
            if _is_moved(known := kept.known[name], flow) or _ends_early(known, end_at, now)
        }
    if moved:
        rolled = _roll([moved.get(name) or kept.known[name].lag for name in names])
    elif names in kept.rolled:
        rolled = kept.rolled[names]
    else:
        rolled = kept.rolled[names] = _roll_known([kept.known[name] for name in names])
    return _make_freshness(rolled, head.revision, now=now, end_at=end_at)


def freshness_of(lag: Lag, touched: Iterable[str], *, end_at: datetime | None = None) -> Freshness:
    """The verdict over these streams of a lag; over none of them it is unknown (`no_stream`)."""
    names = set(touched)
    return freshness_over(lag, [one for one in lag.streams if one.stream in names], end_at=end_at)


def freshness_over(
    lag: Lag, rows: Iterable[StreamLag], *, end_at: datetime | None = None
) -> Freshness:
    """The verdict over these rows of a lag: streams, or those of one source."""
    return _make_freshness(_roll(list(rows)), lag.revision, now=lag.evaluated_at, end_at=end_at)


@lru_cache(maxsize=512)
def _in_order(touched: frozenset[str]) -> tuple[str, ...]:
    return tuple(name for name in STREAM_NAMES if name in touched)


def _roll(streams: list[StreamLag]) -> _Rolled:
    worst_first = sorted(streams, key=lambda stream: -stream.verdict.state.severity)
    standing = roll_standings([stream.standing for stream in streams])
    verdict = roll_up(stream.verdict for stream in worst_first)
    return _Rolled(tuple(worst_first), replace(standing, verdict=verdict))


def _roll_known(known: list[_Known]) -> _Rolled:
    judged = [one for one in known if one.parts]
    holds_from = max((one.parts[0].facts.now for one in judged), default=_EARLIEST)
    return replace(
        _roll([one.lag for one in known]),
        holds_from=holds_from,
        holds_until=min((one.lag.standing.until or holds_from for one in judged), default=_LATEST),
    )


def _make_freshness(
    rolled: _Rolled, revision: int, *, now: datetime, end_at: datetime | None
) -> Freshness:
    settled = rolled.standing.settled_through
    return Freshness(
        rolled.standing.verdict,
        rolled.streams,
        revision,
        now,
        standing=rolled.standing,
        is_settled=settled is not None and settled >= (end_at or now),
    )


def _read_head(connection: Connection, environment_id: int) -> _Head:
    statement = _head_statement(connection.dialect.name)
    (row,) = run_statement(connection, statement, {"environment_id": environment_id})
    return _Head(environment_id, *row)


@lru_cache(maxsize=2)
def _head_statement(dialect_name: str) -> Statement:
    """The environment's key, revision and evidence counter, and whether the journal has anything to
    say of it; written once, run for every answer.
    """
    environment = table_of(Environment)
    environment_id: Any = bindparam("environment_id", type_=BigInteger())
    known = select(
        environment.c.environment_key,
        environment.c.last_revision,
        environment.c.last_evidence_id,
        is_flowing(environment_id),
    )
    return compile_statement(
        known.where(environment.c.environment_id == environment_id), dialect_name
    )


# What evidence says, kept


def _keep_known(
    connection: Connection, head: _Head, names: tuple[str, ...], *, now: datetime
) -> _Kept:
    """What evidence says of these streams: kept, unless it changed or time may have changed it."""
    between = kept_between(connection)
    place = ("standing", head.environment_id)
    kept: _Kept | None = between.get(place)
    if kept is None or kept.evidence_id != head.evidence_id:
        kept = _Kept(head.evidence_id, {}, {})
    rolled = kept.rolled.get(names)
    if rolled is not None and rolled.holds_from <= now < rolled.holds_until:
        return kept
    known = kept.known
    missing = [name for name in names if name not in known or not _is_good(known[name], now)]
    if missing:
        read = read_evidence(connection, head.environment_id, missing, now=now)
        fresh = {name: _know_parts(name, parts, now=now) for name, parts in read.items()}
        # A new one: other threads read the old one.
        kept = between[place] = _Kept(head.evidence_id, {**known, **fresh}, {})
    return kept


def _is_good(known: _Known, now: datetime) -> bool:
    """Does what was judged still hold? A clock that went back makes us look again."""
    until = known.lag.standing.until
    began_at = known.parts[0].facts.now if known.parts else None
    return began_at is None or (until is not None and began_at <= now < until)


def _know_parts(name: str, parts: tuple[Part, ...], *, now: datetime) -> _Known:
    standing = roll_standings([stand_part(part, now=now) for part in parts])
    return _Known(parts, StreamLag(name, stream_kind(name), "", standing))


def _is_moved(known: _Known, flow: Flow) -> bool:
    """May the journal have lowered what evidence said?"""
    if flow.is_still:
        return False
    is_told = any(flow.may_lower(part) for part in known.parts)
    return is_told or bool(flow.strays_in(known.lag.stream, known.parts))


def _lower(
    connection: Connection,
    head: _Head,
    known: _Known,
    *,
    flow: Flow,
    now: datetime,
    end_at: datetime | None,
) -> StreamLag:
    """A stream with what the journal says, for a question that ends at `end_at`."""
    environment_id, owed = head.environment_id, known.parts
    parts = add_flow(connection, environment_id, owed, flow=flow)
    for stray in read_strays(
        connection, environment_id, known.lag.stream, owed, flow=flow, now=now
    ):
        parts += put_under_terms(stray, owed)
    standing = roll_standings([stand_part(part, now=now, end_at=end_at) for part in parts])
    return replace(known.lag, standing=standing)


def _ends_early(known: _Known, end_at: datetime | None, now: datetime) -> bool:
    """Does the question end before what every source has promised by now?"""
    if end_at is None:
        return False
    promises = [part.facts.terms.objective_s for part in known.parts if part.facts.terms]
    return end_at < now - timedelta(seconds=min(promises, default=0))


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
    those that owe it, and over what is dead or waits in it, whoever sent that.

    Shape:  streams in the order of the registry; sources by key
    """
    wanted = set(streams)
    names = [name for name in STREAM_NAMES if name in wanted]
    head = _read_head(connection, environment_id)
    flow = read_flow(connection, environment_id)
    # Read anew: what is kept may be older in what no verdict rests on, such as the last heartbeat.
    found = read_evidence(connection, environment_id, names, now=now)
    owed = [part for name in names for part in found[name]]
    parts = add_flow(connection, environment_id, owed, flow=flow)
    lags = {
        part.key: _lag_of_part(part, stand_part(part, now=now, end_at=end_at)) for part in parts
    }
    strayed: dict[str, list[Standing]] = {name: [] for name in names}
    for name in names:
        for stray in read_strays(connection, environment_id, name, found[name], flow=flow, now=now):
            lag = _lag_of_part(stray, stand_part(stray, now=now, end_at=end_at))
            if stray.source:
                lags[stray.key] = replace(lag, is_contracted=False)
            under_terms = put_under_terms(stray, found[name])
            strayed[name] += [stand_part(part, now=now, end_at=end_at) for part in under_terms]
    tallies = _read_tallies(connection, environment_id)
    for key in sorted(tallies.keys() - lags.keys()):
        source = read_source_key(connection, environment_id, key[0])
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
    rolled = tuple(_roll_stream(name, counted, strayed[name]) for name in names)
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


def _roll_stream(name: str, sources: Iterable[StreamLag], strayed: list[Standing]) -> StreamLag:
    """One stream over all its sources; without any that owes it, it is under no contract.

    strayed: how what is dead or waits stands that others sent
    """
    parts = tuple(source for source in sources if source.stream == name)
    waits = [part.processing_lag_s for part in parts if part.processing_lag_s is not None]
    received = [part.last_received_at for part in parts if part.last_received_at]
    applied = [part.last_applied_at for part in parts if part.last_applied_at]
    return StreamLag(
        stream=name,
        kind=stream_kind(name),
        source="",
        standing=roll_standings([*(p.standing for p in parts if p.is_contracted), *strayed]),
        counts={key: sum(part.counts[key] for part in parts) for key in COUNTS},
        last_received_at=max(received, default=None),
        last_applied_at=max(applied, default=None),
        processing_lag_s=max(waits, default=None),
        is_contracted=any(part.is_contracted for part in parts),
        sources=parts,
    )
