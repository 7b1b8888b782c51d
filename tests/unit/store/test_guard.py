"""The guard lets no statement on an environment's tables pass that does not name it."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import (
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    not_,
    or_,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.orm import aliased
from sqlmodel import SQLModel

from app.base.errors import EnvironmentMissing
from app.store.engine import Store, snapshot, transaction
from app.store.guard import GuardedText, check_environment
from app.store.tables import Environment, Instance, Learner, Module, Progress
from app.store.tables.columns import table_of
from tests.builders import NOON, an_environment

P, L, M = table_of(Progress), table_of(Learner), table_of(Module)
INSTANCE = table_of(Instance)
MINE: Any = bindparam("mine", 1)
OF_P, OF_L, OF_M = (table.c.environment_id == MINE for table in (P, L, M))
SAME_LEARNER = P.c.learner_key == L.c.learner_key
OTHER = P.alias("other")


def without_environment() -> dict[str, Any]:
    """Statements that read or change what they must not."""
    inner = select(P.c.learner_key).subquery("inner")
    cte = select(L.c.learner_key).cte("chosen")
    return {
        "select": select(P.c.score),
        "select of a number": select(func.count()).select_from(P),
        "select of an aggregate": select(func.max(P.c.score)),
        "other condition": select(P.c.score).where(P.c.assignment_id == 1),
        "greater is not equal": select(P.c.score).where(P.c.environment_id >= MINE),
        "beside an or": select(P.c.score).where(or_(OF_P, P.c.passed)),
        "below a not": select(P.c.score).where(not_(OF_P)),
        "join, one side named": select(P.c.score).join(L, SAME_LEARNER).where(OF_P),
        "outer join": select(P.c.score).outerjoin(L, SAME_LEARNER).where(OF_P),
        "comma join": select(P.c.score, L.c.status).where(OF_P, SAME_LEARNER),
        "alias": select(OTHER.c.score),
        "alias beside its table": select(P.c.score, OTHER.c.score).where(OF_P),
        "mapped class": select(Progress),
        "mapped alias": select(aliased(Progress)),
        "subquery": select(inner.c.learner_key),
        "scalar subquery": select(select(func.count(P.c.score)).scalar_subquery()),
        "correlated subquery": select(L.c.status).where(OF_L, exists().where(SAME_LEARNER)),
        "in": select(L.c.status).where(OF_L, L.c.learner_key.in_(select(P.c.learner_key))),
        "cte": select(cte.c.learner_key),
        "union": union_all(select(P.c.learner_key).where(OF_P), select(L.c.learner_key)),
        "lateral": select(select(P.c.score).lateral("l").c.score),
        "update": update(P).values(score=1),
        "update by a subquery": update(P)
        .where(OF_P)
        .values(score=select(func.max(M.c.max_score)).scalar_subquery()),
        "delete": delete(P).where(P.c.assignment_id == 1),
        "delete by a subquery": delete(P).where(OF_P, P.c.learner_key.in_(select(L.c.learner_key))),
        "insert from": insert(P).from_select(["learner_key"], select(L.c.learner_key)),
    }


def with_environment() -> dict[str, Any]:
    """Statements that stay at home."""
    inner = select(P.c.learner_key).where(OF_P).subquery("inner")
    mapped = aliased(Learner)
    return {
        "select": select(P.c.score).where(OF_P),
        "turned round": select(P.c.score).where(P.c.environment_id == MINE),
        "with a constant": select(P.c.score).where(P.c.environment_id == literal_column("1")),
        "join": select(P.c.score).join(L, and_(OF_L, SAME_LEARNER)).where(OF_P),
        "join by the environment": select(P.c.score)
        .join(L, and_(L.c.environment_id == P.c.environment_id, SAME_LEARNER))
        .where(OF_P),
        "alias": select(OTHER.c.score).where(OTHER.c.environment_id == MINE),
        "mapped class": select(P).where(P.c.environment_id == MINE),
        "mapped alias": select(mapped).where(mapped.environment_id == MINE),
        "subquery": select(inner.c.learner_key),
        "correlated": select(L.c.status).where(OF_L, exists().where(OF_P, SAME_LEARNER)),
        "union": union_all(
            select(P.c.learner_key).where(OF_P), select(L.c.learner_key).where(OF_L)
        ),
        "update": update(P).where(OF_P).values(score=1),
        "delete": delete(P).where(OF_P),
        "no environment's table": select(INSTANCE.c.value),
        "no table": select(literal_column("1")),
    }


@pytest.mark.parametrize("name", without_environment())
def test_a_statement_without_its_environment_is_refused(name: str) -> None:
    with pytest.raises(EnvironmentMissing):
        check_environment(without_environment()[name])


@pytest.mark.parametrize("name", with_environment())
def test_a_statement_with_its_environment_passes(name: str) -> None:
    check_environment(with_environment()[name])


LOOSE: dict[str, Callable[[], Any]] = {
    "two tables that name only each other": lambda: select(P.c.score).join(
        L, and_(L.c.environment_id == P.c.environment_id, SAME_LEARNER)
    ),
    "a table that names only itself": lambda: select(P.c.score).where(
        P.c.environment_id == P.c.environment_id
    ),
    "a second table of an update": lambda: (
        update(P).where(OF_P, SAME_LEARNER).values(score=L.c.revision)
    ),
}


@pytest.mark.parametrize("name", LOOSE)
def test_an_environment_that_is_named_only_in_a_circle_is_refused(name: str) -> None:
    with pytest.raises(EnvironmentMissing):
        check_environment(LOOSE[name]())


@pytest.mark.parametrize("model", [Progress, Learner, Module, Environment])
def test_the_engine_refuses_before_anything_is_read(store: Store, model: type[SQLModel]) -> None:
    with pytest.raises(EnvironmentMissing), snapshot(store) as connection:
        connection.execute(select(table_of(model)))


def test_a_refused_change_changes_nothing(store: Store) -> None:
    environment_id = an_environment(store)
    table = table_of(Environment)
    its_row = table.c.environment_id == environment_id

    def change_twice() -> None:
        with transaction(store) as connection:
            connection.execute(update(table).where(its_row).values(weight=7))
            connection.execute(update(table).values(weight=9))

    with pytest.raises(EnvironmentMissing):
        change_twice()
    with snapshot(store) as connection:
        kept = connection.execute(
            select(table.c.weight).where(table.c.environment_id == environment_id)
        )
        assert kept.scalar_one() == 1


def test_raw_text_is_refused_unless_the_store_built_it(store: Store) -> None:
    with snapshot(store) as connection:
        with pytest.raises(EnvironmentMissing):
            connection.exec_driver_sql("SELECT 1")
        assert connection.exec_driver_sql(GuardedText("SELECT 1")).scalar_one() == 1


def test_text_with_a_table_in_it_is_refused(store: Store) -> None:
    with pytest.raises(EnvironmentMissing), snapshot(store) as connection:
        connection.execute(text("SELECT count(*) FROM progress"))


def test_a_statement_seen_before_is_still_refused(store: Store) -> None:
    for _ in range(3):
        with pytest.raises(EnvironmentMissing), snapshot(store) as connection:
            connection.execute(select(P.c.score))


def test_whoever_crosses_environments_says_why(store: Store) -> None:
    an_environment(store, "acme")
    an_environment(store, "other")
    crossing = {"across_environments": "a test counts them all"}
    with snapshot(store) as connection:
        counted = select(func.count()).select_from(table_of(Environment))
        assert connection.execute(counted, execution_options=crossing).scalar_one() == 2


def test_a_row_of_its_own_environment_may_be_inserted(store: Store) -> None:
    environment_id = an_environment(store)
    row = {"learner_id": 1, "learner_key": "u", "revision": 1, "changed_at": NOON}
    with transaction(store) as connection:
        connection.execute(insert(L).values(environment_id=environment_id, **row))
