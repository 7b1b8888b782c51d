"""Every table, so that Alembic and the tests see the whole schema."""

from app.store.tables.access import ApiKey, Environment, Instance, Source
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
from app.store.tables.progress import Attempt, Progress
from app.store.tables.work import Turn, Work

__all__ = [
    "ApiKey",
    "Attempt",
    "Batch",
    "Certification",
    "Environment",
    "Event",
    "Instance",
    "Learner",
    "LearnerProfile",
    "Membership",
    "Module",
    "Part",
    "Progress",
    "Quarantine",
    "Series",
    "SeriesModule",
    "Source",
    "Stream",
    "Tally",
    "Team",
    "TrainingSession",
    "Turn",
    "Work",
]
