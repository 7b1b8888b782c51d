"""Every table, so that Alembic and the tests see the whole schema."""

from app.store.tables.access import ApiKey, Environment, Instance, Source
from app.store.tables.audit import Audit
from app.store.tables.feeds import Feed
from app.store.tables.inquiries import Inquiry, NamedEvent
from app.store.tables.journal import Batch, Event, Quarantine
from app.store.tables.ledger import (
    Bucket,
    BucketDelta,
    BucketSum,
    CompletenessEntry,
    Defect,
    Heartbeat,
    Manifest,
    Repair,
    SourceKey,
    Stream,
    StreamState,
    Tally,
)
from app.store.tables.modules import (
    Certification,
    Module,
    Part,
    Series,
    SeriesModule,
    TrainingSession,
)
from app.store.tables.partitions import PartitionChange
from app.store.tables.past import PAST, REVISED
from app.store.tables.people import Learner, LearnerAttribute, LearnerProfile, Membership, Team
from app.store.tables.progress import Attempt, Progress, ProgressHistory
from app.store.tables.rebuilds import Rebuild, RebuildEntity
from app.store.tables.rollups import ProgressByModule, ProgressByType
from app.store.tables.taking_part import Award, Enrolment, Feedback
from app.store.tables.watch import Alarm, DeadEntity, Dwell, Watch
from app.store.tables.work import BulkTask, Scheduler, Turn, Work
from app.store.tables.work_done import Activity, PartProgress, PointsEntry, Signoff

__all__ = [
    "PAST",
    "REVISED",
    "Activity",
    "Alarm",
    "ApiKey",
    "Attempt",
    "Audit",
    "Award",
    "Batch",
    "Bucket",
    "BucketDelta",
    "BucketSum",
    "BulkTask",
    "Certification",
    "CompletenessEntry",
    "DeadEntity",
    "Defect",
    "Dwell",
    "Enrolment",
    "Environment",
    "Event",
    "Feed",
    "Feedback",
    "Heartbeat",
    "Inquiry",
    "Instance",
    "Learner",
    "LearnerAttribute",
    "LearnerProfile",
    "Manifest",
    "Membership",
    "Module",
    "NamedEvent",
    "Part",
    "PartProgress",
    "PartitionChange",
    "PointsEntry",
    "Progress",
    "ProgressByModule",
    "ProgressByType",
    "ProgressHistory",
    "Quarantine",
    "Rebuild",
    "RebuildEntity",
    "Repair",
    "Scheduler",
    "Series",
    "SeriesModule",
    "Signoff",
    "Source",
    "SourceKey",
    "Stream",
    "StreamState",
    "Tally",
    "Team",
    "TrainingSession",
    "Turn",
    "Watch",
    "Work",
]
