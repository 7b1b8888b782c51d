"""Fold: the people family. Facts of one learner or one team in, state and settlements out.

A learner's facts carry the memberships and the reporting line too. The latest statement of each
field wins, null clears, absent leaves.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.learning.attributes import kinds_of_values
from app.learning.facts import Fact, Settlement, Slots, drop_voided, settle
from app.learning.identity import entity_parts
from app.learning.times import parse_time

_LEARNER_FIELDS = dict.fromkeys(
    (
        "display_name",
        "email",
        "employee_no",
        "job_title",
        "department",
        "location",
        "country",
        "timezone",
        "hired_on",
        "manager",
    ),
    "plain",
)
_TEAM_FIELDS = {"name": "plain", "kind": "plain", "parent": "plain"}
_ATTRIBUTE = "attribute:"


@dataclass(frozen=True, slots=True)
class LearnerState:
    """A learner as the facts tell them.

    status: active or inactive
    known: some learner.upserted counts; else others have merely named them
    hired_on: a date as text
    team_key: the primary team: of the open memberships the one that began last
    events_count: facts folded, voided and superseded ones included
    """

    learner_key: str
    status: str
    known: bool
    display_name: str | None
    email: str | None
    employee_no: str | None
    job_title: str | None
    department: str | None
    location: str | None
    country: str | None
    timezone: str | None
    hired_on: str | None
    manager_key: str | None
    attributes: dict[str, Any]
    team_key: str | None
    events_count: int


@dataclass(frozen=True, slots=True)
class MembershipState:
    """A learner's time in a team; until is None while it lasts."""

    team_key: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class LearnerFolded:
    """What the fold of a learner gives; memberships by team and since.

    attribute_kinds: by code, the kind of all values that the facts tell
    """

    state: LearnerState
    memberships: tuple[MembershipState, ...]
    settlements: tuple[Settlement, ...]
    attribute_kinds: dict[str, str]


@dataclass(frozen=True, slots=True)
class TeamState:
    """A team as the facts tell it."""

    team_key: str
    name: str | None
    kind: str | None
    parent_key: str | None
    known: bool
    is_removed: bool
    events_count: int


@dataclass(frozen=True, slots=True)
class TeamFolded:
    """What the fold of a team gives."""

    state: TeamState
    settlements: tuple[Settlement, ...]


def fold_learner(entity_key: str, facts: Iterable[Fact]) -> LearnerFolded:
    """Fold all facts of one learner, in whatever order they come."""
    everything = tuple(facts)
    living = drop_voided(everything)
    slots = Slots()
    terms = _Memberships()
    for fact in living.facts:
        if fact.type == "learner.upserted":
            slots.claim(fact, "status", "active")
            slots.claim_stated(fact, _LEARNER_FIELDS)
            _claim_attributes(slots, fact)
        elif fact.type == "learner.deactivated":
            slots.claim(fact, "status", "inactive")
        elif fact.type == "reporting_line.set":
            slots.claim(fact, "manager", fact.data["manager"])
        elif fact.type == "membership.set":
            terms.open(fact)
        elif fact.type == "membership.ended":
            terms.close(fact)
    memberships = terms.rows()
    (learner_key,) = entity_parts(entity_key)
    plain = {name: slots.value(name) for name in _LEARNER_FIELDS if name != "manager"}
    state = LearnerState(
        learner_key=learner_key,
        status=slots.value("status", default="active"),
        known=any(fact.type == "learner.upserted" for fact in living.facts),
        manager_key=slots.value("manager"),
        attributes=_attributes_of(slots),
        team_key=_primary_team(memberships),
        events_count=len(everything),
        **plain,
    )
    settlements = settle(everything, living.winners, slots.winners(), terms.slots.winners())
    stated = (fact.data.get("attributes") for fact in living.facts)
    kinds = kinds_of_values(attributes for attributes in stated if attributes)
    return LearnerFolded(state, memberships, settlements, kinds)


