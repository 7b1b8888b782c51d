"""What learners take part in and earn: session enrolments, certification awards, feedback."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.store.tables.columns import Long, UtcDateTime


class Enrolment(SQLModel, table=True):
    """A learner's place in a session, and whether they were there.

    status: null for attendance without enrolment
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    enrolment_id: int = Field(primary_key=True, sa_type=Long)
    module_key: str = Field(max_length=200)
    session_key: str = Field(max_length=200)
    learner_key: str = Field(max_length=200)
    module_type: str | None = Field(default=None, max_length=40)
    status: str | None = Field(default=None, max_length=20)
    enrolled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    waitlisted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    unenrolled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    is_late: bool = Field(default=False)
    outcome: str | None = Field(default=None, max_length=20)
    minutes: int | None = Field(default=None, sa_type=Long)
    marked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    marked_by: str | None = Field(default=None, max_length=200)
    events_count: int = Field(default=0, sa_type=Long)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)

    __table_args__ = (
        UniqueConstraint(
            "environment_id",
            "module_key",
            "session_key",
            "learner_key",
            name="uq_enrolment_place",
        ),
        Index(None, "environment_id", "learner_key"),
    )


class Award(SQLModel, table=True):
    """A certification that a learner was awarded; a renewal is a row of its own."""

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    award_id: int = Field(primary_key=True, sa_type=Long)
    certification_key: str = Field(max_length=200)
    learner_key: str = Field(max_length=200)
    cycle: int = Field(default=1, sa_type=Long)
    module_key: str | None = Field(default=None, max_length=200)
    module_type: str | None = Field(default=None, max_length=40)
    issued_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    events_count: int = Field(default=0, sa_type=Long)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)

    __table_args__ = (
        UniqueConstraint("environment_id", "certification_key", "learner_key", "cycle"),
        Index(None, "environment_id", "learner_key"),
    )


class Feedback(SQLModel, table=True):
    """What a learner thinks of a module, or of a session.

    session_key: empty when it is about the module
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    feedback_id: int = Field(primary_key=True, sa_type=Long)
    learner_key: str = Field(max_length=200)
    module_key: str = Field(max_length=200)
    session_key: str = Field(default="", max_length=200)
    module_type: str | None = Field(default=None, max_length=40)
    rating: float | None = None
    scale_max: float | None = None
    given_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    events_count: int = Field(default=0, sa_type=Long)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)

    __table_args__ = (
        UniqueConstraint("environment_id", "learner_key", "module_key", "session_key"),
        Index(None, "environment_id", "module_key"),
    )
