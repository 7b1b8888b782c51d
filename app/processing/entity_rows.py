"""Folded entities of every kind in, their rows out: the catalog before the progress that asks it.

The caller holds the environment's row.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from app.learning.identity import entity_kind
from app.processing.catalog_rows import (
    write_certifications,
    write_modules,
    write_series,
    write_sessions,
)
from app.processing.people_rows import write_learners, write_teams
from app.processing.progress_rows import StoredProgress, write_progress
from app.processing.rows import Stamp, add_stubs
from app.processing.taking_part_rows import write_awards, write_enrolments, write_feedback
from app.store.tables import Learner, Module, Series
from app.store.tables.columns import table_of

FoldedEntity = tuple[str, Any, StoredProgress | None]
"""(entity_key, what its fold gave, what was stored of it if it is an assignment)"""

_WRITERS: Mapping[str, Callable[[Connection, Stamp, Sequence[Any]], None]] = {
    "module": write_modules,
    "series": write_series,
    "session": write_sessions,
    "certification": write_certifications,
    "team": write_teams,
    "learner": write_learners,
    "enrolment": write_enrolments,
    "award": write_awards,
    "feedback": write_feedback,
}


def write_folded(connection: Connection, stamp: Stamp, results: Sequence[FoldedEntity]) -> None:
    """Write the rows of folded entities, kind by kind."""
    by_kind: dict[str, list[FoldedEntity]] = {}
    for result in results:
        by_kind.setdefault(entity_kind(result[0]), []).append(result)
    for kind, write in _WRITERS.items():
        if kind in by_kind:
            write(connection, stamp, [folded for _, folded, _ in by_kind[kind]])
    assignments = [(folded, stored) for _, folded, stored in by_kind.get("assignment", ())]
    if assignments:
        write_progress(
            connection,
            stamp.environment_id,
            assignments,
            revision=stamp.revision,
            now=stamp.now,
        )
        fresh = [folded.state for folded, stored in assignments if stored is None]
        learners = {state.learner_key for state in fresh}
        modules = {state.module_key for state in fresh}
        series = {state.series_key for state in fresh if state.series_key}
        add_stubs(connection, table_of(Learner), stamp, learners)
        add_stubs(connection, table_of(Module), stamp, modules)
        add_stubs(connection, table_of(Series), stamp, series)
