"""Work rows point at entities that must be looked at again; turns say whose go it is."""

from datetime import datetime

from sqlalchemy import Index, Text, text
from sqlmodel import Field, SQLModel

from app.store.tables.columns import Long, UtcDateTime


class Work(SQLModel, table=True):
    """An entity whose projection must reflect the journal to `dirty_seq`; it does to `done_seq`.

    ready_at: not before this moment (back-off); the epoch when at once
    lease_token: grows with every claim; who holds an older one changes nothing
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

    __table_args__ = (
        Index(
            "ix_work_ready",
            "environment_id",
            "dirty_seq",
            sqlite_where=text("dirty_seq > done_seq"),
            postgresql_where=text("dirty_seq > done_seq"),
        ),
    )


class Turn(SQLModel, table=True):
    """When an environment was last served, in served quanta of the whole house."""

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    served_count: int = Field(default=0, sa_type=Long)
    served_tick: int = Field(default=0, sa_type=Long)
