"""What lies below assignments: parts, sign-offs, points, activity; stored, read and replaced.

The caller holds the environment's row when it writes.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table

from app.learning.activities import ActivityState
from app.learning.course import PointsState
from app.learning.parts import PartProgressState, SignoffState
from app.learning.progress import Before, Folded
from app.processing.numbering import id_name_of, number_rows
from app.processing.rows import Stamp
from app.store.dialect import update_rows, upsert_rows
from app.store.lookup import find_rows
from app.store.tables import Activity, PartProgress, PointsEntry, Signoff
from app.store.tables.columns import table_of

_STAMP = ("revision", "changed_at", "is_deleted")


@dataclass(frozen=True, slots=True)
class Below:
    """A table of rows that belong to assignments.

    columns: after assignment_id, in the order of the state's fields
    key: what tells a row of an assignment; the id itself where that is a seq
    """

    table: Table
    columns: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def is_numbered(self) -> bool:
        """Whether rows get numbers of ours."""
        return id_name_of(self.table) not in self.columns


class Written(NamedTuple):
    """A folded assignment that is being written.

    before: what was stored of it; None when it is new
    """

    assignment_id: int
    folded: Folded
    before: Before | None


def _names_of(state: type[Any], **renamed: str) -> tuple[str, ...]:
    return tuple(renamed.get(field.name, field.name) for field in fields(state))


PARTS = Below(table_of(PartProgress), _names_of(PartProgressState), ("assignment_id", "part_key"))
SIGNOFFS = Below(table_of(Signoff), _names_of(SignoffState), ("assignment_id", "part_key", "round"))
POINTS = Below(table_of(PointsEntry), _names_of(PointsState, seq="entry_id"), ("entry_id",))
ACTIVITY = Below(table_of(Activity), _names_of(ActivityState, seq="activity_id"), ("activity_id",))

_part_of = attrgetter(*(field.name for field in fields(PartProgressState)))
_signoff_of = attrgetter(*(field.name for field in fields(SignoffState)))
_entry_of = attrgetter(*(field.name for field in fields(PointsState)))
_stretch_of = attrgetter(*(field.name for field in fields(ActivityState)))


def read_parts(
    connection: Connection, environment_id: int, named: Mapping[int, Collection[str]]
) -> dict[int, tuple[tuple[PartProgressState, ...], tuple[SignoffState, ...]]]:
    """Give parts and sign-offs as they are stored, of the parts named by assignment_id."""
    keys = [(number, part) for number, parts in named.items() for part in sorted(parts)]
    parts: dict[int, set[PartProgressState]] = {number: set() for number in named}
    signoffs: dict[int, set[SignoffState]] = {number: set() for number in named}
    for row in _find_below(connection, environment_id, PARTS, keys):
        parts[row[0]].add(PartProgressState(*row[1:]))
    for row in _find_below(connection, environment_id, SIGNOFFS, keys):
        signoffs[row[0]].add(SignoffState(*row[1:]))
    return {number: (tuple(parts[number]), tuple(signoffs[number])) for number in named}


def _find_below(
    connection: Connection, environment_id: int, below: Below, keys: Sequence[tuple[int, str]]
) -> Iterator[tuple[Any, ...]]:
    """Give rows, assignment_id first, by assignment_id and part_key; a row may come twice."""
    rows = find_rows(
        connection,
        below.table,
        environment_id,
        columns=("is_deleted", "assignment_id", *below.columns),
        key=("assignment_id", "part_key"),
        keys=keys,
    )
    return (row[1:] for row in rows if not row[0])


def write_work(connection: Connection, stamp: Stamp, written: Sequence[Written]) -> None:
    """Write what lies below assignments: all of it, or what an extended fold has added."""
    whole = [
        entry.assignment_id
        for entry in written
        if entry.before is not None and entry.folded.is_whole
    ]
    parts = _rows_of(written, "parts", _part_of)
    signoffs = _rows_of(written, "signoffs", _signoff_of)
    points = _rows_of(written, "points", _entry_of)
    stretches = _rows_of(written, "activities", _stretch_of)
    _replace(connection, stamp, PARTS, rows=parts, whole=whole)
    _replace(connection, stamp, SIGNOFFS, rows=signoffs, whole=whole)
    _replace(connection, stamp, POINTS, rows=points, whole=whole)
    _replace(connection, stamp, ACTIVITY, rows=stretches, whole=whole)
    recounted = [
        (counted_s, stamp.revision, stamp.now, stamp.environment_id, seq)
        for entry in written
        for seq, counted_s in entry.folded.recounted.items()
    ]
    columns, key = ("counted_s", "revision", "changed_at"), ("environment_id", "activity_id")
    update_rows(connection, ACTIVITY.table, recounted, update=columns, key=key)


def _rows_of(written: Iterable[Written], name: str, values_of: Any) -> Iterator[tuple[Any, ...]]:
    """Give rows, assignment_id first; of an extended fold those that were not there before."""
    for number, folded, before in written:
        known = ()
        if before is not None and not folded.is_whole:
            known = getattr(before, name, ())
        for state in getattr(folded, name):
            if state not in known:
                yield (number, *values_of(state))


def _replace(
    connection: Connection,
    stamp: Stamp,
    below: Below,
    *,
    rows: Iterable[tuple[Any, ...]],
    whole: Sequence[int],
) -> None:
    """Write rows that are new or other than before; bury what is no more of whole assignments."""
    names = ("assignment_id", *below.columns)
    places = [names.index(name) for name in below.key]
    after = {tuple(row[place] for place in places): row for row in rows}
    before: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in _read_below(connection, stamp, below, whole):
        before[tuple(row[place] for place in places)] = row
    changed = [row for key, row in after.items() if before.get(key) != row]
    ids: Sequence[tuple[int, ...]] = [()] * len(changed)
    if below.is_numbered:
        fresh = number_rows(connection, below.table, stamp.environment_id, len(changed))
        ids = [(number,) for number in fresh]
    id_names = (id_name_of(below.table),) if below.is_numbered else ()
    tail = (stamp.revision, stamp.now, False)
    upsert_rows(
        connection,
        below.table,
        ("environment_id", *id_names, *names, *_STAMP),
        [
            (stamp.environment_id, *number, *row, *tail)
            for number, row in zip(ids, changed, strict=True)
        ],
        key=("environment_id", *below.key),
        update=[name for name in (*names, *_STAMP) if name not in below.key],
    )
    gone = [
        (True, stamp.revision, stamp.now, stamp.environment_id, *key)
        for key in before
        if key not in after
    ]
    columns = ("is_deleted", "revision", "changed_at")
    update_rows(connection, below.table, gone, update=columns, key=("environment_id", *below.key))


def _read_below(
    connection: Connection, stamp: Stamp, below: Below, numbers: Sequence[int]
) -> Iterator[tuple[Any, ...]]:
    """Give the rows of these assignments that are not buried; a row may come twice."""
    rows = find_rows(
        connection,
        below.table,
        stamp.environment_id,
        columns=("is_deleted", "assignment_id", *below.columns),
        key=("assignment_id",),
        keys=[(number,) for number in numbers],
    )
    return (row[1:] for row in rows if not row[0])
