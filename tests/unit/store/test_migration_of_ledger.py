"""The migration of the ledger: old contracts, keys and events survive it, and are summed."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import LargeBinary, Table, column, select, table

from app.learning.elements import frame_stream, make_element, sum_elements
from app.ledger.slots import total_interval
from app.store.contracts import read_contracts
from app.store.dialect import insert_rows
from app.store.engine import Store, close_store, open_store, schema_transaction, snapshot
from app.store.sums import read_keys
from app.store.tables import Environment, Event
from app.store.tables.columns import table_of
from app.store.work import EPOCH
from tests.builders import NOON

ROOT = Path(__file__).resolve().parents[3]
SECRET = bytes(range(32))


@pytest.fixture
def empty_store(database_url: str) -> Any:
    """An open store without a single table, on each database in turn."""
    opened = open_store(database_url)
    yield opened
    close_store(opened)


def upgrade(store: Store, revision: str) -> None:
    config = Config(ROOT / "alembic.ini")
    with schema_transaction(store) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def old_rows() -> list[tuple[Any, dict[str, Any]]]:
    """An environment of before with a source, a contract and three events."""
    source: Any = table(
        "source",
        *[column(n) for n in ("environment_id", "source_id", "source_key", "kind")],
        *[column(n) for n in ("takes_occurred_at", "digest_key_id", "created_at")],
        column("digest_secret", LargeBinary()),
    )
    stream: Any = table(
        "stream", *[column(n) for n in ("environment_id", "source_id", "stream", "from_at")]
    )
    environment = {
        "environment_id": 1, "environment_key": "acme", "name": "Acme", "timezone": "UTC",
        "weight": 1, "last_seq": 3, "last_revision": 0, "created_at": NOON,
    }  # fmt: skip
    event = {
        "environment_id": 1, "source_id": 4, "type": "progress.started", "stream": "quest",
        "entity_key": "x", "occurred_at": NOON, "received_at": NOON, "sequence": 0,
        "digest": b"d", "data_digest": "", "data": "{}",
    }  # fmt: skip
    told = [(table_of(Environment), environment)]
    old = {"environment_id": 1, "source_id": 4}
    told.append((source, {
        **old, "source_key": "lms", "kind": "push", "takes_occurred_at": False,
        "digest_key_id": "k1", "digest_secret": SECRET, "created_at": NOON,
    }))  # fmt: skip
    told.append((stream, {**old, "stream": "quest", "from_at": NOON}))
    for seq, disposition, minute in ((1, 1, 0), (2, 3, 9), (3, 2, 10)):
        own = {"seq": seq, "event_id": f"e{seq}", "disposition": disposition}
        recorded_at = NOON + timedelta(minutes=minute)
        told.append((table_of(Event), {**event, **own, "recorded_at": recorded_at}))
    return told


def test_what_was_there_before_is_kept_and_summed(empty_store: Store) -> None:
    upgrade(empty_store, "audit")
    with schema_transaction(empty_store) as connection:
        for into, row in old_rows():
            insert_rows(connection, into, tuple(row), [tuple(row.values())])
    upgrade(empty_store, "head")

    framed = frame_stream("acme", "lms", "quest")
    elements = [make_element(SECRET, framed, f"e{n}", "") for n in (1, 2, 3)]
    event: Table = table_of(Event)
    with snapshot(empty_store) as connection:
        kept = connection.execute(
            select(event.c.element).where(event.c.environment_id == 1).order_by(event.c.seq)
        ).scalars()
        assert [bytes(element) for element in kept] == elements
        (key,) = read_keys(connection, 1)[4]
        assert (key.key_id, key.secret, key.valid_from) == ("k1", SECRET, EPOCH)
        contract = read_contracts(connection, 1)[4, "quest"]
        assert (contract.from_at, contract.bucket_s, contract.shards) == (NOON, 600, ("",))
        first, both = (
            total_interval(
                connection, 1, (4, "quest"), from_at=NOON, to_at=NOON + timedelta(minutes=minutes)
            )
            for minutes in (10, 20)
        )
    assert (first.accepted, first.applied, first.applied_sum) == (2, 1, elements[0])
    assert (both.accepted, both.applied, both.weak) == (3, 2, 3)
    assert both.applied_sum == sum_elements([elements[0], elements[2]])
    assert (both.first_seq, both.last_seq) == (1, 3)
