"""Numbers about assignments: what each measure counts, adds or divides."""

from app.catalog.fields import Measure

SCORES = ("first", "last", "best")

_DONE = "completed_at le @as_of"
_WAIVED = f"waived_at le @as_of and not ({_DONE})"
_FAILED = f"failed_at le @as_of and not ({_DONE}) and not (waived_at le @as_of)"
_STARTED = "started_at le @as_of"
_SETTLED = f"({_DONE} or waived_at le @as_of or failed_at le @as_of)"
_CLOSED = f"({_DONE} or waived_at le @as_of)"
_PASSED = f"(passed and {_DONE})"
_MISSED = f"(passed eq false and ({_DONE} or failed_at le @as_of))"
_VIEWED = f"({_STARTED} or {_DONE})"
_ON_TIME = f"{_DONE} and completed_at le due_at"
_ON_TIME_WAIVED = (
    f"({_DONE} and completed_at le due_at or waived_at le @as_of and waived_at le due_at)"
)


def _score_measures(policy: str) -> tuple[Measure, ...]:
    """How many are scored, their scores added, and the average of the two."""
    field = f"{policy}_score_percent"
    return (
        Measure(
            f"scored_{policy}",
            f"Scored ({policy})",
            f"Assignments with a {policy} score.",
            where=f"{field} ne null",
        ),
        Measure(
            f"score_total_{policy}",
            f"Scores added ({policy})",
            f"The {policy} scores, out of 100, added.",
            function="sum",
            field=field,
        ),
        Measure(
            f"average_score_{policy}",
            f"Average score ({policy})",
            f"score_total_{policy} / scored_{policy}, never an average of averages; null when"
            " nothing is scored.",
            numerator=f"score_total_{policy}",
            denominator=f"scored_{policy}",
            unit="percent",
        ),
    )


