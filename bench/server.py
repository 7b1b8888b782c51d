"""Servers of their own process on the loopback, and a client that adds next to nothing."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.access.environments import add_environment
from app.access.keys import issue_key
from app.base.config import Settings
from app.intake.sources import add_source
from app.store.engine import Store, close_store, open_store, transaction
from app.store.instance import keep_secret
from app.store.migrate import migrate_store


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: status, headers by their lower-case names, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Client:
    """One kept connection to a server.

    key: sent as a bearer token when not empty
    """

    connection: http.client.HTTPConnection
    key: str = ""

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request, read its answer whole; a connection closed while idle is made anew."""
        sent = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        told = {**sent, **(headers or {})}
        try:
            self.connection.request(method, path, body=body, headers=told)
            answer = self.connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.connection.close()
            self.connection.request(method, path, body=body, headers=told)
            answer = self.connection.getresponse()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, names, answer.read())


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    pid: int
    port: int

    @contextmanager
    def client(self, key: str = "") -> Iterator[Client]:
        """A client of it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with closing(connection):
            yield Client(connection, key)


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serve_product(database: Path | str, *, worker: bool = True) -> Iterator[Server]:
    """`fullcount serve` on this file, or the database at this URL."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("fullcount")), "serve", "--port", str(port)]
    if not worker:
        command.append("--no-worker")
    with _run(command, port, path="/healthz", environ=_product_environ(database, port)) as server:
        yield server


@contextmanager
def work_beside(database_url: str) -> Iterator[None]:
    """`fullcount work` on this database, a process of its own."""
    command = [str(Path(sys.executable).with_name("fullcount")), "work"]
    environ = {**os.environ, "FULLCOUNT_DATABASE_URL": database_url}
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.terminate()
            process.communicate(timeout=60)


@contextmanager
def serve_bare(application: str, **settings: str) -> Iterator[Server]:
    """Any ASGI application on uvicorn, one process, as the product runs; settings go as BENCH_*."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", application, "--port", str(port)]
    command += ["--log-level", "warning", "--no-access-log", "--loop", "uvloop"]
    environ = {f"BENCH_{name.upper()}": value for name, value in settings.items()}
    with _run(command, port, path="/?after=0&rows=1", environ=environ) as server:
        yield server


def prepare_database(database: Path, environments: Sequence[str], *, source: str) -> dict[str, str]:
    """Migrate a database, make environments with a source each, and give a key by environment."""
    store = open_store(f"sqlite:///{database}")
    migrate_store(store)
    keys = prepare_store(store, environments, source=source)
    close_store(store)
    return keys


def prepare_store(store: Store, environments: Sequence[str], *, source: str) -> dict[str, str]:
    """Make environments with a source each in a migrated store, and give a key by environment."""
    keep_secret(store, Settings(_env_file=None))
    keys = {}
    with transaction(store) as connection:
        for name in environments:
            number = add_environment(connection, environment_key=name, name=name, timezone="UTC")
            add_source(connection, number, source_key=source, kind="push", takes_occurred_at=True)
            scopes = ("ingest", "read", "operate")
            keys[name] = issue_key(connection, number, scopes=scopes, name="bench").key
    return keys


def _product_environ(database: Path | str, port: int) -> dict[str, str]:
    url = database if isinstance(database, str) else f"sqlite:///{database}"
    return {
        "FULLCOUNT_DATABASE_URL": url,
        "FULLCOUNT_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "FULLCOUNT_LOG_FORMAT": "json",
    }


@contextmanager
def _run(command: list[str], port: int, *, path: str, environ: dict[str, str]) -> Iterator[Server]:
    with subprocess.Popen(
        command, env={**os.environ, **environ}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            _await_answer(process, port, path)
            yield Server(process.pid, port)
        finally:
            process.terminate()
            process.communicate(timeout=60)


def _await_answer(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            words = process.stderr.read() if process.stderr else b""
            raise RuntimeError(f"the server ended at once: {words[-2000:].decode()}")
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            try:
                connection.request("GET", path)
                if connection.getresponse().status < 500:
                    return
            except OSError:
                time.sleep(0.1)
    raise TimeoutError("the server does not answer")
