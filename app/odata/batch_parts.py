"""The two formats of a batch: bytes in, its parts out; responses in, bytes out.

Source: OData Protocol 4.01, 11.7.7; JSON Format 4.01, 19; RFC 2046, 5.1; RFC 9112
"""

import re
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

from app.base.config import Settings
from app.base.errors import AppError, BadSyntax, DependencyFailed
from app.intake.strict_json import read_json
from app.odata.formats import read_range

REQUEST_ID = re.compile(r"[A-Za-z0-9\-._~]{1,100}")
REQUEST_LINE = re.compile(r"([A-Za-z]{1,10}) +(\S+?)(?: +HTTP/[0-9.]+)?")
BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^";,\s]{1,70}))', re.IGNORECASE)
METHODS = frozenset({"get", "post", "put", "patch", "delete", "head"})
LINE_END = re.compile(rb"\r?\n")
BLANK_LINE = re.compile(rb"\r?\n[ \t]*\r?\n")
KNOWN_MEMBERS = frozenset(
    {"id", "method", "url", "headers", "body", "dependsOn", "atomicityGroup", "if"}
)
HIDDEN_IN_PARTS = frozenset({"content-length"})


@dataclass(frozen=True, slots=True)
class Part:
    """One request of a batch.

    id: empty where the format does not ask for one and none is given
    group: the atomicity group it belongs to
    must_declare: must what it refers to be among `depends_on`?
    fault: why it cannot be run
    """

    id: str
    method: str = "GET"
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    depends_on: tuple[str, ...] = ()
    group: str = ""
    is_change_set: bool = False
    must_declare: bool = False
    fault: AppError | None = None


def new_boundary() -> str:
    """A boundary that stands in no body."""
    return f"batch_{uuid.uuid4().hex}"


# JSON


def read_json_parts(body: bytes, settings: Settings) -> list[Part]:
    """The requests of a JSON batch.

    Raises: BodyNotJson, BadSyntax
    """
    value = read_json(body, settings)
    requests = value.get("requests") if isinstance(value, dict) else None
    if not isinstance(requests, list):
        raise BadSyntax("the body of $batch holds no list of requests", target="requests")
    parts: list[Part] = []
    taken: set[str] = set()
    groups: set[str] = set()
    for place, one in enumerate(requests):
        part = read_json_part(one, place)
        if part.id in taken | groups:
            raise BadSyntax(f"the id {part.id!r} is given twice", target=f"requests[{place}].id")
        if set(part.depends_on) - taken - groups:
            raise BadSyntax(
                "dependsOn names what does not come before", target=f"requests[{place}].dependsOn"
            )
        taken.add(part.id)
        groups |= {part.group} if part.group else set()
        parts.append(part)
    return parts


def read_json_part(given: Any, place: int) -> Part:
    """One request object.

    Raises: BadSyntax
    """
    at = f"requests[{place}]"
    if not isinstance(given, dict):
        raise BadSyntax("a request of a batch is an object", target=at)
    request_id, method, url = (given.get(name) for name in ("id", "method", "url"))
    if not isinstance(request_id, str) or REQUEST_ID.fullmatch(request_id) is None:
        raise BadSyntax("a request of a batch has an id", target=f"{at}.id")
    if not isinstance(method, str) or method.lower() not in METHODS:
        raise BadSyntax("a request of a batch has a method", target=f"{at}.method")
    if not isinstance(url, str) or not url:
        raise BadSyntax("a request of a batch has a url", target=f"{at}.url")
    headers, needed = given.get("headers") or {}, given.get("dependsOn") or []
    if not isinstance(headers, dict) or not all(isinstance(v, str) for v in headers.values()):
        raise BadSyntax("headers are an object of texts", target=f"{at}.headers")
    if not isinstance(needed, list) or not all(isinstance(one, str) for one in needed):
        raise BadSyntax("dependsOn is a list of ids", target=f"{at}.dependsOn")
    group = given.get("atomicityGroup") or ""
    body = given.get("body")
    return Part(
        request_id,
        method=method.upper(),
        url=url,
        headers={name.lower(): text for name, text in headers.items()},
        body=body.encode() if isinstance(body, str) else orjson.dumps(body) if body else b"",
        depends_on=tuple(needed),
        group=group if isinstance(group, str) else at,
        must_declare=True,
        fault=find_unknown(given),
    )


def find_unknown(given: Mapping[str, Any]) -> AppError | None:
    """The error for a member of a request object that is not followed here."""
    if given.get("if") is not None:
        # Not 501 (JSON Format 4.01, 19.1): what hangs on a condition nobody asks has failed.
        return DependencyFailed("conditions (`if`) are not supported in a batch", target="if")
    unknown = [name for name in given if name not in KNOWN_MEMBERS and "@" not in name]
    if unknown:
        return BadSyntax(f"a request has no member {unknown[0][:100]!r}", target=unknown[0][:100])
    return None


