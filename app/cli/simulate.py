"""Simulated companies: a seed and a moment in, two years of events out, and live ones after.

Pure and deterministic: the same seed and moment give the same events with the same ids. Nobody in
it is real. Events of one learner come together; their times do not run in one line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any

from app.base.clock import format_time
from app.learning.modules import MODULE_TYPE_NAMES

Event = dict[str, Any]

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
_LMS_TYPES = frozenset({"course", "assessment", "external", "reinforcement"})
_SCORED_TYPES = frozenset({"assessment", "quest", "reinforcement", "mission"})
_ATTEMPTED_TYPES = frozenset({"assessment", "quest", "reinforcement"})


@dataclass(frozen=True, slots=True)
class SimulatedModule:
    """Something to learn; pass_percent is None where nothing is scored."""

    key: str
    module_type: str
    name: str
    pass_percent: float | None

    @property
    def source(self) -> str:
        """The system that runs it."""
        return "lms" if self.module_type in _LMS_TYPES else "field-app"


@dataclass(frozen=True, slots=True)
class SimulatedLearner:
    """Someone at work; talent is what they score on average, 0 to 1."""

    key: str
    team: str
    department: str
    location: tuple[str, str]
    manager: str | None
    joined_at: datetime
    left_at: datetime | None
    talent: float


@dataclass(frozen=True, slots=True)
class World:
    """A company at a moment: what there is to learn and who learns."""

    company: Company
    until: datetime
    modules: tuple[SimulatedModule, ...]
    series: tuple[tuple[str, str, tuple[SimulatedModule, ...]], ...]
    teams: tuple[tuple[str, str], ...]
    learners: tuple[SimulatedLearner, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """One assignment of a module to a learner."""

    learner: SimulatedLearner
    module: SimulatedModule
    series: str | None
    cycle: int
    assigned_at: datetime
    due_at: datetime | None

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


class Pen:
    """Writes envelopes with running ids; what would happen after `until` has not happened."""

    __slots__ = ("_numbers", "_prefix", "_rng", "_until")

    def __init__(self, *, prefix: str, until: datetime, rng: Random) -> None:
        self._prefix, self._until, self._rng = prefix, until, rng
        self._numbers = count(1)

    def write(
        self, type_name: str, *, source: str, at: datetime, data: dict[str, Any]
    ) -> Iterator[Event]:
        """Give the event, or nothing when it lies ahead."""
        number = next(self._numbers)
        delay_s = self._rng.uniform(0.2, 20.0)
        if at > self._until:
            return
        subject = next(name for name in ("learner", "team", "module", "series") if name in data)
        yield {
            "specversion": "1.0",
            "id": f"{self._prefix}{number:07d}",
            "source": source,
            "type": type_name,
            "subject": f"{subject}:{data[subject]}",
            "time": format_time(at),
            "recordedtime": format_time(min(at + timedelta(seconds=delay_s), self._until)),
            "sequence": str(number),
            "data": data,
        }


def make_world(company: Company, *, seed: int, until: datetime) -> World:
    """Found a company: its catalog, teams and people."""
    rng = _chance(seed, company.key, "world")
    modules = tuple(_make_module(company, number) for number in range(company.module_count))
    series = tuple(
        (f"path-{number + 1}", f"{topic} path", tuple(rng.sample(modules, rng.randint(3, 5))))
        for number, topic in enumerate(company.topics)
    )
    places = [(d, place) for place in company.locations for d in company.departments]
    teams = tuple(
        (f"t{number + 1}", f"{department}, {place[0]}")
        for number, (department, place) in enumerate(places)
    )
    learners = tuple(
        _make_learner(company, number, places=places, rng=rng, until=until)
        for number in range(company.learner_count)
    )
    return World(company, until, modules, series, teams, learners)


def _chance(*words: object) -> Random:
    return Random("/".join(map(str, words)))  # noqa: S311 - a simulation repeats itself


def _make_module(company: Company, number: int) -> SimulatedModule:
    module_type = MODULE_TYPE_NAMES[number % len(MODULE_TYPE_NAMES)]
    topic = company.topics[number % len(company.topics)]
    label = module_type.replace("_", " ")
    return SimulatedModule(
        key=f"m{number + 1}",
        module_type=module_type,
        name=f"{topic}: {label} {number // len(MODULE_TYPE_NAMES) + 1}",
        pass_percent=70.0 if module_type in _SCORED_TYPES else None,
    )


def _make_learner(
    company: Company,
    number: int,
    *,
    places: Sequence[tuple[str, tuple[str, str]]],
    rng: Random,
    until: datetime,
) -> SimulatedLearner:
    """The first of each team leads it; the very first leads the company."""
    place = number % len(places)
    department, location = places[place]
    leads = number < len(places)
    joined_at = until - HISTORY + timedelta(days=0 if leads else rng.triangular(0, 715, 60))
    left_at = joined_at + timedelta(days=rng.uniform(60, 700)) if rng.random() < 0.06 else None
    leader = 1 if leads else place + 1
    return SimulatedLearner(
        key=f"{company.key}-u{number + 1}",
        team=f"t{place + 1}",
        department=department,
        location=location,
        manager=f"{company.key}-u{leader}" if number else None,
        joined_at=joined_at.replace(microsecond=0),
        left_at=None if leads else left_at,
        talent=min(0.98, max(0.35, rng.gauss(0.78, 0.12))),
    )


def simulate_history(world: World, *, seed: int) -> Iterator[Event]:
    """Two years of events up to the world's moment: catalog and teams first, then who learns."""
    rng = _chance(seed, world.company.key, "history")
    pen = Pen(prefix=f"{world.company.key}-", until=world.until, rng=rng)
    yield from _write_catalog(world, pen)
    for learner in world.learners:
        life = [*_write_person(learner, pen, world.company)]
        for task in _plan_tasks(world, learner, rng):
            life += _write_task(task, pen, rng)
        end = format_time(learner.left_at or world.until)
        yield from (event for event in life if event["time"] <= end)


