"""ProgressHistory: what held of an assignment, and when we knew it; Events: the journal."""

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, FromClause, case, literal_column

from app.catalog.datasets.shared import (
    CHANGED_AT,
    REVISION,
    count,
    key_number,
    key_text,
    moment,
    percent,
    text,
)
from app.catalog.datasets.work_done import (
    ASSIGNMENT_ID,
    LEARNER_KEY,
    MODULE_KEY,
    MODULE_TYPE_VIA,
    OF_ASSIGNMENT,
    TO_ASSIGNMENT,
    TO_LEARNER,
    TO_MODULE,
)
from app.catalog.enumerations import DISPOSITION, STATUS
from app.catalog.fields import Dataset, Field, Frame, Join, Role, Type
from app.learning.modules import FAMILY_STREAMS
from app.store.json_fields import JsonText
from app.store.tables import Event, ProgressHistory, Source
from app.store.tables.columns import table_of


def _join_source(frame: Frame, source: FromClause) -> ColumnElement[bool]:
    return source.c.source_id == frame.base.c.source_id


def _learner_of(frame: Frame) -> ColumnElement[Any]:
    return JsonText(frame.base.c.data, literal_column("'learner'"))


def _module_of(frame: Frame) -> ColumnElement[Any]:
    return JsonText(frame.base.c.data, literal_column("'module'"))


def _disposition(frame: Frame) -> ColumnElement[Any]:
    stored = frame.base.c.disposition
    return case(*((stored == number, word) for number, word in enumerate(DISPOSITION.members)))


PROGRESS_HISTORY = Dataset(
    name="ProgressHistory",
    entity="ProgressHistoryRow",
    label="Progress history",
    description="What held of an assignment from when until when, and from when until when that is"
    " what we knew. What holds now: valid_to and known_to are null.",
    table=table_of(ProgressHistory),
    key=("history_id",),
    joins=(OF_ASSIGNMENT,),
    navigations=(replace(TO_ASSIGNMENT, partner="history"), TO_LEARNER, TO_MODULE),
    streams=("assignments",),
    module_type_field="module_type",
    fields=(
        key_number("history_id", "History", "Number of this row."),
        ASSIGNMENT_ID,
        LEARNER_KEY,
        MODULE_KEY,
        MODULE_TYPE_VIA,
        Field("status", Type.ENUM, "Status", "As it was.", nullable=False, enumeration=STATUS),
        replace(
            percent("percent_complete", "Percent complete", "As it was, 0 to 100."), nullable=False
        ),
        percent("best_score_percent", "Best score", "As it was, out of 100."),
        moment("valid_from", "Valid from", "Since when it was so.", nullable=False),
        moment("valid_to", "Valid to", "Until when it was so; null while it is."),
        moment("known_from", "Known from", "Since when we know it so.", nullable=False),
        moment("known_to", "Known to", "Until when we knew it so; null while we do."),
        CHANGED_AT,
        REVISION,
    ),
)

EVENTS = Dataset(
    name="Events",
    entity="JournalEvent",
    label="Events",
    description="The journal: every accepted event and where it stands. Needs scope operate.",
    table=table_of(Event),
    key=("seq",),
    joins=(Join("source", table_of(Source), _join_source),),
    navigations=(TO_LEARNER, TO_MODULE),
    streams=FAMILY_STREAMS,
    module_type_field="stream",
    scope="operate",
    fields=(
        key_number("seq", "Journal number", "Its place in the environment's journal."),
        key_text("event_id", "Event", "Its name at its source."),
        replace(
            key_text("source", "Source", "The source, by its key."),
            via="source",
            column="source_key",
        ),
        replace(text("type", "Type", "Its event type."), nullable=False, max_length=40),
        replace(key_text("stream", "Stream", "The stream it belongs to."), max_length=40),
        Field(
            "learner_key",
            Type.TEXT,
            "Learner",
            "The learner it names; null when it names none.",
            role=Role.KEY,
            sql=_learner_of,
            max_length=200,
        ),
        Field(
            "module_key",
            Type.TEXT,
            "Module",
            "The module it names; null when it names none.",
            role=Role.KEY,
            sql=_module_of,
            max_length=200,
        ),
        moment("occurred_at", "Occurred at", "When it happened.", nullable=False),
        moment("recorded_at", "Recorded at", "When the source stored it.", nullable=False),
        moment("received_at", "Received at", "When it came in.", nullable=False),
        moment("applied_at", "Applied at", "When it was first applied; null before."),
        Field(
            "disposition",
            Type.ENUM,
            "Disposition",
            "Where it stands.",
            nullable=False,
            enumeration=DISPOSITION,
            sql=_disposition,
        ),
        count("winner_seq", "Winner", "Journal number of what superseded it.", nullable=True),
        replace(text("error", "Error", "Why it could not be applied."), max_length=500),
    ),
)
