"""The terms under which a source owes a stream, and when they contradict themselves. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.base.errors import Problem
from app.learning.elements import is_boundary

ANCHORS = ("record", "outbox", "emitter")
"""What a manifest was counted from, the strongest first."""

DEFAULT_BUCKET_S = 600

_DAY_S = 86_400
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)
_NIGHTLY_OBJECTIVE_S = 26 * 3600
_LONGEST_S = 366 * _DAY_S
_SHARDS = 256
_SHARD_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Contract:
    """What a source owes of one stream, and how soon; the defaults are the template of new ones.

    from_at: since when it is owed
    bucket_s, close_delay_s, grace_s: a bucket is due at its end + close delay + grace
    objective_s: how old the newest complete data may be
    heartbeat_s, stall_s, skew_s: the period of heartbeats, when standing still is a stall, and how
        far clocks may differ
    lateness_s: how late an event may be recorded after it occurred
    required_anchor: the weakest anchor that counts
    shards: the names under which parts of the stream are declared
    """

    from_at: datetime = _FIRST
    bucket_s: int = DEFAULT_BUCKET_S
    close_delay_s: int = 120
    grace_s: int = 180
    objective_s: int = 1200
    heartbeat_s: int = 60
    lateness_s: int = _DAY_S
    stall_s: int = 1800
    skew_s: int = 300
    required_anchor: str = "outbox"
    shards: tuple[str, ...] = ("",)


def find_contradictions(contract: Contract, *, now: datetime) -> list[Problem]:
    """Say what cannot be kept, or not at once; nothing when the contract is sound.

    Source: docs/completeness.md, "Contracts"
    """
    return [
        *_check_seconds(contract),
        *_check_begin(contract, now=now),
        *_check_words(contract),
        *_check_objective(contract),
    ]


def is_anchor_enough(anchor: str, required: str) -> bool:
    """Is this anchor as strong as the required one, or stronger?"""
    return anchor in ANCHORS and ANCHORS.index(anchor) <= ANCHORS.index(required)


def weakest_anchor(anchors: set[str]) -> str:
    """Give the weakest of these anchors; empty when there is none."""
    return max(anchors, key=ANCHORS.index, default="")


def _check_seconds(contract: Contract) -> list[Problem]:
    problems = []
    if contract.bucket_s < 1 or _DAY_S % contract.bucket_s:
        problems.append(Problem("bucket_s", "must divide a day of 86400 seconds"))
    elif not is_boundary(contract.from_at, contract.bucket_s):
        problems.append(Problem("from", "must lie on a boundary of the bucket"))
    least = {"objective_s": 1, "heartbeat_s": 1, "stall_s": 1, "close_delay_s": 0, "grace_s": 0}
    for name, lowest in (least | {"lateness_s": 0, "skew_s": 0}).items():
        if not lowest <= getattr(contract, name) <= _LONGEST_S:
            problems.append(Problem(name, f"must be {lowest} to {_LONGEST_S} seconds"))
    return problems


def _check_begin(contract: Contract, *, now: datetime) -> list[Problem]:
    """No event is recorded before 1970 or later than a day ahead, so nothing is owed there."""
    if _FIRST <= contract.from_at <= now + _AHEAD:
        return []
    return [Problem("from", "must lie between 1970 and 24 hours from now")]


def _check_words(contract: Contract) -> list[Problem]:
    problems = []
    if contract.required_anchor not in ANCHORS:
        problems.append(Problem("required_anchor", f"must be one of {', '.join(ANCHORS)}"))
    names = contract.shards
    if not 0 < len(set(names)) == len(names) <= _SHARDS or any(
        len(name) > _SHARD_LENGTH or not name.isprintable() for name in names
    ):
        words = f"must be 1 to {_SHARDS} different names of up to {_SHARD_LENGTH} characters"
        problems.append(Problem("shards", words))
    return problems


def _check_objective(contract: Contract) -> list[Problem]:
    """An objective must leave time for the evidence it rests on."""
    least_s = contract.bucket_s + contract.close_delay_s + contract.grace_s
    if contract.objective_s < least_s:
        words = f"must be at least bucket + close delay + grace = {least_s} seconds"
        return [Problem("objective_s", words)]
    if contract.objective_s < contract.heartbeat_s:
        return [Problem("objective_s", "must be at least the period of heartbeats")]
    if contract.bucket_s >= _DAY_S and contract.objective_s < _NIGHTLY_OBJECTIVE_S:
        words = f"must be at least {_NIGHTLY_OBJECTIVE_S} seconds (26 hours) for nightly totals"
        return [Problem("objective_s", words)]
    return []
