"""What happens to every request before and after its front: id, bounds, security headers.

Pure ASGI, so that nothing is held back: a response passes through as it is written.
"""

import re
import secrets
from collections.abc import Callable, Iterable, Mapping

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.limits import FailureLimit
from app.base.config import Settings
from app.base.errors import AppError, BadSyntax, BodyTooLarge, HeadersTooLarge, UrlTooLong
from app.http.errors import problem_response

EXPOSED_HEADERS = (
    "AsyncResult",
    "Data-Freshness",
    "Data-Freshness-Streams",
    "Data-Receipt",
    "ETag",
    "Deprecation",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "OData-Version",
    "Preference-Applied",
    "Retry-After",
    "Sunset",
    "X-Experience-API-Consistent-Through",
    "X-Experience-API-Version",
    "X-Request-ID",
)
Refusal = Callable[[AppError], Response]
_REQUEST_ID = re.compile(rb"[A-Za-z0-9-]{1,64}")
_SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


class RequestFrame:
    """ASGI middleware around everything: the request's id, its bounds, and the security headers.

    failures: the failed authentications of each address, for whoever authenticates further in
    refusals: how an error is told below a path, where a problem document would not be understood
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        failures: FailureLimit,
        refusals: Mapping[str, Refusal],
    ) -> None:
        self.app = app
        self.settings = settings
        self.failures = failures
        self.refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the frame of a request, then run it with a body that is counted as it streams."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _choose_id(scope["headers"])
        scope["state"] = {
            **scope.get("state", {}),
            "request_id": request_id,
            "failed_authentications": self.failures,
        }

        async def framed_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _frame_headers(message.get("headers", ()), request_id)
            await send(message)

        try:
            check_frame(scope, self.settings)
        except AppError as error:
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            own = next((tell for at, tell in self.refusals.items() if path.startswith(at)), None)
            response = own(error) if own else problem_response(error, request_id=request_id)
            await response(scope, receive, framed_send)
            return
        limit = self.settings.limit_body_bytes
        await self.app(scope, _count_body(receive, limit), framed_send)


class Mounts:
    """ASGI middleware: what is at a path or below it goes to an application of its own, past the
    framework's router, which costs more than many a question.

    applications: by their paths, of which the first that fits is taken
    """

    def __init__(self, app: ASGIApp, *, applications: Mapping[str, ASGIApp]) -> None:
        self.app = app
        self.applications = applications

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find who answers."""
        if scope["type"] == "http":
            root = scope.get("root_path", "")
            path = f"{scope['path'].removeprefix(root)}/"
            for mounted, application in self.applications.items():
                if path.startswith(f"{mounted}/"):
                    await application({**scope, "root_path": root + mounted}, receive, send)
                    return
        await self.app(scope, receive, send)


def check_frame(scope: Scope, settings: Settings) -> None:
    """Refuse a request whose URL, headers or announced body is over its limit.

    Raises: UrlTooLong, BadSyntax, HeadersTooLarge, BodyTooLarge
    """
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    url_bytes = len(path) + 1 + len(scope["query_string"])
    if url_bytes > settings.limit_url_bytes:
        raise UrlTooLong(
            f"the URL has {url_bytes} bytes, {settings.limit_url_bytes} are allowed",
            hint="Send a long question as the body of POST /v1/query.",
        )
    if b"%00" in path or b"%00" in scope["query_string"]:
        raise BadSyntax("the URL holds the character NUL, which no text here may hold")
    headers = scope["headers"]
    header_bytes = sum(len(name) + len(value) + 4 for name, value in headers)
    if len(headers) > settings.limit_headers or header_bytes > settings.limit_header_bytes:
        raise HeadersTooLarge(
            f"{settings.limit_headers} headers of {settings.limit_header_bytes} bytes in all"
            " are allowed"
        )
    announced = next((value for name, value in headers if name == b"content-length"), b"0")
    if announced.isdigit() and int(announced[:20]) > settings.limit_body_bytes:
        raise _body_too_large(settings.limit_body_bytes)


def _frame_headers(
    headers: Iterable[tuple[bytes, bytes]], request_id: str
) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with its request id, and the security headers it has not set."""
    own = [(name, value) for name, value in headers if name != b"x-request-id"]
    given = {name for name, _ in own}
    missing = [one for one in _SECURITY_HEADERS if one[0] not in given]
    return [*own, (b"x-request-id", request_id.encode()), *missing]


def _count_body(receive: Receive, limit_bytes: int) -> Receive:
    seen = 0

    async def counted_receive() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit_bytes:
            raise _body_too_large(limit_bytes)
        return message

    return counted_receive


def _body_too_large(limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"a body has at most {limit_bytes} bytes as it is sent",
        hint="Send less at a time, or compress it with gzip.",
    )


def _choose_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's request id where it is harmless, else one of ours."""
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode("ascii")
    return secrets.token_hex(16)
