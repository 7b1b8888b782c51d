"""Dead letters: events given up after the last try, listed by entity; redriven or waived by name.

Dead and waived events stay out of every fold, and hold nothing up: what comes later is folded
without them. Each act is one transaction with its books, its work and its line of the audit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, literal_column, select, update

from app.base.errors import NothingDead
from app.processing.queue import Lease
from app.processing.rows import lock_revision
from app.store.audit import record_act
from app.store.dialect import update_rows, upsert_rows
from app.store.sums import Counted, TallyDelta, add_tallies, count_applied
from app.store.tables import DeadEntity, Event, Source, Work
from app.store.tables.columns import table_of
from app.store.tables.journal import DEAD, PENDING, WAIVED
from app.store.tables.work import BULK, LIVE
from app.store.work import EPOCH, mark_again

REDRIVEN, WAIVING = "dead.redriven", "dead.waived"

_ERROR_LENGTH = 500
_SHOWN_EVENTS = 20
_TOLD_SEQS = 1_000


@dataclass(frozen=True, slots=True)
class DeadScope:
    """Which dead events: of one entity, of these seqs, of one stream, or, if none is named, all."""

    entity_key: str | None = None
    seqs: tuple[int, ...] = ()
    stream: str | None = None

    @property
    def told(self) -> str:
        """What was chosen, in words of the API."""
        if self.entity_key is not None:
            return f"entity {self.entity_key}"
        if self.seqs:
            return f"seqs {', '.join(map(str, self.seqs))}"
        return "all" if self.stream is None else f"stream {self.stream}"


@dataclass(frozen=True, slots=True)
class Settled:
    """What an act has done.

    audit_id: its line of the audit; None when there was nothing to do
    """

    event_count: int
    entity_count: int
    audit_id: int | None


def note_death(
    connection: Connection, environment_id: int, lease: Lease, *, error: str, now: datetime
) -> None:
    """Write down how an entity died; its failed tries add up over all its deaths."""
    columns = ("environment_id", "entity_key", "died_at", "attempts", "error")
    row = (environment_id, lease.entity_key, now, lease.attempts + 1, error[:_ERROR_LENGTH])
    upsert_rows(
        connection,
        table_of(DeadEntity),
        columns,
        [row],
        key=("environment_id", "entity_key"),
        update=("died_at", "error"),
        added=("attempts",),
    )


def list_dead(
    connection: Connection, environment_id: int, *, limit: int, after: str = ""
) -> list[dict[str, Any]]:
    """Give the entities that have dead events, by their key, behind `after`.

    Shape: {entity, events, first_seq, last_seq, attempts, since, error, sample: up to 20 events}
    """
    event, death = table_of(Event), table_of(DeadEntity)
    found = (
        select(
            event.c.entity_key,
            func.count().label("events"),
            func.min(event.c.seq).label("first_seq"),
            func.max(event.c.seq).label("last_seq"),
            func.max(event.c.error).label("error"),
        )
        .where(_are_dead(environment_id), event.c.entity_key > after)
        .group_by(event.c.entity_key)
        .order_by(event.c.entity_key)
        .limit(limit)
        .subquery()
    )
    is_its = and_(
        death.c.environment_id == environment_id, death.c.entity_key == found.c.entity_key
    )
    rows = connection.execute(
        select(found, death.c.attempts, death.c.died_at, death.c.error.label("last_error"))
        .select_from(found)
        .outerjoin(death, is_its)
        .order_by(found.c.entity_key)
    ).all()
    samples = _read_samples(connection, environment_id, [row.entity_key for row in rows])
    return [
        {
            "entity": row.entity_key,
            "events": row.events,
            "first_seq": row.first_seq,
            "last_seq": row.last_seq,
            "attempts": row.attempts,
            "since": row.died_at,
            "error": row.last_error or row.error,
            "sample": samples[row.entity_key],
        }
        for row in rows
    ]


def redrive_dead(
    connection: Connection, environment_id: int, scope: DeadScope, *, actor: str, now: datetime
) -> Settled:
    """Let dead events be pending again; their entities are folded anew from all that counts.

    Raises: NothingDead, when an entity or seqs are named of which nothing is dead
    """
    chosen = _Chosen(connection, environment_id, scope)
    if not chosen.marks:
        return Settled(0, 0, None)
    values = {"disposition": PENDING, "error": None}
    connection.execute(update(table_of(Event)).where(chosen.events).values(values))
    deltas = [TallyDelta(*key, dead=-count) for key, count in chosen.streams.items()]
    add_tallies(connection, environment_id, deltas)
    is_many = scope.entity_key is None and not scope.seqs
    mark_again(connection, environment_id, chosen.marks, lane=BULK if is_many else LIVE)
    rows = [(EPOCH, 0, None, environment_id, name) for name in sorted(chosen.marks)]
    columns, key = ("ready_at", "attempts", "error"), ("environment_id", "entity_key")
    update_rows(connection, table_of(Work), rows, update=columns, key=key)
    return _record(connection, environment_id, chosen, actor=actor, action=REDRIVEN, now=now)


def waive_dead(
    connection: Connection,
    environment_id: int,
    scope: DeadScope,
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> Settled:
    """Let dead events count no more, on somebody's word; their errors stay readable.

    Raises: NothingDead, when an entity or seqs are named of which nothing is dead
    """
    chosen = _Chosen(connection, environment_id, scope)
    if not chosen.marks:
        return Settled(0, 0, None)
    # None of them enters the digests of applied events; their intervals are only looked at again.
    counted = _list_counted(connection, chosen.events)
    count_applied(connection, environment_id, entering=counted, leaving=counted)
    connection.execute(update(table_of(Event)).where(chosen.events).values(disposition=WAIVED))
    deltas = [TallyDelta(*key, dead=-count, waived=count) for key, count in chosen.streams.items()]
    add_tallies(connection, environment_id, deltas)
    return _record(
        connection, environment_id, chosen, actor=actor, action=WAIVING, now=now, reason=reason
    )


class _Chosen:
    """The dead events of a scope, counted; the environment's row is locked from here on."""

    __slots__ = ("events", "marks", "scope", "seqs", "streams")

    def __init__(self, connection: Connection, environment_id: int, scope: DeadScope) -> None:
        lock_revision(connection, environment_id)
        self.scope = scope
        self.events = and_(_are_dead(environment_id), *_are_in(scope))
        self.streams = _count_streams(connection, self.events)
        self.marks = _find_marks(connection, self.events)
        self.seqs = _list_seqs(connection, self.events)
        if not self.marks and (scope.entity_key is not None or scope.seqs):
            raise NothingDead(
                "nothing of this is dead", hint="GET /v1/dead lists what is, by entity."
            )


