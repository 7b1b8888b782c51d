"""PartitionChanges: which past days of which sets have changed, when, and why."""

from dataclasses import replace

from app.catalog.datasets.shared import count, key_number, key_text, moment
from app.catalog.enumerations import PARTITION_CAUSE
from app.catalog.fields import Dataset, Field, Role, Type
from app.learning.modules import FAMILY_STREAMS, MODULE_TYPE_NAMES
from app.store.tables import PartitionChange
from app.store.tables.columns import table_of

PARTITION_CHANGES = Dataset(
    name="PartitionChanges",
    entity="PartitionChange",
    label="Partition changes",
    description="Which past days of which sets have changed rows, when and why; for refreshes that"
    " load only what is new.",
    table=table_of(PartitionChange),
    key=("change_id",),
    streams=(*FAMILY_STREAMS, *MODULE_TYPE_NAMES),
    fields=(
        key_number("change_id", "Change", "Number of this row."),
        replace(key_text("set", "Set", "The set, by its name."), column="set_name", max_length=40),
        Field(
            "day",
            Type.DATE,
            "Day",
            "The day that was over, in UTC, of the set's own moment.",
            role=Role.DATE,
            nullable=False,
        ),
        count("rows_changed", "Rows changed", "Changes of rows of that day since it was over."),
        moment("first_changed_at", "First changed at", "When the first was made.", nullable=False),
        moment("last_changed_at", "Last changed at", "When the last was made.", nullable=False),
        Field(
            "cause",
            Type.ENUM,
            "Cause",
            "Why rows changed.",
            nullable=False,
            enumeration=PARTITION_CAUSE,
        ),
    ),
)
