"""Rows for tests of the feed, written into the store: nulls, ties, odd keys, two environments."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import insert
from sqlmodel import SQLModel

from app.access.environments import add_environment
from app.access.keys import issue_key
from app.base.config import Settings
from app.main import create_app
from app.store.engine import Store, transaction
from app.store.tables import Attempt, Learner, LearnerProfile, Module, Progress, Series, Team
from app.store.tables.columns import table_of

START = datetime(2025, 1, 1, tzinfo=UTC)
ROOT = "http://127.0.0.1:8000/odata/v4"
LEARNERS = ("u1", "u2", "u/4'2", "ü&x=1", "u5")
MODULE_TYPES = ("quest", "checklist", "course")
STATUSES = ("not_started", "in_progress", "completed", "failed", "waived")


@dataclass(frozen=True, slots=True)
class FeedKeys:
    """Keys of the environments the rows were written for."""

    reader: str
    personal: str
    deliverer: str
    neighbour: str


def fill_feed(store: Store) -> FeedKeys:
    """Write the rows of two environments and make keys for them."""
    with transaction(store) as connection:
        acme = add_environment(connection, environment_key="acme")
        other = add_environment(connection, environment_key="other")
        keys = FeedKeys(
            reader=issue_key(connection, acme, scopes={"read"}).key,
            personal=issue_key(connection, acme, scopes={"read", "pii"}).key,
            deliverer=issue_key(connection, acme, scopes={"ingest"}).key,
            neighbour=issue_key(connection, other, scopes={"read"}).key,
        )
    for environment_id, name in ((acme, ""), (other, "other ")):
        for model, rows in (
            (Team, [team(name)]),
            (Learner, list(map(learner, range(len(LEARNERS))))),
            (LearnerProfile, [{"learner_key": LEARNERS[0], "email": f"{name}a@example.org"}]),
            (Series, [series(name)]),
            (Module, [module(number, name) for number in range(3)]),
            (Progress, list(map(progress, range(23)))),
            (Attempt, list(map(attempt, range(4)))),
        ):
            write_rows(store, model, environment_id=environment_id, rows=rows)
    return keys


def write_rows(
    store: Store, model: type[SQLModel], *, environment_id: int, rows: list[dict[str, Any]]
) -> None:
    """Insert rows of a table, with the columns every projection carries."""
    table = table_of(model)
    shared = {"environment_id": environment_id, "revision": 1, "changed_at": START}
    known = {name: value for name, value in shared.items() if name in table.c}
    with transaction(store) as connection:
        connection.execute(insert(table), [known | row for row in rows])


def team(name: str) -> dict[str, Any]:
    """The only team."""
    return {"team_id": 1, "team_key": "t1", "name": f"{name}Team", "known": True}


def series(name: str) -> dict[str, Any]:
    """The only series."""
    return {"series_id": 1, "series_key": "s1", "name": f"{name}Series", "known": True}


def learner(number: int) -> dict[str, Any]:
    """A learner; the first one has a team and attributes."""
    first = number == 0
    return {
        "learner_id": number + 1,
        "learner_key": LEARNERS[number],
        "known": True,
        "team_key": "t1" if first else None,
        "hired_on": "2024-02-29" if first else None,
        "attributes": '{"grade":"A","level":3}' if first else "{}",
    }


def module(number: int, name: str) -> dict[str, Any]:
    """A module of each of three types."""
    return {
        "module_id": number + 1,
        "module_key": f"m{number}",
        "name": f'{name}Module "{number}"',
        "module_type": MODULE_TYPES[number],
        "tags": '["a","b"]' if number == 0 else "[]",
        "known": True,
    }


def progress(number: int) -> dict[str, Any]:
    """An assignment cycle: scores tie, due dates and scores are missing now and then."""
    return {
        "assignment_id": number + 1,
        "learner_key": LEARNERS[number % len(LEARNERS)],
        "module_key": f"m{number % 3}",
        "module_type": MODULE_TYPES[number % 3],
        "series_key": "s1" if number % 4 == 0 else "",
        "cycle": number // 15 + 1,
        "status": STATUSES[number % 5],
        "percent_complete": [0.0, 33.3, 100.0, 12.5, 0.1][number % 5],
        "assigned_at": START + timedelta(days=number, microseconds=number),
        "due_at": None if number % 3 == 0 else START + timedelta(days=30 + number % 4),
        "score": None if number % 4 == 0 else float(number % 3) + 0.1,
        "passed": [None, True, False][number % 3],
        "time_spent_s": 2**53 + 1 if number == 0 else number,
    }


def attempt(number: int) -> dict[str, Any]:
    """An attempt at the first assignment."""
    return {"attempt_id": number + 1, "assignment_id": 1, "attempt": number + 1, "score": 0.1}


@contextmanager
def feed_client(store: Store, settings: Settings, key: str) -> Iterator[TestClient]:
    """A client of the product with a key, rooted at the feed."""
    application = create_app(settings, store=store, worker=False)
    with TestClient(
        application, base_url=f"{ROOT}/", headers={"X-API-Key": key}, follow_redirects=False
    ) as client:
        yield client


def told(client: TestClient, path: str, headers: dict[str, str]) -> Any:
    """The body at a path."""
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()
