"""PartProgress, SignOffs, Points and Activity: what is told below an assignment."""

from dataclasses import replace

from sqlalchemy import ColumnElement, FromClause, and_

from app.catalog.datasets.shared import (
    CHANGED_AT,
    REVISION,
    count,
    key_number,
    key_text,
    moment,
    not_deleted,
    number,
    text,
)
from app.catalog.datasets.work_measures import (
    ACTIVITY_MEASURES,
    ANSWER_FACTS,
    ANSWER_MEASURES,
    SIGN_OFF_FACTS,
    SIGN_OFF_MEASURES,
)
from app.catalog.enumerations import MODULE_TYPE
from app.catalog.fields import Dataset, Field, Frame, Join, Navigation, Type
from app.store.tables import Activity, Part, PartProgress, PointsEntry, Progress, Signoff
from app.store.tables.columns import table_of


def _join_assignment(frame: Frame, progress: FromClause) -> ColumnElement[bool]:
    return progress.c.assignment_id == frame.base.c.assignment_id


def _join_part(frame: Frame, part: FromClause) -> ColumnElement[bool]:
    module_key = frame.join("progress").c.module_key
    return and_(part.c.module_key == module_key, part.c.part_key == frame.base.c.part_key)


OF_ASSIGNMENT = Join("progress", table_of(Progress), _join_assignment)
ASSIGNMENT_ID = replace(
    key_number("assignment_id", "Assignment", "The assignment it belongs to."),
    column="assignment_id",
)
LEARNER_KEY = replace(
    key_text("learner_key", "Learner", "The learner, by the source's key."), via="progress"
)
MODULE_KEY = replace(
    key_text("module_key", "Module", "The module, by the source's key."), via="progress"
)
MODULE_TYPE_VIA = Field(
    "module_type",
    Type.ENUM,
    "Module type",
    "What kind of module it is; null when nobody has said.",
    enumeration=MODULE_TYPE,
    via="progress",
    streams=("catalog",),
)
TO_LEARNER = Navigation("learner", "Learners", (("learner_key", "learner_key"),), "The learner.")
TO_MODULE = Navigation("module", "Modules", (("module_key", "module_key"),), "The module.")
TO_ASSIGNMENT = Navigation(
    "assignment",
    "LearnerProgress",
    (("assignment_id", "assignment_id"),),
    "The assignment it belongs to.",
)
_PART_KEY = key_text("part_key", "Part", "The part, by the source's key.")
_TO_PART = Navigation(
    "part",
    "ModuleParts",
    (("module_key", "module_key"), ("part_key", "part_key")),
    "The part of the module.",
)

PART_PROGRESS = Dataset(
    name="PartProgress",
    entity="PartProgressRow",
    label="Part progress",
    description="How far each learner got with each part of an assignment.",
    table=table_of(PartProgress),
    key=("part_progress_id",),
    joins=(OF_ASSIGNMENT, Join("part", table_of(Part), _join_part, streams=("catalog",))),
    navigations=(
        replace(TO_ASSIGNMENT, partner="parts"),
        TO_LEARNER,
        TO_MODULE,
        replace(_TO_PART, partner="progress"),
    ),
    measures=ANSWER_MEASURES,
    measured=ANSWER_FACTS,
    module_type_field="module_type",
    where=not_deleted,
    fields=(
        key_number("part_progress_id", "Part progress", "Number of this row."),
        ASSIGNMENT_ID,
        LEARNER_KEY,
        MODULE_KEY,
        MODULE_TYPE_VIA,
        _PART_KEY,
        replace(
            text("status", "Status", "reached, done or rejected."), nullable=False, max_length=20
        ),
        moment("reached_at", "Reached at", "First sign of it.", nullable=False),
        moment("done_at", "Done at", "When it was done; null while it is not."),
        number("score", "Score", "The score stated last.", unit="points"),
        number("points", "Points", "The points stated last.", unit="points"),
        replace(
            count("time_spent_s", "Time spent", "The seconds stated last.", nullable=True), unit="s"
        ),
        CHANGED_AT,
        REVISION,
    ),
)

