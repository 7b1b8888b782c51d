"""Work rows point at entities that must be looked at again; turns say whose go it is."""

from datetime import datetime

from sqlalchemy import Index, Text, text
from sqlmodel import Field, SQLModel

from app.store.tables.columns import Long, UtcDateTime

LIVE, BULK = range(2)
LANES = ("live", "bulk")

# Rows of a queue are updated all the time: room beside them, and a vacuum that comes early.
_BUSY_ROWS = {
    "postgresql_with": {
        "fillfactor": 80,
        "autovacuum_vacuum_scale_factor": 0.02,
        "autovacuum_vacuum_threshold": 1000,
    }
}


class Work(SQLModel, table=True):
    """An entity whose projection must reflect the journal to `dirty_seq`; it does to `done_seq`.

    ready_at: not before this moment (back-off); the epoch when at once
    lease_token: grows with every claim; who holds an older one changes nothing
    lane: live 0, bulk 1; of a row that is marked for both it is live
    since_seq: its place in the lane: what it waits for came with this event or later
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    entity_key: str = Field(primary_key=True, sa_type=Text)
    dirty_seq: int = Field(sa_type=Long)
    done_seq: int = Field(default=0, sa_type=Long)
    ready_at: datetime = Field(sa_type=UtcDateTime)
    lease_token: int = Field(default=0, sa_type=Long)
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    attempts: int = Field(default=0)
    error: str | None = Field(default=None, max_length=500)
    lane: int = Field(default=LIVE)
    since_seq: int = Field(default=0, sa_type=Long)

    __table_args__ = (
        Index(
            "ix_work_ready",
            "environment_id",
            "lane",
            "since_seq",
            sqlite_where=text("dirty_seq > done_seq"),
            postgresql_where=text("dirty_seq > done_seq"),
        ),
        _BUSY_ROWS,
    )


class BulkTask(SQLModel, table=True):
    """A long piece of work of one environment, done step by step through its bulk lane.

    kind: which step works on it (`app/processing/drain.py`)
    closed_at: when it was done or, with an error, given up; null while it is open
    """

    __tablename__ = "bulk_task"

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    task_key: str = Field(primary_key=True, max_length=200)
    kind: str = Field(max_length=40)
    opened_at: datetime = Field(sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ready_at: datetime = Field(sa_type=UtcDateTime)
    lease_token: int = Field(default=0, sa_type=Long)
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    attempts: int = Field(default=0)
    error: str | None = Field(default=None, max_length=500)

    __table_args__ = (
        Index(
            "ix_bulk_task_open",
            "environment_id",
            "opened_at",
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
    )


class Turn(SQLModel, table=True):
    """Where an environment stands in the fair queue, and how it has fared.

    served_count, bulk_count: its quanta so far, and those of its bulk lane
    served_tick: the quantum of the whole house with which it was last served
    vtime: the virtual time up to which it has been served
    has_more: did its newest quantum leave work behind?
    live_run: its live quanta since its last bulk one, as far as they matter
    waiting_tick: the first quantum of others that passed it over since it became ready; or null
    waited_max: the most quanta of others it ever waited for
    entity_count, event_count: entities claimed and the new events they waited for; the second over
        the first is the coalescing ratio
    rest_count, rest_until, rest_error: how often in a row everything it was given failed, until
        when it rests for that, and why
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    served_count: int = Field(default=0, sa_type=Long)
    served_tick: int = Field(default=0, sa_type=Long)
    vtime: int = Field(default=0, sa_type=Long)
    live_run: int = Field(default=0)
    bulk_count: int = Field(default=0, sa_type=Long)
    waiting_tick: int | None = Field(default=None, sa_type=Long)
    waited_max: int = Field(default=0, sa_type=Long)
    entity_count: int = Field(default=0, sa_type=Long)
    event_count: int = Field(default=0, sa_type=Long)
    rest_count: int = Field(default=0)
    rest_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    rest_error: str | None = Field(default=None, max_length=500)
    has_more: bool = Field(default=False)

    __table_args__ = (_BUSY_ROWS,)


class Scheduler(SQLModel, table=True):
    """The one row that all turns share.

    vnow: the virtual time of the whole house: the start of the newest quantum
    tick: quanta claimed so far
    epoch: starts of workers so far
    small_last, small_at: the environment that was last served while it had little to do, and when
    small_before_at: when that was last so of any other environment
    """

    scheduler_id: int = Field(primary_key=True, sa_type=Long)
    vnow: int = Field(default=0, sa_type=Long)
    tick: int = Field(default=0, sa_type=Long)
    epoch: int = Field(default=0, sa_type=Long)
    small_last: int | None = Field(default=None, sa_type=Long)
    small_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    small_before_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    __table_args__ = (_BUSY_ROWS,)
