"""What changed in the sets and columns of the catalog, release by release, and what will go.

A change that breaks nobody is added; what goes is announced with the day it goes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """One change.

    number: its place in the list, for good
    release: the version it came with
    kind: `added`, `deprecated` or `removed`
    field: empty for the whole set
    deprecated_on, sunset_on: since when it should not be used, and when it goes
    """

    number: int
    release: str
    dataset: str
    kind: str
    note: str
    field: str = ""
    deprecated_on: date | None = None
    sunset_on: date | None = None


CHANGES: tuple[SchemaChange, ...] = (
    SchemaChange(1, "0.1.0", "LearnerProgress", "added", "Progress of each assignment cycle."),
    SchemaChange(2, "0.1.0", "IngestionLag", "added", "How far each stream is."),
    SchemaChange(3, "0.2.0", "ProgressHistory", "added", "How progress came to be what it is."),
    SchemaChange(4, "0.2.0", "Freshness", "added", "The verdict over all streams, as one row."),
    SchemaChange(
        5,
        "0.2.0",
        "LearnerModulePerformances",
        "added",
        "Progress under the column names of other platforms.",
    ),
    SchemaChange(6, "0.2.0", "SchemaChanges", "added", "This list."),
)


def rows_of_changes(changes: Iterable[SchemaChange] = CHANGES) -> list[dict[str, Any]]:
    """One row per change, as the dataset SchemaChanges has them."""
    return [
        {
            "number": one.number,
            "release": one.release,
            "dataset": one.dataset,
            "field": one.field or None,
            "kind": one.kind,
            "note": one.note,
            "deprecated_on": one.deprecated_on and one.deprecated_on.isoformat(),
            "sunset_on": one.sunset_on and one.sunset_on.isoformat(),
        }
        for one in changes
    ]


def find_farewell(dataset: str, changes: Iterable[SchemaChange] = CHANGES) -> SchemaChange | None:
    """The announcement that a set, or a column of it, will go; the one that goes first."""
    found = [
        one
        for one in changes
        if one.dataset == dataset and one.kind == "deprecated" and one.deprecated_on is not None
    ]
    return min(found, key=lambda one: one.sunset_on or date.max, default=None)
