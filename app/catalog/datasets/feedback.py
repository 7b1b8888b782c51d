"""Feedback: what learners think of modules and sessions."""

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, func

from app.catalog.datasets.shared import (
    CHANGED_AT,
    REVISION,
    key_number,
    key_text,
    moment,
    not_deleted,
    number,
)
from app.catalog.enumerations import MODULE_TYPE
from app.catalog.fields import Dataset, Field, Frame, Measure, Navigation, Role, Type
from app.store.tables import Feedback
from app.store.tables.columns import table_of


def _session_key(frame: Frame) -> ColumnElement[Any]:
    return func.nullif(frame.base.c.session_key, "")


def _share(frame: Frame) -> ColumnElement[Any]:
    row = frame.base.c
    return row.rating / func.nullif(row.scale_max, 0)


FEEDBACK = Dataset(
    name="Feedback",
    entity="FeedbackEntry",
    label="Feedback",
    description="What learners think of a module, or of a session; of each the latest word.",
    table=table_of(Feedback),
    key=("feedback_id",),
    navigations=(
        Navigation(
            "learner",
            "Learners",
            (("learner_key", "learner_key"),),
            "Who gave it.",
            partner="feedback",
        ),
        Navigation(
            "module",
            "Modules",
            (("module_key", "module_key"),),
            "The module.",
            partner="feedback",
        ),
        Navigation(
            "session",
            "Sessions",
            (("module_key", "module_key"), ("session_key", "session_key")),
            "The session, if it is about one.",
            partner="feedback",
        ),
    ),
    measures=(
        Measure("given", "Given", "Learners' words that tell a rating.", where="share ne null"),
        Measure(
            "share_total",
            "Shares added",
            "Each rating as a share of its scale, added.",
            function="sum",
            field="share",
        ),
        Measure(
            "average_share",
            "Average share of the scale",
            "share_total / given, 0 to 1, whatever the scales; null when nothing is given.",
            numerator="share_total",
            denominator="given",
        ),
    ),
    measured=(
        Field(
            "share",
            Type.NUMBER,
            "Share of the scale",
            "The rating divided by the most it could be.",
            role=Role.MEASURE,
            unit="ratio",
            sql=_share,
        ),
    ),
    module_type_field="module_type",
    where=not_deleted,
    fields=(
        key_number("feedback_id", "Feedback", "Number of this row."),
        key_text("learner_key", "Learner", "Who gave it, by the source's key."),
        key_text("module_key", "Module", "The module, by the source's key."),
        Field(
            "module_type",
            Type.ENUM,
            "Module type",
            "What kind of module it is, by the events' word.",
            enumeration=MODULE_TYPE,
        ),
        replace(
            key_text("session_key", "Session", "The session; null when it is about the module."),
            nullable=True,
            sql=_session_key,
        ),
        number("rating", "Rating", "As given.", unit="points"),
        number("scale_max", "Most", "The most it could be.", unit="points"),
        moment("given_at", "Given at", "When it was given."),
        CHANGED_AT,
        REVISION,
    ),
)
