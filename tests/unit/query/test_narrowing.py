"""Few rows with a given key are looked up by its index, not found by a walk over all."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.catalog.index import dataset_named
from app.query.narrowing import split_narrow
from app.query.plan import Shape, make_plan
from app.query.request import Expand, Request
from app.query.sql import rows_statement
from app.store.engine import Store, close_store, open_store, snapshot
from app.store.guard import GuardedText
from tests.builders import a_caller, a_small_world, ask, rows_of, some_settings


def shape_of(request: Request) -> Shape:
    return make_plan(request, a_caller(1), some_settings()).shape


@pytest.mark.parametrize(
    ("where", "narrow_count", "others_count"),
    [
        ("learner_key eq 'a'", 1, 0),
        ("'a' eq learner_key and status eq 'completed'", 1, 1),
        ("module_key in ('a','b') and module_type eq 'quest' and score gt 1", 1, 2),
        ("learner_key eq null", 0, 1),
        ("learner_key ne 'a'", 0, 1),
        ("learner_key eq 'a' or score gt 1", 0, 1),
        ("learner/learner_key eq 'a'", 0, 1),
        ("assignment_id eq 7 and learner_key eq 'a'", 0, 2),
        ("status eq 'completed'", 0, 1),
        ("series_key eq 'a'", 0, 1),
        ("", 0, 0),
    ],
)
def test_an_index_on_another_key_makes_a_condition_narrow(
    where: str, narrow_count: int, others_count: int
) -> None:
    where_bound = shape_of(Request("LearnerProgress", where=where)).where
    narrow, others = split_narrow(dataset_named("LearnerProgress"), where_bound)
    assert (len(narrow), len(others)) == (narrow_count, others_count)


@pytest.mark.parametrize(
    ("request_", "index_columns"),
    [
        (Request("LearnerProgress", where="learner_key eq 'a'"), "learner_key=?"),
        (
            Request(
                "LearnerProgress",
                where="learner_key eq 'a' and module_type eq 'quest' and status eq 'failed'",
                order_text="revision",
            ),
            "learner_key=?",
        ),
        (Request("LearnerProgress", where="module_key eq 'a'"), "module_key=?"),
        (Request("Attempts", where="assignment_id eq 5"), "assignment_id=?"),
        (Request("LearnerProgress", expand=(Expand("attempts_made"),)), "assignment_id=?"),
        (Request("Learners", expand=(Expand("progress"),)), "learner_key=?"),
    ],
)
def test_sqlite_looks_them_up(request_: Request, index_columns: str, sqlite_template: Path) -> None:
    page = rows_statement(shape_of(request_), "sqlite", None).statement
    store = open_store(f"sqlite:///{sqlite_template}")
    with snapshot(store) as connection:
        values = page.bind(dict.fromkeys(page.order or (), 1))
        told = connection.exec_driver_sql(GuardedText(f"EXPLAIN QUERY PLAN {page.text}"), values)
        plan = [row[3] for row in told]
    close_store(store)
    assert [line for line in plan if f"environment_id=? AND {index_columns}" in line], plan


def test_narrow_questions_are_answered_in_order_and_by_pages(store: Store) -> None:
    environment_id = a_small_world(store)
    every = rows_of(ask(store, Request("LearnerProgress"), environment_id=environment_id))
    key = every[0]["learner_key"]
    wanted = [row["assignment_id"] for row in every if row["learner_key"] == key]
    assert len(wanted) > 1
    for order, ordered in (("", wanted), ("assignment_id desc", wanted[::-1])):
        request = Request(
            "LearnerProgress",
            where=f"learner_key eq '{key}' and cycle ge 1",
            order_text=order,
            page_rows=1,
        )
        found, after = [], ""
        while True:
            page = ask(store, replace(request, after=after), environment_id=environment_id)
            found += [row["assignment_id"] for row in rows_of(page)]
            if page.next is None:
                break
            after = page.next
        assert found == ordered
