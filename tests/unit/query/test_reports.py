"""The built-in reports, each against numbers reckoned by hand."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.base.errors import BadName, BadOption, UnknownReport
from app.query.reports import REPORTS, run_report
from app.store.engine import Store
from app.store.tables import Attempt, Learner, Module, Progress, Series, SeriesModule
from tests.builders import (
    NOON,
    a_caller,
    a_learner,
    a_module,
    a_progress,
    a_series,
    an_environment,
    rows_of,
    some_settings,
    write_rows,
)

AT = NOON.isoformat()


def before(**span: float) -> datetime:
    """A moment before the one the reports are for."""
    return NOON - timedelta(**span)


def run(store: Store, environment_id: int, name: str, **given: str) -> list[dict[str, Any]]:
    """The rows of a report at noon."""
    told = {"as_of": AT, **given}
    caller, settings = a_caller(environment_id), some_settings()
    answer = run_report(name, told, principal=caller, store=store, settings=settings)
    return rows_of(answer)


def fill(store: Store, assignments: list[dict[str, Any]], **others: Any) -> int:
    """An environment with eight learners, the last inactive, two modules and these assignments."""
    environment_id = an_environment(store)
    people = [a_learner(n, status="inactive" if n == 8 else "active") for n in range(1, 9)]
    modules = [a_module(1), a_module(2, module_type="quick_update", published_at=before(days=5))]
    for model, rows in (
        (Learner, people),
        (Module, modules),
        (Progress, assignments),
        (Series, others.get("series", [])),
        (SeriesModule, others.get("places", [])),
        (Attempt, others.get("attempts", [])),
    ):
        if rows:
            write_rows(store, model, rows, environment_id=environment_id)
    return environment_id


def test_completion_leaves_waived_out_or_takes_them_as_completed(store: Store) -> None:
    environment_id = fill(
        store,
        [
            a_progress(1, status="completed", started_at=before(days=2), completed_at=NOON),
            a_progress(2, status="waived", waived_at=before(days=1)),
            a_progress(3, status="in_progress", started_at=before(hours=1)),
            a_progress(4, assigned_at=NOON + timedelta(days=1)),
            a_progress(5, ended_at=before(days=1)),
            a_progress(8),
        ],
    )

    (row,) = run(store, environment_id, "completion_summary", by="module_type")
    assert row == {
        "module_type": "quest",
        "assigned": 3,
        "not_started": 0,
        "in_progress": 1,
        "awaiting_review": 0,
        "completed": 1,
        "failed": 0,
        "waived": 1,
        "assigned_less_waived": 2,
        "completion_rate": 0.5,
        "started": 2,
        "started_rate": pytest.approx(2 / 3),
    }
    given = {"waived": "as_completed", "inactive": "yes"}
    (row,) = run(store, environment_id, "completion_summary", by="module_key", **given)
    assert (row["completed_or_waived"], row["assigned"]) == (2, 4)
    assert row["completion_rate_with_waived"] == 0.5


def test_on_time_counts_what_is_decided_only(store: Store) -> None:
    environment_id = fill(
        store,
        [
            # Two days early; a day and a half late; open behind its date; open before its date.
            a_progress(1, due_at=before(days=1), completed_at=before(days=3)),
            a_progress(2, due_at=before(days=4), completed_at=before(days=2, hours=12)),
            a_progress(3, due_at=before(days=4)),
            a_progress(4, due_at=NOON + timedelta(days=4)),
            # Without a date; waived in time; completed after the moment asked for.
            a_progress(5, completed_at=before(days=1)),
            a_progress(6, due_at=before(days=1), waived_at=before(days=2)),
            a_progress(7, due_at=before(days=1), completed_at=NOON + timedelta(hours=1)),
        ],
    )

    (row,) = run(store, environment_id, "on_time", by="module_type")
    assert (row["on_time"], row["late"], row["decided"]) == (1, 3, 4)
    assert row["on_time_rate"] == 0.25
    assert row["median_days_late"] == -0.25
    (row,) = run(store, environment_id, "on_time", by="module_type", waived="as_completed")
    assert (row["on_time_with_waived"], row["decided_with_waived"]) == (2, 5)
    assert row["on_time_rate_with_waived"] == 0.4


def test_on_time_by_the_month_it_was_due_in_the_zone(store: Store) -> None:
    moment = datetime.fromisoformat("2025-04-30T20:00:00+00:00")
    environment_id = fill(store, [a_progress(1, due_at=moment)])

    for zone, month in (("UTC", "2025-04-01"), ("Asia/Kolkata", "2025-05-01")):
        (row,) = run(store, environment_id, "on_time", by="due_month", timezone=zone)
        assert (row["due_month"], row["late"]) == (month, 1)


def test_overdue_is_told_apart_by_days_of_the_zone(store: Store) -> None:
    environment_id = fill(
        store,
        [
            a_progress(1, due_at=before(hours=1)),
            # Due at 23:30 of the seventh day before; in Kolkata that is 05:00 of the sixth.
            a_progress(2, due_at=datetime.fromisoformat("2025-05-16T23:30:00+00:00")),
            a_progress(3, due_at=before(days=30)),
            a_progress(4, due_at=before(days=31)),
            a_progress(5, due_at=before(days=9), completed_at=before(days=1)),
            a_progress(6, due_at=NOON + timedelta(days=7)),
            a_progress(7, due_at=NOON + timedelta(days=8)),
        ],
    )

    (row,) = run(store, environment_id, "overdue", by="module_key", timezone="UTC")
    assert (row["overdue"], row["assigned"], row["overdue_rate"]) == (4, 7, pytest.approx(4 / 7))
    assert (row["overdue_1_7"], row["overdue_8_30"], row["overdue_31"]) == (1, 2, 1)
    assert (row["most_days_overdue"], row["due_soon"]) == (31, 1)
    given = {"timezone": "Asia/Kolkata", "due_within": "8"}
    (row,) = run(store, environment_id, "overdue", by="module_key", **given)
    assert (row["overdue_1_7"], row["overdue_8_30"], row["overdue_31"]) == (2, 1, 1)
    assert row["due_soon"] == 2


def test_scores_are_averaged_over_assignments_by_the_attempt_asked_for(store: Store) -> None:
    scores = [(10.0, 50.0, 60.0), (20.0, 60.0, 60.0), (30.0, 70.0, 70.0), (100.0, 100.0, 100.0)]
    environment_id = fill(
        store,
        [
            a_progress(
                n, first_score_percent=first, last_score_percent=last, best_score_percent=best
            )
            for n, (first, last, best) in enumerate(scores, start=1)
        ]
        + [a_progress(5)],
    )

    (row,) = run(store, environment_id, "scores", by="module_type")
    assert (row["score_total_last"], row["scored_last"]) == (280, 4)
    assert row["average_score_last"] == 70
    assert (row["median_score"], row["p10_score"], row["p90_score"]) == (65, 53, 91)
    assert row["score_deviation"] == pytest.approx(18.708287)
    (row,) = run(store, environment_id, "scores", by="module_type", attempt="first")
    assert (row["average_score_first"], row["median_score"]) == (40, 25)


def test_passing_is_told_of_all_attempts_and_of_the_first(store: Store) -> None:
    done = before(days=1)
    two = {"attempts": 2, "first_score_percent": 40.0}
    environment_id = fill(
        store,
        [
            a_progress(1, passed=True, completed_at=done, attempts=1),
            a_progress(2, passed=True, completed_at=done, last_score_percent=90.0, **two),
            a_progress(3, passed=False, failed_at=done, last_score_percent=50.0, **two),
            a_progress(4, attempts=0),
        ],
        attempts=[
            {"attempt_id": 1, "assignment_id": 1, "attempt": 1, "passed": False, "voided": True},
            {"attempt_id": 2, "assignment_id": 1, "attempt": 2, "passed": True},
            {"attempt_id": 3, "assignment_id": 2, "attempt": 1, "passed": False},
            {"attempt_id": 4, "assignment_id": 2, "attempt": 2, "passed": True},
            {"attempt_id": 5, "assignment_id": 3, "attempt": 1, "passed": False},
        ],
    )

    (row,) = run(store, environment_id, "pass_rate", by="module_type")
    assert (row["passed"], row["not_passed"], row["judged"]) == (2, 1, 3)
    assert row["pass_rate"] == pytest.approx(2 / 3)
    assert (row["first_attempts_passed"], row["first_attempts_judged"]) == (1, 3)
    assert row["first_attempt_pass_rate"] == pytest.approx(1 / 3)
    assert (row["attempts_of_passed"], row["attempts_to_pass"]) == (3, 1.5)
    assert (row["score_gain_total"], row["retried"], row["improvement"]) == (60, 2, 30)


def test_a_series_waits_for_its_first_open_required_module(store: Store) -> None:
    inside = {"series_key": "s1", "learner_key": "u1"}
    environment_id = fill(
        store,
        [
            a_progress(1, completed_at=before(days=1), **inside),
            a_progress(2, module_key="m2", due_at=before(days=1), **inside),
            a_progress(3, module_key="m3", **inside),
            a_progress(4, module_key="m4", waived_at=before(days=1), **inside),
            a_progress(5, learner_key="u1"),
        ],
        series=[a_series(1)],
        places=[
            {"series_key": "s1", "module_key": f"m{n}", "position": n, "required": n != 3}
            for n in (1, 2, 3, 4)
        ],
    )

    (row,) = run(store, environment_id, "series_progress")
    assert (row["series_name"], row["learner_key"]) == ("Series 1", "u1")
    assert (row["required_completed"], row["required"], row["required_rate"]) == (1, 2, 0.5)
    assert (row["required_overdue"], row["blocked_by"]) == (1, 2)
    (row,) = run(store, environment_id, "series_progress", waived="as_completed")
    assert (row["required_or_waived"], row["required_in_all"]) == (2, 3)


def test_a_quick_update_reaches_those_who_saw_it_in_time(store: Store) -> None:
    update = {"module_key": "m2", "module_type": "quick_update"}
    environment_id = fill(
        store,
        [
            a_progress(1, started_at=before(days=4), **update),
            a_progress(2, started_at=before(days=3), **update),
            a_progress(3, completed_at=before(days=1), **update),
            a_progress(4, started_at=NOON + timedelta(hours=1), **update),
            a_progress(5, started_at=before(days=4)),
        ],
    )

    (row,) = run(store, environment_id, "quick_update_reach", by="module_key")
    assert (row["viewed"], row["assigned"], row["viewed_rate"]) == (3, 4, 0.75)
    assert (row["viewed_24h"], row["viewed_24h_rate"]) == (1, 0.25)
    assert (row["viewed_72h"], row["viewed_72h_rate"]) == (2, 0.5)
    assert row["median_hours_to_view"] == 48


def test_engagement_counts_learners_and_not_assignments(store: Store) -> None:
    environment_id = fill(
        store,
        [
            a_progress(1, learner_key="u1", last_activity_at=before(hours=24)),
            a_progress(2, learner_key="u1", last_activity_at=before(days=20), module_key="m2"),
            a_progress(3, last_activity_at=before(days=7, seconds=1)),
            a_progress(4, last_activity_at=before(days=15)),
            a_progress(5, last_activity_at=before(days=15), completed_at=before(days=15)),
            a_progress(6),
        ],
    )

    (row,) = run(store, environment_id, "engagement")
    assert row["learners"] == 5
    assert (row["active_1d"], row["active_7d"], row["active_30d"]) == (1, 1, 4)
    assert row["at_risk"] == 2
    (row,) = run(store, environment_id, "engagement", silent_days="7")
    assert row["at_risk"] == 3


def test_an_audit_shows_ended_assignments_and_inactive_learners(store: Store) -> None:
    ended = {"ended_at": before(days=1), "end_reason": "removed", "rule": "new-hires"}
    environment_id = fill(store, [a_progress(8, reason="rule", **ended), a_progress(1)])

    rows = run(store, environment_id, "assignment_audit")
    assert [row["learner_key"] for row in rows] == ["u1", "u8"]
    assert (rows[1]["end_reason"], rows[1]["rule"]) == ("removed", "new-hires")


def test_completeness_has_a_row_for_each_stream_asked(store: Store) -> None:
    environment_id = fill(store, [a_progress(1)])

    rows = run(store, environment_id, "data_completeness", stream="quest,people")
    assert sorted(row["stream"] for row in rows) == ["people", "quest"]
    assert {row["verdict"] for row in rows} == {"unknown"}


@pytest.mark.parametrize("report", REPORTS, ids=[report.name for report in REPORTS])
def test_every_report_answers_an_empty_environment_and_every_way_to_group(
    store: Store, report: Any
) -> None:
    environment_id = an_environment(store)
    given = {"as_of": AT, "timezone": "Europe/Berlin"}
    ways = [p.values for p in report.parameters if p.name == "by"]
    assert run(store, environment_id, report.name, **given) == [] or not ways
    write_rows(store, Progress, [a_progress(1)], environment_id=environment_id)
    for by in ways[0] if ways else ():
        run(store, environment_id, report.name, by=by, **given)


def test_a_wrong_parameter_is_refused_with_the_nearest(store: Store) -> None:
    environment_id = an_environment(store)
    with pytest.raises(UnknownReport):
        run(store, environment_id, "on_tim")
    for given in (
        {"wavied": "excluded"},
        {"waived": "yes"},
        {"by": "status"},
        {"limit": "0"},
    ):
        with pytest.raises(BadOption):
            run(store, environment_id, "on_time", **given)
    with pytest.raises(BadName):
        run(store, environment_id, "on_time", timezone="Mars/Olympus")
    with pytest.raises(BadOption):
        run(store, environment_id, "overdue", due_within="x")


def test_the_documentation_tells_every_report_and_no_other() -> None:
    text = (Path(__file__).parents[3] / "docs/reports.md").read_text()
    told = [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")]

    assert told == [report.name for report in REPORTS]
    for report in REPORTS:
        assert report.formula in text
        listed = text.partition(f"### {report.name}\n")[2].partition("Parameters: ")[2]
        for parameter in report.parameters:
            assert f"`{parameter.name}`" in listed.partition("\n")[0]
