"""Which days of which sets have changed after they were over."""

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from app.store.tables.columns import Long, UtcDateTime

# The order is that of the enumeration; nothing writes the last two yet.
IN_TIME, LATE, BACKFILL, REBUILD, RESTATEMENT, ERASURE = CAUSES = (
    "live",
    "late",
    "backfill",
    "rebuild",
    "restatement",
    "erasure",
)


class PartitionChange(SQLModel, table=True):
    """How many rows of a day of a set changed once that day was over, for one cause.

    set_name: the name of the set
    day: in UTC, as text: that of the set's own moment (`app/processing/partition_rows.py`)
    rows_changed: a row counts each time a transaction has changed it
    """

    __tablename__ = "partition_change"

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    change_id: int = Field(primary_key=True, sa_type=Long)
    set_name: str = Field(max_length=40)
    day: str = Field(max_length=10)
    cause: str = Field(max_length=20)
    rows_changed: int = Field(sa_type=Long)
    first_changed_at: datetime = Field(sa_type=UtcDateTime)
    last_changed_at: datetime = Field(sa_type=UtcDateTime)

    __table_args__ = (UniqueConstraint("environment_id", "set_name", "day", "cause"),)
