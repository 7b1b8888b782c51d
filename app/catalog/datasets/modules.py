"""Modules, their parts, series, and the places of modules in them."""

from dataclasses import replace

from sqlalchemy import ColumnElement, FromClause

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
from app.catalog.fields import Dataset, Field, Frame, Join, Navigation, Type
from app.store.tables import Module, Part, Series, SeriesModule
from app.store.tables.columns import table_of


def _join_series(frame: Frame, series: FromClause) -> ColumnElement[bool]:
    return series.c.series_key == frame.base.c.series_key


MODULES = Dataset(
    name="Modules",
    entity="Module",
    label="Modules",
    description="What can be learnt.",
    table=table_of(Module),
    key=("module_id",),
    alternate_keys=(("module_key",),),
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
        Navigation(
            "series",
            "SeriesModules",
            (("module_key", "module_key"),),
            "Its places in series.",
            many=True,
            partner="module",
        ),
        Navigation(
            "feedback",
            "Feedback",
            (("module_key", "module_key"),),
            "What learners think of it.",
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
    searchable=("module_key", "name"),
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
        Navigation(
            "progress",
            "PartProgress",
            (("module_key", "module_key"), ("part_key", "part_key")),
            "How far each learner got with it.",
            many=True,
            partner="part",
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
    searchable=("part_key", "title"),
)

SERIES = Dataset(
    name="Series",
    entity="SeriesEntry",
    label="Series",
    description="Ordered sets of modules.",
    table=table_of(Series),
    key=("series_id",),
    alternate_keys=(("series_key",),),
    navigations=(
        Navigation(
            "progress",
            "LearnerProgress",
            (("series_key", "series_key"),),
            "What was assigned in it.",
            many=True,
        ),
        Navigation(
            "modules",
            "SeriesModules",
            (("series_key", "series_key"),),
            "The modules in it, with their places.",
            many=True,
            partner="series",
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
    searchable=("series_key", "name"),
)

SERIES_MODULES = Dataset(
    name="SeriesModules",
    entity="SeriesModule",
    label="Modules in series",
    description="Which modules a series is made of, in which order.",
    table=table_of(SeriesModule),
    where=not_deleted,
    key=("series_key", "module_key"),
    joins=(Join("series", table_of(Series), _join_series, streams=("catalog",)),),
    navigations=(
        Navigation(
            "series", "Series", (("series_key", "series_key"),), "The series.", partner="modules"
        ),
        Navigation(
            "module", "Modules", (("module_key", "module_key"),), "The module.", partner="series"
        ),
    ),
    streams=("catalog",),
    fields=(
        key_text("series_key", "Series", "The series, by the source's key."),
        key_text("module_key", "Module", "The module, by the source's key."),
        count("position", "Position", "Its place in the series."),
        flag("required", "Required", "Does the series require it?"),
        replace(CHANGED_AT, via="series", description="When the series last changed here."),
        replace(
            REVISION,
            via="series",
            description="The environment's revision that last changed the series.",
        ),
    ),
)
