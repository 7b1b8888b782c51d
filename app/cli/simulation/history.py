"""The life of a simulated company: two years of events up to its moment, and live ones after.

Pure: the same world and seed give the same events with the same ids, so that a source can tell at
any time what it has made. Events of one learner come together; their times do not run in one line.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

from app.cli.simulation.company import (
    SimulatedLearner,
    SimulatedPath,
    Task,
    World,
    chance_of,
)
from app.cli.simulation.pen import Event, Pen, deliver_events, stamp
from app.cli.simulation.records import tell_catalog, tell_person, tell_teams
from app.cli.simulation.sessions import tell_attendance
from app.cli.simulation.work import Told, Work, tell_work
from app.learning.modules import MODULE_TYPE_NAMES

LIVE_EVERY = timedelta(seconds=1)
_FATES = ("on_time", "late", "halfway", "untouched", "waived", "ended", "moved")
_FATE_SHARES = (58, 15, 9, 8, 3, 3, 4)


def simulate_history(world: World, *, seed: int) -> Iterator[Event]:
    """Everything the company's sources made up to its moment: records first, then who learns."""
    rng = chance_of(seed, world.company.key, "history")
    pen = Pen(prefix=f"{world.company.key}-", until=world.until, rng=rng)
    yield from tell_catalog(world, pen)
    yield from tell_teams(world, pen)
    for learner in world.learners:
        end = stamp(learner.left_at or world.until)
        life = _write_life(world, learner, pen, rng)
        yield from (event for event in life if event["time"] <= end)


def deliver_history(world: World, *, seed: int) -> Iterator[Event]:
    """The same events as they come in: some late, some twice."""
    rng = chance_of(seed, world.company.key, "network")
    return deliver_events(simulate_history(world, seed=seed), rng)


def _write_life(world: World, learner: SimulatedLearner, pen: Pen, rng: Random) -> Iterator[Event]:
    """Joining, a path to begin with, single modules, and one of the path again each year."""
    yield from tell_person(learner, pen, world.company)
    path = rng.choice(world.paths)
    first_at = learner.joined_at + timedelta(hours=rng.uniform(1, 60))
    due_at = first_at + timedelta(days=30)
    done: list[datetime | None] = []
    for module in path.modules:
        at = max(first_at, module.published_at + timedelta(hours=1))
        task = Task(learner, module, path.key, 1, at, max(due_at, at + timedelta(days=7)))
        done.append((yield from _write_task(task, pen, rng)))
    yield from _write_award(learner, path, pen, rng, cycle=1, done=done)
    for task in _plan_others(world, learner, rng):
        yield from _write_task(task, pen, rng)
    again_at = learner.joined_at + timedelta(days=380)
    again = Task(learner, path.modules[0], path.key, 2, again_at, again_at + timedelta(days=30))
    renewed = yield from _write_task(again, pen, rng)
    yield from _write_award(learner, path, pen, rng, cycle=2, done=[*done, renewed])


def _plan_others(world: World, learner: SimulatedLearner, rng: Random) -> Iterator[Task]:
    """Single modules, at any time; a quick update when it is published."""
    days = max(2.0, (world.until - learner.joined_at) / timedelta(days=1))
    for module in rng.sample(world.modules, rng.randint(1, 3)):
        assigned_at = learner.joined_at + timedelta(days=rng.uniform(1, days))
        if module.module_type == "quick_update":
            published_at = module.published_at + timedelta(minutes=rng.randint(5, 60))
            assigned_at = max(learner.joined_at, published_at)
        due_days = rng.choice((14, 21, 30, 60, None))
        due_at = assigned_at + timedelta(days=due_days) if due_days else None
        yield Task(learner, module, None, 1, assigned_at, due_at)


def _write_award(
    learner: SimulatedLearner,
    path: SimulatedPath,
    pen: Pen,
    rng: Random,
    *,
    cycle: int,
    done: list[datetime | None],
) -> Iterator[Event]:
    """The certification that a finished path earns; a few are revoked."""
    ends = [moment for moment in done if moment is not None]
    if path.certification is None or len(ends) < len(done):
        return
    last = path.modules[-1]
    keys: dict[str, Any] = {
        "learner": learner.key,
        "certification": path.certification,
        "module": last.key,
        "module_type": last.module_type,
        "cycle": cycle,
    }
    at = max(ends) + timedelta(minutes=5)
    expires_at = stamp(at + timedelta(days=365))
    issued = keys | ({"expires_at": expires_at} if cycle > 1 else {})
    yield from pen.write("certification.issued", source="lms", at=at, data=issued)
    if rng.random() < 0.03:
        at += timedelta(days=40)
        yield from pen.write("certification.revoked", source="lms", at=at, data=keys)


