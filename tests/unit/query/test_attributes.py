"""Custom attributes as typed fields: conditions, groups, sorting, and what is not there."""

import json
from typing import Any

import pytest

from app.base.errors import AppError, BadOption, TypeMismatch, UnknownField
from app.processing.people_rows import define_attributes
from app.processing.rows import Stamp
from app.query.answer import run_plan
from app.query.attributes import datasets_of, plan_request, read_definitions
from app.query.reports import run_report
from app.query.request import Aggregate, Order, Request
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Learner, Progress
from tests.builders import (
    NOON,
    a_caller,
    a_learner,
    a_progress,
    an_environment,
    rows_of,
    some_settings,
    write_rows,
)

TOLD: tuple[dict[str, Any], ...] = (
    {"grade": "A", "level": 3, "remote": True, "since": "2024-02-29", "mixed": 1},
    {"grade": "B", "level": 10.5, "remote": False, "since": "2025-01-01", "mixed": "x"},
    {"grade": "A", "it's 100%": "y", "mixed": True},
    {},
)
KINDS = (
    ("grade", "text"),
    ("level", "number"),
    ("remote", "bool"),
    ("since", "date"),
    ("mixed", "text"),
    ("it's 100%", "text"),
)


def fill(store: Store, name: str = "acme") -> int:
    """An environment of four learners with attributes, each with an assignment."""
    environment_id = an_environment(store, name)
    people = [a_learner(n, attributes=json.dumps(told)) for n, told in enumerate(TOLD, start=1)]
    write_rows(store, Learner, people, environment_id=environment_id)
    done = {"status": "completed", "completed_at": NOON}
    assignments = [a_progress(n, **(done if n < 3 else {})) for n in (1, 2, 3, 4)]
    write_rows(store, Progress, assignments, environment_id=environment_id)
    define(store, environment_id, *KINDS)
    return environment_id


def define(store: Store, environment_id: int, *told: tuple[str, str]) -> dict[str, str]:
    """Define attributes; gives the kind of each afterwards."""
    with transaction(store) as connection:
        define_attributes(connection, Stamp(environment_id, 1, NOON), told)
    with snapshot(store) as connection:
        return dict(read_definitions(connection, environment_id))


def rows(store: Store, environment_id: int, request: Request) -> list[dict[str, Any]]:
    """The rows of an answer at noon."""
    caller, settings = a_caller(environment_id), some_settings()
    plan = plan_request(request, caller, store=store, settings=settings)
    return rows_of(run_plan(plan, store, now=NOON))


def keys(store: Store, environment_id: int, where: str, dataset: str = "Learners") -> list[str]:
    """The learners for whom a condition holds."""
    request = Request(dataset, select=("learner_key",), where=where, order=(Order("learner_key"),))
    return [row["learner_key"] for row in rows(store, environment_id, request)]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("attributes/grade eq 'A'", ["u1", "u3"]),
        ("attributes/grade ne 'A'", ["u2", "u4"]),
        ("attributes/level gt 3", ["u2"]),
        ("attributes/level lt 10.6 and attributes/level ge 3", ["u1", "u2"]),
        ("attributes/remote", ["u1"]),
        ("not attributes/remote", ["u2"]),
        ("attributes/since ge 2024-03-01", ["u2"]),
        ("year(attributes/since) eq 2024", ["u1"]),
        ("attributes/grade eq null", ["u4"]),
        ("attributes/mixed in ('1','true')", ["u1", "u3"]),
        ("contains(attributes/mixed,'x')", ["u2"]),
    ],
)
def test_conditions_on_attributes_are_typed(store: Store, where: str, found: list[str]) -> None:
    environment_id = fill(store)

    assert keys(store, environment_id, where) == found
    assert keys(store, environment_id, where, "LearnerProgress") == found
    behind = where.replace("attributes/", "learner/attributes/")
    assert keys(store, environment_id, behind, "LearnerProgress") == found


def test_attributes_are_selected_and_sorted_by(store: Store) -> None:
    environment_id = fill(store)
    request = Request(
        "Learners",
        select=("learner_key", "attributes/level", "attributes/it's 100%"),
        order=(Order("attributes/level", descending=True), Order("learner_key")),
    )
    mixed = Request(
        "Learners", select=("attributes/mixed",), order=(Order("learner_key", descending=True),)
    )

    assert rows(store, environment_id, request) == [
        {"learner_key": "u2", "attributes/level": 10.5, "attributes/it's 100%": None},
        {"learner_key": "u1", "attributes/level": 3, "attributes/it's 100%": None},
        {"learner_key": "u3", "attributes/level": None, "attributes/it's 100%": "y"},
        {"learner_key": "u4", "attributes/level": None, "attributes/it's 100%": None},
    ]
    told = [row["attributes/mixed"] for row in rows(store, environment_id, mixed)]
    assert told == [None, "true", "x", "1"]


