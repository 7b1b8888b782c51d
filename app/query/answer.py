"""Plan in, Answer out: rows and verdict from one snapshot, closed before a byte is sent."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any

import orjson
from sqlalchemy import Connection

from app.base.clock import now as clock_now
from app.base.errors import FreshnessUnmet, RevisionGone, TooComplex, UnknownEntity
from app.ledger.facts import Freshness, Lag, StreamLag, read_freshness, read_lag
from app.ledger.receipts import sign_claim
from app.ledger.verdict import PAST_REVISION, State, Verdict
from app.query.claims import NOTHING_TOLD, Claim, Told, hold_claims, note_claims
from app.query.cursor import Cursor, digest_question, digest_walk, read_token, write_token
from app.query.demand import check_demand, refuse_clipped
from app.query.forms import form_of
from app.query.frames import AS_OF_BIND, AS_OF_DAY_BIND, ENVIRONMENT_BIND, computed_bind
from app.query.judged import judge_rows
from app.query.past_pages import past_edge_statement, past_rows_statement
from app.query.plan import Plan, Shape, unrolled
from app.query.question import slot_of
from app.query.sql import (
    LIMIT_BIND,
    OFFSET_BIND,
    PageStatement,
    count_statement,
    edge_statement,
    ends_with_key,
    rows_statement,
    seek_values,
    sorts_by_key,
)
from app.store.days import day_in_zone
from app.store.engine import Store, kept_between, snapshot
from app.store.instance import signing_secret
from app.store.past import REVISION_BIND, at_revision, changed_since, read_revisions
from app.store.statement import run_statement
from app.store.tables import PAST

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of one page and the verdict that goes with them.

    rows_json: JSON objects joined by commas, without brackets, in UTF-8
    total: all rows of the question, when it asked for the count
    next: the token of the page after this one; None on the last
    as_of: the moment it was asked for
    tag: weak entity tag over question, revision and verdict; empty where time alone changes rows
    is_unchanged: the caller has this very answer; no row was read
    """

    plan: Plan
    rows_json: bytes
    row_count: int
    total: int | None
    next: str | None
    freshness: Freshness
    as_of: datetime
    tag: str = ""
    is_unchanged: bool = False

    @property
    def revision(self) -> int:
        """The environment's revision that the rows show."""
        return self.freshness.revision


def run_plan(
    plan: Plan, store: Store, *, now: datetime | None = None, limit_s: float | None = None
) -> Answer:
    """Answer a plan.

    limit_s: how long it may take, other than the usual limit
    Raises: BadToken, TooExpensive, StoreBusy; UnknownEntity when one entity was asked for;
        RevisionGone; FreshnessUnmet, NotYetFresh when the data is not as fresh as demanded
    """
    asked_at = now or clock_now()
    try:
        with snapshot(store, limit_s=limit_s or plan.settings.limit_query_s) as connection:
            return answer_in(connection, plan, now=asked_at)
    except RecursionError as error:
        raise TooComplex("the expression is nested too deeply") from error


def answer_in(connection: Connection, plan: Plan, *, now: datetime) -> Answer:
    """Answer a plan in a snapshot that is already open."""
    cursor = _read_cursor(connection, plan)
    as_of, freshness = _judge(connection, plan, cursor=cursor, now=now)
    reading = _Reading(connection, plan, as_of=as_of, cursor=cursor, freshness=freshness)
    freshness = reading.freshness
    tag = reading.tag()
    freshness = replace(freshness, receipt=_seal_receipt(connection, plan, freshness))
    check_demand(plan.demand, freshness)
    if tag and (tag in plan.demand.known_tags or "*" in plan.demand.known_tags):
        return Answer(plan, b"", 0, None, None, freshness, as_of, tag, is_unchanged=True)
    total = reading.count() if plan.request.count or plan.request.count_only else None
    rows_json, row_count, following = b"", 0, None
    if not plan.request.count_only:
        rows_json, row_count = reading.rows()
        following = reading.next_token(row_count)
    if plan.request.key is not None and row_count == 0:
        if plan.demand.until_complete and reading.has_behind():
            refuse_clipped(plan.dataset.name, freshness)
        raise UnknownEntity(f"{plan.dataset.name} has no entity with this key")
    return Answer(plan, rows_json, row_count, total, following, freshness, as_of, tag)


def check_revision(connection: Connection, environment_id: int, revision: int) -> None:
    """Refuse a revision that cannot be read whole.

    Raises: RevisionGone
    """
    known = read_revisions(connection, environment_id)
    if not known.oldest <= revision <= known.newest:
        raise RevisionGone(
            f"revision {revision} is not among those kept, {known.oldest} to {known.newest}",
            hint="Begin the walk anew, without a token or an old revision.",
        )


