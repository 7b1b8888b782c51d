"""Errors in, problem documents out; the last catch, behind which nothing of the inside is seen.

Source: RFC 9457; docs/errors.md
"""

import json
import traceback
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.base.errors import (
    AppError,
    BadOption,
    BodyInvalid,
    FreshnessUnmet,
    MethodNotAllowed,
    NotSupported,
    Problem,
    UnknownPath,
)
from app.base.facts import RequestFailed
from app.base.observe import observe
from app.http.freshness import freshness_headers
from app.ledger.facts import Freshness

PROBLEM_JSON = "application/problem+json"
CHALLENGE = 'Basic realm="Fullcount", Bearer'
MAX_PROBLEMS = 20
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_PATH_LENGTH = 100
_TRACE_LENGTH = 8000


def install_errors(application: FastAPI) -> None:
    """Let every error leave this application as a problem document."""
    application.add_exception_handler(AppError, _answer_app_error)
    application.add_exception_handler(RequestValidationError, _answer_invalid)
    application.add_exception_handler(HTTPException, _answer_http_error)
    application.add_middleware(LastCatch)


def problem_body(error: AppError, *, request_id: str) -> dict[str, Any]:
    """The members of a problem document.

    Source: RFC 9457, section 3.1
    """
    body: dict[str, Any] = {
        "type": f"urn:fullcount:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "hint": error.hint,
        "instance": f"urn:fullcount:request:{request_id}",
    }
    if error.target is not None:
        body["target"] = error.target
    if error.problems:
        body["problems"] = [
            {"path": problem.path, "message": problem.message}
            for problem in error.problems[:MAX_PROBLEMS]
        ]
    return body


def problem_response(error: AppError, *, request_id: str) -> Response:
    """The response of an error; its text is ASCII, so that no input can break it."""
    return Response(
        json.dumps(problem_body(error, request_id=request_id)),
        error.status,
        headers=error_headers(error),
        media_type=PROBLEM_JSON,
    )


def error_headers(error: AppError) -> dict[str, str]:
    """The headers that belong to an error in every front: challenge, Retry-After, no caching."""
    headers = {"Cache-Control": "no-store", **error.headers}
    if isinstance(error, FreshnessUnmet) and isinstance(error.freshness, Freshness):
        headers |= {**freshness_headers(error.freshness), "Cache-Control": "no-store"}
    if error.status == 401:
        headers.setdefault("WWW-Authenticate", CHALLENGE)
    if error.retry_after_s is not None:
        headers.setdefault("Retry-After", str(error.retry_after_s))
    return headers


def request_id_of(scope: Mapping[str, Any]) -> str:
    """The id that the middleware gave this request."""
    return str(scope.get("state", {}).get("request_id", "unknown"))


def unexpected_error() -> AppError:
    """What a caller learns of a fault of ours: that it happened, and the id to ask about."""
    return AppError(
        "an unexpected error; it was logged with the id of this request",
        hint="Tell your operator the X-Request-ID of this answer.",
    )


class LastCatch:
    """ASGI middleware around an application: whatever it did not expect becomes a 500 problem."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; answer for it when it fails before it began to answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = False

        async def noting_send(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self.app(scope, receive, noting_send)
        except AppError as error:
            if began:
                raise
            await problem_response(error, request_id=request_id_of(scope))(scope, receive, send)
        except Exception as error:
            note_unexpected(error, request_id=request_id_of(scope))
            if began:
                raise
            response = problem_response(unexpected_error(), request_id=request_id_of(scope))
            await response(scope, receive, send)


def note_unexpected(error: Exception, *, request_id: str) -> None:
    """Let the operator see an error whose inside the caller must not see."""
    told = "".join(traceback.format_exception(error))
    observe(RequestFailed(request_id=request_id, error=told[-_TRACE_LENGTH:]))


def _answer_app_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, AppError):
        raise error
    return problem_response(error, request_id=request_id_of(request.scope))


def _answer_invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    faults = [(tuple(fault["loc"]), str(fault["type"]), fault) for fault in error.errors()]
    problems = [
        Problem(path=_write_path(location), message=str(fault["msg"]))
        for location, _, fault in faults[:MAX_PROBLEMS]
    ]
    if any(location[:1] == ("body",) for location, _, _ in faults):
        told: AppError = BodyInvalid("the body does not have the expected shape", problems=problems)
    else:
        told = BadOption("a parameter of the request is not right", problems=problems)
    return problem_response(told, request_id=request_id_of(request.scope))


def _write_path(location: tuple[Any, ...]) -> str:
    """`("query", "limit")` becomes `query.limit`; numbers are written as indexes."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path[:_PATH_LENGTH]


def _answer_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    told: AppError
    if error.status_code == 404:
        told = UnknownPath("there is nothing at this address", hint="See /docs for what there is.")
    elif error.status_code == 405:
        allowed = ", ".join(sorted(_allowed_methods(request)))
        told = MethodNotAllowed(
            "this address does not know the method",
            hint=f"It knows {allowed}.",
            headers={"Allow": allowed},
        )
    elif error.status_code < 500:
        told = BadOption("the request cannot be read")
    else:
        told = NotSupported("this is not supported")
    return problem_response(told, request_id=request_id_of(request.scope))


def _allowed_methods(request: Request) -> set[str]:
    """Every method this address knows; the framework tells those of its first route only."""
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Mount):
            found |= {"GET", "HEAD"} if _does_match(route, request, "GET") else set()
            continue
        found |= {method for method in _METHODS if _does_match(route, request, method)}
    return found


def _does_match(route: BaseRoute, request: Request, method: str) -> bool:
    return route.matches({**request.scope, "method": method})[0] is Match.FULL
