"""An answer's text in, a response out; the page is whole before its first byte leaves."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from app.http.freshness import freshness_headers
from app.ledger.facts import Freshness

JSON = "application/json"


def json_response(
    content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A response of plain values: dicts, lists, text, numbers, datetimes (written with Z)."""
    given = {"Cache-Control": "no-store", **(headers or {})}
    return Response(write_json(content), status, headers=given, media_type=JSON)


def data_response(
    body: bytes,
    freshness: Freshness,
    *,
    media_type: str = JSON,
    status: int = 200,
    tag: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A response to a question about data; its verdict travels in the headers."""
    given = {**freshness_headers(freshness, tag=tag), **(headers or {})}
    return Response(body, status, headers=given, media_type=media_type)


def unchanged_response(
    freshness: Freshness, *, tag: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The caller has this answer already; the verdict is today's (RFC 9110, section 15.4.5)."""
    given = {**freshness_headers(freshness, tag=tag), **(headers or {})}
    return Response(status_code=304, headers=given)


def write_json(content: Any) -> bytes:
    """JSON as this house writes it: UTF-8, datetimes in UTC with Z."""
    return orjson.dumps(content, option=orjson.OPT_UTC_Z)
