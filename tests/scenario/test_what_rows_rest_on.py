"""An event that was declared and never came shows in every answer whose rows it would change."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.base.config import Settings
from app.learning.modules import STREAM_NAMES
from app.store.engine import Store
from tests.world import System, Told, World, open_world, read_told

START = datetime(2025, 5, 24, 6, tzinfo=UTC)
TEN = timedelta(minutes=10)
QUEST = {"module": "m1", "module_type": "quest"}
ASSIGNED = {"learner": "u1", "module": "m1"}


@pytest.fixture
def world(store: Store, settings: Settings) -> Iterator[World]:
    yield from open_world(store, settings, begins=START)


@pytest.fixture
def lms(world: World) -> System:
    """A source of all streams, which tells how many events it made."""
    system = world.system("lms", *STREAM_NAMES)
    system.alg = "count"
    return system


def tell(system: System, stream: str, type_name: str, **data: Any) -> None:
    """An event is recorded now, and will be handed over."""
    system.records(stream, system.world.now)
    system.facts[stream][-1].event |= {"type": type_name, "data": data}


def withhold(system: System, stream: str, type_name: str, **data: Any) -> None:
    """An event is recorded now and never made, so that it is declared and does not come."""
    tell(system, stream, type_name, **data)
    system.facts[stream][-1].is_made = False


def live_on(system: System) -> None:
    """Two buckets end and are declared; what was withheld is known to be missing."""
    for _ in range(2):
        world = system.world
        begins = world.now - timedelta(seconds=world.now.timestamp() % 600)
        world.moves_to(begins + TEN + timedelta(minutes=5))
        system.hands_over()
        world.works()
        system.declares(begins, begins + TEN)
        system.beats()
        world.works()


def heal(system: System) -> None:
    """What was withheld comes after all."""
    system.sends(system.waiting())
    system.world.works()


def get(system: System, path: str) -> Told:
    """What the answer to a GET says of its freshness."""
    return read_told(system.caller.get(path))


def verdicts(system: System, paths: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Of each path, what its answer says, and which stream is the worst."""
    told = {path: get(system, path) for path in paths}
    return {path: (one.said, str(one.parameters["worst"])) for path, one in told.items()}


OF_A_TYPE = (
    "/odata/v4/LearnerProgress?$filter=module_type eq 'quest'&$select=learner_key,module_type",
    "/odata/v4/LearnerProgress/$count?$filter=module_type eq 'quest'",
    "/odata/v4/LearnerProgress?$select=module_type",
    "/odata/v4/LearnerProgress?$select=status&$orderby=module_type",
    "/odata/v4/LearnerProgress?$apply=groupby((module_type),aggregate($count as n))",
    "/odata/v4/LearnerProgress?$apply=filter(module_type eq 'quest')/aggregate(completion_rate)",
    "/odata/v4/LearnerProgress?$select=status&$expand=lag($select=stream)",
    "/odata/v4/LearnerProgress?$select=status&$filter=lag/stream eq 'quest'",
    "/odata/v4/Learners?$expand=progress($filter=module_type eq 'quest';$select=status)",
    "/odata/v4/Learners?$filter=progress/any(p:p/module_type eq 'quest')",
    "/odata/v4/Assignments?$filter=module_type eq 'quest'&$select=learner_key",
    "/odata/v4/LearnerModulePerformances?$filter=ModuleType eq 'quest'&$select=UserId",
    "/odata/v4/ProgressHistory?$filter=module_type eq 'quest'&$select=status",
    "/odata/v4/Attempts?$filter=module_type eq 'quest'&$select=score",
    "/odata/v4/PartProgress?$filter=module_type eq 'quest'&$select=status",
    "/odata/v4/SignOffs?$filter=module_type eq 'quest'&$select=decision",
    "/odata/v4/Points?$filter=module_type eq 'quest'&$select=points",
    "/odata/v4/Activity?$filter=module_type eq 'quest'&$select=seconds",
    "/odata/v4/Points?$filter=assignment/module_type eq 'quest'&$select=points",
    "/v1/reports/quest_leaderboard?inactive=yes",
    "/v1/reports/time_spent?module_type=quest&inactive=yes",
    "/v1/reports/checklist_signoff?inactive=yes",
    "/v1/reports/assignment_audit?module_type=quest",
    "/v1/reports/compliance_as_of?module_type=quest",
)


