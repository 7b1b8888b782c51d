"""What a simulated company keeps on file, as events: its catalog, its teams, its people."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from app.cli.simulation.company import (
    HISTORY,
    Company,
    SimulatedLearner,
    SimulatedModule,
    SimulatedTeam,
    World,
    chance_of,
)
from app.cli.simulation.pen import Event, Pen, stamp

_JOBS = ("Associate", "Specialist", "Technician", "Shift lead")
_PILOTS = 12
_ARCHIVED = -2


def tell_catalog(world: World, pen: Pen) -> Iterator[Event]:
    """Modules with their parts and sessions, series and certifications; some are gone by now."""
    start = world.until - HISTORY
    for number, module in enumerate(world.modules):
        yield from _write_module(module, pen)
        if number % 5 == 2:
            newer = _words_of(module) | {"version": "2"}
            at = start + timedelta(days=400)
            yield from pen.write("module.upserted", source="lms", at=at, data=newer)
    for path in world.paths:
        entries = [
            {"module": m.key, "position": n + 1, "required": n < 3}
            for n, m in enumerate(path.modules)
        ]
        kind = "certification" if path.certification else "path"
        said = {"series": path.key, "name": path.name, "kind": kind, "modules": entries}
        yield from pen.write("series.upserted", source="lms", at=start, data=said)
        if path.certification is not None:
            earned: dict[str, Any] = {
                "certification": path.certification,
                "name": path.name.removesuffix(" path") + " certificate",
                "series": path.key,
                "valid_days": 365,
                "renew_window_days": 60,
            }
            yield from pen.write("certification.upserted", source="lms", at=start, data=earned)
    gone = {"module": world.modules[_ARCHIVED].key}
    at = world.until - timedelta(days=60)
    yield from pen.write("module.archived", source="lms", at=at, data=gone)
    mistaken = {"module": "m-draft", "module_type": "course", "name": "Draft, made by mistake"}
    yield from pen.write("module.upserted", source="lms", at=at, data=mistaken)
    yield from pen.write(
        "module.deleted", source="lms", at=at + timedelta(minutes=2), data={"module": "m-draft"}
    )


def _words_of(module: SimulatedModule) -> dict[str, Any]:
    data: dict[str, Any] = {
        "module": module.key,
        "module_type": module.module_type,
        "name": module.name,
        "version": "1",
        "published_at": stamp(module.published_at),
        "estimated_minutes": 20,
        "tags": [module.name.partition(":")[0]],
    }
    if module.pass_percent is not None:
        data |= {"max_score": 100.0, "pass_score_percent": module.pass_percent}
    return data


def _write_module(module: SimulatedModule, pen: Pen) -> Iterator[Event]:
    at = module.published_at
    yield from pen.write("module.upserted", source="lms", at=at, data=_words_of(module))
    for part in module.parts:
        said: dict[str, Any] = {
            "module": module.key,
            "part": part.key,
            "part_type": part.part_type,
            "title": part.title,
            "position": part.position,
            "required": True,
            "needs_signoff": part.is_signed,
        }
        if part.max_points is not None:
            said["max_points"] = part.max_points
        yield from pen.write("part.upserted", source="lms", at=at, data=said)
    for session in module.sessions:
        planned = {
            "module": module.key,
            "session": session.key,
            "mode": "classroom",
            "starts_at": stamp(session.starts_at),
            "ends_at": stamp(session.ends_at),
            "capacity": session.capacity,
            "location": session.location,
            "instructor": session.instructor,
        }
        yield from pen.write("session.scheduled", source="lms", at=session.planned_at, data=planned)
        if session.is_cancelled:
            named = {"module": module.key, "session": session.key}
            at = session.starts_at - timedelta(days=2)
            yield from pen.write("session.cancelled", source="lms", at=at, data=named)


def tell_teams(world: World, pen: Pen) -> Iterator[Event]:
    """The company, its places, its teams; and a pilot group that was given up again."""
    start = world.until - HISTORY
    units: list[tuple[str, str, str | None]] = [("company", world.company.name, None)]
    units += [(f"ou-{city}", city, "company") for city, _ in world.company.locations]
    for key, name, parent in units:
        unit = {"team": key, "name": name, "kind": "org_unit"}
        told = unit if parent is None else unit | {"parent": parent}
        yield from pen.write("team.upserted", source="hr", at=start, data=told)
    for team in world.teams:
        name, parent = f"{team.department}, {team.location[0]}", f"ou-{team.location[0]}"
        said = {"team": team.key, "name": name, "kind": "team", "parent": parent}
        yield from pen.write("team.upserted", source="hr", at=start, data=said)
    pilot = {"team": "pilot", "name": "Pilot group", "kind": "cohort"}
    yield from pen.write("team.upserted", source="hr", at=start, data=pilot)
    for learner in world.learners[:_PILOTS]:
        joins = {"team": "pilot", "learner": learner.key}
        ends_at = start + timedelta(days=200)
        yield from pen.write("membership.set", source="hr", at=start, data=joins)
        yield from pen.write("membership.ended", source="hr", at=ends_at, data=joins)
    at = start + timedelta(days=201)
    yield from pen.write("team.removed", source="hr", at=at, data={"team": "pilot"})


def tell_person(learner: SimulatedLearner, pen: Pen, company: Company) -> Iterator[Event]:
    """A learner on the day of joining, what changes later, and the day of leaving."""
    at, team = learner.joined_at, learner.team
    said = _profile_of(learner, company) | _place_of(team)
    if learner.manager is not None:
        said["manager"] = learner.manager
    yield from pen.write("learner.upserted", source="hr", at=at, data=said)
    joins = {"team": team.key, "learner": learner.key}
    yield from pen.write("membership.set", source="hr", at=at, data=joins)
    other = learner.moves_to
    if other is not None:
        at = learner.moved_at
        moved = {"learner": learner.key, **_place_of(other)}
        line = {"learner": learner.key, "manager": other.leader}
        yield from pen.write("membership.ended", source="hr", at=at, data=joins)
        joins = {"team": other.key, "learner": learner.key}
        yield from pen.write("membership.set", source="hr", at=at, data=joins)
        yield from pen.write("learner.upserted", source="hr", at=at, data=moved)
        yield from pen.write("reporting_line.set", source="hr", at=at, data=line)
    if learner.left_at is not None:
        leaves = {"learner": learner.key}
        yield from pen.write("learner.deactivated", source="hr", at=learner.left_at, data=leaves)


def _place_of(team: SimulatedTeam) -> dict[str, Any]:
    city, country = team.location
    return {"department": team.department, "location": city, "country": country}


def _profile_of(learner: SimulatedLearner, company: Company) -> dict[str, Any]:
    number = learner.key.rpartition("-u")[2]
    rng = chance_of(learner.key)
    joined_on = learner.joined_at.date()
    return {
        "learner": learner.key,
        "display_name": f"Learner {number}",
        "email": f"learner{number}@{company.key}.example",
        "employee_no": number,
        "job_title": rng.choice(_JOBS),
        "timezone": company.timezone,
        "hired_on": joined_on.isoformat(),
        "attributes": {
            "cost_center": f"CC-{rng.randint(1, 12):02d}",
            "grade": rng.randint(1, 6),
            "first_aider": rng.random() < 0.2,
            "probation_ends": (joined_on + timedelta(days=180)).isoformat(),
        },
    }
