"""The extract: LearnerProgress walked over OData, beside the bare and the usual way to serve it.

Three servers of one process each on one database, pages of 5,000; a round walks all rows with the
product and the bare application, and a tenth of them with the usual one.
"""

import json
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.access.keys import check_key, issue_key
from app.base.config import Settings
from app.query.answer import run_plan
from app.query.plan import make_plan
from app.query.request import Request
from app.store.engine import Store, close_store, open_store, snapshot, transaction
from bench.databases import KINDS, Databases, open_databases
from bench.filler import filled_address
from bench.measure import ROUNDS, Figure, interleave, memory_bytes
from bench.plans import noted_questions
from bench.server import Client, serve_bare, serve_product

_USUAL_SHARE = 10
_PAGE_ROUNDS = 40
_WANTED = {"SQLite": (0.8, 10), "PostgreSQL": (0.8, 4)}
_SET = "/odata/v4/LearnerProgress"
_WRITES_ROWS = re.compile("group_concat|string_agg")
_NEXT_LINK = re.compile(rb'"@odata\.nextLink":"([^"]+)"')


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is walked, in pages of how many rows, how often."""

    rows: int = 1_000_000
    page_rows: int = 5_000
    rounds: int = ROUNDS

    @property
    def prefer(self) -> dict[str, str]:
        """The header that asks for such pages."""
        return {"Prefer": f"odata.maxpagesize={self.page_rows}"}


_USUAL = Sizes()


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk from the first page to the last.

    second, last: the paths of these pages; the very first has no place to seek
    memory_bytes: of the server, after each tenth page
    """

    row_count: int
    seconds: float
    second: str
    last: str
    memory_bytes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Servers:
    """A client of each server, and the product's process."""

    sizes: Sizes
    product: Client
    product_pid: int
    bare: Client
    usual: Client


def run_extract() -> list[Figure]:
    """The three side by side on SQLite and PostgreSQL."""
    with open_databases() as databases:
        return run_walks(databases)


def run_walks(
    databases: Databases, sizes: Sizes = _USUAL, *, kinds: Sequence[str] = KINDS
) -> list[Figure]:
    """The three side by side; on SQLite also memory over a walk, and the first page against the
    last.
    """
    figures = []
    for kind in kinds:
        address = filled_address(databases, kind, sizes.rows)
        key, statement = _capture(address, sizes)
        with _serve_all(address, sizes, key=key, statement=statement) as servers:
            figures += _measure_beside(servers, kind)
            if kind == "SQLite":
                figures += _measure_walk(servers)
    return figures


