"""Transformations resolved: kept sums are used, only what is needed is read, streams are told."""

import pytest

from app.base.errors import AppError, TooComplex
from app.catalog.datasets.learner_progress import LEARNER_PROGRESS
from app.learning.modules import MODULE_TYPE_NAMES
from app.query.plan import Plan, make_plan
from app.query.request import Request
from app.query.sql import count_statement, rows_statement
from app.query.stages import Picked, Summed
from tests.builders import a_caller, some_settings

SETTINGS = some_settings()


def plan_of(apply: str, **asked: object) -> Plan:
    """The plan of a question with these transformations."""
    request = Request("LearnerProgress", apply=apply, **asked)  # type: ignore[arg-type]
    return make_plan(request, a_caller(1), SETTINGS)


def summed_of(apply: str) -> Summed:
    """The groups that a question is answered from."""
    stage = plan_of(apply).shape.stage
    assert stage is not None
    assert isinstance(stage.source, Summed)
    return stage.source


@pytest.mark.parametrize(
    ("apply", "place"),
    [
        ("groupby((module_type,status),aggregate($count as n))", 0),
        ("filter(passed eq true)/groupby((status),aggregate($count as n))", 0),
        ("groupby((module_key),aggregate(attempts with sum as a))", 1),
        ("groupby((team_key),aggregate($count as n))", None),
        ("groupby((module/name),aggregate($count as n))", None),
        ("filter(score gt 1)/groupby((status),aggregate($count as n))", None),
        ("top(5)/groupby((status),aggregate($count as n))", None),
    ],
)
def test_kept_sums_are_read_where_they_hold_the_answer(apply: str, place: int | None) -> None:
    wanted = None if place is None else LEARNER_PROGRESS.rollups[place]
    assert summed_of(apply).rollup is wanted


def test_columns_that_nobody_reads_are_not_carried_along() -> None:
    below = summed_of("topcount(5,score)/groupby((status),aggregate(cycle with max as c))").stage
    assert isinstance(below.source, Picked)
    assert {field.name for field, _ in below.source.columns} == {"status", "cycle"}


def test_the_first_conditions_narrow_the_streams_and_later_ones_do_not() -> None:
    grouped = "groupby((module_type),aggregate($count as n))"
    first = plan_of(f"filter(module_type eq 'quest')/{grouped}").shape.streams
    later = plan_of(f"{grouped}/filter(module_type eq 'quest')").shape.streams
    assert first & set(MODULE_TYPE_NAMES) == {"quest"}
    assert later >= set(MODULE_TYPE_NAMES)
    assert "people" in plan_of("groupby((learner/department))").shape.streams
    assert "people" not in later


def test_every_select_names_its_environment_on_both_databases() -> None:
    apply = (
        "concat(topcount(2,score),groupby((module/name),topsum(3,score)/aggregate($count as n)))"
    )
    shape = plan_of(apply).shape
    for dialect in ("sqlite", "postgresql"):
        text = str(rows_statement(shape, dialect, None).statement.text)
        assert text.count("environment_id =") >= 3
        assert "GROUP BY" in str(count_statement(shape, dialect).statement.text)


def test_columns_on_columns_stay_within_the_limit_of_one_expression() -> None:
    grows = [f"compute(x{n} mul x{n} as x{n + 1})" for n in range(1, 8)]
    with pytest.raises(TooComplex):
        plan_of("/".join(["compute(" + " add ".join(["score"] * 200) + " as x1)", *grows]))


@pytest.mark.parametrize(
    "apply",
    [
        "filter(",
        "groupby()",
        "groupby((status)",
        "aggregate(score with sum as)",
        "top(-1)",
        "/",
        "",
    ],
)
def test_half_a_sequence_is_refused(apply: str) -> None:
    with pytest.raises(AppError) as caught:
        plan_of(apply or " ")
    assert caught.value.status == 400