def fold_team(entity_key: str, facts: Iterable[Fact]) -> TeamFolded:
    """Fold all facts of one team, in whatever order they come."""
    everything = tuple(facts)
    living = drop_voided(everything)
    slots = Slots()
    for fact in living.facts:
        if fact.type == "team.upserted":
            slots.claim(fact, "is_removed", False)
            slots.claim_stated(fact, _TEAM_FIELDS)
        elif fact.type == "team.removed":
            slots.claim(fact, "is_removed", True)
    (team_key,) = entity_parts(entity_key)
    state = TeamState(
        team_key=team_key,
        name=slots.value("name"),
        kind=slots.value("kind"),
        parent_key=slots.value("parent"),
        known=any(fact.type == "team.upserted" for fact in living.facts),
        is_removed=slots.value("is_removed", default=False),
        events_count=len(everything),
    )
    return TeamFolded(state, settle(everything, living.winners, slots.winners()))


def _claim_attributes(slots: Slots, fact: Fact) -> None:
    """Claim the attributes that a fact states, one by one; null for all clears all before it."""
    if "attributes" not in fact.data:
        return
    stated = fact.data["attributes"]
    if stated is None:
        stated = dict.fromkeys(slots.names(_ATTRIBUTE))
        slots.claim(fact, "attributes", None)
    for code, value in stated.items():
        slots.claim(fact, _ATTRIBUTE + code, value)


def _attributes_of(slots: Slots) -> dict[str, Any]:
    """Give the attributes that have a value, by code."""
    told = {code: slots.value(_ATTRIBUTE + code) for code in sorted(slots.names(_ATTRIBUTE))}
    return {code: value for code, value in told.items() if value is not None}


def _primary_team(memberships: Iterable[MembershipState]) -> str | None:
    """Give the team of the open membership that began last; of several the smallest key."""
    primary: MembershipState | None = None
    for row in sorted(memberships, key=lambda row: row.team_key):
        if row.until is None and (primary is None or row.since > primary.since):
            primary = row
    return None if primary is None else primary.team_key


class _Memberships:
    """The memberships of a learner while they are folded: one row a team and since.

    Each row is a slot that holds its `until`, so the last to open or close it wins.
    """

    def __init__(self) -> None:
        self.slots = Slots()
        self._sinces: dict[str, dict[datetime, str]] = {}

    def open(self, fact: Fact) -> None:
        """Open a row; without a stated since, one that is open already is merely confirmed."""
        stated, team = fact.data.get("since"), fact.data["team"]
        since = fact.occurred_at if stated is None else parse_time(stated)
        row = self._row_at(team, since)
        if stated is None and row is not None and self._is_open(row, since):
            return
        slot = self._sinces.setdefault(team, {}).setdefault(since, f"{team}\n{since.isoformat()}")
        self.slots.claim(fact, slot, None)

    def close(self, fact: Fact) -> None:
        """Close the row that covers the end; an end without a membership changes nothing."""
        stated = fact.data.get("until")
        until = fact.occurred_at if stated is None else parse_time(stated)
        row = self._row_at(fact.data["team"], until)
        if row is not None:
            self.slots.claim(fact, row, until)

    def rows(self) -> tuple[MembershipState, ...]:
        """Give all rows; one that nobody closed ends where the next of its team begins."""
        rows: list[MembershipState] = []
        for team in sorted(self._sinces):
            sinces = sorted(self._sinces[team])
            nexts = [*sinces[1:], None]
            for since, following in zip(sinces, nexts, strict=True):
                until = self.slots.value(self._sinces[team][since])
                ends = [moment for moment in (until, following) if moment is not None]
                rows.append(MembershipState(team, since, min(ends, default=None)))
        return tuple(rows)

    def _row_at(self, team: str, moment: datetime) -> str | None:
        sinces = self._sinces.get(team, {})
        before = max((since for since in sinces if since <= moment), default=None)
        return None if before is None else sinces[before]

    def _is_open(self, row: str, moment: datetime) -> bool:
        until = self.slots.value(row)
        return until is None or until > moment