def test_a_module_that_the_catalog_withholds_shows_where_its_type_is_read(lms: System) -> None:
    """Two assignments of a quest whose type nobody has told: they are in no answer about quests."""
    tell(lms, "catalog", "module.upserted", **QUEST, name="One")
    tell(lms, "assignments", "assignment.made", **ASSIGNED)
    tell(lms, "quest", "progress.completed", learner="u1", **QUEST)
    withhold(lms, "catalog", "module.upserted", module="m2", module_type="quest", name="Two")
    for learner in ("u1", "u2"):
        tell(lms, "assignments", "assignment.made", learner=learner, module="m2")
    live_on(lms)
    by_type = {
        "dataset": "LearnerProgress",
        "select": ["module_type", {"measure": "completion_rate"}],
        "require": "complete",
    }
    short = ("incomplete short", "catalog")
    assert verdicts(lms, OF_A_TYPE) == dict.fromkeys(OF_A_TYPE, short)
    assert lms.caller.post("/v1/query", json=by_type).status_code == 412
    # Whoever does not ask for the type needs no word of the catalog.
    assert get(lms, "/odata/v4/LearnerProgress?$select=status").said == "complete"
    heal(lms)
    assert {said for said, _ in verdicts(lms, OF_A_TYPE).values()} == {"complete"}
    (row,) = lms.caller.post("/v1/query", json=by_type).json()["rows"]
    assert (row["module_type"], row["completion_rate"]) == ("quest", 1 / 3)


OF_SESSIONS = (
    "/odata/v4/Sessions?$select=session_key,enrolled_count",
    "/odata/v4/Sessions/$count",
    "/odata/v4/Modules?$select=module_key&$expand=sessions($select=session_key)",
    "/odata/v4/Modules?$select=module_key&$filter=sessions/any(s:s/enrolled_count gt 1)",
    "/odata/v4/SessionAttendance?$filter=module_type eq 'ilt' and session/enrolled_count gt 1",
    "/v1/reports/ilt_capacity",
)
OF_THEIR_TIMES = (
    "/odata/v4/SessionAttendance?$filter=module_type eq 'ilt'&$expand=session($select=starts_at)",
    "/v1/reports/ilt_attendance?module_type=ilt&inactive=yes",
)


def test_who_is_enrolled_by_an_event_of_any_type_shows_in_the_seats_of_a_session(
    lms: System,
) -> None:
    session = {"module": "m3", "session": "s1"}
    times = {"starts_at": "2025-06-01T10:00:00Z", "ends_at": "2025-06-01T11:00:00Z"}
    tell(lms, "catalog", "session.scheduled", **session, **times, capacity=5)
    tell(lms, "ilt", "session.enrolled", learner="u1", module_type="ilt", **session)
    withhold(lms, "mission", "session.enrolled", learner="u2", module_type="mission", **session)
    live_on(lms)
    assert verdicts(lms, OF_SESSIONS) == dict.fromkeys(OF_SESSIONS, ("incomplete short", "mission"))
    # When a session is held is the catalog's word, whoever takes part in it.
    assert {said for said, _ in verdicts(lms, OF_THEIR_TIMES).values()} == {"complete"}
    heal(lms)
    assert {said for said, _ in verdicts(lms, OF_SESSIONS).values()} == {"complete"}
    (row,) = get(lms, OF_SESSIONS[0]).response.json()["value"]
    assert row["enrolled_count"] == 2


OF_AWARDS = (
    "/odata/v4/CertificationAwards?$filter=module_type eq 'course'&$select=status",
    "/odata/v4/CertificationAwards/$count?$filter=module_type eq 'course' and status eq 'valid'",
    "/odata/v4/CertificationAwards?$apply=filter(module_type eq 'course')/groupby((status))",
    "/odata/v4/Learners?$expand=awards($filter=module_type eq 'course';$select=status)",
    "/odata/v4/Learners?$filter=awards/any(a:a/module_type eq 'course' and a/status eq 'valid')",
    "/v1/reports/certification_status?inactive=yes",
)


@pytest.mark.parametrize(
    ("stream", "stated"), [("external", {}), ("quest", {"module_type": "quest"})]
)
def test_a_revocation_of_another_type_shows_in_the_award_it_takes_back(
    lms: System, stream: str, stated: dict[str, str]
) -> None:
    award = {"learner": "u1", "certification": "c1"}
    tell(lms, "catalog", "certification.upserted", certification="c1", name="One")
    tell(lms, "course", "certification.issued", **award, module_type="course")
    lms.world.passes(minutes=1)
    withhold(lms, stream, "certification.revoked", **award, **stated)
    live_on(lms)
    assert verdicts(lms, OF_AWARDS) == dict.fromkeys(OF_AWARDS, ("incomplete short", stream))
    (row,) = get(lms, OF_AWARDS[0]).response.json()["value"]
    assert row["status"] == "valid"
    heal(lms)
    assert {said for said, _ in verdicts(lms, OF_AWARDS).values()} == {"complete"}
    (row,) = get(lms, "/odata/v4/CertificationAwards").response.json()["value"]
    assert row["status"] == "revoked"
