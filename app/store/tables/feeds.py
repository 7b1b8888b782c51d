"""Feeds: how far each pulled source has been read, and how it goes."""

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, Text
from sqlmodel import Field, SQLModel

from app.store.tables.columns import Long, UtcDateTime


class Feed(SQLModel, table=True):
    """The pages of one pulled source.

    endpoint: the URL of its pages
    cursor: what the source gave to ask for the next page with; null before the first one
    next_at: not to be asked before; whoever asks moves it ahead first
    failure_count, failing_since, error: failures in a row, when they began, the last one's reason
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    source_id: int = Field(primary_key=True, sa_type=Long)
    endpoint: str = Field(max_length=2000)
    cursor: str | None = Field(default=None, sa_type=Text)
    next_at: datetime = Field(sa_type=UtcDateTime)
    pulled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    failure_count: int = Field(default=0)
    failing_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    error: str | None = Field(default=None, max_length=500)

    __table_args__ = (
        ForeignKeyConstraint(
            ["environment_id", "source_id"], ["source.environment_id", "source.source_id"]
        ),
        Index(None, "environment_id", "next_at"),
    )
