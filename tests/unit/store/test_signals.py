"""Work that one process leaves behind wakes the workers of others, where the database can tell."""

import pytest
from sqlalchemy import text

from app.store.engine import Store, close_store, open_store, transaction
from app.store.signals import Listener, announce_work, has_signals
from app.store.work import mark_dirty
from tests.builders import an_environment


def listen(store: Store) -> Listener:
    if not has_signals(store):
        pytest.skip("SQLite sends no signals; one process has the database to itself")
    return Listener(store)


def test_marking_work_is_heard_by_other_processes_once_it_is_committed(store: Store) -> None:
    environment_id = an_environment(store)
    listener = listen(store)
    elsewhere = open_store(store.engine.url.render_as_string(hide_password=False))
    with transaction(elsewhere) as connection:
        mark_dirty(connection, environment_id, {'learner:["u1"]': 1})
        assert not listener.hear(0.05)
    assert listener.hear(30)
    assert not listener.hear(0.05)
    listener.close()
    close_store(elsewhere)


def test_what_is_taken_back_is_not_heard(store: Store) -> None:
    listener = listen(store)

    def announce_and_fail() -> None:
        with transaction(store) as connection:
            announce_work(connection)
            raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        announce_and_fail()
    assert not listener.hear(0.05)
    listener.close()


def test_who_listens_no_more_holds_no_connection(store: Store) -> None:
    listener = listen(store)
    listener.close()
    with transaction(store) as connection:
        others = connection.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND query LIKE 'LISTEN%'"
            ),
            execution_options={"across_environments": "a test looks at the server"},
        ).scalar_one()
    assert others == 0
