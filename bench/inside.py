"""The product's application in this process: requests without a network, and the SQL they run."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.access.keys import issue_key
from app.base.config import Settings
from app.main import create_app
from app.store.engine import close_store, open_store, transaction
from bench.plans import noted_questions


@dataclass(slots=True)
class Inside:
    """An application in this process.

    key: of environment 1
    run: the compiled questions run since it was emptied, each with its values
    """

    application: Any
    loop: asyncio.AbstractEventLoop
    key: str
    run: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)

    def ask(self, path: str, *, prefer: str = "") -> bytes:
        """The body of the answer to a GET.

        Raises: AssertionError, when it is none
        """
        return self.loop.run_until_complete(self._ask(path, prefer))

    def ask_timed(self, paths: Sequence[str], *, prefer: str = "") -> float:
        """The seconds of processor time of a request, on the average of these."""
        return self.loop.run_until_complete(self._ask_timed(paths, prefer))

    async def _ask_timed(self, paths: Sequence[str], prefer: str) -> float:
        started = time.process_time()
        for path in paths:
            await self._ask(path, prefer)
        return (time.process_time() - started) / len(paths)

    async def _ask(self, path: str, prefer: str) -> bytes:
        parts = urlsplit(path)
        headers = [(b"authorization", f"Bearer {self.key}".encode()), (b"host", b"127.0.0.1")]
        if prefer:
            headers.append((b"prefer", prefer.encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "root_path": "",
            "query_string": parts.query.encode(),
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        status, body = 0, b""

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status, body
            status = message.get("status", status)
            body += message.get("body", b"")

        await self.application(scope, receive, send)
        if status != 200:
            raise AssertionError(f"{path}: {status} {body[:300]!r}")
        return body


@contextmanager
def open_inside(database: Path) -> Iterator[Inside]:
    """The application over a database file, with a key of its first environment."""
    store = open_store(f"sqlite:///{database}")
    with transaction(store) as connection:
        key = issue_key(connection, 1, scopes=("read",), name="bench").key
    settings = Settings(_env_file=None, database_url=f"sqlite:///{database}")
    application = create_app(settings, store=store, worker=False)
    loop = asyncio.new_event_loop()
    inside = Inside(application, loop, key)

    try:
        with noted_questions() as inside.run:
            yield inside
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        close_store(store)
