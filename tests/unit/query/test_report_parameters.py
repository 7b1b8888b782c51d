"""The built-in reports: their numbers by hand, their parameters checked, nothing injected."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from app.base.errors import BadOption, ScopeMissing, UnknownReport
from app.query.parameters import Report
from app.query.plan import make_plan
from app.query.reports import REPORTS, report_named, run_report
from app.store.engine import Store
from app.store.tables import Learner, Module, Progress
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

AS_OF = "2025-05-24T12:00:00Z"
DAY = timedelta(days=1)


@pytest.fixture
def environment_id(store: Store) -> int:
    """Ten assignments: each status once, and whatever the base leaves out."""
    number = an_environment(store)
    past, future = NOON - DAY, NOON + DAY
    modules = [a_module(1), a_module(2, status="archived", archived_at=past)]
    people = [*(a_learner(n) for n in range(1, 10)), a_learner(20, status="inactive")]
    assignments = [
        a_progress(1, status="completed", started_at=past, completed_at=past),
        a_progress(2, status="in_progress", started_at=past, due_at=past - DAY),
        a_progress(3, status="awaiting_review", started_at=past),
        a_progress(4, status="failed", started_at=past, failed_at=past),
        a_progress(5, status="waived", waived_at=past),
        a_progress(6),
        a_progress(7, started_at=future, completed_at=future, status="completed"),
        a_progress(8, ended_at=past),
        a_progress(9, assigned_at=future),
        a_progress(20, status="completed", completed_at=past),
        a_progress(30, learner_key="u1", module_key="m2", module_type="course"),
        a_progress(
            31,
            learner_key="u2",
            module_key="m2",
            module_type="course",
            status="completed",
            started_at=past - DAY,
            completed_at=past - DAY,
        ),
    ]
    for model, rows in ((Module, modules), (Learner, people), (Progress, assignments)):
        write_rows(store, model, rows, environment_id=number)
    return number


def run(
    store: Store, environment_id: int, name: str, given: Mapping[str, str]
) -> list[dict[str, Any]]:
    answer = run_report(
        name,
        {"as_of": AS_OF, **given},
        principal=a_caller(environment_id),
        store=store,
        settings=some_settings(),
    )
    return rows_of(answer)


def test_the_completion_summary_counts_as_a_person_would(store: Store, environment_id: int) -> None:
    quest, course = sorted(
        run(store, environment_id, "completion_summary", {}), key=lambda row: row["module_key"]
    )
    counts = {name: quest[name] for name in ("assigned", "completed", "waived", "failed")}
    assert counts == {"assigned": 7, "completed": 1, "waived": 1, "failed": 1}
    open_ = {name: quest[name] for name in ("not_started", "in_progress", "awaiting_review")}
    assert open_ == {"not_started": 2, "in_progress": 1, "awaiting_review": 1}
    assert quest["assigned_less_waived"] == 6
    assert (quest["started"], quest["completion_rate"], quest["started_rate"]) == (4, 1 / 6, 4 / 7)
    assert (course["module_name"], course["assigned"], course["completed"]) == ("Module 2", 1, 1)


def test_the_groups_of_a_summary_add_up_to_the_assigned(store: Store, environment_id: int) -> None:
    for by in ("module_type", "team_key", "module_key,module_name,module_type"):
        rows = run(store, environment_id, "completion_summary", {"by": by})
        parts = ["completed", "waived", "failed", "not_started", "in_progress", "awaiting_review"]
        assert all(row["assigned"] == sum(row[part] for part in parts) for row in rows)
        assert sum(row["assigned"] for row in rows) == 8


def test_learner_progress_has_a_row_for_each_assignment(store: Store, environment_id: int) -> None:
    rows = run(store, environment_id, "learner_progress", {})
    assert [row["assignment_id"] for row in rows] == [1, 2, 31, 3, 4, 5, 6, 7]
    assert {row["assignment_id"]: row["days_overdue"] for row in rows if row["is_overdue"]} == {
        2: 2
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"learner": "u2"}, [2, 31]),
        ({"module": "m2"}, [31]),
        ({"module_type": "course,ilt"}, [31]),
        ({"status": "completed,failed"}, [1, 31, 4, 7]),
        ({"team": "t9"}, []),
        ({"series": "s9"}, []),
        ({"manager": "u9"}, []),
        ({"module": "it's,m2"}, []),
        ({"module": "x') or (1 eq 1"}, []),
        ({"limit": "2"}, [1, 2]),
    ],
)
def test_parameters_narrow_the_rows(
    store: Store, environment_id: int, given: Mapping[str, str], expected: list[int]
) -> None:
    rows = run(store, environment_id, "learner_progress", given)
    assert [row["assignment_id"] for row in rows] == expected


def test_a_report_goes_on_by_its_token(store: Store, environment_id: int) -> None:
    given, found = {"as_of": AS_OF, "limit": "3"}, []
    while True:
        answer = run_report(
            "learner_progress",
            given,
            principal=a_caller(environment_id),
            store=store,
            settings=some_settings(),
        )
        found += [row["assignment_id"] for row in rows_of(answer)]
        if answer.next is None:
            break
        given = {**given, "next": answer.next}
    assert found == [1, 2, 31, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"modul": "m1"}, "Did you mean module"),
        ({"zzz": "1"}, "It takes"),
        ({"module_type": "quiz"}, "quest"),
        ({"by": "module_key,score"}, "module_key"),
        ({"limit": "0"}, "1 to 50000"),
        ({"limit": "50001"}, "1 to 50000"),
        ({"limit": "²"}, "1 to 50000"),
        ({"limit": "-1"}, "1 to 50000"),
        ({"as_of": "2025-05-24"}, "offset"),
        ({"as_of": "2025-05-24T10:00:00"}, "offset"),
        ({"as_of": "2025-05-24T10:00:00 02:00"}, "%2B"),
        ({"as_of": "soon"}, "a time with an offset"),
    ],
)
def test_a_wrong_parameter_is_told(
    store: Store, environment_id: int, given: Mapping[str, str], words: str
) -> None:
    with pytest.raises(BadOption) as refused:
        run(store, environment_id, "completion_summary", given)
    assert words in f"{refused.value.detail} {refused.value.hint}"


def test_an_unknown_report_gets_a_suggestion() -> None:
    with pytest.raises(UnknownReport) as refused:
        report_named("completion_sumary")
    assert "completion_summary" in str(refused.value.hint)


def test_a_report_needs_the_scope_of_its_dataset(store: Store, environment_id: int) -> None:
    with pytest.raises(ScopeMissing):
        run_report(
            "learner_progress",
            {},
            principal=a_caller(environment_id, "ingest"),
            store=store,
            settings=some_settings(),
        )


@pytest.mark.parametrize("report", REPORTS, ids=[report.name for report in REPORTS])
def test_every_report_is_described_and_can_be_planned(report: Report) -> None:
    texts = [report.description, report.formula, *(p.description for p in report.parameters)]
    assert all(text.endswith(".") for text in texts)
    names = [parameter.name for parameter in report.parameters]
    assert len(names) == len(set(names))
    plan = make_plan(report.request({}), a_caller(1), some_settings())
    assert plan.dataset.name == report.dataset
    for parameter in report.parameters:
        for word in parameter.values:
            make_plan(report.request({parameter.name: word}), a_caller(1), some_settings())
