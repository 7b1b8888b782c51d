"""Reports over single facts, each against numbers reckoned by hand."""

from datetime import datetime, timedelta
from typing import Any

from app.query.reports import run_report
from app.store.engine import Store
from app.store.tables import (
    Activity,
    Enrolment,
    Learner,
    Module,
    PointsEntry,
    Progress,
    Signoff,
    TrainingSession,
)
from tests.builders import (
    NOON,
    a_caller,
    a_learner,
    a_module,
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


def fill(store: Store, *others: tuple[Any, list[dict[str, Any]]], **first: Any) -> int:
    """An environment with four assignments of a learner each, the last one inactive."""
    environment_id = an_environment(store)
    people = [a_learner(n, status="inactive" if n == 4 else "active") for n in (1, 2, 3, 4)]
    assignments = [a_progress(n, **(first if n == 1 else {})) for n in (1, 2, 3, 4)]
    modules = [a_module(1)]
    for model, rows in ((Learner, people), (Module, modules), (Progress, assignments), *others):
        write_rows(store, model, rows, environment_id=environment_id)
    return environment_id


def test_a_course_loses_learners_on_the_way(store: Store) -> None:
    course = {"module_type": "course", "module_key": "c1"}
    environment_id = an_environment(store)
    rows = [
        a_progress(1, **course),
        a_progress(2, started_at=before(days=1), percent_complete=30.0, **course),
        a_progress(3, started_at=before(days=1), percent_complete=75.0, **course),
        a_progress(
            4, started_at=before(days=1), completed_at=before(hours=1), passed=True, **course
        ),
        a_progress(5),
    ]
    write_rows(store, Progress, rows, environment_id=environment_id)

    (row,) = run(store, environment_id, "course_funnel")
    assert (row["module_key"], row["assigned"], row["started"]) == ("c1", 4, 3)
    assert (row["reached_25"], row["reached_50"], row["reached_75"]) == (3, 2, 2)
    assert (row["completed"], row["completion_rate"], row["passed"]) == (1, 0.25, 1)


def test_time_is_told_per_starter_and_per_completer(store: Store) -> None:
    stretches = [(1, 600), (1, 0), (2, 1200), (4, 999)]
    rows = [
        {
            "activity_id": n,
            "assignment_id": assignment_id,
            "started_at": before(days=n),
            "counted_s": counted,
        }
        for n, (assignment_id, counted) in enumerate(stretches, start=1)
    ]
    environment_id = fill(store, (Activity, rows), completed_at=before(hours=1))

    (row,) = run(store, environment_id, "time_spent", by="module_key")
    assert (row["time_spent_s"], row["starters"], row["seconds_per_starter"]) == (1800, 2, 900)
    assert (row["completers_time_s"], row["seconds_per_completer"]) == (600, 600)
    days = run(store, environment_id, "time_spent", by="started_day", inactive="yes")
    assert [(day["started_day"], day["time_spent_s"]) for day in days] == [
        ("2025-05-20", 999),
        ("2025-05-21", 1200),
        ("2025-05-22", 0),
        ("2025-05-23", 600),
    ]


def test_attendance_leaves_the_excused_out(store: Store) -> None:
    outcomes = ("attended", "partial", "no_show", "excused", None, "attended")
    environment_id = an_environment(store)
    places: list[dict[str, Any]] = [
        {
            "enrolment_id": n,
            "module_key": "m1",
            "session_key": "s1",
            "learner_key": f"u{n}",
            "status": "registered",
            "outcome": outcome,
            "marked_at": None if outcome is None else before(hours=1),
        }
        for n, outcome in enumerate(outcomes, start=1)
    ]
    places[-1]["marked_at"] = NOON + timedelta(hours=1)
    places.append(
        {
            **places[4],
            "enrolment_id": 7,
            "learner_key": "u7",
            "status": "unenrolled",
            "unenrolled_at": before(days=1),
            "is_late": True,
        }
    )
    session = {"session_id": 1, "module_key": "m1", "session_key": "s1", "ends_at": before(hours=2)}
    write_rows(store, TrainingSession, [session], environment_id=environment_id)
    write_rows(store, Enrolment, places, environment_id=environment_id)

    (row,) = run(store, environment_id, "ilt_attendance")
    assert (row["marked"], row["excused"], row["expected"]) == (4, 1, 3)
    assert (row["attended"], row["attendance_rate"]) == (2, 2 / 3)
    assert (row["no_shows"], row["no_show_rate"]) == (1, 1 / 3)
    assert (row["unmarked"], row["late_cancellations"]) == (2, 1)


def test_signing_off_takes_its_time(store: Store) -> None:
    rounds = [
        (1, 1, "approved", 10, 8),
        (2, 1, "rejected", 10, 6),
        (2, 2, "approved", 5, 4),
        (3, 1, None, 3, None),
    ]
    rows = [
        {
            "signoff_id": n,
            "assignment_id": assignment_id,
            "part_key": "p1",
            "round": number,
            "decision": decision,
            "submitted_at": before(hours=submitted),
            "decided_at": None if decided is None else before(hours=decided),
        }
        for n, (assignment_id, number, decision, submitted, decided) in enumerate(rounds, start=1)
    ]
    environment_id = fill(store, (Signoff, rows), module_type="quest")

    (row,) = run(store, environment_id, "checklist_signoff", module_type="quest")
    assert (row["approved"], row["pending"]) == (2, 1)
    assert row["oldest_pending_at"] == "2025-05-24T09:00:00.000000Z"
    assert (row["rejected"], row["decided"], row["rejected_rate"]) == (1, 3, 1 / 3)
    assert (row["first_rounds_approved"], row["first_rounds_decided"]) == (1, 2)
    assert row["right_first_time_rate"] == 0.5
    assert (row["median_hours_to_decide"], row["p90_hours_to_decide"]) == (2, 3.6)
    assert run(store, environment_id, "checklist_signoff") == []


def test_the_leader_has_most_points_or_had_them_first(store: Store) -> None:
    entries = [(1, 10.0, 3), (1, 5.0, 2), (2, 15.0, 4), (3, 20.0, -1), (3, 1.0, 1), (4, 99.0, 1)]
    rows = [
        {
            "entry_id": n,
            "assignment_id": assignment_id,
            "points": points,
            "awarded_at": before(hours=hours),
        }
        for n, (assignment_id, points, hours) in enumerate(entries, start=1)
    ]
    environment_id = fill(store, (PointsEntry, rows))

    found = run(store, environment_id, "quest_leaderboard")
    assert [(row["learner_key"], row["points"]) for row in found] == [
        ("u2", 15),
        ("u1", 15),
        ("u3", 1),
    ]
