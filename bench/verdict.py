"""What the verdict costs a request: 1,000 streams, a month and a year of buckets in each."""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from sqlalchemy import Table

from app.learning.modules import STREAM_NAMES
from app.ledger.facts import read_freshness
from app.ledger.verdict import State
from app.store.dialect import insert_rows
from app.store.engine import Store, close_store, open_store, snapshot, transaction
from app.store.evidence import note_evidence
from app.store.tables import Bucket, Heartbeat, Source, Stream, StreamState, Tally
from app.store.tables.columns import table_of
from bench.measure import Figure, tell
from bench.server import prepare_database

_NOW = datetime(2025, 5, 24, 12, tzinfo=UTC)
_DAY = timedelta(days=1)
_STREAMS = 1_000
_BUCKETS = (30, 365)
_ROUNDS = 200
_WARM_MS = 1.0
_EMPTY = b"\0" * 32
Row = dict[str, Any]
Key = tuple[int, str]
"""(a source's number, a stream)"""


def run_verdict(
    *, streams: int = _STREAMS, buckets: Sequence[int] = _BUCKETS, rounds: int = _ROUNDS
) -> list[Figure]:
    """Judge all streams, and those of one module type, kept and read anew, at two sizes."""
    figures = []
    keys = [
        (1 + number // len(STREAM_NAMES), STREAM_NAMES[number % len(STREAM_NAMES)])
        for number in range(streams)
    ]
    for days in buckets:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "verdict.db"
            prepare_database(path, ["bench"], source="s0")
            store = open_store(f"sqlite:///{path}")
            tell(f"  writing {streams * days:,} buckets")
            _fill(store, keys, days)
            figures += _measure(store, keys, days, rounds=rounds)
            close_store(store)
    return figures


def _measure(store: Store, keys: Sequence[Key], days: int, *, rounds: int) -> list[Figure]:
    figures = []
    few = ("quest", "assignments")
    some = sum(name in few for _, name in keys)
    for names, what in ((STREAM_NAMES, f"all {len(keys):,} streams"), (few, f"{some}")):
        kept = _median_ms(partial(_judge, store, names), rounds=rounds)
        fresh = _median_ms(partial(_judge_anew, store, names), rounds=rounds // 10)
        told = f"{what}, {days} buckets each"
        figures.append(Figure(f"verdict over {told}", kept, "ms", _WARM_MS, at_most=True))
        figures.append(Figure(f"... read anew after evidence changed, {told}", fresh, "ms"))
    return figures


def _judge(store: Store, names: tuple[str, ...]) -> float:
    with snapshot(store) as connection:
        started = perf_counter()
        freshness = read_freshness(connection, 1, names, now=_NOW)
        taken = perf_counter() - started
    if freshness.verdict.state is not State.COMPLETE:
        raise SystemExit(f"the verdict is {freshness.verdict}, so the wrong thing was measured")
    return taken


def _judge_anew(store: Store, names: tuple[str, ...]) -> float:
    with transaction(store) as connection:
        note_evidence(connection, 1)
    return _judge(store, names)


def _median_ms(measure: Callable[[], float], *, rounds: int) -> float:
    measure()
    return statistics.median(measure() for _ in range(rounds)) * 1000


def _fill(store: Store, keys: Sequence[Key], days: int) -> None:
    since, through = _NOW.replace(hour=0) - days * _DAY, _NOW.replace(hour=0)
    with transaction(store) as connection:
        for table in (table_of(Tally), table_of(Stream), table_of(Source)):
            connection.execute(table.delete().where(table.c.environment_id == 1))
        _insert(connection, table_of(Source), [_source(n) for n in range(1, keys[-1][0] + 1)])
        _insert(connection, table_of(Heartbeat), [_beat(n) for n in range(1, keys[-1][0] + 1)])
        _insert(connection, table_of(Stream), [_contract(key, since) for key in keys])
        _insert(connection, table_of(StreamState), [_state(key, through) for key in keys])
        _insert(connection, table_of(Tally), [_tally(key) for key in keys])
        for key in keys:
            buckets = [_bucket(key, since + day * _DAY) for day in range(days)]
            _insert(connection, table_of(Bucket), buckets)


def _insert(connection: Any, table: Table, rows: list[Row]) -> None:
    columns = tuple(rows[0])
    insert_rows(connection, table, columns, [tuple(row.values()) for row in rows])


def _source(number: int) -> Row:
    return {
        "environment_id": 1,
        "source_id": number,
        "source_key": f"s{number}",
        "kind": "push",
        "takes_occurred_at": False,
        "created_at": _NOW,
    }


def _beat(number: int) -> Row:
    return {
        "environment_id": 1,
        "source_id": number,
        "beat": 1,
        "sent_at": _NOW,
        "received_at": _NOW,
        "transport_s": 0.1,
    }


def _contract(key: tuple[int, str], since: datetime) -> Row:
    return {
        "environment_id": 1,
        "source_id": key[0],
        "stream": key[1],
        "from_at": since,
        "bucket_s": 86_400,
        "close_delay_s": 120,
        "grace_s": 180,
        "objective_s": 26 * 3600,
        "heartbeat_s": 60,
        "lateness_s": 86_400,
        "stall_s": 1800,
        "skew_s": 300,
        "required_anchor": "outbox",
        "shards": '[""]',
    }


def _state(key: tuple[int, str], through: datetime) -> Row:
    return {
        "environment_id": 1,
        "source_id": key[0],
        "stream": key[1],
        "declared_through": through,
        "matched_through": through,
        "anchored_through": through,
        "folded_delta_id": 0,
        "declared": 1000,
        "missing": 0,
        "surplus": 0,
        "is_weak": False,
        "weak_buckets": 0,
        "backlog": 0,
        "closed_through": through,
        "closed_moved_at": through,
    }


def _tally(key: tuple[int, str]) -> Row:
    counted = dict.fromkeys(("received", "accepted", "applied"), 1000)
    others = ("duplicate", "conflict", "rejected", "superseded", "dead", "waived", "erased")
    row = {"environment_id": 1, "source_id": key[0], "stream": key[1]}
    return {**row, **counted, **dict.fromkeys(others, 0)}


def _bucket(key: tuple[int, str], since: datetime) -> Row:
    return {
        "environment_id": 1,
        "source_id": key[0],
        "stream": key[1],
        "from_at": since,
        "to_at": since + _DAY,
        "due_at": since + _DAY,
        "declared": 100,
        "declared_sum": _EMPTY,
        "accepted": 100,
        "applied": 100,
        "applied_sum": _EMPTY,
        "anchor": "record",
        "is_anchored": True,
        "is_weak": False,
        "state": "matched",
        "missing": 0,
        "surplus": 0,
        "weak": 0,
        "changed_at": since,
    }
