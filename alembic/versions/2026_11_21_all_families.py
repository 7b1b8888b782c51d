"""All event families: parts, sign-offs, points, activity, enrolments, awards, feedback, history."""

import sqlalchemy as sa
from alembic import op

from app.store.tables.columns import Long, UtcDateTime

revision = "all_families"
down_revision = "idempotency_keys"
branch_labels = None
depends_on = None

_COUNTS = (
    "parts_s",
    "signoffs_pending",
    "activity_s",
    "activities_count",
    "open_counted_s",
)


def upgrade() -> None:
    """Go forward; there is no way back."""
    op.create_table(
        "activity",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("activity_id", Long, nullable=False),
        sa.Column("assignment_id", Long, nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("seconds", Long, nullable=True),
        sa.Column("counted_s", Long, nullable=False),
        sa.Column("clicks", Long, nullable=True),
        sa.Column("device", sa.String(length=200), nullable=True),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_activity_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "activity_id", name=op.f("pk_activity")),
    )
    with op.batch_alter_table("activity", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_activity_environment_id_assignment_id"),
            ["environment_id", "assignment_id"],
            unique=False,
        )

    op.create_table(
        "award",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("award_id", Long, nullable=False),
        sa.Column("certification_key", sa.String(length=200), nullable=False),
        sa.Column("learner_key", sa.String(length=200), nullable=False),
        sa.Column("cycle", Long, nullable=False),
        sa.Column("module_key", sa.String(length=200), nullable=True),
        sa.Column("module_type", sa.String(length=40), nullable=True),
        sa.Column("issued_at", UtcDateTime(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.Column("events_count", Long, nullable=False),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_award_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "award_id", name=op.f("pk_award")),
        sa.UniqueConstraint(
            "environment_id",
            "certification_key",
            "learner_key",
            "cycle",
            name=op.f("uq_award_environment_id_certification_key_learner_key_cycle"),
        ),
    )
    with op.batch_alter_table("award", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_award_environment_id_learner_key"),
            ["environment_id", "learner_key"],
            unique=False,
        )

    op.create_table(
        "enrolment",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("enrolment_id", Long, nullable=False),
        sa.Column("module_key", sa.String(length=200), nullable=False),
        sa.Column("session_key", sa.String(length=200), nullable=False),
        sa.Column("learner_key", sa.String(length=200), nullable=False),
        sa.Column("module_type", sa.String(length=40), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=True),
        sa.Column("enrolled_at", UtcDateTime(), nullable=True),
        sa.Column("waitlisted_at", UtcDateTime(), nullable=True),
        sa.Column("unenrolled_at", UtcDateTime(), nullable=True),
        sa.Column("is_late", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("minutes", Long, nullable=True),
        sa.Column("marked_at", UtcDateTime(), nullable=True),
        sa.Column("marked_by", sa.String(length=200), nullable=True),
        sa.Column("events_count", Long, nullable=False),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_enrolment_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "enrolment_id", name=op.f("pk_enrolment")),
        sa.UniqueConstraint(
            "environment_id", "module_key", "session_key", "learner_key", name="uq_enrolment_place"
        ),
    )
    with op.batch_alter_table("enrolment", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_enrolment_environment_id_learner_key"),
            ["environment_id", "learner_key"],
            unique=False,
        )

    op.create_table(
        "feedback",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("feedback_id", Long, nullable=False),
        sa.Column("learner_key", sa.String(length=200), nullable=False),
        sa.Column("module_key", sa.String(length=200), nullable=False),
        sa.Column("session_key", sa.String(length=200), nullable=False),
        sa.Column("module_type", sa.String(length=40), nullable=True),
        sa.Column("rating", sa.Float(), nullable=True),
        sa.Column("scale_max", sa.Float(), nullable=True),
        sa.Column("given_at", UtcDateTime(), nullable=True),
        sa.Column("events_count", Long, nullable=False),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_feedback_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "feedback_id", name=op.f("pk_feedback")),
        sa.UniqueConstraint(
            "environment_id",
            "learner_key",
            "module_key",
            "session_key",
            name=op.f("uq_feedback_environment_id_learner_key_module_key_session_key"),
        ),
    )
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_feedback_environment_id_module_key"),
            ["environment_id", "module_key"],
            unique=False,
        )

    op.create_table(
        "part_progress",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("part_progress_id", Long, nullable=False),
        sa.Column("assignment_id", Long, nullable=False),
        sa.Column("part_key", sa.String(length=200), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("reached_at", UtcDateTime(), nullable=False),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("points", sa.Float(), nullable=True),
        sa.Column("time_spent_s", Long, nullable=True),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_part_progress_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint(
            "environment_id", "part_progress_id", name=op.f("pk_part_progress")
        ),
        sa.UniqueConstraint(
            "environment_id",
            "assignment_id",
            "part_key",
            name=op.f("uq_part_progress_environment_id_assignment_id_part_key"),
        ),
    )
    op.create_table(
        "points_entry",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("entry_id", Long, nullable=False),
        sa.Column("assignment_id", Long, nullable=False),
        sa.Column("points", sa.Float(), nullable=False),
        sa.Column("awarded_at", UtcDateTime(), nullable=False),
        sa.Column("part_key", sa.String(length=200), nullable=True),
        sa.Column("reason", sa.String(length=2000), nullable=True),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_points_entry_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "entry_id", name=op.f("pk_points_entry")),
    )
    with op.batch_alter_table("points_entry", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_points_entry_environment_id_assignment_id"),
            ["environment_id", "assignment_id"],
            unique=False,
        )

    op.create_table(
        "progress_history",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("history_id", Long, nullable=False),
        sa.Column("assignment_id", Long, nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("percent_complete", sa.Float(), nullable=False),
        sa.Column("best_score_percent", sa.Float(), nullable=True),
        sa.Column("valid_from", UtcDateTime(), nullable=False),
        sa.Column("valid_to", UtcDateTime(), nullable=True),
        sa.Column("known_from", UtcDateTime(), nullable=False),
        sa.Column("known_to", UtcDateTime(), nullable=True),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_progress_history_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "history_id", name=op.f("pk_progress_history")),
    )
    with op.batch_alter_table("progress_history", schema=None) as batch_op:
        batch_op.create_index(
            "ix_progress_history_assignment",
            ["environment_id", "assignment_id", "valid_to"],
            unique=False,
        )

    op.create_table(
        "signoff",
        sa.Column("environment_id", Long, nullable=False),
        sa.Column("signoff_id", Long, nullable=False),
        sa.Column("assignment_id", Long, nullable=False),
        sa.Column("part_key", sa.String(length=200), nullable=False),
        sa.Column("round", Long, nullable=False),
        sa.Column("submitted_at", UtcDateTime(), nullable=True),
        sa.Column("decision", sa.String(length=20), nullable=True),
        sa.Column("reviewer_key", sa.String(length=200), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("revision", Long, nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_signoff_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "signoff_id", name=op.f("pk_signoff")),
        sa.UniqueConstraint(
            "environment_id",
            "assignment_id",
            "part_key",
            "round",
            name=op.f("uq_signoff_environment_id_assignment_id_part_key_round"),
        ),
    )
    with op.batch_alter_table("progress", schema=None) as batch_op:
        batch_op.add_column(sa.Column("stepped_at", UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("parts_s", Long, nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("signoffs_pending", Long, nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("activity_s", Long, nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("activities_count", Long, nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("block_from_s", Long, nullable=True))
        batch_op.add_column(sa.Column("block_until_s", Long, nullable=True))
        batch_op.add_column(sa.Column("open_seq", Long, nullable=True))
        batch_op.add_column(sa.Column("open_until_s", Long, nullable=True))
        batch_op.add_column(sa.Column("open_counted_s", Long, nullable=False, server_default="0"))
    # The default is for the rows that are there; new ones say their own.
    with op.batch_alter_table("progress", schema=None) as batch_op:
        for name in _COUNTS:
            batch_op.alter_column(name, existing_type=Long, server_default=None)
