"""Walks and deltas beside a writer: each walk is one revision exactly, and replayed deltas are a
snapshot, in whatever order the threads come.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random
from typing import Any

from app.query.answer import run_plan
from app.query.delta import run_delta
from app.query.plan import Plan, make_plan
from app.query.request import Request
from app.store.engine import Store
from tests.builders import NOON, a_caller, ask, rows_of, some_settings
from tests.property.test_delta import first_token, replay, rows_of_changes
from tests.property.test_revisions import an_open_environment, apply_events, newest_revision

_SETTINGS = some_settings(limit_page_rows=2)
_QUESTION = Request("LearnerProgress", where="percent_complete lt 80")
_ROUNDS = 12
_SEED = 11

Rows = dict[Any, dict[str, Any]]


def some_events(chance: Random) -> list[tuple[str, dict[str, Any]]]:
    """Progress of a few learners, and a module's new name, which shows in all its rows."""
    events: list[tuple[str, dict[str, Any]]] = [
        (
            "progress.advanced",
            {
                "learner": chance.choice("abcdef"),
                "module": chance.choice("mn"),
                "module_type": "quest",
                "percent": chance.randrange(100),
            },
        )
        for _ in range(4)
    ]
    name = chance.choice("XYZ")
    data = {"module": chance.choice("mn"), "module_type": "quest", "name": name}
    return [*events, ("module.upserted", data)]


def rows_at(store: Store, environment_id: int, **said: Any) -> Rows:
    """All rows of the question by key, in one page."""
    rows = rows_of(ask(store, replace(_QUESTION, **said), environment_id=environment_id))
    return {row["assignment_id"]: row for row in rows}


def walk_once(store: Store, environment_id: int) -> tuple[int, Rows]:
    """The rows of a walk in short pages, and the one revision that all of them told."""
    plan = make_plan(_QUESTION, a_caller(environment_id), _SETTINGS)
    revisions, rows, after = set(), [], ""
    while True:
        answer = run_plan(replace(plan, after=after), store, now=NOON)
        revisions.add(answer.revision)
        assert answer.freshness.revision == answer.revision
        rows += rows_of(answer)
        if answer.next is None:
            break
        after = answer.next
    (revision,) = revisions
    found = {row["assignment_id"]: row for row in rows}
    assert len(found) == len(rows)
    return revision, found


def follow_changes(
    store: Store, plan: Plan, is_over: threading.Event, seen: list[tuple[int, Rows]]
) -> tuple[Rows, str]:
    """Rows kept up to date by deltas until the writer is done, and the token to go on with."""
    held, token = first_token(store, plan)
    while not is_over.is_set():
        changes = run_delta(plan, store, token, now=NOON)
        held |= {row["assignment_id"]: row for row in rows_of_changes(changes)}
        for key in changes.removed:
            del held[key]
        token = changes.delta or changes.next or ""
        if changes.delta is not None:
            seen.append((changes.revision, dict(held)))
    return held, token


def test_walks_and_deltas_beside_a_writer_are_of_one_revision_each(store: Store) -> None:
    environment_id = an_open_environment(store)
    chance = Random(_SEED)
    apply_events(store, environment_id, some_events(chance), start=0)
    is_over = threading.Event()
    seen: list[tuple[int, Rows]] = []
    written: dict[int, Rows] = {}

    def write() -> None:
        try:
            for number in range(1, _ROUNDS + 1):
                apply_events(store, environment_id, some_events(chance), start=number * 10)
                written[newest_revision(store, environment_id)] = rows_at(store, environment_id)
        finally:
            is_over.set()

    def walk() -> None:
        while not is_over.is_set():
            seen.append(walk_once(store, environment_id))

    plan = make_plan(_QUESTION, a_caller(environment_id), _SETTINGS)

    def follow() -> tuple[Rows, str]:
        return follow_changes(store, plan, is_over, seen)

    tasks: list[Callable[[], Any]] = [write, walk, walk, follow, follow]
    with ThreadPoolExecutor(len(tasks)) as pool:
        _, _, _, *followers = [task.result() for task in [pool.submit(t) for t in tasks]]
    newest = rows_at(store, environment_id)
    for held, token in followers:
        # A delta that was begun goes to its own revision, the next one to the newest.
        last = replay(store, plan, held, replay(store, plan, held, token)[0])[0]
        assert held == newest
        assert replay(store, plan, held, last)[1] == 0
    assert len(written) == _ROUNDS
    assert seen
    for revision, rows in seen:
        assert rows == rows_at(store, environment_id, revision=revision), revision
        assert rows == written.get(revision, rows), revision
