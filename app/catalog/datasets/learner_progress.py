"""LearnerProgress and Assignments: one row per assignment cycle, read from one table."""

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, case, func

from app.catalog.datasets.progress_facts import MEASURED, is_overdue
from app.catalog.datasets.progress_measures import MEASURES
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
from app.catalog.enumerations import END_REASON, MODULE_TYPE, STATUS
from app.catalog.fields import Dataset, Field, Frame, Join, Navigation, Role, Rollup, Type
from app.store.jsontext import days_between
from app.store.tables import Learner, Module, Progress, Series, SeriesModule, Team
from app.store.tables.columns import table_of
from app.store.tables.rollups import ROLLED_SUMS, ROLLUPS, rolled_columns


def _join_module(frame: Frame, module: FromClause) -> ColumnElement[bool]:
    return module.c.module_key == frame.base.c.module_key


def _join_series(frame: Frame, series: FromClause) -> ColumnElement[bool]:
    return series.c.series_key == frame.base.c.series_key


def _join_learner(frame: Frame, learner: FromClause) -> ColumnElement[bool]:
    return learner.c.learner_key == frame.base.c.learner_key


def _join_team(frame: Frame, team: FromClause) -> ColumnElement[bool]:
    return team.c.team_key == frame.join("learner").c.team_key


def _join_place(frame: Frame, place: FromClause) -> ColumnElement[bool]:
    row = frame.base.c
    return and_(
        place.c.series_key == row.series_key,
        place.c.module_key == row.module_key,
        place.c.is_deleted.is_(False),
    )


def _series_key(frame: Frame) -> ColumnElement[Any]:
    return func.nullif(frame.base.c.series_key, "")


def _days_overdue(frame: Frame) -> ColumnElement[Any]:
    return case((is_overdue(frame), days_between(frame.base.c.due_at, frame.as_of)), else_=0)


_KEYS = (
    key_number("assignment_id", "Assignment", "Number of this assignment cycle."),
    key_text("learner_key", "Learner", "The learner, by the source's key."),
    key_text("module_key", "Module", "The module, by the source's key."),
)
_MODULE_TYPE = Field(
    "module_type",
    Type.ENUM,
    "Module type",
    "What kind of module it is: the catalog's word, or the events' own while the catalog does not"
    " know the module. Null when neither has said.",
    enumeration=MODULE_TYPE,
    streams=("catalog",),
)
_SERIES_KEY = Field(
    "series_key",
    Type.TEXT,
    "Series",
    "The series it was assigned in; null when outside any.",
    role=Role.KEY,
    sql=_series_key,
    max_length=200,
)
_CYCLE = count("cycle", "Cycle", "1, and one more for each retake.")
_ASSIGNED = (
    moment("assigned_at", "Assigned at", "When it was assigned, or first seen when implicit."),
    moment("due_at", "Due at", "When it is due; null without a due date."),
    moment("ended_at", "Ended at", "When the assignment ended; null while it lasts."),
    Field(
        "end_reason",
        Type.ENUM,
        "End reason",
        "Why the assignment ended.",
        enumeration=END_REASON,
    ),
    moment("waived_at", "Waived at", "When it was waived; null when it was not."),
    flag("mandatory", "Mandatory", "Must it be done?"),
    text("reason", "Reason", "Why it was assigned: manual, rule, group, self, import ..."),
    flag("implicit", "Implicit", "Made from a progress event, since no assignment has come yet."),
)

_JOINS = (
    Join("module", table_of(Module), _join_module, streams=("catalog",)),
    Join("series", table_of(Series), _join_series, streams=("catalog",)),
    Join("place", table_of(SeriesModule), _join_place, streams=("catalog",)),
    Join("learner", table_of(Learner), _join_learner, streams=("people",)),
    Join("team", table_of(Team), _join_team, streams=("people",)),
)

_NAVIGATIONS = (
    Navigation("learner", "Learners", (("learner_key", "learner_key"),), "The learner."),
    Navigation("module", "Modules", (("module_key", "module_key"),), "The module."),
    Navigation("series", "Series", (("series_key", "series_key"),), "The series, if any."),
)

# Names of modules and series are read beside the keys that a rollup tells apart.
_NAMED = {"module_key": "module_name", "series_key": "series_name"}
_ROLLUPS = tuple(
    Rollup(
        table_of(rollup),
        fields=(
            *rolled_columns(rollup),
            *(_NAMED[name] for name in rolled_columns(rollup) if name in _NAMED),
        ),
        sums=ROLLED_SUMS,
    )
    for rollup in ROLLUPS
)

