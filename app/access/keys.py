"""API keys: issued once in clear, kept as SHA-256, compared in constant time.

A key is `fc_<public>_<secret>`; the public part finds its row, the 256-bit secret proves it. A
random secret needs no slow hash.
"""

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, String, bindparam, insert, or_, select, update

from app.access.principal import SCOPES, Principal
from app.base.clock import now
from app.base.errors import BadName, NotAuthenticated, UnknownName
from app.store.statement import Statement, compile_statement, run_statement
from app.store.tables.access import ApiKey, Environment
from app.store.tables.columns import decode_moment, table_of

_ALPHABET = string.ascii_letters + string.digits
_PUBLIC_LENGTH = 16
_PUBLIC = re.compile(r"[A-Za-z0-9]{16}")
_SHAPE = re.compile(r"fc_([A-Za-z0-9]{16})_([A-Za-z0-9_-]{43})")
_DUMMY_HASH = hashlib.sha256(b"").digest()
_USE_NOTED_EVERY = timedelta(minutes=1)
_CROSSING = {"across_environments": "a key is looked up before its environment is known"}


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key, the only time that it is seen whole.

    key_id: its public part
    """

    key_id: str
    key: str
    environment: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A key as it may be shown; its secret is not kept."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class CheckedKey:
    """A key that was proved.

    use_is_news: its last use was noted longer than a minute ago
    """

    principal: Principal
    use_is_news: bool


def issue_key(
    connection: Connection,
    environment_id: int,
    *,
    scopes: Collection[str],
    name: str = "",
    expires_at: datetime | None = None,
) -> IssuedKey:
    """Make a key of an environment.

    Raises: BadName, when a scope is unknown or none is given
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        said = f"there is no scope {unknown[0][:100]!r}" if unknown else "a key needs a scope"
        raise BadName(said, hint=f"Scopes are {', '.join(SCOPES)}.")
    if len(name) > 200 or not (name or "-").isprintable():
        raise BadName("the name of a key has at most 200 printable characters")
    public = "".join(secrets.choice(_ALPHABET) for _ in range(_PUBLIC_LENGTH))
    secret = secrets.token_urlsafe(32)
    held = tuple(scope for scope in SCOPES if scope in scopes)
    connection.execute(
        insert(table_of(ApiKey)).values(
            environment_id=environment_id,
            public_key=public,
            name=name,
            secret_hash=_hash_secret(secret),
            scopes=" ".join(held),
            created_at=now(),
            expires_at=expires_at,
        )
    )
    environment = table_of(Environment)
    environment_key = connection.execute(
        select(environment.c.environment_key).where(environment.c.environment_id == environment_id)
    ).scalar_one()
    return IssuedKey(public, f"fc_{public}_{secret}", environment_key, held)


def check_key(connection: Connection, presented: str) -> CheckedKey:
    """Prove a key; an unknown one takes the same work as a wrong one.

    Raises: NotAuthenticated
    """
    shape = _SHAPE.fullmatch(presented)
    row = None
    if shape is not None:
        its_key = {"presented": shape[1]}
        found = run_statement(connection, _key_query(connection.dialect.name), its_key)
        row = _KeyRow._make(found[0]) if found else None
    expected = row.secret_hash if row is not None else _DUMMY_HASH
    proved = hmac.compare_digest(_hash_secret(shape[2] if shape else ""), expected)
    if row is None or not proved:
        raise NotAuthenticated("this key is not known", hint="A key looks like fc_..._...")
    moment = now()
    if row.revoked_at is not None:
        raise NotAuthenticated("this key was revoked", hint="Issue a new one: fullcount keys add")
    if row.expires_at is not None and decode_moment(row.expires_at) <= moment:
        raise NotAuthenticated("this key has expired", hint="Issue a new one: fullcount keys add")
    is_stale = (
        row.last_used_at is None or moment - decode_moment(row.last_used_at) >= _USE_NOTED_EVERY
    )
    principal = _principal_of(
        row.environment_id, row.environment_key, row.public_key, row.scopes, row.timezone
    )
    return CheckedKey(principal, use_is_news=is_stale)


def note_key_use(connection: Connection, principal: Principal) -> None:
    """Write down that a key was used now."""
    table = table_of(ApiKey)
    moment = now()
    connection.execute(
        update(table)
        .where(
            table.c.environment_id == principal.environment_id,
            table.c.public_key == principal.key,
            or_(table.c.last_used_at.is_(None), table.c.last_used_at < moment),
        )
        .values(last_used_at=moment)
    )


def list_keys(connection: Connection, environment_id: int) -> tuple[KeyFacts, ...]:
    """The keys of an environment, by their public part."""
    table = table_of(ApiKey)
    rows = connection.execute(
        select(table).where(table.c.environment_id == environment_id).order_by(table.c.public_key)
    )
    return tuple(
        KeyFacts(
            key_id=row.public_key,
            name=row.name,
            scopes=tuple(row.scopes.split()),
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            last_used_at=row.last_used_at,
        )
        for row in rows
    )


def revoke_key(connection: Connection, environment_id: int, key_id: str) -> None:
    """Let a key open nothing from the next request on; again is no fault.

    Raises: UnknownName, when this environment has no such key
    """
    table = table_of(ApiKey)
    here = (table.c.environment_id == environment_id, table.c.public_key == key_id)
    known = _PUBLIC.fullmatch(key_id) is not None
    if not known or connection.execute(select(table.c.public_key).where(*here)).first() is None:
        raise UnknownName(f"there is no key {key_id[:100]!r} here")
    connection.execute(
        update(table).where(*here, table.c.revoked_at.is_(None)).values(revoked_at=now())
    )


class _KeyRow(NamedTuple):
    """A key as the driver gives it, and its environment."""

    environment_id: int
    public_key: str
    secret_hash: bytes
    scopes: str
    expires_at: Any
    revoked_at: Any
    last_used_at: Any
    environment_key: str
    timezone: str


@lru_cache(maxsize=512)
def _principal_of(
    environment_id: int, environment_key: str, public_key: str, scopes: str, timezone: str
) -> Principal:
    held = frozenset(scopes.split())
    return Principal(environment_id, environment_key, public_key, held, timezone)


@lru_cache(maxsize=2)
def _key_query(dialect_name: str) -> Statement:
    """The key of a public part; written once, for it is run for every request."""
    key, environment = table_of(ApiKey), table_of(Environment)
    columns = {**environment.c, **key.c}
    query = (
        select(*[columns[name] for name in _KeyRow._fields])
        .select_from(key)
        .join(environment, environment.c.environment_id == key.c.environment_id)
        .where(key.c.public_key == bindparam("presented", type_=String()))
    )
    return compile_statement(query.execution_options(**_CROSSING), dialect_name)


def _hash_secret(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
