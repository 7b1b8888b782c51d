"""Rebuilds: what was asked for and how far it is; which entities its shadow holds, as of when."""

from datetime import datetime

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from app.store.tables.columns import CLUSTERED, Long, UtcDateTime

WAITING, RUNNING, CATCHING_UP, CLEARING, FAILING, DONE, FAILED = (
    "waiting",
    "running",
    "catching_up",
    "clearing",
    "failing",
    "done",
    "failed",
)
ENDED = (DONE, FAILED)


class Rebuild(SQLModel, table=True):
    """One rebuild of an environment's projections from its journal.

    stream, module_key, learner_key, from_at, to_at: its scope; all null for everything
    cursor: the last entity key that was looked at
    through_seq: entities that first came up in later events have yet to be looked for
    entities_total: how many the environment had at the start; null for a part of it
    rounds_count: how often live work had to be caught up with
    failures_count: quanta that failed in a row
    revision: the environment's revision that the switch drew; null when no row changed
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    rebuild_id: int = Field(primary_key=True, sa_type=Long)
    stream: str | None = Field(default=None, max_length=40)
    module_key: str | None = Field(default=None, max_length=200)
    learner_key: str | None = Field(default=None, max_length=200)
    from_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    to_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    asked_by: str = Field(max_length=200)
    state: str = Field(default=WAITING, max_length=20)
    cursor: str = Field(default="", sa_type=Text)
    through_seq: int = Field(default=0, sa_type=Long)
    entities_total: int | None = Field(default=None, sa_type=Long)
    entities_count: int = Field(default=0, sa_type=Long)
    rounds_count: int = Field(default=0)
    failures_count: int = Field(default=0)
    rows_added: int = Field(default=0, sa_type=Long)
    rows_changed: int = Field(default=0, sa_type=Long)
    rows_removed: int = Field(default=0, sa_type=Long)
    revision: int | None = Field(default=None, sa_type=Long)
    error: str | None = Field(default=None, max_length=500)
    asked_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    switched_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class RebuildEntity(SQLModel, table=True):
    """An entity in the shadow of its environment's rebuild.

    done_seq, lease_token: those of its work row when it was folded; others mean it has changed
    """

    __tablename__ = "rebuild_entity"

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    entity_key: str = Field(primary_key=True, sa_type=Text)
    done_seq: int = Field(sa_type=Long)
    lease_token: int = Field(sa_type=Long)

    __table_args__ = (CLUSTERED,)
