"""Events over HTTP until they are applied: how many a second, and how long each waits at 70 % load.

Several connections send the batches of all environments in turn, compressed, as real senders do.
SQLite has its worker in the server; PostgreSQL has it in a process of its own.
"""

import gzip
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache, partial
from itertools import islice
from math import ceil
from statistics import median
from typing import Any

import orjson
from sqlalchemy import Table, func, select
from sqlmodel import SQLModel

from app.base.clock import now
from app.cli.simulation.company import COMPANIES, SOURCES, make_world
from app.cli.simulation.history import simulate_history
from app.cli.simulation.pen import Event
from app.intake.sources import add_source
from app.store.dialect import insert_rows
from app.store.engine import Store, close_store, open_store, snapshot, transaction
from app.store.tables import Event as Journal
from app.store.tables import Scheduler
from app.store.tables.columns import table_of
from bench.databases import KINDS, Databases
from bench.measure import Figure, tell
from bench.real import await_applied
from bench.server import Client, Server, prepare_store, serve_product, work_beside

_SENDERS = 4
_HISTORY = 50_000

_LAG_ENVIRONMENTS = 4
_LAG_LOAD = 0.7
_LAG_SENDERS = 8
_CROSSING = {"across_environments": "a benchmark copies and looks at all that is there"}

Batch = tuple[str, bytes]
"""(the environment's name, a compressed body)"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is sent, and how often.

    events: in a sending as fast as it goes; environments, batches: between how many, of how many
    lag_s: of each of so many turns at a share of the capacity, in batches of `lag_batch`
    """

    kinds: Sequence[str] = KINDS
    events: int = 12_000
    environments: Sequence[int] = (1, 4, 15)
    batches: Sequence[int] = (100, 1_000, 10_000)
    turns: int = 5
    lag_s: float = 5.0
    lag_batch: int = 100


