"""Facts of a stream in, verdict out. Pure: stored evidence and now decide, nothing else.

No background job has to be alive for a verdict to degrade: time itself is one of the facts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_BEATS_MISSED = 3
_STALL_S = 1800
ANCHORS = ("emitter", "outbox", "record")


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
        return _SEVERITY[self]


_SEVERITY = {state: place for place, state in enumerate(State)}

# Reasons in the order of the table of docs/completeness.md, which explains each.
NO_STREAM = "no_stream"
PAST_REVISION = "past_revision"
NO_CONTRACT = "no_contract"
MANIFEST_MISSING = "manifest_missing"
ORIGIN_UNVERIFIED = "origin_unverified"
SOURCE_SILENT = "source_silent"
CLOCK_SKEW = "clock_skew"
UPSTREAM_BACKLOG = "upstream_backlog"
SHORT = "short"
SURPLUS = "surplus"
DIVERGENT = "divergent"
CONFLICT = "conflict"
QUARANTINED = "quarantined"
BOOKS_UNBALANCED = "books_unbalanced"
DEAD_EVENTS = "dead_events"
REPAIRING = "repairing"
DEFICIT_NOT_SHRINKING = "deficit_not_shrinking"
IN_FLIGHT = "in_flight"
DEFECT_KINDS = (SHORT, SURPLUS, DIVERGENT, CONFLICT, QUARANTINED, BOOKS_UNBALANCED)
REASONS = (
    NO_STREAM,
    PAST_REVISION,
    NO_CONTRACT,
    MANIFEST_MISSING,
    ORIGIN_UNVERIFIED,
    SOURCE_SILENT,
    CLOCK_SKEW,
    UPSTREAM_BACKLOG,
    *DEFECT_KINDS,
    DEAD_EVENTS,
    REPAIRING,
    DEFICIT_NOT_SHRINKING,
    IN_FLIGHT,
)
_PLACE = {reason: place for place, reason in enumerate(REASONS)}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a source owes of a stream, as far as a verdict asks.

    ends_at: since when nothing more is owed: the source is sealed; its last bucket still counts
    """

    from_at: datetime
    bucket_s: int = 600
    close_delay_s: int = 120
    grace_s: int = 180
    objective_s: int = 1200
    heartbeat_s: int = 60
    lateness_s: int = 86_400
    stall_s: int = _STALL_S
    skew_s: int = 300
    required_anchor: str = "outbox"
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unmatched:
    """The first declared interval that does not match.

    due_at: before it nothing of it is a defect
    known_at: when it came to be as it is; a defect of it is not older
    """

    from_at: datetime
    due_at: datetime
    known_at: datetime
    kind: str


@dataclass(frozen=True, slots=True)
class KnownDefects:
    """Open defects of one kind, waived or not.

    from_at, detected_at: of the earliest
    """

    kind: str
    from_at: datetime
    detected_at: datetime
    missing: int = 0
    is_waived: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What a verdict rests on: plain numbers and moments of one stream of one source.

    end_at: the end of what the question asks for; None is now
    heard_at, transport_s: the last heartbeat: our clock, and received minus sent
    declared_through, matched_through, anchored_through: every bucket before is declared; matched;
        matched with an anchor that is enough
    backlog, closed_through, closed_moved_at: the last heartbeat's word, and when it last moved
    shrank_at: when the deficit last shrank
    repair_until: the lease of a repair; repair_ended_at: when the last one ended
    unfolded_from: the earliest slot of digests that are not in the frontier yet
    pending_from: the earliest recorded moment of an accepted event that is not applied
    dead_from: ... of one that was given up, and neither redriven nor waived
    is_unbalanced: the counts of this stream contradict one another
    """

    now: datetime
    terms: Terms | None
    end_at: datetime | None = None
    heard_at: datetime | None = None
    transport_s: float = 0.0
    declared_through: datetime | None = None
    matched_through: datetime | None = None
    anchored_through: datetime | None = None
    backlog: int = 0
    closed_through: datetime | None = None
    closed_moved_at: datetime | None = None
    unmatched: Unmatched | None = None
    defects: tuple[KnownDefects, ...] = ()
    shrank_at: datetime | None = None
    repair_until: datetime | None = None
    repair_ended_at: datetime | None = None
    unfolded_from: datetime | None = None
    pending_from: datetime | None = None
    dead_from: datetime | None = None
    is_unbalanced: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state with its one reason; no reason only for complete.

    is_waived: a named person has said why what is wrong may stay so
    """

    state: State
    reason: str | None = None
    is_waived: bool = False


COMPLETE = Verdict(State.COMPLETE)


def judge_stream(facts: Facts) -> Verdict:
    """Say whether a stream is complete through its target.

    Silence is never completeness: without the source's word the verdict is UNKNOWN, however empty
    our own queue may be.

    Raises: nothing; every input has a verdict
    Source: docs/completeness.md, "Verdicts"
    """
    return roll_up((COMPLETE, *list_findings(facts)))


