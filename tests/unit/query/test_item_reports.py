"""Questions and history, against numbers reckoned by hand."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from app.base.errors import BadOption
from app.query.reports import run_report
from app.store.engine import Store
from app.store.tables import Learner, Part, PartProgress, Progress, ProgressHistory
from tests.builders import (
    NOON,
    a_caller,
    a_learner,
    a_progress,
    an_environment,
    rows_of,
    some_settings,
    write_rows,
)


def before(**span: float) -> datetime:
    """A moment before the one the reports are for."""
    return NOON - timedelta(**span)


def run(store: Store, environment_id: int, name: str, **given: str) -> list[dict[str, Any]]:
    """The rows of a report at noon."""
    told = {"as_of": NOON.isoformat(), **given}
    caller, settings = a_caller(environment_id), some_settings()
    answer = run_report(name, told, principal=caller, store=store, settings=settings)
    return rows_of(answer)


# Questions


def an_answer(number: int, learner: int, part: str, **said: Any) -> dict[str, Any]:
    """A question done an hour before."""
    row = {
        "part_progress_id": number,
        "assignment_id": learner,
        "part_key": part,
        "status": "done",
        "reached_at": before(hours=2),
        "done_at": before(hours=1),
    }
    return row | said


def fill_questions(store: Store) -> int:
    """Four learners with scores 20, 40, 60 and 80 and their answers; a fifth who is inactive."""
    environment_id = an_environment(store)
    test = {"module_key": "q1", "module_type": "assessment"}
    people = [a_learner(n, status="inactive" if n == 5 else "active") for n in range(1, 6)]
    assignments = [a_progress(n, last_score_percent=20.0 * n, **test) for n in range(1, 6)]
    wrong = {"status": "rejected", "done_at": None}
    answers = [
        # Only the two better ones know the first: x = 0 0 1 1, y = 20 40 60 80.
        an_answer(1, 1, "p1", **wrong, time_spent_s=10),
        an_answer(2, 2, "p1", score=1.0, time_spent_s=20),
        an_answer(3, 3, "p1", score=2.0, time_spent_s=60),
        an_answer(4, 4, "p1", points=2.0),
        an_answer(5, 5, "p1", score=2.0, time_spent_s=1),
        # All know the second, whose points nobody knows.
        *(an_answer(10 + n, n, "p2", score=0.5) for n in (1, 2, 3)),
        # The third: done without a score, reached only, done later than asked for.
        an_answer(20, 1, "p3"),
        an_answer(21, 2, "p3", status="reached", done_at=None),
        an_answer(22, 3, "p3", done_at=NOON + timedelta(hours=1)),
        an_answer(23, 4, "p3", score=0.0),
    ]
    parts = [
        {
            "part_id": n,
            "module_key": "q1",
            "part_key": f"p{n}",
            "part_type": "question",
            "max_points": most,
        }
        for n, most in ((1, 2.0), (2, None))
    ]
    for model, rows in (
        (Learner, people),
        (Progress, [*assignments, a_progress(9, learner_key="u1")]),
        (Part, parts),
        (PartProgress, [*answers, an_answer(30, 9, "stage")]),
    ):
        write_rows(store, model, rows, environment_id=environment_id)
    return environment_id


def test_questions_are_hard_or_easy_and_tell_learners_apart(store: Store) -> None:
    first, second, third = run(store, fill_questions(store), "item_analysis")

    assert (first["part_key"], first["answered"], first["correct"]) == ("p1", 4, 2)
    assert first["difficulty"] == 0.5
    # Covariance 10, deviations 0.5 and the root of 500: 10 / (0.5 x 22.360680) = 0.894427.
    assert first["discrimination"] == 0.894427
    assert first["median_seconds"] == 20
    assert (second["answered"], second["difficulty"]) == (3, 1)
    assert (second["discrimination"], second["median_seconds"]) == (None, None)
    assert (third["answered"], third["correct"], third["difficulty"]) == (2, 1, 0.5)
    # The one of 20 knows it, the one of 80 does not.
    assert third["discrimination"] == -1


def test_other_parts_are_analysed_when_asked_for(store: Store) -> None:
    environment_id = fill_questions(store)

    (row,) = run(store, environment_id, "item_analysis", module_type="quest")
    assert (row["part_key"], row["answered"]) == ("stage", 1)
    (row, *_) = run(store, environment_id, "item_analysis", inactive="yes")
    assert (row["answered"], row["correct"]) == (5, 3)


# History


def a_step(number: int, assignment: int, status: str, **said: Any) -> dict[str, Any]:
    """What has held for ten days and been known as long."""
    row = {
        "history_id": number,
        "assignment_id": assignment,
        "status": status,
        "percent_complete": 0.0,
        "valid_from": before(days=10),
        "known_from": before(days=10),
    }
    return row | said


def fill_history(store: Store) -> int:
    """One assignment that never changed, one corrected later, one that was late news."""
    environment_id = an_environment(store)
    late = before(days=1)
    steps = [
        a_step(1, 1, "in_progress"),
        # Believed open until a day ago; then a completion of five days ago came in.
        a_step(2, 2, "in_progress", known_to=late),
        a_step(3, 2, "in_progress", known_from=late, valid_to=before(days=5)),
        a_step(4, 2, "completed", known_from=late, valid_from=before(days=5)),
        # Nothing was known of the third before.
        a_step(5, 3, "failed", known_from=late, valid_from=before(days=6)),
        # Over before the moment asked for.
        a_step(6, 1, "not_started", valid_from=before(days=12), valid_to=before(days=10)),
    ]
    for model, rows in (
        (Progress, [a_progress(n) for n in (1, 2, 3)]),
        (ProgressHistory, steps),
    ):
        write_rows(store, model, rows, environment_id=environment_id)
    return environment_id


def test_what_was_known_then_stands_beside_what_is_known_now(store: Store) -> None:
    environment_id = fill_history(store)
    then = before(days=2).isoformat()

    rows = run(store, environment_id, "compliance_as_of", as_of=then)
    assert [(row["learner_key"], row["status"]) for row in rows] == [
        ("u1", "in_progress"),
        ("u2", "in_progress"),
        ("u2", "completed"),
        ("u3", "failed"),
    ]
    known_then = [row["known_from"] <= "2025-05-22T12" for row in rows]
    known_now = [row["known_to"] is None for row in rows]
    assert known_then == [True, True, False, False]
    assert known_now == [True, False, True, True]


def test_as_known_today_nothing_is_told_twice(store: Store) -> None:
    environment_id = fill_history(store)
    given = {"as_of": before(days=2).isoformat(), "known_at": NOON.isoformat()}

    rows = run(store, environment_id, "compliance_as_of", **given)
    assert [(row["learner_key"], row["status"]) for row in rows] == [
        ("u1", "in_progress"),
        ("u2", "completed"),
        ("u3", "failed"),
    ]
    (row,) = run(store, environment_id, "compliance_as_of", **given, status="completed")
    assert row["learner_key"] == "u2"
    with pytest.raises(BadOption):
        run(store, environment_id, "compliance_as_of", known_at="yesterday")
