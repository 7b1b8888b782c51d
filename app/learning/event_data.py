"""The shape of `data` for each event type, one pydantic model each.

An optional field may be absent or null. The names are the contract: they are the same in events,
SQL, REST and OData.
"""

from typing import Annotated, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from app.learning.modules import FAMILY_STREAMS
from app.learning.values import (
    Amount,
    AttributeValue,
    Count,
    Cycle,
    Date,
    EventData,
    Key,
    MaxScore,
    ModuleTypeName,
    OneOf,
    Percent,
    Seconds,
    StreamName,
    Text,
    Time,
    Whole,
)

TeamKind = Annotated[str, OneOf(("team", "group", "org_unit", "cohort"))]
SeriesKind = Annotated[str, OneOf(("series", "path", "program", "certification"))]
PartType = Annotated[str, OneOf(("content", "stage", "item", "card", "question", "task"))]
SessionMode = Annotated[str, OneOf(("classroom", "virtual", "hybrid"))]
AssignmentReason = Annotated[
    str, OneOf(("manual", "rule", "group", "self", "import", "recertification"))
]
EndReason = Annotated[str, OneOf(("removed", "deactivated", "superseded"))]


class LearnerUpserted(EventData):
    """A learner as the source knows them; absent fields stay, null clears."""

    learner: Key
    display_name: Text | None = None
    email: Text | None = None
    employee_no: Key | None = None
    job_title: Text | None = None
    department: Text | None = None
    location: Text | None = None
    country: Key | None = None
    timezone: Key | None = None
    manager: Key | None = None
    hired_on: Date | None = None
    attributes: dict[Key, AttributeValue] | None = None


class LearnerDeactivated(EventData):
    """A learner who is no longer active."""

    learner: Key


class TeamUpserted(EventData):
    """A team as the source knows it."""

    team: Key
    name: Text
    kind: TeamKind | None = None
    parent: Key | None = None


class TeamRemoved(EventData):
    """A team that is gone."""

    team: Key


class MembershipSet(EventData):
    """A learner belongs to a team, from `since` (or from the time of the event)."""

    team: Key
    learner: Key
    since: Time | None = None


class MembershipEnded(EventData):
    """A learner belongs to a team no longer, from `until` (or from the time of the event)."""

    team: Key
    learner: Key
    until: Time | None = None


class ReportingLineSet(EventData):
    """A learner reports to a manager; a null manager ends the line."""

    learner: Key
    manager: Key | None
    since: Time | None = None


class ModuleUpserted(EventData):
    """A module as the source knows it."""

    module: Key
    module_type: ModuleTypeName
    name: Text
    version: Key | None = None
    published_at: Time | None = None
    max_score: MaxScore | None = None
    pass_score_percent: Percent | None = None
    estimated_minutes: Count | None = None
    tags: list[Key] | None = None


class ModuleNamed(EventData):
    """A module, by its key alone."""

    module: Key


class SeriesEntry(EventData):
    """A module's place in a series."""

    module: Key
    position: Whole
    required: bool | None = None


class SeriesUpserted(EventData):
    """A series and, when it says so, all its modules."""

    series: Key
    name: Text
    kind: SeriesKind | None = None
    modules: list[SeriesEntry] | None = None


class PartUpserted(EventData):
    """A part of a module."""

    module: Key
    part: Key
    part_type: PartType
    title: Text | None = None
    position: Whole
    parent: Key | None = None
    required: bool | None = None
    weight: Amount | None = None
    max_points: Amount | None = None
    needs_signoff: bool | None = None
    due_offset_days: Whole | None = None


class SessionScheduled(EventData):
    """A session of a module, with its times."""

    module: Key
    session: Key
    mode: SessionMode | None = None
    starts_at: Time
    ends_at: Time
    timezone: Key | None = None
    capacity: Count | None = None
    location: Text | None = None
    instructor: Key | None = None


class SessionCancelled(EventData):
    """A session that does not take place."""

    module: Key
    session: Key


class CertificationUpserted(EventData):
    """A certification that learners can be awarded."""

    certification: Key
    name: Text
    series: Key | None = None
    valid_days: Count | None = None
    renew_window_days: Count | None = None


class AssignmentKeys(EventData):
    """Names an assignment: learner, module, series and cycle."""

    learner: Key
    module: Key
    series: Key | None = None
    cycle: Cycle | None = None


class AssignmentTerms(AssignmentKeys):
    """What was assigned, until when and why."""

    due_at: Time | None = None
    mandatory: bool | None = None
    reason: AssignmentReason | None = None
    rule: Key | None = None


class AssignmentEnded(AssignmentKeys):
    """An assignment that no longer holds."""

    end_reason: EndReason


class AssignmentWaived(AssignmentKeys):
    """An assignment that need not be done."""

    waive_reason: Text | None = None


class ProgressKeys(AssignmentKeys):
    """Names an assignment and the stream its progress belongs to."""

    module_type: ModuleTypeName


class ProgressNoted(ProgressKeys):
    """Progress that carries no figure of its own."""

    version: Key | None = None


class ProgressAdvanced(ProgressNoted):
    """How far the learner has come."""

    percent: Percent


class ProgressJudged(ProgressNoted):
    """The end of the work, with its score and judgement if there are any."""

    score: float | None = None
    max_score: MaxScore | None = None
    passed: bool | None = None


class AttemptMade(ProgressKeys):
    """One attempt, handed in or graded."""

    attempt: Count
    score: float | None = None
    max_score: MaxScore | None = None
    passed: bool | None = None
    seconds: Seconds | None = None


class AttemptVoided(ProgressKeys):
    """An attempt that does not count; what was said of it before is annulled."""

    attempt: Count


class EventVoided(EventData):
    """An event of the same source that must not count; its stream and entity keys, repeated."""

    event_id: Key
    stream: StreamName
    learner: Key | None = None
    team: Key | None = None
    module: Key | None = None
    series: Key | None = None
    session: Key | None = None
    certification: Key | None = None
    cycle: Cycle | None = None

    @model_validator(mode="after")
    def _names_an_entity(self) -> Self:
        """Refuse a void that does not say what its target changed."""
        if self.stream == "people" and not (self.learner or self.team):
            raise PydanticCustomError(
                "keys", "must name the learner or the team of the voided event"
            )
        if self.stream == "catalog":
            if self.session and not self.module:
                raise PydanticCustomError(
                    "keys", "must name the module of the voided session event"
                )
            if not (self.certification or self.module or self.series):
                raise PydanticCustomError(
                    "keys",
                    "must name the module, series, session or certification of the voided event",
                )
        is_about_assignment = self.stream == "assignments" or self.stream not in FAMILY_STREAMS
        if is_about_assignment and not (self.learner and self.module):
            raise PydanticCustomError(
                "keys", "must name the learner and the module of the voided event"
            )
        return self
