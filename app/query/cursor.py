"""Page positions as opaque signed tokens, bound to their environment and their question."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from itsdangerous import BadSignature

from app.base.clock import format_time
from app.base.errors import BadToken
from app.base.seals import sealer_of
from app.learning.times import parse_time
from app.query.claims import NOTHING_TOLD, Told, pack_claims, unpack_claims
from app.query.request import Request


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a walk stands.

    values: the sort values of the last row sent, in the order of the plan
    left: how many rows `top` still allows; None without a top
    as_of: the moment the walk was begun for, so that all its pages ask the same
    revision: the revision that all its pages read
    told: what its first page said of each stream, and through when
    """

    values: tuple[Any, ...]
    left: int | None
    as_of: datetime
    revision: int
    told: Told = NOTHING_TOLD


def write_token(cursor: Cursor, digest: str, *, secret: bytes) -> str:
    """Seal a cursor for the question it belongs to.

    digest: of that question (`digest_walk`)
    """
    values = [
        {"t": format_time(value)} if isinstance(value, datetime) else value
        for value in cursor.values
    ]
    body = [
        digest,
        values,
        cursor.left,
        format_time(cursor.as_of),
        cursor.revision,
        pack_claims(cursor.told),
    ]
    return str(sealer_of(secret, "pages").dumps(body))


def read_token(token: str, digest: str, *, secret: bytes) -> Cursor:
    """Open the token of a page of this question.

    digest: of the question (`digest_walk`)
    Raises: BadToken, when it is not ours, or belongs to another question or environment
    """
    try:
        opened = sealer_of(secret, "pages").loads(token)
        its_digest, values, left, as_of, revision, packed = opened
        told = unpack_claims(packed)
    except (BadSignature, ValueError, TypeError) as error:
        raise BadToken("this page token was not made here", hint="Start the walk anew.") from error
    if its_digest != digest:
        raise BadToken(
            "this page token belongs to another question",
            hint="Follow nextLink as it is; change nothing in it.",
        )
    sorted_by = tuple(parse_time(v["t"]) if isinstance(v, dict) else v for v in values)
    return Cursor(sorted_by, left, parse_time(as_of), revision, told)


def digest_question(request: Request, environment_id: int) -> str:
    """What was asked, for receipts and entity tags: everything that tells one answer from another
    but the key, the page and the moment.
    """
    asked = (
        digest_walk(request, environment_id),
        request.select,
        request.expand,
        request.skip,
        request.page_rows,
        request.count,
        request.count_only,
    )
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:20]


def digest_walk(request: Request, environment_id: int) -> str:
    """What must stay the same from page to page; the page size may change."""
    asked = (
        environment_id,
        request.dataset,
        request.where,
        request.search,
        request.compute,
        request.apply,
        request.group,
        request.buckets,
        request.timezone,
        request.aggregates,
        request.order,
        request.order_text,
        request.top,
        sorted(request.aliases.items()),
        request.demand.until_complete,
    )
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:20]