def _write_task(task: Task, pen: Pen, rng: Random) -> Told:
    """An assignment from its making to whatever becomes of it."""
    left_at = task.learner.left_at
    if left_at is not None and task.assigned_at >= left_at:
        return None
    yield from _write_made(task, pen, rng)
    fate = rng.choices(_FATES, _FATE_SHARES)[0]
    done_at: datetime | None = None
    if fate == "moved":
        due_at = (task.due_at or task.assigned_at) + timedelta(days=21)
        changed = {**task.keys(), "due_at": stamp(due_at)}
        moved_at = task.assigned_at + timedelta(days=5)
        yield from pen.write("assignment.changed", source="lms", at=moved_at, data=changed)
    if fate in ("waived", "ended"):
        waived = {"waive_reason": "Learnt elsewhere"}
        data = task.keys() | (waived if fate == "waived" else {"end_reason": "removed"})
        at = task.assigned_at + timedelta(days=rng.uniform(2, 20))
        yield from pen.write(f"assignment.{fate}", source="lms", at=at, data=data)
    elif fate != "untouched":
        done_at = yield from _write_turns(
            task, pen, rng, is_late=fate == "late", stops=fate == "halfway"
        )
    if left_at is not None and fate in ("halfway", "untouched"):
        data = {**task.keys(), "end_reason": "deactivated"}
        yield from pen.write("assignment.ended", source="lms", at=left_at, data=data)
    return done_at


def _write_made(task: Task, pen: Pen, rng: Random) -> Iterator[Event]:
    made: dict[str, Any] = task.keys()
    made["mandatory"] = rng.random() < 0.75
    made["reason"] = "recertification" if task.cycle > 1 else ("rule" if task.series else "manual")
    if task.series:
        made["rule"] = f"new-in-{task.learner.team.key}"
    if task.due_at is not None:
        made["due_at"] = stamp(task.due_at)
    yield from pen.write("assignment.made", source="lms", at=task.assigned_at, data=made)


def _write_turns(task: Task, pen: Pen, rng: Random, *, is_late: bool, stops: bool) -> Told:
    """The work on a module, from early to late in its time; now and then begun twice."""
    window = (task.due_at or task.assigned_at + timedelta(days=30)) - task.assigned_at
    share = rng.uniform(1.05, 1.9) if is_late else rng.uniform(0.15, 0.95)
    began_at = task.assigned_at + window * rng.uniform(0.01, min(share, 1.0) * rng.random())
    done_at = max(task.assigned_at + window * share, began_at + timedelta(minutes=40))
    if rng.random() < 0.015:
        keys, source = task.progress_keys(), task.module.source
        yield from pen.write("progress.started", source=source, at=began_at, data=keys)
        began_at += timedelta(minutes=30)
        yield from pen.write("progress.reset", source=source, at=began_at, data=keys)
        began_at += timedelta(minutes=1)
        done_at = max(done_at, began_at + timedelta(minutes=40))
    return (yield from tell_work(Work(task, pen, rng, began_at, done_at, stops)))


def live_moment(world: World, number: int) -> datetime:
    """When a live step happens: steps follow one another from the world's moment on."""
    return world.until + number * LIVE_EVERY


def simulate_live(world: World, *, seed: int, number: int) -> list[Event]:
    """The `number`-th step after the history: what one learner did in the hour before.

    Shape: the steps go through all module types in turn; a step may be empty
    """
    at = live_moment(world, number)
    rng = chance_of(seed, world.company.key, "live", number)
    pen = Pen(prefix=f"{world.company.key}-live-{number}-", until=at, rng=rng)
    there = [one for one in rng.sample(world.learners, 8) if one.left_at is None]
    learner = (there or world.learners[:1])[0]
    module_type = MODULE_TYPE_NAMES[number % len(MODULE_TYPE_NAMES)]
    module = rng.choice([m for m in world.modules if m.module_type == module_type])
    began_at = at - timedelta(minutes=rng.uniform(42, 60))
    task = Task(learner, module, None, 1, began_at, at + timedelta(days=21))
    events: list[Event] = []
    if rng.random() < 0.3:
        events += _write_made(task, pen, rng)
    if number % 40 == 0:
        events += tell_person(learner, pen, world.company)
    if module_type == "ilt" and rng.random() < 0.5:
        events += tell_attendance(task, pen, rng, at=at)
        return events
    stops = rng.random() < 0.4
    work = Work(task, pen, rng, began_at, at - timedelta(minutes=2), stops)
    events += tell_work(work)
    return events
