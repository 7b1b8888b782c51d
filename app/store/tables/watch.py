"""What is watched: alarms, how far the journal was looked through, dwell times, what died."""

from datetime import datetime

from sqlalchemy import Index, Text, text
from sqlmodel import Field, SQLModel

from app.store.tables.columns import CLUSTERED, Long, UtcDateTime


class Alarm(SQLModel, table=True):
    """Something that must never happen, and did; one row from its first sight to its end.

    kind: one of `app/store/alarms.py`
    seen_count: how often it was found
    details: JSON object of its last sight
    resolved_at: when it was found to be so no more; null while it is open
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    alarm_id: int = Field(primary_key=True, sa_type=Long)
    kind: str = Field(max_length=40)
    first_seen_at: datetime = Field(sa_type=UtcDateTime)
    last_seen_at: datetime = Field(sa_type=UtcDateTime)
    seen_count: int = Field(default=1, sa_type=Long)
    details: str = Field(sa_type=Text)
    resolved_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    __table_args__ = (
        Index(
            "uq_alarm_open",
            "environment_id",
            "kind",
            unique=True,
            sqlite_where=text("resolved_at IS NULL"),
            postgresql_where=text("resolved_at IS NULL"),
        ),
    )


class Watch(SQLModel, table=True):
    """The watch over one environment.

    rescued_count: entities that the sweep had to mark, ever
    event_seq, batch_id: how far this walk over the journal and the receipts has come
    found_count: what it has found wrong
    walked_at: when the last whole walk ended
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    rescued_count: int = Field(default=0, sa_type=Long)
    event_seq: int = Field(default=0, sa_type=Long)
    batch_id: int = Field(default=0, sa_type=Long)
    found_count: int = Field(default=0, sa_type=Long)
    walked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Dwell(SQLModel, table=True):
    """How many events were settled in a minute after so long a dwell.

    bucket: of the dwell's logarithm (`app/store/dwell.py`)
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    minute_at: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    bucket: int = Field(primary_key=True)
    event_count: int = Field(sa_type=Long)

    __table_args__ = (CLUSTERED,)


class DeadEntity(SQLModel, table=True):
    """How an entity died, the last time; whether events of it are dead now, the journal tells.

    attempts: failed tries, over all its deaths
    """

    __tablename__ = "dead_entity"

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    entity_key: str = Field(primary_key=True, sa_type=Text)
    died_at: datetime = Field(sa_type=UtcDateTime)
    attempts: int = Field(sa_type=Long)
    error: str = Field(max_length=500)
