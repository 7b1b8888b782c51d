"""Environments are made once, under names that need no escaping."""

import pytest

from app.access.environments import add_environment, environment_named, list_environments
from app.base.errors import BadName, NameTaken, UnknownName
from app.store.engine import Store, snapshot, transaction


def test_environments_are_listed_by_key(store: Store) -> None:
    with transaction(store) as connection:
        second = add_environment(connection, environment_key="b", name="Bee", timezone="Asia/Tokyo")
        first = add_environment(connection, environment_key="a")
    assert (second, first) == (1, 2)
    with snapshot(store) as connection:
        rows = list_environments(connection)
        named = environment_named(connection, "b")
    assert [row.environment for row in rows] == ["a", "b"]
    assert (named.name, named.timezone, named.last_seq) == ("Bee", "Asia/Tokyo", 0)
    assert rows[0].name == "a"


def test_a_name_is_taken_once(store: Store) -> None:
    with transaction(store) as connection:
        add_environment(connection, environment_key="a")
        with pytest.raises(NameTaken):
            add_environment(connection, environment_key="a")
        with pytest.raises(UnknownName):
            environment_named(connection, "nope")


@pytest.mark.parametrize("name", ["", " ", "-a", "a b", "a/b", "ü", "a" * 64, "a\n"])
def test_a_name_that_would_need_escaping_is_refused(store: Store, name: str) -> None:
    with transaction(store) as connection, pytest.raises(BadName):
        add_environment(connection, environment_key=name)


@pytest.mark.parametrize("timezone", ["", "Mars/Base", "../UTC", "/etc/passwd", "UTC\x00"])
def test_a_time_zone_that_is_not_known_is_refused(store: Store, timezone: str) -> None:
    with transaction(store) as connection, pytest.raises(BadName):
        add_environment(connection, environment_key="a", timezone=timezone)
