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
EnrolmentStatus = Annotated[str, OneOf(("registered", "waitlisted", "invited"))]
AttendanceOutcome = Annotated[str, OneOf(("attended", "partial", "no_show", "excused"))]
SignoffDecision = Annotated[str, OneOf(("approved", "rejected"))]
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


class PartNoted(ProgressKeys):
    """A part that was reached, done or sent back."""

    part: Key
    score: float | None = None
    points: float | None = None
    seconds: Seconds | None = None


class SignoffSubmitted(ProgressKeys):
    """A part that was handed to a reviewer."""

    part: Key
    reviewer: Key | None = None


class SignoffDecided(ProgressKeys):
    """What the reviewer decided."""

    part: Key
    decision: SignoffDecision
    reviewer: Key
    comment: Text | None = None


class SessionKeys(EventData):
    """Names a learner's place in a session, and the stream it belongs to."""

    learner: Key
    module: Key
    module_type: ModuleTypeName
    session: Key


class SessionEnrolled(SessionKeys):
    """A learner was registered, put on the waiting list or invited."""

    status: EnrolmentStatus | None = None


class SessionUnenrolled(SessionKeys):
    """A learner's place was given up; `late` when that was too late."""

    late: bool | None = None


class AttendanceMarked(SessionKeys):
    """Whether the learner was there."""

    outcome: AttendanceOutcome
    minutes: Count | None = None
    marked_by: Key | None = None


class PointsAwarded(ProgressKeys):
    """Points for the learner; negative ones take away."""

    points: float
    part: Key | None = None
    reason: Text | None = None


class ActivityRecorded(ProgressKeys):
    """A stretch of activity; open while neither its end nor its seconds are told."""

    started_at: Time
    ended_at: Time | None = None
    seconds: Seconds | None = None
    clicks: Count | None = None
    device: Key | None = None


class AwardNamed(EventData):
    """A certification that a learner was awarded; `module_type` is that of its module."""

    learner: Key
    certification: Key
    module: Key | None = None
    module_type: ModuleTypeName | None = None
    cycle: Cycle | None = None


class CertificationIssued(AwardNamed):
    """A certification was issued; without `expires_at` its certification's `valid_days` hold."""

    expires_at: Time | None = None


class FeedbackGiven(EventData):
    """What a learner thinks of a module or a session."""

    learner: Key
    module: Key
    module_type: ModuleTypeName
    session: Key | None = None
    rating: float
    scale_max: MaxScore


class EventVoided(EventData):
    """An event of the same source that must not count; its stream and entity keys, repeated.

    type: its type; needed for feedback.given, whose keys others have too
    """

    event_id: Key
    stream: StreamName
    type: Key | None = None
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
        is_progress = self.stream not in FAMILY_STREAMS
        is_award = is_progress and self.certification and self.learner
        is_about_assignment = is_progress or self.stream == "assignments"
        if is_about_assignment and not is_award and not (self.learner and self.module):
            raise PydanticCustomError(
                "keys", "must name the learner and the module of the voided event"
            )
        return self
