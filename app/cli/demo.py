"""`fullcount demo`: two simulated companies in a database of their own, served with a live worker.

The history is loaded while the server answers already, and then simulated sources keep sending
through the HTTP door.
"""

import signal
import socket
import threading
import time
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import httpx
import orjson
import structlog
import uvicorn
from fastapi import FastAPI
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.access.environments import add_environment, list_environments
from app.access.keys import issue_key
from app.base.clock import now
from app.base.config import Settings
from app.base.errors import StoreBusy, TooMuchPending
from app.base.observe import configure_logs
from app.cli.evidence import HELD_BACK, Account, open_account, quick_contract, speak_live
from app.cli.ingest import read_origin
from app.cli.simulation.company import COMPANIES, SOURCES, Company, World, make_world
from app.cli.simulation.history import LIVE_EVERY, deliver_history, simulate_live
from app.cli.simulation.pen import Event, batched
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.ledger.books import read_books
from app.main import create_app
from app.store.engine import Store, close_store, open_store, snapshot, transaction
from app.store.instance import keep_secret
from app.store.migrate import migrate_store

DEMO_FILE = "fullcount-demo.db"
SEED = 1
_ORIGIN = "demo-history"
_BATCH_EVENTS = 1_000
_KEY_SCOPES = (("read", ("read",)), ("ingest", ("ingest",)), ("operator", ("read", "operate")))


