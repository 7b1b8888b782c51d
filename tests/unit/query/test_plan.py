"""The plan is the last place where a question is refused; what passes is resolved and ordered."""

from dataclasses import replace
from typing import Any

import pytest

from app.base.errors import (
    BadOption,
    ScopeMissing,
    TooComplex,
    TypeMismatch,
    UnknownDataset,
    UnknownField,
)
from app.catalog.fields import Type
from app.query.expr import Column
from app.query.plan import Plan, make_plan
from app.query.request import Aggregate, Expand, Order, Request
from tests.builders import a_caller, some_settings

SETTINGS = some_settings(limit_select=5, limit_page_rows=100, limit_page_rows_asked=1000)
PROGRESS = Request("LearnerProgress")


def plan_of(request: Request, *scopes: str) -> Plan:
    return make_plan(request, a_caller(7, *scopes), SETTINGS)


def an_expand(*names: str) -> tuple[Expand, ...]:
    inner: tuple[Expand, ...] = ()
    for name in reversed(names):
        inner = (Expand(name, expand=inner),)
    return inner


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (Request("LearnerProgres"), UnknownDataset, "LearnerProgress"),
        (replace(PROGRESS, select=("statu",)), UnknownField, "status"),
        (replace(PROGRESS, select=("x",) * 6), TooComplex, "at most 5"),
        (replace(PROGRESS, order=(Order("statu"),)), UnknownField, "status"),
        (replace(PROGRESS, order_text="status desc desc"), Exception, ""),
        (replace(PROGRESS, order_text=",".join(["status"] * 6)), TooComplex, "5"),
        (replace(PROGRESS, where="statu eq 'completed'"), UnknownField, "status"),
        (replace(PROGRESS, top=-1), BadOption, "$top"),
        (replace(PROGRESS, skip=-1), BadOption, "$skip"),
        (replace(PROGRESS, page_rows=0), BadOption, "at least 1"),
        (replace(PROGRESS, key={}), BadOption, "assignment_id"),
        (replace(PROGRESS, key={"learner_key": "u"}), BadOption, "assignment_id"),
        (replace(PROGRESS, key={"assignment_id": "1"}), BadOption, "whole number"),
        (replace(PROGRESS, key={"assignment_id": True}), BadOption, "whole number"),
        (replace(PROGRESS, key={"assignment_id": 2**63}), BadOption, "64 bits"),
        (Request("IngestionLag", key={"stream": 1}), BadOption, "text in quotes"),
        (replace(PROGRESS, expand=an_expand("modul")), UnknownField, "module"),
        (
            replace(PROGRESS, expand=an_expand("learner", "manager", "manager", "manager")),
            TooComplex,
            "3",
        ),
        (replace(PROGRESS, expand=tuple(Expand("learner") for _ in range(7))), TooComplex, "6"),
        (replace(PROGRESS, group=("statu",)), UnknownField, "status"),
        (replace(PROGRESS, group=("status",) * 9), TooComplex, "8"),
        (replace(PROGRESS, aggregates=(Aggregate("n", "mode", "score"),)), BadOption, "sum"),
        (replace(PROGRESS, aggregates=(Aggregate("n", "sum", "status"),)), BadOption, "number"),
        (replace(PROGRESS, aggregates=(Aggregate("n", "sum", "scor"),)), UnknownField, "score"),
        (replace(PROGRESS, aggregates=(Aggregate("complete"),)), UnknownField, "completed"),
        (replace(PROGRESS, aggregates=(Aggregate("n", "count"),) * 2), BadOption, "two outputs"),
        (
            replace(PROGRESS, group=("status",), aggregates=(Aggregate("status", "count"),)),
            BadOption,
            "status",
        ),
        (replace(PROGRESS, group=("status",), order=(Order("score"),)), UnknownField, "status"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_way_on(
    request_: Request, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as refused:
        plan_of(request_)
    told = f"{refused.value} {getattr(refused.value, 'hint', '')}"
    assert words in told


def test_a_caller_without_the_scope_is_refused() -> None:
    with pytest.raises(ScopeMissing):
        plan_of(PROGRESS, "ingest")


@pytest.mark.parametrize(
    "request_",
    [
        Request("Learners", select=("email",)),
        Request("Learners", where="email eq 'a'"),
        Request("Learners", order_text="email"),
        Request("Learners", group=("email",)),
        Request("Learners", aggregates=(Aggregate("n", "count", "email"),)),
        replace(PROGRESS, expand=(Expand("learner", select=("email",)),)),
        replace(PROGRESS, where="learner/email eq 'a'"),
        replace(PROGRESS, order_text="learner/email"),
    ],
)
def test_a_field_the_caller_may_not_see_does_not_exist(request_: Request) -> None:
    with pytest.raises(UnknownField) as refused:
        plan_of(request_)
    assert "email" not in str(refused.value.hint)
    assert plan_of(request_, "read", "pii").dataset.name == request_.dataset


def test_what_one_caller_was_planned_is_not_given_to_another() -> None:
    everyone = Request("Learners")
    assert "email" in plan_of(everyone, "read", "pii").select
    assert "email" not in plan_of(everyone, "read").select
    expanded = replace(PROGRESS, expand=an_expand("learner"))
    fields = plan_of(expanded, "read").shape.expansions[0].fields
    assert "email" not in {field.name for field in fields}


def test_no_select_means_every_field_in_the_order_of_the_catalog() -> None:
    plan = plan_of(PROGRESS)
    assert plan.select == tuple(field.name for field in plan.dataset.fields)


def test_a_field_selected_twice_comes_once() -> None:
    assert plan_of(replace(PROGRESS, select=("status", "score", "status"))).select == (
        "status",
        "score",
    )


def names_of(plan: Plan) -> list[tuple[Any, bool]]:
    return [
        (expr.field.name if isinstance(expr, Column) else None, descending)
        for expr, descending in plan.shape.order
    ]


@pytest.mark.parametrize(
    ("order_text", "expected"),
    [
        ("", [("assignment_id", False)]),
        ("score desc", [("score", True), ("assignment_id", False)]),
        ("assignment_id desc", [("assignment_id", True)]),
        ("score,assignment_id desc", [("score", False), ("assignment_id", True)]),
        ("learner/status", [("status", False), ("assignment_id", False)]),
    ],
)
def test_every_order_is_made_total_by_the_key(
    order_text: str, expected: list[tuple[str, bool]]
) -> None:
    assert names_of(plan_of(replace(PROGRESS, order_text=order_text))) == expected


def test_orders_may_be_given_as_names_too() -> None:
    orders = (Order("score", descending=True), Order("learner/status"))
    by_names = plan_of(replace(PROGRESS, order=orders))
    by_text = plan_of(replace(PROGRESS, order_text="score desc,learner/status"))
    assert by_names.shape.order == by_text.shape.order


@pytest.mark.parametrize(("asked", "given"), [(None, 100), (7, 7), (1000, 1000), (5000, 1000)])
def test_pages_are_bounded(asked: int | None, given: int) -> None:
    assert plan_of(replace(PROGRESS, page_rows=asked)).shape.page_rows == given


def test_a_ratio_brings_its_numerator_and_denominator() -> None:
    columns = plan_of(replace(PROGRESS, aggregates=(Aggregate("completion_rate"),))).columns
    assert [column.name for column in columns] == [
        "completed",
        "assigned_less_waived",
        "completion_rate",
    ]
    assert (columns[-1].numerator, columns[-1].denominator) == (
        "completed",
        "assigned_less_waived",
    )
    assert {column.type for column in columns} == {Type.INT, Type.NUMBER}


def test_a_question_asked_again_is_not_thought_through_again() -> None:
    first = plan_of(replace(PROGRESS, select=("status",)))
    assert plan_of(replace(PROGRESS, select=("status",), after="x")).shape is first.shape
    assert plan_of(replace(PROGRESS, select=("score",))).shape is not first.shape


def test_all_entities_of_a_set_share_a_plan() -> None:
    first, other = (
        plan_of(Request("LearnerProgress", key={"assignment_id": number})) for number in (1, 2)
    )
    assert first.shape is other.shape
    assert (first.key, other.key) == ({"assignment_id": 1}, {"assignment_id": 2})
    # A text may say which streams it touches.
    quest, course = (
        plan_of(Request("IngestionLag", key={"stream": one})) for one in ("quest", "course")
    )
    assert [set(one.shape.streams) for one in (quest, course)] == [{"quest"}, {"course"}]


def test_a_plan_is_for_the_callers_environment_only() -> None:
    request = replace(PROGRESS, select=("status",))
    here = make_plan(request, a_caller(1), SETTINGS)
    there = make_plan(request, a_caller(2), SETTINGS)
    assert here.shape is there.shape
    assert (here.environment_id, there.environment_id) == (1, 2)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("case(true:-INF) lt 5", "INF can only be compared"),
        ("score mul INF gt 5", "INF can only be compared"),
        ("INF sub INF eq null", "INF can only be compared"),
        ("round(-INF) eq 1", "INF can only be compared"),
    ],
)
def test_numbers_that_databases_reckon_differently_are_refused(where: str, words: str) -> None:
    with pytest.raises(TypeMismatch) as refused:
        plan_of(replace(PROGRESS, where=where))
    assert words in refused.value.detail


@pytest.mark.parametrize("number", ["INF", "-INF", "NaN"])
def test_infinity_cannot_be_shown(number: str) -> None:
    with pytest.raises(TypeMismatch) as refused:
        plan_of(replace(PROGRESS, compute=f"{number} as x"))
    assert "can only be compared" in refused.value.detail
