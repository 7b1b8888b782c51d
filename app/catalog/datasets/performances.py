"""LearnerModulePerformances: progress under the column names of other enablement platforms.

Reports that were built on such a feed go on working; it reads the rows of LearnerProgress.
"""

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, FromClause, func

from app.catalog.datasets.learner_progress import LEARNER_PROGRESS
from app.catalog.datasets.progress_facts import is_overdue
from app.catalog.datasets.shared import (
    flag,
    key_number,
    key_text,
    moment,
    not_deleted,
    number,
    percent,
    text,
)
from app.catalog.enumerations import MODULE_TYPE, STATUS
from app.catalog.fields import Dataset, Field, Frame, Join, Role, Type
from app.store.tables import LearnerProfile, Progress
from app.store.tables.columns import table_of


def _join_own_profile(frame: Frame, profile: FromClause) -> ColumnElement[bool]:
    return profile.c.learner_key == frame.base.c.learner_key


def _series_id(frame: Frame) -> ColumnElement[Any]:
    return func.nullif(frame.base.c.series_key, "")


def _end_time(frame: Frame) -> ColumnElement[Any]:
    row = frame.base.c
    return func.coalesce(row.completed_at, row.failed_at)


def _has_started(frame: Frame) -> ColumnElement[bool]:
    return frame.base.c.started_at.is_not(None)


def _has_completed(frame: Frame) -> ColumnElement[bool]:
    completed: ColumnElement[bool] = frame.base.c.status == "completed"
    return completed


def _has_failed(frame: Frame) -> ColumnElement[bool]:
    failed: ColumnElement[bool] = frame.base.c.status == "failed"
    return failed


_KEYS = (
    key_number("AssignmentId", "Assignment", "Number of this assignment cycle."),
    key_text("UserId", "User", "The learner, by the source's key."),
)
_MODULE = (
    replace(key_text("ModuleId", "Module", "The module."), column="module_key"),
    replace(text("ModuleName", "Module name", "Name of the module."), via="module", column="name"),
    replace(
        text("Version", "Version", "The version of the module that the latest event named."),
        column="module_version",
        max_length=200,
    ),
    Field(
        "ModuleType",
        Type.ENUM,
        "Module type",
        "What kind of module it is.",
        column="module_type",
        enumeration=MODULE_TYPE,
        streams=("catalog",),
    ),
)
_SERIES = (
    Field(
        "SeriesId",
        Type.TEXT,
        "Series",
        "The series it was assigned in; null when outside any.",
        role=Role.KEY,
        sql=_series_id,
        max_length=200,
    ),
    replace(text("SeriesName", "Series name", "Name of the series."), via="series", column="name"),
)
_STANDING = (
    Field(
        "LearnerModuleState",
        Type.ENUM,
        "State",
        "Where it stands.",
        nullable=False,
        column="status",
        enumeration=STATUS,
    ),
    replace(moment("InvitedOn", "Invited on", "When it was assigned."), column="assigned_at"),
    replace(moment("StartTime", "Start", "First sign of work."), column="started_at"),
    replace(moment("EndTime", "End", "When it was completed or failed."), sql=_end_time),
    replace(
        percent("PercentCompleted", "Percent completed", "How far it got, 0 to 100."),
        column="percent_complete",
        nullable=False,
    ),
    replace(number("Score", "Score", "The latest score.", unit="points"), column="score"),
    replace(
        number("MaxScore", "Maximum score", "What the score is out of.", unit="points"),
        column="max_score",
    ),
    replace(flag("HasStarted", "Started", "Was any work seen?"), sql=_has_started),
    replace(flag("HasCompleted", "Completed", "Is it completed?"), sql=_has_completed),
    replace(flag("HasFailed", "Failed", "Is it failed?"), sql=_has_failed),
    replace(flag("IsOverdue", "Overdue", "Due before the moment asked for."), sql=is_overdue),
)

LEARNER_MODULE_PERFORMANCES = Dataset(
    name="LearnerModulePerformances",
    entity="LearnerModulePerformance",
    label="Learner module performances",
    description="Learner progress under the column names of other enablement platforms.",
    table=table_of(Progress),
    key=("AssignmentId",),
    joins=(
        *(join for join in LEARNER_PROGRESS.joins if join.name in {"module", "series"}),
        Join("profile", table_of(LearnerProfile), _join_own_profile, streams=("people",)),
    ),
    module_type_field="ModuleType",
    streams=("assignments",),
    where=not_deleted,
    fields=(
        replace(_KEYS[0], column="assignment_id"),
        replace(_KEYS[1], column="learner_key"),
        replace(
            text("LearnerEmailId", "E-mail", "The learner's e-mail address.", scope="pii"),
            via="profile",
            column="email",
        ),
        *_SERIES,
        *_MODULE,
        *_STANDING,
    ),
)
