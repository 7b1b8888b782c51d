"""Every dataset by name; a wrong name gets a suggestion."""

from difflib import get_close_matches

from app.base.errors import UnknownDataset
from app.catalog.datasets.attempts import ATTEMPTS
from app.catalog.datasets.completeness import COMPLETENESS_HISTORY, DEFECTS
from app.catalog.datasets.feedback import FEEDBACK
from app.catalog.datasets.freshness import FRESHNESS
from app.catalog.datasets.history import EVENTS, PROGRESS_HISTORY
from app.catalog.datasets.ingestion_lag import INGESTION_LAG, INGESTION_LAG_SOURCES
from app.catalog.datasets.learner_progress import ASSIGNMENTS, LEARNER_PROGRESS
from app.catalog.datasets.modules import MODULE_PARTS, MODULES, SERIES, SERIES_MODULES
from app.catalog.datasets.partition_changes import PARTITION_CHANGES
from app.catalog.datasets.people import LEARNERS, MEMBERSHIPS, TEAMS
from app.catalog.datasets.performances import LEARNER_MODULE_PERFORMANCES
from app.catalog.datasets.schema_changes import SCHEMA_CHANGES
from app.catalog.datasets.standing import CERTIFICATION_STANDING
from app.catalog.datasets.taking_part import (
    CERTIFICATION_AWARDS,
    CERTIFICATIONS,
    SESSION_ATTENDANCE,
    SESSIONS,
)
from app.catalog.datasets.work_done import ACTIVITY, PART_PROGRESS, POINTS, SIGN_OFFS
from app.catalog.fields import Dataset

DATASETS: tuple[Dataset, ...] = (
    LEARNER_PROGRESS,
    LEARNERS,
    TEAMS,
    MEMBERSHIPS,
    MODULES,
    SERIES,
    SERIES_MODULES,
    ASSIGNMENTS,
    MODULE_PARTS,
    PART_PROGRESS,
    ATTEMPTS,
    SESSIONS,
    SESSION_ATTENDANCE,
    SIGN_OFFS,
    POINTS,
    ACTIVITY,
    CERTIFICATIONS,
    CERTIFICATION_AWARDS,
    CERTIFICATION_STANDING,
    FEEDBACK,
    PROGRESS_HISTORY,
    EVENTS,
    INGESTION_LAG,
    INGESTION_LAG_SOURCES,
    FRESHNESS,
    LEARNER_MODULE_PERFORMANCES,
    SCHEMA_CHANGES,
    COMPLETENESS_HISTORY,
    DEFECTS,
    PARTITION_CHANGES,
)


def dataset_named(name: str, datasets: tuple[Dataset, ...] = DATASETS) -> Dataset:
    """The dataset of this name.

    Raises: UnknownDataset, with the nearest name as a hint
    """
    for dataset in datasets:
        if dataset.name == name:
            return dataset
    near = get_close_matches(name, [dataset.name for dataset in datasets], n=1)
    hint = f"Did you mean {near[0]}?" if near else "GET /v1/datasets lists them."
    raise UnknownDataset(f"there is no dataset {name[:100]!r}", hint=hint)
