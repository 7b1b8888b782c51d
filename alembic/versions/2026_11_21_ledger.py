"""Contracts in full, keys of evidence, manifests, digests of buckets and what is judged by them."""

import hmac
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

from app.store.tables.columns import Long, UtcDateTime

revision = "ledger"
down_revision = "watch"
branch_labels = None
depends_on = None

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BUCKET_S = 600
_MODULUS = 1 << 256
_STEP = 5_000
_COUNTED = (1, 2, 5)  # applied, superseded, erased: what a digest of applied events holds
_SECONDS = {
    "bucket_s": _BUCKET_S,
    "close_delay_s": 120,
    "grace_s": 180,
    "objective_s": 1200,
    "heartbeat_s": 60,
    "lateness_s": 86_400,
    "stall_s": 1800,
    "skew_s": 300,
}
_WATCHED = "state <> 'matched' AND declared IS NOT NULL AND defect_id IS NULL"


def upgrade() -> None:
    """Go forward; there is no way back."""
    _make_tables()
    op.add_column(
        "environment", sa.Column("last_delta_id", Long, nullable=False, server_default="0")
    )
    op.add_column("event", sa.Column("element", sa.LargeBinary(), nullable=True))
    op.add_column("quarantine", sa.Column("recorded_at", UtcDateTime(), nullable=True))
    op.create_index(
        "ix_quarantine_recorded",
        "quarantine",
        ["environment_id", "source_key", "stream", "recorded_at"],
    )
    _widen_contracts()
    _move_keys()
    _sum_journal()
    op.drop_column("source", "digest_key_id")
    op.drop_column("source", "digest_secret")


def _widen_contracts() -> None:
    """Give the contracts that are there the default terms."""
    with op.batch_alter_table("stream", schema=None) as batch_op:
        for name, seconds in _SECONDS.items():
            batch_op.add_column(sa.Column(name, Long, nullable=False, server_default=str(seconds)))
        batch_op.add_column(
            sa.Column(
                "required_anchor", sa.String(length=20), nullable=False, server_default="outbox"
            )
        )
        batch_op.add_column(sa.Column("shards", sa.Text(), nullable=False, server_default='[""]'))
        batch_op.add_column(sa.Column("removed_at", UtcDateTime(), nullable=True))
    # The defaults are for the rows that are there; new ones say their own.
    with op.batch_alter_table("stream", schema=None) as batch_op:
        for name in _SECONDS:
            batch_op.alter_column(name, existing_type=Long, server_default=None)
        batch_op.alter_column(
            "required_anchor", existing_type=sa.String(length=20), server_default=None
        )
        batch_op.alter_column("shards", existing_type=sa.Text(), server_default=None)


def _move_keys() -> None:
    op.get_bind().execute(
        sa.text(
            "INSERT INTO source_key (environment_id, source_id, key_id, secret, valid_from)"
            " SELECT environment_id, source_id, digest_key_id, digest_secret, :epoch FROM source"
        ).bindparams(sa.bindparam("epoch", _EPOCH, UtcDateTime()))
    )


def _sum_journal() -> None:
    """Give each event of the journal its element, and each slot its sums."""
    bind = op.get_bind()
    sums: dict[tuple[Any, ...], list[Any]] = {}
    for row in _read_journal(bind):
        framed = b"".join(
            len(part).to_bytes(4, "big") + part
            for part in (
                text.encode()
                for text in (
                    "fm1",
                    row.environment_key,
                    row.source_key,
                    row.stream,
                    row.event_id,
                    row.data_digest,
                )
            )
        )
        element = hmac.digest(bytes(row.digest_secret), framed, "sha256")
        bind.execute(
            sa.text(
                "UPDATE event SET element = :element"
                " WHERE environment_id = :environment_id AND seq = :seq"
            ),
            {"element": element, "environment_id": row.environment_id, "seq": row.seq},
        )
        since = int((row.recorded_at - _EPOCH).total_seconds()) // _BUCKET_S * _BUCKET_S
        slot_at = _EPOCH + timedelta(seconds=since)
        key = (row.environment_id, row.source_id, row.stream, slot_at)
        kept = sums.setdefault(key, [0, 0, 0, 0, 0, row.seq, row.seq])
        number, is_applied = int.from_bytes(element, "big"), row.disposition in _COUNTED
        kept[0] += 1
        kept[1] = (kept[1] + number) % _MODULUS
        kept[2] += is_applied
        kept[3] = (kept[3] + number * is_applied) % _MODULUS
        kept[4] += row.data_digest == ""
        kept[6] = row.seq
    _write_sums(bind, sums)