def _write_catalog(world: World, pen: Pen) -> Iterator[Event]:
    start = world.until - HISTORY
    for key, name in world.teams:
        team = {"team": key, "name": name, "kind": "team"}
        yield from pen.write("team.upserted", source="hr", at=start, data=team)
    for module in world.modules:
        data: dict[str, Any] = {
            "module": module.key,
            "module_type": module.module_type,
            "name": module.name,
            "version": "1",
            "estimated_minutes": 20,
            "tags": [module.name.partition(":")[0]],
        }
        if module.pass_percent is not None:
            data |= {"max_score": 100.0, "pass_score_percent": module.pass_percent}
        yield from pen.write("module.upserted", source="lms", at=start, data=data)
    for series_key, name, modules in world.series:
        entries = [{"module": m.key, "position": n + 1} for n, m in enumerate(modules)]
        path = {"series": series_key, "name": name, "kind": "path", "modules": entries}
        yield from pen.write("series.upserted", source="lms", at=start, data=path)


def _write_person(learner: SimulatedLearner, pen: Pen, company: Company) -> Iterator[Event]:
    number = learner.key.rpartition("-u")[2]
    data = {
        "learner": learner.key,
        "display_name": f"Learner {number}",
        "email": f"learner{number}@{company.key}.example",
        "employee_no": number,
        "department": learner.department,
        "location": learner.location[0],
        "country": learner.location[1],
        "timezone": company.timezone,
        "hired_on": learner.joined_at.date().isoformat(),
    }
    if learner.manager is not None:
        data["manager"] = learner.manager
    joins = {"team": learner.team, "learner": learner.key}
    yield from pen.write("learner.upserted", source="hr", at=learner.joined_at, data=data)
    yield from pen.write("membership.set", source="hr", at=learner.joined_at, data=joins)
    if learner.left_at is not None:
        leaves = {"learner": learner.key}
        yield from pen.write("learner.deactivated", source="hr", at=learner.left_at, data=leaves)


