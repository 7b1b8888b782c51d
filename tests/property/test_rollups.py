"""Rollups hold what the rows say after any events, and answer as the rows do, on both databases."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlmodel import SQLModel

from app.base.config import Settings
from app.catalog.datasets.learner_progress import LEARNER_PROGRESS
from app.catalog.index import DATASETS
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.processing.drain import drain_all
from app.query.answer import run_plan
from app.query.plan import Plan, make_plan
from app.query.request import Aggregate, Order, Request
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Progress
from app.store.tables.columns import table_of
from app.store.tables.rollups import ROLLED_SUMS, ROLLUPS, rolled_columns
from tests.builders import NOON, a_caller, an_environment, an_event, rows_of, some_settings

_NAMES = count(1)
_SETTINGS = some_settings()
_PLAIN = tuple(
    replace(dataset, rollups=()) if dataset is LEARNER_PROGRESS else dataset for dataset in DATASETS
)

_KEYS: dict[str, st.SearchStrategy[Any]] = {
    "learner": st.sampled_from("abc"),
    "module": st.sampled_from("mn"),
}
_SERIES = {"series": st.just("s")}
_TYPES = st.sampled_from(["quest", "course"])
_DATA = {
    "assignment.made": st.fixed_dictionaries(_KEYS, optional=_SERIES),
    "progress.started": st.fixed_dictionaries({**_KEYS, "module_type": _TYPES}, optional=_SERIES),
    "progress.completed": st.fixed_dictionaries(
        {**_KEYS, "module_type": _TYPES, "passed": st.booleans()}
    ),
    "progress.reset": st.fixed_dictionaries({**_KEYS, "module_type": _TYPES}),
    "module.upserted": st.fixed_dictionaries(
        {"module": st.sampled_from("mn"), "module_type": _TYPES, "name": st.just("Knots")}
    ),
    "event.voided": st.fixed_dictionaries(
        {
            **_KEYS,
            "stream": st.just("quest"),
            "event_id": st.sampled_from([f"e{n}" for n in range(8)]),
        }
    ),
}
_EVENTS = st.lists(
    st.sampled_from(sorted(_DATA)).flatmap(
        lambda kind: st.tuples(st.just(kind), _DATA[kind], st.integers(0, 5))
    ),
    min_size=1,
    max_size=8,
)

_GROUPS = st.lists(
    st.sampled_from(
        ["module_type", "status", "passed", "module_key", "module_name", "series_key", "team_key"]
    ),
    unique=True,
    max_size=3,
)
_NUMBERS = (
    Aggregate("n", function="count"),
    Aggregate("types", function="distinct", field="module_type"),
    Aggregate("typed", function="count", field="module_type"),
    Aggregate("least", function="min", field="module_key"),
    Aggregate("attempts_sum", function="sum", field="attempts"),
    Aggregate("events_sum", function="sum", field="events_count"),
    Aggregate("done", where="status eq 'completed'"),
    Aggregate("well", function="sum", field="events_count", where="passed eq true"),
    Aggregate("points_sum", function="sum", field="points"),
    Aggregate("assigned"),
    Aggregate("completion_rate"),
)
_WHERES = (
    "",
    "status ne 'waived'",
    "module_type in ('quest','course')",
    "passed eq null or series_key eq 's'",
    "contains(module_name,'n')",
    "assigned_at ne null",
)


def send(store: Store, environment_id: int, events: Sequence[Any], settings: Settings) -> None:
    """Accept events told as kind, data and minute, and work them off."""
    spelt = [
        an_event(minute, id=f"e{next(_NAMES)}", type=kind, data=data)
        for kind, data, minute in events
    ]
    accept_items(store, settings, environment_id=environment_id, items=spelt)
    drain_all(store, settings)


def an_open_environment(store: Store) -> int:
    """A new environment with one source."""
    environment_id = an_environment(store, f"acme{next(_NAMES)}")
    with transaction(store) as connection:
        add_source(connection, environment_id, source_key="lms")
    return environment_id


def kept(store: Store, rollup: type[SQLModel], environment_id: int) -> set[tuple[Any, ...]]:
    """What a rollup holds: values, count, sums."""
    table, names = table_of(rollup), (*rolled_columns(rollup), "row_count", *ROLLED_SUMS)
    asked = select(*(table.c[name] for name in names))
    with snapshot(store) as connection:
        its_own = table.c.environment_id == environment_id
        rows = connection.execute(asked.where(its_own, table.c.row_count != 0))
        return {tuple(row) for row in rows}


def counted(store: Store, rollup: type[SQLModel], environment_id: int) -> set[tuple[Any, ...]]:
    """The same, counted from the rows."""
    table = table_of(Progress)
    told = [table.c[name] for name in rolled_columns(rollup)]
    sums = [func.sum(table.c[name]) for name in ROLLED_SUMS]
    with snapshot(store) as connection:
        asked = select(*told, func.count(), *sums).group_by(*told)
        its_own = table.c.environment_id == environment_id
        rows = connection.execute(asked.where(its_own, table.c.is_deleted.is_(False)))
        return {(*row[: len(told)], *(int(number) for number in row[len(told) :])) for row in rows}


def plan_of(request: Request, environment_id: int, *, rolled: bool) -> Plan:
    """The plan of a question, over datasets with or without rollups."""
    datasets = DATASETS if rolled else _PLAIN
    return make_plan(request, a_caller(environment_id), _SETTINGS, datasets=datasets)


@examples(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=st.lists(_EVENTS, min_size=1, max_size=3))
def test_after_any_events_the_rollups_hold_what_the_rows_say(
    store: Store, settings: Settings, batches: list[list[Any]]
) -> None:
    environment_id = an_open_environment(store)
    for events in batches:
        send(store, environment_id, events, settings)
        for rollup in ROLLUPS:
            found = kept(store, rollup, environment_id)
            assert found == counted(store, rollup, environment_id)


def test_a_module_whose_type_the_catalog_restates_is_counted_anew(
    store: Store, settings: Settings
) -> None:
    environment_id = an_open_environment(store)
    work = {"module": "m", "module_type": "quest"}
    starts = [("progress.started", {"learner": f"u{n}", **work}, n) for n in range(4)]
    send(store, environment_id, starts, settings)
    told = {"module": "m", "module_type": "course", "name": "Knots"}
    send(store, environment_id, [("module.upserted", told, 9)], settings)

    request = Request("LearnerProgress", group=("module_type",), aggregates=_NUMBERS[:1])
    plan = plan_of(request, environment_id, rolled=True)
    assert plan.shape.rollup is LEARNER_PROGRESS.rollups[0]
    assert rows_of(run_plan(plan, store, now=NOON)) == [{"module_type": "course", "n": 4}]
    for rollup in ROLLUPS:
        assert kept(store, rollup, environment_id) == counted(store, rollup, environment_id)


@pytest.fixture
def filled(store: Store, settings: Settings) -> int:
    """An environment with progress of many kinds."""
    environment_id = an_open_environment(store)
    kinds = ("progress.started", "progress.completed", "assignment.made")
    events: list[tuple[str, dict[str, Any], int]] = [
        (
            kinds[n % 3],
            {
                "learner": f"u{n // 2}",
                "module": f"m{n % 5}",
                **({} if n % 3 == 2 else {"module_type": ("quest", "course")[n % 2]}),
                **({"passed": n % 4 == 1} if n % 3 == 1 else {}),
                **({"series": "s"} if n % 7 == 0 else {}),
            },
            n,
        )
        for n in range(40)
    ]
    named = {"module": "m1", "module_type": "quest", "name": "Knots"}
    send(store, environment_id, [*events, ("module.upserted", named, 3)], settings)
    return environment_id


@examples(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    group=_GROUPS,
    numbers=st.lists(st.sampled_from(_NUMBERS), min_size=1, max_size=4, unique=True),
    where=st.sampled_from(_WHERES),
    descends=st.booleans(),
)
def test_answers_with_and_without_rollups_are_equal(
    store: Store,
    filled: int,
    group: list[str],
    numbers: list[Aggregate],
    where: str,
    descends: bool,
) -> None:
    request = Request(
        "LearnerProgress",
        where=where,
        group=tuple(group),
        aggregates=tuple(numbers),
        order=(Order(numbers[0].name, descends),),
    )
    answers = [
        rows_of(run_plan(plan_of(request, filled, rolled=rolled), store, now=NOON))
        for rolled in (True, False)
    ]

    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("group", "number", "where", "place"),
    [
        ("module_type", _NUMBERS[0], "", 0),
        ("status", _NUMBERS[6], "passed eq true", 0),
        ("module_name", _NUMBERS[5], "", 1),
        ("status", _NUMBERS[0], "series_key eq 's'", 1),
        ("module_type", _NUMBERS[0], "assigned_at ne null", None),
        ("team_key", _NUMBERS[0], "", None),
        ("module_type", _NUMBERS[8], "", None),
        ("module_type", _NUMBERS[10], "", None),
        ("module_type", _NUMBERS[0], "module/status eq 'published'", None),
    ],
)
def test_the_coarsest_rollup_that_holds_the_answer_is_read(
    group: str, number: Aggregate, where: str, place: int | None
) -> None:
    request = Request("LearnerProgress", where=where, group=(group,), aggregates=(number,))
    rollup = plan_of(request, 1, rolled=True).shape.rollup

    assert rollup is (None if place is None else LEARNER_PROGRESS.rollups[place])