MEASURES = (
    Measure("assigned", "Assigned", "Assignments."),
    Measure("completed", "Completed", "Completed by the moment asked for.", where=_DONE),
    Measure("waived", "Waived", "Waived by then and not completed.", where=_WAIVED),
    Measure("failed", "Failed", "Failed by then, neither completed nor waived.", where=_FAILED),
    Measure("started", "Started", "Started by then, whatever came of it.", where=_STARTED),
    Measure(
        "in_progress",
        "In progress",
        "Started by then; not completed, waived or failed, and not awaiting review.",
        where=f"{_STARTED} and not {_SETTLED} and status ne 'awaiting_review'",
    ),
    Measure(
        "awaiting_review",
        "Awaiting review",
        "Waiting for a person's judgement.",
        where=f"{_STARTED} and not {_SETTLED} and status eq 'awaiting_review'",
    ),
    Measure(
        "not_started",
        "Not started",
        "Not started by then, and not completed, waived or failed either.",
        where=f"not ({_STARTED}) and not {_SETTLED}",
    ),
    Measure("overdue", "Overdue", "Due before then and still open.", where="is_overdue"),
    Measure(
        "assigned_less_waived",
        "Assigned less waived",
        "Assignments that were not waived.",
        where=f"not ({_WAIVED})",
    ),
    Measure("passed", "Passed", "Passed, and completed by then.", where=f"passed and {_DONE}"),
    Measure(
        "completion_rate",
        "Completion rate",
        "completed / (assigned - waived); null when nothing is assigned.",
        numerator="completed",
        denominator="assigned_less_waived",
    ),
    Measure(
        "started_rate",
        "Started rate",
        "started / assigned; null when nothing is assigned.",
        numerator="started",
        denominator="assigned",
    ),
    Measure(
        "overdue_rate",
        "Overdue rate",
        "overdue / assigned; null when nothing is assigned.",
        numerator="overdue",
        denominator="assigned",
    ),
    Measure(
        "completed_or_waived",
        "Completed or waived",
        "Completed or waived by then.",
        where=_CLOSED,
    ),
    Measure(
        "completion_rate_with_waived",
        "Completion rate, waived as completed",
        "completed_or_waived / assigned; null when nothing is assigned.",
        numerator="completed_or_waived",
        denominator="assigned",
    ),
    Measure(
        "decided",
        "Decided",
        "With a due date, and completed or due before then; not waived.",
        where=f"due_at ne null and ({_DONE} or due_at lt @as_of) and not ({_WAIVED})",
    ),
    Measure("on_time", "On time", "Completed by the due date.", where=_ON_TIME),
    Measure(
        "late",
        "Late",
        "Decided and not on time: completed after the due date, or still open behind it.",
        where=f"due_at ne null and ({_DONE} or due_at lt @as_of) and not ({_WAIVED})"
        f" and not ({_ON_TIME})",
    ),
    Measure(
        "on_time_rate",
        "On time rate",
        "on_time / decided; null when nothing is decided.",
        numerator="on_time",
        denominator="decided",
    ),
    Measure(
        "decided_with_waived",
        "Decided, waived as completed",
        "With a due date, and completed, waived or due before then.",
        where=f"due_at ne null and ({_CLOSED} or due_at lt @as_of)",
    ),
    Measure(
        "on_time_with_waived",
        "On time, waived as completed",
        "Completed or waived by the due date.",
        where=_ON_TIME_WAIVED,
    ),
    Measure(
        "late_with_waived",
        "Late, waived as completed",
        "Decided and neither completed nor waived by the due date.",
        where=f"due_at ne null and ({_CLOSED} or due_at lt @as_of) and not ({_ON_TIME_WAIVED})",
    ),
    Measure(
        "on_time_rate_with_waived",
        "On time rate, waived as completed",
        "on_time_with_waived / decided_with_waived; null when nothing is decided.",
        numerator="on_time_with_waived",
        denominator="decided_with_waived",
    ),
    Measure(
        "overdue_1_7",
        "Overdue up to 7 days",
        "Overdue, by the zone's days for at most 7; due earlier the same day counts here.",
        where="overdue_days le 7",
    ),
    Measure(
        "overdue_8_30",
        "Overdue 8 to 30 days",
        "Overdue for 8 to 30 of the zone's days.",
        where="overdue_days gt 7 and overdue_days le 30",
    ),
    Measure(
        "overdue_31",
        "Overdue 31 days or more",
        "Overdue for 31 of the zone's days or more.",
        where="overdue_days gt 30",
    ),
    *(measure for policy in SCORES for measure in _score_measures(policy)),
    Measure("judged", "Judged", "Passed, or not passed, by then.", where=f"{_PASSED} or {_MISSED}"),
    Measure("not_passed", "Not passed", "Judged by then and not passed.", where=_MISSED),
    Measure(
        "pass_rate",
        "Pass rate",
        "passed / (passed + not passed); null when nothing is judged.",
        numerator="passed",
        denominator="judged",
    ),
    Measure(
        "first_attempts_passed",
        "First attempts passed",
        "Assignments whose first attempt that counts passed.",
        where="first_attempt_passed",
    ),
    Measure(
        "first_attempts_judged",
        "First attempts judged",
        "Assignments whose first attempt that counts is judged.",
        where="first_attempt_passed ne null",
    ),
    Measure(
        "first_attempt_pass_rate",
        "First attempt pass rate",
        "first_attempts_passed / first_attempts_judged; null when none is judged.",
        numerator="first_attempts_passed",
        denominator="first_attempts_judged",
    ),
    Measure(
        "attempts_of_passed",
        "Attempts of those passed",
        "Attempts that count, of the assignments passed by then.",
        where=_PASSED,
        function="sum",
        field="attempts",
    ),
    Measure(
        "attempts_to_pass",
        "Attempts to pass",
        "attempts_of_passed / passed; null when none is passed.",
        numerator="attempts_of_passed",
        denominator="passed",
        unit="attempts",
    ),
    Measure(
        "score_gain_total",
        "Score gained in all",
        "The last score less the first, added over assignments with two attempts or more.",
        where="score_gain ne null",
        function="sum",
        field="score_gain",
    ),
    Measure(
        "retried",
        "Retried",
        "Assignments with two attempts or more that are scored.",
        where="score_gain ne null",
    ),
    Measure(
        "improvement",
        "Improvement",
        "score_gain_total / retried, in points of a hundred; null when none was retried.",
        numerator="score_gain_total",
        denominator="retried",
        unit="percent",
    ),
    Measure("viewed", "Viewed", "With a first sign of work by then.", where=_VIEWED),
    Measure(
        "viewed_24h",
        "Viewed within 24 hours",
        "Viewed within 24 hours of the module's publishing.",
        where="hours_to_view le 24",
    ),
    Measure(
        "viewed_72h",
        "Viewed within 72 hours",
        "Viewed within 72 hours of the module's publishing.",
        where="hours_to_view le 72",
    ),
    *(
        Measure(
            f"{viewed}_rate",
            f"{label} rate",
            f"{viewed} / assigned; null when nothing is assigned.",
            numerator=viewed,
            denominator="assigned",
        )
        for viewed, label in (
            ("viewed", "Viewed"),
            ("viewed_24h", "Viewed within 24 hours"),
            ("viewed_72h", "Viewed within 72 hours"),
        )
    ),
    Measure(
        "learners",
        "Learners",
        "Different learners.",
        function="distinct",
        field="learner_key",
    ),
    *(
        Measure(
            f"active_{days}d",
            f"Active in {days} days",
            f"Different learners whose latest sign of work lies at most {days} times 24 hours"
            " before.",
            where=f"silent_days le {days}",
            function="distinct",
            field="learner_key",
        )
        for days in (1, 7, 30)
    ),
    Measure(
        "required",
        "Required",
        "Assignments that their series requires, not waived.",
        where=f"is_required and not ({_WAIVED})",
    ),
    Measure(
        "required_completed",
        "Required and completed",
        "Of those, completed by then.",
        where=f"is_required and {_DONE}",
    ),
    Measure(
        "required_rate",
        "Required completed rate",
        "required_completed / required; null when nothing is required.",
        numerator="required_completed",
        denominator="required",
    ),
    Measure(
        "required_or_waived",
        "Required, completed or waived",
        "Assignments that their series requires, completed or waived by then.",
        where=f"is_required and {_CLOSED}",
    ),
    Measure(
        "required_in_all",
        "Required in all",
        "Assignments that their series requires, waived ones among them.",
        where="is_required",
    ),
    Measure(
        "required_rate_with_waived",
        "Required completed rate, waived as completed",
        "required_or_waived / required_in_all; null when nothing is required.",
        numerator="required_or_waived",
        denominator="required_in_all",
    ),
    Measure(
        "required_overdue",
        "Required and overdue",
        "Assignments that their series requires and that are overdue.",
        where="is_required and is_overdue",
    ),
    Measure(
        "blocked_by",
        "Blocked by",
        "The place in the series of the first required module that is neither completed nor"
        " waived; null when none is, or when the catalog knows no places.",
        where=f"is_required and not {_CLOSED}",
        function="min",
        field="series_position",
    ),
)
