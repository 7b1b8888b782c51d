"""Fields of assignments that only measures and aggregates read; no row shows them.

Everything is as of the moment asked for: what came later has not happened yet.
"""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Double, and_, case, cast, func, or_, select

from app.catalog.fields import Field, Frame, Role, Type
from app.store.days import DaysFrom, SecondsFrom, first_day
from app.store.tables import Attempt
from app.store.tables.columns import table_of


def is_overdue(frame: Frame) -> ColumnElement[bool]:
    """Due before the moment asked for, and by then neither completed, waived nor ended."""
    row = frame.base.c
    still_open = [
        or_(column.is_(None), column > frame.as_of)
        for column in (row.completed_at, row.waived_at, row.ended_at)
    ]
    return and_(row.due_at.is_not(None), row.due_at < frame.as_of, *still_open)


def _overdue_days(frame: Frame) -> ColumnElement[Any]:
    due = first_day("day", frame.base.c.due_at, frame.zone)
    return case((is_overdue(frame), DaysFrom(due, frame.as_of_day)))


def _days_to_due(frame: Frame) -> ColumnElement[Any]:
    row = frame.base.c
    is_closed = [
        and_(column.is_not(None), column <= frame.as_of)
        for column in (row.completed_at, row.waived_at, row.ended_at)
    ]
    due = first_day("day", row.due_at, frame.zone)
    return case(
        (or_(*is_closed), None), (row.due_at >= frame.as_of, DaysFrom(frame.as_of_day, due))
    )


def _days_late(frame: Frame) -> ColumnElement[Any]:
    row = frame.base.c
    late = SecondsFrom(row.due_at, row.completed_at) / cast(86_400, Double())
    return case((row.completed_at <= frame.as_of, late))


def _score_gain(frame: Frame) -> ColumnElement[Any]:
    row = frame.base.c
    gain: ColumnElement[Any] = row.last_score_percent - row.first_score_percent
    return case((row.attempts > 1, gain))


def _first_attempt_passed(frame: Frame) -> ColumnElement[Any]:
    attempt = table_of(Attempt).alias()
    told = func.coalesce(attempt.c.graded_at, attempt.c.submitted_at)
    return (
        select(attempt.c.passed)
        .where(
            attempt.c.environment_id == frame.environment_id,
            attempt.c.assignment_id == frame.base.c.assignment_id,
            attempt.c.is_deleted.is_(False),
            attempt.c.voided.is_(False),
            func.coalesce(told <= frame.as_of, True),
        )
        .order_by(attempt.c.attempt)
        .limit(1)
        .correlate(frame.base)
        .scalar_subquery()
    )


def _hours_to_view(frame: Frame) -> ColumnElement[Any]:
    row = frame.base.c
    viewed_at = func.coalesce(row.started_at, row.completed_at, type_=row.started_at.type)
    published_at = frame.join("module").c.published_at
    hours = SecondsFrom(published_at, viewed_at) / cast(3600, Double())
    return case((viewed_at <= frame.as_of, hours))


def _silent_days(frame: Frame) -> ColumnElement[Any]:
    row = frame.base.c
    silent = SecondsFrom(row.last_activity_at, frame.as_of) / cast(86_400, Double())
    return case((row.last_activity_at <= frame.as_of, silent))


def _is_required(frame: Frame) -> ColumnElement[Any]:
    return func.coalesce(frame.join("place").c.required, True)


def _series_position(frame: Frame) -> ColumnElement[Any]:
    return cast(frame.join("place").c.position, BigInteger())


MEASURED = (
    Field(
        "overdue_days",
        Type.INT,
        "Days overdue",
        "Days of the zone from the day it was due to that of the moment asked for; null unless it"
        " is overdue.",
        role=Role.MEASURE,
        unit="days",
        sql=_overdue_days,
    ),
    Field(
        "days_to_due",
        Type.INT,
        "Days to due",
        "Days of the zone until it is due; null unless it is open and due at that moment or later.",
        role=Role.MEASURE,
        unit="days",
        sql=_days_to_due,
    ),
    Field(
        "days_late",
        Type.NUMBER,
        "Days late",
        "Days of 24 hours from due_at to completed_at, negative when early; null unless both are"
        " known and it was completed by then.",
        role=Role.MEASURE,
        unit="days",
        sql=_days_late,
    ),
    Field(
        "score_gain",
        Type.NUMBER,
        "Score gained",
        "The last score less the first, in points of a hundred; null with fewer than two attempts.",
        role=Role.MEASURE,
        unit="percent",
        sql=_score_gain,
    ),
    Field(
        "first_attempt_passed",
        Type.BOOL,
        "First attempt passed",
        "Did the first attempt that counts pass? Null while it is not judged.",
        sql=_first_attempt_passed,
    ),
    Field(
        "hours_to_view",
        Type.NUMBER,
        "Hours to view",
        "Hours from the publishing of the module to the first sign of work; null until viewed, or"
        " when it is not known when the module was published.",
        role=Role.MEASURE,
        unit="h",
        sql=_hours_to_view,
        joins=("module",),
    ),
    Field(
        "silent_days",
        Type.NUMBER,
        "Days silent",
        "Days of 24 hours since the latest sign of work; null without one by then.",
        role=Role.MEASURE,
        unit="days",
        sql=_silent_days,
    ),
    Field(
        "is_required",
        Type.BOOL,
        "Required",
        "Does its series require it? Yes, unless the catalog says no.",
        nullable=False,
        sql=_is_required,
        joins=("place",),
    ),
    Field(
        "series_position",
        Type.INT,
        "Place in series",
        "Its place in the series, as the catalog tells it.",
        sql=_series_position,
        joins=("place",),
    ),
)
