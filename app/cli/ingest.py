"""`fullcount ingest`: files of events in, one a line or one a row, each one's fate counted.

The place reached is kept with each batch, in its transaction: a run that was stopped goes on where
its last committed batch ended. What it brings waits in the bulk lane, behind what sources send; it
is not applied here unless `wait` is asked for.
"""

import gzip
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import orjson
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Connection, select

from app.access.environments import environment_named
from app.base.config import Settings
from app.base.errors import BodyTooLarge, TooMuchPending
from app.cli.tables import TABLE_KINDS, in_batches, read_table_events
from app.intake.accept import accept_items
from app.intake.decode import LINES_TYPE, decode_body
from app.intake.receipts import Receipt
from app.ledger.books import read_books
from app.processing.drain import drain_once
from app.store.engine import Store, close_store, open_store, snapshot
from app.store.migrate import require_schema
from app.store.tables.columns import table_of
from app.store.tables.journal import Batch
from app.store.tables.work import BULK

BATCH_LINES = 1_000
_DONE, _USAGE = 0, 2
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class FileCounts:
    """What became of the lines of one file in this run.

    lines_skipped: read by an earlier run that was stopped
    """

    file: str
    lines_skipped: int = 0
    received: int = 0
    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    rejected: int = 0

    def plus(self, receipt: Receipt) -> "FileCounts":
        """With one more batch."""
        return FileCounts(
            file=self.file,
            lines_skipped=self.lines_skipped,
            received=self.received + receipt.received,
            accepted=self.accepted + receipt.accepted,
            duplicate=self.duplicate + receipt.duplicate,
            conflict=self.conflict + receipt.conflict,
            rejected=self.rejected + receipt.rejected,
        )


@dataclass(frozen=True, slots=True)
class Load:
    """What every step of a run needs.

    drains: apply here what was accepted, when it is asked for or the backlog is at its cap
    """

    store: Store
    settings: Settings
    environment_id: int
    progress: Progress
    drains: bool


def run_ingest(
    settings: Settings,
    *,
    environment: str,
    files: Sequence[str],
    as_json: bool = False,
    wait: bool = False,
) -> int:
    """Take the events of these files in and say what became of them; give the exit code.

    Raises: UnknownName, SchemaBehind, StoreBusy, StoreFull, TooMuchPending, BodyTooLarge
    """
    console = Console(stderr=True)
    fault = _fault_of(files)
    if fault:
        console.print(fault, style="red", highlight=False, markup=False)
        return _USAGE
    store = open_store(settings.database_url)
    try:
        require_schema(store)
        with snapshot(store) as connection:
            environment_id = environment_named(connection, environment).environment_id
        with progress_bar(console, hidden=as_json) as progress:
            load = Load(store, settings, environment_id, progress, wait)
            counts = [_ingest_file(load, name) for name in files]
            if wait:
                apply_pending(load)
        pending = count_waiting(store, environment_id)
    finally:
        close_store(store)
    _report(environment, counts, pending=pending, as_json=as_json)
    return _DONE


def read_origin(connection: Connection, environment_id: int, origin: str) -> int:
    """How far the newest batch of this origin had come; 0 when there is none."""
    table = table_of(Batch)
    position = connection.execute(
        select(table.c.origin_position)
        .where(table.c.environment_id == environment_id, table.c.origin == origin)
        .order_by(table.c.batch_id.desc())
        .limit(1)
    ).scalar_one_or_none()
    return position or 0


def _fault_of(files: Sequence[str]) -> str:
    """What is wrong with the names, or nothing."""
    for name in files:
        if name != "-" and not Path(name).is_file():
            return f"{name}: there is no such file."
    return "" if files else "Name a file, or - for standard input."


def _ingest_file(load: Load, name: str) -> FileCounts:
    origin = None if name == "-" else _origin_of(Path(name))
    skipped = 0
    if origin is not None:
        with snapshot(load.store) as connection:
            skipped = read_origin(connection, load.environment_id, origin)
        if skipped and not _has_more(name, skipped):
            skipped = 0
    counts = FileCounts(name, lines_skipped=skipped)
    size = None if name == "-" else Path(name).stat().st_size
    task = load.progress.add_task(Path(name).name, total=size)
    with _opened(name) as (raw, lines):
        read = _read_rows if name.lower().endswith(TABLE_KINDS) else _read_lines
        for items, position in read(name, lines, load.settings, skipped):
            counts = counts.plus(accept_batch(load, items, origin=origin, position=position))
            load.progress.update(task, completed=0 if size is None else raw.tell())
    return counts


