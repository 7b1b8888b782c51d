"""Facts of a stream in, verdict out. Pure: stored evidence and now decide, nothing else.

Evidence (manifests, heartbeats) is not taken in yet, so a stream under contract lacks its source's
word and every verdict is UNKNOWN, with the reason that is true.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What may be said of a stream's completeness, in rising severity."""

    COMPLETE = "complete"
    CATCHING_UP = "catching_up"
    UNKNOWN = "unknown"
    INCOMPLETE = "incomplete"
    STALLED = "stalled"

    @property
    def severity(self) -> int:
        """0 for complete to 4 for stalled; a roll-up takes the greatest."""
        return tuple(State).index(self)


# Reasons, each explained in docs/completeness.md.
NO_STREAM = "no_stream"
NO_CONTRACT = "no_contract"
MANIFEST_MISSING = "manifest_missing"
REASONS = (NO_STREAM, NO_CONTRACT, MANIFEST_MISSING)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a verdict rests on.

    is_contracted: does a source owe this stream?
    """

    is_contracted: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state with its one reason; no reason only for complete."""

    state: State
    reason: str | None = None


def judge_stream(facts: Facts) -> Verdict:
    """Say whether a stream is complete.

    Silence is never completeness: without the source's word the verdict is UNKNOWN, however empty
    our own queue may be.

    Raises: nothing; every input has a verdict
    Source: docs/completeness.md, "Verdicts"
    """
    if not facts.is_contracted:
        return Verdict(State.UNKNOWN, NO_CONTRACT)
    return Verdict(State.UNKNOWN, MANIFEST_MISSING)


def roll_up(verdicts: Iterable[Verdict]) -> Verdict:
    """The most severe of them, the first among equals; of nothing it is UNKNOWN.

    Source: docs/completeness.md, "Verdicts"
    """
    worst = None
    for verdict in verdicts:
        if worst is None or verdict.state.severity > worst.state.severity:
            worst = verdict
    return worst or Verdict(State.UNKNOWN, NO_STREAM)
