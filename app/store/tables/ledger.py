"""Contracts of streams, what sources say of them, and what the ledger made of it."""

from datetime import datetime

from sqlalchemy import Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from app.store.tables.columns import CLUSTERED, Long, UtcDateTime

# Buckets that become defects once they are due: the condition of an index.
WATCHED = "state <> 'matched' AND declared IS NOT NULL AND defect_id IS NULL"


class Stream(SQLModel, table=True):
    """The contract of a stream: this source owes this stream, from this moment on.

    stream: a module type, or people, catalog, assignments
    required_anchor: the weakest anchor that counts: record, outbox or emitter
    shards: JSON list of the names under which parts of the stream are declared; [""] when one
    removed_at: since when it is owed no more; the act is in the audit
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    source_id: int = Field(primary_key=True, sa_type=Long)
    stream: str = Field(primary_key=True, max_length=40)
    from_at: datetime = Field(sa_type=UtcDateTime)
    bucket_s: int = Field(default=600, sa_type=Long)
    close_delay_s: int = Field(default=120, sa_type=Long)
    grace_s: int = Field(default=180, sa_type=Long)
    objective_s: int = Field(default=1200, sa_type=Long)
    heartbeat_s: int = Field(default=60, sa_type=Long)
    lateness_s: int = Field(default=86_400, sa_type=Long)
    stall_s: int = Field(default=1800, sa_type=Long)
    skew_s: int = Field(default=300, sa_type=Long)
    required_anchor: str = Field(default="outbox", max_length=20)
    shards: str = Field(default='[""]', sa_type=Text)
    removed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class SourceKey(SQLModel, table=True):
    """A key of a source's evidence; a bucket uses the one valid at its start.

    valid_to: null for the newest
    """

    __tablename__ = "source_key"

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    source_id: int = Field(primary_key=True, sa_type=Long)
    key_id: str = Field(primary_key=True, max_length=32)
    secret: bytes
    valid_from: datetime = Field(sa_type=UtcDateTime)
    valid_to: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Manifest(SQLModel, table=True):
    """What a source said it made of a stream in an interval: every version that came.

    sum: 32 bytes, big-endian; null when the source only counts
    is_current: no newer version of its interval and shard has come
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    manifest_id: int = Field(primary_key=True, sa_type=Long)
    source_id: int = Field(sa_type=Long)
    stream: str = Field(max_length=40)
    shard: str = Field(default="", max_length=200)
    from_at: datetime = Field(sa_type=UtcDateTime)
    to_at: datetime = Field(sa_type=UtcDateTime)
    version: int = Field(default=1, sa_type=Long)
    anchor: str = Field(max_length=20)
    alg: str = Field(max_length=40)
    key_id: str = Field(default="", max_length=32)
    count: int = Field(sa_type=Long)
    sum: bytes | None = None
    received_at: datetime = Field(sa_type=UtcDateTime)
    is_current: bool = Field(default=True)

    __table_args__ = (
        UniqueConstraint(
            "environment_id",
            "source_id",
            "stream",
            "shard",
            "from_at",
            "version",
            name="uq_manifest_version",
        ),
    )


class BucketDelta(SQLModel, table=True):
    """What one transaction added to the digests of a slot; appended, folded later, then gone.

    delta_id: drawn from the environment's counter, never used again
    slot_at: start of the slot of recorded time, on the contract's bucket boundary
    accepted_sum, applied_sum: sums of elements modulo 2^256, 32 bytes big-endian
    weak: accepted events that came without a digest of their data
    first_seq, last_seq: where the accepted ones are in the journal; null when there are none
    """

    __tablename__ = "bucket_delta"
    __table_args__ = CLUSTERED

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    delta_id: int = Field(primary_key=True, sa_type=Long)
    source_id: int = Field(sa_type=Long)
    stream: str = Field(max_length=40)
    slot_at: datetime = Field(sa_type=UtcDateTime)
    accepted: int = Field(default=0, sa_type=Long)
    accepted_sum: bytes
    applied: int = Field(default=0, sa_type=Long)
    applied_sum: bytes
    weak: int = Field(default=0, sa_type=Long)
    first_seq: int | None = Field(default=None, sa_type=Long)
    last_seq: int | None = Field(default=None, sa_type=Long)