def _read_journal(bind: sa.Connection) -> Iterator[Any]:
    statement = sa.text(
        "SELECT e.environment_id, e.seq, e.source_id, e.event_id, e.stream, e.recorded_at,"
        " e.data_digest, e.disposition, s.source_key, s.digest_secret, n.environment_key"
        " FROM event e JOIN source s"
        " ON s.environment_id = e.environment_id AND s.source_id = e.source_id"
        " JOIN environment n ON n.environment_id = e.environment_id"
        " WHERE e.environment_id = :environment_id AND e.seq > :seq AND e.seq <= :seq + :step"
        " ORDER BY e.seq"
    ).columns(recorded_at=UtcDateTime())
    heads = bind.execute(sa.text("SELECT environment_id, last_seq FROM environment")).all()
    for environment_id, last_seq in heads:
        for seq in range(0, last_seq, _STEP):
            given = {"environment_id": environment_id, "seq": seq, "step": _STEP}
            yield from bind.execute(statement, given).all()


def _write_sums(bind: sa.Connection, sums: dict[tuple[Any, ...], list[Any]]) -> None:
    columns = (
        *("environment_id", "source_id", "stream", "slot_at", "accepted", "accepted_sum"),
        *("applied", "applied_sum", "weak", "first_seq", "last_seq"),
    )
    table = sa.table("bucket_sum", *[sa.column(name) for name in columns])
    table.c.slot_at.type = UtcDateTime()
    rows = [
        dict(
            zip(
                columns,
                (*key, k[0], k[1].to_bytes(32, "big"), k[2], k[3].to_bytes(32, "big"), *k[4:]),
                strict=True,
            )
        )
        for key, k in sums.items()
    ]
    if rows:
        bind.execute(table.insert(), rows)


