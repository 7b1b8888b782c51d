"""Streams under contract, and the tallies that balance the books."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from app.store.tables.columns import Long, UtcDateTime


class Stream(SQLModel, table=True):
    """The contract of a stream: this source owes this stream, from this moment on.

    stream: a module type, or people, catalog, assignments
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    source_id: int = Field(primary_key=True, sa_type=Long)
    stream: str = Field(primary_key=True, max_length=40)
    from_at: datetime = Field(sa_type=UtcDateTime)


class Tally(SQLModel, table=True):
    """Counts of one source and stream, kept in the transactions that make them true.

    source_id: 0 when an item named no registered source
    stream: empty when an item named none
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    source_id: int = Field(primary_key=True, sa_type=Long)
    stream: str = Field(primary_key=True, max_length=40)
    received: int = Field(default=0, sa_type=Long)
    accepted: int = Field(default=0, sa_type=Long)
    duplicate: int = Field(default=0, sa_type=Long)
    conflict: int = Field(default=0, sa_type=Long)
    rejected: int = Field(default=0, sa_type=Long)
    applied: int = Field(default=0, sa_type=Long)
    superseded: int = Field(default=0, sa_type=Long)
    dead: int = Field(default=0, sa_type=Long)
    waived: int = Field(default=0, sa_type=Long)
    erased: int = Field(default=0, sa_type=Long)
    last_received_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_applied_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