class BucketSum(SQLModel, table=True):
    """The folded digests of a slot: what was accepted and what is applied of it.

    weak: accepted events that came without a digest of their data
    first_seq, last_seq: the accepted ones lie in the journal between these, among others
    """

    __tablename__ = "bucket_sum"
    __table_args__ = CLUSTERED

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    source_id: int = Field(primary_key=True, sa_type=Long)
    stream: str = Field(primary_key=True, max_length=40)
    slot_at: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    accepted: int = Field(default=0, sa_type=Long)
    accepted_sum: bytes
    applied: int = Field(default=0, sa_type=Long)
    applied_sum: bytes
    weak: int = Field(default=0, sa_type=Long)
    first_seq: int | None = Field(default=None, sa_type=Long)
    last_seq: int | None = Field(default=None, sa_type=Long)


class Bucket(SQLModel, table=True):
    """A declared interval of a stream: declared by all shards against applied, as last folded.

    One interval may cover many slots: days of nothing are one row.
    declared: null until every shard has declared it
    applied_sum: of the elements of the applied events
    anchor: the weakest of the shards'; is_weak: only counted, or events without data digest
    is_anchored: is that anchor enough for the contract?
    state: undeclared, matched, short, surplus, divergent, conflict, quarantined
    missing, surplus: events; of a divergent bucket at least one each
    element: the one missing element, when exactly one is, as declared minus applied; else null
    due_at: end + close delay + grace; before it nothing of it is a defect
    weak: accepted events without data digest
    defect_id: its defect, open or waived; null when it has none
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    source_id: int = Field(primary_key=True, sa_type=Long)
    stream: str = Field(primary_key=True, max_length=40)
    from_at: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    to_at: datetime = Field(sa_type=UtcDateTime)
    due_at: datetime = Field(sa_type=UtcDateTime)
    declared: int | None = Field(default=None, sa_type=Long)
    declared_sum: bytes | None = None
    accepted: int = Field(default=0, sa_type=Long)
    applied: int = Field(default=0, sa_type=Long)
    applied_sum: bytes
    anchor: str = Field(default="", max_length=20)
    is_anchored: bool = Field(default=False)
    is_weak: bool = Field(default=False)
    state: str = Field(max_length=20)
    missing: int = Field(default=0, sa_type=Long)
    surplus: int = Field(default=0, sa_type=Long)
    element: bytes | None = None
    weak: int = Field(default=0, sa_type=Long)
    defect_id: int | None = Field(default=None, sa_type=Long)
    changed_at: datetime = Field(sa_type=UtcDateTime)

    __table_args__ = (
        Index(
            "ix_bucket_unmatched",
            "environment_id",
            "source_id",
            "stream",
            "from_at",
            sqlite_where=text("state <> 'matched'"),
            postgresql_where=text("state <> 'matched'"),
        ),
        Index(
            "ix_bucket_unanchored",
            "environment_id",
            "source_id",
            "stream",
            "from_at",
            sqlite_where=text("is_anchored = 0"),
            postgresql_where=text("NOT is_anchored"),
        ),
        Index(
            "ix_bucket_watched",
            "environment_id",
            "due_at",
            sqlite_where=text(WATCHED),
            postgresql_where=text(WATCHED),
        ),
        Index("ix_bucket_anchor", "environment_id", "source_id", "stream", "anchor"),
        CLUSTERED,
    )


class StreamState(SQLModel, table=True):
    """What is known of a stream, one row, so that judging it costs the same in any year.

    Raised only by folding evidence; time alone lowers the verdict that rests on it.
    declared_through: every bucket before it is declared, without a gap
    matched_through: every bucket before it is matched (the frontier)
    anchored_through: ... with an anchor that is enough
    folded_delta_id: digests are folded up to this delta
    missing, surplus: of all unmatched declared buckets, due or not
    is_weak: does any declared bucket rest on counts or events without digest (weak_buckets: many)?
    shrank_at: when what known defects lack last shrank
    closed_through, backlog, oldest_pending_at: the last heartbeat's word
    closed_moved_at: our clock when closed_through last moved
    """

    __tablename__ = "stream_state"

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    source_id: int = Field(primary_key=True, sa_type=Long)
    stream: str = Field(primary_key=True, max_length=40)
    declared_through: datetime | None = Field(default=None, sa_type=UtcDateTime)
    matched_through: datetime | None = Field(default=None, sa_type=UtcDateTime)
    anchored_through: datetime | None = Field(default=None, sa_type=UtcDateTime)
    confirmed_through: datetime | None = Field(default=None, sa_type=UtcDateTime)
    folded_delta_id: int = Field(default=0, sa_type=Long)
    declared: int = Field(default=0, sa_type=Long)
    missing: int = Field(default=0, sa_type=Long)
    surplus: int = Field(default=0, sa_type=Long)
    is_weak: bool = Field(default=False)
    weak_buckets: int = Field(default=0, sa_type=Long)
    shrank_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    closed_through: datetime | None = Field(default=None, sa_type=UtcDateTime)
    closed_moved_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    backlog: int | None = Field(default=None, sa_type=Long)
    oldest_pending_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Heartbeat(SQLModel, table=True):
    """The last sign of life of a source.

    beat: its `seq`; only a greater one is news
    transport_s: received minus sent, in seconds: lag on the wire and skew of clocks together
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    source_id: int = Field(primary_key=True, sa_type=Long)
    beat: int = Field(default=0, sa_type=Long)
    sent_at: datetime = Field(sa_type=UtcDateTime)
    received_at: datetime = Field(sa_type=UtcDateTime)
    transport_s: float


