"""Stores that several databases share for a module of property tests, and one set of odd rows.

The rows are drawn with a seed: nulls, ties, odd texts, keys that lead nowhere. `fields_of` tells
what a question must see in each, without asking any database.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from json import dumps, loads
from pathlib import Path
from random import Random
from typing import Any

from sqlmodel import SQLModel

import app.store.tables  # noqa: F401 - fills the metadata
from app.store.engine import Store, close_store, open_store, schema_transaction
from app.store.tables import Learner, Module, Progress, Series, Team
from app.store.tables.past import create_triggers
from tests.builders import (
    NOON,
    a_database,
    a_learner,
    a_module,
    a_progress,
    a_series,
    a_team,
    an_environment,
    write_rows,
)

TEXTS = ("", "a", "A", "ab", "Ab", "b", "%", "_", "a_b", "it's", "é", "Z", " b ", "😀z", "\uffffq")
NUMBERS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.5, 7.75, 100.0, -0.5, -2.5, 0.1, 33.3, 1e6)
MOMENTS = (
    NOON,
    NOON - timedelta(microseconds=1),
    NOON + timedelta(microseconds=1),
    datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2024, 2, 29, tzinfo=UTC),
    datetime(2025, 5, 24, 10, 7, 5, 120000, tzinfo=UTC),
)
DAYS = (date(2024, 2, 29), date(1999, 12, 31), date(2025, 5, 24))
STATUSES = ("not_started", "in_progress", "completed", "failed", "waived")
TYPES = ("quest", "course", "ilt")


class World:
    """The same rows in every store; no dataclass, since a failing test would print all of it.

    fields: by assignment, what each path of a question gives
    """

    __slots__ = ("environment_ids", "fields", "stores")

    def __init__(
        self,
        stores: dict[str, Store],
        *,
        environment_ids: dict[str, int],
        fields: dict[int, dict[str, Any]],
    ) -> None:
        self.stores, self.environment_ids, self.fields = stores, environment_ids, fields


@contextmanager
def open_world(databases: dict[str, str | None], *, folder: Path, template: str) -> Iterator[World]:
    """Fill a store of each kind with the rows, and with others in a neighbouring environment.

    databases: by kind, the address of its server; None for a file
    """
    with ExitStack() as stack:
        stores: dict[str, Store] = {}
        for kind, server_url in databases.items():
            url = f"sqlite:///{folder}/world.db"
            if server_url is not None:
                url = stack.enter_context(a_database(server_url, template=template))
            stores[kind] = open_store(url)
            stack.callback(close_store, stores[kind])
            if server_url is None:
                with schema_transaction(stores[kind]) as connection:
                    SQLModel.metadata.create_all(connection)
                    create_triggers(connection)
        rows = draw_rows(Random(7))
        environment_ids = {}
        for kind, store in stores.items():
            _fill(store, an_environment(store, "neighbour"), draw_rows(Random(8)))
            environment_ids[kind] = an_environment(store)
            _fill(store, environment_ids[kind], rows)
        yield World(stores, environment_ids=environment_ids, fields=fields_of(rows))


Rows = dict[type[SQLModel], list[dict[str, Any]]]


def draw_rows(chance: Random) -> Rows:
    """Rows of every table that a question on LearnerProgress can reach."""
    return {
        Team: [a_team(n) for n in (1, 2)],
        Series: [a_series(1), a_series(2, name="")],
        Module: [_module(n, chance) for n in range(4)],
        Learner: [_learner(n, chance) for n in range(5)],
        Progress: [_progress(n, chance) for n in range(1, 61)],
    }


def _fill(store: Store, environment_id: int, rows: Rows) -> None:
    for model, lines in rows.items():
        write_rows(store, model, lines, environment_id=environment_id)


def _maybe(chance: Random, values: tuple[Any, ...]) -> Any:
    return None if chance.random() < 0.3 else chance.choice(values)


def _module(number: int, chance: Random) -> dict[str, Any]:
    return a_module(
        number,
        name=chance.choice(TEXTS),
        max_score=_maybe(chance, NUMBERS),
        published_at=_maybe(chance, MOMENTS),
        parts_count=chance.randrange(4),
        tags=dumps(chance.sample(TEXTS, chance.randrange(3))),
        is_deleted=number == 3,
    )


def _learner(number: int, chance: Random) -> dict[str, Any]:
    day = _maybe(chance, DAYS)
    return a_learner(
        number,
        team_key=_maybe(chance, ("t1", "t2", "t9")),
        manager_key=_maybe(chance, ("u0", "u1", "nobody")),
        department=_maybe(chance, TEXTS),
        hired_on=day and day.isoformat(),
    )


def _progress(number: int, chance: Random) -> dict[str, Any]:
    return a_progress(
        number,
        learner_key=f"u{number % 6}",
        module_key=f"m{number // 6 % 5}",
        cycle=number // 30 + 1,
        series_key=chance.choice(("", "s1", "s2", "s9")),
        module_type=_maybe(chance, TYPES),
        status=chance.choice(STATUSES),
        percent_complete=chance.choice(NUMBERS),
        module_version=_maybe(chance, TEXTS),
        reason=_maybe(chance, TEXTS),
        score=_maybe(chance, NUMBERS),
        max_score=_maybe(chance, NUMBERS),
        passed=_maybe(chance, (True, False)),
        mandatory=chance.random() < 0.5,
        attempts=chance.randrange(5),
        time_spent_s=chance.choice((0, 1, 59, 3600)),
        due_at=_maybe(chance, MOMENTS),
        completed_at=_maybe(chance, MOMENTS),
        waived_at=_maybe(chance, (NOON, NOON + timedelta(days=1), *[None] * 5)),
        assigned_at=_maybe(chance, MOMENTS),
        is_deleted=number % 20 == 0,
    )


OWN = [
    "assignment_id",
    "learner_key",
    "module_key",
    "module_type",
    "status",
    "cycle",
    "percent_complete",
    "module_version",
    "reason",
    "score",
    "max_score",
    "passed",
    "mandatory",
    "attempts",
    "time_spent_s",
    "due_at",
    "completed_at",
    "waived_at",
    "assigned_at",
]


def fields_of(rows: Rows) -> dict[int, dict[str, Any]]:
    """What each path gives, by assignment; deleted rows are not there, dead ends are null.

    A path to several gives a list, of rows such as these or of texts.
    """
    learners = {row["learner_key"]: row for row in rows[Learner]}
    modules = {row["module_key"]: row for row in rows[Module]}
    series = {row["series_key"]: row for row in rows[Series]}
    teams = {row["team_key"]: row for row in rows[Team]}
    fields = {}
    for row in rows[Progress]:
        if row["is_deleted"]:
            continue
        learner, module = learners.get(row["learner_key"], {}), modules.get(row["module_key"], {})
        kept_module = {} if module.get("is_deleted") else module
        hired_on = learner.get("hired_on")
        its_series = series.get(row["series_key"], {})
        fields[row["assignment_id"]] = {
            **{name: row[name] for name in OWN},
            "series_key": row["series_key"] or None,
            "series_name": its_series.get("name"),
            "module_name": module.get("name"),
            "parts_total": module.get("parts_count"),
            "manager_key": learner.get("manager_key"),
            "team_name": teams.get(learner.get("team_key"), {}).get("name"),
            "is_overdue": _is_overdue(row),
            "series/name": its_series.get("name"),
            "module/tags": loads(kept_module.get("tags", "[]")),
            "module/max_score": kept_module.get("max_score"),
            "module/published_at": kept_module.get("published_at"),
            "module/name": kept_module.get("name"),
            "module/known": kept_module.get("known"),
            "learner/department": learner.get("department"),
            "learner/known": learner.get("known"),
            "learner/hired_on": hired_on and date.fromisoformat(hired_on),
            "learner/manager/department": learners.get(learner.get("manager_key"), {}).get(
                "department"
            ),
        }
    for row in fields.values():
        others = fields.values() if row["learner_key"] in learners else ()
        row["learner/progress"] = [o for o in others if o["learner_key"] == row["learner_key"]]
    return fields


def _is_overdue(row: dict[str, Any]) -> bool:
    ends = (row["completed_at"], row["waived_at"])
    is_open = all(end is None or end > NOON for end in ends)
    return row["due_at"] is not None and row["due_at"] < NOON and is_open
