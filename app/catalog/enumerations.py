"""The closed lists of words that fields hold."""

from app.catalog.fields import Enumeration
from app.learning.modules import FAMILY_STREAMS, MODULE_TYPE_NAMES
from app.store.tables.journal import DISPOSITIONS
from app.store.tables.partitions import CAUSES

STATUS = Enumeration(
    "Status",
    ("not_started", "in_progress", "awaiting_review", "completed", "failed", "waived"),
)
MODULE_TYPE = Enumeration("ModuleType", MODULE_TYPE_NAMES)
VERDICT = Enumeration(
    "VerdictState", ("complete", "catching_up", "unknown", "incomplete", "stalled")
)
STREAM_KIND = Enumeration("StreamKind", ("module_type", *FAMILY_STREAMS))
END_REASON = Enumeration("EndReason", ("removed", "deactivated", "superseded"))
DISPOSITION = Enumeration("Disposition", DISPOSITIONS)
CHANGE_KIND = Enumeration("ChangeKind", ("added", "deprecated", "removed"))
DEFECT_KIND = Enumeration(
    "DefectKind",
    ("short", "surplus", "divergent", "conflict", "quarantined", "books_unbalanced"),
)
PARTITION_CAUSE = Enumeration("PartitionCause", CAUSES)
ENUMERATIONS = (
    STATUS,
    MODULE_TYPE,
    VERDICT,
    STREAM_KIND,
    END_REASON,
    DISPOSITION,
    CHANGE_KIND,
    DEFECT_KIND,
    PARTITION_CAUSE,
)