LEARNER_PROGRESS = Dataset(
    name="LearnerProgress",
    entity="LearnerProgressRow",
    label="Learner progress",
    description="How far each learner got with each assignment; a retake is a row of its own.",
    table=table_of(Progress),
    key=("assignment_id",),
    joins=_JOINS,
    navigations=(
        *_NAVIGATIONS,
        Navigation("team", "Teams", (("team_key", "team_key"),), "The learner's primary team."),
        Navigation(
            "parts",
            "PartProgress",
            (("assignment_id", "assignment_id"),),
            "How far each part got.",
            many=True,
            partner="assignment",
        ),
        Navigation(
            "attempts_made",
            "Attempts",
            (("assignment_id", "assignment_id"),),
            "The numbered attempts at it.",
            many=True,
            partner="assignment",
        ),
        Navigation(
            "sign_offs",
            "SignOffs",
            (("assignment_id", "assignment_id"),),
            "Its sign-offs.",
            many=True,
            partner="assignment",
        ),
        Navigation(
            "points_awarded",
            "Points",
            (("assignment_id", "assignment_id"),),
            "Points awarded in it.",
            many=True,
            partner="assignment",
        ),
        Navigation(
            "activity",
            "Activity",
            (("assignment_id", "assignment_id"),),
            "Activity in it.",
            many=True,
            partner="assignment",
        ),
        Navigation(
            "history",
            "ProgressHistory",
            (("assignment_id", "assignment_id"),),
            "How it came to be what it is.",
            many=True,
            partner="assignment",
        ),
        Navigation("lag", "IngestionLag", (("module_type", "stream"),), "How fresh its stream is."),
    ),
    measures=MEASURES,
    measured=MEASURED,
    rollups=_ROLLUPS,
    streams=("assignments",),
    module_type_field="module_type",
    where=not_deleted,
    fields=(
        *_KEYS,
        replace(
            text("module_name", "Module name", "The module's name."), via="module", column="name"
        ),
        _MODULE_TYPE,
        _SERIES_KEY,
        replace(
            text("series_name", "Series name", "The series' name."), via="series", column="name"
        ),
        replace(
            key_text("team_key", "Team", "The learner's primary team now.", nullable=True),
            via="learner",
        ),
        replace(
            text("team_name", "Team name", "Name of the primary team now."),
            via="team",
            column="name",
        ),
        replace(
            key_text("manager_key", "Manager", "The learner's manager now.", nullable=True),
            via="learner",
        ),
        _CYCLE,
        Field(
            "status", Type.ENUM, "Status", "Where it stands.", nullable=False, enumeration=STATUS
        ),
        replace(
            percent("percent_complete", "Percent complete", "How far it got, 0 to 100."),
            nullable=False,
        ),
        *_ASSIGNED,
        moment("started_at", "Started at", "First sign of work since the last reset."),
        moment("last_activity_at", "Last activity at", "Latest sign of work."),
        moment("completed_at", "Completed at", "When it was first completed since the last reset."),
        moment("failed_at", "Failed at", "When it was failed; null once completed."),
        flag("passed", "Passed", "Passed or not; null while not judged.", nullable=True),
        count("attempts", "Attempts", "Attempts that count."),
        number("score", "Score", "The latest score.", unit="points"),
        number("max_score", "Maximum score", "What the latest score is out of.", unit="points"),
        percent("first_score_percent", "First score", "The first score, out of 100."),
        percent("best_score_percent", "Best score", "The best score, out of 100."),
        percent("last_score_percent", "Last score", "The latest score, out of 100."),
        replace(number("points", "Points", "Points awarded.", unit="points"), nullable=False),
        replace(count("time_spent_s", "Time spent", "Seconds of work."), unit="s"),
        Field(
            "is_overdue",
            Type.BOOL,
            "Overdue",
            "Due before the moment asked for, and by then neither completed, waived nor ended.",
            nullable=False,
            sql=is_overdue,
        ),
        Field(
            "days_overdue",
            Type.INT,
            "Days overdue",
            "Whole days since it was due; 0 when it is not overdue.",
            role=Role.MEASURE,
            nullable=False,
            unit="days",
            sql=_days_overdue,
        ),
        count("parts_done", "Parts done", "Parts of the module that are done."),
        replace(
            count("parts_total", "Parts", "Parts of the module now; null for an unknown module."),
            nullable=True,
            via="module",
            column="parts_count",
        ),
        Field(
            "module_version",
            Type.TEXT,
            "Module version",
            "The version the latest event named.",
            max_length=200,
        ),
        EVENTS_COUNT,
        CHANGED_AT,
        REVISION,
    ),
    searchable=("learner_key", "module_key", "module_name", "series_name", "team_name"),
)

ASSIGNMENTS = Dataset(
    name="Assignments",
    entity="Assignment",
    label="Assignments",
    description="What was assigned to whom, and when it is due; one row per cycle.",
    table=table_of(Progress),
    key=("assignment_id",),
    navigations=_NAVIGATIONS,
    measures=(MEASURES[0],),
    streams=("assignments",),
    module_type_field="module_type",
    where=not_deleted,
    fields=(
        *_KEYS,
        _MODULE_TYPE,
        _SERIES_KEY,
        _CYCLE,
        *_ASSIGNED,
        Field("rule", Type.TEXT, "Rule", "The rule that assigned it.", max_length=200),
        CHANGED_AT,
        REVISION,
    ),
    searchable=("learner_key", "module_key", "reason"),
)
