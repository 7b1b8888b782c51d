"""The events of an OULAD presentation: people, catalog, assignments, and what happened, in order.

Pure. The ids are made of what is told, so that a second run makes the same events;
docs/mapping-oulad.md says what each means. Data: OULAD, Kuzilek et al. 2017, CC BY 4.0, changed.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

from app.cli.oulad import (
    ENROLLED,
    PASS_MARK,
    SOURCE_KEY,
    UNENROLLED,
    Fact,
    Learner,
    Module,
    Presentation,
    list_facts,
    list_learners,
    list_modules,
)

_SCORED = frozenset({"assessment", "quest"})
_OF_ATTEMPT = ("score", "max_score", "passed")


def events_of(told: Presentation) -> list[dict[str, Any]]:
    """The events of a presentation, in order: people, catalog, assignments, what happened."""
    learners, modules = list_learners(told), list_modules(told)
    facts = list_facts(told, learners, modules)
    places = {(fact.learner, fact.rank): place for place, fact in enumerate(facts, 1)}
    return [
        *_people_events(told, learners),
        *(_module_event(told, module) for module in modules),
        *_part_events(told, modules),
        *_session_events(told, facts),
        *_assignment_events(told, learners, modules, places),
        *(
            event
            for place, fact in enumerate(facts, 1)
            for event in _fact_events(told, fact, place)
        ),
    ]


def _event(
    told: Presentation, day: int, *, id: str, type: str, subject: str, data: dict[str, Any]
) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": id,
        "source": SOURCE_KEY,
        "type": type,
        "subject": subject,
        "time": _midnight(told, day),
        "data": {name: value for name, value in data.items() if value is not None},
    }


def _midnight(told: Presentation, day: int) -> str:
    return f"{told.day(day):%Y-%m-%d}T00:00:00Z"


def _people_events(told: Presentation, learners: list[Learner]) -> Iterator[dict[str, Any]]:
    for region in sorted({who.region for who in learners}):
        data = {"team": region, "name": region, "kind": "group"}
        ids = {"id": f"derived:team:{region}", "subject": f"team:{region}"}
        yield _event(told, 0, type="team.upserted", data=data, **ids)
    for who in learners:
        data, ids = {"learner": who.key, "location": who.region}, _ids_of(who, "learner")
        yield _event(told, who.joined, type="learner.upserted", data=data, **ids)
    for who in learners:
        data, ids = {"learner": who.key, "team": who.region}, _ids_of(who, "member")
        yield _event(told, who.joined, type="membership.set", data=data, **ids)


def _ids_of(who: Learner, word: str) -> dict[str, str]:
    return {"id": f"derived:{word}:{who.key}", "subject": f"learner:{who.key}"}


def _module_event(told: Presentation, module: Module) -> dict[str, Any]:
    is_scored = module.module_type in _SCORED
    data = {
        "module": module.key,
        "module_type": module.module_type,
        "name": module.title,
        "max_score": 100 if is_scored else None,
        "pass_score_percent": PASS_MARK if is_scored else None,
        "weight": module.weight,
        "source_type": module.source_type,
        "week_from": module.weeks[0],
        "week_to": module.weeks[1],
        "events_available": module.has_events,
    }
    ids = {"id": f"derived:module:{module.key}", "subject": f"module:{module.key}"}
    return _event(told, 0, type="module.upserted", data=data, **ids)


def _part_events(told: Presentation, modules: Iterable[Module]) -> Iterator[dict[str, Any]]:
    """The items of the coursework checklist: the tutor- and computer-marked assessments."""
    items = [module for module in modules if module.source_type in {"TMA", "CMA"}]
    whole = f"{told.name}:coursework"
    for place, item in enumerate(sorted(items, key=lambda item: (item.due, item.key)), 1):
        part = item.key.rpartition(":")[2]
        data = {
            "module": whole,
            "part": part,
            "part_type": "item",
            "title": item.title,
            "position": place,
            "weight": item.weight,
        }
        ids = {"id": f"derived:part:{whole}:{part}", "subject": f"module:{whole}"}
        yield _event(told, 0, type="part.upserted", data=data, **ids)


def _session_events(told: Presentation, facts: Iterable[Fact]) -> Iterator[dict[str, Any]]:
    """The days of the live rooms on which somebody was there."""
    for module, day in sorted({(f.module, f.day) for f in facts if f.module_type == "ilt"}):
        name = _session_of(told, day)
        data = {
            "module": module,
            "session": name,
            "mode": "virtual",
            "starts_at": _midnight(told, day),
            "ends_at": _midnight(told, day + 1),
        }
        ids = {"id": f"derived:session:{module}:{name}", "subject": f"module:{module}"}
        yield _event(told, day, type="session.scheduled", data=data, **ids)


def _session_of(told: Presentation, day: int) -> str:
    return f"{told.day(day):%Y-%m-%d}"


def _assignment_events(
    told: Presentation,
    learners: list[Learner],
    modules: list[Module],
    places: Mapping[tuple[str, int], int],
) -> Iterator[dict[str, Any]]:
    due = [module for module in modules if module.due is not None]
    for who in learners:
        enrolled = places.get((who.key, ENROLLED))
        for module in due:
            if module.module_type != "course" or enrolled is None:
                data = {"learner": who.key, "module": module.key, "reason": "import"}
                data["due_at"] = _midnight(told, module.due or 0)
                ids = _ids_of(who, "made") | {"id": f"derived:made:{who.key}:{module.key}"}
                made = _event(told, who.joined, type="assignment.made", data=data, **ids)
                yield made if enrolled is None else made | {"sequence": str(enrolled)}
    for who in learners:
        for module in due:
            if who.unregistered is not None and module.module_type != "course":
                data = {"learner": who.key, "module": module.key, "end_reason": "removed"}
                ids = _ids_of(who, "ended") | {"id": f"derived:ended:{who.key}:{module.key}"}
                ended = _event(told, who.unregistered, type="assignment.ended", data=data, **ids)
                yield ended | {"sequence": str(places[who.key, UNENROLLED])}


def _fact_events(told: Presentation, fact: Fact, place: int) -> Iterator[dict[str, Any]]:
    """The event of a fact, and a second one where it tells two things."""
    day = f"{told.day(fact.day):%Y-%m-%d}"
    words = (told.name, fact.learner, fact.module, fact.kind, day, fact.source_ref)
    named = sha256("|".join(words).encode()).hexdigest()[:32]
    keys: dict[str, Any] = {"learner": fact.learner, "module": fact.module}
    if fact.kind not in {"enrolled", "unenrolled"}:
        keys["module_type"] = fact.module_type
    keys["source_ref"] = fact.source_ref
    for ending, (type_name, data) in zip(("", "+"), _statements_of(told, fact), strict=False):
        yield _event(
            told,
            fact.day,
            id=named + ending,
            type=type_name,
            subject=f"learner:{fact.learner}",
            data=keys | data,
        ) | {"sequence": str(place)}


def _statements_of(told: Presentation, fact: Fact) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a fact states: event types and what they say beside the keys; its own one first."""
    said = fact.said
    if fact.kind == "enrolled":
        due_at = _midnight(told, told.length_days)
        yield "assignment.made", {"due_at": due_at, "reason": "import"}
    elif fact.kind == "unenrolled":
        yield "assignment.ended", {"end_reason": "removed"}
    elif fact.source_ref.startswith("sa:") and fact.module_type == "checklist":
        part = {"part": f"a{fact.source_ref.removeprefix('sa:')}"}
        is_last = fact.kind == "completed"
        yield "progress.completed" if is_last else "progress.advanced", said
        yield "part.done", part
    elif fact.source_ref.startswith("sa:"):
        yield "progress.completed", {"banked": said["banked"]}
        score = {name: said[name] for name in _OF_ATTEMPT if name in said}
        yield "attempt.graded" if score else "attempt.submitted", {"attempt": 1, **score}
    elif "clicks" in said:
        if fact.kind == "completed":
            yield "progress.completed", {}
        yield _taking_part(told, fact)
    else:
        yield "progress.completed", said


def _taking_part(told: Presentation, fact: Fact) -> tuple[str, dict[str, Any]]:
    """What a day's clicks tell: that a live room was attended, or activity without an end."""
    clicks = fact.said["clicks"]
    if fact.module_type == "ilt":
        session = _session_of(told, fact.day)
        return "attendance.marked", {"session": session, "outcome": "attended", "clicks": clicks}
    return "activity.recorded", {"started_at": _midnight(told, fact.day), "clicks": clicks}
