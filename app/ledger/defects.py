"""What is wrong and since when: defects listed and waived; books that do not balance are one.

A defect leaves as matched or restated. A waiver stops its alarm, never its verdict.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, literal_column, select, update

from app.base.errors import BadOption, UnknownName
from app.ledger.books import pending_of, read_books
from app.ledger.history import list_environment_ids, note_verdicts
from app.ledger.verdict import BOOKS_UNBALANCED
from app.store.audit import record_act
from app.store.dialect import insert_rows
from app.store.engine import Store, snapshot, transaction
from app.store.evidence import note_evidence
from app.store.tables import Bucket, Defect, Environment, Event, Source
from app.store.tables.columns import table_of
from app.store.tables.journal import PENDING

_COLUMNS = (
    "environment_id",
    "defect_id",
    "source_id",
    "stream",
    "kind",
    "from_at",
    "to_at",
    "declared",
    "applied",
    "missing",
    "surplus",
    "detected_at",
)


@dataclass(frozen=True, slots=True)
class DefectFacts:
    """A defect, open or not.

    source: empty when it is of the environment as a whole
    excused: how many waived dead events it lacks, where it lacks nothing else
    """

    defect_id: int
    source: str
    stream: str
    kind: str
    bucket_from: datetime
    bucket_to: datetime
    declared: int
    applied: int
    missing: int
    surplus: int
    detected_at: datetime
    resolved_at: datetime | None
    resolution: str | None
    waived_at: datetime | None
    waived_by: str | None
    waive_reason: str | None
    excused: int


def list_all_defects(
    connection: Connection,
    environment_id: int,
    *,
    state: str = "open",
    stream: str = "",
    source: str = "",
    limit: int,
    after: int = 0,
) -> list[DefectFacts]:
    """The defects of an environment in the order they were found.

    state: `open` (waived ones too), `waived`, `resolved` or `all`
    """
    defect = table_of(Defect)
    statement = _defects(environment_id).where(defect.c.defect_id > after).limit(limit)
    wanted: dict[str, ColumnElement[bool]] = {
        "open": defect.c.resolved_at.is_(None),
        "waived": defect.c.waived_at.is_not(None),
        "resolved": defect.c.resolved_at.is_not(None),
    }
    if state in wanted:
        statement = statement.where(wanted[state])
    if stream:
        statement = statement.where(defect.c.stream == stream)
    if source:
        statement = statement.where(table_of(Source).c.source_key == source)
    return [_make_facts(row) for row in connection.execute(statement).mappings()]


def find_defect(connection: Connection, environment_id: int, defect_id: int) -> DefectFacts:
    """The defect of this number.

    Raises: UnknownName
    """
    statement = _defects(environment_id).where(table_of(Defect).c.defect_id == defect_id)
    row = connection.execute(statement).mappings().first()
    if row is None:
        raise UnknownName(f"there is no defect {defect_id} here", hint="See /v1/ingestion/defects.")
    return _make_facts(row)


def _defects(environment_id: int) -> Select[Any]:
    defect, source = table_of(Defect), table_of(Source)
    of_source = (source.c.environment_id == environment_id) & (
        source.c.source_id == defect.c.source_id
    )
    return (
        select(defect, func.coalesce(source.c.source_key, "").label("source_key"))
        .select_from(defect)
        .outerjoin(source, of_source)
        .where(defect.c.environment_id == environment_id)
        .order_by(defect.c.defect_id)
    )


def _make_facts(row: Any) -> DefectFacts:
    is_waived = row["waived_at"] is not None and row["resolution"] is None
    return DefectFacts(
        defect_id=row["defect_id"],
        source=row["source_key"],
        stream=row["stream"],
        kind=row["kind"],
        bucket_from=row["from_at"],
        bucket_to=row["to_at"],
        declared=row["declared"],
        applied=row["applied"],
        missing=row["missing"],
        surplus=row["surplus"],
        detected_at=row["detected_at"],
        resolved_at=row["resolved_at"],
        resolution="waived" if is_waived else row["resolution"],
        waived_at=row["waived_at"],
        waived_by=row["waived_by"],
        waive_reason=row["waive_reason"],
        excused=row["excused"],
    )


# Intervals


@dataclass(frozen=True, slots=True)
class Interval:
    """A declared interval of a stream, as last folded."""

    interval_from: datetime
    interval_to: datetime
    due_at: datetime
    state: str
    declared: int | None
    accepted: int
    applied: int
    missing: int
    surplus: int
    anchor: str
    is_weak: bool


def list_intervals(
    connection: Connection,
    environment_id: int,
    *,
    source: str,
    stream: str,
    since: datetime | None,
    only_unmatched: bool,
    limit: int,
) -> list[Interval]:
    """The declared intervals of a stream of a source in the order of time.

    Raises: UnknownName
    """
    bucket, kept = table_of(Bucket), table_of(Source)
    source_id = connection.execute(
        select(kept.c.source_id).where(
            kept.c.environment_id == environment_id, kept.c.source_key == source
        )
    ).scalar()
    if source_id is None:
        raise UnknownName("there is no source of this name here", hint="See GET /v1/sources.")
    statement = (
        select(bucket)
        .where(
            bucket.c.environment_id == environment_id,
            bucket.c.source_id == source_id,
            bucket.c.stream == stream,
        )
        .order_by(bucket.c.from_at)
        .limit(limit)
    )
    if since is not None:
        statement = statement.where(bucket.c.from_at >= since)
    if only_unmatched:
        statement = statement.where(bucket.c.state != "matched")
    return [
        Interval(
            interval_from=row.from_at,
            interval_to=row.to_at,
            due_at=row.due_at,
            state=row.state,
            declared=row.declared,
            accepted=row.accepted,
            applied=row.applied,
            missing=row.missing,
            surplus=row.surplus,
            anchor=row.anchor,
            is_weak=row.is_weak,
        )
        for row in connection.execute(statement)
    ]


# Waivers


def waive_defect(
    connection: Connection,
    environment_id: int,
    defect_id: int,
    *,
    person: str,
    reason: str,
    actor: str,
    now: datetime,
) -> DefectFacts:
    """Let a named person say why a defect may stay; the verdict stays incomplete, and says waived.

    Raises: UnknownName; BadOption when it is resolved or waived already
    """
    told = find_defect(connection, environment_id, defect_id)
    if told.resolution is not None:
        raise BadOption(f"defect {defect_id} is {told.resolution} already")
    details = {
        "person": person,
        "reason": reason,
        "source": told.source,
        "stream": told.stream,
        "kind": told.kind,
        "from": told.bucket_from,
        "to": told.bucket_to,
        "missing": told.missing,
    }
    record_act(
        connection,
        environment_id,
        actor=actor,
        action="defect.waived",
        target=f"defect {defect_id}",
        details=details,
        now=now,
    )
    defect = table_of(Defect)
    connection.execute(
        update(defect)
        .where(defect.c.environment_id == environment_id, defect.c.defect_id == defect_id)
        .values(waived_at=now, waived_by=person, waive_reason=reason)
    )
    note_evidence(connection, environment_id)
    note_verdicts(connection, environment_id, now=now)
    return find_defect(connection, environment_id, defect_id)


# Books


def check_all_books(store: Store, *, now: datetime) -> int:
    """Let books that do not balance be a defect, and balanced ones be none; give how many opened
    or closed.
    """
    with snapshot(store) as connection:
        environment_ids = list_environment_ids(connection)
    changed_count = 0
    for environment_id in environment_ids:
        with snapshot(store) as connection:
            is_news = _imbalance_is_news(connection, environment_id)
        if is_news:
            with transaction(store) as connection:
                changed_count += keep_books_defects(connection, environment_id, now=now)
    return changed_count


def keep_books_defects(connection: Connection, environment_id: int, *, now: datetime) -> int:
    """Open a defect for each imbalance without one, and resolve those that balance again."""
    environment, defect = table_of(Environment), table_of(Defect)
    connection.execute(
        select(environment.c.environment_id)
        .where(environment.c.environment_id == environment_id)
        .with_for_update()
    ).one()
    wrong, known = (
        _find_imbalances(connection, environment_id),
        _read_known(connection, environment_id),
    )
    newest = connection.execute(
        select(func.max(defect.c.defect_id)).where(defect.c.environment_id == environment_id)
    ).scalar()
    fresh = sorted(wrong - known.keys())
    rows = [
        (environment_id, number, *key, BOOKS_UNBALANCED, now, now, 0, 0, 0, 0, now)
        for number, key in enumerate(fresh, int(newest or 0) + 1)
    ]
    insert_rows(connection, defect, _COLUMNS, rows)
    healed = [known[key] for key in known.keys() - wrong]
    for defect_id in healed:
        connection.execute(
            update(defect)
            .where(defect.c.environment_id == environment_id, defect.c.defect_id == defect_id)
            .values(resolved_at=now, resolution="matched")
        )
    if fresh or healed:
        note_evidence(connection, environment_id)
    return len(fresh) + len(healed)


def _imbalance_is_news(connection: Connection, environment_id: int) -> bool:
    wrong = _find_imbalances(connection, environment_id)
    return wrong != _read_known(connection, environment_id).keys()


def _find_imbalances(connection: Connection, environment_id: int) -> set[tuple[int, str]]:
    """Source and stream of counts that contradict one another; (0, "") for the journal itself."""
    books, source = read_books(connection, environment_id), table_of(Source)
    rows = connection.execute(
        select(source.c.source_key, source.c.source_id).where(
            source.c.environment_id == environment_id
        )
    )
    ids: dict[str, int] = {row.source_key: row.source_id for row in rows}
    door = ("accepted", "duplicate", "conflict", "rejected")
    wrong = {
        (ids.get(one.source, 0), one.stream)
        for one in books.streams
        if one.counts["received"] != sum(one.counts[name] for name in door)
        or pending_of(one.counts) < 0
    }
    waiting = {
        (ids.get(one.source, 0), one.stream) for one in books.streams if pending_of(one.counts) > 0
    }
    wrong |= {key for key in waiting if not _is_in_journal(connection, environment_id, key)}
    return wrong | ({(0, "")} if books.total("accepted") != books.last_seq else set())


def _is_in_journal(connection: Connection, environment_id: int, key: tuple[int, str]) -> bool:
    """Does anything of a source and stream wait in the journal, as its counts say?"""
    event = table_of(Event)
    found = connection.execute(
        select(event.c.seq)
        .where(
            event.c.environment_id == environment_id,
            event.c.source_id == key[0],
            event.c.stream == key[1],
            # Spelled out, so that the index over pending events alone can answer.
            event.c.disposition == literal_column(str(PENDING)),
        )
        .limit(1)
    ).first()
    return found is not None


def _read_known(connection: Connection, environment_id: int) -> dict[tuple[int, str], int]:
    defect = table_of(Defect)
    rows = connection.execute(
        select(defect.c.source_id, defect.c.stream, defect.c.defect_id).where(
            defect.c.environment_id == environment_id,
            defect.c.resolved_at.is_(None),
            defect.c.kind == BOOKS_UNBALANCED,
        )
    )
    return {(row.source_id, row.stream): row.defect_id for row in rows}
