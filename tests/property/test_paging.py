"""A walk by page tokens gives every row once, in order, whatever the order and the page size."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.base.errors import BadToken
from app.query.answer import Answer
from app.query.request import Aggregate, Order, Request
from tests.builders import ask, rows_of, some_settings
from tests.property.rows import World

ASKED = some_settings()
# What a row is sorted by: how a client writes it, and what it is.
TERMS: dict[str, Callable[[dict[str, Any]], Any]] = {
    name: itemgetter(name)
    for name in [
        "status",
        "module_type",
        "percent_complete",
        "score",
        "passed",
        "mandatory",
        "attempts",
        "due_at",
        "completed_at",
        "module_version",
        "reason",
        "series_key",
        "module_name",
        "team_name",
        "parts_total",
        "is_overdue",
        "module/max_score",
        "module/published_at",
        "learner/department",
        "learner/hired_on",
        "learner/manager/department",
        "assignment_id",
    ]
}
TERMS["attempts add cycle"] = lambda row: row["attempts"] + row["cycle"]
TERMS["cycle divby 3"] = lambda row: row["cycle"] / 3
TERMS["parts_total mul 2"] = lambda row: row["parts_total"] and row["parts_total"] * 2
TERMS["date(due_at)"] = lambda row: row["due_at"] and row["due_at"].date()
TERMS["year(due_at)"] = lambda row: row["due_at"] and row["due_at"].year
TERMS["score gt 1"] = lambda row: row["score"] is not None and row["score"] > 1
TERMS["not passed"] = lambda row: None if row["passed"] is None else not row["passed"]
TERMS["trim(reason)"] = lambda row: row["reason"] and row["reason"].strip()

FILTERS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "": bool,
    "score ne null": lambda row: row["score"] is not None,
    "module/known and attempts gt 0": lambda row: row["module/known"] and row["attempts"] > 0,
}
KEYLESS = ("learner_key", "module_key", "cycle")


@st.composite
def questions(draw: st.DrawFn) -> Request:
    """An order of some terms, a condition, a part of the rows; the key selected or not."""
    terms = draw(st.lists(st.sampled_from(sorted(TERMS)), max_size=4, unique=True))
    return Request(
        "LearnerProgress",
        select=draw(st.sampled_from([("assignment_id",), KEYLESS])),
        where=draw(st.sampled_from(sorted(FILTERS))),
        order_text=",".join(
            f"{term}{draw(st.sampled_from(('', ' asc', ' desc')))}" for term in terms
        ),
        top=draw(st.none() | st.integers(0, 70)),
        skip=draw(st.integers(0, 20)),
        page_rows=draw(st.integers(1, 25)),
    )


def answers_of(world: World, kind: str, request: Request) -> Iterator[Answer]:
    """Every page of a walk, one after the other."""
    while True:
        answer = ask(
            world.stores[kind],
            request,
            environment_id=world.environment_ids[kind],
            settings=ASKED,
        )
        yield answer
        if answer.next is None:
            return
        request = replace(request, after=answer.next)


def walk(world: World, kind: str, request: Request) -> list[dict[str, Any]]:
    """The rows of all pages of a walk; only the last may be short."""
    rows: list[dict[str, Any]] = []
    for answer in answers_of(world, kind, request):
        page = rows_of(answer)
        assert len(page) == answer.row_count
        assert answer.next is None or len(page) == request.page_rows
        rows += page
    return rows


def sorted_rows(world: World, request: Request) -> list[dict[str, Any]]:
    """What a walk must give: null is the lowest value, the key breaks ties."""
    rows = [row for row in world.fields.values() if FILTERS[request.where](row)]
    rows.sort(key=lambda row: row["assignment_id"])
    for term in reversed(request.order_text.split(",") if request.order_text else []):
        name = term.removesuffix(" asc").removesuffix(" desc")
        rows.sort(key=_rank_by(TERMS[name]), reverse=term.endswith(" desc"))
    end = None if request.top is None else request.skip + request.top
    return [{name: row[name] for name in request.select} for row in rows[request.skip : end]]


def _rank_by(term: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def rank(row: dict[str, Any]) -> tuple[bool, Any]:
        value = term(row)
        return (value is not None, 0 if value is None else value)

    return rank


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(request=questions())
@example(request=Request("LearnerProgress", select=KEYLESS, order_text="score desc", page_rows=1))
def test_a_walk_gives_every_row_once_and_in_order(world: World, request: Request) -> None:
    expected = sorted_rows(world, request)
    for kind in world.stores:
        assert walk(world, kind, request) == expected, (kind, request)


@pytest.mark.parametrize("page_rows", [1, 2, 7, 100])
def test_a_walk_over_groups_gives_every_group_once(world: World, page_rows: int) -> None:
    request = Request(
        "LearnerProgress",
        group=("module_type", "status"),
        aggregates=(Aggregate("rows", "count"), Aggregate("best", "max", "score")),
        order=(Order("best", descending=True), Order("rows")),
        page_rows=page_rows,
    )
    pages = {kind: walk(world, kind, request) for kind in world.stores}
    groups = {(row["module_type"], row["status"]) for row in world.fields.values()}
    for rows in pages.values():
        assert sum(row["rows"] for row in rows) == len(world.fields)
        assert len(rows) == len(groups)
        assert {(row["module_type"], row["status"]) for row in rows} == groups
        assert rows == walk(world, next(iter(pages)), replace(request, page_rows=1000))


@pytest.mark.parametrize("page_rows", [1, 3])
def test_a_walk_over_judged_rows_gives_every_stream_once(world: World, page_rows: int) -> None:
    request = Request("IngestionLag", select=("stream",), page_rows=page_rows)
    for kind in world.stores:
        streams = [row["stream"] for row in walk(world, kind, request)]
        assert streams == sorted(set(streams))
        assert len(streams) == 13


FIRST = Request("LearnerProgress", order_text="score desc", where="cycle eq 1", page_rows=5, top=20)


@pytest.mark.parametrize(
    "change",
    [
        {"where": ""},
        {"where": "cycle eq 2"},
        {"order_text": "score"},
        {"order_text": "score desc,status"},
        {"top": 21},
        {"top": None},
        {"dataset": "Assignments", "order_text": "", "where": ""},
    ],
)
def test_a_token_of_another_question_is_refused(world: World, change: dict[str, Any]) -> None:
    for kind in world.stores:
        token = next(answers_of(world, kind, FIRST)).next
        assert token
        with pytest.raises(BadToken):
            next(answers_of(world, kind, replace(FIRST, after=token, **change)))


def test_a_token_may_go_on_with_another_page_size_and_other_fields(world: World) -> None:
    for kind in world.stores:
        first = next(answers_of(world, kind, FIRST))
        assert first.next
        onward = replace(FIRST, after=first.next, page_rows=50, select=("assignment_id",))
        assert len(walk(world, kind, onward)) == 15


def test_a_token_of_another_environment_is_refused(world: World) -> None:
    for kind, store in world.stores.items():
        token = next(answers_of(world, kind, FIRST)).next
        assert token
        neighbour = world.environment_ids[kind] - 1
        with pytest.raises(BadToken):
            ask(store, replace(FIRST, after=token), environment_id=neighbour, settings=ASKED)


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10_000), letter=st.sampled_from("aZ0-_.="))
def test_a_token_changed_in_any_letter_is_refused(world: World, place: int, letter: str) -> None:
    kind = next(iter(world.stores))
    token = next(answers_of(world, kind, FIRST)).next
    assert token
    at = place % len(token)
    spoilt = token[:at] + letter + token[at + 1 :]
    if spoilt == token:
        return
    with pytest.raises(BadToken):
        next(answers_of(world, kind, replace(FIRST, after=spoilt)))


@pytest.mark.parametrize("token", ["x", ".", "a.b", "=" * 5000, "é", "null.null"])
def test_a_token_that_was_never_made_here_is_refused(world: World, token: str) -> None:
    kind = next(iter(world.stores))
    with pytest.raises(BadToken):
        next(answers_of(world, kind, replace(FIRST, after=token)))
