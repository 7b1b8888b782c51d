"""The history of assignments: what held from when until when, and since when we know it so.

A step that turns out otherwise is closed, never changed: what we knew at any time can be asked for.
The caller holds the environment's row.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, select

from app.learning.course import Step
from app.processing.numbering import number_rows
from app.processing.rows import Stamp
from app.processing.work_rows import Written
from app.store.dialect import insert_rows, update_rows
from app.store.tables import ProgressHistory
from app.store.tables.columns import table_of

_COLUMNS = (
    "assignment_id",
    "valid_from",
    "valid_to",
    "status",
    "percent_complete",
    "best_score_percent",
)
_IN_LIST = 500


def write_history(connection: Connection, stamp: Stamp, written: Sequence[Written]) -> None:
    """Close the steps that hold no more and add those that are new."""
    known = [entry for entry in written if entry.before is not None]
    whole = [entry.assignment_id for entry in known if entry.folded.is_whole]
    moved = [
        entry.assignment_id
        for entry in known
        if not entry.folded.is_whole and len(entry.folded.steps) > 1
    ]
    is_open = set(moved)
    before = {
        row[1:]: row[0]
        for numbers in (whole, moved)
        for row in _read_known(connection, stamp, numbers, only_newest=numbers is moved)
    }
    after = {
        row
        for entry in written
        if entry.before is None or entry.folded.is_whole or entry.assignment_id in is_open
        for row in _rows_of(entry.assignment_id, entry.folded.steps)
    }
    table = table_of(ProgressHistory)
    closed = [
        (stamp.now, stamp.revision, stamp.now, stamp.environment_id, number)
        for row, number in before.items()
        if row not in after
    ]
    columns, key = ("known_to", "revision", "changed_at"), ("environment_id", "history_id")
    update_rows(connection, table, closed, update=columns, key=key)
    added = sorted((row for row in after if row not in before), key=_place_of)
    fresh = number_rows(connection, table, stamp.environment_id, len(added))
    head, tail = stamp.environment_id, (stamp.now, stamp.revision, stamp.now)
    insert_rows(
        connection,
        table,
        ("environment_id", "history_id", *_COLUMNS, "known_from", "revision", "changed_at"),
        [(head, number, *row, *tail) for number, row in zip(fresh, added, strict=True)],
    )


def _rows_of(assignment_id: int, steps: Sequence[Step]) -> Iterator[tuple[Any, ...]]:
    """Give the rows of steps; each holds until the next."""
    ends = [*(step.valid_from for step in steps[1:]), None]
    for step, end in zip(steps, ends, strict=False):
        values = (step.status, step.percent_complete, step.best_score_percent)
        yield (assignment_id, step.valid_from, end, *values)


def _read_known(
    connection: Connection, stamp: Stamp, numbers: Sequence[int], *, only_newest: bool
) -> Iterator[tuple[Any, ...]]:
    """Give what is known now of these assignments: history_id, then the columns of a step."""
    table = table_of(ProgressHistory)
    columns = [table.c[name] for name in ("history_id", *_COLUMNS)]
    for start in range(0, len(numbers), _IN_LIST):
        wanted = [
            table.c.environment_id == stamp.environment_id,
            table.c.assignment_id.in_(numbers[start : start + _IN_LIST]),
            table.c.known_to.is_(None),
        ]
        if only_newest:
            wanted.append(table.c.valid_to.is_(None))
        for row in connection.execute(select(*columns).where(*wanted)):
            yield tuple(row)


def _place_of(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row[:2]
