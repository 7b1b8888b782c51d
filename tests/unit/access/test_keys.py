"""API keys: shown once, kept hashed, proved in constant time, gone when revoked or expired."""

from datetime import timedelta

import pytest
import time_machine

from app.access.environments import add_environment
from app.access.keys import (
    check_key,
    issue_key,
    list_keys,
    note_key_use,
    revoke_key,
)
from app.base.clock import now
from app.base.errors import BadName, NotAuthenticated, UnknownName
from app.store.engine import Store, snapshot, transaction
from app.store.tables import ApiKey
from app.store.tables.columns import table_of


def test_a_key_proves_its_environment_and_scopes(store: Store) -> None:
    with transaction(store) as connection:
        here = add_environment(connection, environment_key="acme", timezone="Europe/Vienna")
        issued = issue_key(connection, here, scopes=["read", "ingest"], name="feed")
    with snapshot(store) as connection:
        principal = check_key(connection, issued.key).principal
    assert (principal.environment_id, principal.environment_key) == (here, "acme")
    assert principal.scopes == {"ingest", "read"}
    assert principal.timezone == "Europe/Vienna"
    assert (issued.scopes, issued.key_id) == (("ingest", "read"), principal.key)


def test_the_secret_is_not_kept(store: Store) -> None:
    with transaction(store) as connection:
        here = add_environment(connection, environment_key="acme")
        issued = issue_key(connection, here, scopes=["read"])
    secret = issued.key.split("_", 2)[2]
    table = table_of(ApiKey)
    with snapshot(store) as connection:
        row = connection.execute(table.select().where(table.c.environment_id == here)).one()
    assert secret not in str(row)
    assert secret.encode() not in row.secret_hash
    assert len(row.secret_hash) == 32


@pytest.mark.parametrize("spoil", [str.upper, lambda k: k[:-1], lambda k: k + "a", lambda k: k[3:]])
def test_a_key_that_differs_anywhere_opens_nothing(store: Store, spoil: object) -> None:
    assert callable(spoil)
    with transaction(store) as connection:
        here = add_environment(connection, environment_key="acme")
        issued = issue_key(connection, here, scopes=["read"])
    with snapshot(store) as connection, pytest.raises(NotAuthenticated):
        check_key(connection, spoil(issued.key))


def test_a_right_public_part_with_another_keys_secret_opens_nothing(store: Store) -> None:
    with transaction(store) as connection:
        here = add_environment(connection, environment_key="acme")
        one = issue_key(connection, here, scopes=["read"]).key.split("_", 2)
        two = issue_key(connection, here, scopes=["read"]).key.split("_", 2)
    with snapshot(store) as connection, pytest.raises(NotAuthenticated):
        check_key(connection, f"fc_{one[1]}_{two[2]}")


def test_a_key_ends_when_it_expires(store: Store) -> None:
    with transaction(store) as connection:
        here = add_environment(connection, environment_key="acme")
        ends_at = now() + timedelta(hours=1)
        issued = issue_key(connection, here, scopes=["read"], expires_at=ends_at)
    with snapshot(store) as connection:
        check_key(connection, issued.key)
        with time_machine.travel(ends_at), pytest.raises(NotAuthenticated, match="expired"):
            check_key(connection, issued.key)


def test_a_use_is_noted_once_a_minute(store: Store) -> None:
    with transaction(store) as connection:
        here = add_environment(connection, environment_key="acme")
        issued = issue_key(connection, here, scopes=["read"])
        first = check_key(connection, issued.key)
        assert first.use_is_news
        note_key_use(connection, first.principal)
        assert not check_key(connection, issued.key).use_is_news
        with time_machine.travel(now() + timedelta(seconds=61)):
            assert check_key(connection, issued.key).use_is_news
        assert list_keys(connection, here)[0].last_used_at is not None


def test_a_key_of_another_environment_cannot_be_revoked(store: Store) -> None:
    with transaction(store) as connection:
        here = add_environment(connection, environment_key="acme")
        there = add_environment(connection, environment_key="other")
        issued = issue_key(connection, here, scopes=["read"])
        with pytest.raises(UnknownName):
            revoke_key(connection, there, issued.key_id)
        check_key(connection, issued.key)
        revoke_key(connection, here, issued.key_id)
        revoke_key(connection, here, issued.key_id)
        with pytest.raises(NotAuthenticated, match="revoked"):
            check_key(connection, issued.key)


@pytest.mark.parametrize("scopes", [[], ["root"], ["read", "READ"]])
def test_a_key_has_known_scopes_and_at_least_one(store: Store, scopes: list[str]) -> None:
    with transaction(store) as connection:
        here = add_environment(connection, environment_key="acme")
        with pytest.raises(BadName):
            issue_key(connection, here, scopes=scopes)