def environment_values(plan: Plan, as_of: datetime, page: PageStatement) -> dict[str, Any]:
    """The values that any statement of a plan may be bound to."""
    values: dict[str, Any] = {ENVIRONMENT_BIND: plan.environment_id, AS_OF_BIND: as_of}
    if AS_OF_DAY_BIND in page.binds:
        values[AS_OF_DAY_BIND] = day_in_zone(as_of, plan.request.timezone)
    return values


def _judge(
    connection: Connection, plan: Plan, *, cursor: Cursor | None, now: datetime
) -> tuple[datetime, Freshness]:
    """The moment the question is for, and how fresh the data is for it."""
    environment_id, touched = plan.environment_id, plan.shape.streams
    end_at = cursor.as_of if cursor else plan.as_of
    freshness = read_freshness(connection, environment_id, touched, now=now, end_at=end_at)
    if not plan.demand.until_complete:
        return end_at or now, freshness
    through = freshness.standing.complete_through
    if through is None:
        raise FreshnessUnmet(
            "of what this question touches nothing is known to be complete", freshness=freshness
        )
    clipped_at = through if end_at is None else min(end_at, through)
    freshness = read_freshness(connection, environment_id, touched, now=now, end_at=clipped_at)
    return clipped_at, replace(freshness, is_clipped=True)


def _read_cursor(connection: Connection, plan: Plan) -> Cursor | None:
    if not plan.after:
        return None
    secret = _secret_of(connection, plan)
    return read_token(plan.after, _digest_walk(plan.shape, plan.environment_id), secret=secret)


def _seal_receipt(connection: Connection, plan: Plan, freshness: Freshness) -> str:
    return sign_claim(
        freshness,
        environment_id=plan.environment_id,
        digest=_digest_plan(plan),
        dataset=plan.dataset.name,
        address=plan.demand.address,
        secret=_secret_of(connection, plan),
    )


def _digest_plan(plan: Plan) -> str:
    """What was asked, for receipts and entity tags."""
    digest = _digest_shape(plan.shape, plan.environment_id)
    if plan.key is None:
        return digest
    return hashlib.sha256(repr((digest, sorted(plan.key.items()))).encode()).hexdigest()[:20]


@lru_cache(maxsize=512)
def _digest_shape(shape: Shape, environment_id: int) -> str:
    return digest_question(shape.request, environment_id)


@lru_cache(maxsize=512)
def _digest_walk(shape: Shape, environment_id: int) -> str:
    return digest_walk(shape.request, environment_id)


def _secret_of(connection: Connection, plan: Plan) -> bytes:
    """The secret that signs tokens: it never changes, so it is read once."""
    kept = kept_between(connection)
    place = ("secret", plan.settings.secret)
    if place not in kept:
        kept[place] = signing_secret(connection, plan.settings)
    secret: bytes = kept[place]
    return secret


