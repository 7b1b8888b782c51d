"""Numbers about sign-offs, activity and attendance: what each measure counts, adds or divides."""

from typing import Any

from sqlalchemy import ColumnElement, Double, case, cast

from app.catalog.fields import Field, Frame, Measure, Role, Type
from app.store.days import SecondsFrom

_APPROVED = "decision eq 'approved' and decided_at le @as_of"
_REJECTED = "decision eq 'rejected' and decided_at le @as_of"
_MARKED = "outcome ne null and marked_at le @as_of"
_DONE = "assignment/completed_at le @as_of"


def _hours_to_decide(frame: Frame) -> ColumnElement[Any]:
    row = frame.base.c
    hours = SecondsFrom(row.submitted_at, row.decided_at) / cast(3600, Double())
    return case((row.decided_at <= frame.as_of, hours))


SIGN_OFF_FACTS = (
    Field(
        "hours_to_decide",
        Type.NUMBER,
        "Hours to decide",
        "Hours from handing in to the decision; null unless both are known and it was decided by"
        " the moment asked for.",
        role=Role.MEASURE,
        unit="h",
        sql=_hours_to_decide,
    ),
)
SIGN_OFF_MEASURES = (
    Measure("approved", "Approved", "Approved by then.", where=_APPROVED),
    Measure("rejected", "Rejected", "Rejected by then.", where=_REJECTED),
    Measure("decided", "Decided", "Decided by then.", where="decided_at le @as_of"),
    Measure(
        "pending",
        "Pending",
        "Handed in and not decided by then.",
        where="submitted_at le @as_of and not (decided_at le @as_of)",
    ),
    Measure(
        "oldest_pending_at",
        "Oldest pending",
        "When the one that waits longest was handed in; null when none waits.",
        where="submitted_at le @as_of and not (decided_at le @as_of)",
        function="min",
        field="submitted_at",
    ),
    Measure(
        "rejected_rate",
        "Rejected rate",
        "rejected / decided; null when nothing is decided.",
        numerator="rejected",
        denominator="decided",
    ),
    Measure(
        "first_rounds_approved",
        "First rounds approved",
        "Approved in the part's first round.",
        where=f"round eq 1 and {_APPROVED}",
    ),
    Measure(
        "first_rounds_decided",
        "First rounds decided",
        "Decided in the part's first round.",
        where="round eq 1 and decided_at le @as_of",
    ),
    Measure(
        "right_first_time_rate",
        "Right first time rate",
        "first_rounds_approved / first_rounds_decided; null when none is decided.",
        numerator="first_rounds_approved",
        denominator="first_rounds_decided",
    ),
)

ACTIVITY_MEASURES = (
    Measure(
        "time_spent_s",
        "Time spent",
        "Seconds counted; what overlaps is counted once.",
        function="sum",
        field="counted_s",
    ),
    Measure(
        "starters",
        "Starters",
        "Different assignments with activity.",
        function="distinct",
        field="assignment_id",
    ),
    Measure(
        "seconds_per_starter",
        "Seconds per starter",
        "time_spent_s / starters; null when there is no activity.",
        numerator="time_spent_s",
        denominator="starters",
        unit="s",
    ),
    Measure(
        "completers_time_s",
        "Time of completers",
        "Seconds counted, of assignments completed by then.",
        where=_DONE,
        function="sum",
        field="counted_s",
    ),
    Measure(
        "completers",
        "Completers",
        "Different assignments with activity, completed by then.",
        where=_DONE,
        function="distinct",
        field="assignment_id",
    ),
    Measure(
        "seconds_per_completer",
        "Seconds per completer",
        "completers_time_s / completers; null when none is completed.",
        numerator="completers_time_s",
        denominator="completers",
        unit="s",
    ),
)

ATTENDANCE_MEASURES = (
    Measure("marked", "Marked", "Attendance marked by then.", where=_MARKED),
    Measure(
        "excused", "Excused", "Marked as excused.", where=f"{_MARKED} and outcome eq 'excused'"
    ),
    Measure(
        "expected",
        "Expected",
        "Marked by then and not excused.",
        where=f"{_MARKED} and outcome ne 'excused'",
    ),
    Measure(
        "attended",
        "Attended",
        "There, for all of it or a part.",
        where=f"{_MARKED} and outcome in ('attended','partial')",
    ),
    Measure(
        "attendance_rate",
        "Attendance rate",
        "attended / (marked - excused); null when no one was expected.",
        numerator="attended",
        denominator="expected",
    ),
    Measure(
        "no_shows",
        "No-shows",
        "Expected and not there.",
        where=f"{_MARKED} and outcome eq 'no_show'",
    ),
    Measure(
        "no_show_rate",
        "No-show rate",
        "no_shows / (marked - excused); null when no one was expected.",
        numerator="no_shows",
        denominator="expected",
    ),
    Measure(
        "unmarked",
        "Unmarked",
        "Registered for a session that was over by then, and not marked.",
        where=f"status eq 'registered' and session/ends_at le @as_of and not ({_MARKED})",
    ),
    Measure(
        "late_cancellations",
        "Late cancellations",
        "Places given up too late, by then.",
        where="is_late and unenrolled_at le @as_of",
    ),
)
