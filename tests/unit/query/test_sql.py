"""One statement a page: the environment first, nothing spelled in that came from outside."""

from dataclasses import replace

import pytest

from app.base.errors import AppError
from app.query.plan import Shape, make_plan
from app.query.request import Aggregate, Expand, Order, Request
from app.query.sql import count_statement, edge_statement, rows_statement, seek_values
from app.store.engine import Store
from tests.builders import a_caller, a_small_world, ask, rows_of, some_settings

DIALECTS = ["sqlite", "postgresql"]
EVIL = "x'; DROP TABLE progress; --"
QUESTIONS = [
    Request("LearnerProgress"),
    Request("LearnerProgress", where="learner/manager/department eq 'a'", order_text="team/name"),
    Request("LearnerProgress", expand=(Expand("learner", expand=(Expand("team"),)),)),
    Request("LearnerProgress", group=("module_name",), aggregates=(Aggregate("overdue_rate"),)),
    Request("Attempts", where="assignment/module/known"),
    Request("Teams", where="members_count gt 0"),
    Request("Learners", where="progress/any(p:p/module/name eq 'x')", search="x"),
    Request("Learners", where="team/learners/all(p:p/team/name eq 'x')", order_text="team/name"),
    Request("Learners", compute="progress/$count($filter=series/name eq 'x') as n", where="n gt 1"),
    Request("Modules", where="not sessions/any() and progress/all(p:p/module/name eq name)"),
]


def shape_of(request: Request) -> Shape:
    return make_plan(request, a_caller(1), some_settings()).shape


@pytest.mark.parametrize("dialect_name", DIALECTS)
@pytest.mark.parametrize("request_", QUESTIONS)
def test_every_table_of_a_statement_is_bound_to_the_environment(
    request_: Request, dialect_name: str
) -> None:
    shape = shape_of(request_)
    for page in (rows_statement(shape, dialect_name, None), count_statement(shape, dialect_name)):
        text = str(page.statement.text)
        tables = text.count(" AS t") - text.count(" AS text")
        assert tables >= 1
        assert text.count("environment_id = ") >= tables


@pytest.mark.parametrize("dialect_name", DIALECTS)
def test_what_a_caller_wrote_is_a_parameter_never_text(dialect_name: str) -> None:
    where = (
        f"reason eq '{EVIL.replace(chr(39), chr(39) * 2)}' or contains(reason,'%_') or score gt 5"
    )
    page = rows_statement(shape_of(Request("LearnerProgress", where=where)), dialect_name, None)
    assert "DROP" not in page.statement.text
    assert EVIL in page.statement.parameters.values()


def test_a_quote_in_a_text_finds_nothing_and_breaks_nothing(store: Store) -> None:
    environment_id = a_small_world(store)
    where = f"module_key eq '{EVIL.replace(chr(39), chr(39) * 2)}'"
    request = Request("LearnerProgress", where=where)
    assert rows_of(ask(store, request, environment_id=environment_id)) == []
    everything = Request("LearnerProgress", count_only=True)
    assert ask(store, everything, environment_id=environment_id).total == 5


@pytest.mark.parametrize("dialect_name", DIALECTS)
def test_only_what_is_asked_for_is_joined(dialect_name: str) -> None:
    plain = shape_of(Request("LearnerProgress", select=("status",)))
    joined = shape_of(Request("LearnerProgress", select=("status", "team_name")))
    assert "JOIN" not in rows_statement(plain, dialect_name, None).statement.text
    text = rows_statement(joined, dialect_name, None).statement.text
    assert text.count("JOIN learner AS") == text.count("JOIN team AS") == 1
    assert "JOIN" not in count_statement(joined, dialect_name).statement.text


@pytest.mark.parametrize("dialect_name", DIALECTS)
def test_a_navigation_used_three_ways_is_joined_once(dialect_name: str) -> None:
    request = Request(
        "LearnerProgress",
        select=("status",),
        where="module/known",
        order_text="assignment_id",
        expand=(Expand("module", select=("name",)),),
    )
    text = rows_statement(shape_of(request), dialect_name, None).statement.text
    assert text.count("JOIN module AS") == 1


