"""Time spent on an assignment: activity in, the union of its overlapping intervals out.

Activity without an end lasts until 30 minutes after the last sign of life that follows without a
longer pause. Of an overlap the earlier fact is counted. Intervals are whole seconds since 1970.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app.learning.facts import Fact
from app.learning.times import epoch_microseconds, parse_time

ACTIVITY_TYPE = "activity.recorded"
IDLE_CAP_S = 30 * 60

_LAST_MOMENT = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ActivityState:
    """One stretch of activity.

    seq: of the event that told it
    ended_at, seconds: as stated, one from the other; None while it is open
    counted_s: its seconds that no earlier fact has counted
    """

    seq: int
    started_at: datetime
    ended_at: datetime | None
    seconds: int | None
    counted_s: int
    clicks: int | None
    device: str | None


class TimeSpent:
    """The union of intervals while it is told.

    blocks: disjoint intervals, in order; only the last one when `is_whole` is false
    counted: by the seq of each activity told here, its seconds that count
    open_seq: the latest activity without an end; it lasts until open_until_s
    open_counted_s: what of it counts
    """

    def __init__(self) -> None:
        self.total_s = 0
        self.activities_count = 0
        self.blocks: list[tuple[int, int]] = []
        self.is_whole = True
        self.counted: dict[int, int] = {}
        self.open_seq: int | None = None
        self.open_until_s: int | None = None
        self.open_counted_s = 0

    def sign(self, moment: datetime) -> bool:
        """Let a sign of life prolong an open activity; False where only all facts can tell."""
        if self.open_seq is None or self.open_until_s is None:
            return True
        at_s = epoch_second(moment)
        if at_s > self.open_until_s or at_s + IDLE_CAP_S <= self.open_until_s:
            return True
        added_s = self._cover(self.open_until_s, at_s + IDLE_CAP_S)
        if added_s is None:
            return False
        self.open_until_s = at_s + IDLE_CAP_S
        self.open_counted_s += added_s
        self.counted[self.open_seq] = self.open_counted_s
        return True

    def take_activity(self, stretch: ActivityState) -> bool:
        """Count an activity; False where only all facts can tell."""
        from_s = epoch_second(stretch.started_at)
        until_s = from_s + IDLE_CAP_S
        if stretch.ended_at is not None:
            until_s = epoch_second(stretch.ended_at)
        if stretch.seconds is not None:
            until_s = min(until_s, from_s + stretch.seconds)
        added_s = self._cover(from_s, until_s)
        if added_s is None:
            return False
        self.activities_count += 1
        self.counted[stretch.seq] = added_s
        if stretch.ended_at is None:
            self.open_seq, self.open_until_s, self.open_counted_s = stretch.seq, until_s, added_s
        return True

    def _cover(self, from_s: int, until_s: int) -> int | None:
        """Add an interval and give how many of its seconds are new; None when that is not known."""
        if until_s <= from_s:
            return 0
        if not self.blocks or from_s > self.blocks[-1][1]:
            self.blocks.append((from_s, until_s))
            added_s = until_s - from_s
        elif from_s >= self.blocks[-1][0]:
            last_from_s, last_until_s = self.blocks[-1]
            added_s = max(0, until_s - last_until_s)
            self.blocks[-1] = (last_from_s, max(last_until_s, until_s))
        elif self.is_whole:
            before_s = _length_of(self.blocks)
            self.blocks = _merge_blocks([*self.blocks, (from_s, until_s)])
            added_s = _length_of(self.blocks) - before_s
        else:
            return None
        self.total_s += added_s
        return added_s


def activity_of(fact: Fact) -> ActivityState:
    """Give the row of an activity.recorded fact, of which nothing is counted yet.

    An end before the beginning is the beginning.
    """
    data: dict[str, Any] = fact.data
    started_at, seconds = parse_time(data["started_at"]), data.get("seconds")
    ended_at = None
    if data.get("ended_at") is not None:
        ended_at = max(started_at, parse_time(data["ended_at"]))
        if seconds is None:
            seconds = epoch_second(ended_at) - epoch_second(started_at)
    elif seconds is not None:
        is_far = seconds > (_LAST_MOMENT - started_at).total_seconds()
        ended_at = _LAST_MOMENT if is_far else started_at + timedelta(seconds=seconds)
    return ActivityState(
        seq=fact.seq,
        started_at=started_at,
        ended_at=ended_at,
        seconds=seconds,
        counted_s=0,
        clicks=data.get("clicks"),
        device=data.get("device"),
    )


def epoch_second(moment: datetime) -> int:
    """Give the whole seconds between 1970 and an aware time."""
    return epoch_microseconds(moment) // 1_000_000


def _length_of(blocks: list[tuple[int, int]]) -> int:
    return sum(until_s - from_s for from_s, until_s in blocks)


def _merge_blocks(blocks: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for from_s, until_s in sorted(blocks):
        if merged and from_s <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], until_s))
        else:
            merged.append((from_s, until_s))
    return merged
