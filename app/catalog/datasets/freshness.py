"""Freshness: one row that says how complete the environment's data is, over all its streams.

BI tools show neither headers nor annotations, so the verdict must be data, too.
"""

from app.catalog.datasets.ingestion_lag import JUDGED_TOGETHER
from app.catalog.datasets.shared import REVISION, count, text
from app.catalog.fields import Dataset
from app.learning.modules import STREAM_NAMES

FRESHNESS = Dataset(
    name="Freshness",
    entity="FreshnessVerdict",
    label="Freshness",
    description="How complete the data is over all streams; judged when it is asked.",
    computed="freshness",
    key=(),
    singleton=True,
    streams=STREAM_NAMES,
    fields=(
        *JUDGED_TOGETHER,
        text("worst_stream", "Worst stream", "The stream that says so."),
        count("streams_count", "Streams", "Streams that were judged."),
        REVISION,
    ),
)
