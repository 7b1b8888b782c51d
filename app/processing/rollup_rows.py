"""Rollups kept with the rows they count: what a claim's rows were taken out, what they are put in.

The caller holds the environment's row, so that no one else changes these rows meanwhile.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
from sqlalchemy import Connection, and_, delete, func, not_, or_, select
from sqlmodel import SQLModel

from app.learning.identity import entity_kind, entity_parts
from app.store.dialect import upsert_rows
from app.store.lookup import find_rows
from app.store.tables import Module, Progress
from app.store.tables.columns import table_of
from app.store.tables.rollups import ROLLED_SUMS, ROLLUPS, ProgressByModule, rolled_columns

_KEY = ("learner_key", "module_key", "series_key", "cycle")
_COUNTS = ("row_count", *ROLLED_SUMS)
_DIMENSIONS = tuple(dict.fromkeys(name for one in ROLLUPS for name in rolled_columns(one)))
_IN_LIST = 500

Counts = dict[tuple[Any, ...], list[int]]
"""By the values of all dimensions: how many rows, and their sums."""


@contextmanager
def keep_rollups(
    connection: Connection, environment_id: int, entity_keys: Iterable[str]
) -> Iterator[None]:
    """Bring the rollups up to date with what is written of these entities inside."""
    entities = [(entity_kind(key), entity_parts(key)) for key in entity_keys]
    assignments = [parts for kind, parts in entities if kind == "assignment"]
    before = _count_rows(connection, environment_id, assignments)
    yield
    changes = _count_rows(connection, environment_id, assignments)
    for its_key, counts in before.items():
        sums = changes.setdefault(its_key, [0] * len(_COUNTS))
        changes[its_key] = [new - old for new, old in zip(sums, counts, strict=True)]
    _add_changes(connection, environment_id, changes, rollups=ROLLUPS)
    modules = sorted(str(parts[0]) for kind, parts in entities if kind == "module")
    _recount_modules(connection, environment_id, modules)


def _count_rows(
    connection: Connection, environment_id: int, assignments: Sequence[Sequence[Any]]
) -> Counts:
    """Count the rows of these assignments as they are now."""
    columns = ("assignment_id", *_DIMENSIONS, *ROLLED_SUMS, "is_deleted")
    found = find_rows(
        connection,
        table_of(Progress),
        environment_id,
        columns=columns,
        key=_KEY,
        keys=assignments,
    )
    rows = {row[0]: tuple(row)[1:-1] for row in found if not row[-1]}
    counts: Counts = {}
    for values in rows.values():
        its_key, numbers = values[: len(_DIMENSIONS)], values[len(_DIMENSIONS) :]
        sums = counts.setdefault(its_key, [0] * len(_COUNTS))
        counts[its_key] = [old + new for old, new in zip(sums, (1, *numbers), strict=True)]
    return counts


def _add_changes(
    connection: Connection,
    environment_id: int,
    changes: Counts,
    *,
    rollups: Iterable[type[SQLModel]],
) -> None:
    for rollup in rollups:
        names = rolled_columns(rollup)
        places = [_DIMENSIONS.index(name) for name in names]
        added: Counts = {}
        for its_key, counts in changes.items():
            sums = added.setdefault(tuple(its_key[at] for at in places), [0] * len(_COUNTS))
            for at, value in enumerate(counts):
                sums[at] += value
        told = {its_key: counts for its_key, counts in added.items() if any(counts)}
        _write_rollup(connection, environment_id, rollup, told)


def _write_rollup(
    connection: Connection,
    environment_id: int,
    rollup: type[SQLModel],
    added: Mapping[tuple[Any, ...], Sequence[int]],
) -> None:
    rows = [
        (environment_id, orjson.dumps(list(values)).decode(), *values, *counts)
        for values, counts in added.items()
    ]
    upsert_rows(
        connection,
        table_of(rollup),
        ("environment_id", "rolled_key", *rolled_columns(rollup), *_COUNTS),
        sorted(rows, key=lambda row: row[1]),
        key=("environment_id", "rolled_key"),
        update=(),
        added=_COUNTS,
    )


def _recount_modules(
    connection: Connection, environment_id: int, module_keys: Sequence[str]
) -> None:
    """Count modules anew whose type the catalog may have said otherwise, for all their rows."""
    for start in range(0, len(module_keys), _IN_LIST):
        part = module_keys[start : start + _IN_LIST]
        restated = _restated_modules(connection, environment_id, part)
        if restated:
            recount_rollups(connection, environment_id, restated)


def _restated_modules(
    connection: Connection, environment_id: int, module_keys: Sequence[str]
) -> list[str]:
    """Those of these modules whose counts are not of the type the catalog tells, if it tells."""
    module, rolled = table_of(Module), table_of(ProgressByModule)
    told = and_(module.c.known, module.c.module_type.is_not(None))
    found = connection.execute(
        select(rolled.c.module_key)
        .distinct()
        .select_from(rolled)
        .join(
            module,
            and_(
                module.c.environment_id == rolled.c.environment_id,
                module.c.module_key == rolled.c.module_key,
            ),
        )
        .where(
            rolled.c.environment_id == environment_id,
            module.c.environment_id == environment_id,
            rolled.c.module_key.in_(module_keys),
            rolled.c.row_count > 0,
            or_(not_(told), rolled.c.module_type.is_distinct_from(module.c.module_type)),
        )
    )
    return sorted(found.scalars())


def recount_rollups(
    connection: Connection, environment_id: int, module_keys: Sequence[str]
) -> None:
    """Take all counts of these modules out, and put in what their rows say."""
    rolled, progress = table_of(ProgressByModule), table_of(Progress).c
    names = rolled_columns(ProgressByModule)
    its_rows = and_(rolled.c.environment_id == environment_id, rolled.c.module_key.in_(module_keys))
    changes: Counts = {}
    before = connection.execute(
        select(*(rolled.c[name] for name in (*names, *_COUNTS))).where(its_rows)
    ).all()
    connection.execute(delete(rolled).where(its_rows))
    after = connection.execute(
        select(
            *(progress[name] for name in names),
            func.count(),
            *(func.sum(progress[name]) for name in ROLLED_SUMS),
        )
        .where(
            progress.environment_id == environment_id,
            progress.module_key.in_(module_keys),
            progress.is_deleted.is_(False),
        )
        .group_by(*(progress[name] for name in names))
    ).all()
    for sign, rows in ((-1, before), (1, after)):
        for row in rows:
            values = dict(zip(names, row[: len(names)], strict=True))
            its_key = tuple(values[name] for name in _DIMENSIONS)
            sums = changes.setdefault(its_key, [0] * len(_COUNTS))
            for at, value in enumerate(row[len(names) :]):
                sums[at] += sign * int(value)
    others = [rollup for rollup in ROLLUPS if rollup is not ProgressByModule]
    _add_changes(connection, environment_id, changes, rollups=others)
    fresh = {tuple(row[: len(names)]): [int(n) for n in row[len(names) :]] for row in after}
    _write_rollup(connection, environment_id, ProgressByModule, fresh)


def recount_all_rollups(connection: Connection, environment_id: int) -> None:
    """Take all counts of an environment out, and put in what its rows say."""
    progress = table_of(Progress).c
    counted = connection.execute(
        select(
            *(progress[name] for name in _DIMENSIONS),
            func.count(),
            *(func.sum(progress[name]) for name in ROLLED_SUMS),
        )
        .where(progress.environment_id == environment_id, progress.is_deleted.is_(False))
        .group_by(*(progress[name] for name in _DIMENSIONS))
    )
    size = len(_DIMENSIONS)
    counts = {tuple(row[:size]): [int(number) for number in row[size:]] for row in counted}
    for rollup in ROLLUPS:
        table = table_of(rollup)
        connection.execute(delete(table).where(table.c.environment_id == environment_id))
    _add_changes(connection, environment_id, counts, rollups=ROLLUPS)
