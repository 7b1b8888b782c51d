"""xAPI in: statements become events; what a whole LRS would offer besides is 501.

Source: xAPI 1.0.3, Part Three, 2.1; IEEE 9274.1.1; docs/xapi.md.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.base.clock import format_time, now
from app.base.config import Settings
from app.base.errors import (
    AppError,
    BadOption,
    EventConflicts,
    NotSupported,
    Problem,
    StatementsRefused,
    VersionUnknown,
)
from app.http.caller import Config, Deliverer, OpenStore, RawBody
from app.http.stream import json_response
from app.intake.receipts import CONFLICT, REJECTED, ItemFate
from app.intake.statements import NOTED_REASONS, StatementReceipt, accept_statements
from app.ledger.facts import read_lag
from app.store.engine import Store, snapshot

router = APIRouter(prefix="/xapi", tags=["xapi"])

VERSIONS = ("1.0.3", "2.0.0")
DEFAULT_SOURCE = "xapi"
_VERSION_HEADER = "X-Experience-API-Version"
_THROUGH_HEADER = "X-Experience-API-Consistent-Through"
_SPOKEN = {r"1\.0(\.[0-9]{1,3})?": "1.0.3", r"2\.0(\.[0-9]{1,3})?": "2.0.0"}
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MAX_PROBLEMS = 20
_NAME_LENGTH = 200

_STATEMENT = {"type": "object", "description": "An xAPI statement."}
_ONE_OR_MORE = {"oneOf": [_STATEMENT, {"type": "array", "items": _STATEMENT}]}


def _read_version(request: Request) -> str:
    """The newest patch of the version that the caller speaks.

    Raises: VersionUnknown
    """
    told = request.headers.get(_VERSION_HEADER, "")
    for pattern, version in _SPOKEN.items():
        if re.fullmatch(pattern, told):
            return version
    raise VersionUnknown(
        f"{_VERSION_HEADER} is required: 1.0.x or 2.0.x",
        hint=f"Send {_VERSION_HEADER}: 1.0.3",
        target=_VERSION_HEADER,
        headers={_VERSION_HEADER: VERSIONS[-1]},
    )


Version = Annotated[str, Depends(_read_version)]


def _described(schema: Mapping[str, object], *names: str) -> dict[str, object]:
    """What the API docs tell of a route that takes statements."""
    told = [
        {
            "name": name,
            "in": "query",
            "required": name == "statementId",
            "schema": {"type": "string"},
        }
        for name in names
    ]
    version = {"name": _VERSION_HEADER, "in": "header", "required": True}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "parameters": [*told, version | {"schema": {"type": "string", "enum": list(VERSIONS)}}],
    }


@router.get("/about")
def get_about() -> Response:
    """The versions of xAPI that are spoken here."""
    return json_response({"version": list(VERSIONS)}, headers={_VERSION_HEADER: VERSIONS[-1]})


@router.post("/statements", openapi_extra=_described(_ONE_OR_MORE, "source"))
def post_statements(
    request: Request,
    caller: Deliverer,
    store: OpenStore,
    settings: Config,
    version: Version,
    body: RawBody,
) -> Response:
    """Take statements in, one or a list, as events of the source `xapi` (or `?source=`).

    Answers with the ids, in order, once all is on disk. A statement whose verb says nothing that
    is progress is noted and told in the receipt (`Location`). A statement that is not valid makes
    the answer 400, one whose id is known with other content 409; its neighbours are kept.
    """
    taken = _take_statements(
        request, caller.environment_id, store=store, settings=settings, body=body
    )
    headers = _headers_of(taken, store, caller.environment_id, version=version)
    _refuse_faulty(taken, headers=headers)
    return json_response(list(taken.ids), headers=headers)


@router.put(
    "/statements", status_code=204, openapi_extra=_described(_STATEMENT, "statementId", "source")
)
def put_statement(
    request: Request,
    caller: Deliverer,
    store: OpenStore,
    settings: Config,
    version: Version,
    body: RawBody,
) -> Response:
    """Take one statement in, under the id that the address gives it."""
    named = request.query_params.get("statementId", "")
    if _UUID.fullmatch(named) is None:
        raise BadOption("statementId is required: a UUID", target="statementId")
    taken = _take_statements(
        request,
        caller.environment_id,
        store=store,
        settings=settings,
        body=body,
        statement_id=named.lower(),
    )
    headers = _headers_of(taken, store, caller.environment_id, version=version)
    _refuse_faulty(taken, headers=headers)
    return Response(status_code=204, headers=headers)


@router.api_route(
    "/{rest:path}",
    methods=["GET", "PUT", "POST", "DELETE"],
    include_in_schema=False,
)
def refuse_resource(rest: str) -> Response:
    """What an LRS has and this service has not.

    Raises: NotSupported
    """
    raise NotSupported(
        f"{rest.partition('/')[0][:40]!r} is not offered here: statements come in, and are read as"
        " datasets",
        hint="GET /v1/datasets, or the OData feed.",
        headers={_VERSION_HEADER: VERSIONS[-1]},
    )


def _take_statements(
    request: Request,
    environment_id: int,
    *,
    store: Store,
    settings: Settings,
    body: bytes,
    statement_id: str | None = None,
) -> StatementReceipt:
    known = {"source"} if statement_id is None else {"source", "statementId"}
    unknown = sorted(request.query_params.keys() - known)
    if unknown:
        raise BadOption(
            f"{unknown[0][:100]!r} is no parameter of this path", target=unknown[0][:100]
        )
    source_key = request.query_params.get("source", DEFAULT_SOURCE)
    if not (0 < len(source_key) <= _NAME_LENGTH and source_key.isprintable()):
        raise BadOption("source is 1 to 200 printable characters", target="source")
    return accept_statements(
        store,
        settings,
        environment_id=environment_id,
        source_key=source_key,
        content_type=request.headers.get("content-type"),
        content_encoding=request.headers.get("content-encoding"),
        body=body,
        statement_id=statement_id,
    )


def _headers_of(
    taken: StatementReceipt, store: Store, environment_id: int, *, version: str
) -> dict[str, str]:
    return {
        _VERSION_HEADER: version,
        _THROUGH_HEADER: format_time(_consistent_through(store, environment_id)),
        "Location": f"/v1/batches/{taken.receipt.batch_id}",
    }


def _consistent_through(store: Store, environment_id: int) -> datetime:
    """When the oldest event that is not applied yet came in; now, when all are.

    Source: xAPI 1.0.3, Part Three, 2.1.3
    """
    with snapshot(store) as connection:
        moment = now()
        lag = read_lag(connection, environment_id, now=moment)
    waited_s = max((stream.processing_lag_s or 0.0 for stream in lag.streams), default=0.0)
    return (moment - timedelta(seconds=waited_s)).astimezone(UTC)


def _refuse_faulty(taken: StatementReceipt, *, headers: dict[str, str]) -> None:
    """Answer for a delivery that held a statement that cannot be kept.

    Raises: StatementsRefused, EventConflicts
    """
    fates = taken.receipt.items
    wrong = [f for f in fates if f.outcome == REJECTED and f.reason not in NOTED_REASONS]
    if wrong:
        raise _failure(StatementsRefused, "breaks a rule", wrong, headers=headers)
    other = [fate for fate in fates if fate.outcome == CONFLICT]
    if other:
        raise _failure(
            EventConflicts, "has an id that is known with other content", other, headers=headers
        )


def _failure(
    kind: type[AppError], words: str, fates: list[ItemFate], *, headers: dict[str, str]
) -> AppError:
    problems = []
    for fate in fates:
        for problem in fate.problems or (Problem("", fate.reason or ""),):
            path = f"[{fate.index}].{problem.path}".removesuffix(".")
            problems.append(Problem(path, f"{fate.reason}: {problem.message}"))
    more = f", and so do {len(fates) - 1} more" if len(fates) > 1 else ""
    return kind(
        f"statement {fates[0].index} {words}{more}; all others were kept",
        hint="Mend it and send all again: what was kept is known by its id and counts once.",
        problems=problems[:_MAX_PROBLEMS],
        headers=headers,
    )