def _make_tables() -> None:
    op.create_table(
        "bucket",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("source_id", Long, nullable=False),
        sa.Column("stream", sa.String(length=40), nullable=False),
        sa.Column("from_at", UtcDateTime(), nullable=False),
        sa.Column("to_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("declared", Long, nullable=True),
        sa.Column("declared_sum", sa.LargeBinary(), nullable=True),
        sa.Column("accepted", Long, nullable=False),
        sa.Column("applied", Long, nullable=False),
        sa.Column("applied_sum", sa.LargeBinary(), nullable=False),
        sa.Column("anchor", sa.String(length=20), nullable=False),
        sa.Column("is_anchored", sa.Boolean(), nullable=False),
        sa.Column("is_weak", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("missing", Long, nullable=False),
        sa.Column("surplus", Long, nullable=False),
        sa.Column("element", sa.LargeBinary(), nullable=True),
        sa.Column("weak", Long, nullable=False),
        sa.Column("defect_id", Long, nullable=True),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_bucket_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint(
            "environment_id", "source_id", "stream", "from_at", name=op.f("pk_bucket")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_bucket_unanchored",
        "bucket",
        ["environment_id", "source_id", "stream", "from_at"],
        unique=False,
        sqlite_where=sa.text("is_anchored = 0"),
        postgresql_where=sa.text("NOT is_anchored"),
    )
    op.create_index(
        "ix_bucket_unmatched",
        "bucket",
        ["environment_id", "source_id", "stream", "from_at"],
        unique=False,
        sqlite_where=sa.text("state <> 'matched'"),
        postgresql_where=sa.text("state <> 'matched'"),
    )
    op.create_index(
        "ix_bucket_watched",
        "bucket",
        ["environment_id", "due_at"],
        unique=False,
        sqlite_where=sa.text(_WATCHED),
        postgresql_where=sa.text(_WATCHED),
    )
    op.create_table(
        "bucket_delta",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("delta_id", Long, nullable=False),
        sa.Column("source_id", Long, nullable=False),
        sa.Column("stream", sa.String(length=40), nullable=False),
        sa.Column("slot_at", UtcDateTime(), nullable=False),
        sa.Column("accepted", Long, nullable=False),
        sa.Column("accepted_sum", sa.LargeBinary(), nullable=False),
        sa.Column("applied", Long, nullable=False),
        sa.Column("applied_sum", sa.LargeBinary(), nullable=False),
        sa.Column("weak", Long, nullable=False),
        sa.Column("first_seq", Long, nullable=True),
        sa.Column("last_seq", Long, nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_bucket_delta_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "delta_id", name=op.f("pk_bucket_delta")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bucket_sum",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("source_id", Long, nullable=False),
        sa.Column("stream", sa.String(length=40), nullable=False),
        sa.Column("slot_at", UtcDateTime(), nullable=False),
        sa.Column("accepted", Long, nullable=False),
        sa.Column("accepted_sum", sa.LargeBinary(), nullable=False),
        sa.Column("applied", Long, nullable=False),
        sa.Column("applied_sum", sa.LargeBinary(), nullable=False),
        sa.Column("weak", Long, nullable=False),
        sa.Column("first_seq", Long, nullable=True),
        sa.Column("last_seq", Long, nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_bucket_sum_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint(
            "environment_id", "source_id", "stream", "slot_at", name=op.f("pk_bucket_sum")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "completeness_log",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("entry_id", Long, nullable=False),
        sa.Column("source_id", Long, nullable=False),
        sa.Column("stream", sa.String(length=40), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column("complete_through", UtcDateTime(), nullable=True),
        sa.Column("missing", Long, nullable=False),
        sa.Column("known_from", UtcDateTime(), nullable=False),
        sa.Column("known_to", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_completeness_log_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "entry_id", name=op.f("pk_completeness_log")),
    )
    op.create_index(
        "ix_completeness_log_stream",
        "completeness_log",
        ["environment_id", "stream", "known_from"],
        unique=False,
    )
    op.create_table(
        "defect",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("defect_id", Long, nullable=False),
        sa.Column("source_id", Long, nullable=False),
        sa.Column("stream", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("from_at", UtcDateTime(), nullable=False),
        sa.Column("to_at", UtcDateTime(), nullable=False),
        sa.Column("declared", Long, nullable=False),
        sa.Column("applied", Long, nullable=False),
        sa.Column("missing", Long, nullable=False),
        sa.Column("surplus", Long, nullable=False),
        sa.Column("detected_at", UtcDateTime(), nullable=False),
        sa.Column("resolved_at", UtcDateTime(), nullable=True),
        sa.Column("resolution", sa.String(length=20), nullable=True),
        sa.Column("waived_at", UtcDateTime(), nullable=True),
        sa.Column("waived_by", sa.String(length=200), nullable=True),
        sa.Column("waive_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_defect_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "defect_id", name=op.f("pk_defect")),
    )
    op.create_index(
        "ix_defect_open",
        "defect",
        ["environment_id", "source_id", "stream", "from_at"],
        unique=False,
        sqlite_where=sa.text("resolved_at IS NULL"),
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_table(
        "heartbeat",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("source_id", Long, nullable=False),
        sa.Column("beat", Long, nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("transport_s", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_heartbeat_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "source_id", name=op.f("pk_heartbeat")),
    )
    op.create_table(
        "manifest",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("manifest_id", Long, nullable=False),
        sa.Column("source_id", Long, nullable=False),
        sa.Column("stream", sa.String(length=40), nullable=False),
        sa.Column("shard", sa.String(length=200), nullable=False),
        sa.Column("from_at", UtcDateTime(), nullable=False),
        sa.Column("to_at", UtcDateTime(), nullable=False),
        sa.Column("version", Long, nullable=False),
        sa.Column("anchor", sa.String(length=20), nullable=False),
        sa.Column("alg", sa.String(length=40), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("count", Long, nullable=False),
        sa.Column("sum", sa.LargeBinary(), nullable=True),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_manifest_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "manifest_id", name=op.f("pk_manifest")),
        sa.UniqueConstraint(
            "environment_id",
            "source_id",
            "stream",
            "shard",
            "from_at",
            "version",
            name="uq_manifest_version",
        ),
    )
    op.create_table(
        "repair",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("repair_id", Long, nullable=False),
        sa.Column("source_id", Long, nullable=False),
        sa.Column("streams", sa.Text(), nullable=False),
        sa.Column("from_at", UtcDateTime(), nullable=True),
        sa.Column("to_at", UtcDateTime(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("done", Long, nullable=False),
        sa.Column("total", Long, nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_repair_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "repair_id", name=op.f("pk_repair")),
    )
    op.create_table(
        "source_key",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("source_id", Long, nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("valid_from", UtcDateTime(), nullable=False),
        sa.Column("valid_to", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_source_key_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint(
            "environment_id", "source_id", "key_id", name=op.f("pk_source_key")
        ),
    )
    op.create_table(
        "stream_state",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("source_id", Long, nullable=False),
        sa.Column("stream", sa.String(length=40), nullable=False),
        sa.Column("declared_through", UtcDateTime(), nullable=True),
        sa.Column("matched_through", UtcDateTime(), nullable=True),
        sa.Column("anchored_through", UtcDateTime(), nullable=True),
        sa.Column("confirmed_through", UtcDateTime(), nullable=True),
        sa.Column("folded_delta_id", Long, nullable=False),
        sa.Column("declared", Long, nullable=False),
        sa.Column("missing", Long, nullable=False),
        sa.Column("surplus", Long, nullable=False),
        sa.Column("is_weak", sa.Boolean(), nullable=False),
        sa.Column("weak_buckets", Long, nullable=False),
        sa.Column("shrank_at", UtcDateTime(), nullable=True),
        sa.Column("closed_through", UtcDateTime(), nullable=True),
        sa.Column("closed_moved_at", UtcDateTime(), nullable=True),
        sa.Column("backlog", Long, nullable=True),
        sa.Column("oldest_pending_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_stream_state_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint(
            "environment_id", "source_id", "stream", name=op.f("pk_stream_state")
        ),
    )
