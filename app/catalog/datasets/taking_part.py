"""Sessions and who attended them; certifications and whom they were awarded to."""

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, FromClause, case, func, or_

from app.catalog.datasets.session_measures import (
    SESSION_FACTS,
    SESSION_MEASURES,
    count_places,
)
from app.catalog.datasets.shared import (
    CHANGED_AT,
    REVISION,
    count,
    flag,
    key_number,
    key_text,
    moment,
    not_deleted,
    text,
)
from app.catalog.datasets.work_measures import ATTENDANCE_MEASURES
from app.catalog.enumerations import MODULE_TYPE
from app.catalog.fields import Dataset, Field, Frame, Join, Navigation, Type
from app.learning.modules import MODULE_TYPE_NAMES
from app.store.moments import DaysLater
from app.store.tables import Award, Certification, Enrolment, TrainingSession
from app.store.tables.columns import UtcDateTime, table_of

_PRESENT = ("attended", "partial")


def _is_present(place: FromClause, _frame: Frame) -> ColumnElement[bool]:
    return or_(*(place.c.outcome == word for word in _PRESENT))


def _enrolled_count(frame: Frame) -> ColumnElement[Any]:
    return count_places(frame, lambda place, _: place.c.status == "registered")


def _attended_count(frame: Frame) -> ColumnElement[Any]:
    return count_places(frame, _is_present)


def _join_certification(frame: Frame, certification: FromClause) -> ColumnElement[bool]:
    return certification.c.certification_key == frame.base.c.certification_key


def _expires_at(frame: Frame) -> ColumnElement[Any]:
    """As stated, or as long after the issue as the certification is valid."""
    row = frame.base.c
    valid_days = frame.join("certification").c.valid_days
    return func.coalesce(row.expires_at, DaysLater(row.issued_at, valid_days), type_=UtcDateTime())


def _award_status(frame: Frame) -> ColumnElement[Any]:
    return case(
        (frame.base.c.revoked_at <= frame.as_of, "revoked"),
        (_expires_at(frame) <= frame.as_of, "expired"),
        else_="valid",
    )


_MODULE_TYPE = Field(
    "module_type",
    Type.ENUM,
    "Module type",
    "What kind of module it is, by the events' word.",
    enumeration=MODULE_TYPE,
)
_LEARNER_KEY = key_text("learner_key", "Learner", "The learner, by the source's key.")
_MODULE_KEY = key_text("module_key", "Module", "The module, by the source's key.")
_SESSION_KEY = key_text("session_key", "Session", "The session, by the source's key.")
_CERTIFICATION_KEY = key_text(
    "certification_key", "Certification", "The certification, by the source's key."
)
_TO_LEARNER = Navigation("learner", "Learners", (("learner_key", "learner_key"),), "The learner.")
_TO_MODULE = Navigation("module", "Modules", (("module_key", "module_key"),), "The module.")
_SESSION_PAIRS = (("module_key", "module_key"), ("session_key", "session_key"))

SESSIONS = Dataset(
    name="Sessions",
    entity="TrainingSession",
    label="Sessions",
    description="Dated meetings of modules.",
    table=table_of(TrainingSession),
    key=("session_id",),
    alternate_keys=(("module_key", "session_key"),),
    navigations=(
        replace(_TO_MODULE, partner="sessions"),
        Navigation("instructor", "Learners", (("instructor_key", "learner_key"),), "Who teaches."),
        Navigation(
            "attendance",
            "SessionAttendance",
            _SESSION_PAIRS,
            "Who is enrolled, and who came.",
            many=True,
            partner="session",
        ),
        Navigation(
            "feedback",
            "Feedback",
            _SESSION_PAIRS,
            "What learners think of it.",
            many=True,
            partner="session",
        ),
    ),
    measures=SESSION_MEASURES,
    measured=SESSION_FACTS,
    # Learners are enrolled by events of any module type, and that may name a session first.
    streams=("catalog", *MODULE_TYPE_NAMES),
    where=not_deleted,
    fields=(
        key_number("session_id", "Session number", "Number of this session."),
        _SESSION_KEY,
        _MODULE_KEY,
        replace(text("mode", "Mode", "classroom, virtual or hybrid."), max_length=20),
        moment("starts_at", "Starts at", "When it starts; null until it is planned."),
        moment("ends_at", "Ends at", "When it ends."),
        count("capacity", "Capacity", "How many can take part.", nullable=True),
        text("location", "Location", "Where it takes place."),
        key_text("instructor_key", "Instructor", "Who teaches.", nullable=True),
        replace(text("status", "Status", "scheduled or cancelled."), nullable=False, max_length=20),
        replace(
            count("enrolled_count", "Enrolled", "Learners who are registered."),
            sql=_enrolled_count,
            streams=MODULE_TYPE_NAMES,
        ),
        replace(
            count("attended_count", "Attended", "Learners who attended, or attended in part."),
            sql=_attended_count,
            streams=MODULE_TYPE_NAMES,
        ),
        CHANGED_AT,
        REVISION,
    ),
    searchable=("session_key", "module_key", "location"),
)