@dataclass(frozen=True, slots=True)
class DemoEnvironment:
    """A simulated company in the database, and the keys that were made for this start.

    since: when it was made, the end of its simulated history
    """

    environment_id: int
    company: Company
    since: datetime
    keys: dict[str, str]

    def world(self) -> World:
        """The company as it stood when it was made."""
        return make_world(self.company, seed=SEED, until=self.since)


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that runs.

    stopped: set when the server has ended
    """

    console: Console
    store: Store
    settings: Settings
    environments: tuple[DemoEnvironment, ...]
    stopped: threading.Event = field(default_factory=threading.Event)

    def pending_count(self) -> int:
        """Events kept and not applied, of all companies."""
        with snapshot(self.store) as connection:
            return sum(
                read_books(connection, one.environment_id).pending for one in self.environments
            )


def run_demo(settings: Settings, *, port: int = 8000, reset: bool = False) -> int:
    """Serve the demo until it is interrupted; give the exit code."""
    console = Console(soft_wrap=True, highlight=False)
    if not _is_free(port):
        console.print(f"Port {port} is taken. Choose another: make demo PORT=8001", style="red")
        return 1
    if reset:
        remove_database(Path(DEMO_FILE))
    _quiet_logs()
    settings = settings.model_copy(
        update={
            "database_url": f"sqlite:///./{DEMO_FILE}",
            "public_url": f"http://127.0.0.1:{port}",
        }
    )
    store = open_store(settings.database_url)
    migrate_store(store)
    keep_secret(store, settings)
    demo = Demo(console, store, settings, found_environments(store))
    application = create_app(settings, store=store, worker=True)
    server = uvicorn.Server(_server_settings(application, port))
    company_life = threading.Thread(target=_live, args=(server, demo), daemon=True)
    company_life.start()
    # uvicorn shuts down first and then hands the signal back to whoever held it before.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        server.run()
    finally:
        demo.stopped.set()
        company_life.join(timeout=10)
        close_store(store)
    return 0


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _server_settings(application: FastAPI, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )


def _quiet_logs() -> None:
    """Only warnings and worse: the terminal belongs to the greeting and the progress bar.

    What is held back is a defect in bucket after bucket; the first of a stream tells it.
    """
    known: set[tuple[int, int, str]] = set()

    def drop_known(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> Any:
        if line["event"] == "defect_opened":
            stream = (line["environment_id"], line["source_id"], line["stream"])
            if stream in known:
                raise structlog.DropEvent
            known.add(stream)
        return line

    configure_logs("console", level="warning", first=[drop_known])


def remove_database(path: Path) -> None:
    """Remove an SQLite database with its log."""
    for ending in ("", "-wal", "-shm"):
        Path(f"{path}{ending}").unlink(missing_ok=True)


def found_environments(store: Store) -> tuple[DemoEnvironment, ...]:
    """Make the environments and sources that are not there, and new keys: only hashes are kept."""
    with transaction(store) as connection:
        there = {facts.environment for facts in list_environments(connection)}
        made_at = now()
        for company in COMPANIES:
            if company.key in there:
                continue
            made = add_environment(
                connection,
                environment_key=company.key,
                name=company.name,
                timezone=company.timezone,
            )
            for source in SOURCES:
                add_source(connection, made, source_key=source, contract=quick_contract(made_at))
        facts_by_name = {facts.environment: facts for facts in list_environments(connection)}
        return tuple(
            DemoEnvironment(
                environment_id=facts_by_name[company.key].environment_id,
                company=company,
                since=facts_by_name[company.key].created_at.replace(microsecond=0),
                keys={
                    name: issue_key(
                        connection,
                        facts_by_name[company.key].environment_id,
                        scopes=scopes,
                        name=f"demo {name}",
                    ).key
                    for name, scopes in _KEY_SCOPES
                },
            )
            for company in COMPANIES
        )


def load_history(
    store: Store, settings: Settings, environments: tuple[DemoEnvironment, ...]
) -> Iterator[int]:
    """Take in what is missing of the simulated history, the companies in turn.

    Shape: yields after each batch how many events it held
    """
    waiting = [_missing_history(store, one) for one in environments]
    while waiting:
        for each in tuple(waiting):
            step = next(each, None)
            if step is None:
                waiting.remove(each)
                continue
            environment_id, batch, position = step
            _accept_patiently(
                store, settings, environment_id=environment_id, batch=batch, position=position
            )
            yield len(batch)


def _missing_history(
    store: Store, environment: DemoEnvironment
) -> Iterator[tuple[int, list[Event], int]]:
    """The batches that no earlier start has brought in, each with its place in the history."""
    with snapshot(store) as connection:
        position = read_origin(connection, environment.environment_id, _ORIGIN)
    events = islice(deliver_history(environment.world(), seed=SEED), position, None)
    for batch in batched(events, _BATCH_EVENTS):
        position += len(batch)
        yield environment.environment_id, batch, position


def _accept_patiently(
    store: Store, settings: Settings, *, environment_id: int, batch: list[Event], position: int
) -> None:
    while True:
        try:
            accept_items(
                store,
                settings,
                environment_id=environment_id,
                items=batch,
                origin=_ORIGIN,
                origin_position=position,
            )
            return
        except (TooMuchPending, StoreBusy):
            time.sleep(0.5)


def _live(server: uvicorn.Server, demo: Demo) -> None:
    """What happens beside the server: greet, load the history, then send as sources do."""
    while not server.started:
        if demo.stopped.wait(0.05):
            return
    url = demo.settings.public_url
    demo.console.print(greeting(url, demo.environments), markup=False)
    _load_with_bar(demo)
    with snapshot(demo.store) as connection:
        sending = [
            (one.world(), open_account(connection, one.environment_id), one.keys["ingest"])
            for one in demo.environments
        ]
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        while not demo.stopped.wait(LIVE_EVERY.total_seconds()):
            for world, account, key in sending:
                number = int((now() - world.until) / LIVE_EVERY)
                send_live(client, world, account, key=key, number=number)


def _load_with_bar(demo: Demo) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=demo.console, transient=True) as progress:
        received = progress.add_task("history received", total=None)
        applied = progress.add_task("history applied", total=None)
        count = 0
        for batch_count in load_history(demo.store, demo.settings, demo.environments):
            if demo.stopped.is_set():
                return
            count += batch_count
            done = max(0, count - demo.pending_count())
            progress.update(received, completed=count)
            progress.update(applied, completed=done, total=count)
        progress.update(received, total=count)
        while (pending := demo.pending_count()) and not demo.stopped.wait(0.2):
            progress.update(applied, completed=max(0, count - pending))
    if demo.stopped.is_set():
        return
    if count:
        demo.console.print(f"Two years of history are there: {count:,} events, all applied.")
    environment, source, stream = HELD_BACK
    demo.console.print("Live sources are sending. Ctrl-C stops the demo.")
    demo.console.print(
        f"In {environment}, {source} holds {stream}s back. Its queue is empty;"
        f" /v1/ingestion/lag?stream={stream} tells within a minute and a half."
    )


def send_live(
    client: httpx.Client, world: World, account: Account, *, key: str, number: int
) -> None:
    """Let one step of live events happen; its sources send it and say what they made."""
    moment = now()
    account.record(simulate_live(world, seed=SEED, number=number), at=moment)
    speak_live(client, account, key=key, at=moment)


def greeting(url: str, environments: tuple[DemoEnvironment, ...]) -> str:
    """Where everything is, the keys of this start, and lines ready to paste."""
    first = environments[0]
    read, ingest = first.keys["read"], first.keys["ingest"]
    lines = [
        "",
        f"Fullcount demo on {url}",
        "",
        f"  API docs  {url}/docs",
        f"  OData     {url}/odata/v4/   (Basic: any user name, a read key as the password)",
        f"  Metadata  {url}/odata/v4/$metadata",
        "",
    ]
    for one in environments:
        lines.append(f"  {one.company.name} (environment {one.company.key})")
        lines += [f"    {name + ' key':<13} {key}" for name, key in one.keys.items()]
    event = orjson.dumps(
        {
            "specversion": "1.0",
            "id": "hello-1",
            "source": SOURCES[0],
            "type": "progress.completed",
            "time": "2026-01-05T10:00:00Z",
            "recordedtime": "2026-01-05T10:00:01Z",
            "data": {"learner": f"{first.company.key}-u2", "module": "m5", "module_type": "course"},
        }
    ).decode()
    auth = f"-H 'Authorization: Bearer {read}'"
    lines += [
        "",
        "  Try:",
        f"    curl {auth} '{url}/v1/ingestion/lag'",
        f"    curl {auth} '{url}/v1/reports'",
        f"    curl {auth} '{url}/v1/reports/completion_summary?by=team_name'",
        f"    curl {auth} '{url}/odata/v4/LearnerProgress?$filter=is_overdue&$top=3'",
        f"    curl -H 'Authorization: Bearer {ingest}'"
        " -H 'Content-Type: application/cloudevents+json'"
        f" -d '{event}' '{url}/v1/events'",
        "",
    ]
    return "\n".join(lines)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
