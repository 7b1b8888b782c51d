"""A story that leaves rows in every projection, and what can be spoilt of them."""

from typing import Any

from app.store.tables import (
    Activity,
    Attempt,
    Award,
    Enrolment,
    Learner,
    LearnerAttribute,
    LearnerProfile,
    Membership,
    Module,
    Part,
    PartProgress,
    PointsEntry,
    Progress,
    SeriesModule,
    Signoff,
)
from app.store.tables.columns import table_of

LIST = {"learner": "u1", "module": "c1", "module_type": "checklist"}
QUEST = {"learner": "u2", "module": "q1", "module_type": "quest", "series": "s1"}
PLACE = {"learner": "u1", "module": "i1", "module_type": "ilt", "session": "e1"}
AWARD = {"learner": "u1", "certification": "fire"}
STORY: tuple[tuple[str, dict[str, Any]], ...] = (
    ("learner.upserted", {"learner": "u1", "display_name": "Ann", "manager": "boss"}),
    ("membership.set", {"learner": "u1", "team": "t1"}),
    ("learner.upserted", {"learner": "u2", "attributes": {"shift": "late"}}),
    ("team.upserted", {"team": "t1", "name": "North", "parent": "t0"}),
    ("module.upserted", {"module": "c1", "module_type": "checklist", "name": "Knots"}),
    ("part.upserted", {"module": "c1", "part": "a", "part_type": "item", "position": 1}),
    ("part.upserted", {"module": "c1", "part": "b", "part_type": "item", "position": 2}),
    ("module.upserted", {"module": "q1", "module_type": "mission", "name": "Sails"}),
    (
        "series.upserted",
        {
            "series": "s1",
            "name": "Sea",
            "modules": [{"module": "c1", "position": 1}, {"module": "q1", "position": 2}],
        },
    ),
    (
        "session.scheduled",
        {
            "module": "i1",
            "session": "e1",
            "starts_at": "2025-05-24T08:00:00Z",
            "ends_at": "2025-05-24T09:00:00Z",
        },
    ),
    ("certification.upserted", {"certification": "fire", "name": "Fire", "series": "s1"}),
    ("assignment.made", {"learner": "u1", "module": "c1", "due_at": "2025-06-01T00:00:00Z"}),
    ("part.reached", {**LIST, "part": "a", "seconds": 5}),
    ("part.done", {**LIST, "part": "a", "seconds": 40, "score": 3}),
    ("signoff.submitted", {**LIST, "part": "a"}),
    ("signoff.decided", {**LIST, "part": "a", "decision": "approved", "reviewer": "boss"}),
    ("points.awarded", {**LIST, "points": 2.5, "reason": "first"}),
    ("points.awarded", {**LIST, "points": 0.1, "part": "a"}),
    ("activity.recorded", {**LIST, "started_at": "2025-05-24T08:00:00Z", "seconds": 600}),
    ("activity.recorded", {**LIST, "started_at": "2025-05-24T08:05:00Z", "seconds": 600}),
    ("attempt.submitted", {**LIST, "attempt": 1, "score": 3, "max_score": 9}),
    ("progress.completed", {**LIST, "passed": True}),
    ("progress.started", QUEST),
    ("progress.advanced", {**QUEST, "percent": 30}),
    ("attempt.graded", {**QUEST, "attempt": 2, "score": 7, "max_score": 9, "passed": False}),
    ("session.enrolled", PLACE),
    ("attendance.marked", {**PLACE, "outcome": "attended", "minutes": 50, "marked_by": "boss"}),
    ("certification.issued", {**AWARD, "expires_at": "2026-01-01T00:00:00Z"}),
    ("feedback.given", {**PLACE, "rating": 4, "scale_max": 5}),
)

Spoil = tuple[type[Any], tuple[Any, ...], dict[str, Any]]
SPOILS: tuple[Spoil, ...] = (
    (Learner, (table_of(Learner).c.learner_key == "u1",), {"status": "gone", "country": "XX"}),
    (LearnerProfile, (), {"display_name": "Nobody"}),
    (LearnerAttribute, (), {"kind": "date"}),
    (Membership, (), {"is_deleted": True}),
    (Module, (table_of(Module).c.module_key == "c1",), {"module_type": "course"}),
    (Part, (table_of(Part).c.part_key == "b",), {"title": "wrong"}),
    (SeriesModule, (table_of(SeriesModule).c.module_key == "q1",), {"position": 77}),
    (Progress, (table_of(Progress).c.learner_key == "u1",), {"status": "failed", "points": 9.0}),
    (Attempt, (table_of(Attempt).c.attempt == 1,), {"score": 1.0}),
    (PartProgress, (), {"is_deleted": True}),
    (Signoff, (), {"decision": None}),
    (PointsEntry, (), {"points": 100.0}),
    (Activity, (), {"counted_s": 0}),
    (Enrolment, (), {"outcome": None}),
    (Award, (), {"is_deleted": True}),
)
