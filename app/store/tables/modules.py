"""Modules, their parts, series, sessions and certifications: the catalog of what can be learnt."""

from datetime import datetime

from sqlalchemy import Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.store.tables.columns import CLUSTERED, Long, UtcDateTime


class Module(SQLModel, table=True):
    """Something to learn; `known` is false until the source has introduced it.

    tags: JSON list of texts
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    module_key: str = Field(primary_key=True, max_length=200)
    module_id: int = Field(sa_type=Long)
    name: str = Field(max_length=2000)
    module_type: str | None = Field(default=None, max_length=40)
    version: str | None = Field(default=None, max_length=200)
    status: str = Field(default="published", max_length=20)
    published_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    archived_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    max_score: float | None = None
    pass_score_percent: float | None = None
    estimated_minutes: float | None = None
    tags: str = Field(default="[]", sa_type=Text)
    parts_count: int = Field(default=0, sa_type=Long)
    known: bool = Field(default=False)
    events_count: int = Field(default=0, sa_type=Long)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)

    __table_args__ = (UniqueConstraint("environment_id", "module_id"), CLUSTERED)


class Part(SQLModel, table=True):
    """A piece of a module: content, stage, item, card, question or task."""

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    part_id: int = Field(primary_key=True, sa_type=Long)
    module_key: str = Field(max_length=200)
    part_key: str = Field(max_length=200)
    part_type: str = Field(max_length=20)
    title: str | None = Field(default=None, max_length=2000)
    position: int | None = Field(default=None, sa_type=Long)
    parent_key: str | None = Field(default=None, max_length=200)
    required: bool = Field(default=True)
    weight: float | None = None
    max_points: float | None = None
    needs_signoff: bool = Field(default=False)
    due_offset_days: int | None = Field(default=None, sa_type=Long)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)

    __table_args__ = (UniqueConstraint("environment_id", "module_key", "part_key"),)


class Series(SQLModel, table=True):
    """An ordered set of modules: a series, path, program or certification track."""

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    series_key: str = Field(primary_key=True, max_length=200)
    series_id: int = Field(sa_type=Long)
    name: str = Field(max_length=2000)
    kind: str = Field(default="series", max_length=20)
    modules_count: int = Field(default=0, sa_type=Long)
    known: bool = Field(default=False)
    events_count: int = Field(default=0, sa_type=Long)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)

    __table_args__ = (UniqueConstraint("environment_id", "series_id"), CLUSTERED)


class SeriesModule(SQLModel, table=True):
    """A module's place in a series."""

    __tablename__ = "series_module"

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    series_key: str = Field(primary_key=True, max_length=200)
    module_key: str = Field(primary_key=True, max_length=200)
    position: int = Field(sa_type=Long)
    required: bool = Field(default=True)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)

    __table_args__ = (Index(None, "environment_id", "module_key"),)


class TrainingSession(SQLModel, table=True):
    """A dated meeting of an instructor-led module."""

    __tablename__ = "session"

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    session_id: int = Field(primary_key=True, sa_type=Long)
    module_key: str = Field(max_length=200)
    session_key: str = Field(max_length=200)
    mode: str | None = Field(default=None, max_length=20)
    starts_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ends_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    timezone: str | None = Field(default=None, max_length=200)
    capacity: int | None = Field(default=None, sa_type=Long)
    location: str | None = Field(default=None, max_length=2000)
    instructor_key: str | None = Field(default=None, max_length=200)
    status: str = Field(default="scheduled", max_length=20)
    events_count: int = Field(default=0, sa_type=Long)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)

    __table_args__ = (UniqueConstraint("environment_id", "module_key", "session_key"),)


class Certification(SQLModel, table=True):
    """A certificate that can be awarded."""

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    certification_id: int = Field(primary_key=True, sa_type=Long)
    certification_key: str = Field(max_length=200)
    name: str = Field(max_length=2000)
    series_key: str | None = Field(default=None, max_length=200)
    valid_days: int | None = Field(default=None, sa_type=Long)
    renew_window_days: int | None = Field(default=None, sa_type=Long)
    events_count: int = Field(default=0, sa_type=Long)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)

    __table_args__ = (UniqueConstraint("environment_id", "certification_key"),)
