"""The feed: pages of every kind and small requests, beside bare applications on the same database;
what a known plan saves; and what a row costs in small and large databases.

The product and the bare application are servers of one process each; they take turns, and are
started several times.
"""

import json
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import orjson

from bench.filler import filled_database
from bench.flat import run_flat
from bench.inside import Inside, open_inside
from bench.known import run_known
from bench.measure import ROUNDS, Figure, interleave, processor_s, tell
from bench.questions import EXPANDED, SMALL, WALKED, Small, Walked, encode_query
from bench.server import Client, serve_bare, serve_product

_PAGES = 12
_METADATA = "/odata/v4/$metadata"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is asked for, and how often.

    starts: of the servers; where a process lies in memory decides how its caches serve it, as long
        as it lives
    """

    rows: int = 1_000_000
    page_rows: int = 5_000
    walk_s: float = 0.5
    calls: int = 100
    rounds: int = ROUNDS
    starts: int = 5

    @property
    def prefer(self) -> str:
        """What asks for such pages."""
        return f"odata.maxpagesize={self.page_rows}"


_USUAL = Sizes()


@dataclass(frozen=True, slots=True)
class Pages:
    """Pages of one walk: their paths in the product, and the statements behind them."""

    paths: tuple[str, ...]
    sql: str
    values: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class Servers:
    """A client of each server, and their processes."""

    sizes: Sizes
    product: Client
    product_pid: int
    bare: Client
    bare_pid: int


def run_feed() -> list[Figure]:
    """Everything that the issue of the feed wants to be measured."""
    return [*run_requests(), *run_flat()]


def run_requests(sizes: Sizes = _USUAL) -> list[Figure]:
    """Pages and small requests beside the bare application, and what a known plan saves."""
    database = filled_database(sizes.rows)
    with open_inside(database) as inside:
        walks = {walked.name: _capture_pages(inside, walked, sizes) for walked in WALKED}
        for small in (*SMALL, EXPANDED):
            _compare(inside, database, small)
        metadata = inside.ask(_METADATA).decode()
        figures = run_known(inside)
        key = inside.key
    started = []
    for number in range(sizes.starts):
        tell(f" start {number + 1} of {sizes.starts}")
        with _serve_both(database, sizes, key=key, walks=walks, metadata=metadata) as servers:
            started.append(list(_measure_all(servers, walks)))
    return figures + [_middle_of(same) for same in zip(*started, strict=True)]


def _measure_all(servers: Servers, walks: dict[str, Pages]) -> Iterator[Figure]:
    for name, pages in walks.items():
        tell(f" pages, {name}")
        yield from _measure_pages(servers, name, pages)
    for small in SMALL:
        tell(f" {small.name}")
        yield from _measure_small(servers, small.name, small.asked)
    yield from _measure_small(servers, "$metadata", lambda _: _METADATA)
    tell(f" {EXPANDED.name}")
    yield from _measure_expanded(servers)


def _middle_of(figures: Sequence[Figure]) -> Figure:
    """One figure of several starts."""
    return replace(figures[0], value=median(figure.value for figure in figures))


# Before the servers run: what they are asked, and whether both say the same


def _capture_pages(inside: Inside, walked: Walked, sizes: Sizes) -> Pages:
    """Walk the first pages in this process, and note each page's own statement."""
    paths: list[str] = []
    statements: list[tuple[str, tuple[Any, ...]]] = []
    following: str | None = walked.path
    while following and len(paths) < _PAGES:
        paths.append(following)
        inside.run.clear()
        page = orjson.loads(inside.ask(following, prefer=sizes.prefer))
        statements.append(next(one for one in inside.run if "group_concat" in one[0]))
        link = urlsplit(page.get("@odata.nextLink", ""))
        following = f"{link.path}?{link.query}" if link.query else None
    # The first page is another statement: it has no place to seek to.
    sql = statements[1][0]
    later = [values for text, values in statements if text == sql]
    if len(later) < len(paths) - 1:
        raise AssertionError(f"{walked.name}: the pages are not one statement")
    return Pages(tuple(paths[1:]), sql, tuple(later))


def _compare(inside: Inside, database: Path, small: Small) -> None:
    """Say where the product and the SQL by hand give different rows.

    Raises: AssertionError
    """
    told = orjson.loads(inside.ask(small.asked(1)))
    with closing(sqlite3.connect(database)) as connection:
        values = (small.value(1),) if "?" in small.by_hand else ()
        found = connection.execute(small.by_hand, values).fetchone()[0]
    by_hand = orjson.loads(f"[{found}]")
    if isinstance(told, dict):
        rows = told.get("value", [told])
        told = [{n: v for n, v in row.items() if "@" not in n} for row in rows]
    else:
        told = [told]
    if told != by_hand or not told:
        raise AssertionError(f"{small.name}: {str(told)[:300]} against {str(by_hand)[:300]}")


