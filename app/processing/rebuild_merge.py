"""One table of the shadow in, the same table of its environment repaired: a few statements each.

Rows that are equal are not touched, ids stay by natural key, and what the shadow lacks is buried.
The caller holds the environment's row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Subquery,
    Table,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlmodel import SQLModel

from app.processing.numbering import id_name_of
from app.processing.rebuild_scope import RebuildScope
from app.processing.rebuild_shadow import shadow_of
from app.processing.rows import Stamp
from app.store.tables import (
    Activity,
    Attempt,
    Award,
    Certification,
    Enrolment,
    Feedback,
    Learner,
    LearnerAttribute,
    LearnerProfile,
    Membership,
    Module,
    Part,
    PartProgress,
    PointsEntry,
    Progress,
    Series,
    SeriesModule,
    Signoff,
    Team,
    TrainingSession,
)
from app.store.tables.columns import UtcDateTime, table_of

PROGRESS_KEY = ("learner_key", "module_key", "series_key", "cycle")
_STAMPED = ("revision", "changed_at")


class Changes(NamedTuple):
    """How many rows a merge has added, changed and removed."""

    added: int = 0
    changed: int = 0
    removed: int = 0

    def plus(self, other: "Changes") -> "Changes":
        """Give the sum of both."""
        return Changes(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Merged:
    """A table of projections.

    key: what tells a row of an environment, beside a number of ours
    parent: for rows that are written with another's: the table of that one, and the column by
        which they name it
    is_shared: many entities have a say in a row; only all of them can change it, none removes it
    """

    table: Table
    key: tuple[str, ...]
    parent: tuple[Table, str] | None = None
    is_shared: bool = False

    @property
    def id_name(self) -> str | None:
        """The column with a number of ours, where that is not the key itself."""
        name = id_name_of(self.table)
        return name if name in self.table.c and name not in self.key else None

    @property
    def values(self) -> tuple[str, ...]:
        """The columns that a fold has written, beside the key."""
        known = {"environment_id", self.id_name, *self.key, *_STAMPED}
        return tuple(column.name for column in self.table.c if column.name not in known)

    @property
    def hangs_on_progress(self) -> bool:
        """Does it name assignments by a number that the shadow has given?"""
        return self.parent is not None and self.parent[1] == "assignment_id"


def _entity(model: type[SQLModel], *key: str) -> Merged:
    return Merged(table_of(model), key)


def _child(model: type[SQLModel], parent: type[SQLModel], *key: str) -> Merged:
    return Merged(table_of(model), key, (table_of(parent), key[0]))


def _below(model: type[SQLModel], *key: str) -> Merged:
    return Merged(table_of(model), key, (table_of(Progress), "assignment_id"))


MERGED: tuple[Merged, ...] = (
    _entity(Learner, "learner_key"),
    _child(LearnerProfile, Learner, "learner_key"),
    Merged(table_of(LearnerAttribute), ("code",), is_shared=True),
    _child(Membership, Learner, "learner_key", "team_key", "since"),
    _entity(Team, "team_key"),
    _entity(Module, "module_key"),
    _child(Part, Module, "module_key", "part_key"),
    _entity(Series, "series_key"),
    _child(SeriesModule, Series, "series_key", "module_key"),
    _entity(TrainingSession, "module_key", "session_key"),
    _entity(Certification, "certification_key"),
    _entity(Enrolment, "module_key", "session_key", "learner_key"),
    _entity(Award, "certification_key", "learner_key", "cycle"),
    _entity(Feedback, "learner_key", "module_key", "session_key"),
    _entity(Progress, *PROGRESS_KEY),
    _below(Attempt, "assignment_id", "attempt"),
    _below(PartProgress, "assignment_id", "part_key"),
    _below(Signoff, "assignment_id", "part_key", "round"),
    _below(PointsEntry, "entry_id"),
    _below(Activity, "activity_id"),
)
"""Every table that folds write, but history and rollups, in the order they are merged in."""


def merge_table(
    connection: Connection, merged: Merged, scope: RebuildScope, stamp: Stamp
) -> Changes:
    """Make the rows of the scope equal to the shadow's; say how many were not."""
    changed = removed = 0
    if scope.is_everything or not merged.is_shared:
        changed = _change_rows(connection, merged, scope, stamp)
    if not merged.is_shared:
        removed = _bury_rows(connection, merged, scope, stamp)
    added = _add_rows(connection, merged, stamp)
    return Changes(added, changed, removed)


def written_progress(table: Table, environment_id: int) -> Select[Any]:
    """Assignments that the shadow holds: their number here, and there.

    Shape: real_id, shadow_id; of `table`, which is progress
    """
    real, shadow = table.alias("real_progress"), table.alias("shadow_progress")
    return (
        select(real.c.assignment_id.label("real_id"), shadow.c.assignment_id.label("shadow_id"))
        .join(shadow, and_(*(real.c[name] == shadow.c[name] for name in PROGRESS_KEY)))
        .where(
            real.c.environment_id == environment_id,
            shadow.c.environment_id == shadow_of(environment_id),
        )
    )


def is_in_scope(table: Table, scope: RebuildScope) -> ColumnElement[bool] | None:
    """Whether a row is in the scope by what it says itself; None where no row can tell."""
    if scope.is_everything:
        return true()
    if scope.asks_events:
        return None
    wanted = {"learner_key": scope.learner_key, "module_key": scope.module_key}
    told = {name: value for name, value in wanted.items() if value is not None}
    if not all(name in table.c for name in told) or table.name in {"award", "series_module"}:
        return None
    return and_(*(table.c[name] == value for name, value in told.items()))


