"""CompletenessHistory and Defects: what we said and when we knew it, what is wrong and since when.

Freshness: one row about everything, judged when it is asked.
"""

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, FromClause, func, literal_column

from app.catalog.datasets.shared import count, key_number, key_text, moment, text
from app.catalog.enumerations import DEFECT_KIND, VERDICT
from app.catalog.fields import Dataset, Field, Frame, Join, Type
from app.learning.modules import FAMILY_STREAMS
from app.store.tables import CompletenessEntry, Defect, Source
from app.store.tables.columns import table_of

_EMPTY: Any = literal_column("''")


def _join_source(frame: Frame, source: FromClause) -> ColumnElement[bool]:
    return source.c.source_id == frame.base.c.source_id


def _source_of(frame: Frame) -> ColumnElement[Any]:
    return func.coalesce(frame.join("source").c.source_key, _EMPTY)


_OF_SOURCE = Join("source", table_of(Source), _join_source)
_SOURCE = replace(
    key_text("source", "Source", "The source, by its key; empty for all of them together."),
    sql=_source_of,
    joins=("source",),
)
_STREAM = replace(
    key_text("stream", "Stream", "A module type, or people, catalog, assignments."), max_length=40
)


COMPLETENESS_HISTORY = Dataset(
    name="CompletenessHistory",
    entity="CompletenessEntry",
    label="Completeness history",
    description="What we said of each stream and when we knew it; written on change only.",
    table=table_of(CompletenessEntry),
    key=("entry_id",),
    joins=(_OF_SOURCE,),
    module_type_field="stream",
    streams=FAMILY_STREAMS,
    fields=(
        key_number("entry_id", "Entry", "Number of this entry."),
        _STREAM,
        _SOURCE,
        Field(
            "verdict", Type.ENUM, "Verdict", "What we said.", nullable=False, enumeration=VERDICT
        ),
        replace(text("reason", "Reason", "Why it was not complete."), max_length=40),
        moment("complete_through", "Complete through", "Up to where it was complete then."),
        count("missing", "Missing", "Events that were known to be missing."),
        moment("known_from", "Known from", "Since when we said so.", nullable=False),
        moment("known_to", "Known to", "Until when we said so; null while we do."),
    ),
)

DEFECTS = Dataset(
    name="Defects",
    entity="BucketDefect",
    label="Defects",
    description="Buckets that did not balance past their grace, open or resolved.",
    table=table_of(Defect),
    key=("defect_id",),
    joins=(_OF_SOURCE,),
    module_type_field="stream",
    streams=FAMILY_STREAMS,
    fields=(
        key_number("defect_id", "Defect", "Number of this defect."),
        _SOURCE,
        _STREAM,
        Field("kind", Type.ENUM, "Kind", "What is wrong.", nullable=False, enumeration=DEFECT_KIND),
        replace(
            moment("bucket_from", "Bucket from", "Start of its bucket.", nullable=False),
            column="from_at",
        ),
        replace(
            moment("bucket_to", "Bucket to", "End of its bucket.", nullable=False), column="to_at"
        ),
        count("declared", "Declared", "Events the source says it made."),
        count("applied", "Applied", "Events applied of them."),
        count("missing", "Missing", "Declared and not applied."),
        count("surplus", "Surplus", "Applied and not declared."),
        moment("detected_at", "Detected at", "When it was found.", nullable=False),
        moment("resolved_at", "Resolved at", "When it was healed; null before."),
        replace(
            text("resolution", "Resolution", "matched or restated; null before."), max_length=20
        ),
        moment("waived_at", "Waived at", "When a person said it may stay; null otherwise."),
    ),
)
