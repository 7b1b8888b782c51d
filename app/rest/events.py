"""Events in; the fate of each item out, at once and later; and the shapes of all event types."""

from functools import cache
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.base.errors import BadOption, EventConflicts, EventRejected, UnknownName
from app.http.caller import Caller, Config, Deliverer, OpenStore, RawBody
from app.http.stream import json_response
from app.intake.accept import accept_body
from app.intake.decode import BATCH_TYPE, LINES_TYPE, SINGLE_TYPE
from app.intake.receipts import ACCEPTED, CONFLICT, REJECTED, ItemFate, Receipt, receipt_of
from app.learning.events import EVENT_TYPES, json_schema_of
from app.store.engine import snapshot

router = APIRouter(prefix="/v1", tags=["events"])

IDEMPOTENCY_KEY = "Idempotency-Key"
_KEY_LENGTH = 200
_EVENT = {"type": "object", "description": "A CloudEvent; its data by GET /v1/event-types."}
_LIST = {"type": "array", "items": _EVENT}
_BODIES = {
    SINGLE_TYPE: {"schema": _EVENT},
    BATCH_TYPE: {"schema": _LIST},
    LINES_TYPE: {"schema": {"type": "string", "description": "One event a line."}},
}


@router.post(
    "/events",
    status_code=202,
    openapi_extra={
        "requestBody": {"required": True, "content": _BODIES},
        "parameters": [
            {
                "name": IDEMPOTENCY_KEY,
                "in": "header",
                "required": False,
                "description": "A name of your own for this request.",
                "schema": {"type": "string", "minLength": 1, "maxLength": _KEY_LENGTH},
            }
        ],
    },
)
def post_events(
    request: Request, caller: Deliverer, store: OpenStore, settings: Config, body: RawBody
) -> Response:
    """Take events in: one, a list, or one a line; gzip is read.

    Answers after they are stored for good. A list is always 202 with the fate of each item that was
    not accepted (of all with `Prefer: return=representation`); one bad item never stops its
    neighbours. A single event that is not accepted is 422 or 409. With `Idempotency-Key` a second
    try of the same request gets the first answer.
    """
    receipt = accept_body(
        store,
        settings,
        environment_id=caller.environment_id,
        content_type=request.headers.get("content-type"),
        content_encoding=request.headers.get("content-encoding"),
        body=body,
        idempotency_key=_read_key(request.headers.get(IDEMPOTENCY_KEY)),
    )
    wants_all = "return=representation" in request.headers.get("prefer", "").replace(" ", "")
    headers = {"Location": f"/v1/batches/{receipt.batch_id}"}
    if receipt.is_replay:
        headers["Idempotency-Replayed"] = "true"
    if receipt.is_single:
        _refuse_single(receipt.items[0], headers=headers)
    if wants_all:
        headers["Preference-Applied"] = "return=representation"
    told = _write_receipt(receipt, wants_all=wants_all)
    return json_response(told, status=202, headers=headers)


@router.get("/batches/{batch_id}")
def get_batch(batch_id: str, caller: Caller, store: OpenStore, settings: Config) -> Response:
    """The receipt of a delivery, with what became of each accepted event since."""
    if not (batch_id.isascii() and batch_id.isdigit() and len(batch_id) <= 18):
        raise UnknownName("there is no such batch here", hint="POST /v1/events tells its number.")
    with snapshot(store, limit_s=settings.limit_query_s) as connection:
        receipt = receipt_of(connection, caller.environment_id, int(batch_id))
    return json_response(receipt)


@router.get("/event-types")
def get_event_types(_caller: Caller) -> Response:
    """Every event type with the JSON Schema of its data."""
    return json_response({"items": _event_types(), "next": None})


@cache
def _event_types() -> list[dict[str, Any]]:
    return [
        {
            "type": entry.name,
            "family": entry.family,
            "summary": entry.summary,
            "schema": json_schema_of(entry),
        }
        for entry in EVENT_TYPES
    ]


def _read_key(text: str | None) -> str | None:
    """The caller's own name for a request, from its header.

    Raises: BadOption
    """
    if text is None:
        return None
    if not (0 < len(text) <= _KEY_LENGTH and text.isascii() and text.isprintable()):
        raise BadOption(
            f"Idempotency-Key must be 1 to {_KEY_LENGTH} printable ASCII characters",
            target=IDEMPOTENCY_KEY,
        )
    return text


def _refuse_single(fate: ItemFate, *, headers: dict[str, str]) -> None:
    """Answer for a single event that was not kept, as its own request.

    Raises: EventRejected, EventConflicts
    """
    if fate.outcome == REJECTED:
        raise EventRejected(
            f"the event was rejected: {fate.reason}", problems=fate.problems, headers=headers
        )
    if fate.outcome == CONFLICT:
        raise EventConflicts(
            "this id was used for an event with other content; the first one is kept",
            hint=f"The kept one is event {fate.seq} of the journal. Send a change as a new event.",
            headers=headers,
        )


def _write_receipt(receipt: Receipt, *, wants_all: bool) -> dict[str, Any]:
    return {
        "batch_id": receipt.batch_id,
        "received": receipt.received,
        "accepted": receipt.accepted,
        "duplicate": receipt.duplicate,
        "conflict": receipt.conflict,
        "rejected": receipt.rejected,
        "items": [
            fate.as_dict() for fate in receipt.items if wants_all or fate.outcome != ACCEPTED
        ],
    }
