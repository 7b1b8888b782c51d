"""A database with any number of progress rows, written straight into the tables and kept.

Simulated and the same at every run: 40 modules a learner, all module types, realistic gaps. What is
beyond the first million rows repeats them for other learners, by SQL.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Table,
    Text,
    cast,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlmodel import SQLModel

from app.learning.modules import MODULE_TYPE_NAMES
from app.processing.rollup_rows import recount_rollups
from app.store.dialect import insert_rows
from app.store.engine import Store, close_store, open_store, transaction
from app.store.tables import Attempt, Environment, Learner, Module, Progress, Series, Team
from app.store.tables.columns import table_of
from bench.databases import Databases
from bench.measure import tell
from bench.server import prepare_database, prepare_store

_START = datetime(2024, 1, 1, tzinfo=UTC)
_MODULES_EACH = 40
_MODULES = 400
_WRITTEN = 1_000_000
_TEAMS = 60
_SERIES = 20
Row = dict[str, Any]


def filled_database(rows: int) -> Path:
    """The file with so many rows of progress in environment 1; made when it is not there yet."""
    path = Path(tempfile.gettempdir()) / f"fullcount-bench-{rows}-{_edition()}.db"
    if path.exists():
        return path
    first = filled_database(_WRITTEN) if rows > _WRITTEN else None
    tell(f"  writing {rows:,} rows to {path}")
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    if first is None:
        prepare_database(draft, ["bench"], source="bench")
    else:
        shutil.copyfile(first, draft)
    store = open_store(f"sqlite:///{draft}")
    fill_store(store, rows)
    close_store(store)
    draft.rename(path)
    return path


def filled_address(databases: Databases, kind: str, rows: int, *, url: str = "") -> str:
    """The address of a database of a kind with so many rows of progress.

    url: of one with fewer, which a server fills up; empty without one
    """
    if kind == "SQLite":
        return f"sqlite:///{filled_database(rows)}"
    is_new = not url
    url = url or databases.copy(databases.urls[kind])
    tell(f"  writing {rows:,} rows to {kind}")
    store = open_store(url)
    if is_new:
        prepare_store(store, ["bench"], source="bench")
    fill_store(store, rows)
    close_store(store)
    databases.run_admin("VACUUM ANALYZE", database=url.rpartition("/")[2].partition("?")[0])
    return url


def _edition() -> str:
    """What a file was made by: its schema and this module."""
    versions = Path(__file__).parents[1] / "alembic" / "versions"
    said = hashlib.sha256(Path(__file__).read_bytes())
    for name in sorted(path.name for path in versions.glob("*.py")):
        said.update(name.encode())
    return said.hexdigest()[:12]


def fill_store(store: Store, rows: int) -> None:
    """Write so many rows of progress, and what they refer to, into environment 1.

    Rows that are there already stay: those of a smaller number of rows.
    """
    with transaction(store) as connection:
        present = _count(connection, Progress)
    if not present:
        present = min(rows, _WRITTEN)
        _write_first(store, present)
    while present < rows:
        size = min(_WRITTEN, rows - present)
        with transaction(store) as connection:
            _repeat(connection, present, size)
        present += size
    with transaction(store) as connection:
        _write_attempts(connection)
        recount_rollups(connection, 1, [f"m{number}" for number in range(_MODULES)])
        environment = table_of(Environment)
        newest = update(environment).where(environment.c.environment_id == 1)
        connection.execute(newest.values(last_revision=rows))


def _write_first(store: Store, rows: int) -> None:
    learners = -(-rows // _MODULES_EACH)
    makers: tuple[tuple[type[SQLModel], Callable[[int], Row], int], ...] = (
        (Team, _team, _TEAMS),
        (Module, _module, _MODULES),
        (Series, _series, _SERIES),
        (Learner, _learner, learners),
        (Progress, _progress, rows),
    )
    for model, make, size in makers:
        table = table_of(model)
        numbers = iter(range(size))
        unsaid = {n: f.default for n, f in model.model_fields.items() if not f.is_required()}
        while chunk := [unsaid | make(number) for number in islice(numbers, 20_000)]:
            with transaction(store) as connection:
                names = list(chunk[0])
                insert_rows(connection, table, names, list(_tuples(table, names, chunk)))


def _count(connection: Connection, model: type[SQLModel]) -> int:
    table = table_of(model)
    counted = select(func.count()).select_from(table).where(table.c.environment_id == 1)
    return int(connection.execute(counted).scalar_one())


def _repeat(connection: Connection, present: int, size: int) -> None:
    """The first rows once more, as many as `size`, behind those that are present."""
    learners = present // _MODULES_EACH
    for model, its_id, most, added in (
        (Learner, "learner_id", -(-size // _MODULES_EACH), learners),
        (Progress, "assignment_id", size, present),
    ):
        table = table_of(model)
        moved: dict[str, ColumnElement[Any]] = {
            its_id: table.c[its_id] + added,
            "revision": table.c.revision + added,
            "learner_key": _later_key(table.c.learner_key, learners),
        }
        taken = select(*(moved.get(column.name, column) for column in table.columns)).where(
            table.c.environment_id == 1, table.c[its_id] <= most
        )
        connection.execute(insert(table).from_select(list(table.c.keys()), taken))


def _later_key(key: ColumnElement[Any], added: int) -> ColumnElement[Any]:
    """The key of the learner who comes so many after this one."""
    number = cast(func.substr(key, 2), BigInteger()) + added
    return literal("u", Text()).concat(cast(number, Text()))


def _write_attempts(connection: Connection) -> None:
    """An attempt for each row of progress with a score."""
    progress, attempt = table_of(Progress).c, table_of(Attempt)
    known = select(func.coalesce(func.max(attempt.c.attempt_id), 0))
    since = connection.execute(known.where(attempt.c.environment_id == 1)).scalar_one()
    values: dict[str, ColumnElement[Any]] = {
        "environment_id": progress.environment_id,
        "attempt_id": progress.assignment_id,
        "assignment_id": progress.assignment_id,
        "attempt": progress.attempts,
        "submitted_at": progress.last_activity_at,
        "graded_at": progress.last_activity_at,
        "score": progress.score,
        "max_score": progress.max_score,
        "score_percent": progress.last_score_percent,
        "passed": progress.passed,
        "seconds": progress.time_spent_s,
        "voided": progress.is_deleted,
        "revision": progress.revision,
        "changed_at": progress.changed_at,
        "is_deleted": progress.is_deleted,
    }
    taken = select(*values.values()).where(
        progress.environment_id == 1, progress.attempts == 1, progress.assignment_id > since
    )
    connection.execute(insert(attempt).from_select(list(values), taken))


def _tuples(table: Table, names: Sequence[str], rows: list[Row]) -> Iterator[tuple[Any, ...]]:
    missing = set(names) - set(table.c.keys())
    if missing:
        raise LookupError(f"{table.name} has no column {sorted(missing)}")
    for row in rows:
        yield tuple(row[name] for name in names)


def _every(number: int) -> Row:
    return {
        "environment_id": 1,
        "revision": number + 1,
        "changed_at": _START + timedelta(days=600, seconds=number),
        "is_deleted": False,
    }


def _team(number: int) -> Row:
    return {
        **_every(number),
        "team_id": number + 1,
        "team_key": f"t{number}",
        "name": f"Team {number}, Store {number * 7 % 90}",
        "kind": "team",
        "known": True,
        "events_count": 1,
    }


def _module(number: int) -> Row:
    kind = MODULE_TYPE_NAMES[number % len(MODULE_TYPE_NAMES)]
    return {
        **_every(number),
        "module_id": number + 1,
        "module_key": f"m{number}",
        "name": f"Module {number}: {kind.replace('_', ' ')}",
        "module_type": kind,
        "version": "1",
        "status": "published",
        "tags": "[]",
        "parts_count": 0,
        "known": True,
        "events_count": 1,
    }


def _series(number: int) -> Row:
    return {
        **_every(number),
        "series_id": number + 1,
        "series_key": f"path-{number}",
        "name": f"Path {number}",
        "kind": "path",
        "modules_count": 5,
        "known": True,
        "events_count": 1,
    }


def _learner(number: int) -> Row:
    return {
        **_every(number),
        "learner_id": number + 1,
        "learner_key": f"u{number}",
        "status": "active",
        "known": True,
        "team_key": f"t{number % _TEAMS}",
        "manager_key": f"u{number % _TEAMS}",
        "department": "Sales floor",
        "location": "Vienna",
        "country": "AT",
        "attributes": "{}",
        "events_count": 2,
    }


def _progress(number: int) -> Row:
    module = (number // _MODULES_EACH * 3 + number % _MODULES_EACH) % _MODULES
    kind = MODULE_TYPE_NAMES[module % len(MODULE_TYPE_NAMES)]
    return {
        **_every(number),
        "assignment_id": number + 1,
        "learner_key": f"u{number // _MODULES_EACH}",
        "module_key": f"m{module}",
        "series_key": f"path-{module % _SERIES}" if number % 3 == 0 else "",
        "cycle": 1,
        "mandatory": number % 4 != 0,
        "reason": "rule",
        "implicit": False,
        "last_sequence": 0,
        "last_event_id": f"e{number}",
        "points": 0.0,
        "parts_done": 0,
        **_work(number, kind),
    }


def _work(number: int, kind: str) -> Row:
    """What became of it: unfinished, completed, failed or waived."""
    rng = Random(number)
    assigned_at = _START + timedelta(minutes=rng.randint(0, 800_000))
    status = rng.choices(
        ("completed", "in_progress", "not_started", "failed", "waived"), (62, 15, 16, 4, 3)
    )[0]
    began = status in ("completed", "in_progress", "failed")
    done = status == "completed"
    scored = status in ("completed", "failed") and kind in ("assessment", "quest", "mission")
    score = float(rng.randint(70, 100) if done else rng.randint(10, 69)) if scored else None
    started_at = assigned_at + timedelta(seconds=rng.randint(3_600, 900_000)) if began else None
    last_at = started_at + timedelta(seconds=rng.randint(0, 90_000)) if started_at else None
    return {
        "module_type": kind,
        "event_module_type": kind if began else None,
        "status": status,
        "percent_complete": 100.0 if done else (float(rng.randint(0, 95)) if began else 0.0),
        "assigned_at": assigned_at,
        "due_at": assigned_at + timedelta(days=30) if number % 4 else None,
        "started_at": started_at,
        "last_activity_at": last_at,
        "completed_at": last_at if done else None,
        "failed_at": last_at if status == "failed" else None,
        "waived_at": assigned_at + timedelta(days=3) if status == "waived" else None,
        "passed": done if scored else None,
        "attempts": 1 if scored else 0,
        "score": score,
        "max_score": 100.0 if scored else None,
        "first_score_percent": score,
        "best_score_percent": score,
        "last_score_percent": score,
        "time_spent_s": rng.randint(60, 4_000) if began else 0,
        "module_version": "1" if began else None,
        "events_count": 4 if began else 1,
        "last_occurred_at": last_at or assigned_at,
    }
