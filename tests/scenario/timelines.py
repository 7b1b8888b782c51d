"""A scenario as data: a clock, streams, and steps that do or expect something at a moment.

Between the steps the systems go on as always: they record, generate, hand over, declare and beat.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.world import System, Told, World

BUCKET = timedelta(minutes=10)
CLOSE_DELAY = timedelta(minutes=2)
HOUR = timedelta(hours=1)
LONGEST_LEAP = 12
DIMENSIONS = ("people", "catalog", "assignments")

Step = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happens and what is expected.

    clock: when it begins
    streams: module types of the source `legacy`, with how many facts it records each hour
    evidence: what `legacy` tells of them: record, outbox or emitter (the anchor of its manifests),
        none, or heartbeats
    terms: of its contract, where they are not the template
    steps: `at` (day and time in the month of the clock), then `do` something, `expect` verdicts,
        `demand` completeness and get this status, find these `counts`; in order
    """

    clock: str
    streams: Mapping[str, int]
    steps: Sequence[Step]
    evidence: str = "record"
    terms: Mapping[str, Any] = field(default_factory=dict)


class Player:
    """Plays a timeline in a world, and keeps the answers that it looked at.

    answers: by moment as the step spells it, and what was asked
    """

    def __init__(self, world: World, timeline: Timeline) -> None:
        self.world, self._timeline = world, timeline
        self._start = self._closed = datetime.fromisoformat(timeline.clock)
        world.moves_to(self._start)
        anchor = timeline.evidence if timeline.evidence in _ANCHORS else "record"
        self.legacy: System = world.system(
            "legacy", *timeline.streams, anchor=anchor, **timeline.terms
        )
        self._hub = world.system("hub", *DIMENSIONS)
        self.answers: dict[tuple[str, str], Told] = {}

    def play(self) -> None:
        """Play every step."""
        for step in self._timeline.steps:
            self._go_on_until(self._moment(step["at"]))
            self._show_life()
            if "do" in step:
                getattr(self, f"_{step['do']}")(**step.get("with", {}))
            self.world.works()
            self.world.witnesses()
            for asked, said in step.get("expect", {}).items():
                self._expect(step["at"], asked, said)
            for asked, status in step.get("demand", {}).items():
                told = self.world.ask(*asked.split("+"), require="complete")
                assert told.status == status, (step["at"], asked, told.said)
            for name, value in step.get("counts", {}).items():
                assert self._count(name) == value, (step["at"], name)

    def _moment(self, text: str) -> datetime:
        return datetime.strptime(f"{self._start:%Y-%m}-{text}", "%Y-%m-%d %H:%M").replace(
            tzinfo=UTC
        )

    # What always happens

    def _go_on_until(self, moment: datetime) -> None:
        """Bucket by bucket close to the next step, in leaps of whole hours when it is far."""
        while self._closed + BUCKET + CLOSE_DELAY <= moment:
            hours = min((moment - self._closed) // HOUR - 1, LONGEST_LEAP)
            self._close(self._closed + (hours * HOUR if hours > 0 else BUCKET))
        self.world.moves_to(moment)

    def _close(self, through: datetime) -> None:
        """What is recorded until then is handed over and declared, a close delay later."""
        begins = self._closed
        for stream, hourly in self._timeline.streams.items():
            hour = begins - timedelta(minutes=begins.minute)
            while hour < through:
                if hour >= begins:
                    moments = [hour + timedelta(seconds=30 * n) for n in range(hourly)]
                    self.legacy.records(stream, *moments)
                hour += HOUR
        self.world.moves_to(through + CLOSE_DELAY)
        self.legacy.hands_over()
        self.world.works()
        self._declare(begins, through)
        self._closed = through
        self._show_life()
        self.world.works()

    def _declare(self, begins: datetime, through: datetime) -> None:
        self._hub.declares(begins, through, width=through - begins)
        if self._timeline.evidence not in _ANCHORS:
            return
        bucket = self.legacy.bucket
        if bucket <= HOUR:
            is_leap = through - begins > bucket
            self.legacy.declares(begins, through, width=HOUR if is_leap else bucket)
        else:
            self.legacy.declares(_floor(begins, bucket), _floor(through, bucket))

    def _show_life(self) -> None:
        self._hub.beats()
        if self._timeline.evidence == "heartbeats":
            self.legacy.beats(**self.legacy.backlog())
        elif self._timeline.evidence != "none":
            self.legacy.beats()

    # What a step does

    def _stop(self, streams: Sequence[str]) -> None:
        """Generation ends; what is recorded from now on never becomes an event."""
        self.legacy.held.update(streams)

    def _repair(self, streams: Sequence[str], *, minutes: int) -> None:
        self.legacy.repairs(streams, lease=timedelta(minutes=minutes))

    def _backfill(self, streams: Sequence[str], *, share: float = 1.0) -> None:
        """Generate what was not, the earliest first, and hand it over."""
        waiting = self.legacy.waiting(*streams)
        self.legacy.sends(waiting[: int(len(waiting) * share)])

    def _resume(self, streams: Sequence[str]) -> None:
        self.legacy.held.difference_update(streams)

    # What a step expects

    def _expect(self, at: str, asked: str, said: str) -> None:
        told = self.answers[at, asked] = self.world.ask(*asked.split("+"))
        assert told.said == said, (at, asked, told.response.headers["data-freshness"])
        if "+" not in asked:
            lag = self.world.lag(asked)
            assert f"{lag['verdict']} {lag['reason'] or ''}".strip() == said

    def _count(self, name: str) -> int:
        """A number by name: `pending`, `defects`, or `missing quest`."""
        if name == "pending":
            return self.world.pending_count()
        if name == "defects":
            return len(self.world.defects())
        counts: dict[str, int] = self.world.lag(name.partition(" ")[2])["counts"]
        return counts["missing"]


_ANCHORS = ("record", "outbox", "emitter")


def _floor(moment: datetime, bucket: timedelta) -> datetime:
    return moment - timedelta(seconds=moment.timestamp() % bucket.total_seconds())
