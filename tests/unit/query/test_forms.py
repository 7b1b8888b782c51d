"""Questions of one form: SQL is written once for them, and each is run with its own literals."""

from dataclasses import replace
from typing import Any

import pytest

from app.query.forms import form_of
from app.query.grammar import parse_expression
from app.query.plan import make_plan
from app.query.request import Aggregate, Expand, Request
from app.query.sql import count_statement, edge_statement, rows_statement
from app.store.engine import Store
from tests.builders import a_caller, a_small_world, ask, rows_of, some_settings

PROGRESS = Request("LearnerProgress", select=("assignment_id",), page_rows=2)
ALIKE = [
    (replace(PROGRESS, key={"assignment_id": 1}), replace(PROGRESS, key={"assignment_id": 2})),
    (replace(PROGRESS, where="score gt 1.5"), replace(PROGRESS, where="score gt 70.25")),
    (
        replace(PROGRESS, where="module_type eq 'quest' or due_at lt 2025-01-01T00:00:00Z"),
        replace(PROGRESS, where="module_type eq 'mission' or due_at lt 2026-02-01T00:00:00Z"),
    ),
    (
        replace(PROGRESS, where="score gt $root/LearnerProgress(1)/score"),
        replace(PROGRESS, where="score gt $root/LearnerProgress(2)/score"),
    ),
    (replace(PROGRESS, page_rows=7), replace(PROGRESS, top=3, skip=1, count=True)),
    (
        replace(PROGRESS, expand=(Expand("attempts_made", where="attempt eq 1"),)),
        replace(PROGRESS, expand=(Expand("attempts_made", where="attempt eq 2"),)),
    ),
    (
        Request("LearnerProgress", aggregates=(Aggregate("n", where="score gt 1"),)),
        Request("LearnerProgress", aggregates=(Aggregate("n", where="score gt 2"),)),
    ),
]
APART = [
    (replace(PROGRESS, where="score gt 1"), replace(PROGRESS, where="score gt 1.5")),
    (replace(PROGRESS, where="score gt 1"), replace(PROGRESS, where="score ge 1")),
    (
        replace(PROGRESS, where="due_at lt 2025-01-01T00:00:00.000000Z"),
        replace(PROGRESS, where="due_at lt 2025-01-01T00:00:00.0000001Z"),
    ),
    (replace(PROGRESS, where="reason eq 'a'"), replace(PROGRESS, where="reason eq null")),
    (
        replace(PROGRESS, where="points gt $root/LearnerProgress(1)/points"),
        replace(PROGRESS, where="points gt $root/Points(1)/points"),
    ),
    (replace(PROGRESS, where="cycle in (1,2)"), replace(PROGRESS, where="cycle in (1,2,3)")),
    (replace(PROGRESS, order_text="score"), replace(PROGRESS, order_text="score desc")),
    (replace(PROGRESS, select=("score",)), replace(PROGRESS, select=("points",))),
    (PROGRESS, replace(PROGRESS, timezone="Europe/Vienna")),
    (PROGRESS, replace(PROGRESS, id_name="@odata.id")),
    (
        replace(PROGRESS, expand=(Expand("attempts_made", top=1),)),
        replace(PROGRESS, expand=(Expand("attempts_made", top=2),)),
    ),
]


def form(request: Request) -> Any:
    return form_of(make_plan(request, a_caller(1), some_settings()).shape)


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_questions_that_differ_in_literals_and_pages_alone_have_one_form(
    one: Request, other: Request
) -> None:
    assert form(one).shape is form(other).shape


@pytest.mark.parametrize(("one", "other"), APART)
def test_questions_with_other_sql_have_other_forms(one: Request, other: Request) -> None:
    assert form(one).shape is not form(other).shape


def test_a_form_holds_nothing_that_a_caller_wrote() -> None:
    found = form(replace(PROGRESS, where="reason eq 'said'"))
    assert found.literals == {"literal_0": "said"}
    page = rows_statement(found.shape, "sqlite", None)
    assert "said" not in {*page.statement.parameters.values(), found.shape.request.where}


def test_each_question_of_a_form_finds_its_own_rows(store: Store) -> None:
    environment_id = a_small_world(store)
    rows = rows_of(ask(store, Request("LearnerProgress"), environment_id=environment_id))
    assert len({row["learner_key"] for row in rows}) > 1
    for row in rows:
        where = f"learner_key eq '{row['learner_key']}' and module_key eq '{row['module_key']}'"
        found = rows_of(ask(store, replace(PROGRESS, where=where), environment_id=environment_id))
        assert row["assignment_id"] in [one["assignment_id"] for one in found]
        wanted = [
            one["assignment_id"]
            for one in rows
            if (one["learner_key"], one["module_key"]) == (row["learner_key"], row["module_key"])
        ]
        assert [one["assignment_id"] for one in found] == wanted[:2]


def test_a_known_question_is_neither_parsed_nor_compiled(store: Store) -> None:
    environment_id = a_small_world(store)
    statements = (rows_statement, edge_statement, count_statement)

    def asked(where: str) -> tuple[int, int]:
        """How many expressions were parsed and statements compiled for it."""

        def known() -> tuple[int, int]:
            compiled = sum(one.cache_info().misses for one in statements)
            return parse_expression.cache_info().misses, compiled

        before = known()
        request = Request("LearnerProgress", where=where, count=True, page_rows=1)
        ask(store, request, environment_id=environment_id)
        after = known()
        return after[0] - before[0], after[1] - before[1]

    mine = store.dialect_name
    asked(f"learner_key ne '{mine}-0' and cycle lt 9001")
    assert asked(f"learner_key ne '{mine}-0' and cycle lt 9001") == (0, 0)
    # Other literals are read, but nothing is written anew.
    assert asked(f"learner_key ne '{mine}-1' and cycle lt 9002") == (1, 0)


def test_doors_with_the_same_limits_share_their_plans() -> None:
    one, other = some_settings(), some_settings()
    assert one is not other
    request = replace(PROGRESS, where="learner_key eq 'shared-by-doors'")
    shape = make_plan(request, a_caller(1), one).shape
    assert make_plan(request, a_caller(1), other).shape is shape
    fewer = some_settings(limit_page_rows_asked=1)
    assert make_plan(request, a_caller(1), fewer).shape.page_rows == 1
