"""What the feed is measured against: bare ASGI applications, and the usual way by ORM.

All read the database whose address is BENCH_DATABASE, one process on uvicorn.
"""

import json
import os
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import psycopg
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import ColumnElement, Select, and_, create_engine, make_url, select
from sqlalchemy.orm import Session
from sqlmodel import col

from app.store.tables import Learner, Module, Progress, Series, Team

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[Mapping[str, Any], Callable[[], Any], Send], Awaitable[None]]


def make_bare() -> Application:
    """The product's own SQL text, captured by the benchmark, run by the driver and sent as it is.

    Shape: BENCH_STATEMENT is JSON {sql, parameters, after}: `after` says at which places of the
        parameters, numbers or names, the key of the last row before the page stands
    """
    captured = json.loads(os.environ["BENCH_STATEMENT"])
    connection = _open_bare()

    async def bare(scope: Mapping[str, Any], _receive: Callable[[], Any], send: Send) -> None:
        if scope["type"] != "http":
            return
        asked = parse_qs(scope["query_string"].decode())
        parameters = copy(captured["parameters"])
        for place in captured["after"]:
            parameters[place] = int(asked["after"][0])
        row = connection.execute(captured["sql"], parameters).fetchone()
        body = b'{"value":[' + _encode(row[0]) + b"]}"
        await _send_body(send, body)

    return bare


def make_replay() -> Application:
    """Statements run by sqlite3 and their one value sent as it is; a path names a statement and the
    place of its values.

    Shape: the file BENCH_STATEMENTS is JSON {name: {sql, values: [[...], ...]}}, or {name: {text}}
        for what is sent without a database
    """
    known = json.loads(Path(os.environ["BENCH_STATEMENTS"]).read_text())
    ready = {name: one["text"].encode() for name, one in known.items() if "text" in one}
    connection = _open_bare()

    async def replay(scope: Mapping[str, Any], _receive: Callable[[], Any], send: Send) -> None:
        if scope["type"] != "http":
            return
        _, name, place = f"{scope['path']}//".split("/")[:3]
        if name in ready:
            body = ready[name]
        elif name in known:
            values = known[name]["values"]
            found = connection.execute(known[name]["sql"], values[int(place) % len(values)])
            body = b'{"value":[' + _encode(found.fetchone()[0]) + b"]}"
        else:
            body = b""
        await _send_body(send, body)

    return replay


def _open_bare() -> Any:
    """A connection of the driver itself."""
    url = make_url(os.environ["BENCH_DATABASE"])
    if url.get_backend_name() != "sqlite":
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        return psycopg.connect(plain, autocommit=True)
    connection = sqlite3.connect(str(url.database), isolation_level=None)
    for pragma in ("cache_size=-65536", "mmap_size=2147418112", "temp_store=MEMORY"):
        connection.execute(f"pragma {pragma}")
    return connection


def _encode(found: Any) -> bytes:
    """What a statement gives as its one value: text, bytes as the product's own gives, numbers."""
    return found if isinstance(found, bytes) else str("" if found is None else found).encode()


async def _send_body(send: Send, body: bytes) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class ProgressRow(BaseModel):
    """The usual response model: the fields of the product's rows."""

    assignment_id: int
    learner_key: str
    module_key: str
    module_name: str | None
    module_type: str | None
    series_key: str | None
    series_name: str | None
    team_key: str | None
    team_name: str | None
    manager_key: str | None
    cycle: int
    status: str
    percent_complete: float
    assigned_at: datetime | None
    due_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    waived_at: datetime | None
    mandatory: bool
    reason: str | None
    implicit: bool
    started_at: datetime | None
    last_activity_at: datetime | None
    completed_at: datetime | None
    failed_at: datetime | None
    passed: bool | None
    attempts: int
    score: float | None
    max_score: float | None
    first_score_percent: float | None
    best_score_percent: float | None
    last_score_percent: float | None
    points: float
    time_spent_s: int
    is_overdue: bool
    days_overdue: int
    parts_done: int
    parts_total: int | None
    module_version: str | None
    events_count: int
    changed_at: datetime
    revision: int


class Page(BaseModel):
    """A page of rows."""

    value: list[ProgressRow]


def make_usual() -> FastAPI:
    """SQLModel objects through a pydantic response model, paged by key; no verdict beside them."""
    engine = create_engine(os.environ["BENCH_DATABASE"])
    application = FastAPI()

    @application.get("/", response_model=Page)
    def read_page(after: int, rows: int) -> Any:
        with Session(engine) as session:
            found = session.execute(_page_statement(after, rows)).all()
            return {"value": [_make_row(*row) for row in found]}

    return application


def _page_statement(after: int, rows: int) -> Select[Progress, Module, Series, Learner, Team]:
    """Each progress row with its module, series, learner and team, every one an object."""
    one = col(Progress.environment_id) == 1
    return (
        select(Progress, Module, Series, Learner, Team)
        .outerjoin(Module, _same(Module, col(Module.module_key) == col(Progress.module_key)))
        .outerjoin(Series, _same(Series, col(Series.series_key) == col(Progress.series_key)))
        .outerjoin(Learner, _same(Learner, col(Learner.learner_key) == col(Progress.learner_key)))
        .outerjoin(Team, _same(Team, col(Team.team_key) == col(Learner.team_key)))
        .where(one, col(Progress.is_deleted).is_(False), col(Progress.assignment_id) > after)
        .order_by(col(Progress.assignment_id))
        .limit(rows)
    )


def _same(model: Any, keys: ColumnElement[bool]) -> ColumnElement[bool]:
    return and_(col(model.environment_id) == 1, keys)


def _make_row(
    progress: Progress,
    module: Module | None,
    series: Series | None,
    learner: Learner | None,
    team: Team | None,
) -> dict[str, Any]:
    due_at, moment = progress.due_at, datetime.now(UTC)
    is_open = not (progress.completed_at or progress.waived_at or progress.ended_at)
    is_overdue = due_at is not None and due_at < moment and is_open
    return {
        **progress.model_dump(),
        "module_name": module.name if module else None,
        "series_name": series.name if series else None,
        "team_key": learner.team_key if learner else None,
        "team_name": team.name if team else None,
        "manager_key": learner.manager_key if learner else None,
        "parts_total": module.parts_count if module else None,
        "is_overdue": is_overdue,
        "days_overdue": (moment - due_at).days if due_at is not None and is_overdue else 0,
    }
