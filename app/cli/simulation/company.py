"""Simulated companies: a seed and a moment in, what there is to learn and who learns out.

Pure and deterministic. Nobody in it is real.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from app.learning.modules import MODULE_TYPE_NAMES, MODULE_TYPES

HISTORY = timedelta(days=730)


@dataclass(frozen=True, slots=True)
class Company:
    """A simulated customer, an environment each.

    topics: what its modules are about
    """

    key: str
    name: str
    timezone: str
    learner_count: int
    module_count: int
    departments: tuple[str, ...]
    locations: tuple[tuple[str, str], ...]
    topics: tuple[str, ...]


COMPANIES: tuple[Company, ...] = (
    Company(
        key="acme",
        name="Acme Retail",
        timezone="Europe/Berlin",
        learner_count=2_000,
        module_count=60,
        departments=("Sales floor", "Checkout", "Logistics", "Fresh food", "Head office"),
        locations=(("Berlin", "DE"), ("Hamburg", "DE"), ("Vienna", "AT"), ("Zurich", "CH")),
        topics=(
            "Food safety",
            "Cash handling",
            "Fire safety",
            "Autumn range",
            "Returns",
            "Privacy",
        ),
    ),
    Company(
        key="globex",
        name="Globex Field Services",
        timezone="America/Chicago",
        learner_count=1_000,
        module_count=40,
        departments=("Installation", "Maintenance", "Dispatch", "Customer care"),
        locations=(("Chicago", "US"), ("Austin", "US"), ("Toronto", "CA")),
        topics=("Ladder safety", "Heat pumps", "Data protection", "First aid", "Van checks"),
    ),
)

# Who sends what: the learning system, the field app, the personnel system.
SOURCES: tuple[str, ...] = ("lms", "field-app", "hr")
_CERTIFIED_PATHS = 2
_LMS_TYPES = frozenset({"course", "assessment", "external", "reinforcement", "ilt"})
_SCORED_TYPES = frozenset({"assessment", "quest", "reinforcement", "mission", "coaching"})
_PART_COUNTS = {
    "quick_update": 2,
    "checklist": 4,
    "quest": 4,
    "course": 4,
    "assessment": 4,
    "mission": 1,
    "coaching": 1,
    "reinforcement": 2,
}
_PART_TYPES = {
    "quick_update": "card",
    "checklist": "item",
    "quest": "stage",
    "course": "content",
    "assessment": "question",
    "reinforcement": "question",
}
_PART_NOUNS = {entry.name: entry.part_noun for entry in MODULE_TYPES}
_SESSION_EVERY = timedelta(days=30)
_PLANNED_AHEAD = timedelta(days=45)


@dataclass(frozen=True, slots=True)
class SimulatedPart:
    """A part of a module; is_signed: a reviewer must approve it."""

    key: str
    part_type: str
    title: str
    position: int
    is_signed: bool
    max_points: float | None


@dataclass(frozen=True, slots=True)
class SimulatedSession:
    """A meeting of an instructor-led module."""

    key: str
    planned_at: datetime
    starts_at: datetime
    ends_at: datetime
    capacity: int
    location: str
    instructor: str
    is_cancelled: bool


@dataclass(frozen=True, slots=True)
class SimulatedModule:
    """Something to learn; pass_percent is None where nothing is scored."""

    key: str
    module_type: str
    name: str
    published_at: datetime
    pass_percent: float | None
    parts: tuple[SimulatedPart, ...]
    sessions: tuple[SimulatedSession, ...]

    @property
    def source(self) -> str:
        """The system that runs it."""
        return "lms" if self.module_type in _LMS_TYPES else "field-app"


@dataclass(frozen=True, slots=True)
class SimulatedPath:
    """A series of modules; certification: the key of what completing it earns."""

    key: str
    name: str
    modules: tuple[SimulatedModule, ...]
    certification: str | None


@dataclass(frozen=True, slots=True)
class SimulatedTeam:
    """The people of one department in one place; the first of them leads it."""

    key: str
    department: str
    location: tuple[str, str]
    leader: str


@dataclass(frozen=True, slots=True)
class SimulatedLearner:
    """Someone at work; talent is what they score on average, 0 to 1.

    team: at first; moves_to, moved_at: the team of those who change it
    """

    key: str
    team: SimulatedTeam
    manager: str | None
    joined_at: datetime
    left_at: datetime | None
    moves_to: SimulatedTeam | None
    moved_at: datetime
    talent: float


@dataclass(frozen=True, slots=True)
class World:
    """A company at a moment, the end of its history: what there is to learn and who learns."""

    company: Company
    until: datetime
    modules: tuple[SimulatedModule, ...]
    paths: tuple[SimulatedPath, ...]
    teams: tuple[SimulatedTeam, ...]
    learners: tuple[SimulatedLearner, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """One assignment of a module to a learner; reviewer: who judges their work."""

    learner: SimulatedLearner
    module: SimulatedModule
    series: str | None
    cycle: int
    assigned_at: datetime
    due_at: datetime | None

    @property
    def reviewer(self) -> str:
        """Who judges the work: the one who leads the team, or the learner's own manager."""
        leader = self.learner.team.leader
        return leader if leader != self.learner.key else self.learner.manager or leader

    def keys(self) -> dict[str, Any]:
        """The fields by which every event names it."""
        keys: dict[str, Any] = {"learner": self.learner.key, "module": self.module.key}
        if self.series is not None:
            keys["series"] = self.series
        if self.cycle > 1:
            keys["cycle"] = self.cycle
        return keys

    def progress_keys(self) -> dict[str, Any]:
        """The same, with the stream that progress belongs to."""
        return {**self.keys(), "module_type": self.module.module_type}


