"""The ledger's share of ingest: the same events accepted, applied and folded with digests, without.

In one process and by its processor time, in turn; the digests are taken out by replacing the two
functions that keep them. Once with events as they come live, once as a history of years.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
from sqlmodel import SQLModel

from app.access.environments import add_environment
from app.base.config import Settings
from app.cli.simulation.company import COMPANIES, SOURCES, make_world
from app.cli.simulation.history import deliver_history
from app.cli.simulation.pen import Event, batched
from app.intake import accept
from app.intake.accept import accept_body
from app.intake.sources import add_source
from app.ledger.buckets import fold_everywhere
from app.processing import journal
from app.processing.drain import drain_all
from app.store.engine import Store, close_store, open_store, schema_transaction, transaction
from bench.exchange import run_exchange
from bench.measure import ROUNDS, Figure, interleave
from bench.verdict import run_verdict

_BATCHES = 10
_LIVE_S = 0.05


def run_ledger() -> list[Figure]:
    """Everything that the ledger costs."""
    return [*run_share(), *run_exchange(), *run_verdict()]


def run_share(*, batch_count: int = _BATCHES, rounds: int = ROUNDS) -> list[Figure]:
    """What digests cost of a second of ingest, by the medians of interleaved rounds."""
    world = make_world(COMPANIES[0], seed=1, until=datetime(2026, 1, 1, tzinfo=UTC))
    history = list(islice(deliver_history(world, seed=1), batch_count * 1_000))
    figures = []
    for name, events in (("live", _as_live(history)), ("history", history)):
        batches = [b"\n".join(map(orjson.dumps, part)) for part in batched(iter(events), 1_000)]
        for stage, then in (("accepted", _rest), ("accepted, applied and folded", _finish)):
            medians = interleave(
                {
                    "with": partial(_measure, batches, digests=True, then=then),
                    "without": partial(_measure, batches, digests=False, then=then),
                },
                rounds=rounds,
            )
            share = 1 - medians["without"] / medians["with"]
            target = 0.15 if name == "live" else None
            told = f"{name}: the ledger's share, {stage}"
            figures.append(Figure(told, share, "ratio", target, at_most=True))
    return figures


def _as_live(events: Sequence[Event]) -> list[Event]:
    """The same events, recorded one after another within minutes."""
    started = datetime(2025, 12, 1, tzinfo=UTC)
    moments = [(started + timedelta(seconds=n * _LIVE_S)).isoformat() for n in range(len(events))]
    return [
        {**event, "time": moment, "recordedtime": moment}
        for event, moment in zip(events, moments, strict=True)
    ]


def _rest(_store: Store, _settings: Settings) -> None:
    """What is accepted is left for later."""


def _finish(store: Store, settings: Settings) -> None:
    drain_all(store, settings)
    while fold_everywhere(store):
        pass


def _measure(
    batches: Sequence[bytes], *, digests: bool, then: Callable[[Store, Settings], None]
) -> float:
    """The seconds of processor time from the first batch to the end."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        url = f"sqlite:///{Path(place) / 'ledger.db'}"
        settings = Settings(_env_file=None, database_url=url, secret="s")  # noqa: S106
        store = open_store(url)
        stack.callback(close_store, store)
        with schema_transaction(store) as connection:
            SQLModel.metadata.create_all(connection)
        with transaction(store) as connection:
            environment_id = add_environment(connection, environment_key="bench")
            for source in SOURCES:
                add_source(connection, environment_id, source_key=source)
        if not digests:
            stack.enter_context(patch.object(accept, "digest_events", _no_elements))
            stack.enter_context(patch.object(journal, "count_applied"))
        started = time.process_time()
        for body in batches:
            accept_body(
                store,
                settings,
                environment_id=environment_id,
                content_type="application/x-ndjson",
                content_encoding=None,
                body=body,
            )
        then(store, settings)
        return time.process_time() - started


def _no_elements(_connection: Any, _environment_id: int, kept: Sequence[Any], **_: Any) -> Any:
    return [None] * len(kept)
