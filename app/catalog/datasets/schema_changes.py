"""SchemaChanges: what changed in the sets and columns, release by release, and what will go."""

from dataclasses import replace

from app.catalog.datasets.shared import key_number, text
from app.catalog.enumerations import CHANGE_KIND
from app.catalog.fields import Dataset, Field, Role, Type

SCHEMA_CHANGES = Dataset(
    name="SchemaChanges",
    entity="SchemaChange",
    label="Schema changes",
    description="What changed in the sets and columns, and what will go; rests on no stream.",
    computed="schema_changes",
    key=("number",),
    fields=(
        key_number("number", "Number", "Place in the list."),
        replace(text("release", "Release", "The version it came with."), nullable=False),
        replace(text("dataset", "Set", "The set that changed."), nullable=False),
        text("field", "Column", "The column that changed; null for the whole set."),
        Field("kind", Type.ENUM, "Kind", "What happened.", nullable=False, enumeration=CHANGE_KIND),
        replace(text("note", "Note", "In a sentence."), nullable=False),
        Field(
            "deprecated_on",
            Type.DATE,
            "Deprecated on",
            "Since when it should not be used; or null.",
            role=Role.DATE,
        ),
        Field("sunset_on", Type.DATE, "Sunset on", "When it goes; or null.", role=Role.DATE),
    ),
)