class _Reading:
    """One page being read: the statements of a plan with their values."""

    def __init__(
        self,
        connection: Connection,
        plan: Plan,
        *,
        as_of: datetime,
        cursor: Cursor | None,
        freshness: Freshness,
    ) -> None:
        self.connection, self.plan = connection, plan
        self.as_of, self.cursor = as_of, cursor
        wanted = cursor.revision if cursor else plan.revision
        self.revision = freshness.revision if wanted is None else wanted
        self.is_past = self.revision != freshness.revision
        if self.is_past:
            check_revision(connection, plan.environment_id, self.revision)
        self.form = form_of(plan.shape)
        self.shape = unrolled(self.form.shape) if self.is_past else self.form.shape
        self.is_halved = self.is_past and self._is_halved()
        self.dialect_name = connection.dialect.name
        self.freshness = hold_claims(freshness, self.told(), revision=self.revision)
        self.nulls = tuple(v is None for v in cursor.values) if cursor else None
        self.left = cursor.left if cursor else plan.request.top
        self.limit = min(x for x in (plan.shape.page_rows, self.left) if x is not None)
        self.skip = 0 if cursor else plan.request.skip
        self.last_key: int | None = None

    @cached_property
    def lag(self) -> Lag:
        """All streams with their counts, for the sets whose rows are judged: for the moment that
        the answer itself is judged for.
        """
        now, end_at = self.freshness.evaluated_at, self.as_of
        return read_lag(self.connection, self.plan.environment_id, now=now, end_at=end_at)

    def tag(self) -> str:
        """The weak entity tag of this page; empty where time alone changes its rows.

        Source: RFC 9110, section 8.8.3; docs/completeness.md, "Caching"
        """
        statement = rows_statement(self.form.shape, self.dialect_name, self.nulls)
        if statement.computed or (self.plan.as_of is None and AS_OF_BIND in statement.binds):
            return ""
        bound = environment_values(self.plan, self.as_of, statement)
        said = (
            _digest_plan(self.plan),
            self.plan.after,
            self.plan.as_of,
            bound.get(AS_OF_DAY_BIND, ""),
            self.plan.demand.variant,
            self.revision,
            _epoch(self.freshness.streams),
            (self.freshness.is_settled, self.freshness.is_clipped),
        )
        return f'W/"{hashlib.sha256(orjson.dumps(said)).hexdigest()[:32]}"'

    def rows(self) -> tuple[bytes, int]:
        """The page's objects joined by commas, and how many."""
        if self.limit == 0:
            return b"", 0
        write = past_rows_statement if self.is_halved else rows_statement
        statement = write(self.shape, self.dialect_name, self.nulls)
        values = {LIMIT_BIND: self.limit, OFFSET_BIND: self.skip}
        row = self._run(statement, values)[0]
        if ends_with_key(self.shape) and not self.is_halved:
            self.last_key = row[2]
        joined = row[0]
        return joined if isinstance(joined, bytes) else joined.encode(), row[1]

    def told(self) -> Told:
        """What is held against each stream: what the walk's first page said; that nobody judged it
        then, where rows of a past revision are not those of today.
        """
        if self.cursor is not None:
            return self.cursor.told
        if not self.is_past:
            return NOTHING_TOLD
        page = rows_statement(self.shape, self.dialect_name, None)
        if not self._changed(page.tables):
            return NOTHING_TOLD
        claim = Claim(Verdict(State.UNKNOWN, PAST_REVISION))
        return Told(((claim, tuple(self.plan.shape.streams)),))

    def count(self) -> int:
        """All rows of the question, before top and skip."""
        statement = count_statement(self.shape, self.dialect_name)
        return int(self._run(statement, {})[0][0])

    def has_behind(self) -> bool:
        """Would there be rows if none were left out behind the moment that the question ends at?"""
        statement = count_statement(self.shape, self.dialect_name)
        return bool(self._run(statement, {AS_OF_BIND: _END_OF_TIME})[0][0])

    def next_token(self, row_count: int) -> str | None:
        """The token of the next page, if this one is full and more rows follow."""
        left = None if self.left is None else self.left - row_count
        if row_count < self.limit or left == 0 or not self.plan.shape.page_rows:
            return None
        edge = self._edge(self.skip + row_count - 1)
        if edge is None:
            return None
        # SQLite gives moments as their text, which sorts as they do.
        told = note_claims(self.freshness)
        cursor = Cursor(edge, left, self.as_of, self.revision, told)
        secret = _secret_of(self.connection, self.plan)
        digest = _digest_walk(self.plan.shape, self.plan.environment_id)
        return write_token(cursor, digest, secret=secret)

    def _edge(self, last: int) -> tuple[Any, ...] | None:
        """The sort values of the page's last row; None where no row follows.

        last: its place
        """
        if self.last_key is not None:
            behind = edge_statement(self.shape, self.dialect_name, (False,))
            values = {OFFSET_BIND: 0, **seek_values((self.last_key,))}
            return (self.last_key,) if self._run(behind, values) else None
        write = past_edge_statement if self.is_halved else edge_statement
        statement = write(self.shape, self.dialect_name, self.nulls)
        edge = self._run(statement, {OFFSET_BIND: last})
        return tuple(edge[0]) if len(edge) == 2 else None

    def _is_halved(self) -> bool:
        """Is the dataset's own table read in order, and has it changed since the revision?"""
        table = self.plan.dataset.table
        if table is None or self.shape.is_grouped or self.shape.stage is not None:
            return False
        if not sorts_by_key(self.shape):
            return False
        return bool(self._changed({table.name} & PAST.keys()))

    def _changed(self, names: Iterable[str]) -> frozenset[str]:
        return changed_since(self.connection, self.plan.environment_id, names, self.revision)

    def _run(self, page: PageStatement, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        bound: dict[str, Any] = {
            **environment_values(self.plan, self.as_of, page),
            **self.form.literals,
            **{slot_of(name): value for name, value in (self.plan.key or {}).items()},
            **(seek_values(self.cursor.values) if self.cursor is not None else {}),
            **values,
        }
        for name in page.computed:
            bound[computed_bind(name)] = orjson.dumps(judge_rows(name, self.lag)).decode()
        statement = page.statement
        if self.is_past:
            table = self.plan.dataset.table
            halved = table.name if table is not None and page.is_halved else ""
            changed = self._changed(page.tables)
            statement = at_revision(statement, changed, self.dialect_name, halved=halved)
            bound[REVISION_BIND] = self.revision
        return run_statement(self.connection, statement, bound)


@lru_cache(maxsize=256)
def _epoch(streams: tuple[StreamLag, ...]) -> orjson.Fragment:
    """What of the verdict an entity tag holds, so that no 304 revives an old claim."""
    standings = [(one.stream, one.verdict, one.standing) for one in streams]
    return orjson.Fragment(
        orjson.dumps(
            [(name, verdict, s.complete_through, s.missing) for name, verdict, s in standings]
        )
    )
