"""Inquiries: what sources are asked of intervals that differ, and the events that were named."""

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Text
from sqlmodel import Field, SQLModel

from app.store.tables.columns import CLUSTERED, Long, UtcDateTime

NAMED_MISSING = "missing"
NAMED_SURPLUS = "surplus"


class Inquiry(SQLModel, table=True):
    """How far the source of an interval has been asked about it.

    token: rises with every claim; who holds an older one changes nothing
    next_at: not to be asked before; whoever asks moves it ahead first
    declared_sum: what the interval declared when it was begun; another one begins it anew
    want: JSON list of the ranges that are still to be looked into; null before the first answer
    after: where the pages of a list go on; null unless it is paged through
    state: asking, done, failing
    failure_count, error: failures in a row, and the last one's reason
    request_count: how often the source was asked for it
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    source_id: int = Field(primary_key=True, sa_type=Long)
    stream: str = Field(primary_key=True, max_length=40)
    from_at: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    token: int = Field(default=0, sa_type=Long)
    next_at: datetime = Field(sa_type=UtcDateTime)
    declared_sum: bytes
    want: str | None = Field(default=None, sa_type=Text)
    after: str | None = Field(default=None, sa_type=Text)
    state: str = Field(max_length=20)
    failure_count: int = Field(default=0, sa_type=Long)
    error: str | None = Field(default=None, max_length=500)
    request_count: int = Field(default=0, sa_type=Long)
    asked_at: datetime = Field(sa_type=UtcDateTime)

    __table_args__ = (
        ForeignKeyConstraint(
            ["environment_id", "source_id"], ["source.environment_id", "source.source_id"]
        ),
    )


class NamedEvent(SQLModel, table=True):
    """An event of an interval that its source has named as made and that was not here then, or one
    of ours that it did not count.

    element: 32 bytes, as the source's key makes it of id and digest
    kind: missing or surplus
    """

    __tablename__ = "named_event"

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    source_id: int = Field(primary_key=True, sa_type=Long)
    stream: str = Field(primary_key=True, max_length=40)
    from_at: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    element: bytes = Field(primary_key=True)
    kind: str = Field(max_length=20)
    event_id: str = Field(max_length=200)
    digest: str = Field(default="", max_length=64)
    named_at: datetime = Field(sa_type=UtcDateTime)

    __table_args__ = (CLUSTERED,)
