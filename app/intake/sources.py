"""Registered sources: who may send events into an environment, and the streams they owe."""

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from app.base.clock import now
from app.base.errors import BadName, NameTaken, UnknownName
from app.learning.modules import STREAM_NAMES
from app.store.dialect import insert_rows
from app.store.tables import Environment, Feed, Source, Stream
from app.store.tables.columns import table_of
from app.store.work import EPOCH

KINDS = ("push", "pull", "file", "xapi")

_FIRST_KEY_ID = "k1"
_SECRET_BYTES = 32
_NAME_LENGTH = 200
_ENDPOINT_LENGTH = 2000
_FEED_COLUMNS = ("environment_id", "source_id", "endpoint", "next_at", "failure_count")
_COLUMNS = (
    "environment_id",
    "source_id",
    "source_key",
    "kind",
    "takes_occurred_at",
    "digest_key_id",
    "digest_secret",
    "created_at",
)


@dataclass(frozen=True, slots=True)
class SourceSecret:
    """What is told once about a new source.

    key_id, secret: the key of its evidence, the secret as unpadded base64url
    """

    source: str
    key_id: str
    secret: str


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """A source as intake looks at it for each event.

    takes_occurred_at: events without recordedtime count as recorded when they occurred
    """

    source_id: int
    takes_occurred_at: bool
    is_sealed: bool


def add_source(
    connection: Connection,
    environment_id: int,
    *,
    source_key: str,
    kind: str = "push",
    takes_occurred_at: bool = False,
    from_at: datetime = EPOCH,
    endpoint: str | None = None,
) -> SourceSecret:
    """Register a source; it owes every stream from `from_at` on.

    Shape:  endpoint: the checked URL of a pulled source's pages; of no other kind
    Raises: BadName, NameTaken
    """
    _check_name(source_key, kind)
    _check_endpoint(kind, endpoint)
    environment, source = table_of(Environment), table_of(Source)
    connection.execute(
        select(environment.c.environment_id)
        .where(environment.c.environment_id == environment_id)
        .with_for_update()
    ).one()
    if source_key in read_sources(connection, environment_id):
        raise NameTaken(f"the source {source_key!r} exists already")
    newest = connection.execute(
        select(func.max(source.c.source_id)).where(source.c.environment_id == environment_id)
    ).scalar()
    source_id, secret = (newest or 0) + 1, secrets.token_bytes(_SECRET_BYTES)
    row = (
        environment_id,
        source_id,
        source_key,
        kind,
        takes_occurred_at,
        _FIRST_KEY_ID,
        secret,
        now(),
    )
    insert_rows(connection, source, _COLUMNS, [row])
    insert_rows(
        connection,
        table_of(Stream),
        ("environment_id", "source_id", "stream", "from_at"),
        [(environment_id, source_id, stream, from_at) for stream in STREAM_NAMES],
    )
    if endpoint is not None:
        feed = (environment_id, source_id, endpoint, now(), 0)
        insert_rows(connection, table_of(Feed), _FEED_COLUMNS, [feed])
    spelled = urlsafe_b64encode(secret).rstrip(b"=").decode()
    return SourceSecret(source_key, _FIRST_KEY_ID, spelled)


def list_sources(connection: Connection, environment_id: int) -> list[dict[str, Any]]:
    """Give the sources of an environment with the streams they owe, never their secrets.

    Shape: feed: how a pulled source goes; None of any other
    """
    source, stream = table_of(Source), table_of(Stream)
    owed: dict[int, list[str]] = {}
    for row in connection.execute(
        select(stream.c.source_id, stream.c.stream).where(stream.c.environment_id == environment_id)
    ):
        owed.setdefault(row.source_id, []).append(row.stream)
    rows = connection.execute(
        select(source)
        .where(source.c.environment_id == environment_id)
        .order_by(source.c.source_key)
    )
    feeds = _read_feeds(connection, environment_id)
    return [
        {
            "source": row.source_key,
            "kind": row.kind,
            "takes_occurred_at": row.takes_occurred_at,
            "key_id": row.digest_key_id,
            "created_at": row.created_at,
            "sealed_at": row.sealed_at,
            "streams": sorted(owed.get(row.source_id, ()), key=STREAM_NAMES.index),
            "feed": feeds.get(row.source_id),
        }
        for row in rows
    ]


def _read_feeds(connection: Connection, environment_id: int) -> dict[int, dict[str, Any]]:
    feed = table_of(Feed)
    rows = connection.execute(select(feed).where(feed.c.environment_id == environment_id))
    return {
        row.source_id: {
            "endpoint": row.endpoint,
            "state": "failing" if row.failure_count else "ok",
            "cursor": row.cursor,
            "pulled_at": row.pulled_at,
            "next_at": row.next_at,
            "failing_since": row.failing_since,
            "failure_count": row.failure_count,
            "error": row.error,
        }
        for row in rows
    }


def read_sources(connection: Connection, environment_id: int) -> Mapping[str, SourceEntry]:
    """Give the sources of an environment by their keys."""
    source = table_of(Source)
    columns = source.c.source_key, source.c.source_id, source.c.takes_occurred_at
    rows = connection.execute(
        select(*columns, source.c.sealed_at).where(source.c.environment_id == environment_id)
    )
    return {
        row.source_key: SourceEntry(
            row.source_id, row.takes_occurred_at, is_sealed=row.sealed_at is not None
        )
        for row in rows
    }


def seal_source(connection: Connection, environment_id: int, source_key: str) -> datetime:
    """Retire a source: nothing more is accepted from it. Gives when; sealing twice changes nothing.

    Raises: UnknownName
    """
    source = table_of(Source)
    its_row = (source.c.environment_id == environment_id) & (source.c.source_key == source_key)
    connection.execute(
        update(source).where(its_row, source.c.sealed_at.is_(None)).values(sealed_at=now())
    )
    sealed_at: datetime | None = connection.execute(
        select(source.c.sealed_at).where(its_row)
    ).scalar()
    if sealed_at is None:
        raise UnknownName(f"there is no source {source_key[:100]!r} in this environment")
    return sealed_at


def _check_endpoint(kind: str, endpoint: str | None) -> None:
    if (kind == "pull") != (endpoint is not None):
        raise BadName(
            "a source of kind pull has an endpoint, and no other has one",
            hint="The endpoint is the https URL of its pages.",
        )
    if endpoint is not None and len(endpoint) > _ENDPOINT_LENGTH:
        raise BadName(f"an endpoint has at most {_ENDPOINT_LENGTH} characters")


def _check_name(source_key: str, kind: str) -> None:
    if not (0 < len(source_key) <= _NAME_LENGTH and source_key.isprintable()):
        raise BadName("the name of a source is 1 to 200 printable characters")
    if kind not in KINDS:
        raise BadName(f"{kind[:40]!r} is no kind of source", hint=f"Choose of {', '.join(KINDS)}.")
