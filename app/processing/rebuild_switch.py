"""The switch of a rebuild: the shadow's rows in, the environment's rows equal to them, at once.

Runs in one transaction that holds the environment's row: readers see the old rows or the new ones.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Subquery,
    and_,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from app.processing.rebuild_merge import (
    MERGED,
    Changes,
    is_in_scope,
    merge_table,
    written_progress,
)
from app.processing.rebuild_scope import RebuildScope
from app.processing.rebuild_shadow import shadow_of
from app.processing.rollup_rows import recount_all_rollups, recount_rollups
from app.processing.rows import Stamp
from app.store.tables import Module, Progress, ProgressHistory
from app.store.tables.columns import UtcDateTime, table_of

_STEP = ("valid_from", "valid_to", "status", "percent_complete", "best_score_percent")
_IN_LIST = 500


def merge_shadow(connection: Connection, scope: RebuildScope, stamp: Stamp) -> Changes:
    """Make the environment's rows of the scope equal to the shadow's; count those that were not.

    Equal rows keep their revision; what we knew of an assignment stays known as of when we did.
    """
    changes = Changes()
    for merged in MERGED:
        changes = changes.plus(merge_table(connection, merged, scope, stamp))
    changes = changes.plus(_merge_history(connection, scope, stamp))
    changes = changes.plus(Changes(changed=_restate_types(connection, stamp)))
    _recount(connection, scope, stamp.environment_id)
    return changes


def _merge_history(connection: Connection, scope: RebuildScope, stamp: Stamp) -> Changes:
    """Close the steps that do not hold, add those that are missing."""
    table, environment_id = table_of(ProgressHistory), stamp.environment_id
    wanted = _wanted_steps(environment_id)
    names = ("assignment_id", *_STEP)
    result = connection.execute(
        update(table)
        .values(known_to=stamp.now, revision=stamp.revision, changed_at=stamp.now)
        .where(
            table.c.environment_id == environment_id,
            table.c.known_to.is_(None),
            _has_history_in_scope(scope, environment_id),
            ~exists().where(*(_same(table, wanted, name) for name in names)),
        )
    )
    there = table.alias("there")
    newest = connection.execute(
        select(func.coalesce(func.max(table.c.history_id), 0)).where(
            table.c.environment_id == environment_id
        )
    ).scalar_one()
    number = func.row_number().over(order_by=[wanted.c.assignment_id, wanted.c.valid_from])
    moment = literal(stamp.now, UtcDateTime)
    columns: dict[str, Any] = {
        "environment_id": literal(environment_id),
        "history_id": literal(newest) + number,
        **{name: wanted.c[name] for name in names},
        "known_from": moment,
        "revision": literal(stamp.revision),
        "changed_at": moment,
    }
    known = exists().where(
        there.c.environment_id == environment_id,
        there.c.known_to.is_(None),
        *(_same(there, wanted, name) for name in names),
    )
    added = select(*columns.values()).select_from(wanted).where(~known)
    inserted = connection.execute(
        insert(table).from_select(list(columns), added, include_defaults=False),
        execution_options={"preserve_rowcount": True},
    )
    return Changes(added=inserted.rowcount, changed=result.rowcount)


def _wanted_steps(environment_id: int) -> Subquery:
    """What is known now of each assignment in the shadow, by the numbers of the environment."""
    step = table_of(ProgressHistory).alias("shadow_step")
    numbers = written_progress(table_of(Progress), environment_id).subquery("numbers")
    return (
        select(numbers.c.real_id.label("assignment_id"), *(step.c[name] for name in _STEP))
        .select_from(step.join(numbers, numbers.c.shadow_id == step.c.assignment_id))
        .where(step.c.environment_id == shadow_of(environment_id), step.c.known_to.is_(None))
        .subquery("wanted")
    )


def _has_history_in_scope(scope: RebuildScope, environment_id: int) -> ColumnElement[bool]:
    table, progress = table_of(ProgressHistory), table_of(Progress)
    numbers = written_progress(progress, environment_id).subquery()
    reasons = [table.c.assignment_id.in_(select(numbers.c.real_id))]
    if scope.is_everything:
        return table.c.assignment_id.is_not(None)
    if (whose := is_in_scope(progress, scope)) is not None:
        its_own = progress.c.environment_id == environment_id
        reasons.append(
            table.c.assignment_id.in_(select(progress.c.assignment_id).where(its_own, whose))
        )
    return or_(*reasons)


def _same(table: Any, wanted: Subquery, name: str) -> ColumnElement[bool]:
    """Equal, where null is equal to null."""
    if name in {"valid_to", "best_score_percent"}:
        same: ColumnElement[bool] = table.c[name].is_not_distinct_from(wanted.c[name])
        return same
    equal: ColumnElement[bool] = table.c[name] == wanted.c[name]
    return equal


def _restate_types(connection: Connection, stamp: Stamp) -> int:
    """Let the catalog's word reach all progress of the modules that were folded."""
    progress, module = table_of(Progress), table_of(Module)
    told = (
        select(module.c.module_type)
        .where(
            module.c.environment_id == stamp.environment_id,
            module.c.module_key == progress.c.module_key,
            module.c.known,
        )
        .scalar_subquery()
    )
    right = func.coalesce(told, progress.c.event_module_type)
    result = connection.execute(
        update(progress)
        .values(module_type=right, revision=stamp.revision, changed_at=stamp.now)
        .where(
            progress.c.environment_id == stamp.environment_id,
            progress.c.module_key.in_(_folded_modules(stamp.environment_id)),
            progress.c.module_type.is_distinct_from(right),
        )
    )
    return result.rowcount


def _folded_modules(environment_id: int) -> Select[Any]:
    folded = table_of(Module).alias("folded_module")
    return select(folded.c.module_key).where(
        folded.c.environment_id == shadow_of(environment_id), folded.c.events_count > 0
    )


def _recount(connection: Connection, scope: RebuildScope, environment_id: int) -> None:
    """Count anew what the scope's rows are counted in."""
    if scope.is_everything:
        recount_all_rollups(connection, environment_id)
        return
    modules = _touched_modules(connection, scope, environment_id)
    for start in range(0, len(modules), _IN_LIST):
        recount_rollups(connection, environment_id, modules[start : start + _IN_LIST])


def _touched_modules(
    connection: Connection, scope: RebuildScope, environment_id: int
) -> Sequence[str]:
    progress = table_of(Progress)
    shadow = select(progress.c.module_key).where(
        progress.c.environment_id == shadow_of(environment_id)
    )
    found = set(connection.execute(shadow.distinct()).scalars())
    found |= set(connection.execute(_folded_modules(environment_id)).scalars())
    if (whose := is_in_scope(progress, scope)) is not None:
        its_own = and_(progress.c.environment_id == environment_id, whose)
        own = select(progress.c.module_key).where(its_own).distinct()
        found |= set(connection.execute(own).scalars())
    return sorted(found)