def _read_lines(
    _name: str, lines: BinaryIO, settings: Settings, skipped: int
) -> Iterator[tuple[list[object], int]]:
    """The events of a file of lines in batches, each with the number of lines read so far."""
    position = sum(1 for _, _ in zip(range(skipped), lines, strict=False))
    for batch in _batches(lines, settings, position=position):
        position += len(batch)
        yield decode_body(b"".join(batch), LINES_TYPE, settings).items, position


def _read_rows(
    name: str, content: BinaryIO, _settings: Settings, skipped: int
) -> Iterator[tuple[list[object], int]]:
    """The events of a table in batches, each with the number of rows read so far."""
    position = skipped
    for batch in in_batches(islice(read_table_events(name, content), skipped, None), BATCH_LINES):
        position += len(batch)
        yield batch, position


def accept_batch(load: Load, items: list[object], *, origin: str | None, position: int) -> Receipt:
    """Accept a batch; where the backlog is at its cap, wait for the worker or be one."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return accept_items(
                load.store,
                load.settings,
                environment_id=load.environment_id,
                items=items,
                origin=origin,
                origin_position=None if origin is None else position,
                lane=BULK,
            )
        except TooMuchPending as full:
            if load.drains:
                apply_pending(load)
            elif time.monotonic() > deadline:
                full.hint = "Start a worker (fullcount work) or use --wait; a new run goes on here."
                raise
            else:
                time.sleep(1.0)


def apply_pending(load: Load) -> None:
    """Fold what is pending, beside whatever workers there are, until nothing is."""
    pending = count_waiting(load.store, load.environment_id)
    task = load.progress.add_task("applied", total=pending)
    while pending:
        if drain_once(load.store, load.settings) is None:
            time.sleep(0.2)
        pending = count_waiting(load.store, load.environment_id)
        total = load.progress.tasks[task].total or 0
        load.progress.update(task, completed=max(0, total - pending))


def count_waiting(store: Store, environment_id: int) -> int:
    """How many accepted events of an environment are not applied yet."""
    with snapshot(store) as connection:
        return read_books(connection, environment_id).pending


def _origin_of(path: Path) -> str:
    """A name for this very file: the same bytes touched later are another."""
    facts = path.stat()
    words = f"{path.resolve()}|{facts.st_size}|{facts.st_mtime_ns}"
    return f"file:{hashlib.sha256(words.encode()).hexdigest()[:32]}"


def _has_more(name: str, line_count: int) -> bool:
    """Does the file have a line or row with an event after the first so many?"""
    with _opened(name) as (_, lines):
        if name.lower().endswith(TABLE_KINDS):
            return any(True for _ in islice(read_table_events(name, lines), line_count, None))
        return any(line.strip() for number, line in enumerate(lines) if number >= line_count)


@contextmanager
def _opened(name: str) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The bytes as they lie there, which tell how far it is, and the lines in them."""
    if name == "-":
        yield sys.stdin.buffer, sys.stdin.buffer
        return
    with Path(name).open("rb") as raw:
        packed = name.lower().endswith(".gz")
        lines = BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw
        yield raw, lines


def _batches(lines: BinaryIO, settings: Settings, *, position: int) -> Iterator[list[bytes]]:
    """The lines in batches that hold at least one event each.

    Raises: BodyTooLarge, for a line that is no event by its length alone
    """
    limit = settings.limit_body_unpacked_bytes
    batch: list[bytes] = []
    while line := lines.readline(limit + 1):
        position += 1
        if len(line) > limit:
            raise BodyTooLarge(f"line {position} has more than {limit} bytes")
        batch.append(line if line.endswith(b"\n") else line + b"\n")
        if len(batch) >= BATCH_LINES and any(map(bytes.strip, batch)):
            yield batch
            batch = []
    if any(map(bytes.strip, batch)):
        yield batch


def progress_bar(console: Console, *, hidden: bool) -> Progress:
    """How far a run is, on a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=hidden or not console.is_terminal,
    )


def _report(environment: str, counts: Sequence[FileCounts], *, pending: int, as_json: bool) -> None:
    names = ("received", "accepted", "duplicate", "conflict", "rejected")
    totals = {name: sum(getattr(one, name) for one in counts) for name in names}
    console = Console(soft_wrap=True, highlight=False)
    if as_json:
        told = {
            "environment": environment,
            **totals,
            "pending": pending,
            "files": [asdict(one) for one in counts],
        }
        console.print(orjson.dumps(told).decode(), markup=False)
        return
    for one in counts:
        words = ", ".join(f"{getattr(one, name):,} {name}" for name in names)
        again = f" (went on after line {one.lines_skipped:,})" if one.lines_skipped else ""
        console.print(f"{one.file}: {words}{again}", markup=False)
    console.print(f"{environment}: {totals['accepted']:,} events kept, {pending:,} to be applied.")
    if totals["conflict"] or totals["rejected"]:
        console.print("Conflicting and rejected lines lie on the quarantine shelf with reasons.")
