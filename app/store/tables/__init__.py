"""Every table, so that Alembic and the tests see the whole schema."""

from app.store.tables.access import ApiKey, Environment, Instance, Source
from app.store.tables.feeds import Feed
from app.store.tables.journal import Batch, Event, Quarantine
from app.store.tables.ledger import Stream, Tally
from app.store.tables.modules import (
    Certification,
    Module,
    Part,
    Series,
    SeriesModule,
    TrainingSession,
)
from app.store.tables.people import Learner, LearnerProfile, Membership, Team
from app.store.tables.progress import Attempt, Progress, ProgressHistory
from app.store.tables.rollups import ProgressByModule, ProgressByType
from app.store.tables.taking_part import Award, Enrolment, Feedback
from app.store.tables.work import Turn, Work
from app.store.tables.work_done import Activity, PartProgress, PointsEntry, Signoff

__all__ = [
    "Activity",
    "ApiKey",
    "Attempt",
    "Award",
    "Batch",
    "Certification",
    "Enrolment",
    "Environment",
    "Event",
    "Feed",
    "Feedback",
    "Instance",
    "Learner",
    "LearnerProfile",
    "Membership",
    "Module",
    "Part",
    "PartProgress",
    "PointsEntry",
    "Progress",
    "ProgressByModule",
    "ProgressByType",
    "ProgressHistory",
    "Quarantine",
    "Series",
    "SeriesModule",
    "Signoff",
    "Source",
    "Stream",
    "Tally",
    "Team",
    "TrainingSession",
    "Turn",
    "Work",
]
