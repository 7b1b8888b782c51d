"""I17: whatever was told, in whatever batches, a rebuild of it is equal: from rows or from none.

Source: docs/decisions/0015-rebuild.md
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.base.config import Settings
from app.processing import rebuild as steps
from app.processing.rebuild import step_rebuild
from app.store.engine import Store
from tests.projections import (
    a_sending_environment,
    begin_rebuild,
    drop_projections,
    finish_rebuild,
    read_projections,
    read_revisions,
    rebuild,
    send,
    tell_rebuild,
)
from tests.rebuild_story import STORY

_MINUTES = st.integers(0, 9)
_PEOPLE = st.sampled_from(["u1", "u2"])


@st.composite
def events(draw: st.DrawFn) -> tuple[str, dict[str, Any], int]:
    """An event of the story about one of two learners, at a moment that may be that of others."""
    kind, data = draw(st.sampled_from(STORY))
    told = dict(data)
    if "learner" in told and draw(st.booleans()):
        told["learner"] = draw(_PEOPLE)
    if told.get("percent") is not None:
        told["percent"] = draw(st.integers(0, 100))
    return kind, told, draw(_MINUTES)


@st.composite
def resets(draw: st.DrawFn) -> tuple[str, dict[str, Any], int]:
    """An event that takes progress back."""
    where = {"learner": draw(_PEOPLE), "module": "c1", "module_type": "checklist"}
    if draw(st.booleans()):
        return "progress.reset", where, draw(_MINUTES)
    return "attempt.voided", {**where, "attempt": 1}, draw(_MINUTES)


BATCHES = st.lists(
    st.lists(st.one_of(events(), events(), resets()), min_size=1, max_size=8),
    min_size=1,
    max_size=4,
)
SCOPES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {}, {"learner_key": "u1"}, {"module_key": "c1"}, {"stream": "checklist"}]
)


@examples(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=BATCHES, scope=SCOPES)
def test_a_rebuild_of_anything_equals_what_live_work_has_made(
    store: Store, settings: Settings, batches: list[Any], scope: dict[str, Any]
) -> None:
    environment_id = a_sending_environment(store)
    for batch in batches:
        send(store, settings, environment_id, *batch)
    rows, revisions = (read(store, environment_id) for read in (read_projections, read_revisions))
    newest = read_projections(store, environment_id, known=False)

    told = rebuild(store, environment_id, **scope)
    assert [told[name] for name in ("rows_added", "rows_changed", "rows_removed")] == [0, 0, 0]
    assert read_projections(store, environment_id) == rows
    assert read_revisions(store, environment_id) == revisions

    drop_projections(store, environment_id)
    rebuild(store, environment_id)
    assert living(read_projections(store, environment_id, known=False)) == living(newest)


@examples(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=BATCHES)
def test_what_comes_during_a_rebuild_is_folded_once(
    store: Store, settings: Settings, batches: list[Any]
) -> None:
    environment_id = a_sending_environment(store)
    send(store, settings, environment_id, *STORY)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(steps, "QUANTUM_ENTITIES", 2)
        number = begin_rebuild(store, environment_id)
        for place, batch in enumerate(batches):
            step_rebuild(store, environment_id)
            send(store, settings, environment_id, *batch, drained=place % 2 == 0)
        finish_rebuild(store, environment_id)
    told = tell_rebuild(store, environment_id, number)
    assert [told[name] for name in ("rows_added", "rows_changed", "rows_removed")] == [0, 0, 0]
    send(store, settings, environment_id, STORY[0])
    assert rebuild(store, environment_id)["revision"] is None


def living(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Rows that count; what lies below and was buried is not told again when nothing is left."""
    return {
        name: [row for row in found if ("is_deleted", True) not in row]
        for name, found in rows.items()
    }
