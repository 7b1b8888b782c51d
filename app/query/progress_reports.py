"""Reports over the assignments of base A(T): how far, how well, how soon."""

from collections.abc import Mapping

from app.catalog.datasets.progress_measures import SCORES
from app.catalog.enumerations import STATUS
from app.query.parameters import (
    COMMON,
    WAIVED,
    Parameter,
    Report,
    base_of,
    filter_by,
    group_request,
    grouping,
    paging,
    parse_count,
)
from app.query.request import Aggregate, Order, Request

_BY_MODULE = "module_key,module_name,module_type"
_BASE = (
    "Base A(T): assignments with assigned_at <= T, not ended at T, learner active (all with"
    " inactive=yes), module not archived or completed before it was."
)
_ZERO = "A zero denominator gives null."


def _completion_summary(given: Mapping[str, str]) -> Request:
    rate = "completion_rate"
    if given.get("waived") == "as_completed":
        rate = "completion_rate_with_waived"
    return group_request(
        given,
        by=_BY_MODULE,
        numbers=(
            "assigned",
            "not_started",
            "in_progress",
            "awaiting_review",
            "completed",
            "failed",
            "waived",
            rate,
            "started_rate",
        ),
    )


def _learner_progress(given: Mapping[str, str]) -> Request:
    return Request(
        "LearnerProgress",
        select=(
            "assignment_id",
            "learner_key",
            "module_key",
            "module_name",
            "module_type",
            "series_key",
            "team_key",
            "manager_key",
            "cycle",
            "status",
            "percent_complete",
            "assigned_at",
            "started_at",
            "completed_at",
            "due_at",
            "is_overdue",
            "days_overdue",
            "score",
            "max_score",
            "best_score_percent",
            "passed",
            "attempts",
            "time_spent_s",
            "changed_at",
        ),
        where=filter_by(given, base=base_of(given)),
        order=(Order("learner_key"), Order("module_key"), Order("cycle")),
        **paging(given),
    )


def _on_time(given: Mapping[str, str]) -> Request:
    as_completed = given.get("waived") == "as_completed"
    late = Aggregate("median_days_late", function="median", field="days_late")
    numbers = ("late_with_waived", "on_time_rate_with_waived") if as_completed else ()
    return group_request(
        given, by=_BY_MODULE, numbers=(*(numbers or ("late", "on_time_rate")), late)
    )


def _overdue(given: Mapping[str, str]) -> Request:
    within = parse_count(given, "due_within", default=7, most=10_000)
    return group_request(
        given,
        by="learner_key,manager_key,module_key,module_name",
        numbers=(
            "overdue_rate",
            "overdue_1_7",
            "overdue_8_30",
            "overdue_31",
            Aggregate("most_days_overdue", function="max", field="overdue_days"),
            Aggregate("due_soon", where=f"days_to_due le {within}", label="Due soon"),
        ),
    )


def _scores(given: Mapping[str, str]) -> Request:
    policy = given.get("attempt", "last")
    spread = (("median_score", "median"), ("p10_score", "p10"), ("p90_score", "p90"))
    return group_request(
        given,
        by=_BY_MODULE,
        numbers=(
            f"average_score_{policy}",
            *(
                Aggregate(name, function=function, field=f"{policy}_score_percent")
                for name, function in (*spread, ("score_deviation", "deviation"))
            ),
        ),
    )


def _pass_rate(given: Mapping[str, str]) -> Request:
    numbers = (
        "passed",
        "not_passed",
        "pass_rate",
        "first_attempt_pass_rate",
        "attempts_to_pass",
        "improvement",
    )
    return group_request(given, by=_BY_MODULE, numbers=numbers)


def _series_progress(given: Mapping[str, str]) -> Request:
    rate = "required_rate"
    if given.get("waived") == "as_completed":
        rate = "required_rate_with_waived"
    return group_request(
        given,
        by="series_key,series_name,learner_key",
        numbers=(rate, "required_overdue", "blocked_by"),
        where="series_key ne null",
    )


def _quick_update_reach(given: Mapping[str, str]) -> Request:
    return group_request(
        given,
        by="module_key,module_name,team_key",
        numbers=(
            "viewed_rate",
            "viewed_24h_rate",
            "viewed_72h_rate",
            Aggregate("median_hours_to_view", function="median", field="hours_to_view"),
        ),
        where="module_type eq 'quick_update'",
    )


def _engagement(given: Mapping[str, str]) -> Request:
    days = parse_count(given, "silent_days", default=14, most=10_000)
    at_risk = Aggregate(
        "at_risk",
        function="distinct",
        field="learner_key",
        where=f"silent_days gt {days} and not (completed_at le @as_of or waived_at le @as_of)",
        label="At risk",
    )
    return group_request(
        given,
        by="module_type",
        numbers=("learners", "active_1d", "active_7d", "active_30d", at_risk),
    )


def _course_funnel(given: Mapping[str, str]) -> Request:
    reached = (
        Aggregate(
            f"reached_{share}",
            where=f"percent_complete ge {share} or completed_at le @as_of",
            label=f"Reached {share} %",
        )
        for share in (25, 50, 75)
    )
    return group_request(
        given,
        by="module_key,module_name",
        numbers=("started_rate", *reached, "completion_rate", "passed"),
        where="module_type eq 'course'",
    )