def _measure_beside(servers: Servers, kind: str) -> list[Figure]:
    """Rows a second of the three."""
    least, times = _WANTED[kind]
    sizes = servers.sizes
    walk = walk_feed(servers)
    if walk.row_count != sizes.rows:
        raise AssertionError(f"the feed gave {walk.row_count} rows of {sizes.rows}")
    medians = interleave(
        {
            "product": lambda: sizes.rows / walk_feed(servers).seconds,
            "bare": lambda: _walk_pages(servers.bare, sizes, rows=sizes.rows),
            "usual": lambda: _walk_pages(servers.usual, sizes, rows=sizes.rows // _USUAL_SHARE),
        },
        rounds=sizes.rounds,
    )
    bare, usual = (medians["product"] / medians[name] for name in ("bare", "usual"))
    return [
        Figure(f"{kind}: OData, pages of {sizes.page_rows:,}", medians["product"], "rows/s"),
        Figure(f"{kind}: bare ASGI application, the same SQL", medians["bare"], "rows/s"),
        Figure(f"{kind}: ORM and pydantic endpoint, the same fields", medians["usual"], "rows/s"),
        Figure(f"{kind}: OData / bare", bare, "ratio", least),
        Figure(f"{kind}: OData / ORM and pydantic", usual, "ratio", times),
    ]


def _measure_walk(servers: Servers) -> list[Figure]:
    """Memory over a walk, and the first page against the last."""
    again = walk_feed(servers)
    pages = (_SET, again.second, again.last)
    first_s, second_s, last_s = _time_pages(servers, pages)
    settled = again.memory_bytes[len(again.memory_bytes) // 5 :]
    return [
        Figure("memory of the server's own, largest", max(again.memory_bytes) / 2**20, "MiB"),
        Figure(
            "memory, last / first fifth of the walk",
            settled[-1] / settled[0],
            "ratio",
            1.1,
            at_most=True,
        ),
        Figure("first page", first_s * 1_000, "ms"),
        Figure("second page, by its next link", second_s * 1_000, "ms"),
        Figure("last page", last_s * 1_000, "ms"),
        Figure("last page / second page", last_s / second_s, "ratio", 1.1, at_most=True),
    ]


def walk_feed(servers: Servers) -> Walk:
    """Follow the next links from the first page to the last."""
    following = _SET
    rows, memory, paths = 0, [], []
    started = time.monotonic()
    while following:
        paths.append(following)
        reply = servers.product.ask("GET", following, headers=servers.sizes.prefer)
        if reply.status != 200:
            raise AssertionError(f"{following}: {reply.status} {reply.body[:300]!r}")
        rows += reply.body.count(b'"assignment_id"')
        link = _NEXT_LINK.search(reply.body, max(0, len(reply.body) - 4_000)) or _NEXT_LINK.search(
            reply.body, 0, 4_000
        )
        target = urlsplit(json.loads(b'"' + link[1] + b'"')) if link else None
        following = f"{target.path}?{target.query}" if target else ""
        if len(paths) % 10 == 0 or not following:
            memory.append(memory_bytes(servers.product_pid))
    seconds = time.monotonic() - started
    return Walk(rows, seconds, paths[1], paths[-1], tuple(memory))


def _walk_pages(client: Client, sizes: Sizes, *, rows: int) -> float:
    """Ask for so many rows page by page; give the rows in a second."""
    started = time.monotonic()
    for after in range(0, rows, sizes.page_rows):
        reply = client.ask("GET", f"/?after={after}&rows={sizes.page_rows}")
        if reply.body.count(b'"assignment_id"') != sizes.page_rows:
            raise AssertionError(f"page after {after}: {reply.status} {reply.body[:300]!r}")
    return rows / (time.monotonic() - started)


def _time_pages(servers: Servers, paths: tuple[str, ...]) -> list[float]:
    """The median seconds of each page, asked in turn."""
    taken: list[list[float]] = [[] for _ in paths]
    for _ in range(_PAGE_ROUNDS):
        for path, seconds in zip(paths, taken, strict=True):
            started = time.monotonic()
            servers.product.ask("GET", path, headers=servers.sizes.prefer)
            seconds.append(time.monotonic() - started)
    return [statistics.median(seconds) for seconds in taken]


@contextmanager
def _serve_all(address: str, sizes: Sizes, *, key: str, statement: str) -> Iterator[Servers]:
    with (
        serve_product(address, worker=False) as product,
        serve_bare("bench.baselines:make_bare", database=address, statement=statement) as bare,
        serve_bare("bench.baselines:make_usual", database=address) as usual,
        product.client(key) as asked,
        bare.client() as asked_bare,
        usual.client() as asked_usual,
    ):
        yield Servers(sizes, asked, product.pid, asked_bare, asked_usual)


def _capture(address: str, sizes: Sizes) -> tuple[str, str]:
    """A key, and the SQL of a page after the first as BENCH_STATEMENT tells it."""
    store = open_store(address)
    with transaction(store) as connection:
        key = issue_key(connection, 1, scopes=("read",), name="bench").key
    with noted_questions() as run:
        _read_pages(store, key, page_rows=sizes.page_rows)
    close_store(store)
    sql, parameters = next(one for one in reversed(run) if _WRITES_ROWS.search(one[0]))
    named = enumerate(parameters) if isinstance(parameters, tuple) else parameters.items()
    after = [place for place, value in named if value == 2 * sizes.page_rows]
    if not after:
        raise LookupError("no parameter of the page's statement is the last key of the page before")
    captured = {"sql": str(sql), "parameters": parameters, "after": after}
    return key, json.dumps(captured, default=str)


def _read_pages(store: Store, key: str, *, page_rows: int) -> None:
    """Read the first three."""
    settings = Settings(_env_file=None)
    with snapshot(store) as connection:
        principal = check_key(connection, key).principal
    after = ""
    for _ in range(3):
        request = Request("LearnerProgress", page_rows=page_rows, after=after)
        after = run_plan(make_plan(request, principal, settings), store).next or ""