@contextmanager
def _serve_both(
    database: Path, sizes: Sizes, *, key: str, walks: dict[str, Pages], metadata: str
) -> Iterator[Servers]:
    known: dict[str, Any] = {
        encode_name(name): {"sql": pages.sql, "values": pages.values}
        for name, pages in walks.items()
    }
    for small in (*SMALL, EXPANDED):
        values = [[small.value(number)] for number in range(small.most)]
        bound = values if "?" in small.by_hand else [[]]
        known[encode_name(small.name)] = {"sql": small.by_hand, "values": bound}
    known[encode_name("$metadata")] = {"text": metadata}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(known, file)
        file.flush()
        with (
            serve_product(database, worker=False) as product,
            serve_bare(
                "bench.baselines:make_replay",
                database=f"sqlite:///{database}",
                statements=file.name,
            ) as bare,
            product.client(key) as asked,
            bare.client() as asked_bare,
        ):
            yield Servers(sizes, asked, product.pid, asked_bare, bare.pid)


def encode_name(name: str) -> str:
    """A name as a part of a path."""
    return encode_query("-".join(name.replace(",", "").replace("$", "").split()))


# Beside one another


def _measure_pages(servers: Servers, name: str, pages: Pages) -> list[Figure]:
    """Rows a second of the same pages from both; the first page's path is asked by neither."""
    size = len(pages.paths)
    bare_paths = [f"/{encode_name(name)}/{place}" for place in range(size)]
    headers = {"Prefer": servers.sizes.prefer}
    rows = [_count_rows(servers.product, path, headers) for path in pages.paths]
    theirs = [_count_rows(servers.bare, path, {}) for path in bare_paths]
    if rows != theirs or not sum(rows):
        raise AssertionError(f"{name}: pages of {rows} rows against {theirs}")
    # As often as takes a while, or a moment's noise decides.
    times = max(1, round(servers.sizes.walk_s / _ask_all(servers.bare, bare_paths, {})))
    asked = sum(rows) * times
    medians = interleave(
        {
            "product": lambda: asked / _ask_all(servers.product, pages.paths * times, headers),
            "bare": lambda: asked / _ask_all(servers.bare, bare_paths * times, {}),
        },
        rounds=servers.sizes.rounds,
    )
    ratio = medians["product"] / medians["bare"]
    return [
        Figure(f"pages, {name}", medians["product"], "rows/s"),
        Figure(f"pages, {name}, bare", medians["bare"], "rows/s"),
        Figure(f"pages, {name} / bare", ratio, "ratio", 0.8),
    ]


def _count_rows(client: Client, path: str, headers: dict[str, str]) -> int:
    reply = client.ask("GET", path, headers=headers)
    if reply.status != 200:
        raise AssertionError(f"{path}: {reply.status} {reply.body[:300]!r}")
    return len(orjson.loads(reply.body)["value"])


def _ask_all(client: Client, paths: Sequence[str], headers: dict[str, str]) -> float:
    """The seconds that these requests take, one after the other."""
    started = time.monotonic()
    for path in paths:
        reply = client.ask("GET", path, headers=headers)
        if reply.status != 200:
            raise AssertionError(f"{path}: {reply.status} {reply.body[:300]!r}")
    return time.monotonic() - started


def _time_calls(
    client: Client, pid: int, asked: Callable[[int], str], used: list[float], *, calls: int
) -> float:
    """The seconds of a request, on the average of many for different things; the processor time
    of its server goes to `used`.
    """
    paths = [asked(number * 37 % 9_973) for number in range(calls)]
    before = processor_s(pid)
    taken = _ask_all(client, paths, {}) / calls
    used.append((processor_s(pid) - before) / calls)
    return taken


def _measure_calls(
    servers: Servers, name: str, asked: Callable[[int], str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Milliseconds of a request by the clock and of its server's processor, by who answers."""
    used: dict[str, list[float]] = {"product": [], "bare": []}
    bare_path = f"/{encode_name(name)}/{{0}}"
    timed = partial(_time_calls, calls=servers.sizes.calls)
    medians = interleave(
        {
            "product": partial(timed, servers.product, servers.product_pid, asked, used["product"]),
            "bare": partial(timed, servers.bare, servers.bare_pid, bare_path.format, used["bare"]),
        },
        rounds=servers.sizes.rounds,
    )
    return (
        {who: taken * 1e3 for who, taken in medians.items()},
        {who: min(taken) * 1e3 for who, taken in used.items()},
    )


def _measure_small(servers: Servers, name: str, asked: Callable[[int], str]) -> list[Figure]:
    """Milliseconds of a request beyond those of the bare application."""
    taken, used = _measure_calls(servers, name, asked)
    more, worked = taken["product"] - taken["bare"], used["product"] - used["bare"]
    return [
        Figure(name, taken["product"], "ms"),
        Figure(f"{name}, beyond bare", more, "ms", 1, at_most=True),
        Figure(f"{name}, beyond bare, processor time", worked, "ms"),
    ]


def _measure_expanded(servers: Servers) -> list[Figure]:
    """How many times the join by hand."""
    taken, used = _measure_calls(servers, EXPANDED.name, EXPANDED.asked)
    ratio = taken["product"] / taken["bare"]
    worked = used["product"] / used["bare"]
    return [
        Figure(EXPANDED.name, taken["product"], "ms"),
        Figure(f"{EXPANDED.name} / join by hand", ratio, "x", 1.3, at_most=True),
        Figure(f"{EXPANDED.name} / join by hand, processor time", worked, "x"),
    ]
