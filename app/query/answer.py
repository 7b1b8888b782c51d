"""Plan in, Answer out: rows and verdict from one snapshot, closed before a byte is sent."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection

from app.base.clock import now as clock_now
from app.base.errors import TooComplex, UnknownEntity
from app.ledger.facts import Freshness, Lag, freshness_of, read_lag
from app.ledger.rows import rows_of_lag
from app.query.cursor import Cursor, read_token, write_token
from app.query.frames import AS_OF_BIND, AS_OF_DAY_BIND, ENVIRONMENT_BIND, computed_bind
from app.query.plan import Plan
from app.query.sql import (
    LIMIT_BIND,
    OFFSET_BIND,
    PageStatement,
    count_statement,
    edge_statement,
    rows_statement,
    seek_values,
)
from app.store.days import day_in_zone
from app.store.engine import Store, snapshot
from app.store.instance import signing_secret


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of one page and the verdict that goes with them.

    rows_json: JSON objects joined by commas, without brackets
    total: all rows of the question, when it asked for the count
    next: the token of the page after this one; None on the last
    as_of: the moment it was asked for
    """

    plan: Plan
    rows_json: str
    row_count: int
    total: int | None
    next: str | None
    freshness: Freshness
    as_of: datetime

    @property
    def revision(self) -> int:
        """The environment's revision that the rows show."""
        return self.freshness.revision


def run_plan(plan: Plan, store: Store, *, now: datetime | None = None) -> Answer:
    """Answer a plan.

    Raises: BadToken, TooExpensive, StoreBusy; UnknownEntity when one entity was asked for
    """
    asked_at = now or clock_now()
    try:
        with snapshot(store, limit_s=plan.settings.limit_query_s) as connection:
            return answer_in(connection, plan, now=asked_at)
    except RecursionError as error:
        raise TooComplex("the expression is nested too deeply") from error


def answer_in(connection: Connection, plan: Plan, *, now: datetime) -> Answer:
    """Answer a plan in a snapshot that is already open."""
    cursor = _read_cursor(connection, plan)
    as_of = cursor.as_of if cursor else plan.as_of or now
    lag = read_lag(connection, plan.environment_id, now=now)
    reading = _Reading(connection, plan, lag=lag, as_of=as_of, cursor=cursor)
    total = reading.count() if plan.request.count or plan.request.count_only else None
    rows_json, row_count, following = "", 0, None
    if not plan.request.count_only:
        rows_json, row_count = reading.rows()
        following = reading.next_token(row_count)
    if plan.request.key is not None and row_count == 0:
        raise UnknownEntity(f"{plan.dataset.name} has no entity with this key")
    freshness = freshness_of(lag, plan.shape.streams)
    return Answer(plan, rows_json, row_count, total, following, freshness, as_of)


def _read_cursor(connection: Connection, plan: Plan) -> Cursor | None:
    if not plan.after:
        return None
    secret = signing_secret(connection, plan.settings)
    return read_token(plan.after, plan.request, environment_id=plan.environment_id, secret=secret)


class _Reading:
    """One page being read: the statements of a plan with their values."""

    def __init__(
        self,
        connection: Connection,
        plan: Plan,
        *,
        lag: Lag,
        as_of: datetime,
        cursor: Cursor | None,
    ) -> None:
        self.connection, self.plan, self.lag = connection, plan, lag
        self.as_of, self.cursor = as_of, cursor
        self.dialect_name = connection.dialect.name
        self.nulls = tuple(v is None for v in cursor.values) if cursor else None
        self.left = cursor.left if cursor else plan.request.top
        self.limit = min(x for x in (plan.shape.page_rows, self.left) if x is not None)
        self.skip = 0 if cursor else plan.request.skip

    def rows(self) -> tuple[str, int]:
        """The page's objects joined by commas, and how many."""
        if self.limit == 0:
            return "", 0
        statement = rows_statement(self.plan.shape, self.dialect_name, self.nulls)
        values = {LIMIT_BIND: self.limit, OFFSET_BIND: self.skip}
        row = self._run(statement, values).one()
        return row[0], row[1]

    def count(self) -> int:
        """All rows of the question, before top and skip."""
        statement = count_statement(self.plan.shape, self.dialect_name)
        return int(self._run(statement, {}).scalar_one())

    def next_token(self, row_count: int) -> str | None:
        """The token of the next page, if this one is full and more rows follow."""
        left = None if self.left is None else self.left - row_count
        if row_count < self.limit or left == 0 or not self.plan.shape.page_rows:
            return None
        statement = edge_statement(self.plan.shape, self.dialect_name, self.nulls)
        edge = self._run(statement, {OFFSET_BIND: self.skip + row_count - 1}).all()
        if len(edge) < 2:
            return None
        # SQLite gives moments as their text, which sorts as they do.
        cursor = Cursor(tuple(edge[0]), left, self.as_of)
        secret = signing_secret(self.connection, self.plan.settings)
        return write_token(
            cursor, self.plan.request, environment_id=self.plan.environment_id, secret=secret
        )

    def _run(self, page: PageStatement, values: dict[str, Any]) -> Any:
        bound: dict[str, Any] = {
            ENVIRONMENT_BIND: self.plan.environment_id,
            AS_OF_BIND: self.as_of,
            AS_OF_DAY_BIND: day_in_zone(self.as_of, self.plan.request.timezone),
            **values,
        }
        if self.cursor is not None:
            bound |= seek_values(self.cursor.values)
        for name in page.computed:
            rows = rows_of_lag(self.lag, by_source=name == "sources")
            bound[computed_bind(name)] = orjson.dumps(rows).decode()
        statement = page.statement
        return self.connection.exec_driver_sql(statement.text, statement.bind(bound))