@pytest.mark.parametrize("dialect_name", DIALECTS)
def test_the_same_question_is_written_once(dialect_name: str) -> None:
    shape = shape_of(Request("LearnerProgress", select=("status",), order_text="score"))
    first = rows_statement(shape, dialect_name, (False, False))
    assert rows_statement(shape, dialect_name, (False, False)) is first
    assert rows_statement(shape, dialect_name, (True, False)) is not first


@pytest.mark.parametrize("dialect_name", DIALECTS)
def test_a_page_after_the_first_seeks_its_place(dialect_name: str) -> None:
    shape = shape_of(Request("LearnerProgress", select=("status",)))
    page = rows_statement(shape, dialect_name, (False,))
    assert "after_0" in page.statement.parameters
    assert "after_0" not in rows_statement(shape, dialect_name, None).statement.parameters
    assert "LIMIT 2" in edge_statement(shape, dialect_name, None).statement.text


def test_nulls_of_a_position_are_part_of_the_statement() -> None:
    assert seek_values((1, None, "a")) == {"after_0": 1, "after_2": "a"}


def test_a_grouped_question_needs_no_group_field(store: Store) -> None:
    environment_id = a_small_world(store)
    counted = Request("LearnerProgress", aggregates=(Aggregate("n", "count"),))
    assert rows_of(ask(store, counted, environment_id=environment_id)) == [{"n": 5}]
    grouped = Request("LearnerProgress", group=("cycle",), order=(Order("cycle", descending=True),))
    rows = rows_of(ask(store, grouped, environment_id=environment_id))
    assert rows == [{"cycle": 2}, {"cycle": 1}]
    both = Request("LearnerProgress", group=("cycle",), count=True, top=1)
    assert ask(store, both, environment_id=environment_id).total == 2


@pytest.mark.parametrize("function", ["min", "max", "sum", "average", "count", "distinct"])
def test_every_aggregate_over_whole_numbers_can_be_sorted_and_paged(
    store: Store, function: str
) -> None:
    environment_id = a_small_world(store)
    request = Request(
        "LearnerProgress",
        group=("learner_key",),
        aggregates=(Aggregate("n", function, "cycle"),),
        order=(Order("n", descending=True),),
        page_rows=1,
    )
    keys = []
    while True:
        answer = ask(store, request, environment_id=environment_id)
        keys += [row["learner_key"] for row in rows_of(answer)]
        if answer.next is None:
            break
        request = replace(request, after=answer.next)
    assert keys == ["u1", "u2", "u3", "u9"]


NESTED = {
    "add": lambda n: "score" + " add 1.5" * n + " gt 0",
    "mod": lambda n: "score" + " mod 3.5" * n + " ge 0",
    "cast": lambda n: "cast(" * n + "score" + ",Edm.Int32)" * n + " eq 1",
    "text": lambda n: "cast(" * n + "passed" + ",Edm.String) eq 'true'" * n,
    "ends": lambda n: "endswith('x',case(" * n + "passed" + ":'a'))" * n,
    "among": lambda n: "(" * n + "passed" + " in (true,null))" * n,
    "span": lambda n: "due_at" + " add duration'PT1S'" * n + " gt now()",
    "not": lambda n: "not (" * n + "score gt 1" + ")" * n,
}


@pytest.mark.parametrize("dialect_name", DIALECTS)
@pytest.mark.parametrize("kind", sorted(NESTED))
def test_nesting_makes_a_statement_longer_by_as_much_each_time(
    kind: str, dialect_name: str
) -> None:
    sizes = [
        len(rows_statement(shape_of(asked(kind, depth)), dialect_name, None).statement.text)
        for depth in (4, 8, 12)
    ]
    assert sizes[2] - sizes[1] <= (sizes[1] - sizes[0]) + 20


@pytest.mark.parametrize("kind", sorted(NESTED))
def test_nested_questions_are_answered_or_refused_in_time(store: Store, kind: str) -> None:
    environment_id = a_small_world(store)
    for depth in (4, 16, 40):
        try:
            ask(store, asked(kind, depth), environment_id=environment_id)
        except AppError as error:
            assert error.code == "query.too_complex"  # noqa: PT017 (both outcomes are right)
            assert depth > 4


def asked(kind: str, depth: int) -> Request:
    """A question nested so deep."""
    return Request("LearnerProgress", select=("assignment_id",), where=NESTED[kind](depth))