def write_json_parts(done: Sequence[tuple[Part, Response]]) -> bytes:
    """The responses of a batch as JSON; bodies of JSON stand in it as they are."""
    return b'{"responses":[' + b",".join(write_json_part(*one) for one in done) + b"]}"


def write_json_part(part: Part, response: Response) -> bytes:
    """One response object."""
    headers = {name: text for name, text in response.headers.items() if name not in HIDDEN_IN_PARTS}
    told: dict[str, Any] = {"id": part.id} if part.id else {}
    if part.group:
        told["atomicityGroup"] = part.group
    told |= {"status": response.status_code, "headers": headers}
    body = bytes(response.body)
    if not body:
        return orjson.dumps(told)
    kind = read_range(headers.get("content-type", "")).type
    if kind != "application/json":
        text = body.decode() if kind.startswith("text/") else write_base64url(body)
        return orjson.dumps(told | {"body": text})
    return orjson.dumps(told)[:-1] + b',"body":' + body + b"}"


def write_base64url(body: bytes) -> str:
    """Bytes as text that may stand in JSON and in URLs."""
    return urlsafe_b64encode(body).decode().rstrip("=")


# Multipart


def read_multipart_parts(body: bytes, content_type: str) -> list[Part]:
    """The requests of a multipart batch, in their order.

    Raises: BadSyntax
    """
    # The parameter is read as it stands: a boundary has capital letters.
    match = BOUNDARY.search(content_type)
    if match is None:
        raise BadSyntax("multipart/mixed needs a boundary", target="Content-Type")
    delimiter = b"--" + (match[1] or match[2]).encode("latin-1")
    # A delimiter is a whole line: the boundary of a change set may begin like that of the batch.
    line = rb"(?:^|\r?\n)" + re.escape(delimiter) + rb"(?=(?:--)?[ \t]*(?:\r?\n|\Z))"
    _, *pieces = re.split(line, body)
    last = next((n for n, piece in enumerate(pieces) if piece.startswith(b"--")), None)
    if last is None:
        raise BadSyntax("the body does not end with its boundary", target="Content-Type")
    # What follows the last one is not read (RFC 2046, 5.1.1).
    parts = [read_multipart_part(piece) for piece in pieces[:last]]
    given = [part.id for part in parts if part.id]
    if len(given) != len(set(given)):
        raise BadSyntax("a Content-ID is given twice", target="Content-ID")
    return parts


def read_multipart_part(piece: bytes) -> Part:
    """One part: its own headers, then an HTTP request."""
    headers, content = split_head(piece.lstrip(b" \t"), skip_line=True)
    kind = read_range(headers.get("content-type", "")).type
    request_id = headers.get("content-id", "")
    if kind == "multipart/mixed":
        return Part(request_id, is_change_set=True)
    if kind != "application/http":
        fault = BadSyntax("a part of a batch is application/http", target="Content-Type")
        return Part(request_id, fault=fault)
    line, _, rest = content.lstrip(b"\r\n").partition(b"\n")
    match = REQUEST_LINE.fullmatch(line.decode("utf-8", "replace").strip())
    if match is None or match[1].lower() not in METHODS:
        return Part(request_id, fault=BadSyntax("a part of the batch has no request line"))
    inner, request_body = split_head(rest, skip_line=False)
    return Part(
        request_id,
        method=match[1].upper(),
        url=match[2],
        headers=inner,
        body=request_body.strip(b"\r\n"),
    )


def split_head(piece: bytes, *, skip_line: bool) -> tuple[dict[str, str], bytes]:
    """The header lines at the beginning of a piece, by lower-case name, and what follows them.

    skip_line: the first line is the rest of a boundary
    """
    if skip_line:
        end = LINE_END.search(piece)
        piece = piece[end.end() :] if end else b""
    if LINE_END.match(piece):
        return {}, piece
    blank = BLANK_LINE.search(piece)
    head, content = (piece[: blank.start()], piece[blank.end() :]) if blank else (piece, b"")
    headers: dict[str, str] = {}
    for line in LINE_END.split(head):
        name, colon, text = line.decode("latin-1").partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), text.strip())
    return headers, content


def write_multipart_parts(done: Sequence[tuple[Part, Response]], boundary: str) -> bytes:
    """The responses of a batch as parts, in the order of their requests."""
    written = []
    for part, response in done:
        own = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
        own += f"Content-ID: {part.id}\r\n" if part.id else ""
        head = f"--{boundary}\r\n{own}\r\n{write_http_head(response)}\r\n"
        written.append(head.encode("latin-1") + bytes(response.body) + b"\r\n")
    return b"".join([*written, f"--{boundary}--\r\n".encode()])


def write_http_head(response: Response) -> str:
    """The status line and headers of a response, as they would stand on the wire."""
    phrase = HTTPStatus(response.status_code).phrase
    lines = [f"HTTP/1.1 {response.status_code} {phrase}"]
    lines += [f"{name}: {text}" for name, text in response.headers.items()]
    return "\r\n".join([*lines, ""])