PROGRESS_REPORTS: tuple[Report, ...] = (
    Report(
        "completion_summary",
        "Completion summary",
        "How many of those assigned have started and completed, by module or any other dimension.",
        f"{_BASE} completion_rate = completed / (assigned - waived); with waived=as_completed,"
        " (completed + waived) / assigned; started_rate = started / assigned."
        f" {_ZERO} Each rate stands beside its numerator and denominator.",
        "LearnerProgress",
        (grouping(_BY_MODULE), WAIVED, *COMMON),
        _completion_summary,
    ),
    Report(
        "learner_progress",
        "Learner progress",
        "Where each learner stands with each assignment.",
        f"{_BASE} One row per assignment cycle. is_overdue: due before T, and by T neither"
        " completed, waived nor ended; days_overdue: whole days of 24 hours from due_at to T.",
        "LearnerProgress",
        (Parameter("status", "Only these.", values=STATUS.members, is_list=True), *COMMON),
        _learner_progress,
    ),
    Report(
        "on_time",
        "On time",
        "How many of those due were done by then, and how early or late.",
        f"{_BASE} decided: with a due date, not waived, and completed by T or due before T;"
        " on_time: completed by T and completed_at <= due_at; late = decided - on_time;"
        " on_time_rate = on_time / decided. With waived=as_completed, a waiver counts as a"
        " completion at waived_at. median_days_late: the median of completed_at - due_at in days of"
        f" 24 hours over those completed by T with a due date; negative is early. {_ZERO}",
        "LearnerProgress",
        (grouping(_BY_MODULE), WAIVED, *COMMON),
        _on_time,
    ),
    Report(
        "overdue",
        "Overdue",
        "What is overdue, for how long, and what soon will be.",
        f"{_BASE} overdue: due_at < T and by T neither completed, waived nor ended; overdue_rate ="
        " overdue / assigned. Days overdue: days of the zone from that of due_at to that of T;"
        " overdue_1_7: at most 7 (0 when due earlier the same day), overdue_8_30, overdue_31: 31"
        " and more; the three add up to overdue. due_soon: open, due_at >= T, and at most"
        f" due_within days of the zone ahead. {_ZERO}",
        "LearnerProgress",
        (
            grouping("learner_key,manager_key,module_key,module_name"),
            Parameter("due_within", "How many days ahead is soon, 1 to 10,000.", default="7"),
            *COMMON,
        ),
        _overdue,
    ),
    Report(
        "scores",
        "Scores",
        "Average, median and spread of scores out of 100.",
        f"{_BASE} One score an assignment, by the attempt asked for: first, last or best; a cycle"
        " that a retake has ended is not in the base. scored: assignments with such a score;"
        " average_score = score_total / scored, never an average of averages. median_score,"
        " p10_score, p90_score: interpolated between neighbours; score_deviation: the standard"
        f" deviation of all. Scores are those known now. {_ZERO}",
        "LearnerProgress",
        (
            grouping(_BY_MODULE),
            Parameter("attempt", "Whose score counts.", default="last", values=SCORES),
            *COMMON,
        ),
        _scores,
    ),
    Report(
        "pass_rate",
        "Pass rate",
        "How many passed, at which attempt, and what repeating brought.",
        f"{_BASE} passed: passed and completed by T; not_passed: judged as not passed, completed or"
        " failed by T; pass_rate = passed / (passed + not_passed). first_attempt_pass_rate ="
        " first_attempts_passed / first_attempts_judged, of each assignment's first attempt that is"
        " not void, handed in or graded by T. attempts_to_pass = attempts of those passed / passed."
        " improvement = sum of (last score - first score) / retried, over assignments with two"
        f" attempts or more. {_ZERO}",
        "LearnerProgress",
        (grouping(_BY_MODULE), *COMMON),
        _pass_rate,
    ),
    Report(
        "series_progress",
        "Series progress",
        "How far learners are with what a series requires, and what they wait for.",
        f"{_BASE} Only assignments made in a series. required: those the series requires (all,"
        " until the catalog says otherwise), not waived; required_rate = required_completed /"
        " required; with waived=as_completed, (completed + waived) / required in all."
        " required_overdue: 0 means on track. blocked_by: the place of the first required module"
        f" that is neither completed nor waived. {_ZERO}",
        "LearnerProgress",
        (grouping("series_key,series_name,learner_key"), WAIVED, *COMMON),
        _series_progress,
    ),
    Report(
        "quick_update_reach",
        "Quick update reach",
        "How many have seen a quick update, and how soon.",
        f"{_BASE} Only module type quick_update. viewed: first sign of work, or completed, by T;"
        " viewed_24h, viewed_72h: at most 24 or 72 hours after the module's published_at; each rate"
        " is over assigned. median_hours_to_view: over those viewed whose module's publishing is"
        f" known. {_ZERO}",
        "LearnerProgress",
        (grouping("module_key,module_name,team_key"), *COMMON),
        _quick_update_reach,
    ),
    Report(
        "engagement",
        "Engagement",
        "How many learners are active, and who has gone silent.",
        f"{_BASE} learners: different ones. active_1d, active_7d, active_30d: learners whose latest"
        " sign of work lies at most 1, 7 or 30 times 24 hours before T. at_risk: learners with a"
        " sign of work by T, something neither completed nor waived, and silence there for more"
        " than silent_days times 24 hours. Of each assignment only the latest sign of work is"
        " looked at: for a T in the past, one behind T counts as none.",
        "LearnerProgress",
        (
            grouping("module_type"),
            Parameter("silent_days", "After how many days of silence, 1 to 10,000.", default="14"),
            *COMMON,
        ),
        _engagement,
    ),
    Report(
        "course_funnel",
        "Course funnel",
        "How far those assigned to a course get.",
        f"{_BASE} Only module type course. started_rate = started / assigned; reached_25,"
        " reached_50, reached_75: completed by T, or that many percent done as known now;"
        f" completion_rate = completed / (assigned - waived); passed: passed and completed by"
        f" T. {_ZERO}",
        "LearnerProgress",
        (grouping("module_key,module_name"), *COMMON),
        _course_funnel,
    ),
)
