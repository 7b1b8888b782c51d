"""Instructor-led training in a simulated company: places taken, given up, waited for, and used."""

from collections.abc import Generator, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

from app.cli.simulation.company import SimulatedSession, Task
from app.cli.simulation.pen import Event, Pen

_OUTCOMES = ("attended", "partial", "no_show", "excused", "unmarked")
_SHARES = (78, 6, 7, 4, 5)


def tell_sessions(
    task: Task, pen: Pen, rng: Random, *, began_at: datetime, stops: bool
) -> Generator[Event, None, datetime | None]:
    """Enrol in one session after the other until one is attended; give when it was marked."""
    open_ones = [one for one in task.module.sessions if one.starts_at > began_at]
    for session in open_ones[:3]:
        place = _Place(task, session, pen, rng)
        enrolled_at = max(began_at, session.planned_at + timedelta(hours=1))
        if not (yield from place.take(enrolled_at)) or session.is_cancelled:
            continue
        if stops or rng.random() < 0.05:
            yield from place.give_up(enrolled_at)
            if stops:
                return None
            continue
        marked_at = yield from place.use()
        if marked_at is not None:
            return marked_at
    return None


def tell_attendance(task: Task, pen: Pen, rng: Random, *, at: datetime) -> Iterator[Event]:
    """The attendance of the session that was over last, marked just now."""
    past = [one for one in task.module.sessions if one.ends_at < at and not one.is_cancelled]
    if past:
        place = _Place(task, past[-1], pen, rng)
        minutes = place.length_minutes
        said = {"outcome": "attended", "minutes": minutes, "marked_by": past[-1].instructor}
        yield from place.tell("attendance.marked", at, **said)


class _Place:
    """A learner's place in a session."""

    __slots__ = ("_pen", "_rng", "session", "task")

    def __init__(self, task: Task, session: SimulatedSession, pen: Pen, rng: Random) -> None:
        self.task, self.session, self._pen, self._rng = task, session, pen, rng

    @property
    def length_minutes(self) -> int:
        """How long the session is."""
        return int((self.session.ends_at - self.session.starts_at) / timedelta(minutes=1))

    def tell(self, type_name: str, at: datetime, **said: Any) -> Iterator[Event]:
        """An event about this place."""
        data = {
            "learner": self.task.learner.key,
            "module": self.task.module.key,
            "module_type": self.task.module.module_type,
            "session": self.session.key,
            **said,
        }
        yield from self._pen.write(type_name, source=self.task.module.source, at=at, data=data)

    def take(self, at: datetime) -> Generator[Event, None, bool]:
        """Enrol; of those on the waiting list some get a place. Is there one in the end?"""
        status = self._rng.choices(("registered", "invited", "waitlisted"), (84, 6, 10))[0]
        yield from self.tell("session.enrolled", at, status=status)
        if status == "registered":
            return True
        gets_place = self._rng.random() < 0.6
        if gets_place:
            at += (self.session.starts_at - at) * 0.5
            yield from self.tell("session.enrolled", at, status="registered")
        return gets_place

    def give_up(self, enrolled_at: datetime) -> Iterator[Event]:
        """Unenrol, late by the source's word in the last two days."""
        left = self.session.starts_at - enrolled_at
        at = enrolled_at + left * self._rng.uniform(0.5, 0.99)
        late = self.session.starts_at - at < timedelta(days=2)
        yield from self.tell("session.unenrolled", at, late=late)

    def use(self) -> Generator[Event, None, datetime | None]:
        """Be there or not; give when the attendance that completes it was marked."""
        outcome = self._rng.choices(_OUTCOMES, _SHARES)[0]
        if outcome == "unmarked":
            return None
        at = self.session.ends_at + timedelta(hours=self._rng.uniform(0.2, 30))
        said: dict[str, Any] = {"outcome": outcome, "marked_by": self.session.instructor}
        if outcome in ("attended", "partial"):
            said["minutes"] = self.length_minutes if outcome == "attended" else 45
        yield from self.tell("attendance.marked", at, **said)
        if outcome not in ("attended", "partial"):
            return None
        if self._rng.random() < 0.5:
            rating = float(self._rng.choices((2, 3, 4, 5), (5, 15, 40, 40))[0])
            later = at + timedelta(hours=2)
            yield from self.tell("feedback.given", later, rating=rating, scale_max=5.0)
        return at