SESSION_ATTENDANCE = Dataset(
    name="SessionAttendance",
    entity="SessionPlace",
    label="Session attendance",
    description="Who is enrolled in a session, and whether they were there.",
    table=table_of(Enrolment),
    key=("enrolment_id",),
    navigations=(
        Navigation("session", "Sessions", _SESSION_PAIRS, "The session.", partner="attendance"),
        _TO_LEARNER,
        _TO_MODULE,
    ),
    measures=ATTENDANCE_MEASURES,
    module_type_field="module_type",
    where=not_deleted,
    fields=(
        key_number("enrolment_id", "Enrolment", "Number of this enrolment."),
        _SESSION_KEY,
        _MODULE_KEY,
        _MODULE_TYPE,
        _LEARNER_KEY,
        replace(
            text(
                "status",
                "Status",
                "registered, waitlisted, invited or unenrolled; null for who came unenrolled.",
            ),
            max_length=20,
        ),
        moment("enrolled_at", "Enrolled at", "When this enrolment began."),
        moment("waitlisted_at", "Waitlisted at", "When last put on the waiting list."),
        moment("unenrolled_at", "Unenrolled at", "When the place was given up."),
        flag("is_late", "Late", "Was the place given up too late?"),
        replace(
            text("outcome", "Outcome", "attended, partial, no_show or excused; null if unmarked."),
            max_length=20,
        ),
        replace(count("minutes", "Minutes", "Minutes attended.", nullable=True), unit="min"),
        moment("marked_at", "Marked at", "When attendance was marked."),
        key_text("marked_by", "Marked by", "Who marked it.", nullable=True),
        CHANGED_AT,
        REVISION,
    ),
)

CERTIFICATIONS = Dataset(
    name="Certifications",
    entity="Certification",
    label="Certifications",
    description="Certificates that can be awarded.",
    table=table_of(Certification),
    key=("certification_id",),
    alternate_keys=(("certification_key",),),
    navigations=(
        Navigation("series", "Series", (("series_key", "series_key"),), "What leads to it."),
        Navigation(
            "awards",
            "CertificationAwards",
            (("certification_key", "certification_key"),),
            "Whom it was awarded to.",
            many=True,
            partner="certification",
        ),
    ),
    streams=("catalog",),
    where=not_deleted,
    fields=(
        key_number("certification_id", "Certification number", "Number of this certification."),
        _CERTIFICATION_KEY,
        replace(text("name", "Name", "The certification's name."), nullable=False),
        key_text("series_key", "Series", "The series that leads to it.", nullable=True),
        replace(
            count("valid_days", "Valid days", "How long it is valid.", nullable=True), unit="days"
        ),
        CHANGED_AT,
        REVISION,
    ),
    searchable=("certification_key", "name"),
)

CERTIFICATION_AWARDS = Dataset(
    name="CertificationAwards",
    entity="CertificationAward",
    label="Certification awards",
    description="Certifications that learners were awarded; a renewal is a row of its own.",
    table=table_of(Award),
    key=("award_id",),
    joins=(
        Join("certification", table_of(Certification), _join_certification, streams=("catalog",)),
    ),
    navigations=(
        Navigation(
            "certification",
            "Certifications",
            (("certification_key", "certification_key"),),
            "The certification.",
            partner="awards",
        ),
        replace(_TO_LEARNER, partner="awards"),
    ),
    # What is told of one award may be of several types: a revocation need not state the award's.
    streams=MODULE_TYPE_NAMES,
    where=not_deleted,
    fields=(
        key_number("award_id", "Award", "Number of this award."),
        _CERTIFICATION_KEY,
        _LEARNER_KEY,
        _MODULE_TYPE,
        count("cycle", "Cycle", "1, and one more for each renewal."),
        moment("issued_at", "Issued at", "When it was issued."),
        replace(
            moment("expires_at", "Expires at", "As stated, or by valid_days; null = never."),
            sql=_expires_at,
            joins=("certification",),
        ),
        moment("revoked_at", "Revoked at", "When it was revoked."),
        Field(
            "status",
            Type.TEXT,
            "Status",
            "valid, expired or revoked at the moment asked for.",
            nullable=False,
            sql=_award_status,
            max_length=20,
            joins=("certification",),
        ),
        CHANGED_AT,
        REVISION,
    ),
)