def _plan_tasks(world: World, learner: SimulatedLearner, rng: Random) -> Iterator[Task]:
    """What a learner is given: a path to begin with, single modules, one again each year."""
    series_key, _, modules = rng.choice(world.series)
    first_at = learner.joined_at + timedelta(hours=rng.uniform(1, 60))
    for module in modules:
        yield Task(learner, module, series_key, 1, first_at, first_at + timedelta(days=30))
    days = max(2.0, (world.until - learner.joined_at) / timedelta(days=1))
    others = rng.sample(world.modules, rng.randint(1, 5))
    for module in others:
        assigned_at = learner.joined_at + timedelta(days=rng.uniform(1, days))
        due_days = rng.choice((14, 21, 30, 60, None))
        due_at = assigned_at + timedelta(days=due_days) if due_days else None
        yield Task(learner, module, None, 1, assigned_at, due_at)
    again_at = learner.joined_at + timedelta(days=380)
    yield Task(learner, modules[0], series_key, 2, again_at, again_at + timedelta(days=30))


def _write_task(task: Task, pen: Pen, rng: Random) -> Iterator[Event]:
    """An assignment from its making to whatever becomes of it."""
    left_at = task.learner.left_at
    if left_at is not None and task.assigned_at >= left_at:
        return
    made: dict[str, Any] = task.keys()
    made["mandatory"] = rng.random() < 0.75
    made["reason"] = "recertification" if task.cycle > 1 else ("rule" if task.series else "manual")
    if task.due_at is not None:
        made["due_at"] = format_time(task.due_at)
    yield from pen.write("assignment.made", source="lms", at=task.assigned_at, data=made)
    fate = rng.choices(
        ("on_time", "late", "halfway", "untouched", "waived", "ended", "moved"),
        (58, 15, 9, 8, 3, 3, 4),
    )[0]
    if fate == "moved":
        due_at = (task.due_at or task.assigned_at) + timedelta(days=21)
        changed = {**task.keys(), "due_at": format_time(due_at)}
        moved_at = task.assigned_at + timedelta(days=5)
        yield from pen.write("assignment.changed", source="lms", at=moved_at, data=changed)
    if fate in ("waived", "ended"):
        key, words = (
            ("waive_reason", "Learnt elsewhere") if fate == "waived" else ("end_reason", "removed")
        )
        data = {**task.keys(), key: words}
        at = task.assigned_at + timedelta(days=rng.uniform(2, 20))
        yield from pen.write(f"assignment.{fate}", source="lms", at=at, data=data)
    elif fate != "untouched":
        yield from _write_work(task, pen, rng, is_late=fate == "late", stops=fate == "halfway")
    if left_at is not None and fate in ("halfway", "untouched"):
        data = {**task.keys(), "end_reason": "deactivated"}
        yield from pen.write("assignment.ended", source="lms", at=left_at, data=data)


def _write_work(
    task: Task, pen: Pen, rng: Random, *, is_late: bool, stops: bool
) -> Iterator[Event]:
    """How a learner goes through a module, once or, after a reset, twice."""
    window = (task.due_at or task.assigned_at + timedelta(days=30)) - task.assigned_at
    share = rng.uniform(1.05, 1.9) if is_late else rng.uniform(0.15, 0.95)
    began_at = task.assigned_at + window * rng.uniform(0.05, min(share, 1.0))
    done_at = task.assigned_at + window * share
    done_at = max(done_at, began_at + timedelta(minutes=4))
    keys, source = task.progress_keys(), task.module.source
    if rng.random() < 0.015:
        yield from pen.write("progress.started", source=source, at=began_at, data=keys)
        began_at += timedelta(minutes=30)
        yield from pen.write("progress.reset", source=source, at=began_at, data=keys)
        began_at += timedelta(minutes=1)
        done_at = max(done_at, began_at + timedelta(minutes=4))
    yield from pen.write("progress.started", source=source, at=began_at, data=keys)
    percents = sorted({round(rng.uniform(5, 95)) for _ in range(rng.randint(0, 2))})
    for step, percent in enumerate(percents):
        at = began_at + (done_at - began_at) * (step + 1) / (len(percents) + 2)
        data = {**keys, "percent": float(percent)}
        yield from pen.write("progress.advanced", source=source, at=at, data=data)
    if not stops:
        yield from _write_end(task, pen, rng, at=done_at)


