"""The signing secret is made once, kept, and replaced by a configured one."""

from app.base.config import Settings
from app.store.engine import Store, snapshot
from app.store.instance import keep_secret, signing_secret
from app.store.server import read_server


def test_a_secret_is_made_once_and_can_then_be_read_in_a_snapshot(
    store: Store, settings: Settings
) -> None:
    unset = settings.model_copy(update={"secret": ""})
    made = keep_secret(store, unset)
    assert len(made) == 32
    assert keep_secret(store, unset) == made
    with snapshot(store) as connection:
        assert signing_secret(connection, unset) == made


def test_a_configured_secret_wins_and_is_not_kept(store: Store, settings: Settings) -> None:
    configured = settings.model_copy(update={"secret": "x" * 40})
    unset = settings.model_copy(update={"secret": ""})
    assert keep_secret(store, configured) != keep_secret(store, unset)
    other = settings.model_copy(update={"secret": "y" * 40})
    assert keep_secret(store, configured) != keep_secret(store, other)


def test_a_database_tells_what_it_is(store: Store) -> None:
    server = read_server(store)
    assert server.kind in {"SQLite", "PostgreSQL"}
    assert server.version[0].isdigit()
