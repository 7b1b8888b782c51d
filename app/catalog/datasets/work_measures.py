"""Numbers about parts, sign-offs, activity and attendance: what each measure counts or adds."""

from typing import Any

from sqlalchemy import ColumnElement, Double, and_, case, cast, func, or_

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


def _answered_at(frame: Frame) -> ColumnElement[Any]:
    """When a part was done; of a rejected one only the first sign of it is known."""
    row = frame.base.c
    answered = or_(row.status == "done", row.status == "rejected")
    return case((answered, func.coalesce(row.done_at, row.reached_at, type_=row.reached_at.type)))


def _is_correct(frame: Frame) -> ColumnElement[Any]:
    """1 or 0; by the score where one is stated, else by the part's being done."""
    row, part = frame.base.c, frame.join("part").c
    score = func.coalesce(row.score, row.points)
    right = and_(
        row.status == "done",
        or_(score.is_(None), and_(score > 0, score >= func.coalesce(part.max_points, score))),
    )
    return case((_answered_at(frame) <= frame.as_of, case((right, 1), else_=0)))


def _answer_s(frame: Frame) -> ColumnElement[Any]:
    return case((_answered_at(frame) <= frame.as_of, frame.base.c.time_spent_s))


ANSWER_FACTS = (
    Field(
        "is_correct",
        Type.INT,
        "Correct",
        "1 when done with all its points, 0 when rejected or done with fewer, null until answered;"
        " without a stated score, done is correct; without known points, any score above 0 is.",
        role=Role.MEASURE,
        sql=_is_correct,
        joins=("part",),
    ),
    Field(
        "answer_s",
        Type.INT,
        "Time to answer",
        "The seconds stated last, of answered parts.",
        role=Role.MEASURE,
        unit="s",
        sql=_answer_s,
    ),
    Field(
        "assignment_score_percent",
        Type.NUMBER,
        "Score of the assignment",
        "The latest score of the whole assignment, out of 100.",
        role=Role.MEASURE,
        unit="percent",
        via="progress",
        column="last_score_percent",
    ),
)
ANSWER_MEASURES = (
    Measure("answered", "Answered", "Done or rejected by then.", where="is_correct ne null"),
    Measure("correct", "Correct", "Answered correctly by then.", where="is_correct eq 1"),
    Measure(
        "difficulty",
        "Difficulty",
        "correct / answered: the lower, the harder; null when nothing is answered.",
        numerator="correct",
        denominator="answered",
    ),
)

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
