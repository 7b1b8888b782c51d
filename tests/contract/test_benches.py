"""Every benchmark runs at a tiny size, agrees with what it compares with, and gives its figures.
Where SQLite is served, a thread does it, which starts at once.
`real` is left out: its data is not in this repository, and tests/scenario/test_real_data.py sends a
part of it and compares it in the same way.
"""

import math
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import uvicorn

from app.base.config import Settings
from app.main import create_app
from bench import extract, feed, ingest, throughput
from bench.__main__ import BENCHES
from bench.databases import Databases, open_databases
from bench.exchange import run_exchange
from bench.flat import run_flat
from bench.fold import run_families
from bench.group import run_groups
from bench.growth import run_growth
from bench.ledger import run_share
from bench.measure import Figure
from bench.queue import run_overhead
from bench.server import Server, serve_product
from bench.verdict import run_verdict

# They share a server, so they go to one process.
pytestmark = pytest.mark.xdist_group("benches")

_SENT = throughput.Sizes(
    ("SQLite",), events=80, environments=(2,), batches=(20,), turns=1, lag_s=0.5, lag_batch=10
)
_LAGGED = replace(_SENT, kinds=("PostgreSQL",))
_WALKED = extract.Sizes(rows=2_000, page_rows=100, rounds=1)
_ASKED = feed.Sizes(rows=2_000, page_rows=100, walk_s=0.01, calls=3, rounds=1, starts=1)

# By benchmark: its parts, and how many figures each gives.
WITH_SERVER: tuple[tuple[str, Callable[[Databases], list[Figure]], int], ...] = (
    ("extract", partial(extract.run_walks, sizes=_WALKED, kinds=("SQLite",)), 11),
    ("fold", partial(run_families, kinds=("SQLite",), events_each=5, rounds=1), 13 * 3),
    ("group", partial(run_groups, sizes=(400, 800), rounds=1, calls=1), 2 * 2 * 12),
    ("queue", partial(run_overhead, events=60, rounds=1), 2 * 2 * 3),
    ("queue", partial(throughput.run_throughput, sizes=_SENT), 4),
    ("queue", partial(throughput.run_lag, sizes=_LAGGED), 7),
    ("queue", partial(run_growth, sizes=(500, 1_000), rounds=1), 2 * 9),
)
ALONE: tuple[tuple[str, Callable[[], list[Figure]], int], ...] = (
    ("feed", partial(feed.run_requests, _ASKED), 7 + 5 * 3 + 5 * 3 + 3),
    ("feed", partial(run_flat, sizes=(500, 1_000), page_rows=100, rounds=1), 6 * 3),
    ("ingest", partial(ingest.run_ingest_bench, batch_count=2, batch=20, rounds=1), 8),
    ("ledger", partial(run_share, batch_count=1, rounds=1), 4),
    ("ledger", partial(run_exchange, events=1_000), 4),
    ("ledger", partial(run_verdict, streams=26, buckets=(2,), rounds=10), 4),
)


@pytest.fixture(scope="module", autouse=True)
def folder() -> Iterator[str]:
    """Where the files of benchmarks lie, so that none is found that was made by another run."""
    with tempfile.TemporaryDirectory(prefix="fb") as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", place)
        yield place


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve SQLite from this process: to start another takes longer than what is tried."""

    def choose(database: Path | str, *, worker: bool = True) -> AbstractContextManager[Server]:
        if str(database).startswith("postgresql"):
            return serve_product(database, worker=worker)
        return serve_here(database, worker=worker)

    for bench in (extract, feed, ingest, throughput):
        monkeypatch.setattr(bench, "serve_product", choose)


@contextmanager
def serve_here(database: Path | str, *, worker: bool) -> Iterator[Server]:
    url = database if isinstance(database, str) else f"sqlite:///{database}"
    application = create_app(Settings(_env_file=None, database_url=url), worker=worker)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield Server(os.getpid(), listening.getsockname()[1])
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def databases(folder: str) -> Iterator[Databases]:
    with open_databases() as opened:
        yield opened


@pytest.mark.parametrize(("name", "run", "count"), WITH_SERVER)
def test_a_benchmark_of_both_databases_gives_its_figures(
    databases: Databases, name: str, run: Callable[[Databases], list[Figure]], count: int
) -> None:
    check_figures(run(databases), count)


@pytest.mark.parametrize(("name", "run", "count"), ALONE)
def test_a_benchmark_gives_its_figures(
    name: str, run: Callable[[], list[Figure]], count: int
) -> None:
    check_figures(run(), count)


def check_figures(figures: list[Figure], count: int) -> None:
    """As many as there should be, each with a name, a finite number, and its target judged."""
    assert len(figures) == count
    for figure in figures:
        assert figure.what
        assert math.isfinite(figure.value)
        assert (figure.is_met is None) == (figure.target is None)


def test_no_benchmark_is_forgotten() -> None:
    tried = {name for name, *_ in (*WITH_SERVER, *ALONE)}
    assert {name for name, *_ in BENCHES} == tried | {"real"}
