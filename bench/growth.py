"""How the queue's costs grow with the journal: 100,000, 1,000,000 and 5,000,000 applied events.

The journals are filled by SQL with five events to an assignment and its finished work; what is
measured takes turns between them: a claim, an accepted batch, a quantum applied.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count, islice
from random import Random
from typing import Any

from sqlalchemy import Connection, bindparam, text

from app.base.clock import now
from app.base.config import Settings
from app.intake.accept import accept_items
from app.processing.drain import drain_once
from app.processing.queue import claim_turn
from app.store.engine import Store, close_store, open_store, rehearsal, transaction
from app.store.tables.columns import UtcDateTime
from bench.databases import KINDS, Databases
from bench.measure import ROUNDS, Figure, interleave, tell
from bench.plans import Explained, explain_statements
from bench.server import prepare_store

_SIZES = (100_000, 1_000_000, 5_000_000)
ENVIRONMENTS = 10
_BATCH = 1_000
_CLAIMS = 10
_CHUNK = 100_000
_EACH = 5  # events to an entity, spread over a block of the journal
_BLOCK = 10_000
_WANTED_GROWTH = 1.5
_CROSSING = {"across_environments": "a benchmark fills the journals of all environments"}
_WHEN = datetime(2025, 1, 1, tzinfo=UTC)
_LEARNER = f"'u' || ((i / {_BLOCK}) * {_BLOCK // _EACH} + i % {_BLOCK // _EACH})"
_EVENTS = f"""
    WITH RECURSIVE n(i) AS (
        SELECT CAST(:first AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i < :last
    )
    INSERT INTO event (environment_id, seq, source_id, event_id, type, stream, entity_key,
        occurred_at, recorded_at, received_at, applied_at, sequence, digest, data_digest, data,
        disposition, element)
    SELECT :environment, i + 1, 1, 'old-' || (1000000000 + i), 'progress.started', 'quest',
        'assignment:["' || {_LEARNER} || '","m1","",1]', :moment, :moment, :moment, :moment, 0,
        :digest, '', '{{"learner":"' || {_LEARNER} || '","module":"m1","module_type":"quest"}}',
        1, :digest
    FROM n
"""
_WORK = """
    INSERT INTO work (environment_id, entity_key, dirty_seq, done_seq, ready_at, lease_token,
        attempts, lane, since_seq)
    SELECT environment_id, entity_key, max(seq), max(seq), :moment, 1, 0, 0, max(seq) + 1
    FROM event WHERE environment_id = :environment GROUP BY environment_id, entity_key
"""
_COUNTER = "UPDATE environment SET last_seq = :last WHERE environment_id = :environment"


@dataclass(frozen=True, slots=True)
class Journal:
    """A filled database.

    size: the events in it
    numbers: of the events that are sent to it
    """

    size: int
    store: Store
    settings: Settings
    numbers: Iterator[int] = field(default_factory=count)
    random: Random = field(default_factory=lambda: Random(1))

    def next_batch(self) -> list[dict[str, Any]]:
        """Events of which every other one is of an assignment that the journal knows."""
        known = max(self.size // ENVIRONMENTS // _EACH, 1)
        return [
            _make_event(number, f"u{self.random.randrange(known)}" if number % 2 else f"n{number}")
            for number in islice(self.numbers, _BATCH)
        ]


def run_growth(
    databases: Databases, *, sizes: Sequence[int] = _SIZES, rounds: int = ROUNDS
) -> list[Figure]:
    """One database after the other; what was filled is gone before the next begins."""
    figures = []
    for kind in KINDS:
        with ExitStack() as stack:
            journals = [
                stack.enter_context(_filled_journal(databases, kind, size)) for size in sizes
            ]
            for journal in journals:
                _accept(journal)
            _tell_plans(kind, journals[-1])
            figures += _measure(kind, journals, rounds=rounds)
    return figures


def _measure(kind: str, journals: list[Journal], *, rounds: int) -> list[Figure]:
    measures: dict[str, Callable[[], float]] = {}
    for journal in journals:
        measures[f"claim {journal.size}"] = partial(_claim, journal)
        measures[f"apply {journal.size}"] = partial(_apply, journal)
        measures[f"accept {journal.size}"] = partial(_accept, journal)
    medians = interleave(measures, rounds=rounds)
    names = {
        "claim": "a claim",
        "accept": f"a batch of {_BATCH:,} accepted",
        "apply": "a quantum applied",
    }
    figures = []
    for name, words in names.items():
        told = [medians[f"{name} {journal.size}"] for journal in journals]
        figures += [
            Figure(f"{kind}, {journal.size:,} events: {words}", seconds * 1e3, "ms")
            for journal, seconds in zip(journals, told, strict=True)
        ]
        ends = f"{journals[-1].size:,} / {journals[0].size:,}"
        target = _WANTED_GROWTH if name == "claim" else None
        grown = told[-1] / told[0]
        figures.append(Figure(f"{kind}, {words}: {ends}", grown, "x", target, at_most=True))
    return figures


def _claim(journal: Journal) -> float:
    """The seconds of a claim, each of which is taken back."""
    seconds = 0.0
    for _ in range(_CLAIMS):
        with rehearsal(journal.store) as connection:
            started = time.perf_counter()
            claim = claim_turn(connection, now=now())
            seconds += time.perf_counter() - started
        if claim is None:
            raise AssertionError("nothing was ready")
    return seconds / _CLAIMS


def _apply(journal: Journal) -> float:
    """The seconds of a quantum, on the average of those that work all off."""
    started, quantum_count = time.perf_counter(), 0
    while drain_once(journal.store, journal.settings) is not None:
        quantum_count += 1
    return (time.perf_counter() - started) / quantum_count


def _accept(journal: Journal) -> float:
    """The seconds of accepting a batch in one environment, and that it was."""
    items = journal.next_batch()
    started = time.perf_counter()
    receipt = accept_items(journal.store, journal.settings, environment_id=1, items=items)
    seconds = time.perf_counter() - started
    if receipt.accepted != len(items):
        raise AssertionError(f"{receipt.accepted} of {len(items)} were accepted")
    return seconds


def _tell_plans(kind: str, journal: Journal) -> None:
    tell(f"  {kind}: the statements of a claim, {journal.size:,} events")
    with rehearsal(journal.store) as connection:
        for explained in explain_claim(connection):
            tell(f"    {_shorten(explained.statement)}")
            for line in explained.plan:
                tell(f"      | {line}")


def _shorten(statement: str) -> str:
    """A statement on one line, with one mark for a list of them."""
    marks = re.sub(
        r"(\?|%(\(\w+\))?s)(::\w+)?(, \1(::\w+)?|, %\(\w+\)s(::\w+)?)+", "...", statement
    )
    return " ".join(marks.split())


def explain_claim(connection: Connection) -> list[Explained]:
    """The plans of the statements of a claim."""
    return explain_statements(connection, lambda open_one: claim_turn(open_one, now=now()))


@contextmanager
def _filled_journal(databases: Databases, kind: str, size: int) -> Iterator[Journal]:
    started = time.monotonic()
    url = databases.copy(databases.urls[kind])
    store = open_store(url)
    prepare_store(store, [f"bench-{n}" for n in range(ENVIRONMENTS)], source="bench")
    for number in range(1, ENVIRONMENTS + 1):
        fill_journal(store, number, size // ENVIRONMENTS)
    if kind == "PostgreSQL":
        databases.run_admin("VACUUM ANALYZE", database=url.rpartition("/")[2].partition("?")[0])
    tell(f"  {kind}: {size:,} events in {time.monotonic() - started:.0f} s")
    yield Journal(size, store, Settings(_env_file=None))
    close_store(store)
    databases.drop(url)


def fill_journal(store: Store, environment_id: int, event_count: int) -> None:
    """Write so many applied events and the finished work of their entities, by SQL."""
    moment = bindparam("moment", _WHEN, type_=UtcDateTime())
    for first in range(0, event_count, _CHUNK):
        with transaction(store) as connection:
            connection.execute(
                text(_EVENTS).bindparams(moment),
                {
                    "first": first,
                    "last": min(first + _CHUNK, event_count) - 1,
                    "environment": environment_id,
                    "digest": bytes(32),
                },
                execution_options=_CROSSING,
            )
    with transaction(store) as connection:
        values = {"environment": environment_id}
        connection.execute(text(_WORK).bindparams(moment), values, execution_options=_CROSSING)
        values["last"] = event_count
        connection.execute(text(_COUNTER), values, execution_options=_CROSSING)


def _make_event(number: int, learner_key: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"new-{number}",
        "source": "bench",
        "type": "progress.advanced",
        "time": _WHEN.isoformat(),
        "data": {
            "learner": learner_key,
            "module": "m1",
            "module_type": "quest",
            "percent": number % 100,
        },
    }
