"""The journal: batches with their receipts, events with their state, and the quarantine shelf."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, Text, text
from sqlmodel import Field, SQLModel

from app.store.tables.columns import Long, UtcDateTime

PENDING, APPLIED, SUPERSEDED, DEAD, WAIVED, ERASED = range(6)
DISPOSITIONS = ("pending", "applied", "superseded", "dead", "waived", "erased")


class Batch(SQLModel, table=True):
    """The receipt of one delivery: what became of each item at the door.

    first_seq, last_seq: the journal numbers of the accepted items, in their order; null if none
    items: JSON list of the items that were not accepted: {index, id, outcome, seq | reason}
    origin, origin_position: the file or page it came from, and how far that was read
    idempotency_key, body_digest: the caller's own name for the request, and SHA-256 of its body
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    batch_id: int = Field(primary_key=True, sa_type=Long)
    received_at: datetime = Field(sa_type=UtcDateTime)
    received: int
    accepted: int
    duplicate: int
    conflict: int
    rejected: int
    first_seq: int | None = Field(default=None, sa_type=Long)
    last_seq: int | None = Field(default=None, sa_type=Long)
    items: str = Field(sa_type=Text)
    origin: str | None = Field(default=None, max_length=200)
    origin_position: int | None = Field(default=None, sa_type=Long)
    idempotency_key: str | None = Field(default=None, max_length=200)
    body_digest: bytes | None = Field(default=None)

    __table_args__ = (
        CheckConstraint(
            "received = accepted + duplicate + conflict + rejected", name="receipt_balances"
        ),
        Index(
            None,
            "environment_id",
            "origin",
            sqlite_where=text("origin IS NOT NULL"),
            postgresql_where=text("origin IS NOT NULL"),
        ),
        Index(
            "uq_batch_idempotency_key",
            "environment_id",
            "idempotency_key",
            unique=True,
            sqlite_where=text("idempotency_key IS NOT NULL"),
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
    )


class Event(SQLModel, table=True):
    """One fact, never changed, and where it stands.

    seq: its place in the environment's journal, gapless
    sequence: the source's own tie-break; 0 when absent
    digest: SHA-256 over type, subject, times and data, which tells a duplicate from a conflict
    data_digest: what the source computed over its bytes, or empty
    data: the event's data as JSON text, keys sorted
    extras: further envelope attributes as JSON text, or null
    disposition: pending 0, applied 1, superseded 2, dead 3, waived 4, erased 5
    element: its 32 bytes in the digests of its bucket (docs/completeness.md, "Elements")
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    seq: int = Field(primary_key=True, sa_type=Long)
    source_id: int = Field(sa_type=Long)
    event_id: str = Field(max_length=200)
    type: str = Field(max_length=40)
    stream: str = Field(max_length=40)
    entity_key: str = Field(sa_type=Text)
    subject: str | None = Field(default=None, max_length=2000)
    occurred_at: datetime = Field(sa_type=UtcDateTime)
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    received_at: datetime = Field(sa_type=UtcDateTime)
    applied_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    sequence: int = Field(default=0, sa_type=Long)
    digest: bytes
    data_digest: str = Field(default="", max_length=64)
    data: str = Field(sa_type=Text)
    extras: str | None = Field(default=None, sa_type=Text)
    disposition: int = Field(default=PENDING)
    winner_seq: int | None = Field(default=None, sa_type=Long)
    error: str | None = Field(default=None, max_length=500)
    element: bytes | None = None

    __table_args__ = (
        Index("uq_event_identity", "environment_id", "source_id", "event_id", unique=True),
        Index("ix_event_entity", "environment_id", "entity_key", "seq"),
        Index(
            "ix_event_pending",
            "environment_id",
            "source_id",
            "stream",
            "seq",
            sqlite_where=text("disposition = 0"),
            postgresql_where=text("disposition = 0"),
        ),
        # Of what waits, by entity; asked in words of its own (store/words.py, `IsWaiting`). The
        # disposition is a constant here, without which SQLite would read the rows as well.
        Index(
            "ix_event_waiting",
            "environment_id",
            "entity_key",
            "disposition",
            "seq",
            sqlite_where=text("disposition = 0"),
            postgresql_where=text("disposition < 1"),
        ),
        Index(
            "ix_event_dead",
            "environment_id",
            "entity_key",
            "seq",
            sqlite_where=text("disposition = 3"),
            postgresql_where=text("disposition = 3"),
        ),
    )


class Quarantine(SQLModel, table=True):
    """A shelf for items that were not accepted because they were wrong: rejected and conflicting.

    item: the item as it came, as text
    problems: JSON list of {path, message}
    winner_seq: the accepted event that a conflicting item collides with
    recorded_at: when the system of record stored it, if that can be told
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    quarantine_id: int = Field(primary_key=True, sa_type=Long)
    batch_id: int = Field(sa_type=Long)
    item_index: int
    outcome: str = Field(max_length=20)
    source_key: str = Field(default="", max_length=200)
    stream: str = Field(default="", max_length=40)
    event_id: str = Field(default="", max_length=200)
    problems: str = Field(sa_type=Text)
    item: str = Field(sa_type=Text)
    winner_seq: int | None = Field(default=None, sa_type=Long)
    received_at: datetime = Field(sa_type=UtcDateTime)
    recorded_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    __table_args__ = (
        Index("ix_quarantine_recorded", "environment_id", "source_key", "stream", "recorded_at"),
    )
