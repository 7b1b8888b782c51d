"""Rows of one revision in, the days of sets that they have changed out: for incremental refresh.

What was written is read back by its revision, with what it has replaced: no writer can forget to
tell, and a row that moves is told of both days. The caller holds the environment's row.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlmodel import SQLModel

from app.learning.identity import entity_kind, entity_parts
from app.processing.numbering import number_rows
from app.processing.rows import Stamp
from app.store.days import first_day
from app.store.dialect import upsert_rows
from app.store.lookup import find_rows
from app.store.statement import Statement, compile_statement, run_statement
from app.store.tables import (
    PAST,
    Activity,
    Attempt,
    Award,
    Enrolment,
    Feedback,
    PartitionChange,
    PartProgress,
    PointsEntry,
    Progress,
    ProgressHistory,
    Signoff,
)
from app.store.tables.columns import UtcDateTime, table_of
from app.store.tables.partitions import BACKFILL, IN_TIME, LATE

# A fact comes in time on its day and the next, wherever the source's midnight is.
_IN_TIME = timedelta(days=1)
# What is written just before midnight may be seen only after it, when the day is over.
_BORDER = timedelta(minutes=5)
_KEY = ("environment_id", "set_name", "day", "cause")


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A table of facts, cut into days by one of its moments.

    sets: those whose rows it holds
    column: the moment; a row without it is in no day
    kind: of the entities that its rows belong to
    owner: the column with their number
    """

    table: Table
    sets: tuple[str, ...]
    column: str
    kind: str = "assignment"
    owner: str = "assignment_id"


@dataclass(frozen=True, slots=True)
class _Kind:
    """How an entity of a kind is found: its table, its number, and the columns of its key."""

    table: Table
    number: str
    key: tuple[str, ...]


def _facts(model: type[SQLModel], column: str, *sets: str) -> Partitioned:
    return Partitioned(table_of(model), sets, column)


PARTITIONED: tuple[Partitioned, ...] = (
    _facts(Progress, "assigned_at", "LearnerProgress", "Assignments", "LearnerModulePerformances"),
    _facts(ProgressHistory, "valid_from", "ProgressHistory"),
    _facts(PartProgress, "reached_at", "PartProgress"),
    _facts(Attempt, "submitted_at", "Attempts"),
    _facts(Signoff, "submitted_at", "SignOffs"),
    _facts(PointsEntry, "awarded_at", "Points"),
    _facts(Activity, "started_at", "Activity"),
    Partitioned(
        table_of(Enrolment), ("SessionAttendance",), "enrolled_at", "enrolment", "enrolment_id"
    ),
    Partitioned(table_of(Award), ("CertificationAwards",), "issued_at", "award", "award_id"),
    Partitioned(table_of(Feedback), ("Feedback",), "given_at", "feedback", "feedback_id"),
)
"""Every table that is cut into days; the others hold who and what is spoken of."""

_KINDS: Mapping[str, _Kind] = {
    "assignment": _Kind(
        table_of(Progress), "assignment_id", ("learner_key", "module_key", "series_key", "cycle")
    ),
    "enrolment": _Kind(
        table_of(Enrolment), "enrolment_id", ("module_key", "session_key", "learner_key")
    ),
    "award": _Kind(table_of(Award), "award_id", ("certification_key", "learner_key", "cycle")),
    "feedback": _Kind(
        table_of(Feedback), "feedback_id", ("learner_key", "module_key", "session_key")
    ),
}


def is_late(occurred_at: datetime, received_at: datetime) -> bool:
    """Say whether a fact came later than on its day (UTC) or the next."""
    return received_at.date() > occurred_at.date() + _IN_TIME


def note_applied(
    connection: Connection, stamp: Stamp, lateness: Mapping[str, bool], *, is_bulk: bool
) -> None:
    """Note the days that a quantum has changed.

    Shape: lateness: by entity_key, whether an event came late that the quantum has settled
    """
    told = {key: late for key, late in lateness.items() if entity_kind(key) in _KINDS}
    if is_bulk:
        note_partitions(connection, stamp, cause=BACKFILL)
    elif told and all(told.values()):
        note_partitions(connection, stamp, cause=LATE)
    else:
        late = [key for key, came_late in told.items() if came_late]
        note_partitions(connection, stamp, cause=IN_TIME, late=late)


