"""The parts of a stream in, how it stands out: verdict, watermarks, deficit and assurance. Pure.

A roll-up is never better than its worst part; a sealed source whose interval is there holds nobody
back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.ledger.evidence import Part, RepairSeen, generation_lag_s, is_served
from app.ledger.verdict import (
    ANCHORS,
    NO_CONTRACT,
    KnownDefects,
    State,
    Verdict,
    boundary_after,
    complete_through,
    holds_until,
    judge_stream,
    list_defects,
    move_moment,
    roll_up,
    target_of,
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a stream stands, of one source or over all of them; what evidence did not tell is None.

    complete_through: every bucket before it is matched; settled_through: and no late fact of an
        earlier occurrence is expected; confirmed_through: and an independent snapshot agreed
    target_at: through when it had to be complete
    assurance: the weakest anchor of its evidence; is_weak: part of it is only counted
    heard_at: when the source that is silent longest was last heard
    first_defect: the open defect of the earliest bucket
    source: the worst of its sources, by key
    until: how long verdict and target hold unless evidence changes
    """

    verdict: Verdict
    source: str = ""
    complete_through: datetime | None = None
    settled_through: datetime | None = None
    confirmed_through: datetime | None = None
    target_at: datetime | None = None
    declared: int | None = None
    missing: int | None = None
    surplus: int | None = None
    assurance: str | None = None
    is_weak: bool = False
    objective_s: int | None = None
    generation_lag_s: float | None = None
    transport_lag_s: float | None = None
    heard_at: datetime | None = None
    repair: RepairSeen | None = None
    first_defect: KnownDefects | None = None
    is_served: bool = False
    until: datetime | None = None

    def data_lag_s(self, now: datetime) -> float | None:
        """Now less complete_through: the headline."""
        if self.complete_through is None:
            return None
        return max(0.0, (now - self.complete_through).total_seconds())

    def evidence_age_s(self, now: datetime) -> float | None:
        """How long ago the source last gave a sign of life."""
        return None if self.heard_at is None else max(0.0, (now - self.heard_at).total_seconds())


UNOWED = Standing(Verdict(State.UNKNOWN, NO_CONTRACT))


def stand_part(part: Part, *, now: datetime, end_at: datetime | None = None) -> Standing:
    """How a stream of one source stands now, for a question that ends at `end_at`."""
    facts = part.facts
    if facts.now != now or facts.end_at != end_at:
        facts = replace(facts, now=now, end_at=end_at)
    terms = facts.terms
    if terms is None:
        return replace(UNOWED, verdict=judge_stream(facts), source=part.source)
    through = complete_through(facts)
    defects = list_defects(facts)
    lateness = timedelta(seconds=terms.lateness_s)
    objective = timedelta(seconds=terms.objective_s)
    moves_on_at = boundary_after(now - objective, terms.bucket_s) + objective
    return Standing(
        verdict=judge_stream(facts),
        source=part.source,
        complete_through=through,
        settled_through=None if through is None else move_moment(through, -lateness),
        confirmed_through=part.confirmed_through,
        target_at=target_of(terms, end_at or now, now=now),
        declared=part.declared,
        missing=part.missing,
        surplus=part.surplus,
        assurance=part.assurance,
        is_weak=part.is_weak,
        objective_s=terms.objective_s,
        generation_lag_s=generation_lag_s(part, now=now),
        transport_lag_s=part.transport_s,
        heard_at=part.heard_at,
        repair=part.repair,
        first_defect=min(defects, key=lambda defect: defect.from_at, default=None),
        is_served=is_served(part, through),
        until=min(holds_until(facts), moves_on_at),
    )


def roll_standings(standings: Sequence[Standing]) -> Standing:
    """One standing over several: the worst verdict, the earliest watermarks, sums of counts."""
    if not standings:
        return UNOWED
    counting = [one for one in standings if not one.is_served] or list(standings)
    throughs = [one.complete_through for one in counting]
    defects = [one.first_defect for one in standings if one.first_defect is not None]
    assurances = [one.assurance for one in standings if one.assurance is not None]
    repairs = [one.repair for one in standings if one.repair is not None]
    verdict = roll_up(one.verdict for one in standings)
    return Standing(
        verdict=verdict,
        source=next(one.source for one in standings if one.verdict == verdict),
        complete_through=_earliest(throughs),
        settled_through=_earliest([one.settled_through for one in counting]),
        confirmed_through=_earliest([one.confirmed_through for one in counting]),
        target_at=min((one.target_at for one in counting if one.target_at), default=None),
        declared=_total(one.declared for one in standings),
        missing=_total(one.missing for one in standings),
        surplus=_total(one.surplus for one in standings),
        assurance=min(assurances, key=ANCHORS.index, default=None),
        is_weak=any(one.is_weak for one in standings),
        objective_s=max((one.objective_s for one in standings if one.objective_s), default=None),
        generation_lag_s=_greatest(one.generation_lag_s for one in standings),
        transport_lag_s=_greatest(one.transport_lag_s for one in counting),
        heard_at=min((one.heard_at for one in counting if one.heard_at), default=None),
        repair=max(repairs, key=lambda repair: repair.repair_id, default=None),
        first_defect=min(defects, key=lambda defect: defect.from_at, default=None),
        is_served=all(one.is_served for one in standings),
        until=min((one.until for one in standings if one.until), default=None),
    )


def _earliest(moments: Sequence[datetime | None]) -> datetime | None:
    """The earliest of these; None as soon as one of them is not known."""
    known = [moment for moment in moments if moment is not None]
    return min(known) if known and len(known) == len(moments) else None


def _greatest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _total(counts: Iterable[int | None]) -> int | None:
    """The sum of what is known; None when nothing is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
