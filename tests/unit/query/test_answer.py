"""An answer: the rows of one environment, and their verdict, from one snapshot."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from app.base.config import Settings
from app.base.errors import BadToken, UnknownEntity
from app.ledger.facts import Freshness, read_freshness
from app.ledger.verdict import State, Verdict
from app.query import answer as answer_module
from app.query.answer import run_plan
from app.query.plan import make_plan
from app.query.request import Aggregate, Expand, Order, Request
from app.store.engine import Store, transaction
from app.store.tables import Environment, Progress
from app.store.tables.columns import table_of
from tests.builders import (
    NOON,
    a_caller,
    a_progress,
    a_small_world,
    ask,
    rows_of,
    some_settings,
    write_rows,
)

PROGRESS = Request("LearnerProgress", select=("assignment_id",))


@pytest.fixture
def environment_id(store: Store) -> int:
    return a_small_world(store)


def numbers(store: Store, environment_id: int, request: Request) -> list[int]:
    return [
        row["assignment_id"] for row in rows_of(ask(store, request, environment_id=environment_id))
    ]


def test_rows_have_the_fields_of_the_plan_in_order(store: Store, environment_id: int) -> None:
    answer = ask(store, Request("LearnerProgress"), environment_id=environment_id)
    for row in rows_of(answer):
        assert tuple(row) == answer.plan.select
    assert answer.row_count == 5


def test_values_come_out_as_their_types(store: Store, environment_id: int) -> None:
    request = Request("LearnerProgress", key={"assignment_id": 1})
    (row,) = rows_of(ask(store, request, environment_id=environment_id))
    assert (row["score"], row["mandatory"], row["passed"]) == (8.5, True, None)
    assert row["completed_at"] == "2025-05-24T12:00:00.000000Z"
    assert (row["series_key"], row["module_name"], row["team_name"]) == (None, "Module 1", "Team 1")


def test_keys_that_lead_nowhere_give_null(store: Store, environment_id: int) -> None:
    request = Request("LearnerProgress", key={"assignment_id": 5})
    (row,) = rows_of(ask(store, request, environment_id=environment_id))
    assert (row["module_type"], row["module_name"], row["team_key"]) == (None, None, None)


def test_an_expanded_row_is_there_or_null(store: Store, environment_id: int) -> None:
    inner = (Expand("learner", select=("learner_key",), expand=(Expand("team", ("name",)),)),)
    request = replace(PROGRESS, expand=inner)
    rows = {
        row["assignment_id"]: row
        for row in rows_of(ask(store, request, environment_id=environment_id))
    }
    assert rows[1]["learner"] == {"learner_key": "u1", "team": {"name": "Team 1"}}
    assert rows[3]["learner"] == {"learner_key": "u3", "team": None}
    assert rows[5]["learner"] is None


def test_an_entity_that_is_not_there_is_unknown(store: Store, environment_id: int) -> None:
    with pytest.raises(UnknownEntity):
        ask(store, replace(PROGRESS, key={"assignment_id": 99}), environment_id=environment_id)


def test_an_entity_of_another_environment_is_not_there(store: Store, environment_id: int) -> None:
    other = a_small_world(store, "other")
    write_rows(store, Progress, [a_progress(50)], environment_id=other)
    assert numbers(store, other, replace(PROGRESS, key={"assignment_id": 50})) == [50]
    with pytest.raises(UnknownEntity):
        ask(store, replace(PROGRESS, key={"assignment_id": 50}), environment_id=environment_id)


def test_joins_stay_in_their_environment(store: Store, environment_id: int) -> None:
    other = a_small_world(store, "other")
    write_rows(
        store, Progress, [a_progress(60, learner_key="u1", cycle=7)], environment_id=environment_id
    )
    for number in (environment_id, other):
        request = replace(PROGRESS, where="learner/known and module/known", count=True)
        answer = ask(store, request, environment_id=number)
        assert answer.total == answer.row_count == (5 if number == environment_id else 4)


def test_deleted_rows_are_not_there(store: Store, environment_id: int) -> None:
    write_rows(store, Progress, [a_progress(70, is_deleted=True)], environment_id=environment_id)
    assert 70 not in numbers(store, environment_id, PROGRESS)


def test_the_count_is_of_all_pages(store: Store, environment_id: int) -> None:
    request = replace(PROGRESS, count=True, top=2, skip=1, page_rows=1, where="cycle eq 1")
    answer = ask(store, request, environment_id=environment_id)
    assert (answer.total, answer.row_count) == (4, 1)
    counted = ask(store, replace(request, count_only=True), environment_id=environment_id)
    assert (counted.total, counted.rows_json, counted.next) == (4, b"", None)


@pytest.mark.parametrize(
    ("top", "skip", "expected"),
    [(None, 0, [1, 2, 3, 4, 5]), (2, 0, [1, 2]), (2, 4, [5]), (0, 0, []), (None, 9, [])],
)
def test_top_and_skip_cut_the_rows(
    store: Store, environment_id: int, top: int | None, skip: int, expected: list[int]
) -> None:
    assert numbers(store, environment_id, replace(PROGRESS, top=top, skip=skip)) == expected


def test_the_last_page_has_no_token_even_when_it_is_full(store: Store, environment_id: int) -> None:
    first = ask(store, replace(PROGRESS, page_rows=5), environment_id=environment_id)
    assert (first.row_count, first.next) == (5, None)
    short = ask(store, replace(PROGRESS, page_rows=4), environment_id=environment_id)
    assert short.next is not None


def test_all_pages_of_a_walk_ask_for_the_same_moment(store: Store, environment_id: int) -> None:
    request = Request("LearnerProgress", select=("is_overdue",), where="is_overdue", page_rows=1)
    write_rows(
        store,
        Progress,
        [a_progress(8, due_at=NOON - timedelta(hours=1))],
        environment_id=environment_id,
    )
    plan = make_plan(request, a_caller(environment_id), some_settings())
    first = run_plan(plan, store, now=NOON)
    assert first.next is not None
    onward = make_plan(
        replace(request, after=first.next), a_caller(environment_id), some_settings()
    )
    later = run_plan(onward, store, now=NOON + timedelta(days=300))
    assert later.as_of == first.as_of == NOON


def test_overdue_is_judged_at_the_moment_asked_for(store: Store, environment_id: int) -> None:
    request = Request(
        "LearnerProgress",
        select=("assignment_id", "days_overdue"),
        where="is_overdue",
        as_of=NOON + timedelta(days=1),
    )
    answer = ask(store, request, environment_id=environment_id)
    assert rows_of(answer) == [{"assignment_id": 3, "days_overdue": 3}]
    earlier = replace(request, as_of=NOON - timedelta(days=3))
    assert rows_of(ask(store, earlier, environment_id=environment_id)) == []


def test_groups_count_and_divide(store: Store, environment_id: int) -> None:
    request = Request(
        "LearnerProgress",
        group=("module_type",),
        aggregates=(
            Aggregate("rows", "count"),
            Aggregate("total", "sum", "score"),
            Aggregate("completion_rate"),
        ),
        order=(Order("rows", descending=True),),
    )
    rows = rows_of(ask(store, request, environment_id=environment_id))
    assert rows[0] == {
        "module_type": "quest",
        "rows": 3,
        "total": 8.6,
        "completed": 1,
        "assigned_less_waived": 3,
        "completion_rate": 1 / 3,
    }
    assert [row["module_type"] for row in rows] == ["quest", None, "course"]


def test_numbers_over_nothing_are_zero_or_null(store: Store, environment_id: int) -> None:
    aggregates = (
        Aggregate("n", "count"),
        Aggregate("s", "sum", "score"),
        Aggregate("started_rate"),
    )
    request = Request("LearnerProgress", where="cycle eq 99", aggregates=aggregates)
    (row,) = rows_of(ask(store, request, environment_id=environment_id))
    assert row == {"n": 0, "s": None, "started": 0, "assigned": 0, "started_rate": None}


def test_the_answer_tells_how_fresh_it_is(store: Store, environment_id: int) -> None:
    answer = ask(
        store, replace(PROGRESS, where="module_type eq 'quest'"), environment_id=environment_id
    )
    assert {stream.stream for stream in answer.freshness.streams} == {
        "quest",
        "assignments",
        "catalog",
    }
    assert answer.freshness.verdict.state == "unknown"
    assert answer.freshness.evaluated_at == NOON


def test_judged_rows_are_rows_like_any_other(store: Store, environment_id: int) -> None:
    request = Request("IngestionLag", select=("stream", "verdict"), where="kind eq 'people'")
    rows = rows_of(ask(store, request, environment_id=environment_id))
    assert rows == [{"stream": "people", "verdict": "unknown"}]
    joined = replace(
        PROGRESS, where="lag/verdict eq 'unknown'", expand=(Expand("lag", ("reason",)),)
    )
    rows = rows_of(ask(store, joined, environment_id=environment_id))
    assert {row["lag"]["reason"] for row in rows} == {"no_contract"}
    assert [row["assignment_id"] for row in rows] == [1, 2, 3, 4]


def test_a_walk_goes_on_where_rows_were_added_meanwhile(store: Store, environment_id: int) -> None:
    request = replace(PROGRESS, page_rows=2)
    first = ask(store, request, environment_id=environment_id)
    assert first.next is not None
    write_rows(store, Progress, [a_progress(-1), a_progress(9)], environment_id=environment_id)
    rest = replace(request, after=first.next, page_rows=50)
    assert numbers(store, environment_id, rest) == [3, 4, 5, 9]


def test_a_token_made_with_another_secret_is_refused(
    store: Store, environment_id: int, settings: Settings
) -> None:
    first = ask(store, replace(PROGRESS, page_rows=2), environment_id=environment_id)
    assert first.next is not None
    other = settings.model_copy(update={"secret": "another"})
    with pytest.raises(BadToken):
        ask(
            store,
            replace(PROGRESS, page_rows=2, after=first.next),
            environment_id=environment_id,
            settings=other,
        )


def test_the_revision_is_that_of_the_rows_while_others_write(
    store: Store, environment_id: int
) -> None:
    """Rows and the environment's revision change together; no answer may tell them apart."""
    stop = threading.Event()
    environment, progress = table_of(Environment), table_of(Progress)

    def write_on() -> None:
        revision = 1
        while not stop.is_set():
            revision += 1
            with transaction(store) as connection:
                connection.execute(
                    update(progress)
                    .where(
                        progress.c.environment_id == environment_id,
                        progress.c.assignment_id == revision % 5 + 1,
                    )
                    .values(revision=revision)
                )
                connection.execute(
                    update(environment)
                    .where(environment.c.environment_id == environment_id)
                    .values(last_revision=revision)
                )

    writer = threading.Thread(target=write_on)
    writer.start()
    request = Request("LearnerProgress", select=("revision",), order_text="revision desc", top=1)
    try:
        seen = set()
        for _ in range(300):
            answer = ask(store, request, environment_id=environment_id)
            ((newest,),) = (row.values() for row in rows_of(answer))
            assert newest == max(answer.revision, 1)
            seen.add(newest)
    finally:
        stop.set()
        writer.join()
    assert len(seen) > 10


