"""What tests are made of, valid by default: events, rows, callers, questions."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, create_engine, text, update
from sqlalchemy.engine import make_url
from sqlmodel import SQLModel

from app.access.environments import add_environment
from app.access.principal import Principal
from app.base.config import Settings
from app.processing.rollup_rows import recount_rollups
from app.query.answer import Answer, run_plan
from app.query.plan import make_plan
from app.query.request import Request
from app.store.dialect import insert_rows
from app.store.engine import Store, transaction
from app.store.tables import Environment, Learner, Module, Progress, Series, Team
from app.store.tables.columns import table_of

NOON = datetime(2025, 5, 24, 12, tzinfo=UTC)


def an_event(number: int = 1, **said: Any) -> dict[str, Any]:
    """A CloudEvent about the quest m7 of u42, half done; `data` replaces its data as a whole.

    said: attributes to replace; None takes an attribute out
    """
    event = {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": "lms",
        "type": "progress.advanced",
        "time": (NOON + timedelta(minutes=number)).isoformat(),
        "recordedtime": (NOON + timedelta(minutes=number, seconds=1)).isoformat(),
        "data": {"learner": "u42", "module": "m7", "module_type": "quest", "percent": 50},
    }
    return {name: value for name, value in (event | said).items() if value is not None}


# Rows


def an_environment(store: Store, name: str = "acme") -> int:
    """A new environment; gives its number."""
    with transaction(store) as connection:
        return add_environment(connection, environment_key=name)


def a_progress(number: int, **said: Any) -> dict[str, Any]:
    """An assignment of its own learner to m1, not started."""
    row = {
        "assignment_id": number,
        "learner_key": f"u{number}",
        "module_key": "m1",
        "module_type": "quest",
        "status": "not_started",
        "assigned_at": NOON - timedelta(days=10),
    }
    return row | said


def a_learner(number: int, **said: Any) -> dict[str, Any]:
    """An active learner whom the source has introduced."""
    return {"learner_id": number, "learner_key": f"u{number}", "known": True} | said


def a_team(number: int, **said: Any) -> dict[str, Any]:
    """A team without anyone in it."""
    return {"team_id": number, "team_key": f"t{number}", "name": f"Team {number}"} | said


def a_module(number: int, **said: Any) -> dict[str, Any]:
    """A published quest."""
    row = {"module_id": number, "module_key": f"m{number}", "name": f"Module {number}"}
    return row | {"module_type": "quest", "known": True} | said


def a_series(number: int, **said: Any) -> dict[str, Any]:
    """A series without modules."""
    return {"series_id": number, "series_key": f"s{number}", "name": f"Series {number}"} | said


def write_rows(
    store: Store, model: type[SQLModel], rows: Sequence[dict[str, Any]], *, environment_id: int
) -> None:
    """Insert rows of one table, what is not said by default; revision 1 unless said."""
    table, given = table_of(model), {"environment_id": environment_id}
    lines = [_defaults(model) | given | row for row in rows]
    columns = tuple(column.name for column in table.columns)
    with transaction(store) as connection:
        values = [[line.get(name) for name in columns] for line in lines]
        insert_rows(connection, table, columns, values)
        if model is Progress:
            modules = sorted({str(line["module_key"]) for line in lines})
            recount_rollups(connection, environment_id, modules)


@cache
def _shared(model: type[SQLModel]) -> tuple[tuple[str, Any], ...]:
    told = {"revision": 1, "changed_at": NOON}
    fields = model.model_fields.items()
    defaults = {name: field.default for name, field in fields if not field.is_required()}
    return tuple({**told, **defaults}.items())


def _defaults(model: type[SQLModel]) -> dict[str, Any]:
    return dict(_shared(model))


def a_small_world(store: Store, name: str = "acme") -> int:
    """An environment with three learners, two modules, a team, a series and five assignments."""
    environment_id = an_environment(store, name)
    people = [a_learner(n, team_key="t1" if n < 3 else None) for n in (1, 2, 3)]
    modules = [a_module(1), a_module(2, module_type="course", status="archived")]
    assignments = [
        a_progress(1, status="completed", started_at=NOON, completed_at=NOON, score=8.5),
        a_progress(2, status="in_progress", started_at=NOON, series_key="s1", score=0.1),
        a_progress(3, due_at=NOON - timedelta(days=2, hours=1), waived_at=None),
        a_progress(4, learner_key="u1", module_key="m2", module_type="course", cycle=2),
        a_progress(5, learner_key="u9", module_key="m9", module_type=None),
    ]
    for model, rows in (
        (Learner, people),
        (Module, modules),
        (Team, [a_team(1)]),
        (Series, [a_series(1)]),
        (Progress, assignments),
    ):
        write_rows(store, model, rows, environment_id=environment_id)
    return environment_id


def set_revision(store: Store, environment_id: int, revision: int) -> None:
    """Set the counter of an environment's revisions."""
    table = table_of(Environment)
    its_row = table.c.environment_id == environment_id
    with transaction(store) as connection:
        connection.execute(update(table).where(its_row).values(last_revision=revision))


# Questions


def a_caller(environment_id: int, *scopes: str) -> Principal:
    """Who asks, with scope `read` unless others are named."""
    return Principal(environment_id, "acme", "k", frozenset(scopes or ("read",)))


def some_settings(**said: Any) -> Settings:
    """Settings from nowhere, where no fixture of one test can be had."""
    return Settings(_env_file=None, secret="s", **said)


def ask(
    store: Store, request: Request, *, environment_id: int, settings: Settings | None = None
) -> Answer:
    """The answer to a question at noon."""
    plan = make_plan(request, a_caller(environment_id), settings or some_settings())
    return run_plan(plan, store, now=NOON)


def rows_of(answer: Answer) -> list[dict[str, Any]]:
    """The rows of an answer as the caller reads them."""
    rows: list[dict[str, Any]] = json.loads(b"[%b]" % answer.rows_json)
    return rows


# Databases


@contextmanager
def a_database(server_url: str, *, template: str) -> Iterator[str]:
    """The address of a fresh copy of a PostgreSQL database, dropped in the end."""
    name = f"t_{uuid4().hex[:16]}"
    tell_server(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield database_of(server_url, name)
    tell_server(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def database_of(server_url: str, name: str) -> str:
    """The address of a database of this server."""
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def tell_server(server_url: str, statement: str) -> None:
    """Run a statement on the server itself, outside of any transaction."""
    with admin_of(server_url).connect() as connection:
        connection.execute(text(statement))


@cache
def admin_of(server_url: str) -> Engine:
    """The one connection of this process to what a server is besides its databases."""
    return create_engine(server_url, isolation_level="AUTOCOMMIT", pool_pre_ping=True)
