"""A question and an earlier revision in, the rows that differ since and the keys that are gone out.

Both revisions are read for the keys that may differ, and compared as the caller sees them: what is
not in a row's text is no change. Source: OData Protocol 4.01, section 11.3; docs/odata.md, "Delta"
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from itsdangerous import BadSignature
from sqlalchemy import Connection

from app.base.clock import now as clock_now
from app.base.errors import BadToken, NotSupported
from app.base.seals import sealer_of
from app.catalog.fields import Dataset, Field, Type
from app.ledger.facts import Freshness, read_freshness
from app.query.answer import Answer, check_revision, environment_values
from app.query.claims import (
    NOTHING_TOLD,
    Told,
    hold_claims,
    note_claims,
    pack_claims,
    unpack_claims,
)
from app.query.frames import AS_OF_BIND, AS_OF_DAY_BIND
from app.query.past_pages import (
    AFTER_KEY_BIND,
    SINCE_BIND,
    UPTO_KEY_BIND,
    changed_keys_statement,
    keyed_rows_statement,
)
from app.query.plan import Plan, Shape, unrolled
from app.query.sql import LIMIT_BIND, PageStatement, rows_statement
from app.query.streams import Expansion
from app.store.engine import Store, snapshot
from app.store.instance import signing_secret
from app.store.past import REVISION_BIND, ROWS_REPLACED, ROWS_STAYED, at_revision, changed_since
from app.store.statement import run_statement
from app.store.tables import PAST

_LEAST_KEY = -(2**63)


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between two revisions of a question, or a page of it.

    rows_json: changed and new rows, JSON objects joined by commas
    removed: keys of rows that are gone from the question: deleted, or no longer in its condition
    deleted: those of them that are no rows at all any more
    total: all rows and keys of all pages, when the question asked for the count
    next: the token of the page after this one; None on the last
    delta: on the last page, the token to ask with next time
    """

    plan: Plan
    rows_json: bytes
    row_count: int
    removed: tuple[Any, ...]
    deleted: frozenset[Any]
    total: int | None
    next: str | None
    delta: str | None
    freshness: Freshness
    as_of: datetime
    revision: int


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a delta stands.

    since: the revision that the caller has seen
    upto: the revision it is being brought to; None before the first page
    after: the last key compared
    told: what the first page said of each stream, and through when
    """

    since: int
    upto: int | None = None
    after: Any = None
    told: Told = NOTHING_TOLD


def is_trackable(plan: Plan, dialect_name: str) -> bool:
    """Can changes of this question be told: rows of one table, whatever the hour?"""
    shape, request = plan.shape, plan.request
    if shape.is_grouped or shape.stage is not None or not tracks_changes(shape.dataset):
        return False
    if request.top is not None or request.skip or request.key:
        return False
    if rows_statement(shape, dialect_name, None).computed:
        return False
    return plan.as_of is not None or not _asks_the_hour(shape, dialect_name)


def tracks_changes(dataset: Dataset) -> bool:
    """Are replaced rows of this set kept, so that its changes can be told?"""
    return dataset.table is not None and dataset.table.name in PAST and len(dataset.key) == 1


@lru_cache(maxsize=512)
def _asks_the_hour(shape: Shape, dialect_name: str) -> bool:
    """Does it depend on the moment of asking which rows there are, expanded ones among them?"""
    bare = replace(
        _keys_alone(shape), where=shape.where, expansions=_bare_expansions(shape.expansions)
    )
    page = rows_statement(bare, dialect_name, None)
    return bool({AS_OF_BIND, AS_OF_DAY_BIND} & page.statement.parameters.keys())


def _bare_expansions(expansions: tuple[Expansion, ...]) -> tuple[Expansion, ...]:
    """Expansions that bring keys alone."""
    return tuple(
        replace(
            one,
            fields=_key_fields(one.dataset),
            expansions=_bare_expansions(one.expansions),
            computed=(),
        )
        for one in expansions
    )


@lru_cache(maxsize=512)
def _keys_alone(shape: Shape) -> Shape:
    """All rows of the set, whatever its condition, by their keys."""
    fields = _key_fields(shape.dataset)
    bare = replace(unrolled(shape), where=None, fields=fields, expansions=())
    return replace(bare, order=shape.order[-1:])


def _key_fields(dataset: Dataset) -> tuple[Field, ...]:
    return tuple(one for one in dataset.fields if one.name in dataset.key)


def delta_token(plan: Plan, store: Store, answer: Answer) -> str | None:
    """The token with which the changes after the last page of a walk can be asked; None when they
    cannot.
    """
    if answer.next is not None or not is_trackable(plan, store.dialect_name):
        return None
    with snapshot(store) as connection:
        return _write_token(connection, plan, _Place(answer.revision))


def run_delta(
    plan: Plan,
    store: Store,
    token: str,
    *,
    now: datetime | None = None,
    limit_s: float | None = None,
) -> Changes:
    """What differs from the revision of a token to the newest one.

    limit_s: how long it may take, other than the usual limit

    Raises: BadToken, RevisionGone, NotSupported, TooExpensive, StoreBusy
    """
    if not is_trackable(plan, store.dialect_name):
        raise NotSupported(
            "changes of this question are not tracked",
            hint="Track rows of one set, without $top, $skip, $apply or now().",
        )
    asked_at = now or clock_now()
    with snapshot(store, limit_s=limit_s or plan.settings.limit_query_s) as connection:
        place = _read_token(connection, plan, token)
        freshness = read_freshness(
            connection, plan.environment_id, plan.shape.streams, now=asked_at
        )
        upto = freshness.revision if place.upto is None else place.upto
        check_revision(connection, plan.environment_id, place.since)
        check_revision(connection, plan.environment_id, upto)
        place = replace(place, upto=upto)
        as_of = plan.as_of or asked_at
        comparing = _Comparing(connection, plan, freshness=freshness, place=place, as_of=as_of)
        return comparing.count() if plan.request.count_only else comparing.page()


@dataclass(frozen=True, slots=True)
class _Differing:
    """What differs among some keys.

    upto: where these keys end; None when there were none
    is_last: do no more follow?
    """

    rows: list[str]
    removed: tuple[Any, ...]
    upto: Any
    is_last: bool


class _Comparing:
    """One page of keys, compared between two revisions."""

    def __init__(
        self,
        connection: Connection,
        plan: Plan,
        *,
        freshness: Freshness,
        place: _Place,
        as_of: datetime,
    ) -> None:
        self.connection, self.plan, self.freshness = connection, plan, freshness
        self.place, self.as_of = place, as_of
        self.shape = unrolled(plan.shape)
        self.dialect_name = connection.dialect.name
        table = plan.dataset.table
        self.table_name = "" if table is None else table.name
        tables = keyed_rows_statement(self.shape, self.dialect_name, "", newer=False).tables
        changed = self._changed_since(place.since, tables)
        self.is_changed = self.table_name in changed
        # Rows of other tables show through joins: then any row may differ.
        self.is_alone = changed <= {self.table_name}

    def page(self) -> Changes:
        """Compare the next keys."""
        differing = self._compare_next()
        total = self._count_all() if self.plan.request.count else None
        upto = self.place.upto or 0
        freshness = hold_claims(self.freshness, self.place.told, revision=upto)
        told = note_claims(freshness)
        onward = replace(self.place, after=differing.upto, told=told)
        is_last = differing.is_last
        token = _write_token(self.connection, self.plan, _Place(upto) if is_last else onward)
        return Changes(
            plan=self.plan,
            rows_json=",".join(differing.rows).encode(),
            row_count=len(differing.rows),
            removed=differing.removed,
            deleted=self._deleted_of(differing),
            total=total,
            next=None if is_last else token,
            delta=token if is_last else None,
            freshness=freshness,
            as_of=self.as_of,
            revision=upto,
        )

    def count(self) -> Changes:
        """How many changes all pages hold together, and no row."""
        upto = self.place.upto or 0
        return Changes(
            plan=self.plan,
            rows_json=b"",
            row_count=0,
            removed=(),
            deleted=frozenset(),
            total=self._count_all(),
            next=None,
            delta=None,
            freshness=hold_claims(self.freshness, self.place.told, revision=upto),
            as_of=self.as_of,
            revision=upto,
        )

    def _count_all(self) -> int:
        """The changes of all pages, in pages of their own."""
        place, total = self.place, 0
        self.place = replace(place, after=None)
        while True:
            differing = self._compare_next()
            total += len(differing.rows) + len(differing.removed)
            if differing.is_last:
                break
            self.place = replace(place, after=differing.upto)
        self.place = place
        return total

    def _compare_next(self) -> _Differing:
        keys = self._next_keys()
        before: dict[Any, str] = {}
        after: dict[Any, str] = {}
        if keys:
            before = dict(self._rows_before(keys[-1]))
            after = dict(self._rows_after(keys[-1], self.shape))
        return _Differing(
            rows=[text for key, text in after.items() if before.get(key) != text],
            removed=tuple(key for key in before if key not in after),
            upto=keys[-1] if keys else None,
            is_last=len(keys) < self.shape.page_rows,
        )

    def _deleted_of(self, differing: _Differing) -> frozenset[Any]:
        """Those of the removed keys that no row has any more, whatever the condition."""
        removed = frozenset(differing.removed)
        if not removed or self.shape.where is None:
            return removed
        kept = self._rows_after(differing.upto, _keys_alone(self.shape))
        return removed - {key for key, _ in kept}

    def _next_keys(self) -> list[Any]:
        if self.is_alone and not self.is_changed:
            return []
        statement = changed_keys_statement(self.shape, self.dialect_name, newer=self.is_alone)
        rows = self._run(statement, upto=None, revision=None)
        return [row[0] for row in rows]

    def _rows_before(self, upto: Any) -> Iterator[tuple[Any, str]]:
        """The rows as the caller has seen them; those that have stayed are not in doubt."""
        sources = [""] if not self.is_changed else [ROWS_REPLACED]
        if self.is_changed and not self.is_alone:
            sources.append(ROWS_STAYED)
        for source in sources:
            statement = keyed_rows_statement(self.shape, self.dialect_name, source, newer=False)
            yield from self._run(statement, upto=upto, revision=self.place.since)

    def _rows_after(self, upto: Any, shape: Shape) -> Iterator[tuple[Any, str]]:
        """The rows as they are to be seen now."""
        revision = self.place.upto or 0
        is_moved = bool(self._changed_since(revision, {self.table_name}))
        for source in (ROWS_STAYED, ROWS_REPLACED) if is_moved else ("",):
            statement = keyed_rows_statement(shape, self.dialect_name, source, newer=self.is_alone)
            yield from self._run(statement, upto=upto, revision=revision)

    def _changed_since(self, revision: int, names: Any) -> frozenset[str]:
        return changed_since(self.connection, self.plan.environment_id, names, revision)

    def _run(self, page: PageStatement, *, upto: Any, revision: int | None) -> Any:
        start = "" if _has_text_key(self.plan) else _LEAST_KEY
        bound = environment_values(self.plan, self.as_of, page) | {
            AFTER_KEY_BIND: start if self.place.after is None else self.place.after,
            UPTO_KEY_BIND: upto,
            SINCE_BIND: self.place.since,
            LIMIT_BIND: self.shape.page_rows,
        }
        statement = page.statement
        if revision is not None and revision != self.freshness.revision:
            halved = self.table_name if page.is_halved else ""
            changed = self._changed_since(revision, page.tables)
            statement = at_revision(statement, changed, self.dialect_name, halved=halved)
            bound[REVISION_BIND] = revision
        return run_statement(self.connection, statement, bound)


def _has_text_key(plan: Plan) -> bool:
    field = plan.dataset.field(plan.dataset.key[0])
    return field is not None and field.type is not Type.INT


def _write_token(connection: Connection, plan: Plan, place: _Place) -> str:
    secret = signing_secret(connection, plan.settings)
    told = pack_claims(place.told)
    body = [_digest(plan), place.since, place.upto, place.after, told]
    return str(sealer_of(secret, "deltas").dumps(body))


def _read_token(connection: Connection, plan: Plan, token: str) -> _Place:
    secret = signing_secret(connection, plan.settings)
    try:
        opened = sealer_of(secret, "deltas").loads(token)
        digest, since, upto, after, packed = opened
        told = unpack_claims(packed)
    except (BadSignature, ValueError, TypeError) as error:
        raise BadToken(
            "this delta token was not made here",
            hint="Begin anew with Prefer: odata.track-changes.",
        ) from error
    if digest != _digest(plan):
        raise BadToken(
            "this delta token belongs to another question",
            hint="Follow deltaLink as it is; change nothing in it.",
        )
    return _Place(since, upto, after, told)


def _digest(plan: Plan) -> str:
    """What must stay the same from delta to delta: all that a row's text depends on."""
    request = plan.request
    asked = (
        plan.environment_id,
        request.dataset,
        request.where,
        request.search,
        request.compute,
        plan.as_of,
        plan.select,
        request.expand,
        request.timezone,
        sorted(request.aliases.items()),
    )
    lists = tuple(name for name in request.select if name.endswith(")"))
    return hashlib.sha256(repr((*asked, *lists)).encode()).hexdigest()[:20]
