"""Modules, their parts, and series."""

from dataclasses import replace

from app.catalog.datasets.shared import (
    CHANGED_AT,
    EVENTS_COUNT,
    REVISION,
    count,
    flag,
    key_number,
    key_text,
    moment,
    not_deleted,
    number,
    percent,
    text,
)
from app.catalog.enumerations import MODULE_TYPE
from app.catalog.fields import Dataset, Field, Navigation, Type
from app.store.tables import Module, Part, Series
from app.store.tables.columns import table_of

MODULES = Dataset(
    name="Modules",
    entity="Module",
    label="Modules",
    description="What can be learnt.",
    table=table_of(Module),
    key=("module_id",),
    navigations=(
        Navigation(
            "parts",
            "ModuleParts",
            (("module_key", "module_key"),),
            "Its parts.",
            many=True,
            partner="module",
        ),
        Navigation(
            "progress",
            "LearnerProgress",
            (("module_key", "module_key"),),
            "Whom it was assigned to, and how far they got.",
            many=True,
        ),
        Navigation(
            "sessions",
            "Sessions",
            (("module_key", "module_key"),),
            "When it is taught.",
            many=True,
            partner="module",
        ),
        Navigation("lag", "IngestionLag", (("module_type", "stream"),), "How fresh its stream is."),
    ),
    streams=("catalog",),
    where=not_deleted,
    fields=(
        key_number("module_id", "Module number", "Number of this module."),
        key_text("module_key", "Module", "The module, by the source's key."),
        replace(text("name", "Name", "The module's name."), nullable=False),
        Field(
            "module_type",
            Type.ENUM,
            "Module type",
            "What kind of module it is; null until the catalog has said.",
            enumeration=MODULE_TYPE,
        ),
        Field("version", Type.TEXT, "Version", "The version now.", max_length=200),
        replace(
            text("status", "Status", "draft, published, archived or deleted."),
            nullable=False,
            max_length=20,
        ),
        moment("published_at", "Published at", "When it was published."),
        moment("archived_at", "Archived at", "When it was archived."),
        number("max_score", "Maximum score", "What a score is out of.", unit="points"),
        percent("pass_score_percent", "Pass mark", "The score that passes, out of 100."),
        number("estimated_minutes", "Estimated minutes", "How long it takes.", unit="min"),
        Field("tags", Type.TEXTS, "Tags", "Free words.", nullable=False),
        count("parts_count", "Parts", "How many parts it has."),
        flag("known", "Known", "Has the source introduced this module?"),
        EVENTS_COUNT,
        CHANGED_AT,
        REVISION,
    ),
)

MODULE_PARTS = Dataset(
    name="ModuleParts",
    entity="ModulePart",
    label="Module parts",
    description="What modules are made of: content, stages, items, cards, questions, tasks.",
    table=table_of(Part),
    key=("part_id",),
    navigations=(
        Navigation(
            "module", "Modules", (("module_key", "module_key"),), "The module.", partner="parts"
        ),
    ),
    streams=("catalog",),
    where=not_deleted,
    fields=(
        key_number("part_id", "Part number", "Number of this part."),
        key_text("module_key", "Module", "The module, by the source's key."),
        key_text("part_key", "Part", "The part, by the source's key."),
        replace(
            text("part_type", "Part type", "content, stage, item, card, question or task."),
            nullable=False,
            max_length=20,
        ),
        text("title", "Title", "The part's title."),
        count("position", "Position", "Its place in the module.", nullable=True),
        flag("required", "Required", "Must it be done?"),
        number("weight", "Weight", "What it counts for."),
        number("max_points", "Maximum points", "The most it can give.", unit="points"),
        flag("needs_signoff", "Needs sign-off", "Must a reviewer approve it?"),
        CHANGED_AT,
        REVISION,
    ),
)

SERIES = Dataset(
    name="Series",
    entity="SeriesEntry",
    label="Series",
    description="Ordered sets of modules.",
    table=table_of(Series),
    key=("series_id",),
    navigations=(
        Navigation(
            "progress",
            "LearnerProgress",
            (("series_key", "series_key"),),
            "What was assigned in it.",
            many=True,
        ),
    ),
    streams=("catalog",),
    where=not_deleted,
    fields=(
        key_number("series_id", "Series number", "Number of this series."),
        key_text("series_key", "Series", "The series, by the source's key."),
        replace(text("name", "Name", "The series' name."), nullable=False),
        replace(text("kind", "Kind", "series, path, program or certification."), nullable=False),
        count("modules_count", "Modules", "How many modules it has."),
        flag("known", "Known", "Has the source introduced this series?"),
        EVENTS_COUNT,
        CHANGED_AT,
        REVISION,
    ),
)