def _change_rows(connection: Connection, merged: Merged, scope: RebuildScope, stamp: Stamp) -> int:
    table = merged.table
    if not merged.values:
        return 0
    source = _source_of(merged, stamp.environment_id, merged.values)
    terms = [table.c[name] == source.c[name] for name in merged.key]
    if "events_count" in table.c and not scope.is_everything:
        # A stub of the shadow says nothing of a row that is there.
        terms.append(source.c.events_count > 0)
    differs = or_(*(table.c[n].is_distinct_from(source.c[n]) for n in merged.values))
    result = connection.execute(
        update(table)
        .values({name: source.c[name] for name in merged.values} | _stamp_of(table, stamp))
        .where(table.c.environment_id == stamp.environment_id, *terms, differs)
    )
    return result.rowcount


def _add_rows(connection: Connection, merged: Merged, stamp: Stamp) -> int:
    table, environment_id = merged.table, stamp.environment_id
    names = (*merged.key, *merged.values)
    source = _source_of(merged, environment_id, merged.values)
    columns: dict[str, Any] = {"environment_id": literal(environment_id)}
    if merged.id_name is not None:
        newest = connection.execute(
            select(func.coalesce(func.max(table.c[merged.id_name]), 0)).where(
                table.c.environment_id == environment_id
            )
        ).scalar_one()
        order = [source.c[name] for name in merged.key]
        columns[merged.id_name] = literal(newest) + func.row_number().over(order_by=order)
    columns |= {name: source.c[name] for name in names}
    if "revision" in table.c:
        columns["revision"] = literal(stamp.revision)
        columns["changed_at"] = literal(stamp.now, UtcDateTime)
    there = table.alias("there")
    known = exists().where(
        there.c.environment_id == environment_id,
        *(there.c[name] == source.c[name] for name in merged.key),
    )
    added = select(*columns.values()).select_from(source).where(~known)
    result = connection.execute(
        insert(table).from_select(list(columns), added, include_defaults=False),
        execution_options={"preserve_rowcount": True},
    )
    return result.rowcount


def _bury_rows(connection: Connection, merged: Merged, scope: RebuildScope, stamp: Stamp) -> int:
    """Bury rows of the scope that the shadow lacks; stubs stay, nothing is wrong with them."""
    table, environment_id = merged.table, stamp.environment_id
    reasons = _reasons_to_bury(merged, scope, environment_id)
    if not reasons:
        return 0
    source = _source_of(merged, environment_id, ())
    lacking = ~exists().where(*(source.c[name] == table.c[name] for name in merged.key))
    where = [table.c.environment_id == environment_id, or_(*reasons), lacking]
    if "events_count" in table.c:
        where.append(table.c.events_count > 0)
    if "is_deleted" not in table.c:
        return connection.execute(delete(table).where(*where)).rowcount
    values: dict[str, Any] = {"is_deleted": True, **_stamp_of(table, stamp)}
    if "known" in table.c:
        values["known"] = False
    alive = table.c.is_deleted.is_(False)
    return connection.execute(update(table).values(values).where(*where, alive)).rowcount


def _reasons_to_bury(
    merged: Merged, scope: RebuildScope, environment_id: int
) -> Sequence[ColumnElement[bool]]:
    """Why a row could be the scope's: by what it says itself, or by what it hangs on."""
    own = is_in_scope(merged.table, scope)
    reasons = [] if own is None else [own]
    if merged.parent is None or scope.is_everything:
        return reasons
    parent, name = merged.parent
    if merged.hangs_on_progress:
        numbers = written_progress(parent, environment_id).subquery()
        mine = [select(numbers.c.real_id)]
        if (whose := is_in_scope(parent, scope)) is not None:
            its_own = parent.c.environment_id == environment_id
            mine.append(select(parent.c.assignment_id).where(its_own, whose))
        return [merged.table.c.assignment_id.in_(wanted) for wanted in mine]
    folded = parent.alias("folded_parent")
    written = select(folded.c[name]).where(
        folded.c.environment_id == shadow_of(environment_id), folded.c.events_count > 0
    )
    return [*reasons, merged.table.c[name].in_(written)]


def _stamp_of(table: Table, stamp: Stamp) -> dict[str, Any]:
    if "revision" not in table.c:
        return {}
    return {"revision": stamp.revision, "changed_at": stamp.now}


def _source_of(merged: Merged, environment_id: int, values: Sequence[str]) -> Subquery:
    """The rows as they should be: the shadow's, with this environment's numbers and catalog."""
    row = merged.table.alias("shadow_row")
    names = [*merged.key, *values]
    columns: dict[str, ColumnElement[Any]] = {name: row.c[name] for name in names}
    where: list[ColumnElement[bool]] = [row.c.environment_id == shadow_of(environment_id)]
    sources: Any = row
    if merged.hangs_on_progress:
        numbers = written_progress(table_of(Progress), environment_id).subquery("numbers")
        sources = row.join(numbers, numbers.c.shadow_id == row.c.assignment_id)
        if "assignment_id" in columns:
            columns["assignment_id"] = numbers.c.real_id
    if merged.parent is not None and "is_deleted" in row.c:
        where.append(row.c.is_deleted.is_(False))
    if "module_type" in values and "event_module_type" in values:
        module = table_of(Module).alias("told_module")
        told = and_(
            module.c.environment_id == environment_id,
            module.c.module_key == row.c.module_key,
            module.c.known,
        )
        sources = row.outerjoin(module, told)
        columns["module_type"] = func.coalesce(module.c.module_type, row.c.event_module_type)
    return (
        select(*(column.label(name) for name, column in columns.items()))
        .select_from(sources)
        .where(*where)
        .subquery("wanted")
    )
