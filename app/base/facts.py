"""The facts that code states: what happened, with the numbers an operator wants to know."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened and that an operator may want to know.

    level: of its log line
    """

    level: ClassVar[str] = "info"


@dataclass(frozen=True, slots=True)
class BatchAccepted(Fact):
    """A delivery was stored and its receipt written.

    unknown_field_count: fields of accepted events that no contract knows; they are kept
    """

    level: ClassVar[str] = "debug"

    environment_id: int
    batch_id: int
    accepted_count: int
    duplicate_count: int
    conflict_count: int
    rejected_count: int
    unknown_field_count: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class BatchRefused(Fact):
    """A delivery was turned away, because too much is waiting in its environment."""

    level: ClassVar[str] = "warning"

    environment_id: int
    pending_count: int


@dataclass(frozen=True, slots=True)
class QuantumApplied(Fact):
    """One fair share of work was done: entities folded, events settled."""

    level: ClassVar[str] = "debug"

    environment_id: int
    entity_count: int
    event_count: int
    fenced_count: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class EntityFailed(Fact):
    """One entity could not be folded or written; its neighbours were."""

    level: ClassVar[str] = "warning"

    environment_id: int
    entity_key: str
    attempt_count: int
    error: str


@dataclass(frozen=True, slots=True)
class EntityDied(Fact):
    """An entity failed for the last time: its waiting events are dead and written down as such."""

    level: ClassVar[str] = "error"

    environment_id: int
    entity_key: str
    dead_count: int
    error: str


@dataclass(frozen=True, slots=True)
class EnvironmentRested(Fact):
    """All that an environment was given failed, and what went well before fails now too: the fault
    is not in its events. None of them is blamed; the environment rests and is tried again.
    """

    level: ClassVar[str] = "error"

    environment_id: int
    entity_count: int
    rest_count: int
    pause_s: float
    error: str


@dataclass(frozen=True, slots=True)
class EntitiesSpared(Fact):
    """Entities of a kind fail that went well before: the fault is not in their events. None of them
    is blamed; they rest and are tried again.
    """

    level: ClassVar[str] = "error"

    environment_id: int
    entity_count: int
    error: str


@dataclass(frozen=True, slots=True)
class TaskFailed(Fact):
    """A step of a task in the bulk lane failed; it is tried again, or was given up."""

    level: ClassVar[str] = "error"

    environment_id: int
    task_key: str
    attempt_count: int
    error: str


@dataclass(frozen=True, slots=True)
class LeasesRenewed(Fact):
    """A quantum takes its time; its leases were kept."""

    level: ClassVar[str] = "debug"

    environment_id: int
    entity_count: int


@dataclass(frozen=True, slots=True)
class SweepRepaired(Fact):
    """Pending events had no work row that points at them; now they have. It must never happen."""

    level: ClassVar[str] = "error"

    environment_id: int
    entity_count: int


@dataclass(frozen=True, slots=True)
class SweepDone(Fact):
    """Every pending event of every environment was looked at."""

    level: ClassVar[str] = "debug"

    environment_count: int
    repaired_count: int


@dataclass(frozen=True, slots=True)
class AlarmRaised(Fact):
    """Something that must never happen was found; its row stays open until it is over."""

    level: ClassVar[str] = "error"

    environment_id: int
    kind: str
    details: str


@dataclass(frozen=True, slots=True)
class AlarmResolved(Fact):
    """An alarm is over: what it told is so no more."""

    level: ClassVar[str] = "warning"

    environment_id: int
    kind: str


@dataclass(frozen=True, slots=True)
class DeadSettled(Fact):
    """Someone redrove or waived dead events.

    action: dead.redriven or dead.waived
    """

    environment_id: int
    action: str
    event_count: int
    entity_count: int


@dataclass(frozen=True, slots=True)
class RebuildSwitched(Fact):
    """Readers see what a rebuild has made; the counts are of rows that were not as they should."""

    environment_id: int
    rebuild_id: int
    added_count: int
    changed_count: int
    removed_count: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class RebuildFailed(Fact):
    """A quantum of a rebuild failed; after the seventh in a row it is given up, unseen."""

    level: ClassVar[str] = "error"

    environment_id: int
    rebuild_id: int
    failure_count: int
    error: str


@dataclass(frozen=True, slots=True)
class PagePulled(Fact):
    """A page of a pulled source was taken in, and its position with it."""

    level: ClassVar[str] = "debug"

    environment_id: int
    source: str
    event_count: int
    at_end: bool


@dataclass(frozen=True, slots=True)
class PullFailed(Fact):
    """A pulled source could not be read; it is asked again after a pause."""

    level: ClassVar[str] = "warning"

    environment_id: int
    source: str
    failure_count: int
    error: str


@dataclass(frozen=True, slots=True)
class PlanMade(Fact):
    """A question was resolved: anew, or found as it was asked before, without being parsed."""

    level: ClassVar[str] = "debug"

    dataset: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class BucketsFolded(Fact):
    """Digests were folded and the intervals they touch balanced."""

    level: ClassVar[str] = "debug"

    environment_id: int
    delta_count: int
    interval_count: int


@dataclass(frozen=True, slots=True)
class DefectOpened(Fact):
    """An interval is past its grace and does not balance."""

    level: ClassVar[str] = "warning"

    environment_id: int
    defect_id: int
    source_id: int
    stream: str
    kind: str
    from_at: datetime
    missing_count: int


@dataclass(frozen=True, slots=True)
class DefectResolved(Fact):
    """An interval that did not balance does now."""

    environment_id: int
    defect_id: int
    resolution: str


@dataclass(frozen=True, slots=True)
class SourceAsked(Fact):
    """A source was asked about an interval that differs, to the end; counts are of this turn."""

    environment_id: int
    source: str
    stream: str
    from_at: datetime
    missing_count: int
    surplus_count: int


@dataclass(frozen=True, slots=True)
class AskingFailed(Fact):
    """A source could not be asked what is missing; it is asked again after a pause."""

    level: ClassVar[str] = "warning"

    environment_id: int
    source: str
    failure_count: int
    error: str


@dataclass(frozen=True, slots=True)
class FrontierRegressed(Fact):
    """What was complete up to a moment is complete up to an earlier one now."""

    level: ClassVar[str] = "warning"

    environment_id: int
    source_id: int
    stream: str
    before: datetime
    after: datetime | None


@dataclass(frozen=True, slots=True)
class WorkerStarted(Fact):
    """The background loops run."""

    freed_count: int


@dataclass(frozen=True, slots=True)
class WorkerStopped(Fact):
    """The background loops have ended."""


@dataclass(frozen=True, slots=True)
class WorkerFailed(Fact):
    """A background loop met something it did not expect; it goes on after a pause."""

    level: ClassVar[str] = "error"

    loop: str
    error: str


@dataclass(frozen=True, slots=True)
class RequestFailed(Fact):
    """A request ended in an error nobody expected; the caller was told its id and no more."""

    level: ClassVar[str] = "error"

    request_id: str
    error: str