def chance_of(*words: object) -> Random:
    """Chance that falls alike each time for the same words."""
    return Random("/".join(map(str, words)))  # noqa: S311 - a simulation repeats itself


def make_world(company: Company, *, seed: int, until: datetime) -> World:
    """Found a company: its catalog, teams and people."""
    rng = chance_of(seed, company.key, "world")
    places = [(d, place) for place in company.locations for d in company.departments]
    teams = tuple(
        SimulatedTeam(f"t{number + 1}", department, place, f"{company.key}-u{number + 1}")
        for number, (department, place) in enumerate(places)
    )
    modules = tuple(
        _make_module(company, number, teams=teams, rng=rng, until=until)
        for number in range(company.module_count)
    )
    paths = tuple(
        SimulatedPath(
            key=f"path-{number + 1}",
            name=f"{topic} path",
            modules=tuple(rng.sample(modules, rng.randint(3, 4))),
            certification=f"cert-{number + 1}" if number < _CERTIFIED_PATHS else None,
        )
        for number, topic in enumerate(company.topics)
    )
    learners = tuple(
        _make_learner(company, number, teams=teams, rng=rng, until=until)
        for number in range(company.learner_count)
    )
    return World(company, until, modules, paths, teams, learners)


def _make_module(
    company: Company,
    number: int,
    *,
    teams: Sequence[SimulatedTeam],
    rng: Random,
    until: datetime,
) -> SimulatedModule:
    """A module; quick updates are published one after the other, all else was there before."""
    module_type = MODULE_TYPE_NAMES[number % len(MODULE_TYPE_NAMES)]
    topic = company.topics[number % len(company.topics)]
    label = module_type.replace("_", " ")
    days_ago = rng.uniform(4, 720) if module_type == "quick_update" else 730.0
    return SimulatedModule(
        key=f"m{number + 1}",
        module_type=module_type,
        name=f"{topic}: {label} {number // len(MODULE_TYPE_NAMES) + 1}",
        published_at=until - timedelta(days=round(days_ago)),
        pass_percent=70.0 if module_type in _SCORED_TYPES else None,
        parts=tuple(
            _make_part(module_type, place) for place in range(_PART_COUNTS.get(module_type, 0))
        ),
        sessions=_plan_sessions(company, teams, rng, until) if module_type == "ilt" else (),
    )


def _make_part(module_type: str, place: int) -> SimulatedPart:
    noun = _PART_NOUNS[module_type]
    return SimulatedPart(
        key=f"p{place + 1}",
        part_type=_PART_TYPES.get(module_type, "task"),
        title=f"{noun.capitalize()} {place + 1}",
        position=place + 1,
        is_signed=module_type == "checklist" and place % 2 == 1,
        max_points=10.0 * (place + 1) if module_type == "quest" else None,
    )


def _plan_sessions(
    company: Company, teams: Sequence[SimulatedTeam], rng: Random, until: datetime
) -> tuple[SimulatedSession, ...]:
    """A session each month, some of them ahead."""
    first = until - HISTORY + timedelta(days=rng.uniform(41, 70))
    starts_at = first.replace(hour=rng.randint(7, 15), minute=0, second=0, microsecond=0)
    sessions: list[SimulatedSession] = []
    while starts_at < until + _PLANNED_AHEAD:
        sessions.append(
            SimulatedSession(
                key=f"{starts_at:%Y-%m-%d}",
                planned_at=starts_at - timedelta(days=40),
                starts_at=starts_at,
                ends_at=starts_at + timedelta(minutes=rng.choice((90, 120, 180))),
                capacity=rng.randint(8, 16),
                location=rng.choice(company.locations)[0],
                instructor=rng.choice(teams).leader,
                is_cancelled=rng.random() < 0.05,
            )
        )
        starts_at += _SESSION_EVERY
    return tuple(sessions)


def _make_learner(
    company: Company,
    number: int,
    *,
    teams: Sequence[SimulatedTeam],
    rng: Random,
    until: datetime,
) -> SimulatedLearner:
    """The first of each team leads it; the very first leads the company."""
    team = teams[number % len(teams)]
    leads = number < len(teams)
    joined_at = until - HISTORY + timedelta(days=0 if leads else rng.triangular(0, 715, 60))
    left_at = joined_at + timedelta(days=rng.uniform(60, 700)) if rng.random() < 0.06 else None
    leader = teams[0].leader if leads else team.leader
    moves_to = rng.choice(teams) if rng.random() < 0.05 and not leads else team
    return SimulatedLearner(
        key=f"{company.key}-u{number + 1}",
        team=team,
        manager=leader if number else None,
        joined_at=joined_at.replace(microsecond=0),
        left_at=None if leads else left_at,
        moves_to=None if moves_to is team else moves_to,
        moved_at=joined_at.replace(microsecond=0) + timedelta(days=rng.randint(30, 400)),
        talent=min(0.98, max(0.35, rng.gauss(0.78, 0.12))),
    )