def test_a_whole_object_stays_whole_and_is_all_that_is_shown_unasked(store: Store) -> None:
    environment_id = fill(store)

    told = rows(store, environment_id, Request("Learners", order=(Order("learner_key"),)))
    assert tuple(row["attributes"] for row in told) == TOLD
    assert not any("/" in name for row in told for name in row)


def test_progress_is_grouped_by_attributes(store: Store) -> None:
    environment_id = fill(store)
    request = Request(
        "LearnerProgress",
        group=("attributes/grade",),
        aggregates=(
            Aggregate("completed"),
            Aggregate("level", "average", "attributes/level"),
            Aggregate("remote", "count", "", "attributes/remote"),
        ),
    )

    assert rows(store, environment_id, request) == [
        {"attributes/grade": None, "completed": 0, "level": None, "remote": 0},
        {"attributes/grade": "A", "completed": 1, "level": 3, "remote": 1},
        {"attributes/grade": "B", "completed": 1, "level": 10.5, "remote": 0},
    ]


def test_a_report_is_grouped_by_attributes(store: Store) -> None:
    environment_id = fill(store)
    given = {"by": "attributes/grade,module_key", "as_of": NOON.isoformat()}
    caller, settings = a_caller(environment_id), some_settings()

    answer = run_report(
        "completion_summary", given, principal=caller, store=store, settings=settings
    )
    assert [(row["attributes/grade"], row["completion_rate"]) for row in rows_of(answer)] == [
        (None, 0),
        ("A", 0.5),
        ("B", 1),
    ]
    assert "people" in answer.plan.shape.streams
    with pytest.raises(BadOption):
        run_report(
            "ilt_capacity",
            {"by": "attributes/grade"},
            principal=caller,
            store=store,
            settings=settings,
        )


def test_an_unknown_attribute_is_refused_with_the_nearest(store: Store) -> None:
    environment_id = fill(store)

    def refused(**asked: Any) -> AppError:
        with pytest.raises(UnknownField) as error:
            rows(store, environment_id, Request("Learners", **asked))
        return error.value

    assert "attributes/grade" in str(refused(where="attributes/grad eq 'A'").hint)
    assert "attributes/level" in str(refused(select=("attributes/levle",)).hint)
    assert "attributes/remote" in str(refused(order=(Order("attributes/remot"),)).hint)
    with pytest.raises(UnknownField):
        rows(store, environment_id, Request("Modules", where="attributes/grade eq 'A'"))
    with pytest.raises(TypeMismatch):
        rows(store, environment_id, Request("Learners", where="attributes/level eq 'A'"))


def test_an_environment_knows_its_own_attributes_alone(store: Store) -> None:
    fill(store, "neighbour")
    environment_id = an_environment(store)
    write_rows(store, Learner, [a_learner(1)], environment_id=environment_id)

    with pytest.raises(UnknownField):
        keys(store, environment_id, "attributes/grade eq 'A'")
    define(store, environment_id, ("grade", "number"))
    assert keys(store, environment_id, "attributes/grade eq 1") == []
    assert datasets_of(store, environment_id) is datasets_of(store, environment_id)


def test_definitions_grow_to_text_and_never_back(store: Store) -> None:
    environment_id = an_environment(store)

    assert define(store, environment_id, ("a", "number"), ("b", "date")) == {
        "a": "number",
        "b": "date",
    }
    assert define(store, environment_id, ("b", "date"), ("a", "bool"))["a"] == "text"
    assert define(store, environment_id, ("a", "number")) == {"a": "text", "b": "date"}
    assert define(store, environment_id, ('c"', "text"), ("d/e", "text")) == {
        "a": "text",
        "b": "date",
    }


def test_so_many_attributes_become_fields_and_no_more(store: Store) -> None:
    environment_id = an_environment(store)

    define(store, environment_id, *((f"a{n:03}", "text") for n in range(490)))
    told = define(store, environment_id, *((f"b{n:03}", "number") for n in range(20)))
    assert (len(told), told["b009"], "b010" in told) == (500, "number", False)


def test_a_value_of_another_kind_than_its_field_is_null_and_no_error(store: Store) -> None:
    environment_id = fill(store)
    odd = [a_learner(9, attributes='{"level":"high","remote":"yes","grade":[1]}')]
    write_rows(store, Learner, odd, environment_id=environment_id)
    request = Request(
        "Learners",
        select=("attributes/level", "attributes/remote", "attributes/grade"),
        where="learner_key eq 'u9'",
    )

    assert rows(store, environment_id, request) == [
        {"attributes/level": None, "attributes/remote": None, "attributes/grade": "[1]"}
    ]
