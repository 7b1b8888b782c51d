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

# Headers, and what of the body comes with them.
_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: status, headers by their lower-case names, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """One kept connection to a server, and next to nothing around it: Python's own client takes
    longer to read the headers of an answer than some answers take.

    key: sent as a bearer token when not empty
    """

    def __init__(self, port: int, key: str = "") -> None:
        self.port, self.key = port, key
        self.connection = self._connect()

    def close(self) -> None:
        """Hang up."""
        self.connection.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request, read its answer whole; a connection closed while idle is made anew."""
        told = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **(headers or {})}
        told |= {"Authorization": f"Bearer {self.key}"} if self.key else {}
        lines = [f"{method} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in told.items()), "", ""]
        sent = "\r\n".join(lines).encode() + body
        try:
            return self._exchange(sent)
        except ConnectionError:
            self.connection.close()
            self.connection = self._connect()
            return self._exchange(sent)

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=120)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _exchange(self, sent: bytes) -> Reply:
        """One request and its answer, which tells its length.

        Raises: ConnectionError, where the server hangs up
        """
        self.connection.sendall(sent)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._receive(bytearray(_AT_ONCE))
        first, *lines = received[:end].decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = bytearray(int(headers.get("content-length", "0")))
        rest = received[end + 4 :]
        body[: len(rest)] = rest
        unread = memoryview(body)[len(rest) :]
        while unread:
            unread = unread[len(self._receive(unread)) :]
        return Reply(int(first.split(" ")[1]), headers, bytes(body))

    def _receive(self, into: bytearray | memoryview) -> bytearray | memoryview:
        """What of it was filled; at least a byte."""
        count = self.connection.recv_into(into)
        if not count:
            raise ConnectionResetError("the server hung up")
        return into[:count]


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    pid: int
    port: int

    @contextmanager
    def client(self, key: str = "") -> Iterator[Client]:
        """A client of it."""
        with closing(Client(self.port, key)) as client:
            yield client


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
