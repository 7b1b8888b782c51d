"""Ingest over HTTP beside bare inserts: one client, batches of 1,000, both synchronous=FULL.

The bare side writes the same rows into tables of the same definition with the same indexes, one
transaction a batch, by executemany of the sqlite3 module.
"""

import sqlite3
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path

import orjson

from app.cli.simulation.company import COMPANIES, SOURCES, make_world
from app.cli.simulation.history import simulate_history
from app.cli.simulation.pen import Event, batched
from app.intake.sources import add_source
from app.store.engine import close_store, open_store, transaction
from bench.measure import ROUNDS, Figure, interleave, tell
from bench.real import await_applied, send_batch
from bench.server import prepare_database, serve_product

_BATCHES, _BATCH = 40, 1_000
_JOURNAL = ("event", "work")
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=20000", "cache_size=-65536")


@dataclass(frozen=True, slots=True)
class Copy:
    """The rows that a finished ingest left behind, and the definitions of their tables.

    definitions: CREATE statements, tables before indexes
    rows: by table, in the order of their rowid
    """

    definitions: tuple[str, ...]
    rows: dict[str, list[tuple[object, ...]]]


def run_ingest_bench(
    *, batch_count: int = _BATCHES, batch: int = _BATCH, rounds: int = ROUNDS
) -> list[Figure]:
    """Send and await, acknowledged and applied, in turn with the bare inserts."""
    world = make_world(COMPANIES[0], seed=1, until=datetime(2026, 1, 1, tzinfo=UTC))
    events = list(islice(simulate_history(world, seed=1), batch_count * batch))
    batches = [[orjson.dumps(e).decode() for e in part] for part in batched(iter(events), batch)]
    with tempfile.TemporaryDirectory() as place:
        folder, numbers = Path(place), count(1)
        tell("  ingesting once to have the rows")
        finished = folder / "finished.db"
        _ingest(finished, batches, worker=True, until_applied=True)
        copied = _copy_rows(finished)

        def fresh() -> Path:
            return folder / f"{next(numbers)}.db"

        medians = interleave(
            {
                "journal": lambda: _ingest(fresh(), batches, worker=False, until_applied=False),
                "bare journal": lambda: _insert_bare(fresh(), copied, batch_count, tables=_JOURNAL),
                "acknowledged": lambda: _ingest(fresh(), batches, worker=True, until_applied=False),
                "applied": lambda: _ingest(fresh(), batches, worker=True, until_applied=True),
                "bare applied": lambda: _insert_bare(
                    fresh(), copied, batch_count, tables=tuple(copied.rows)
                ),
            },
            rounds=rounds,
        )
    return _tell_figures(medians, events)


def _tell_figures(medians: dict[str, float], events: list[Event]) -> list[Figure]:
    size = len(events)
    rates = {name: size / seconds for name, seconds in medians.items()}
    return [
        Figure("events of a round", size, "events"),
        Figure("acknowledged, no worker beside it", rates["journal"], "events/s"),
        Figure("bare inserts of journal and work rows", rates["bare journal"], "events/s"),
        Figure("acknowledged / bare inserts", rates["journal"] / rates["bare journal"], "ratio"),
        Figure("acknowledged, the worker beside it", rates["acknowledged"], "events/s"),
        Figure("applied", rates["applied"], "events/s"),
        Figure("bare inserts of all rows", rates["bare applied"], "events/s"),
        Figure("applied / bare inserts", rates["applied"] / rates["bare applied"], "ratio"),
    ]


def _ingest(
    database: Path, batches: list[list[str]], *, worker: bool, until_applied: bool
) -> float:
    """The seconds from the first request to the last acknowledgement, or until all is applied."""
    keys = prepare_database(database, ["bench"], source="bench")
    store = open_store(f"sqlite:///{database}")
    with transaction(store) as connection:
        for source in SOURCES:
            add_source(connection, 1, source_key=source, kind="push", takes_occurred_at=False)
    close_store(store)
    with serve_product(database, worker=worker) as server, server.client(keys["bench"]) as client:
        client.ask("GET", "/v1/books")
        started = time.monotonic()
        for batch in batches:
            if send_batch(client, batch)["accepted"] != len(batch):
                raise AssertionError("not all events of a batch were accepted")
        if until_applied:
            await_applied(client)
        return time.monotonic() - started


def _copy_rows(database: Path) -> Copy:
    connection = sqlite3.connect(database)
    kept = "sql is not null and name not like 'sqlite_%'"
    definitions = connection.execute(
        f"select sql from sqlite_master where {kept} order by type = 'index'"
    )
    names = connection.execute(f"select name from sqlite_master where type = 'table' and {kept}")
    rows = {
        name: connection.execute(f"select * from {name}").fetchall() for (name,) in names.fetchall()
    }
    copied = Copy(tuple(sql for (sql,) in definitions), rows)
    connection.close()
    return copied


def _insert_bare(
    database: Path, copied: Copy, batch_count: int, *, tables: tuple[str, ...]
) -> float:
    """The seconds of inserting the rows of these tables, an even share of each in every batch."""
    connection = sqlite3.connect(database, isolation_level=None)
    for pragma in _PRAGMAS:
        connection.execute(f"pragma {pragma}")
    for definition in copied.definitions:
        connection.execute(definition)
    texts = {
        name: f"insert into {name} values ({', '.join('?' * len(copied.rows[name][0]))})"
        for name in tables
        if copied.rows[name]
    }
    started = time.monotonic()
    for number in range(batch_count):
        connection.execute("begin immediate")
        for name, text in texts.items():
            rows = copied.rows[name]
            share = slice(
                len(rows) * number // batch_count, len(rows) * (number + 1) // batch_count
            )
            connection.executemany(text, rows[share])
        connection.execute("commit")
    seconds = time.monotonic() - started
    connection.close()
    return seconds
