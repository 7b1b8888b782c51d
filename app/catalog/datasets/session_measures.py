"""Numbers about sessions: seats, waiting lists, and what no-shows leave empty.

Places are those known now; what came after the moment asked for has not happened yet.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, func, or_, select

from app.catalog.fields import Field, Frame, Measure, Role, Type
from app.learning.modules import MODULE_TYPE_NAMES
from app.store.tables import Enrolment
from app.store.tables.columns import table_of

_HELD = "status ne 'cancelled'"
_SEATED = f"{_HELD} and capacity ne null"


def count_places(
    frame: Frame, condition: Callable[[FromClause, Frame], ColumnElement[bool]]
) -> ColumnElement[Any]:
    """How many enrolments of a session fulfil a condition, given them and the frame."""
    place = table_of(Enrolment).alias()
    row = frame.base.c
    counted = (
        select(func.count())
        .select_from(place)
        .where(
            and_(
                place.c.environment_id == frame.environment_id,
                place.c.module_key == row.module_key,
                place.c.session_key == row.session_key,
                place.c.is_deleted.is_(False),
                condition(place, frame),
            )
        )
    )
    return counted.correlate(frame.base).scalar_subquery()


def _is_taken(place: FromClause, frame: Frame) -> ColumnElement[bool]:
    """Registered by then; a seat given up later was still taken, unless it was only waited for."""
    left_later = and_(
        place.c.status == "unenrolled",
        place.c.unenrolled_at > frame.as_of,
        place.c.waitlisted_at.is_(None),
    )
    taken = or_(place.c.status == "registered", left_later)
    return and_(place.c.enrolled_at <= frame.as_of, taken)


def _was_waiting(place: FromClause, frame: Frame) -> ColumnElement[bool]:
    return and_(place.c.waitlisted_at.is_not(None), place.c.waitlisted_at <= frame.as_of)


def _is_waiting(place: FromClause, frame: Frame) -> ColumnElement[bool]:
    return and_(place.c.status == "waitlisted", _was_waiting(place, frame))


def _is_converted(place: FromClause, frame: Frame) -> ColumnElement[bool]:
    return and_(place.c.status == "registered", _was_waiting(place, frame))


def _is_given_up(place: FromClause, frame: Frame) -> ColumnElement[bool]:
    return and_(place.c.status == "unenrolled", place.c.unenrolled_at <= frame.as_of)


def _is_lost(place: FromClause, frame: Frame) -> ColumnElement[bool]:
    return and_(place.c.outcome == "no_show", place.c.marked_at <= frame.as_of)


def _places(
    name: str,
    label: str,
    description: str,
    condition: Callable[[FromClause, Frame], ColumnElement[bool]],
) -> Field:
    return Field(
        name,
        Type.INT,
        label,
        description,
        role=Role.MEASURE,
        nullable=False,
        sql=lambda frame: count_places(frame, condition),
        streams=MODULE_TYPE_NAMES,
    )


SESSION_FACTS = (
    _places("seats_taken", "Seats taken", "Learners registered by then.", _is_taken),
    _places("learners_waiting", "Waiting", "Learners on the waiting list by then.", _is_waiting),
    _places(
        "learners_converted",
        "Converted",
        "Learners who were on the waiting list and are registered.",
        _is_converted,
    ),
    _places(
        "learners_waited",
        "Ever waiting",
        "Learners who were put on the waiting list by then, whatever came of it.",
        _was_waiting,
    ),
    _places("places_given_up", "Given up", "Places given up by then.", _is_given_up),
    _places("places_lost", "Lost", "Learners marked as no-shows by then.", _is_lost),
)

SESSION_MEASURES = (
    Measure("sessions", "Sessions", "Sessions that are not cancelled.", where=_HELD),
    Measure("cancelled", "Cancelled", "Cancelled sessions.", where="status eq 'cancelled'"),
    Measure(
        "seats",
        "Seats",
        "The capacity of sessions that are not cancelled and state one, added.",
        where=_SEATED,
        function="sum",
        field="capacity",
    ),
    Measure(
        "seats_filled",
        "Seats filled",
        "Learners registered for those by then.",
        where=_SEATED,
        function="sum",
        field="seats_taken",
    ),
    Measure(
        "fill_rate",
        "Fill rate",
        "seats_filled / seats; above 1 when overbooked, null without seats.",
        numerator="seats_filled",
        denominator="seats",
    ),
    Measure(
        "waiting",
        "Waiting",
        "Learners on the waiting list of sessions that are not cancelled.",
        where=_HELD,
        function="sum",
        field="learners_waiting",
    ),
    Measure(
        "converted",
        "Converted",
        "Learners who came from the waiting list to a seat.",
        where=_HELD,
        function="sum",
        field="learners_converted",
    ),
    Measure(
        "waited",
        "Ever waiting",
        "Learners who were ever put on the waiting list.",
        where=_HELD,
        function="sum",
        field="learners_waited",
    ),
    Measure(
        "conversion_rate",
        "Conversion rate",
        "converted / waited; null when no one waited.",
        numerator="converted",
        denominator="waited",
    ),
    Measure(
        "given_up",
        "Given up",
        "Places given up, of sessions that are not cancelled.",
        where=_HELD,
        function="sum",
        field="places_given_up",
    ),
    Measure(
        "seats_lost",
        "Seats lost",
        "No-shows of sessions that are not cancelled and state a capacity.",
        where=_SEATED,
        function="sum",
        field="places_lost",
    ),
    Measure(
        "seats_lost_rate",
        "Seats lost rate",
        "seats_lost / seats; null without seats.",
        numerator="seats_lost",
        denominator="seats",
    ),
)
