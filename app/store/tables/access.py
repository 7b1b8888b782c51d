"""Environments, API keys, sources, and the instance's own values."""

from datetime import datetime

from sqlalchemy import ColumnElement, FromClause, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.store.tables.columns import Long, UtcDateTime


class Instance(SQLModel, table=True):
    """Values of this installation: its signing secret."""

    name: str = Field(primary_key=True, max_length=64)
    value: str


class Environment(SQLModel, table=True):
    """A tenant's closed space, with its commit-ordered counters.

    environment_id: negative for the shadow in which a rebuild of that environment folds
    last_seq: the newest journal number, gapless
    last_revision: the newest revision of its projections
    oldest_revision: the oldest one that can still be asked for; replaced rows before it are gone
    last_delta_id: the newest number of a bucket's delta
    last_evidence_id: rises with every change of what verdicts rest on; they are kept until it does
    canary_heard, canary_through: how many heartbeats were heard, and how many of these came through
        the queue; canary_since: since when the oldest that is not through has waited
    """

    environment_id: int = Field(primary_key=True, sa_type=Long)
    environment_key: str = Field(max_length=200)
    name: str = Field(max_length=2000)
    timezone: str = Field(default="UTC", max_length=64)
    weight: int = Field(default=1)
    last_seq: int = Field(default=0, sa_type=Long)
    last_revision: int = Field(default=0, sa_type=Long)
    created_at: datetime = Field(sa_type=UtcDateTime)
    last_delta_id: int = Field(default=0, sa_type=Long, sa_column_kwargs={"server_default": "0"})
    last_evidence_id: int = Field(default=0, sa_type=Long, sa_column_kwargs={"server_default": "0"})
    oldest_revision: int = Field(default=0, sa_type=Long, sa_column_kwargs={"server_default": "0"})
    canary_heard: int = Field(default=0, sa_type=Long, sa_column_kwargs={"server_default": "0"})
    canary_through: int = Field(default=0, sa_type=Long, sa_column_kwargs={"server_default": "0"})
    canary_since: datetime | None = Field(default=None, sa_type=UtcDateTime)

    __table_args__ = (UniqueConstraint("environment_key"),)


def is_open(environment: FromClause) -> ColumnElement[bool]:
    """Whether keys may name an environment; the shadow of a rebuild has a negative number."""
    return environment.c.environment_id > 0


class ApiKey(SQLModel, table=True):
    """An API key of one environment; only the hash of its secret is kept.

    scopes: blank-separated names
    """

    __tablename__ = "api_key"

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    public_key: str = Field(primary_key=True, max_length=32)
    name: str = Field(default="", max_length=200)
    secret_hash: bytes
    scopes: str = Field(max_length=200)
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    # A caller presents the public part only: the environment is what is looked up.
    __table_args__ = (Index(None, "public_key"),)


class Source(SQLModel, table=True):
    """A system that sends events into one environment; its evidence's keys are SourceKey rows.

    evidence_url: where it may be asked which events it made; null when it only pushes
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    source_id: int = Field(primary_key=True, sa_type=Long)
    source_key: str = Field(max_length=200)
    kind: str = Field(default="push", max_length=20)
    takes_occurred_at: bool = Field(default=False)
    created_at: datetime = Field(sa_type=UtcDateTime)
    sealed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    evidence_url: str | None = Field(default=None, max_length=2000)

    __table_args__ = (UniqueConstraint("environment_id", "source_key"),)
