"""Deltas replayed from an empty start are a snapshot, whatever was written between them."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples

from app.base.errors import BadToken, NotSupported, RevisionGone
from app.query.answer import run_plan
from app.query.delta import Changes, delta_token, run_delta
from app.query.plan import Plan, make_plan
from app.query.request import Expand, Request
from app.store.engine import Store, transaction
from app.store.past import forget_past
from tests.builders import NOON, a_caller, ask, rows_of, some_settings
from tests.property.test_revisions import ROUNDS, an_open_environment, apply_events

_SETTINGS = some_settings(limit_page_rows=3)

QUESTIONS = {
    "LearnerProgress": Request("LearnerProgress"),
    "few columns": Request("LearnerProgress", select=("assignment_id", "status")),
    "a condition": Request("LearnerProgress", where="percent_complete ge 50"),
    "a condition next door": Request("LearnerProgress", where="learner/team_key eq 't'"),
    "expanded": Request("LearnerProgress", expand=(Expand("attempts_made"), Expand("module"))),
    "Learners": Request("Learners"),
    "Modules": Request("Modules", where="name gt 'xx'"),
    "Attempts": Request("Attempts"),
    "ProgressHistory": Request("ProgressHistory"),
}


def plan_of(request: Request, environment_id: int) -> Plan:
    """A plan whose pages are short."""
    return make_plan(request, a_caller(environment_id), _SETTINGS)


def first_token(store: Store, plan: Plan) -> tuple[dict[Any, Any], str]:
    """The rows of a whole walk by key, and the token for what comes later."""
    answer = run_plan(plan, store, now=NOON)
    rows = rows_of(answer)
    while answer.next is not None:
        answer = run_plan(replace(plan, after=answer.next), store, now=NOON)
        rows += rows_of(answer)
    token = delta_token(plan, store, answer)
    assert token is not None
    return {row[key_of(plan)]: row for row in rows}, token


def key_of(plan: Plan) -> str:
    """The name of the key."""
    return plan.dataset.key[0]


def replay(store: Store, plan: Plan, held: dict[Any, Any], token: str) -> tuple[str, int]:
    """Bring held rows up to date; the next token, and how many changes came."""
    told, pages = 0, 0
    while True:
        changes: Changes = run_delta(plan, store, token, now=NOON)
        for row in rows_of_changes(changes):
            held[row[key_of(plan)]] = row
        for key in changes.removed:
            del held[key]
        told += changes.row_count + len(changes.removed)
        pages += 1
        if changes.delta is not None:
            return changes.delta, told
        assert changes.next is not None
        token = changes.next


def rows_of_changes(changes: Changes) -> list[dict[str, Any]]:
    """The changed rows as the caller reads them."""
    rows: list[dict[str, Any]] = json.loads(b"[%b]" % changes.rows_json)
    return rows


@pytest.mark.parametrize("name", sorted(QUESTIONS))
@examples(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(rounds=ROUNDS)
def test_replayed_deltas_are_a_snapshot(store: Store, rounds: list[Any], name: str) -> None:
    environment_id = an_open_environment(store)
    plan = plan_of(QUESTIONS[name], environment_id)
    held, token = first_token(store, plan)
    for number, events in enumerate(rounds):
        apply_events(store, environment_id, events, start=number * 10)
        token, _ = replay(store, plan, held, token)
        now = rows_of(ask(store, QUESTIONS[name], environment_id=environment_id))
        assert held == {row[key_of(plan)]: row for row in now}
    _, told = replay(store, plan, held, token)
    assert told == 0


@examples(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(rounds=ROUNDS)
def test_a_delta_walked_while_data_changes_loses_nothing(store: Store, rounds: list[Any]) -> None:
    environment_id = an_open_environment(store)
    plan = plan_of(QUESTIONS["LearnerProgress"], environment_id)
    held, token = first_token(store, plan)
    for number, events in enumerate(rounds):
        apply_events(store, environment_id, events, start=number * 10)
        changes = run_delta(plan, store, token, now=NOON)
        held |= {row["assignment_id"]: row for row in rows_of_changes(changes)}
        for key in changes.removed:
            del held[key]
        token = changes.delta or changes.next or ""
    # The delta that was begun goes to its own revision first, the one after it to the newest.
    for _ in range(2):
        token, _ = replay(store, plan, held, token)
    assert replay(store, plan, held, token)[1] == 0
    now = rows_of(ask(store, QUESTIONS["LearnerProgress"], environment_id=environment_id))
    assert held == {row["assignment_id"]: row for row in now}


@pytest.mark.parametrize(
    "request_",
    [
        Request("LearnerProgress", top=3),
        Request("LearnerProgress", where="is_overdue"),
        Request("LearnerProgress", where="due_at lt now()"),
        Request("LearnerProgress", group=("status",)),
        Request("IngestionLag"),
        Request("Events"),
    ],
)
def test_a_question_whose_changes_cannot_be_told_gets_no_token(
    store: Store, request_: Request
) -> None:
    environment_id = an_open_environment(store)
    scopes = ("read", "operate")
    plan = make_plan(request_, a_caller(environment_id, *scopes), _SETTINGS)
    answer = run_plan(plan, store, now=NOON)
    assert delta_token(plan, store, answer) is None
    with pytest.raises(NotSupported):
        run_delta(plan, store, "x", now=NOON)


def test_a_token_is_bound_to_its_question_and_to_what_is_kept(store: Store) -> None:
    environment_id = an_open_environment(store)
    data = {"learner": "a", "module": "m", "module_type": "quest", "percent": 10}
    apply_events(store, environment_id, [("progress.advanced", data)], start=0)
    plan = plan_of(QUESTIONS["LearnerProgress"], environment_id)
    _, token = first_token(store, plan)
    with pytest.raises(BadToken):
        run_delta(plan_of(QUESTIONS["a condition"], environment_id), store, token, now=NOON)
    with pytest.raises(BadToken):
        run_delta(plan, store, f"{token[:-2]}xx", now=NOON)
    apply_events(store, environment_id, [("progress.advanced", data | {"percent": 20})], start=1)
    with transaction(store) as connection:
        forget_past(connection, environment_id, before=NOON.replace(year=2100))
    with pytest.raises(RevisionGone):
        run_delta(plan, store, token, now=NOON)
