"""Which streams a question touches: narrowed only where a condition truly restricts it."""

from dataclasses import replace

import pytest

from app.learning.modules import MODULE_TYPE_NAMES, STREAM_NAMES
from app.query.plan import make_plan
from app.query.request import Aggregate, Expand, Request
from tests.builders import a_caller, some_settings

ALL = set(MODULE_TYPE_NAMES)
OWN = {"assignments"}


def streams_of(request: Request) -> set[str]:
    return set(make_plan(request, a_caller(1), some_settings()).shape.streams)


def streams_where(condition: str) -> set[str]:
    return streams_of(Request("LearnerProgress", select=("status",), where=condition)) - OWN


def streams_leading(dataset: str, condition: str) -> set[str]:
    """The streams of a condition besides those of the module types."""
    return streams_of(Request(dataset, select=("changed_at",), where=condition)) - ALL


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("", ALL),
        ("score gt 5", ALL),
        ("module_type eq 'quest'", {"quest"}),
        ("'quest' eq module_type", {"quest"}),
        ("module_type in ('quest','ilt')", {"quest", "ilt"}),
        ("module_type eq 'quest' or module_type eq 'ilt'", {"quest", "ilt"}),
        ("module_type eq 'quest' and score gt 5", {"quest"}),
        ("module_type in ('quest','ilt') and module_type eq 'ilt'", {"ilt"}),
        ("module_type eq 'quest' and module_type eq 'ilt'", set()),
        ("(module_type eq 'quest' and score gt 1) or module_type eq 'ilt'", {"quest", "ilt"}),
        ("module_type eq 'quest' or score gt 5", ALL),
        ("module_type ne 'quest'", ALL),
        ("not (module_type eq 'quest')", ALL),
        ("not (module_type ne 'quest')", ALL),
        ("module_type eq null", ALL),
        ("module_type in ('quest',null)", ALL),
        ("module_type eq 'quest' or module_type eq null", ALL),
        ("(module_type eq 'quest') eq false", ALL),
    ],
)
def test_a_condition_narrows_only_where_it_restricts(condition: str, expected: set[str]) -> None:
    assert streams_where(condition) - {"catalog"} == expected
    # What type a module is of is the catalog's word.
    assert ("catalog" in streams_where(condition)) is ("module_type" in condition)


@pytest.mark.parametrize(
    "dataset",
    [
        "LearnerProgress",
        "Assignments",
        "ProgressHistory",
        "Attempts",
        "PartProgress",
        "SignOffs",
        "Points",
        "Activity",
    ],
)
def test_the_type_of_a_module_rests_on_the_catalog(dataset: str) -> None:
    by_type = Request(dataset, group=("module_type",), aggregates=(Aggregate("n", "count"),))
    for read in (
        Request(dataset, select=("module_type",)),
        Request(dataset, select=("changed_at",), order_text="module_type"),
        by_type,
    ):
        assert "catalog" in streams_of(read)
    plain = streams_of(Request(dataset, select=("changed_at",)))
    assert "catalog" not in plain
    narrowed = streams_of(replace(by_type, where="module_type eq 'quest'"))
    assert narrowed == plain - ALL | {"quest", "catalog"}


def test_the_type_that_events_state_rests_on_them_alone() -> None:
    for dataset in ("SessionAttendance", "Feedback"):
        assert streams_of(Request(dataset, where="module_type eq 'ilt'")) == {"ilt"}


@pytest.mark.parametrize(
    ("dataset", "condition", "expected"),
    [
        ("LearnerProgress", "lag/stream eq 'quest'", {"assignments", "catalog"}),
        ("Points", "assignment/status eq 'completed'", {"assignments"}),
        ("Points", "assignment/module_type eq 'quest'", {"assignments", "catalog"}),
        ("Points", "assignment/learner/status eq 'active'", {"assignments", "people"}),
        ("SessionAttendance", "session/instructor/status eq 'active'", {"catalog", "people"}),
    ],
)
def test_every_row_on_the_way_to_a_value_counts(
    dataset: str, condition: str, expected: set[str]
) -> None:
    assert streams_leading(dataset, condition) == expected