class Defect(SQLModel, table=True):
    """A bucket that did not balance past its grace; it leaves matched, restated or waived.

    kind: short, surplus, divergent, conflict, quarantined, books_unbalanced
    resolution: matched, restated; null while open, as a waived one is
    most_missing: the most that was ever missing of it
    excused: how many dead events somebody has waived, where they are all that it lacks; else 0
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    defect_id: int = Field(primary_key=True, sa_type=Long)
    source_id: int = Field(sa_type=Long)
    stream: str = Field(max_length=40)
    kind: str = Field(max_length=20)
    from_at: datetime = Field(sa_type=UtcDateTime)
    to_at: datetime = Field(sa_type=UtcDateTime)
    declared: int = Field(default=0, sa_type=Long)
    applied: int = Field(default=0, sa_type=Long)
    missing: int = Field(default=0, sa_type=Long)
    surplus: int = Field(default=0, sa_type=Long)
    detected_at: datetime = Field(sa_type=UtcDateTime)
    resolved_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    resolution: str | None = Field(default=None, max_length=20)
    waived_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    waived_by: str | None = Field(default=None, max_length=200)
    waive_reason: str | None = Field(default=None, sa_type=Text)
    most_missing: int = Field(default=0, sa_type=Long, sa_column_kwargs={"server_default": "0"})
    excused: int = Field(default=0, sa_type=Long, sa_column_kwargs={"server_default": "0"})

    __table_args__ = (
        Index(
            "ix_defect_open",
            "environment_id",
            "source_id",
            "stream",
            "from_at",
            sqlite_where=text("resolved_at IS NULL"),
            postgresql_where=text("resolved_at IS NULL"),
        ),
    )


class CompletenessEntry(SQLModel, table=True):
    """What we said of a stream, from when until when; appended on change only.

    source_id: 0 for the stream over all its sources
    known_to: null for what we say now
    """

    __tablename__ = "completeness_log"

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    entry_id: int = Field(primary_key=True, sa_type=Long)
    source_id: int = Field(default=0, sa_type=Long)
    stream: str = Field(max_length=40)
    verdict: str = Field(max_length=20)
    reason: str | None = Field(default=None, max_length=40)
    complete_through: datetime | None = Field(default=None, sa_type=UtcDateTime)
    missing: int = Field(default=0, sa_type=Long)
    known_from: datetime = Field(sa_type=UtcDateTime)
    known_to: datetime | None = Field(default=None, sa_type=UtcDateTime)

    __table_args__ = (
        Index("ix_completeness_log_stream", "environment_id", "stream", "known_from"),
    )


class Repair(SQLModel, table=True):
    """Missing events being fetched again; while its lease lives, its streams are being repaired.

    streams: JSON list of the streams it covers
    state: running, done, failed
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    repair_id: int = Field(primary_key=True, sa_type=Long)
    source_id: int = Field(sa_type=Long)
    streams: str = Field(sa_type=Text)
    from_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    to_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    state: str = Field(max_length=20)
    done: int = Field(default=0, sa_type=Long)
    total: int = Field(default=0, sa_type=Long)
    started_at: datetime = Field(sa_type=UtcDateTime)
    lease_until: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    error: str | None = Field(default=None, max_length=500)


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
