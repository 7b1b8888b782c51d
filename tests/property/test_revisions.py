"""A past revision reads as the newest did when it was the newest, whatever has happened since."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.base.errors import RevisionGone
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.processing.drain import drain_all
from app.query.answer import Answer
from app.query.request import Aggregate, Expand, Order, Request
from app.store.engine import Store, snapshot, transaction
from app.store.past import forget_past, read_revisions
from tests.builders import NOON, an_environment, an_event, ask, rows_of, some_settings

_NAMES = count(1)
_SETTINGS = some_settings()

_WHO = {"learner": st.sampled_from("abcd"), "module": st.sampled_from("mn")}
_QUEST = {**_WHO, "module_type": st.just("quest")}
_DATA: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "assignment.made": st.fixed_dictionaries(_WHO, optional={"series": st.just("s")}),
    "progress.advanced": st.fixed_dictionaries({**_QUEST, "percent": st.integers(0, 100)}),
    "progress.completed": st.fixed_dictionaries({**_QUEST, "passed": st.booleans()}),
    "progress.reset": st.fixed_dictionaries(_QUEST),
    "attempt.graded": st.fixed_dictionaries(
        {**_QUEST, "attempt": st.integers(1, 3), "score": st.integers(0, 9)}
    ),
    "module.upserted": st.fixed_dictionaries(
        {
            "module": st.sampled_from("mn"),
            "module_type": st.just("quest"),
            "name": st.text("xy", min_size=1),
        }
    ),
    "series.upserted": st.fixed_dictionaries(
        {
            "series": st.just("s"),
            "name": st.sampled_from("ST"),
            "modules": st.lists(
                st.fixed_dictionaries(
                    {"module": st.sampled_from("mn"), "position": st.integers(1, 3)}
                ),
                max_size=2,
                unique_by=lambda place: place["module"],
            ),
        }
    ),
    "learner.upserted": st.fixed_dictionaries(
        {"learner": st.sampled_from("abcd"), "display_name": st.sampled_from("PQ")}
    ),
    "membership.set": st.fixed_dictionaries(
        {"learner": st.sampled_from("abcd"), "team": st.sampled_from("tu")}
    ),
}
_EVENT = st.sampled_from(sorted(_DATA)).flatmap(lambda kind: st.tuples(st.just(kind), _DATA[kind]))
ROUNDS = st.lists(st.lists(_EVENT, min_size=1, max_size=6), min_size=2, max_size=5)

QUESTIONS = (
    Request("LearnerProgress", order_text="percent_complete desc"),
    Request("LearnerProgress", expand=(Expand("attempts_made"), Expand("learner"))),
    Request("LearnerProgress", where="module_name gt 'xx' or learner/team_key eq 't'"),
    Request(
        "LearnerProgress",
        group=("module_type", "status"),
        aggregates=(Aggregate("rows", "count"),),
        order=(Order("status"),),
    ),
    Request("Learners", count=True),
    Request("Modules"),
    Request("Series"),
    Request("Attempts"),
    Request("ProgressHistory"),
)


def an_open_environment(store: Store) -> int:
    """A fresh environment with one source."""
    environment_id = an_environment(store, f"past{next(_NAMES)}")
    with transaction(store) as connection:
        add_source(connection, environment_id, source_key="lms")
    return environment_id


def apply_events(
    store: Store, environment_id: int, events: Sequence[tuple[str, dict[str, Any]]], start: int
) -> None:
    """Take events in and work them off."""
    items = [
        an_event(number, type=kind, data=data) for number, (kind, data) in enumerate(events, start)
    ]
    accept_items(store, _SETTINGS, environment_id=environment_id, items=items)
    drain_all(store, _SETTINGS)


def read_all(store: Store, environment_id: int, **said: Any) -> list[list[dict[str, Any]]]:
    """The answers to all questions."""
    return [
        rows_of(ask(store, replace(question, **said), environment_id=environment_id))
        for question in QUESTIONS
    ]


def newest_revision(store: Store, environment_id: int) -> int:
    """The environment's newest revision."""
    with snapshot(store) as connection:
        return read_revisions(connection, environment_id).newest


@examples(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(rounds=ROUNDS)
def test_every_past_revision_reads_as_it_did(
    store: Store, rounds: list[list[tuple[str, dict[str, Any]]]]
) -> None:
    environment_id = an_open_environment(store)
    seen: dict[int, list[list[dict[str, Any]]]] = {}
    for number, events in enumerate(rounds):
        apply_events(store, environment_id, events, start=number * 10)
        seen[newest_revision(store, environment_id)] = read_all(store, environment_id)
    for revision, answers in seen.items():
        assert read_all(store, environment_id, revision=revision) == answers, revision


@examples(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(rounds=ROUNDS, page_rows=st.integers(1, 3))
def test_a_walk_reads_one_revision_while_data_changes(
    store: Store, rounds: list[list[tuple[str, dict[str, Any]]]], page_rows: int
) -> None:
    environment_id = an_open_environment(store)
    apply_events(store, environment_id, rounds[0], start=0)
    question = replace(QUESTIONS[0], count=True)
    expected = rows_of(ask(store, question, environment_id=environment_id))
    request, rows, pages = replace(question, page_rows=page_rows), [], 0
    while True:
        answer: Answer = ask(store, request, environment_id=environment_id)
        rows += rows_of(answer)
        assert answer.total == len(expected)
        pages += 1
        if answer.next is None:
            break
        request = replace(request, after=answer.next)
        if pages < len(rounds):
            apply_events(store, environment_id, rounds[pages], start=pages * 10)
    assert rows == expected


def test_a_revision_whose_rows_are_gone_is_refused(store: Store) -> None:
    environment_id = an_open_environment(store)
    data = {"learner": "a", "module": "m", "module_type": "quest", "percent": 10}
    for number in range(3):
        event = ("progress.advanced", {**data, "percent": 10 * number})
        apply_events(store, environment_id, [event], start=number)
    newest = newest_revision(store, environment_id)
    assert read_all(store, environment_id, revision=newest - 2)
    with transaction(store) as connection:
        kept = forget_past(connection, environment_id, before=NOON.replace(year=2000))
        gone = forget_past(connection, environment_id, before=NOON.replace(year=2100))
    assert kept == 0
    assert gone > 0
    assert read_all(store, environment_id, revision=newest) == read_all(store, environment_id)
    for revision in (newest - 1, newest + 1):
        with pytest.raises(RevisionGone):
            read_all(store, environment_id, revision=revision)
