"""Frames: each join of a statement is made once, in its environment, and found again."""

import pytest
from sqlalchemy import select

from app.catalog.index import DATASETS, dataset_named
from app.query.frames import Sources
from app.store.guard import check_environment

DIALECTS = ["sqlite", "postgresql"]


def sources_of(name: str, dialect_name: str = "sqlite") -> Sources:
    return Sources(dataset_named(name), dialect_name, DATASETS)


@pytest.mark.parametrize("dialect_name", DIALECTS)
@pytest.mark.parametrize("name", [dataset.name for dataset in DATASETS])
def test_every_field_and_navigation_can_be_written(name: str, dialect_name: str) -> None:
    sources = sources_of(name, dialect_name)
    values = [sources.root.value(field) for field in sources.root.dataset.fields]
    for navigation in sources.root.dataset.navigations:
        frame = sources.root.navigate(navigation)
        values += [frame.value(field) for field in frame.dataset.fields]
    statement = select(*(v.label(f"c{i}") for i, v in enumerate(values)))
    check_environment(statement.select_from(sources.clause).where(*sources.conditions))


def test_a_join_is_made_when_it_is_first_asked_for_and_only_then() -> None:
    sources = sources_of("LearnerProgress")
    before = str(sources.clause)
    first = sources.root.value_of("module_name")
    joined = str(sources.clause)
    assert joined.count("JOIN") == before.count("JOIN") + 1
    assert str(sources.root.value_of("module_name")) == str(first)
    sources.root.value_of("parts_total")
    assert str(sources.clause) == joined


def test_a_join_by_way_of_another_brings_both() -> None:
    sources = sources_of("LearnerProgress")
    sources.root.value_of("team_name")
    text = str(sources.clause)
    assert text.index("learner AS") < text.index("team AS")


def test_the_same_table_reached_two_ways_is_two_aliases() -> None:
    sources = sources_of("Learners")
    navigation = sources.root.dataset.navigation("manager")
    assert navigation is not None
    manager = sources.root.navigate(navigation)
    assert str(manager.value_of("status")) != str(sources.root.value_of("status"))
    assert sources.root.navigate(navigation) is manager


def test_rows_that_are_judged_are_noted() -> None:
    sources = sources_of("LearnerProgress")
    assert sources.computed == set()
    navigation = sources.root.dataset.navigation("lag")
    assert navigation is not None
    sources.root.navigate(navigation)
    assert sources.computed == {"streams"}


def test_a_field_that_is_not_there_is_a_fault_of_ours() -> None:
    with pytest.raises(LookupError):
        sources_of("LearnerProgress").root.value_of("nope")
