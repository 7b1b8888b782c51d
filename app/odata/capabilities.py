"""What the service and each of its sets can do, as annotations that tell the truth.

Values are those of CSDL JSON. Source: the vocabularies Capabilities and Core; docs/odata.md
"""

from typing import Any

from app.base.config import Settings
from app.catalog.fields import Dataset, Type
from app.catalog.functions import FUNCTIONS
from app.odata.csdl import PropertyPath
from app.odata.options import SYSTEM
from app.query.delta import tracks_changes

Notes = dict[str, Any]
FORMATS = tuple(
    f"application/json;odata.metadata={level}{more}"
    for level in ("minimal", "full", "none")
    for more in ("", ";IEEE754Compatible=true")
)
TABLE_FORMAT = "text/csv"
METADATA_FORMATS = ("application/xml", "application/json")
BATCH_FORMATS = ("multipart/mixed", "application/json")
# The list of functions is one of operators, too: what it lacks would count as not offered.
COMPARING = ("eq", "ne", "gt", "ge", "lt", "le", "in", "has")
JOINING = ("and", "or", "not", "any", "all")
RECKONING = ("add", "sub", "mul", "div", "divby", "mod", "case", "cast", "isof")
OPERATORS = frozenset({*COMPARING, *JOINING, *RECKONING})
OWN_OPTIONS = {
    "as_of": "A revision, to see the rows as they were; or the moment for is_overdue and its kin,"
    " now without it.",
    "require": "complete or catching_up: what the verdict must at least be.",
    "max_lag": "How long ago the data may have been complete, as a duration such as PT30M.",
    "require_assurance": "record, outbox or emitter: what the evidence must at least be.",
    "until": "complete: leave out what is not complete yet.",
}
CHANGES = (
    ("InsertRestrictions", "Insertable"),
    ("UpdateRestrictions", "Updatable"),
    ("DeleteRestrictions", "Deletable"),
)
# What may stand in the parentheses of a selected column: never, and where it is a list.
WITHIN_SELECT = ("InstanceAnnotationsSupported", "Expandable", "ComputeSupported")
WITHIN_LISTS = (
    "Filterable",
    "Searchable",
    "TopSupported",
    "SkipSupported",
    "Countable",
    "Sortable",
)


def offers(option: str) -> bool:
    """Is a system query option answered by this feed?"""
    return option in SYSTEM


def note_service() -> Notes:
    """What the service as a whole offers."""
    return {
        "@Core.ODataVersions": "4.0 4.01",
        "@Capabilities.SupportedFormats": [*FORMATS, TABLE_FORMAT],
        "@Capabilities.SupportedMetadataFormats": list(METADATA_FORMATS),
        "@Capabilities.FilterFunctions": sorted({*OPERATORS, *(one.name for one in FUNCTIONS)}),
        "@Capabilities.KeyAsSegmentSupported": True,
        "@Capabilities.QuerySegmentSupported": True,
        "@Capabilities.BatchSupported": True,
        "@Capabilities.BatchContinueOnErrorSupported": True,
        "@Capabilities.BatchSupport": {
            "Supported": True,
            "ContinueOnErrorSupported": True,
            "ReferencesInRequestBodiesSupported": False,
            "ReferencesAcrossChangeSetsSupported": False,
            "EtagReferencesSupported": False,
            "RequestDependencyConditionsSupported": False,
            "SupportedFormats": list(BATCH_FORMATS),
        },
        "@Capabilities.AsynchronousRequestsSupported": True,
        "@Capabilities.CrossJoinSupported": False,
        "@Capabilities.AnnotationValuesInQuerySupported": False,
        "@Capabilities.CustomQueryOptions": [
            {"Name": name, "Description": text, "Required": False}
            for name, text in OWN_OPTIONS.items()
        ],
    }


def note_set(dataset: Dataset, limits: Settings) -> Notes:
    """What may be asked of a set, or of a singleton."""
    expand = {
        "Expandable": bool(dataset.navigations),
        "MaxLevels": limits.limit_expand_depth,
    }
    has_lists = any(field.type is Type.TEXTS for field in dataset.fields)
    within = dict.fromkeys(WITHIN_SELECT, False) | dict.fromkeys(WITHIN_LISTS, has_lists)
    shared = {
        "@Capabilities.ReadRestrictions": {"Readable": True},
        "@Capabilities.ExpandRestrictions": expand,
        "@Capabilities.SelectSupport": {"Supported": True} | within,
    }
    if dataset.singleton:
        return shared | {"@Capabilities.UpdateRestrictions": {"Updatable": False}}
    return shared | note_rows(dataset) | {f"@Capabilities.{t}": {n: False} for t, n in CHANGES}


def note_rows(dataset: Dataset) -> Notes:
    """What may be asked of the rows of a set."""
    # Objects are asked for member by member; those of lists by any and all.
    objects = [PropertyPath(f.name) for f in dataset.fields if f.type is Type.OPEN]
    lists = [PropertyPath(f.name) for f in dataset.fields if f.type is Type.TEXTS]
    filters: Notes = {"Filterable": True, "RequiresFilter": False}
    sorts: Notes = {"Sortable": True}
    if objects:
        filters["NonFilterableProperties"] = objects
    if objects or lists:
        sorts["NonSortableProperties"] = objects + lists
    notes: Notes = {
        "@Capabilities.FilterRestrictions": filters,
        "@Capabilities.SortRestrictions": sorts,
        "@Capabilities.CountRestrictions": {"Countable": True},
        "@Capabilities.SearchRestrictions": {"Searchable": bool(dataset.searchable)},
        "@Capabilities.ChangeTracking": {"Supported": tracks_changes(dataset)},
        "@Capabilities.ComputeSupported": offers("compute"),
        "@Capabilities.TopSupported": True,
        "@Capabilities.SkipSupported": True,
        "@Capabilities.IndexableByKey": True,
    }
    if dataset.alternate_keys:
        notes["@Core.AlternateKeys"] = [
            {"Key": [{"Name": PropertyPath(name), "Alias": name} for name in names]}
            for names in dataset.alternate_keys
        ]
    return notes
