"""AppError in, OData error response out; the text is ASCII, so that no input can break it.

Source: OData JSON Format 4.01, 21.1; docs/errors.md
"""

import json
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from app.base.errors import AppError, MethodNotAllowed
from app.http.errors import MAX_PROBLEMS, error_headers


def error_body(error: AppError) -> dict[str, Any]:
    """The error object: code, message with its hint, the word at fault, details; no innererror."""
    message = f"{error.detail}. {error.hint}" if error.hint else error.detail
    told: dict[str, Any] = {"code": error.code, "message": message}
    if error.target is not None:
        told["target"] = error.target
    if error.problems:
        told["details"] = [
            {"code": error.code, "message": problem.message, "target": problem.path}
            for problem in error.problems[:MAX_PROBLEMS]
        ]
    return {"error": told}


def error_response(error: AppError, *, version: str) -> Response:
    """The response of an error, with the headers that belong to its status."""
    return Response(
        json.dumps(error_body(error)),
        error.status,
        headers={**error_headers(error), "OData-Version": version},
        media_type="application/json;odata.metadata=minimal",
    )


def method_error(known: Sequence[str]) -> MethodNotAllowed:
    """The refusal of whatever would change something: this feed is read-only."""
    allowed = ", ".join(known)
    return MethodNotAllowed(
        "this feed is read-only", hint=f"It knows {allowed}.", headers={"Allow": allowed}
    )
