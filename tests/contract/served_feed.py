"""The feed on a real server, for clients that speak HTTP themselves."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from app.base.config import Settings
from app.main import create_app
from app.store.engine import Store
from tests.contract.feed_rows import fill_feed


@dataclass(frozen=True, slots=True)
class ServedFeed:
    """A running feed and a key to it."""

    root: str
    key: str


@contextmanager
def serve_feed(store: Store, settings: Settings) -> Iterator[ServedFeed]:
    """Serve the filled feed in pages of 5 rows until the block ends."""
    key = fill_feed(store).reader
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        limits = {"public_url": address, "limit_page_rows": 5}
        application = create_app(settings.model_copy(update=limits), store=store, worker=False)
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield ServedFeed(f"{address}/odata/v4", key)
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()
