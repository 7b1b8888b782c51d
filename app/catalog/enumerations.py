"""The closed lists of words that fields hold."""

from app.catalog.fields import Enumeration
from app.learning.modules import FAMILY_STREAMS, MODULE_TYPE_NAMES
from app.store.tables.journal import DISPOSITIONS

STATUS = Enumeration(
    "Status",
    ("not_started", "in_progress", "awaiting_review", "completed", "failed", "waived"),
)
MODULE_TYPE = Enumeration("ModuleType", MODULE_TYPE_NAMES)
VERDICT = Enumeration("Verdict", ("complete", "catching_up", "unknown", "incomplete", "stalled"))
STREAM_KIND = Enumeration("StreamKind", ("module_type", *FAMILY_STREAMS))
END_REASON = Enumeration("EndReason", ("removed", "deactivated", "superseded"))
DISPOSITION = Enumeration("Disposition", DISPOSITIONS)
ENUMERATIONS = (STATUS, MODULE_TYPE, VERDICT, STREAM_KIND, END_REASON, DISPOSITION)