def list_findings(facts: Facts) -> tuple[Verdict, ...]:
    """Every condition that holds, in the order of the table; empty when the stream is complete.

    Source: docs/completeness.md, "Verdicts"
    """
    terms = facts.terms
    if terms is None:
        found = *_find_defects(facts, stall_s=_STALL_S), *_find_dead(facts)
        return (Verdict(State.UNKNOWN, NO_CONTRACT), *found)
    target_at = target_of(terms, facts.end_at or facts.now, now=facts.now)
    return (
        *_find_silence(facts, terms, target_at),
        *_find_backlog(facts, terms, target_at),
        *_find_defects(facts, stall_s=terms.stall_s),
        *_find_dead(facts),
        *_find_in_flight(facts, terms, target_at),
    )


def _find_silence(facts: Facts, terms: Terms, target_at: datetime) -> Iterable[Verdict]:
    """What the source has not said, or not said well enough."""
    declared = facts.declared_through
    if declared is None or declared < target_at or target_at < terms.from_at:
        yield Verdict(State.UNKNOWN, MANIFEST_MISSING)
    matched, anchored = facts.matched_through, facts.anchored_through or terms.from_at
    if matched is not None and anchored < min(matched, target_at):
        yield Verdict(State.UNKNOWN, ORIGIN_UNVERIFIED)
    if terms.ends_at is not None:
        return
    heard_at = facts.heard_at or terms.from_at
    if (facts.now - heard_at).total_seconds() > _BEATS_MISSED * terms.heartbeat_s:
        yield Verdict(State.UNKNOWN, SOURCE_SILENT)
    if abs(facts.transport_s) > terms.skew_s:
        yield Verdict(State.UNKNOWN, CLOCK_SKEW)


def _find_backlog(facts: Facts, terms: Terms, target_at: datetime) -> Iterable[Verdict]:
    """What the source says it holds back; while a repair is at it, that row does not count."""
    is_behind = facts.closed_through is None or facts.closed_through < target_at
    if facts.backlog <= 0 or not is_behind or _is_repaired(facts):
        return
    moved_at = facts.closed_moved_at or terms.from_at
    is_stuck = (facts.now - moved_at).total_seconds() >= terms.stall_s
    yield Verdict(State.STALLED if is_stuck else State.CATCHING_UP, UPSTREAM_BACKLOG)


def _find_defects(facts: Facts, *, stall_s: int) -> Iterable[Verdict]:
    """The three rows of defects, which exclude one another.

    A waiver stops the alarm only; and no repair of events mends books that do not balance.
    """
    open_ones = list_defects(facts)
    waived = [defect for defect in open_ones if defect.is_waived]
    alarming = [defect for defect in open_ones if not defect.is_waived]
    if waived:
        yield Verdict(State.INCOMPLETE, _first_kind(waived), is_waived=True)
    if any(defect.kind == BOOKS_UNBALANCED for defect in alarming):
        yield Verdict(State.INCOMPLETE, BOOKS_UNBALANCED)
    lacking = [defect for defect in alarming if defect.kind != BOOKS_UNBALANCED]
    if not lacking:
        return
    detected_at = min(defect.detected_at for defect in lacking)
    shrank_at = facts.shrank_at if facts.shrank_at and facts.shrank_at > detected_at else None
    moved_at = max(filter(None, (detected_at, shrank_at, facts.repair_ended_at)))
    is_stuck = (facts.now - moved_at).total_seconds() >= stall_s
    if _is_repaired(facts) or (shrank_at and (facts.now - shrank_at).total_seconds() < stall_s):
        yield Verdict(State.CATCHING_UP, REPAIRING)
    elif is_stuck:
        yield Verdict(State.STALLED, DEFICIT_NOT_SHRINKING)
    else:
        yield Verdict(State.INCOMPLETE, _first_kind(lacking))


def _find_dead(facts: Facts) -> Iterable[Verdict]:
    """What was accepted and given up, whether its source declares it or not."""
    if facts.dead_from is not None:
        yield Verdict(State.INCOMPLETE, DEAD_EVENTS)


def list_defects(facts: Facts) -> tuple[KnownDefects, ...]:
    """The known defects, and those that time alone has made of intervals that are due now."""
    found, unmatched = facts.defects, facts.unmatched
    if facts.is_unbalanced and all(defect.kind != BOOKS_UNBALANCED for defect in found):
        found = (*found, KnownDefects(BOOKS_UNBALANCED, facts.now, facts.now))
    if unmatched is None or unmatched.due_at > facts.now:
        return found
    if any(defect.from_at <= unmatched.from_at for defect in facts.defects):
        return found
    detected_at = max(unmatched.due_at, unmatched.known_at)
    return (*found, KnownDefects(unmatched.kind, unmatched.from_at, detected_at))


