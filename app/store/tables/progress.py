"""Progress: one row per assignment cycle, its attempts, and how it came to be what it is."""

from datetime import datetime

from sqlalchemy import Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.store.tables.columns import Long, UtcDateTime


class Progress(SQLModel, table=True):
    """What was assigned to a learner and how far it got; a retake is a row of its own.

    series_key: empty when the module was assigned outside any series
    module_type: the catalog's word, or the events' own while the catalog does not know the module
    event_module_type: the events' own word
    stepped_at: since when status, percent and best score are what they are
    parts_s to open_counted_s: what a fold must know to go on (app/learning/progress.py)
    events_count: events folded into this row, applied and superseded
    last_occurred_at, last_sequence, last_event_id: position of the newest folded fact
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    assignment_id: int = Field(primary_key=True, sa_type=Long)
    learner_key: str = Field(max_length=200)
    module_key: str = Field(max_length=200)
    series_key: str = Field(default="", max_length=200)
    cycle: int = Field(default=1, sa_type=Long)
    module_type: str | None = Field(default=None, max_length=40)
    event_module_type: str | None = Field(default=None, max_length=40)
    status: str = Field(max_length=20)
    percent_complete: float = 0.0
    assigned_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    due_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_activity_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    completed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    failed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    waived_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    end_reason: str | None = Field(default=None, max_length=20)
    mandatory: bool = Field(default=True)
    reason: str | None = Field(default=None, max_length=20)
    rule: str | None = Field(default=None, max_length=200)
    waive_reason: str | None = Field(default=None, sa_type=Text)
    implicit: bool = Field(default=False)
    passed: bool | None = None
    attempts: int = Field(default=0, sa_type=Long)
    score: float | None = None
    max_score: float | None = None
    first_score_percent: float | None = None
    best_score_percent: float | None = None
    last_score_percent: float | None = None
    points: float = 0.0
    time_spent_s: int = Field(default=0, sa_type=Long)
    parts_done: int = Field(default=0, sa_type=Long)
    module_version: str | None = Field(default=None, max_length=200)
    events_count: int = Field(default=0, sa_type=Long)
    last_occurred_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_sequence: int = Field(default=0, sa_type=Long)
    last_event_id: str = Field(default="", max_length=200)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)
    stepped_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    parts_s: int = Field(default=0, sa_type=Long)
    signoffs_pending: int = Field(default=0, sa_type=Long)
    activity_s: int = Field(default=0, sa_type=Long)
    activities_count: int = Field(default=0, sa_type=Long)
    block_from_s: int | None = Field(default=None, sa_type=Long)
    block_until_s: int | None = Field(default=None, sa_type=Long)
    open_seq: int | None = Field(default=None, sa_type=Long)
    open_until_s: int | None = Field(default=None, sa_type=Long)
    open_counted_s: int = Field(default=0, sa_type=Long)

    __table_args__ = (
        UniqueConstraint(
            "environment_id",
            "learner_key",
            "module_key",
            "series_key",
            "cycle",
            name="uq_progress_assignment",
        ),
        Index("ix_progress_module", "environment_id", "module_key"),
        Index("ix_progress_type", "environment_id", "module_type", "status", "is_deleted"),
    )


class Attempt(SQLModel, table=True):
    """One numbered attempt at an assignment."""

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    attempt_id: int = Field(primary_key=True, sa_type=Long)
    assignment_id: int = Field(sa_type=Long)
    attempt: int = Field(sa_type=Long)
    submitted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    graded_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    score: float | None = None
    max_score: float | None = None
    score_percent: float | None = None
    passed: bool | None = None
    seconds: int | None = Field(default=None, sa_type=Long)
    voided: bool = Field(default=False)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)

    __table_args__ = (UniqueConstraint("environment_id", "assignment_id", "attempt"),)


class ProgressHistory(SQLModel, table=True):
    """What held of an assignment from when until when, and from when until when we knew it so.

    valid_to: null for the newest step; known_to: null for what is known now
    """

    __tablename__ = "progress_history"

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    history_id: int = Field(primary_key=True, sa_type=Long)
    assignment_id: int = Field(sa_type=Long)
    status: str = Field(max_length=20)
    percent_complete: float
    best_score_percent: float | None = None
    valid_from: datetime = Field(sa_type=UtcDateTime)
    valid_to: datetime | None = Field(default=None, sa_type=UtcDateTime)
    known_from: datetime = Field(sa_type=UtcDateTime)
    known_to: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)

    __table_args__ = (
        Index("ix_progress_history_assignment", "environment_id", "assignment_id", "valid_to"),
    )
