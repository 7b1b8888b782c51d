"""Attempts: one row per numbered attempt at an assignment."""

from dataclasses import replace

from sqlalchemy import ColumnElement, FromClause

from app.catalog.datasets.shared import (
    CHANGED_AT,
    REVISION,
    count,
    flag,
    key_number,
    key_text,
    moment,
    not_deleted,
    number,
    percent,
)
from app.catalog.enumerations import MODULE_TYPE
from app.catalog.fields import Dataset, Field, Frame, Join, Navigation, Type
from app.store.tables import Attempt, Progress
from app.store.tables.columns import table_of


def _join_progress(frame: Frame, progress: FromClause) -> ColumnElement[bool]:
    return progress.c.assignment_id == frame.base.c.assignment_id


ATTEMPTS = Dataset(
    name="Attempts",
    entity="Attempt",
    label="Attempts",
    description="Each numbered attempt at an assignment, with its score.",
    table=table_of(Attempt),
    key=("attempt_id",),
    joins=(Join("progress", table_of(Progress), _join_progress),),
    navigations=(
        Navigation(
            "assignment",
            "LearnerProgress",
            (("assignment_id", "assignment_id"),),
            "The assignment it was an attempt at.",
            partner="attempts_made",
        ),
        Navigation("learner", "Learners", (("learner_key", "learner_key"),), "The learner."),
        Navigation("module", "Modules", (("module_key", "module_key"),), "The module."),
    ),
    module_type_field="module_type",
    where=not_deleted,
    fields=(
        key_number("attempt_id", "Attempt number", "Number of this row."),
        replace(
            key_number("assignment_id", "Assignment", "The assignment it was an attempt at."),
            column="assignment_id",
        ),
        replace(
            key_text("learner_key", "Learner", "The learner, by the source's key."), via="progress"
        ),
        replace(
            key_text("module_key", "Module", "The module, by the source's key."), via="progress"
        ),
        Field(
            "module_type",
            Type.ENUM,
            "Module type",
            "What kind of module it is; null when nobody has said.",
            enumeration=MODULE_TYPE,
            via="progress",
            streams=("catalog",),
        ),
        count("attempt", "Attempt", "1 for the first attempt."),
        moment("submitted_at", "Submitted at", "When it was handed in."),
        moment("graded_at", "Graded at", "When it was graded."),
        number("score", "Score", "The score.", unit="points"),
        number("max_score", "Maximum score", "What the score is out of.", unit="points"),
        percent("score_percent", "Score in percent", "The score, out of 100."),
        flag("passed", "Passed", "Passed or not; null while not judged.", nullable=True),
        replace(count("seconds", "Seconds", "How long it took.", nullable=True), unit="s"),
        flag("voided", "Voided", "Declared void; it does not count."),
        CHANGED_AT,
        REVISION,
    ),
)
