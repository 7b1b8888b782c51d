"""Folded enrolments, awards and feedback in, their rows out, with stubs for what they name."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from app.learning.awards import AwardFolded, FeedbackFolded
from app.learning.enrolments import EnrolmentFolded
from app.processing.rows import RowDict, Stamp, add_stubs, columns_of, write_entities
from app.store.lookup import find_rows
from app.store.tables import (
    Award,
    Certification,
    Enrolment,
    Feedback,
    Learner,
    Module,
    TrainingSession,
)
from app.store.tables.columns import table_of

_SESSION_KEY = ("module_key", "session_key")


def write_enrolments(
    connection: Connection, stamp: Stamp, folded: Sequence[EnrolmentFolded]
) -> None:
    """Write enrolments; a session not planned yet gets a row without times."""
    rows = [_row_of(result) for result in folded]
    key = ("module_key", "session_key", "learner_key")
    write_entities(connection, table_of(Enrolment), stamp, key=key, rows=rows)
    _add_learning_stubs(connection, stamp, rows)
    _add_sessions(connection, stamp, {(r["module_key"], r["session_key"]) for r in rows})


def write_awards(connection: Connection, stamp: Stamp, folded: Sequence[AwardFolded]) -> None:
    """Write awards; a certification not heard of yet gets a row named by its key."""
    rows = [_row_of(result) for result in folded]
    key = ("certification_key", "learner_key", "cycle")
    write_entities(connection, table_of(Award), stamp, key=key, rows=rows)
    _add_learning_stubs(connection, stamp, rows)
    named = {row["certification_key"] for row in rows}
    add_stubs(connection, table_of(Certification), stamp, named)


def write_feedback(connection: Connection, stamp: Stamp, folded: Sequence[FeedbackFolded]) -> None:
    """Write feedback."""
    rows = [_row_of(result) for result in folded]
    key = ("learner_key", "module_key", "session_key")
    write_entities(connection, table_of(Feedback), stamp, key=key, rows=rows)
    _add_learning_stubs(connection, stamp, rows)


def _row_of(result: EnrolmentFolded | AwardFolded | FeedbackFolded) -> RowDict:
    """Give a state's columns; one without any fact that counts is a tombstone."""
    row = columns_of(result.state)
    is_empty = row.pop("is_empty")
    return {**row, "is_deleted": is_empty}


def _add_learning_stubs(connection: Connection, stamp: Stamp, rows: Iterable[RowDict]) -> None:
    kept = [row for row in rows if not row["is_deleted"]]
    learners = {row["learner_key"] for row in kept}
    modules = {row["module_key"] for row in kept if row["module_key"]}
    add_stubs(connection, table_of(Learner), stamp, learners)
    add_stubs(connection, table_of(Module), stamp, modules)


def _add_sessions(connection: Connection, stamp: Stamp, keys: set[tuple[str, str]]) -> None:
    """Insert sessions that enrolments have named before they were planned."""
    table, wanted = table_of(TrainingSession), sorted(keys)
    environment_id = stamp.environment_id
    found = find_rows(
        connection, table, environment_id, columns=_SESSION_KEY, key=_SESSION_KEY, keys=wanted
    )
    known = {tuple(row) for row in found}
    rows = [
        {
            "module_key": module_key,
            "session_key": session_key,
            "status": "scheduled",
            "events_count": 0,
            "is_deleted": False,
        }
        for module_key, session_key in wanted
        if (module_key, session_key) not in known
    ]
    write_entities(connection, table, stamp, key=_SESSION_KEY, rows=rows)
