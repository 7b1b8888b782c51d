"""Every revised table keeps what is replaced, also in a database that was migrated."""

from collections.abc import Iterator

import pytest
from sqlalchemy import func, select, update
from sqlmodel import SQLModel

from app.store.engine import Store, close_store, open_store, transaction
from app.store.migrate import migrate_store
from app.store.past import at_revision
from app.store.statement import compile_statement
from app.store.tables import PAST, REVISED, Learner
from app.store.tables.columns import table_of
from tests.builders import NOON, a_learner, an_environment, write_rows


@pytest.fixture
def migrated_store(database_url: str) -> Iterator[Store]:
    """A store whose schema was made by migrations."""
    opened = open_store(database_url)
    migrate_store(opened)
    yield opened
    close_store(opened)


def test_every_table_with_a_revision_keeps_its_replaced_rows() -> None:
    revised = {
        table.name
        for table in SQLModel.metadata.tables.values()
        if {"revision", "changed_at"} <= {column.name for column in table.columns}
        and not table.name.endswith("_past")
    }
    assert revised == {table.name for table in REVISED}


def test_a_twin_has_every_column_of_its_table() -> None:
    for table in REVISED:
        names = [column.name for column in table.columns]
        twin = [column.name for column in PAST[table.name].columns]
        assert twin == [*names, "revision_to", "replaced_at"]


def test_a_replaced_row_is_kept_with_the_revisions_it_held_at(migrated_store: Store) -> None:
    environment_id = an_environment(migrated_store)
    learner, twin = table_of(Learner), PAST["learner"]
    rows = [a_learner(1, revision=4)]
    write_rows(migrated_store, Learner, rows, environment_id=environment_id)
    with transaction(migrated_store) as connection:
        mine = learner.c.environment_id == environment_id
        for revision in (4, 6):
            changed = {"department": f"d{revision}", "revision": revision, "changed_at": NOON}
            connection.execute(update(learner).where(mine).values(changed))
        kept = connection.execute(
            select(
                twin.c.department, twin.c.revision, twin.c.revision_to, twin.c.replaced_at
            ).where(twin.c.environment_id == environment_id)
        ).all()
    # A row that is written twice at one revision was never seen in between.
    assert [tuple(row) for row in kept] == [("d4", 4, 6, NOON)]


def test_a_statement_without_changed_tables_stays_as_it_is() -> None:
    learner = table_of(Learner)
    counted = select(func.count()).select_from(learner).where(learner.c.environment_id == 1)
    statement = compile_statement(counted, "sqlite")
    assert at_revision(statement, frozenset(), "sqlite") is statement