def _find_in_flight(facts: Facts, terms: Terms, target_at: datetime) -> Iterable[Verdict]:
    """What was declared or accepted and is not in the answers yet."""
    matched = facts.matched_through or terms.from_at
    declared = facts.declared_through or terms.from_at
    is_unmatched = matched < min(declared, target_at)
    late = [at for at in (facts.unfolded_from, facts.pending_from) if at is not None]
    if is_unmatched or any(at < target_at for at in late):
        yield Verdict(State.CATCHING_UP, IN_FLIGHT)


def _is_repaired(facts: Facts) -> bool:
    return facts.repair_until is not None and facts.repair_until > facts.now


def _first_kind(defects: Iterable[KnownDefects]) -> str:
    return min((defect.kind for defect in defects), key=_PLACE.__getitem__)


def roll_up(verdicts: Iterable[Verdict]) -> Verdict:
    """The most severe of them, the upper row of the table first among equals; of nothing it is
    UNKNOWN.

    Source: docs/completeness.md, "Verdicts"
    """
    worst = None
    for verdict in verdicts:
        if worst is None or _weight(verdict) > _weight(worst):
            worst = verdict
    return worst or Verdict(State.UNKNOWN, NO_STREAM)


def _weight(verdict: Verdict) -> tuple[int, bool, int]:
    place = -_PLACE.get(verdict.reason or "", len(_PLACE))
    return _SEVERITY[verdict.state], not verdict.is_waived, place


# Moments


def move_moment(moment: datetime, span: timedelta) -> datetime:
    """The moment so much later, or earlier; where the calendar ends, its first or last moment."""
    try:
        return moment + span
    except OverflowError:
        return _LAST if span > timedelta(0) else _FIRST


def floor_bucket(moment: datetime, bucket_s: int) -> datetime:
    """The boundary of buckets at or before a moment."""
    return moment - timedelta(seconds=(moment - _EPOCH).total_seconds() % bucket_s)


def boundary_after(moment: datetime, bucket_s: int) -> datetime:
    """The first boundary of buckets behind a moment."""
    return move_moment(floor_bucket(moment, bucket_s), timedelta(seconds=bucket_s))


def target_of(terms: Terms, end_at: datetime, *, now: datetime) -> datetime:
    """Through when a stream must be complete: the end asked for or now less the objective,
    rounded down to a bucket; never beyond the last bucket of a sealed source.
    """
    promised_at = now - timedelta(seconds=terms.objective_s)
    target_at = floor_bucket(min(end_at, promised_at), terms.bucket_s)
    if terms.ends_at is None:
        return target_at
    return min(target_at, last_boundary(terms))


def last_boundary(terms: Terms) -> datetime:
    """The end of the last bucket that a sealed source owes, or the end of time."""
    if terms.ends_at is None:
        return _LAST
    floor = floor_bucket(terms.ends_at, terms.bucket_s)
    return floor if floor == terms.ends_at else boundary_after(terms.ends_at, terms.bucket_s)


def complete_through(facts: Facts) -> datetime | None:
    """Before this moment every bucket holds what was declared, with an anchor that is enough and
    without an open defect; None when that is true of no bucket.
    """
    terms, anchored, matched = facts.terms, facts.anchored_through, facts.matched_through
    if terms is None or anchored is None or matched is None:
        return None
    marks = [anchored, matched]
    marks += [d.from_at for d in facts.defects if d.kind != BOOKS_UNBALANCED]
    marks += [facts.unmatched.from_at] if facts.unmatched else []
    late = (facts.unfolded_from, facts.pending_from, facts.dead_from)
    marks += [floor_bucket(at, terms.bucket_s) for at in late if at is not None]
    through = min(marks)
    return through if through > terms.from_at else None


def holds_until(facts: Facts) -> datetime:
    """The next moment at which time alone may change the verdict of a question about now."""
    terms, unmatched = facts.terms, facts.unmatched
    if terms is None:
        # Nothing is kept of what is under no contract.
        return facts.now + timedelta(microseconds=1)
    objective, stall = timedelta(seconds=terms.objective_s), timedelta(seconds=terms.stall_s)
    silence = timedelta(seconds=_BEATS_MISSED * terms.heartbeat_s, microseconds=1)
    crossed = (
        terms.from_at,
        facts.declared_through,
        facts.matched_through,
        facts.anchored_through,
        facts.closed_through,
    )
    boundaries = [boundary_after(at, terms.bucket_s) for at in crossed if at is not None]
    boundaries.append(floor_bucket(terms.from_at, terms.bucket_s))
    turns = [move_moment(at, objective) for at in boundaries]
    turns.append(move_moment(facts.heard_at or terms.from_at, silence))
    stalls = [facts.closed_moved_at, terms.from_at, facts.shrank_at, facts.repair_ended_at]
    stalls += [defect.detected_at for defect in facts.defects]
    if unmatched is not None:
        turns.append(unmatched.due_at)
        stalls.append(max(unmatched.due_at, unmatched.known_at))
    turns += [move_moment(at, stall) for at in stalls if at is not None]
    turns += [facts.repair_until] if facts.repair_until is not None else []
    return min((at for at in turns if at > facts.now), default=facts.now + stall)
