"""Registered sources: who may send events into an environment, and the streams they owe."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import lcm
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, func, select, update

from app.base.clock import now
from app.base.errors import (
    BadName,
    BodyInvalid,
    ContractInvalid,
    KeyTooEarly,
    NameTaken,
    Problem,
    UnknownName,
)
from app.learning.contracts import DEFAULT_BUCKET_S, Contract, find_contradictions
from app.learning.elements import moment_of_slot, spell_sum
from app.learning.modules import STREAM_NAMES
from app.store.audit import record_act
from app.store.contracts import read_contracts, write_contracts
from app.store.dialect import insert_rows
from app.store.evidence import note_evidence
from app.store.sums import newest_slot, read_keys
from app.store.tables import Environment, Feed, Source, SourceKey, Stream
from app.store.tables.columns import table_of
from app.store.work import EPOCH

KINDS = ("push", "pull", "file", "xapi")

_SECRET_BYTES = 32
_ROTATION_NOTICE, _ROTATION_AHEAD = timedelta(hours=1), timedelta(days=366)
_NAME_LENGTH = 200
_ENDPOINT_LENGTH = 2000
_FEED_COLUMNS = ("environment_id", "source_id", "endpoint", "next_at", "failure_count")
_COLUMNS = (
    "environment_id",
    "source_id",
    "source_key",
    "kind",
    "takes_occurred_at",
    "created_at",
    "evidence_url",
)
_KEY_COLUMNS = ("environment_id", "source_id", "key_id", "secret", "valid_from")
_TEMPLATE = Contract()


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
    endpoint: str | None = None,
    evidence_url: str | None = None,
    streams: Sequence[str] = STREAM_NAMES,
    contract: Contract = _TEMPLATE,
    actor: str = "cli",
) -> SourceSecret:
    """Register a source; it owes these streams, by default all, each under this contract.

    Shape:  endpoint: the checked URL of a pulled source's pages; of no other kind
        evidence_url: the checked URL under which it can be asked; of any kind
    Raises: BadName, NameTaken, ContractInvalid
    """
    _check_name(source_key, kind)
    _check_endpoint(kind, endpoint)
    _check_owed(streams, contract)
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
    source_id = (newest or 0) + 1
    row = (environment_id, source_id, source_key, kind, takes_occurred_at, now(), evidence_url)
    insert_rows(connection, source, _COLUMNS, [row])
    write_contracts(connection, environment_id, source_id, dict.fromkeys(streams, contract))
    if endpoint is not None:
        feed = (environment_id, source_id, endpoint, now(), 0)
        insert_rows(connection, table_of(Feed), _FEED_COLUMNS, [feed])
    record_act(
        connection,
        environment_id,
        actor=actor,
        action="source.added",
        target=source_key,
        details={"owed": list(streams), "not_owed": [n for n in STREAM_NAMES if n not in streams]},
        now=now(),
    )
    secret = _add_key(connection, environment_id, source_id, key_id="k1", valid_from=EPOCH)
    return SourceSecret(source_key, "k1", secret)


def rotate_key(
    connection: Connection,
    environment_id: int,
    source_key: str,
    *,
    valid_from: datetime | None = None,
    actor: str = "cli",
) -> tuple[SourceSecret, datetime]:
    """Give a source a new key of its evidence, for what is recorded from a moment on.

    The old key stays the one of all earlier buckets. The moment is moved up to a boundary of all
    its streams' buckets; when it is not told, it is an hour from now, so that both sides are ready.

    Raises: UnknownName; BodyInvalid when the moment is over a year ahead; KeyTooEarly when events
        recorded after it are here already
    """
    source_id = _lock_source(connection, environment_id, source_key)
    contracts = read_contracts(connection, environment_id, source_id=source_id).values()
    step_s = lcm(DEFAULT_BUCKET_S, *(contract.bucket_s for contract in contracts))
    wanted = valid_from or now() + _ROTATION_NOTICE
    if wanted > now() + _ROTATION_AHEAD:
        words = f"must be at most {_ROTATION_AHEAD.days} days from now"
        raise BodyInvalid(f"valid_from {words}", problems=[Problem("valid_from", words)])
    starts_at = moment_of_slot(-int(-wanted.timestamp() // step_s), step_s)
    keys = read_keys(connection, environment_id)[source_id]
    newest = newest_slot(connection, environment_id, source_id)
    if starts_at <= keys[0].valid_from or (newest is not None and newest >= starts_at):
        raise KeyTooEarly(
            f"events recorded at {starts_at:%Y-%m-%dT%H:%M:%SZ} or later are summed with the old"
            " key already, or a newer key is waiting",
            hint="Let the new key begin later: valid_from.",
        )
    key_id = f"k{len(keys) + 1}"
    secret = _add_key(connection, environment_id, source_id, key_id=key_id, valid_from=starts_at)
    key = table_of(SourceKey)
    connection.execute(
        update(key)
        .where(
            key.c.environment_id == environment_id,
            key.c.source_id == source_id,
            key.c.key_id == keys[0].key_id,
        )
        .values(valid_to=starts_at)
    )
    record_act(
        connection,
        environment_id,
        actor=actor,
        action="source.key_rotated",
        target=source_key,
        details={"key_id": key_id, "valid_from": starts_at, "before": keys[0].key_id},
        now=now(),
    )
    return SourceSecret(source_key, key_id, secret), starts_at


def _add_key(
    connection: Connection,
    environment_id: int,
    source_id: int,
    *,
    key_id: str,
    valid_from: datetime,
) -> str:
    secret = secrets.token_bytes(_SECRET_BYTES)
    row = (environment_id, source_id, key_id, secret, valid_from)
    insert_rows(connection, table_of(SourceKey), _KEY_COLUMNS, [row])
    return spell_sum(secret)


def _lock_source(connection: Connection, environment_id: int, source_key: str) -> int:
    environment = table_of(Environment)
    connection.execute(
        select(environment.c.environment_id)
        .where(environment.c.environment_id == environment_id)
        .with_for_update()
    ).one()
    found = read_sources(connection, environment_id).get(source_key)
    if found is None:
        raise UnknownName(f"there is no source {source_key[:100]!r} in this environment")
    return found.source_id


def list_sources(connection: Connection, environment_id: int) -> list[dict[str, Any]]:
    """Give the sources of an environment with the streams they owe, never their secrets.

    Shape: feed: how a pulled source goes; None of any other
    """
    source, stream = table_of(Source), table_of(Stream)
    owed: dict[int, list[str]] = {}
    for row in connection.execute(
        select(stream.c.source_id, stream.c.stream).where(
            stream.c.environment_id == environment_id, stream.c.removed_at.is_(None)
        )
    ):
        owed.setdefault(row.source_id, []).append(row.stream)
    rows = connection.execute(
        select(source)
        .where(source.c.environment_id == environment_id)
        .order_by(source.c.source_key)
    )
    feeds, keys = _read_feeds(connection, environment_id), read_keys(connection, environment_id)
    return [
        {
            "source": row.source_key,
            "kind": row.kind,
            "takes_occurred_at": row.takes_occurred_at,
            "key_id": keys[row.source_id][0].key_id,
            "created_at": row.created_at,
            "sealed_at": row.sealed_at,
            "evidence_url": row.evidence_url,
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


def seal_source(
    connection: Connection, environment_id: int, source_key: str, *, actor: str = "cli"
) -> datetime:
    """Retire a source: nothing more is accepted from it. Gives when; sealing twice changes nothing.

    Raises: UnknownName
    """
    source_id = _lock_source(connection, environment_id, source_key)
    source = table_of(Source)
    its_row = (source.c.environment_id == environment_id) & (source.c.source_id == source_id)
    before: datetime | None = connection.execute(select(source.c.sealed_at).where(its_row)).scalar()
    if before is not None:
        return before
    sealed_at = now()
    connection.execute(update(source).where(its_row).values(sealed_at=sealed_at))
    note_evidence(connection, environment_id)
    record_act(
        connection,
        environment_id,
        actor=actor,
        action="source.sealed",
        target=source_key,
        details={"sealed_at": sealed_at},
        now=sealed_at,
    )
    return sealed_at


def set_evidence_url(
    connection: Connection,
    environment_id: int,
    source_key: str,
    evidence_url: str | None,
    *,
    actor: str = "cli",
) -> None:
    """Say where a source is asked which events it made; None: it is asked no more.

    The audit keeps the host alone: the rest of a URL may hold a secret.

    Shape:  evidence_url: checked
    Raises: UnknownName
    """
    source_id = _lock_source(connection, environment_id, source_key)
    source = table_of(Source)
    connection.execute(
        update(source)
        .where(source.c.environment_id == environment_id, source.c.source_id == source_id)
        .values(evidence_url=evidence_url)
    )
    record_act(
        connection,
        environment_id,
        actor=actor,
        action="source.evidence_url_set",
        target=source_key,
        details={"host": urlsplit(evidence_url).hostname if evidence_url else None},
        now=now(),
    )


def _check_endpoint(kind: str, endpoint: str | None) -> None:
    if (kind == "pull") != (endpoint is not None):
        raise BadName(
            "a source of kind pull has an endpoint, and no other has one",
            hint="The endpoint is the https URL of its pages.",
        )
    if endpoint is not None and len(endpoint) > _ENDPOINT_LENGTH:
        raise BadName(f"an endpoint has at most {_ENDPOINT_LENGTH} characters")


def _check_owed(streams: Sequence[str], contract: Contract) -> None:
    for stream in streams:
        if stream not in STREAM_NAMES:
            raise BadName(
                f"there is no stream {stream[:40]!r}",
                hint=f"Streams are {', '.join(STREAM_NAMES)}.",
            )
    problems = find_contradictions(contract, now=now())
    if problems:
        told = f"{problems[0].path} {problems[0].message}"
        raise ContractInvalid(told, problems=problems)


def _check_name(source_key: str, kind: str) -> None:
    if not (0 < len(source_key) <= _NAME_LENGTH and source_key.isprintable()):
        raise BadName("the name of a source is 1 to 200 printable characters")
    if kind not in KINDS:
        raise BadName(f"{kind[:40]!r} is no kind of source", hint=f"Choose of {', '.join(KINDS)}.")
