"""What a row costs in small and in large databases: pages, a row by its key, counts; in process."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

from app.access.principal import Principal
from app.base.config import Settings
from app.query.answer import Answer, run_plan
from app.query.cursor import Cursor, digest_walk, write_token
from app.query.plan import make_plan
from app.query.request import Request
from app.store.engine import Store, close_store, open_store, snapshot
from app.store.instance import signing_secret
from bench.filler import filled_database
from bench.measure import Figure, interleave

_SIZES = (100_000, 1_000_000, 5_000_000)
_PAGE_ROWS = 5_000
_ROUNDS = 9
_CALLS = 50
_ALL = Principal(1, "bench", "bench", frozenset({"read"}))


@dataclass(frozen=True, slots=True)
class Database:
    """An open database with so many rows, asked for pages of so many."""

    store: Store
    rows: int
    page_rows: int
    settings: Settings

    def ask(self, request: Request) -> Answer:
        """The answer to a question, in one snapshot."""
        return run_plan(make_plan(request, _ALL, self.settings), self.store)

    def page(self, after: int) -> Request:
        """The page behind this key; the first one is behind 0."""
        request = Request("LearnerProgress", page_rows=self.page_rows)
        if not after:
            return request
        with snapshot(self.store) as connection:
            secret = signing_secret(connection, self.settings)
        cursor = Cursor((after,), None, datetime.now(UTC), revision=self.rows)
        token = write_token(cursor, digest_walk(request, 1), secret=secret)
        return replace(request, after=token)


def run_flat(
    *, sizes: Sequence[int] = _SIZES, page_rows: int = _PAGE_ROWS, rounds: int = _ROUNDS
) -> list[Figure]:
    """Processor time in databases of every size, in turn, and the largest against the smallest."""
    with ExitStack() as opened:
        databases = []
        for rows in sizes:
            path = filled_database(rows)
            _fetch(path)
            store = open_store(f"sqlite:///{path}")
            opened.callback(close_store, store)
            databases.append(Database(store, rows, page_rows, Settings(_env_file=None)))
        measures = {
            (what, one.rows): measure for one in databases for what, measure in _measures(one)
        }
        names = {f"{what} of {rows:,}": measure for (what, rows), measure in measures.items()}
        medians = interleave(names, rounds=rounds)
    figures = []
    for what in dict.fromkeys(what for what, _ in measures):
        times = [medians[f"{what} of {rows:,}"] for rows in sizes]
        figures += [
            Figure(f"{what}, of {rows:,} rows", taken * 1e3, "ms")
            for rows, taken in zip(sizes, times, strict=True)
        ]
        ratio = times[-1] / times[0]
        figures.append(Figure(f"{what}, most / fewest rows", ratio, "ratio", 1.3, at_most=True))
    return figures


def _fetch(path: Path) -> None:
    """Read a file once: the system keeps it then, and no question waits for the disk."""
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


def _measures(database: Database) -> list[tuple[str, Callable[[], float]]]:
    learners, rows = count(1), count(1)
    middle = database.rows // 2 // database.page_rows * database.page_rows
    places = {"first": 0, "middle": middle, "last": database.rows - database.page_rows}

    def next_count() -> Request:
        where = f"learner_key eq 'u{next(learners) * 7 % (database.rows // 40)}'"
        return Request("LearnerProgress", where=where, count_only=True)

    def next_row() -> Request:
        key = next(rows) * 104_729 % database.rows + 1
        return Request("LearnerProgress", key={"assignment_id": key})

    pages = [
        (f"{name} page", partial(_time_page, database, database.page(after)))
        for name, after in places.items()
    ]
    return [
        *pages,
        ("a row by its key", partial(_time_calls, database, next_row)),
        ("a learner's rows counted", partial(_time_calls, database, next_count)),
        ("1,000 rows counted by an index", partial(_time_counted, database)),
    ]


def _time_page(database: Database, request: Request) -> float:
    started = time.process_time()
    answer = database.ask(request)
    taken = time.process_time() - started
    if answer.row_count != database.page_rows:
        raise AssertionError(f"a page of {answer.row_count} rows")
    return taken


def _time_calls(database: Database, make: Callable[[], Request]) -> float:
    requests = [make() for _ in range(_CALLS)]
    started = time.process_time()
    for request in requests:
        database.ask(request)
    return (time.process_time() - started) / _CALLS


def _time_counted(database: Database) -> float:
    """The seconds for each thousand of the rows that a count over an index finds."""
    where = "module_type eq 'quest' and status eq 'completed'"
    started = time.process_time()
    total = database.ask(Request("LearnerProgress", where=where, count_only=True)).total or 0
    return (time.process_time() - started) / total * 1_000