_USUAL = Sizes()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A database with environments and nothing in them, to be copied.

    keys: of each environment
    empty: the tables that hold nothing yet
    """

    kind: str
    url: str
    keys: dict[str, str]
    empty: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """One sending: from the first request to the last acknowledgement, and until all is applied.

    late_s: how much later than planned the latest batch was sent
    """

    event_count: int
    acknowledged_s: float
    applied_s: float
    late_s: float = 0.0

    @property
    def applied_rate(self) -> float:
        """How many events a second were sent and applied."""
        return self.event_count / self.applied_s


@dataclass(frozen=True, slots=True)
class Turn:
    """Events at a share of the capacity.

    capacity: events a second as fast as it goes, on the average of just before and just after
    rate, share: what was sent a second, and which part of the capacity that is
    p50_s, p99_s: how long events waited
    late_s: how much later than planned the latest batch was sent
    """

    capacity: float
    rate: float
    share: float
    p50_s: float
    p99_s: float
    late_s: float


@cache
def make_events(count: int) -> list[Event]:
    """The first events of a simulated company."""
    world = make_world(COMPANIES[0], seed=1, until=datetime(2026, 1, 1, tzinfo=UTC))
    return list(islice(simulate_history(world, seed=1), count))


def prepare_environments(store: Store, count: int) -> dict[str, str]:
    """Make so many environments with the sources of the simulation; give the key of each."""
    names = [f"bench-{number}" for number in range(1, count + 1)]
    keys = prepare_store(store, names, source="bench")
    with transaction(store) as connection:
        for number in range(1, count + 1):
            for source in SOURCES:
                add_source(
                    connection, number, source_key=source, kind="push", takes_occurred_at=False
                )
    return keys


def run_throughput(databases: Databases, sizes: Sizes = _USUAL) -> list[Figure]:
    """Each number of environments with each size of batches on each database."""
    figures = []
    for kind in sizes.kinds:
        for count in sizes.environments:
            prepared = _prepare(databases, kind, count)
            for size in sizes.batches:
                figures += _measure_cell(databases, prepared, size, event_count=sizes.events)
    return figures


def run_lag(databases: Databases, sizes: Sizes = _USUAL) -> list[Figure]:
    """How long events wait from received to applied, at 70 % of what the machine can do."""
    figures = []
    for kind in sizes.kinds:
        prepared = _prepare(databases, kind, _LAG_ENVIRONMENTS)
        turns = []
        for number in range(sizes.turns):
            tell(f"  {kind}: lag at {_LAG_LOAD:.0%} load, turn {number + 1} of {sizes.turns}")
            turns.append(_measure_turn(databases, prepared, sizes))
        name = f"{kind}, {_LAG_ENVIRONMENTS} environments, batches of {sizes.lag_batch}"
        middle = {
            each.name: median(getattr(one, each.name) for one in turns) for each in fields(Turn)
        }
        figures += [
            Figure(f"{name}: capacity", middle["capacity"], "events/s"),
            Figure(f"{name}: sent", middle["rate"], "events/s"),
            Figure("... of the capacity just before and after", middle["share"], "ratio"),
            Figure("... at most, in a turn", max(one.share for one in turns), "ratio"),
            Figure("... received to applied, p50", middle["p50_s"] * 1e3, "ms"),
            Figure("... received to applied, p99", middle["p99_s"] * 1e3, "ms"),
            Figure("... a batch was sent late by at most", middle["late_s"] * 1e3, "ms"),
        ]
    return figures


def _measure_turn(databases: Databases, prepared: Prepared, sizes: Sizes) -> Turn:
    """As fast as it goes, then at its share of that, then as fast as it goes again: what a noisy
    machine can do is another thing a minute later.
    """
    make = partial(_make_batches, prepared.keys, size=sizes.lag_batch)
    full = make(event_count=sizes.events)
    with _served_copy(databases, prepared) as (url, server):
        send = partial(_send_all, server, prepared.keys)
        before = send(full, senders=_SENDERS).applied_rate
        rate = before * _LAG_LOAD
        loaded = make(event_count=int(rate * sizes.lag_s), after=len(full))
        began_at = now()
        sent = send(loaded, senders=_LAG_SENDERS, every_s=sizes.lag_batch / rate)
        ended_at = now()
        again = make(event_count=sizes.events, after=len(full) + len(loaded))
        after = send(again, senders=_SENDERS).applied_rate
        dwells = _read_dwells(url, len(prepared.keys), began_at, ended_at)
    if len(dwells) != sent.event_count:
        raise AssertionError(f"{len(dwells)} of {sent.event_count} events were applied")
    capacity, offered = (before + after) / 2, sent.event_count / sent.acknowledged_s
    return Turn(
        capacity, offered, offered / capacity, _rank(dwells, 0.5), _rank(dwells, 0.99), sent.late_s
    )


def _prepare(databases: Databases, kind: str, count: int) -> Prepared:
    url = databases.copy(databases.urls[kind])
    store = open_store(url)
    keys = prepare_environments(store, count)
    with snapshot(store) as connection:
        tables = [one for one in SQLModel.metadata.sorted_tables if "environment_id" in one.c]
        empty = tuple(
            table
            for table in tables
            if not connection.execute(
                select(func.count()).select_from(table), execution_options=_CROSSING
            ).scalar()
        )
    close_store(store)
    return Prepared(kind, url, keys, empty)


def _measure_cell(
    databases: Databases, prepared: Prepared, size: int, *, event_count: int
) -> list[Figure]:
    """Send and await; then the bare inserts of all rows that are there, in as many transactions."""
    name = f"{prepared.kind}, {len(prepared.keys)} environments, batches of {size:,}"
    tell(f"  {name}")
    batches = _make_batches(prepared.keys, size=size, event_count=event_count)
    with _served_copy(databases, prepared) as (url, server):
        sent = _send_all(server, prepared.keys, batches, senders=_SENDERS)
        rows = _read_rows(url, prepared.empty)
    bare_s = _insert_bare(databases, prepared, rows, transactions=len(batches))
    return [
        Figure(f"{name}: acknowledged", sent.event_count / sent.acknowledged_s, "events/s"),
        Figure("... applied", sent.event_count / sent.applied_s, "events/s"),
        Figure("... bare inserts of all rows", sent.event_count / bare_s, "events/s"),
        Figure("... applied / bare inserts", bare_s / sent.applied_s, "ratio"),
    ]


def _make_batches(
    keys: dict[str, str], *, size: int, event_count: int, after: int = 0
) -> list[Batch]:
    """Batches of all environments in turn; whole ones, and as many for each environment.

    after: how many batches were made already, of the same size
    """
    first = after // len(keys)
    last = first + ceil(event_count / (size * len(keys)))
    events = make_events(_HISTORY)
    if last * size > len(events):
        raise AssertionError(f"{last * size} events of an environment are more than there are")
    bodies = [
        gzip.compress(b"\n".join(map(orjson.dumps, events[n * size : (n + 1) * size])), 1)
        for n in range(first, last)
    ]
    return [(name, body) for body in bodies for name in keys]


@contextmanager
def _served_copy(databases: Databases, prepared: Prepared) -> Iterator[tuple[str, Server]]:
    """A copy of a database with its server and its worker."""
    url = databases.copy(prepared.url)
    try:
        if prepared.kind == "SQLite":
            with serve_product(url) as server:
                yield url, server
        else:
            with serve_product(url, worker=False) as server, work_beside(url):
                _await_worker(url)
                yield url, server
    finally:
        databases.drop(url)


def _await_worker(url: str) -> None:
    """Wait until a worker has counted its start."""
    store = open_store(url)
    epoch = select(table_of(Scheduler).c.epoch)
    ends_at = time.monotonic() + 60
    while True:
        with snapshot(store) as connection:
            if connection.execute(epoch).scalar():
                break
        if time.monotonic() > ends_at:
            raise TimeoutError("the worker does not start")
        time.sleep(0.05)
    close_store(store)


def _send_all(
    server: Server,
    keys: dict[str, str],
    batches: Sequence[Batch],
    *,
    senders: int,
    every_s: float = 0.0,
) -> Sent:
    """Send over several connections, as fast as it goes or one batch in so many seconds."""
    todo: queue.SimpleQueue[tuple[float, Batch]] = queue.SimpleQueue()
    accepted: list[int] = []
    late: list[float] = []
    with server.client(next(iter(keys.values()))) as client:
        await_applied(client)
    started = time.monotonic()
    for number, batch in enumerate(batches):
        todo.put((number * every_s, batch))

    def send() -> None:
        with server.client() as client:
            for due_s, (name, body) in _taken(todo):
                time.sleep(max(started + due_s - time.monotonic(), 0))
                late.append(time.monotonic() - started - due_s)
                client.key = keys[name]
                accepted.append(_send_body(client, body))

    _run_beside([send] * senders)
    acknowledged_s = time.monotonic() - started
    for key in keys.values():
        with server.client(key) as client:
            await_applied(client)
    applied_s = time.monotonic() - started
    if len(accepted) != len(batches):
        raise AssertionError(f"{len(accepted)} of {len(batches)} batches were accepted")
    return Sent(sum(accepted), acknowledged_s, applied_s, max(late))


def _taken(todo: "queue.SimpleQueue[Any]") -> Iterator[Any]:
    """Whatever is left, until nothing is."""
    while True:
        try:
            yield todo.get_nowait()
        except queue.Empty:
            return


def _run_beside(works: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _send_body(client: Client, body: bytes) -> int:
    """Send a compressed batch; gives how many events were accepted, which must be all."""
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    reply = client.ask("POST", "/v1/events", body=body, headers=headers)
    if reply.status != 202:
        raise AssertionError(f"{reply.status} {reply.body[:500]!r}")
    receipt = orjson.loads(reply.body)
    if receipt["accepted"] != receipt["received"]:
        raise AssertionError(f"not all of a batch was accepted: {reply.body[:500]!r}")
    return int(receipt["accepted"])


def _read_rows(url: str, tables: Sequence[Table]) -> list[tuple[Table, Sequence[Any]]]:
    store = open_store(url)
    with snapshot(store) as connection:
        rows = [
            (table, connection.execute(select(table), execution_options=_CROSSING).all())
            for table in tables
        ]
    close_store(store)
    return rows


def _insert_bare(
    databases: Databases,
    prepared: Prepared,
    rows: Sequence[tuple[Table, Sequence[Any]]],
    *,
    transactions: int,
) -> float:
    """The seconds of inserting rows that are known already, an even share in each transaction."""
    with databases.opened_copy(prepared.url) as store:
        started = time.monotonic()
        for number in range(transactions):
            with transaction(store) as connection:
                for table, found in rows:
                    share = slice(
                        len(found) * number // transactions,
                        len(found) * (number + 1) // transactions,
                    )
                    insert_rows(connection, table, tuple(table.c.keys()), found[share])
        return time.monotonic() - started


def _read_dwells(
    url: str, environments: int, began_at: datetime, ended_at: datetime
) -> list[float]:
    """The seconds from received to applied of the events received in a time, in order."""
    store = open_store(url)
    event = table_of(Journal).c
    dwells = []
    with snapshot(store) as connection:
        for number in range(1, environments + 1):
            wanted = select(event.received_at, event.applied_at).where(
                event.environment_id == number, event.received_at.between(began_at, ended_at)
            )
            dwells += [(b - a).total_seconds() for a, b in connection.execute(wanted)]
    close_store(store)
    return sorted(dwells)


def _rank(ordered: Sequence[float], share: float) -> float:
    """The value of the nearest rank."""
    return ordered[ceil(len(ordered) * share) - 1]