def note_partitions(
    connection: Connection, stamp: Stamp, *, cause: str, late: Sequence[str] = ()
) -> None:
    """Note which days before today the rows of this stamp have changed, and how many of each.

    Shape: late: entities whose rows changed because of what came late, not for this cause
    """
    counts: dict[tuple[str, str, str], int] = {}
    for name, day, came_late, count in _read_days(connection, stamp, late):
        for set_name in _sets_of(name):
            counts[set_name, day, LATE if came_late else cause] = count
    table = table_of(PartitionChange)
    numbers = number_rows(connection, table, stamp.environment_id, len(counts))
    rows = [
        (stamp.environment_id, number, *told, counts[told], stamp.now, stamp.now)
        for number, told in zip(numbers, sorted(counts), strict=True)
    ]
    columns = ("environment_id", "change_id", *_KEY[1:], "rows_changed", "first_changed_at")
    upsert_rows(
        connection,
        table,
        (*columns, "last_changed_at"),
        rows,
        key=_KEY,
        update=("last_changed_at",),
        added=("rows_changed",),
    )


def _read_days(
    connection: Connection, stamp: Stamp, late: Sequence[str]
) -> Iterable[Sequence[Any]]:
    """Give the counts of `_count_days`."""
    today = (stamp.now + _BORDER).date()
    values: dict[str, Any] = {
        "environment_id": stamp.environment_id,
        "revision": stamp.revision,
        "today": datetime.combine(today, time(), UTC),
    }
    if not late:
        statement = _compile_days(connection.dialect.name)
        return run_statement(connection, statement, values)
    for kind in _KINDS:
        values[f"late_{kind}"] = _find_numbers(connection, stamp.environment_id, kind, late)
    return connection.execute(_count_days(asks_late=True), values)


def _sets_of(table_name: str) -> tuple[str, ...]:
    return next(one.sets for one in PARTITIONED if one.table.name == table_name)


def _find_numbers(
    connection: Connection, environment_id: int, kind: str, entity_keys: Sequence[str]
) -> list[int]:
    """Give the numbers of those of these entities that are of this kind."""
    told, keys = _KINDS[kind], [key for key in entity_keys if entity_kind(key) == kind]
    found = find_rows(
        connection,
        told.table,
        environment_id,
        columns=(told.number,),
        key=told.key,
        keys=[entity_parts(key) for key in keys],
    )
    return sorted({row[0] for row in found})


@lru_cache(maxsize=2)
def _compile_days(dialect_name: str) -> Statement:
    """The counts of a quantum in which nothing, or all, came late: that is nearly every one."""
    return compile_statement(_count_days(asks_late=False), dialect_name)


@lru_cache(maxsize=2)
def _count_days(*, asks_late: bool) -> Select[Any]:
    """Count the rows of a revision by table, day and lateness.

    Shape: table name, day as text, whether late, count; a row that has left a day counts there too
    """
    parts = [
        select_of(one, asks_late)
        for one in PARTITIONED
        for select_of in (_select_rows, _select_gone)
    ]
    told = union_all(*parts).subquery("told")
    columns = (told.c.name, told.c.day, told.c.came_late)
    return select(*columns, func.count()).group_by(*columns)


def _select_rows(one: Partitioned, asks_late: bool) -> Select[Any]:
    """The rows as they are now."""
    table = one.table
    return select(*_columns_of(one, table.c, asks_late)).where(
        table.c.environment_id == bindparam("environment_id"),
        table.c.revision == bindparam("revision"),
        table.c[one.column] < bindparam("today", type_=UtcDateTime()),
    )


def _select_gone(one: Partitioned, asks_late: bool) -> Select[Any]:
    """The rows as they were, of those that were in another day."""
    table, past = one.table, PAST[one.table.name]
    keys = [column.name for column in table.primary_key]
    same = and_(*(table.c[name] == past.c[name] for name in keys))
    before, after = past.c[one.column], table.c[one.column]
    return (
        select(*_columns_of(one, past.c, asks_late))
        .select_from(past.join(table, same))
        .where(
            past.c.environment_id == bindparam("environment_id"),
            past.c.revision_to == bindparam("revision"),
            before < bindparam("today", type_=UtcDateTime()),
            or_(after.is_(None), _day_of(after) != _day_of(before)),
        )
    )


def _columns_of(one: Partitioned, columns: Any, asks_late: bool) -> tuple[ColumnElement[Any], ...]:
    late: ColumnElement[Any] = literal_column("0")
    if asks_late:
        late = columns[one.owner].in_(bindparam(f"late_{one.kind}", expanding=True))
    return (
        literal_column(f"'{one.table.name}'", Text).label("name"),
        _day_of(columns[one.column]).label("day"),
        late.label("came_late"),
    )


def _day_of(moment: ColumnElement[Any]) -> ColumnElement[Any]:
    return first_day("day", moment, "UTC")
