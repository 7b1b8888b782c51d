"""First light."""

import sqlalchemy as sa
from alembic import op

from app.store.tables.columns import Long, UtcDateTime

revision = "first_light"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    op.create_table(
        "environment",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("environment_key", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=2000), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("last_seq", Long, nullable=False),
        sa.Column("last_revision", Long, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", name=op.f("pk_environment")),
        sa.UniqueConstraint("environment_key", name=op.f("uq_environment_environment_key")),
    )
    op.create_table(
        "instance",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_instance")),
    )
    op.create_table(
        "api_key",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("public_key", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.String(length=200), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.Column("last_used_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_api_key_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "public_key", name=op.f("pk_api_key")),
    )
    with op.batch_alter_table("api_key", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_key_public_key"), ["public_key"], unique=False)

    op.create_table(
        "attempt",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("attempt_id", Long, nullable=False),
        sa.Column("assignment_id", Long, nullable=False),
        sa.Column("attempt", Long, nullable=False),
        sa.Column("submitted_at", UtcDateTime(), nullable=True),
        sa.Column("graded_at", UtcDateTime(), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("max_score", sa.Float(), nullable=True),
        sa.Column("score_percent", sa.Float(), nullable=True),
        sa.Column("passed", sa.Boolean(), nullable=True),
        sa.Column("seconds", Long, nullable=True),
        sa.Column("voided", sa.Boolean(), nullable=False),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_attempt_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "attempt_id", name=op.f("pk_attempt")),
        sa.UniqueConstraint(
            "environment_id",
            "assignment_id",
            "attempt",
            name=op.f("uq_attempt_environment_id_assignment_id_attempt"),
        ),
    )
    op.create_table(
        "batch",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("batch_id", Long, nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("received", sa.Integer(), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("duplicate", sa.Integer(), nullable=False),
        sa.Column("conflict", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("first_seq", Long, nullable=True),
        sa.Column("last_seq", Long, nullable=True),
        sa.Column("items", sa.Text(), nullable=False),
        sa.Column("origin", sa.String(length=200), nullable=True),
        sa.Column("origin_position", Long, nullable=True),
        sa.CheckConstraint(
            "received = accepted + duplicate + conflict + rejected",
            name=op.f("ck_batch_receipt_balances"),
        ),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_batch_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "batch_id", name=op.f("pk_batch")),
    )
    with op.batch_alter_table("batch", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_batch_environment_id_origin"),
            ["environment_id", "origin"],
            unique=False,
            sqlite_where=sa.text("origin IS NOT NULL"),
            postgresql_where=sa.text("origin IS NOT NULL"),
        )

    op.create_table(
        "certification",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("certification_id", Long, nullable=False),
        sa.Column("certification_key", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=2000), nullable=False),
        sa.Column("series_key", sa.String(length=200), nullable=True),
        sa.Column("valid_days", Long, nullable=True),
        sa.Column("renew_window_days", Long, nullable=True),
        sa.Column("events_count", Long, nullable=False),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_certification_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint(
            "environment_id", "certification_id", name=op.f("pk_certification")
        ),
        sa.UniqueConstraint(
            "environment_id",
            "certification_key",
            name=op.f("uq_certification_environment_id_certification_key"),
        ),
    )
    op.create_table(
        "event",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("seq", Long, nullable=False),
        sa.Column("source_id", Long, nullable=False),
        sa.Column("event_id", sa.String(length=200), nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("stream", sa.String(length=40), nullable=False),
        sa.Column("entity_key", sa.Text(), nullable=False),
        sa.Column("subject", sa.String(length=2000), nullable=True),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("applied_at", UtcDateTime(), nullable=True),
        sa.Column("sequence", Long, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("data_digest", sa.String(length=64), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("extras", sa.Text(), nullable=True),
        sa.Column("disposition", sa.Integer(), nullable=False),
        sa.Column("winner_seq", Long, nullable=True),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_event_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "seq", name=op.f("pk_event")),
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index(
            "ix_event_entity", ["environment_id", "entity_key", "seq"], unique=False
        )
        batch_op.create_index(
            "ix_event_pending",
            ["environment_id", "source_id", "stream", "seq"],
            unique=False,
            sqlite_where=sa.text("disposition = 0"),
            postgresql_where=sa.text("disposition = 0"),
        )
        batch_op.create_index(
            "uq_event_identity", ["environment_id", "source_id", "event_id"], unique=True
        )

    op.create_table(
        "learner",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("learner_key", sa.String(length=200), nullable=False),
        sa.Column("learner_id", Long, nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.Column("team_key", sa.String(length=200), nullable=True),
        sa.Column("manager_key", sa.String(length=200), nullable=True),
        sa.Column("job_title", sa.String(length=2000), nullable=True),
        sa.Column("department", sa.String(length=2000), nullable=True),
        sa.Column("location", sa.String(length=2000), nullable=True),
        sa.Column("country", sa.String(length=2000), nullable=True),
        sa.Column("timezone", sa.String(length=200), nullable=True),
        sa.Column("hired_on", sa.String(length=10), nullable=True),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("events_count", Long, nullable=False),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_learner_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "learner_key", name=op.f("pk_learner")),
        sa.UniqueConstraint(
            "environment_id", "learner_id", name=op.f("uq_learner_environment_id_learner_id")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "learner_profile",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("learner_key", sa.String(length=200), nullable=False),
        sa.Column("display_name", sa.String(length=2000), nullable=True),
        sa.Column("email", sa.String(length=2000), nullable=True),
        sa.Column("employee_no", sa.String(length=2000), nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_learner_profile_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "learner_key", name=op.f("pk_learner_profile")),
    )
    op.create_table(
        "membership",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("membership_id", Long, nullable=False),
        sa.Column("learner_key", sa.String(length=200), nullable=False),
        sa.Column("team_key", sa.String(length=200), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=True),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_membership_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "membership_id", name=op.f("pk_membership")),
        sa.UniqueConstraint(
            "environment_id",
            "learner_key",
            "team_key",
            "since",
            name=op.f("uq_membership_environment_id_learner_key_team_key_since"),
        ),
    )
    with op.batch_alter_table("membership", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_membership_environment_id_team_key"),
            ["environment_id", "team_key"],
            unique=False,
        )

    op.create_table(
        "module",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("module_key", sa.String(length=200), nullable=False),
        sa.Column("module_id", Long, nullable=False),
        sa.Column("name", sa.String(length=2000), nullable=False),
        sa.Column("module_type", sa.String(length=40), nullable=True),
        sa.Column("version", sa.String(length=200), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("published_at", UtcDateTime(), nullable=True),
        sa.Column("archived_at", UtcDateTime(), nullable=True),
        sa.Column("max_score", sa.Float(), nullable=True),
        sa.Column("pass_score_percent", sa.Float(), nullable=True),
        sa.Column("estimated_minutes", sa.Float(), nullable=True),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("parts_count", Long, nullable=False),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.Column("events_count", Long, nullable=False),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_module_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "module_key", name=op.f("pk_module")),
        sa.UniqueConstraint(
            "environment_id", "module_id", name=op.f("uq_module_environment_id_module_id")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "part",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("part_id", Long, nullable=False),
        sa.Column("module_key", sa.String(length=200), nullable=False),
        sa.Column("part_key", sa.String(length=200), nullable=False),
        sa.Column("part_type", sa.String(length=20), nullable=False),
        sa.Column("title", sa.String(length=2000), nullable=True),
        sa.Column("position", Long, nullable=True),
        sa.Column("parent_key", sa.String(length=200), nullable=True),
        sa.Column("required", sa.Boolean(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=True),
        sa.Column("max_points", sa.Float(), nullable=True),
        sa.Column("needs_signoff", sa.Boolean(), nullable=False),
        sa.Column("due_offset_days", Long, nullable=True),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_part_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "part_id", name=op.f("pk_part")),
        sa.UniqueConstraint(
            "environment_id",
            "module_key",
            "part_key",
            name=op.f("uq_part_environment_id_module_key_part_key"),
        ),
    )
    op.create_table(
        "progress",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("assignment_id", Long, nullable=False),
        sa.Column("learner_key", sa.String(length=200), nullable=False),
        sa.Column("module_key", sa.String(length=200), nullable=False),
        sa.Column("series_key", sa.String(length=200), nullable=False),
        sa.Column("cycle", Long, nullable=False),
        sa.Column("module_type", sa.String(length=40), nullable=True),
        sa.Column("event_module_type", sa.String(length=40), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("percent_complete", sa.Float(), nullable=False),
        sa.Column("assigned_at", UtcDateTime(), nullable=True),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("last_activity_at", UtcDateTime(), nullable=True),
        sa.Column("completed_at", UtcDateTime(), nullable=True),
        sa.Column("failed_at", UtcDateTime(), nullable=True),
        sa.Column("waived_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("end_reason", sa.String(length=20), nullable=True),
        sa.Column("mandatory", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=True),
        sa.Column("rule", sa.String(length=200), nullable=True),
        sa.Column("waive_reason", sa.Text(), nullable=True),
        sa.Column("implicit", sa.Boolean(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=True),
        sa.Column("attempts", Long, nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("max_score", sa.Float(), nullable=True),
        sa.Column("first_score_percent", sa.Float(), nullable=True),
        sa.Column("best_score_percent", sa.Float(), nullable=True),
        sa.Column("last_score_percent", sa.Float(), nullable=True),
        sa.Column("points", sa.Float(), nullable=False),
        sa.Column("time_spent_s", Long, nullable=False),
        sa.Column("parts_done", Long, nullable=False),
        sa.Column("module_version", sa.String(length=200), nullable=True),
        sa.Column("events_count", Long, nullable=False),
        sa.Column("last_occurred_at", UtcDateTime(), nullable=True),
        sa.Column("last_sequence", Long, nullable=False),
        sa.Column("last_event_id", sa.String(length=200), nullable=False),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_progress_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "assignment_id", name=op.f("pk_progress")),
        sa.UniqueConstraint(
            "environment_id",
            "learner_key",
            "module_key",
            "series_key",
            "cycle",
            name="uq_progress_assignment",
        ),
    )
    with op.batch_alter_table("progress", schema=None) as batch_op:
        batch_op.create_index("ix_progress_module", ["environment_id", "module_key"], unique=False)
        batch_op.create_index(
            "ix_progress_type",
            ["environment_id", "module_type", "status", "is_deleted"],
            unique=False,
        )

    op.create_table(
        "quarantine",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("quarantine_id", Long, nullable=False),
        sa.Column("batch_id", Long, nullable=False),
        sa.Column("item_index", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("source_key", sa.String(length=200), nullable=False),
        sa.Column("stream", sa.String(length=40), nullable=False),
        sa.Column("event_id", sa.String(length=200), nullable=False),
        sa.Column("problems", sa.Text(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("winner_seq", Long, nullable=True),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_quarantine_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "quarantine_id", name=op.f("pk_quarantine")),
    )
    op.create_table(
        "series",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("series_key", sa.String(length=200), nullable=False),
        sa.Column("series_id", Long, nullable=False),
        sa.Column("name", sa.String(length=2000), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("modules_count", Long, nullable=False),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.Column("events_count", Long, nullable=False),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_series_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "series_key", name=op.f("pk_series")),
        sa.UniqueConstraint(
            "environment_id", "series_id", name=op.f("uq_series_environment_id_series_id")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "series_module",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("series_key", sa.String(length=200), nullable=False),
        sa.Column("module_key", sa.String(length=200), nullable=False),
        sa.Column("position", Long, nullable=False),
        sa.Column("required", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_series_module_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint(
            "environment_id", "series_key", "module_key", name=op.f("pk_series_module")
        ),
    )
    with op.batch_alter_table("series_module", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_series_module_environment_id_module_key"),
            ["environment_id", "module_key"],
            unique=False,
        )

    op.create_table(
        "session",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("session_id", Long, nullable=False),
        sa.Column("module_key", sa.String(length=200), nullable=False),
        sa.Column("session_key", sa.String(length=200), nullable=False),
        sa.Column("mode", sa.String(length=20), nullable=True),
        sa.Column("starts_at", UtcDateTime(), nullable=True),
        sa.Column("ends_at", UtcDateTime(), nullable=True),
        sa.Column("timezone", sa.String(length=200), nullable=True),
        sa.Column("capacity", Long, nullable=True),
        sa.Column("location", sa.String(length=2000), nullable=True),
        sa.Column("instructor_key", sa.String(length=200), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("events_count", Long, nullable=False),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_session_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "session_id", name=op.f("pk_session")),
        sa.UniqueConstraint(
            "environment_id",
            "module_key",
            "session_key",
            name=op.f("uq_session_environment_id_module_key_session_key"),
        ),
    )
    op.create_table(
        "source",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("source_id", Long, nullable=False),
        sa.Column("source_key", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("takes_occurred_at", sa.Boolean(), nullable=False),
        sa.Column("digest_key_id", sa.String(length=32), nullable=False),
        sa.Column("digest_secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("sealed_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_source_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "source_id", name=op.f("pk_source")),
        sa.UniqueConstraint(
            "environment_id", "source_key", name=op.f("uq_source_environment_id_source_key")
        ),
    )
    op.create_table(
        "stream",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("source_id", Long, nullable=False),
        sa.Column("stream", sa.String(length=40), nullable=False),
        sa.Column("from_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_stream_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "source_id", "stream", name=op.f("pk_stream")),
    )
    op.create_table(
        "tally",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("source_id", Long, nullable=False),
        sa.Column("stream", sa.String(length=40), nullable=False),
        sa.Column("received", Long, nullable=False),
        sa.Column("accepted", Long, nullable=False),
        sa.Column("duplicate", Long, nullable=False),
        sa.Column("conflict", Long, nullable=False),
        sa.Column("rejected", Long, nullable=False),
        sa.Column("applied", Long, nullable=False),
        sa.Column("superseded", Long, nullable=False),
        sa.Column("dead", Long, nullable=False),
        sa.Column("waived", Long, nullable=False),
        sa.Column("erased", Long, nullable=False),
        sa.Column("last_received_at", UtcDateTime(), nullable=True),
        sa.Column("last_applied_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_tally_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "source_id", "stream", name=op.f("pk_tally")),
    )
    op.create_table(
        "team",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("team_key", sa.String(length=200), nullable=False),
        sa.Column("team_id", Long, nullable=False),
        sa.Column("name", sa.String(length=2000), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("parent_key", sa.String(length=200), nullable=True),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.Column("events_count", Long, nullable=False),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_team_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "team_key", name=op.f("pk_team")),
        sa.UniqueConstraint(
            "environment_id", "team_id", name=op.f("uq_team_environment_id_team_id")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "turn",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("served_count", Long, nullable=False),
        sa.Column("served_tick", Long, nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_turn_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", name=op.f("pk_turn")),
    )
    op.create_table(
        "work",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("entity_key", sa.Text(), nullable=False),
        sa.Column("dirty_seq", Long, nullable=False),
        sa.Column("done_seq", Long, nullable=False),
        sa.Column("ready_at", UtcDateTime(), nullable=False),
        sa.Column("lease_token", Long, nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_work_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "entity_key", name=op.f("pk_work")),
    )
    with op.batch_alter_table("work", schema=None) as batch_op:
        batch_op.create_index(
            "ix_work_ready",
            ["environment_id", "dirty_seq"],
            unique=False,
            sqlite_where=sa.text("dirty_seq > done_seq"),
            postgresql_where=sa.text("dirty_seq > done_seq"),
        )
