"""Learners, their profiles apart, their attributes' types, teams and memberships."""

from datetime import datetime

from sqlalchemy import Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.store.tables.columns import CLUSTERED, Long, UtcDateTime


class Learner(SQLModel, table=True):
    """A person who learns; `known` is false until the source has introduced them.

    team_key: the primary team now
    attributes: JSON object of custom attributes
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    learner_key: str = Field(primary_key=True, max_length=200)
    learner_id: int = Field(sa_type=Long)
    status: str = Field(default="active", max_length=20)
    known: bool = Field(default=False)
    team_key: str | None = Field(default=None, max_length=200)
    manager_key: str | None = Field(default=None, max_length=200)
    job_title: str | None = Field(default=None, max_length=2000)
    department: str | None = Field(default=None, max_length=2000)
    location: str | None = Field(default=None, max_length=2000)
    country: str | None = Field(default=None, max_length=2000)
    timezone: str | None = Field(default=None, max_length=200)
    hired_on: str | None = Field(default=None, max_length=10)
    attributes: str = Field(default="{}", sa_type=Text)
    events_count: int = Field(default=0, sa_type=Long)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)

    __table_args__ = (UniqueConstraint("environment_id", "learner_id"), CLUSTERED)


class LearnerProfile(SQLModel, table=True):
    """What only scope `pii` may read of a learner."""

    __tablename__ = "learner_profile"

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    learner_key: str = Field(primary_key=True, max_length=200)
    display_name: str | None = Field(default=None, max_length=2000)
    email: str | None = Field(default=None, max_length=2000)
    employee_no: str | None = Field(default=None, max_length=2000)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)


class LearnerAttribute(SQLModel, table=True):
    """A custom attribute that learners of an environment have.

    kind: of all values ever told: text, number, bool or date; text when they are not alike
    """

    __tablename__ = "learner_attribute"

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    code: str = Field(primary_key=True, max_length=200)
    kind: str = Field(max_length=10)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)


class Team(SQLModel, table=True):
    """A team, group, organisational unit or cohort."""

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    team_key: str = Field(primary_key=True, max_length=200)
    team_id: int = Field(sa_type=Long)
    name: str = Field(max_length=2000)
    kind: str = Field(default="team", max_length=20)
    parent_key: str | None = Field(default=None, max_length=200)
    known: bool = Field(default=False)
    events_count: int = Field(default=0, sa_type=Long)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)

    __table_args__ = (UniqueConstraint("environment_id", "team_id"), CLUSTERED)


class Membership(SQLModel, table=True):
    """A learner's time in a team; `until` is null while it lasts."""

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    membership_id: int = Field(primary_key=True, sa_type=Long)
    learner_key: str = Field(max_length=200)
    team_key: str = Field(max_length=200)
    since: datetime = Field(sa_type=UtcDateTime)
    until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revision: int = Field(sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    is_deleted: bool = Field(default=False)

    __table_args__ = (
        UniqueConstraint("environment_id", "learner_key", "team_key", "since"),
        Index(None, "environment_id", "team_key"),
    )
