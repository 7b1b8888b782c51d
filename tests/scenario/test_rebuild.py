"""Everything again from the journal: equal to what is there, repairing what is not; in scopes."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select
from sqlmodel import SQLModel

from app.base.config import Settings
from app.base.errors import BadOption, RebuildRunning
from app.processing.rebuild_merge import MERGED
from app.store.engine import Store, snapshot, transaction
from app.store.tables import (
    Attempt,
    Module,
    Progress,
    ProgressByModule,
    ProgressByType,
    ProgressHistory,
)
from app.store.tables.columns import table_of
from app.store.tables.rollups import ROLLUPS
from tests.builders import NOON
from tests.projections import (
    a_sending_environment,
    begin_rebuild,
    corrupt,
    count_shadows,
    drop_projections,
    finish_rebuild,
    last_revision,
    read_projections,
    read_revisions,
    rebuild,
    send,
    tell_rebuild,
)
from tests.rebuild_story import SPOILS, STORY

# What no fold writes: a rebuild leaves it alone. A new table belongs here, or is merged.
NO_PROJECTIONS = {
    "alarm", "api_key", "audit", "batch", "bucket", "bucket_delta", "bucket_sum", "bulk_task",
    "completeness_log", "dead_entity", "defect", "dwell", "environment", "event", "feed",
    "heartbeat", "inquiry", "manifest", "named_event", "partition_change", "quarantine",
    "rebuild", "rebuild_entity", "repair", "source", "source_key", "stream", "stream_state",
    "tally", "turn", "watch", "work",
}  # fmt: skip


@pytest.fixture
def told(store: Store, settings: Settings) -> int:
    """An environment that has been told the story, some of it late, in two batches."""
    environment_id = a_sending_environment(store, "acme")
    send(store, settings, environment_id, *STORY[::2])
    send(store, settings, environment_id, *STORY[1::2])
    return environment_id


def find(store: Store, model: Any, environment_id: int, *terms: Any) -> list[dict[str, Any]]:
    table = table_of(model)
    with snapshot(store) as connection:
        found = select(table).where(table.c.environment_id == environment_id, *terms)
        return [dict(row) for row in connection.execute(found).mappings()]


# Equal


def test_a_rebuild_of_what_is_right_touches_no_row(store: Store, told: int) -> None:
    rows, revisions = read_projections(store, told), read_revisions(store, told)
    revision = last_revision(store, told)

    ended = rebuild(store, told)

    assert (ended["rows_added"], ended["rows_changed"], ended["rows_removed"]) == (0, 0, 0)
    assert ended["entities_folded"] == ended["entities_total"] > 10
    assert ended["revision"] is None
    assert read_projections(store, told) == rows
    assert read_revisions(store, told) == revisions
    assert last_revision(store, told) == revision
    assert count_shadows(store) == 0


def test_projections_dropped_by_hand_come_back_equal(store: Store, told: int) -> None:
    rows = read_projections(store, told, known=False)
    assert all(rows.values()), [name for name, found in rows.items() if not found]
    drop_projections(store, told)

    ended = rebuild(store, told)

    assert read_projections(store, told, known=False) == rows
    assert ended["rows_added"] > 20
    assert ended["revision"] == last_revision(store, told)


def test_every_spoilt_row_is_repaired_and_no_other_gets_a_revision(store: Store, told: int) -> None:
    rows, before = read_projections(store, told), read_revisions(store, told)
    spoilt = sum(corrupt(store, told, model, *terms, **values) for model, terms, values in SPOILS)
    assert read_projections(store, told) != rows

    ended = rebuild(store, told)

    assert read_projections(store, told) == rows
    assert ended["rows_changed"] == spoilt
    after = read_revisions(store, told)
    moved = {
        (table, key)
        for table, revisions in after.items()
        for key, revision in revisions.items()
        if revision != before[table].get(key)
    }
    assert len(moved) == spoilt
    assert {after[table][key] for table, key in moved} == {ended["revision"]}


def test_deleted_rows_come_back_and_what_was_never_told_is_buried(store: Store, told: int) -> None:
    rows = read_projections(store, told)
    attempt, progress = table_of(Attempt), table_of(Progress)
    (real,) = find(store, Progress, told, progress.c.learner_key == "u1")
    with transaction(store) as connection:
        connection.execute(delete(attempt).where(attempt.c.environment_id == told))
        phantom = {**real, "assignment_id": 900, "learner_key": "ghost"}
        connection.execute(progress.insert().values(**phantom))

    ended = rebuild(store, told)

    (ghost,) = find(store, Progress, told, progress.c.learner_key == "ghost")
    assert ghost["is_deleted"] is True
    assert ghost["revision"] == ended["revision"]
    assert (ended["rows_added"], ended["rows_removed"]) == (2, 1)
    after = read_projections(store, told)
    after["progress"] = [row for row in after["progress"] if ("learner_key", "ghost") not in row]
    assert after == rows


def test_numbers_of_ours_stay_by_natural_key(store: Store, told: int) -> None:
    names = ("assignment_id", "learner_key", "module_key")
    before = {tuple(row[n] for n in names) for row in find(store, Progress, told)}
    progress = table_of(Progress)
    with transaction(store) as connection:
        gone = progress.c.learner_key == "u1"
        connection.execute(delete(progress).where(progress.c.environment_id == told, gone))

    rebuild(store, told)

    after = {tuple(row[n] for n in names) for row in find(store, Progress, told)}
    assert {row for row in before if row[1] != "u1"} < after
    numbers = {row[0] for row in after}
    below = {row["assignment_id"] for row in find(store, Attempt, told) if not row["is_deleted"]}
    assert below <= numbers


def test_what_we_knew_and_when_is_not_rewritten(store: Store, told: int) -> None:
    history = table_of(ProgressHistory)
    before = find(store, ProgressHistory, told)
    wrong = before[-1]
    corrupt(store, told, ProgressHistory, history.c.history_id == wrong["history_id"], status="x")

    rebuild(store, told)

    after = {row["history_id"]: row for row in find(store, ProgressHistory, told)}
    for row in before[:-1]:
        assert after[row["history_id"]] == row
    assert after[wrong["history_id"]]["known_to"] is not None
    (repaired,) = (row for number, row in after.items() if number > wrong["history_id"])
    assert repaired["status"] == wrong["status"]
    assert repaired["known_from"] == after[wrong["history_id"]]["known_to"]


def test_rollups_are_counted_anew(store: Store, told: int) -> None:
    rows = read_projections(store, told)
    for rollup in (ProgressByModule, ProgressByType):
        assert corrupt(store, told, rollup, row_count=41)

    rebuild(store, told)

    assert read_projections(store, told) == rows


def test_every_table_is_merged_or_is_no_projection() -> None:
    merged = {one.table.name for one in MERGED} | {rollup.__tablename__ for rollup in ROLLUPS}
    tables = SQLModel.metadata.sorted_tables
    own = {t.name for t in tables if "environment_id" in t.c and not t.name.endswith("_past")}
    assert own - merged - {"progress_history"} == NO_PROJECTIONS
    assert merged & NO_PROJECTIONS == set()


# Scopes


@pytest.mark.parametrize(
    ("scope", "repaired"),
    [
        ({"learner_key": "u1"}, {"u1"}),
        ({"module_key": "q1"}, {"u2"}),
        ({"stream": "quest"}, {"u2"}),
        ({"stream": "checklist"}, {"u1"}),
        ({"stream": "assignments"}, {"u1"}),
        ({"learner_key": "u1", "module_key": "q1"}, set()),
        ({"from_at": NOON - timedelta(days=9000)}, {"u1", "u2"}),
        ({"to_at": NOON - timedelta(days=9000)}, set()),
    ],
)
def test_a_scope_repairs_what_is_in_it_and_nothing_else(
    store: Store, told: int, scope: dict[str, Any], repaired: set[str]
) -> None:
    rows = read_projections(store, told)
    assert corrupt(store, told, Progress, points=77.0) == 2

    ended = rebuild(store, told, **scope)

    wrong = {row["learner_key"] for row in find(store, Progress, told) if row["points"] == 77.0}
    assert wrong == {"u1", "u2"} - repaired
    assert ended["rows_changed"] == len(repaired)
    assert ended["entities_total"] is None
    rebuild(store, told)
    assert read_projections(store, told) == rows


def test_a_part_of_the_environment_leaves_rows_it_only_names_alone(store: Store, told: int) -> None:
    rows, revisions = read_projections(store, told), read_revisions(store, told)
    for scope in ({"learner_key": "u1"}, {"module_key": "c1"}, {"stream": "ilt"}):
        assert rebuild(store, told, **scope)["rows_changed"] == 0
    assert read_projections(store, told) == rows
    assert read_revisions(store, told) == revisions


def test_the_catalogs_word_reaches_progress_that_is_not_in_the_scope(
    store: Store, told: int
) -> None:
    rows = read_projections(store, told)
    module = table_of(Module)
    corrupt(store, told, Module, module.c.module_key == "q1", module_type="course")
    progress = table_of(Progress)
    corrupt(store, told, Progress, progress.c.module_key == "q1", module_type="course")

    rebuild(store, told, stream="catalog")

    assert read_projections(store, told) == rows


@pytest.mark.parametrize("field", ["learner_key", "module_key"])
def test_a_row_that_was_never_told_is_buried_in_the_scope_that_names_it(
    store: Store, told: int, field: str
) -> None:
    progress, attempt = table_of(Progress), table_of(Attempt)
    (real,) = find(store, Progress, told, progress.c.learner_key == "u2")
    (its,) = find(store, Attempt, told, attempt.c.assignment_id == real["assignment_id"])
    ghost = {**real, "assignment_id": 900, "learner_key": "ghost", "module_key": "ghost"}
    with transaction(store) as connection:
        connection.execute(progress.insert().values(**ghost))
        connection.execute(
            attempt.insert().values(**{**its, "attempt_id": 900, "assignment_id": 900})
        )

    ended = rebuild(store, told, **{field: "ghost"})

    assert ended["rows_removed"] == 2
    assert all(
        row["is_deleted"]
        for model in (Progress, Attempt)
        for row in find(store, model, told)
        if row["assignment_id"] == 900
    )


def test_only_two_learners_or_two_modules_have_nothing_in_common(store: Store, told: int) -> None:
    begin_rebuild(store, told, learner_key="u1")
    scopes: list[dict[str, Any]] = [
        {},
        {"learner_key": "u1"},
        {"module_key": "c1"},
        {"stream": "quest"},
    ]
    for scope in scopes:
        with pytest.raises(RebuildRunning):
            begin_rebuild(store, told, **scope)
    other = begin_rebuild(store, told, learner_key="u2")
    assert tell_rebuild(store, told, other)["state"] == "waiting"
    finish_rebuild(store, told)
    assert tell_rebuild(store, told, other)["state"] == "done"
    begin_rebuild(store, told)


@pytest.mark.parametrize(
    "scope", [{"stream": "quests"}, {"from_at": NOON, "to_at": NOON}], ids=["stream", "window"]
)
def test_a_scope_that_cannot_be_is_refused(store: Store, told: int, scope: dict[str, Any]) -> None:
    with pytest.raises(BadOption):
        begin_rebuild(store, told, **scope)