def _are_dead(environment_id: int) -> ColumnElement[bool]:
    event = table_of(Event)
    # Spelled out, so that the index over dead events alone can answer.
    is_dead = event.c.disposition == literal_column(str(DEAD))
    return and_(event.c.environment_id == environment_id, is_dead)


def _are_in(scope: DeadScope) -> list[ColumnElement[bool]]:
    event = table_of(Event)
    terms: list[ColumnElement[bool]] = []
    if scope.entity_key is not None:
        terms.append(event.c.entity_key == scope.entity_key)
    if scope.seqs:
        terms.append(event.c.seq.in_(scope.seqs))
    if scope.stream is not None:
        terms.append(event.c.stream == scope.stream)
    return terms


def _count_streams(
    connection: Connection, events: ColumnElement[bool]
) -> Mapping[tuple[int, str], int]:
    event = table_of(Event)
    streams = event.c.source_id, event.c.stream
    rows = connection.execute(select(*streams, func.count()).where(events).group_by(*streams))
    return {(source_id, stream): count for source_id, stream, count in rows}


def _list_counted(connection: Connection, events: ColumnElement[bool]) -> list[Counted]:
    event = table_of(Event)
    columns = event.c.source_id, event.c.stream, event.c.recorded_at, event.c.element
    return [Counted(*row) for row in connection.execute(select(*columns).where(events))]


def _find_marks(
    connection: Connection, events: ColumnElement[bool]
) -> Mapping[str, tuple[int, int]]:
    event = table_of(Event)
    span = func.min(event.c.seq), func.max(event.c.seq)
    rows = connection.execute(
        select(event.c.entity_key, *span).where(events).group_by(event.c.entity_key)
    )
    return {name: (first_seq, last_seq) for name, first_seq, last_seq in rows}


def _list_seqs(connection: Connection, events: ColumnElement[bool]) -> list[int]:
    event = table_of(Event)
    rows = connection.execute(
        select(event.c.seq).where(events).order_by(event.c.seq).limit(_TOLD_SEQS)
    )
    return list(rows.scalars())


def _record(
    connection: Connection,
    environment_id: int,
    chosen: _Chosen,
    *,
    actor: str,
    action: str,
    now: datetime,
    reason: str | None = None,
) -> Settled:
    event_count, entity_count = sum(chosen.streams.values()), len(chosen.marks)
    details: dict[str, Any] = {"events": event_count, "entities": entity_count}
    details |= {"seqs": chosen.seqs} if reason is None else {"seqs": chosen.seqs, "reason": reason}
    audit_id = record_act(
        connection,
        environment_id,
        actor=actor,
        action=action,
        target=chosen.scope.told,
        details=details,
        now=now,
    )
    return Settled(event_count, entity_count, audit_id)


def _read_samples(
    connection: Connection, environment_id: int, names: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Give the first dead events of each entity."""
    event, source = table_of(Event), table_of(Source)
    place = func.row_number().over(partition_by=event.c.entity_key, order_by=event.c.seq)
    columns = event.c.entity_key, event.c.seq, event.c.event_id, event.c.type, event.c.stream
    first = (
        select(*columns, event.c.received_at, source.c.source_key, place.label("place"))
        .join(source, source.c.source_id == event.c.source_id)
        .where(
            _are_dead(environment_id),
            source.c.environment_id == environment_id,
            event.c.entity_key.in_(names),
        )
        .subquery()
    )
    rows = connection.execute(
        select(first).where(first.c.place <= _SHOWN_EVENTS).order_by(first.c.seq)
    )
    samples: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for row in rows:
        told = {"seq": row.seq, "id": row.event_id, "source": row.source_key, "type": row.type}
        told |= {"stream": row.stream, "received_at": row.received_at}
        samples[row.entity_key].append(told)
    return samples
