"""What is told below an assignment: parts, sign-offs, points, activity."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.store.tables.columns import Long, UtcDateTime


class PartProgress(SQLModel, table=True):
    """How far one part of an assignment got: reached, done or rejected."""

    __tablename__ = "part_progress"

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    part_progress_id: int = Field(primary_key=True, sa_type=Long)
    assignment_id: int = Field(sa_type=Long)
    part_key: str = Field(max_length=200)
    status: str = Field(max_length=20)
    reached_at: datetime = Field(sa_type=UtcDateTime)
    done_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    score: float | None = None
    points: float | None = None
    time_spent_s: int | None = Field(default=None, sa_type=Long)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)

    __table_args__ = (UniqueConstraint("environment_id", "assignment_id", "part_key"),)


class Signoff(SQLModel, table=True):
    """One round of a part's sign-off: handed in, then decided."""

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    signoff_id: int = Field(primary_key=True, sa_type=Long)
    assignment_id: int = Field(sa_type=Long)
    part_key: str = Field(max_length=200)
    round: int = Field(sa_type=Long)
    submitted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    decision: str | None = Field(default=None, max_length=20)
    reviewer_key: str | None = Field(default=None, max_length=200)
    decided_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)

    __table_args__ = (UniqueConstraint("environment_id", "assignment_id", "part_key", "round"),)


class PointsEntry(SQLModel, table=True):
    """Points that one event awarded.

    entry_id: the seq of that event
    """

    __tablename__ = "points_entry"

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    entry_id: int = Field(primary_key=True, sa_type=Long)
    assignment_id: int = Field(sa_type=Long)
    points: float
    awarded_at: datetime = Field(sa_type=UtcDateTime)
    part_key: str | None = Field(default=None, max_length=200)
    reason: str | None = Field(default=None, max_length=2000)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)

    __table_args__ = (Index(None, "environment_id", "assignment_id"),)


class Activity(SQLModel, table=True):
    """One stretch of activity.

    activity_id: the seq of the event that told it
    counted_s: its seconds that no other activity of the assignment has counted
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    activity_id: int = Field(primary_key=True, sa_type=Long)
    assignment_id: int = Field(sa_type=Long)
    started_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    seconds: int | None = Field(default=None, sa_type=Long)
    counted_s: int = Field(default=0, sa_type=Long)
    clicks: int | None = Field(default=None, sa_type=Long)
    device: str | None = Field(default=None, max_length=200)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)

    __table_args__ = (Index(None, "environment_id", "assignment_id"),)