SIGN_OFFS = Dataset(
    name="SignOffs",
    entity="SignOff",
    label="Sign-offs",
    description="Each time a part was handed to a reviewer, and what was decided.",
    table=table_of(Signoff),
    key=("signoff_id",),
    joins=(OF_ASSIGNMENT,),
    navigations=(
        replace(TO_ASSIGNMENT, partner="sign_offs"),
        TO_LEARNER,
        TO_MODULE,
        _TO_PART,
        Navigation("reviewer", "Learners", (("reviewer_key", "learner_key"),), "The reviewer."),
    ),
    measures=SIGN_OFF_MEASURES,
    measured=SIGN_OFF_FACTS,
    module_type_field="module_type",
    where=not_deleted,
    fields=(
        key_number("signoff_id", "Sign-off", "Number of this sign-off."),
        ASSIGNMENT_ID,
        LEARNER_KEY,
        MODULE_KEY,
        MODULE_TYPE_VIA,
        _PART_KEY,
        count("round", "Round", "1 for the part's first, and one more each time again."),
        moment("submitted_at", "Submitted at", "When it was handed in; null if it never was."),
        replace(
            text("decision", "Decision", "approved or rejected; null while undecided."),
            max_length=20,
        ),
        key_text("reviewer_key", "Reviewer", "Who decides or decided.", nullable=True),
        moment("decided_at", "Decided at", "When it was decided."),
        CHANGED_AT,
        REVISION,
    ),
)

POINTS = Dataset(
    name="Points",
    entity="PointsEntry",
    label="Points",
    description="Points as they were awarded.",
    table=table_of(PointsEntry),
    key=("entry_id",),
    joins=(OF_ASSIGNMENT,),
    navigations=(replace(TO_ASSIGNMENT, partner="points_awarded"), TO_LEARNER, TO_MODULE),
    module_type_field="module_type",
    where=not_deleted,
    fields=(
        key_number("entry_id", "Entry", "Journal number of the event that awarded them."),
        ASSIGNMENT_ID,
        LEARNER_KEY,
        MODULE_KEY,
        MODULE_TYPE_VIA,
        replace(
            number("points", "Points", "How many; negative when taken away.", unit="points"),
            nullable=False,
        ),
        moment("awarded_at", "Awarded at", "When they were awarded.", nullable=False),
        replace(_PART_KEY, nullable=True, description="The part they are for, if any."),
        text("reason", "Reason", "What for, in the source's words."),
        CHANGED_AT,
        REVISION,
    ),
)

ACTIVITY = Dataset(
    name="Activity",
    entity="ActivityEntry",
    label="Activity",
    description="Stretches of activity; counted_s of an assignment's rows adds up to its time.",
    table=table_of(Activity),
    key=("activity_id",),
    joins=(OF_ASSIGNMENT,),
    navigations=(replace(TO_ASSIGNMENT, partner="activity"), TO_LEARNER, TO_MODULE),
    measures=ACTIVITY_MEASURES,
    module_type_field="module_type",
    where=not_deleted,
    fields=(
        key_number("activity_id", "Activity", "Journal number of the event that told it."),
        ASSIGNMENT_ID,
        LEARNER_KEY,
        MODULE_KEY,
        MODULE_TYPE_VIA,
        moment("started_at", "Started at", "When it began.", nullable=False),
        moment("ended_at", "Ended at", "When it ended; null when the source did not say."),
        replace(count("seconds", "Seconds", "As stated, or its length.", nullable=True), unit="s"),
        replace(
            count("counted_s", "Counted", "Its seconds that no earlier activity has counted."),
            unit="s",
        ),
        count("clicks", "Clicks", "Clicks in it.", nullable=True),
        key_text("device", "Device", "Where it was done.", nullable=True),
        CHANGED_AT,
        REVISION,
    ),
)