def _write_end(task: Task, pen: Pen, rng: Random, *, at: datetime) -> Iterator[Event]:
    """The last steps: attempts where the module has them, else the completion and its score."""
    keys, source = task.progress_keys(), task.module.source
    if task.module.module_type in _ATTEMPTED_TYPES:
        yield from _write_attempts(task, pen, rng, at=at)
        return
    done: dict[str, Any] = dict(keys)
    if task.module.pass_percent is not None:
        score = _draw_score(task, rng)
        done |= {"score": score, "max_score": 100.0, "passed": score >= task.module.pass_percent}
    for event in pen.write("progress.completed", source=source, at=at, data=done):
        yield event
        if rng.random() < 0.01:
            void = {**task.keys(), "event_id": event["id"], "stream": task.module.module_type}
            later = at + timedelta(hours=3)
            yield from pen.write("event.voided", source=source, at=later, data=void)


def _write_attempts(task: Task, pen: Pen, rng: Random, *, at: datetime) -> Iterator[Event]:
    """Up to three attempts, each handed in and graded; the last failure ends it."""
    keys, source = task.progress_keys(), task.module.source
    passes_at = task.module.pass_percent or 0.0
    for attempt in (1, 2, 3):
        seconds = rng.randint(120, 2_400)
        handed_in = {**keys, "attempt": attempt, "seconds": seconds}
        yield from pen.write("attempt.submitted", source=source, at=at, data=handed_in)
        score = _draw_score(task, rng)
        graded = {
            **keys,
            "attempt": attempt,
            "score": score,
            "max_score": 100.0,
            "passed": score >= passes_at,
        }
        at += timedelta(minutes=2)
        yield from pen.write("attempt.graded", source=source, at=at, data=graded)
        if rng.random() < 0.005:
            at += timedelta(hours=1)
            voided = {**keys, "attempt": attempt}
            yield from pen.write("attempt.voided", source=source, at=at, data=voided)
        elif score >= passes_at:
            return
        at += timedelta(days=rng.uniform(0.1, 5))
    yield from pen.write("progress.failed", source=source, at=at, data={**keys, "passed": False})


def _draw_score(task: Task, rng: Random) -> float:
    return round(min(100.0, max(5.0, 100 * rng.gauss(task.learner.talent, 0.12))), 1)


def simulate_live(world: World, *, seed: int, at: datetime, number: int) -> list[Event]:
    """The events of one moment after the history: the `number`-th step of the day's work.

    Shape: one to three events; the steps go through all module types in turn
    """
    rng = _chance(seed, world.company.key, format_time(at), number)
    prefix = f"{world.company.key}-live-{format_time(at)}-{number}-"
    pen = Pen(prefix=prefix, until=at, rng=rng)
    learner = rng.choice(
        [one for one in rng.sample(world.learners, 8) if one.left_at is None] or world.learners[:1]
    )
    module_type = MODULE_TYPE_NAMES[number % len(MODULE_TYPE_NAMES)]
    module = rng.choice([m for m in world.modules if m.module_type == module_type])
    task = Task(learner, module, None, 1, at - timedelta(hours=1), at + timedelta(days=21))
    events: list[Event] = []
    if number % 5 == 0:
        data = {**task.keys(), "due_at": format_time(at + timedelta(days=21)), "reason": "manual"}
        events += pen.write("assignment.made", source="lms", at=at, data=data)
    if number % 40 == 0:
        events += _write_person(learner, pen, world.company)
    kind = rng.choices(("started", "advanced", "end"), (3, 4, 5))[0]
    if kind == "end":
        events += _write_end(task, pen, rng, at=at)
    else:
        data = dict(task.progress_keys())
        if kind == "advanced":
            data["percent"] = float(rng.randint(5, 95))
        events += pen.write(f"progress.{kind}", source=module.source, at=at, data=data)
    return events


def batched(events: Iterator[Event], size: int) -> Iterator[list[Event]]:
    """The same events in lists of this size; the last may be shorter."""
    batch: list[Event] = []
    for event in events:
        batch.append(event)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
