"""Page positions as opaque signed tokens, bound to their environment and their question."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer

from app.base.clock import format_time
from app.base.errors import BadToken
from app.learning.times import parse_time
from app.query.request import Request


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a walk stands.

    values: the sort values of the last row sent, in the order of the plan
    left: how many rows `top` still allows; None without a top
    as_of: the moment the walk was begun for, so that all its pages ask the same
    """

    values: tuple[Any, ...]
    left: int | None
    as_of: datetime


def write_token(cursor: Cursor, request: Request, *, environment_id: int, secret: bytes) -> str:
    """Seal a cursor for the question it belongs to."""
    values = [
        {"t": format_time(value)} if isinstance(value, datetime) else value
        for value in cursor.values
    ]
    body = [_digest(request, environment_id), values, cursor.left, format_time(cursor.as_of)]
    return str(URLSafeSerializer(secret, salt="page").dumps(body))


def read_token(token: str, request: Request, *, environment_id: int, secret: bytes) -> Cursor:
    """Open the token of a page of this question.

    Raises: BadToken, when it is not ours, or belongs to another question or environment
    """
    try:
        digest, values, left, as_of = URLSafeSerializer(secret, salt="page").loads(token)
    except (BadSignature, ValueError, TypeError) as error:
        raise BadToken("this page token was not made here", hint="Start the walk anew.") from error
    if digest != _digest(request, environment_id):
        raise BadToken(
            "this page token belongs to another question",
            hint="Follow nextLink as it is; change nothing in it.",
        )
    opened = tuple(parse_time(v["t"]) if isinstance(v, dict) else v for v in values)
    return Cursor(opened, left, parse_time(as_of))


def _digest(request: Request, environment_id: int) -> str:
    """What must stay the same from page to page; the page size may change."""
    asked = (
        environment_id,
        request.dataset,
        request.where,
        request.group,
        request.buckets,
        request.timezone,
        request.aggregates,
        request.order,
        request.order_text,
        request.top,
        sorted(request.aliases.items()),
    )
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:20]
