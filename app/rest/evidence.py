"""Evidence in: manifests, what they lack by name, and heartbeats."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.base.clock import now
from app.base.config import Settings
from app.base.errors import (
    AppError,
    BodyInvalid,
    NotEvents,
    Problem,
    TooManyEvents,
    UnknownName,
)
from app.http.caller import Config, Deliverer, OpenStore, RawBody
from app.http.errors import problem_body, request_id_of
from app.http.stream import json_response
from app.learning.elements import read_sum
from app.learning.ranges import FEWER_PARTS, PARTS, Digest, parse_range
from app.ledger.buckets import fold_buckets
from app.ledger.heartbeats import StreamBeat, hear_source
from app.ledger.manifests import Declaration, declare_intervals
from app.ledger.missing import Split, compare_splits, find_declared, name_missing
from app.ledger.names import keep_told
from app.rest.schemas import (
    ElementsBody,
    HeartbeatBody,
    ManifestBody,
    SplitBody,
    body_of,
    fit_shape,
    read_body,
    read_shape,
)
from app.store.engine import snapshot, transaction

router = APIRouter(prefix="/v1", tags=["evidence"])

_ONE = {"$ref": "#/components/schemas/ManifestBody"}
_ONE_OR_MANY = {"oneOf": [_ONE, {"type": "array", "items": _ONE}]}


@router.post(
    "/manifests",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ONE_OR_MANY}},
        }
    },
)
def post_manifests(
    request: Request, caller: Deliverer, store: OpenStore, settings: Config, body: RawBody
) -> Response:
    """Say what a source made in an interval; the answer says at once how it stands here.

    One manifest is answered by itself, or with its error. A list is answered item by item, in its
    order; one bad item never stops its neighbours.
    """
    value = read_body(body, headers=request.headers, settings=settings)
    if not isinstance(value, list):
        (told,) = _declare(caller.environment_id, store, [value])
        if isinstance(told, AppError):
            raise told
        return json_response(told)
    _check_length(value, settings)
    answers = _declare(caller.environment_id, store, value)
    request_id = request_id_of(request.scope)
    items = [
        {"index": index, **_write_answer(answer, request_id=request_id)}
        for index, answer in enumerate(answers)
    ]
    return json_response({"items": items})


@router.post("/manifests/{manifest_id}/elements", openapi_extra=body_of("ElementsBody"))
def post_elements(
    request: Request,
    manifest_id: str,
    caller: Deliverer,
    store: OpenStore,
    settings: Config,
    body: RawBody,
) -> Response:
    """Learn by name what a declared interval lacks: send digests of ranges, or ids.

    Digests of the parts of each wanted range find single missing events by arithmetic; the answer
    wants further only those ranges that differ. Ids are answered by those that we lack.
    """
    told = read_shape(ElementsBody, body, headers=request.headers, settings=settings)
    if bool(told.splits) == bool(told.events):
        raise BodyInvalid("the body holds splits, or events", hint="Send one of the two.")
    number = _read_number(manifest_id)
    splits = [_read_split(split) for split in told.splits]
    with transaction(store) as connection:
        fold_buckets(connection, caller.environment_id, now=now())
    with snapshot(store, limit_s=settings.limit_query_s) as connection:
        interval = find_declared(connection, caller.environment_id, number)
        if splits:
            answer = compare_splits(connection, caller.environment_id, interval, splits)
        else:
            names = [(event.id, event.digest) for event in told.events]
            answer = name_missing(connection, caller.environment_id, interval, names)
    if told.events and answer["missing"]:
        lacking = set(answer["missing"])
        with transaction(store) as connection:
            keep_told(
                connection,
                caller.environment_id,
                interval,
                [(event.id, event.digest) for event in told.events if event.id in lacking],
                now=now(),
            )
    return json_response(answer)


@router.post("/heartbeats", openapi_extra=body_of("HeartbeatBody"))
def post_heartbeat(
    request: Request, caller: Deliverer, store: OpenStore, settings: Config, body: RawBody
) -> Response:
    """Say that a source is there, and what it has yet to hand over of each stream.

    `seq` rises from one heartbeat to the next; an older one is answered and changes nothing.
    """
    told = read_shape(HeartbeatBody, body, headers=request.headers, settings=settings)
    streams = [
        StreamBeat(part.stream, part.closed_through, part.pending, part.oldest_pending)
        for part in told.streams
    ]
    with transaction(store) as connection:
        answer = hear_source(
            connection,
            caller.environment_id,
            source=told.source,
            sent_at=told.sent_at,
            beat=told.seq,
            streams=streams,
            now=now(),
        )
    store.wake.set()
    return json_response(answer)


def _declare(environment_id: int, store: Any, values: list[Any]) -> list[dict[str, Any] | AppError]:
    """Declare the items that have the shape of a manifest; the others are errors already."""
    read = [_read_declaration(value) for value in values]
    wanted = [one for one in read if isinstance(one, Declaration)]
    answers: list[dict[str, Any] | AppError] = []
    if wanted:
        with transaction(store) as connection:
            answers = declare_intervals(connection, environment_id, wanted, now=now())
    told = iter(answers)
    return [next(told) if isinstance(one, Declaration) else one for one in read]


def _read_declaration(value: Any) -> Declaration | AppError:
    try:
        told = fit_shape(ManifestBody, value)
    except BodyInvalid as error:
        return error
    return Declaration(
        source=told.source,
        stream=told.stream,
        shard=told.shard,
        from_at=told.from_at,
        to_at=told.to_at,
        anchor=told.anchor,
        version=told.version,
        count=told.count,
        alg=told.alg,
        key_id=told.key_id,
        sum=None if told.sum is None else read_sum(told.sum),
    )


def _read_split(told: SplitBody) -> Split:
    try:
        part = parse_range(told.lo, told.hi)
    except ValueError as error:
        raise BodyInvalid(
            "a range is not right", problems=[Problem("splits", str(error))]
        ) from None
    if len(told.counts) not in (FEWER_PARTS, PARTS) or len(told.counts) != len(told.sums):
        words = f"counts and sums are of {PARTS} parts, or of {FEWER_PARTS}"
        raise BodyInvalid("a split is not right", problems=[Problem("splits", words)])
    pairs = zip(told.counts, told.sums, strict=True)
    return Split(part, tuple(Digest(count, read_sum(text)) for count, text in pairs))


def _check_length(values: list[Any], settings: Settings) -> None:
    if not values:
        raise NotEvents("the list holds no manifest")
    if len(values) > settings.limit_manifests:
        raise TooManyEvents(
            f"{len(values)} manifests in one request; the limit is {settings.limit_manifests}",
            hint="Send them in several requests.",
        )


def _write_answer(answer: dict[str, Any] | AppError, *, request_id: str) -> dict[str, Any]:
    if isinstance(answer, AppError):
        return {"state": "refused", "problem": problem_body(answer, request_id=request_id)}
    return answer


def _read_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise UnknownName(
            "there is no such manifest here", hint="POST /v1/manifests tells its number."
        )
    return int(text)