def test_sessions_are_filled_by_events_of_any_type_and_held_by_the_catalogs_word() -> None:
    for wanted in (("session_key",), ("enrolled_count",)):
        assert streams_of(Request("Sessions", select=wanted)) == ALL | {"catalog"}
    for condition, expected in (
        ("session/starts_at ne null", {"ilt", "catalog"}),
        ("session/attended_count gt 1", ALL | {"catalog"}),
    ):
        ilt = f"module_type eq 'ilt' and {condition}"
        held = Request("SessionAttendance", select=("status",), where=ilt)
        assert streams_of(held) == expected


def test_an_award_is_told_of_by_events_of_any_type() -> None:
    course = "module_type eq 'course'"
    awards = streams_of(Request("CertificationAwards", select=("learner_key",), where=course))
    assert awards == ALL
    with_status = Request("CertificationAwards", select=("status",), where=course)
    assert streams_of(with_status) == ALL | {"catalog"}
    expand = (Expand("awards", select=("learner_key",), where=course),)
    assert streams_of(Request("Learners", expand=expand)) == ALL | {"people"}
    behind = "awards/any(a:a/module_type eq 'course')"
    assert streams_of(Request("Learners", where=behind)) == ALL | {"people"}


def test_rows_behind_another_row_are_of_any_type() -> None:
    own = "module_type eq 'quest' and attempts_made/any()"
    assert streams_where(own) == {"quest", "catalog"}
    others = "module_type eq 'quest' and learner/progress/any(p:p/status eq 'failed')"
    assert streams_where(others) == ALL | {"catalog", "people"}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Request("LearnerProgress", select=("team_key",)), {"assignments", "people"}),
        (Request("LearnerProgress", select=("module_name",)), {"assignments", "catalog"}),
        (Request("LearnerProgress", select=("status",), order_text="module_name"), {"catalog"}),
        (Request("LearnerProgress", select=("status",), where="team_key eq 't'"), {"people"}),
        (Request("LearnerProgress", select=("status",), where="learner/status eq 'x'"), {"people"}),
        (
            Request("LearnerProgress", select=("status",), order_text="length(module/name)"),
            {"catalog"},
        ),
        (Request("LearnerProgress", select=("status",), expand=(Expand("learner"),)), {"people"}),
        (
            Request(
                "LearnerProgress",
                select=("status",),
                expand=(Expand("learner", expand=(Expand("manager"),)),),
            ),
            {"people"},
        ),
        (
            Request(
                "LearnerProgress",
                select=("status",),
                expand=(Expand("attempts_made", select=("score",), where="$it/team_key eq 't'"),),
            ),
            {"people"},
        ),
        (Request("LearnerProgress", group=("series_name",)), {"catalog"}),
        (Request("LearnerProgress", aggregates=(Aggregate("completed"),)), {"assignments"}),
    ],
)
def test_what_is_read_beside_the_rows_counts_too(request_: Request, expected: set[str]) -> None:
    assert streams_of(request_) - ALL - OWN == expected - OWN
    assert streams_of(request_) >= ALL


def test_an_aggregate_over_a_joined_field_touches_its_stream() -> None:
    counted = (Aggregate("teams", "distinct", "team_key"),)
    assert "people" in streams_of(Request("LearnerProgress", aggregates=counted))


def test_dimensions_touch_their_own_stream_only() -> None:
    assert streams_of(Request("Learners")) == {"people"}
    assert streams_of(Request("Series")) == {"catalog"}


def test_the_lag_is_about_every_stream_or_the_one_asked_for() -> None:
    assert streams_of(Request("IngestionLag")) == set(STREAM_NAMES)
    assert streams_of(Request("IngestionLag", key={"stream": "people"})) == {"people"}
