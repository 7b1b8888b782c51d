"""How a simulated learner goes through a module: each module type in its own way, as events."""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from app.cli.simulation.company import SimulatedPart, Task
from app.cli.simulation.pen import Event, Pen, stamp
from app.cli.simulation.sessions import tell_sessions

Told = Generator[Event, None, datetime | None]
"""Events, and in the end when the work was completed; None while it is not."""

_DEVICES = ("phone", "tablet", "desktop")


@dataclass(frozen=True, slots=True)
class Work:
    """One time through a module.

    began_at, done_at: the first step, and the last unless it stops halfway
    """

    task: Task
    pen: Pen
    rng: Random
    began_at: datetime
    done_at: datetime
    stops: bool

    @property
    def parts(self) -> tuple[SimulatedPart, ...]:
        """The parts that are worked on; at least one is left out by who stops halfway."""
        parts = self.task.module.parts
        return parts[: (len(parts) - 1) // 2 + 1 if len(parts) > 1 else 0] if self.stops else parts

    def moment(self, share: float) -> datetime:
        """A moment between the first step, 0, and the last, 1."""
        return self.began_at + (self.done_at - self.began_at) * share

    def tell(self, type_name: str, at: datetime, **said: Any) -> Iterator[Event]:
        """An event of the module's own source."""
        data = self.task.progress_keys() | said
        yield from self.pen.write(type_name, source=self.task.module.source, at=at, data=data)

    def score(self) -> float:
        """A score out of 100, by the learner's talent."""
        return round(min(100.0, max(5.0, 100 * self.rng.gauss(self.task.learner.talent, 0.12))), 1)

    def passes(self, score: float) -> bool:
        """Is this score enough?"""
        return score >= (self.task.module.pass_percent or 0.0)

    def complete(self, at: datetime, **said: Any) -> Iterator[Event]:
        """The completion; now and then it was a mistake and is taken back."""
        for event in self.tell("progress.completed", at, **said):
            yield event
            if self.rng.random() < 0.01:
                task = self.task
                void = {
                    **task.keys(),
                    "event_id": event["id"],
                    "stream": task.module.module_type,
                    "type": "progress.completed",
                }
                later = at + timedelta(hours=3)
                source = task.module.source
                yield from self.pen.write("event.voided", source=source, at=later, data=void)


def tell_work(work: Work) -> Told:
    """Tell the work in the way of its module type."""
    return (yield from _WAYS[work.task.module.module_type](work))


def _sitting(work: Work, at: datetime, *, minutes: float) -> Iterator[Event]:
    """Activity that ends at a moment; some sources never say when it ended."""
    began_at = at - timedelta(minutes=minutes)
    said: dict[str, Any] = {
        "started_at": stamp(began_at),
        "clicks": work.rng.randint(3, 60),
        "device": work.rng.choice(_DEVICES),
    }
    if work.rng.random() < 0.9:
        said["ended_at"] = stamp(at)
    yield from work.tell("activity.recorded", at, **said)


def _quick_update(work: Work) -> Told:
    for number, part in enumerate(work.parts):
        at = work.began_at + timedelta(seconds=40 * number)
        yield from work.tell("part.done", at, part=part.key, seconds=work.rng.randint(10, 60))
    if work.stops:
        return None
    at = work.began_at + timedelta(minutes=2)
    yield from _sitting(work, at, minutes=2)
    yield from work.complete(at)
    return at


def _course(work: Work) -> Told:
    yield from work.tell("progress.started", work.began_at)
    parts, total = work.parts, len(work.task.module.parts)
    for number, part in enumerate(parts, 1):
        at = work.moment(number / (total + 1))
        if number % 2:
            yield from work.tell("part.reached", at - timedelta(minutes=3), part=part.key)
        yield from work.tell("part.done", at, part=part.key, seconds=work.rng.randint(60, 900))
        if number % 2 == 0:
            yield from _sitting(work, at, minutes=work.rng.uniform(5, 40))
            yield from work.tell("progress.advanced", at, percent=100.0 * number / total)
    if work.stops:
        return None
    yield from work.complete(work.done_at, passed=True)
    yield from _feedback(work, work.done_at, share=0.15)
    return work.done_at


def _feedback(work: Work, at: datetime, *, share: float) -> Iterator[Event]:
    if work.rng.random() < share:
        rating = float(work.rng.choices((1, 2, 3, 4, 5), (3, 6, 16, 40, 35))[0])
        keys = {"learner": work.task.learner.key, "module": work.task.module.key}
        keys["module_type"] = work.task.module.module_type
        later = at + timedelta(minutes=10)
        data = keys | {"rating": rating, "scale_max": 5.0}
        source = work.task.module.source
        yield from work.pen.write("feedback.given", source=source, at=later, data=data)


def _checklist(work: Work) -> Told:
    """Items ticked off; a reviewer signs some, sends a few back, and has yet to see others."""
    yield from work.tell("progress.started", work.began_at)
    total, at = len(work.task.module.parts), work.began_at
    is_signed = True
    for number, part in enumerate(work.parts, 1):
        at = max(at, work.moment(number / (total + 1)))
        yield from work.tell("part.done", at, part=part.key)
        if part.is_signed:
            signed_at = yield from _signing(work, part, at)
            is_signed = is_signed and signed_at is not None
            at = signed_at or at
    if work.stops or not is_signed:
        return None
    done_at = max(at, work.done_at)
    yield from work.complete(done_at)
    return done_at


def _signing(work: Work, part: SimulatedPart, at: datetime) -> Told:
    """Rounds of sign-off until approved; None while the reviewer has not decided."""
    rng, reviewer = work.rng, work.task.reviewer
    for _ in range(3):
        at += timedelta(minutes=rng.uniform(1, 30))
        yield from work.tell("signoff.submitted", at, part=part.key, reviewer=reviewer)
        if rng.random() < 0.05:
            return None
        at += timedelta(hours=rng.expovariate(1 / 20))
        is_fine = rng.random() < 0.85
        decision = "approved" if is_fine else "rejected"
        said = {"part": part.key, "decision": decision, "reviewer": reviewer}
        yield from work.tell("signoff.decided", at, **said)
        if is_fine:
            return at
        at += timedelta(hours=rng.uniform(2, 48))
    return None


def _quest(work: Work) -> Told:
    yield from work.tell("progress.started", work.began_at)
    total = len(work.task.module.parts)
    for number, part in enumerate(work.parts, 1):
        at = work.moment(number / total)
        if number < total:
            yield from work.tell("part.reached", at - timedelta(minutes=8), part=part.key)
        points = round((part.max_points or 0.0) * work.rng.uniform(0.4, 1.0))
        yield from work.tell("part.done", at, part=part.key, points=float(points))
        said = {"points": float(points), "part": part.key, "reason": "stage done"}
        yield from work.tell("points.awarded", at, **said)
    if work.stops:
        return None
    yield from _sitting(work, work.done_at, minutes=work.rng.uniform(8, 30))
    score = work.score()
    said = {"score": score, "max_score": 100.0, "passed": work.passes(score)}
    yield from work.complete(work.done_at, **said)
    return work.done_at


def _attempts(work: Work) -> Told:
    """Up to three attempts, each handed in and graded; the last failure ends it."""
    yield from work.tell("progress.started", work.began_at)
    if work.stops:
        return None
    at = work.done_at
    for attempt in (1, 2, 3):
        score = work.score()
        for number, part in enumerate(work.parts):
            is_right = work.rng.random() < score / 100 - 0.05 * number
            said = {"part": part.key, "score": float(is_right), "seconds": work.rng.randint(9, 99)}
            if attempt == 1:
                yield from work.tell("part.done", at - timedelta(minutes=1), **said)
        seconds = work.rng.randint(120, 2_400)
        yield from work.tell("attempt.submitted", at, attempt=attempt, seconds=seconds)
        at += timedelta(minutes=2)
        graded = {"score": score, "max_score": 100.0, "passed": work.passes(score)}
        yield from work.tell("attempt.graded", at, attempt=attempt, **graded)
        if work.rng.random() < 0.005:
            at += timedelta(hours=1)
            yield from work.tell("attempt.voided", at, attempt=attempt)
        elif work.passes(score):
            return at
        at += timedelta(days=work.rng.uniform(0.1, 5))
    yield from work.tell("progress.failed", at, passed=False)
    return None


def _graded_by_hand(work: Work) -> Told:
    """A mission or a coaching form: handed in, then graded by a person, who may take long."""
    yield from work.tell("progress.started", work.began_at)
    if work.stops:
        return None
    at, part = work.done_at, work.task.module.parts[0].key
    yield from _sitting(work, at, minutes=work.rng.uniform(10, 60))
    for attempt in (1, 2):
        yield from work.tell("attempt.submitted", at, attempt=attempt)
        if work.rng.random() < 0.06:
            return None
        at += timedelta(hours=work.rng.expovariate(1 / 30))
        score = work.score()
        graded = {"score": score, "max_score": 100.0, "passed": work.passes(score)}
        yield from work.tell("attempt.graded", at, attempt=attempt, **graded)
        if work.passes(score):
            yield from work.tell("part.done", at, part=part)
            said = {"points": 20.0, "reason": "well done"}
            yield from work.tell("points.awarded", at, **said)
            yield from _feedback(work, at, share=0.2)
            return at
        yield from work.tell("part.rejected", at, part=part)
        at += timedelta(days=work.rng.uniform(0.5, 4))
    return None


def _external(work: Work) -> Told:
    """Imported: nothing but the completion is known."""
    if work.stops:
        return None
    yield from work.complete(work.done_at)
    return work.done_at


def _ilt(work: Work) -> Told:
    done_at = yield from tell_sessions(
        work.task, work.pen, work.rng, began_at=work.began_at, stops=work.stops
    )
    if done_at is None:
        return None
    yield from work.complete(done_at)
    return done_at


_WAYS: Mapping[str, Callable[[Work], Told]] = {
    "quick_update": _quick_update,
    "ilt": _ilt,
    "checklist": _checklist,
    "quest": _quest,
    "course": _course,
    "assessment": _attempts,
    "mission": _graded_by_hand,
    "coaching": _graded_by_hand,
    "reinforcement": _attempts,
    "external": _external,
}