def verdicts_of(monkeypatch: pytest.MonkeyPatch, verdict: Verdict) -> None:
    """Let every stream be judged so from here on."""

    def read(*args: Any, **said: Any) -> Freshness:
        freshness = read_freshness(*args, **said)
        streams = tuple(
            replace(one, standing=replace(one.standing, verdict=verdict))
            for one in freshness.streams
        )
        standing = replace(freshness.standing, verdict=verdict)
        return replace(freshness, verdict=verdict, streams=streams, standing=standing)

    monkeypatch.setattr(answer_module, "read_freshness", read)


@pytest.mark.parametrize(
    ("first", "later", "told"),
    [
        (Verdict(State.INCOMPLETE, "a"), Verdict(State.COMPLETE), Verdict(State.INCOMPLETE, "a")),
        (Verdict(State.COMPLETE), Verdict(State.STALLED, "b"), Verdict(State.STALLED, "b")),
        (
            Verdict(State.UNKNOWN, "a"),
            Verdict(State.UNKNOWN, "b"),
            Verdict(State.UNKNOWN, "a"),
        ),
        (Verdict(State.COMPLETE), Verdict(State.COMPLETE), Verdict(State.COMPLETE)),
    ],
)
def test_a_later_page_tells_the_worse_of_its_verdict_and_the_first_ones(
    store: Store,
    environment_id: int,
    monkeypatch: pytest.MonkeyPatch,
    first: Verdict,
    later: Verdict,
    told: Verdict,
) -> None:
    request = replace(PROGRESS, page_rows=2)
    verdicts_of(monkeypatch, first)
    answer = ask(store, request, environment_id=environment_id)
    assert answer.freshness.verdict == first
    verdicts_of(monkeypatch, later)
    pages = 1
    while answer.next is not None:
        request = replace(request, after=answer.next)
        answer = ask(store, request, environment_id=environment_id)
        assert answer.freshness.verdict == told
        assert {stream.verdict for stream in answer.freshness.streams} == {told}
        pages += 1
    assert pages == 3
