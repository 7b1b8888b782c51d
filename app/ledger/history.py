"""What we said of each stream, and when we knew it: a log that is appended to on change only.

An entry closes when another begins. An advancing watermark is no change; one that went back is.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from app.ledger.facts import Lag, StreamLag, read_lag
from app.store.dialect import insert_rows
from app.store.engine import Store, snapshot, transaction
from app.store.tables import CompletenessEntry, Environment, Source
from app.store.tables.columns import table_of

OVER_ALL = 0
_COLUMNS = (
    "environment_id",
    "entry_id",
    "source_id",
    "stream",
    "verdict",
    "reason",
    "complete_through",
    "missing",
    "known_from",
)


@dataclass(frozen=True, slots=True)
class Said:
    """One entry of the log.

    source: empty for the stream over all its sources
    known_to: None for what we say now
    """

    entry_id: int
    stream: str
    source: str
    verdict: str
    reason: str | None
    complete_through: datetime | None
    missing: int
    known_from: datetime
    known_to: datetime | None


def keep_history(store: Store, *, now: datetime) -> int:
    """Write down what changed in every environment since it was last written; give how many
    entries that made.
    """
    with snapshot(store) as connection:
        environment_ids = list_environment_ids(connection)
    appended_count = 0
    for environment_id in environment_ids:
        with snapshot(store) as connection:
            news = _find_news(connection, environment_id, now=now)
        if news:
            with transaction(store) as connection:
                appended_count += note_verdicts(connection, environment_id, now=now)
    return appended_count


def note_verdicts(connection: Connection, environment_id: int, *, now: datetime) -> int:
    """Write down what we say now where it differs from what we said; give how many entries."""
    environment, log = table_of(Environment), table_of(CompletenessEntry)
    connection.execute(
        select(environment.c.environment_id)
        .where(environment.c.environment_id == environment_id)
        .with_for_update()
    ).one()
    news = _find_news(connection, environment_id, now=now)
    newest = connection.execute(
        select(func.max(log.c.entry_id)).where(log.c.environment_id == environment_id)
    ).scalar()
    rows = []
    for number, (source_id, lag) in enumerate(news, int(newest or 0) + 1):
        standing = lag.standing
        connection.execute(
            update(log)
            .where(
                log.c.environment_id == environment_id,
                log.c.source_id == source_id,
                log.c.stream == lag.stream,
                log.c.known_to.is_(None),
            )
            .values(known_to=now)
        )
        said = (lag.stream, str(lag.verdict.state), _reason_of(lag), standing.complete_through)
        rows.append((environment_id, number, source_id, *said, standing.missing or 0, now))
    insert_rows(connection, log, _COLUMNS, rows)
    return len(rows)


def read_history(
    connection: Connection,
    environment_id: int,
    *,
    stream: str,
    as_known_at: datetime | None = None,
    limit: int,
    after: int = 0,
) -> list[Said]:
    """What we said of a stream, newest knowledge last; or what we said at one moment."""
    log, source = table_of(CompletenessEntry), table_of(Source)
    of_source = (source.c.environment_id == environment_id) & (
        source.c.source_id == log.c.source_id
    )
    statement = (
        select(log, func.coalesce(source.c.source_key, "").label("source_key"))
        .select_from(log)
        .outerjoin(source, of_source)
        .where(log.c.environment_id == environment_id, log.c.entry_id > after)
        .order_by(log.c.entry_id)
        .limit(limit)
    )
    if stream:
        statement = statement.where(log.c.stream == stream)
    if as_known_at is not None:
        statement = statement.where(
            log.c.known_from <= as_known_at,
            log.c.known_to.is_(None) | (log.c.known_to > as_known_at),
        )
    return [
        Said(
            entry_id=row["entry_id"],
            stream=row["stream"],
            source=row["source_key"],
            verdict=row["verdict"],
            reason=row["reason"],
            complete_through=row["complete_through"],
            missing=row["missing"],
            known_from=row["known_from"],
            known_to=row["known_to"],
        )
        for row in connection.execute(statement).mappings()
    ]


def _find_news(
    connection: Connection, environment_id: int, *, now: datetime
) -> list[tuple[int, StreamLag]]:
    """What differs from the newest entry of its stream and source."""
    log = table_of(CompletenessEntry)
    rows = connection.execute(
        select(log).where(log.c.environment_id == environment_id, log.c.known_to.is_(None))
    )
    said = {(row.source_id, row.stream): row for row in rows}
    lag = read_lag(connection, environment_id, now=now)
    return [
        (source_id, one)
        for source_id, one in _lines(connection, environment_id, lag)
        if _is_news(said.get((source_id, one.stream)), one)
    ]


def _lines(connection: Connection, environment_id: int, lag: Lag) -> list[tuple[int, StreamLag]]:
    source = table_of(Source)
    rows = connection.execute(
        select(source.c.source_key, source.c.source_id).where(
            source.c.environment_id == environment_id
        )
    )
    ids: dict[str, int] = {row.source_key: row.source_id for row in rows}
    over_all = [(OVER_ALL, one) for one in lag.streams]
    return over_all + [(ids[one.source], one) for one in lag.sources]


def _is_news(before: Any, lag: StreamLag) -> bool:
    if before is None:
        return True
    standing = lag.standing
    through, was_through = standing.complete_through, before.complete_through
    went_back = was_through is not None and (through is None or through < was_through)
    # What is on its way comes and goes; how much is missing for good is worth a line.
    is_other = standing.first_defect is not None and (standing.missing or 0) != before.missing
    said = (str(lag.verdict.state), _reason_of(lag))
    return said != (before.verdict, before.reason) or went_back or is_other


def list_environment_ids(connection: Connection) -> list[int]:
    """Every environment, for what the worker does in each in turn."""
    environment = table_of(Environment)
    rows = connection.execute(
        select(environment.c.environment_id).order_by(environment.c.environment_id),
        execution_options={"across_environments": "what is said is kept for each in turn"},
    )
    return list(rows.scalars())


def _reason_of(lag: StreamLag) -> str | None:
    reason = lag.verdict.reason
    return f"{reason};waived" if lag.verdict.is_waived else reason
