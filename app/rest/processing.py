"""How the queue does, what is dead and what becomes of it, and who did what."""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.access.principal import Principal
from app.base.clock import now
from app.base.errors import BodyInvalid, Problem
from app.base.facts import DeadSettled
from app.base.observe import observe
from app.http.caller import Config, OpenStore, Operator, RawBody
from app.http.stream import json_response
from app.processing.dead import (
    REDRIVEN,
    WAIVING,
    DeadScope,
    Settled,
    list_dead,
    redrive_dead,
    waive_dead,
)
from app.processing.figures import read_figures
from app.rest.schemas import DeadBody, ListLimit, Number, WaiveBody, body_of, read_shape
from app.store.audit import list_acts
from app.store.engine import snapshot, transaction

router = APIRouter(prefix="/v1", tags=["processing"])

AfterEntity = Annotated[str, Query(max_length=4000, description="Only entities behind this one.")]
AfterAct = Annotated[Number | None, Query(description="Only acts older than this.")]


@router.get("/processing")
def get_processing(caller: Operator, store: OpenStore, settings: Config) -> Response:
    """How processing does in the environment: what waits, how long, whose turn, what went wrong."""
    with snapshot(store, limit_s=settings.limit_query_s) as connection:
        figures = read_figures(connection, caller.environment_id, now=now())
    return json_response({"environment": caller.environment_key, **figures.as_dict()})


@router.get("/dead")
def get_dead(
    caller: Operator,
    store: OpenStore,
    settings: Config,
    limit: ListLimit = 100,
    after: AfterEntity = "",
) -> Response:
    """The dead events by entity: how many, why, since when, after how many tries."""
    with snapshot(store, limit_s=settings.limit_query_s) as connection:
        items = list_dead(connection, caller.environment_id, limit=limit + 1, after=after)
    return _page(items, path="/v1/dead", key="entity", limit=limit)


@router.post("/dead/redrive", openapi_extra=body_of("DeadBody"))
def post_redrive(
    request: Request, caller: Operator, store: OpenStore, settings: Config, body: RawBody
) -> Response:
    """Try dead events again: of an entity, by their seqs, of a stream, or all."""
    wanted = read_shape(DeadBody, body, headers=request.headers, settings=settings)
    scope, actor = _read_scope(wanted), _actor_of(caller, wanted.by)
    with transaction(store) as connection:
        done = redrive_dead(connection, caller.environment_id, scope, actor=actor, now=now())
    store.wake.set()
    return _tell_settled(caller, done, action=REDRIVEN)


@router.post("/dead/waive", openapi_extra=body_of("WaiveBody"))
def post_waive(
    request: Request, caller: Operator, store: OpenStore, settings: Config, body: RawBody
) -> Response:
    """Let dead events count no more, for a reason that is kept with who gave it."""
    wanted = read_shape(WaiveBody, body, headers=request.headers, settings=settings)
    scope, actor = _read_scope(wanted), _actor_of(caller, wanted.by)
    with transaction(store) as connection:
        done = waive_dead(
            connection,
            caller.environment_id,
            scope,
            actor=actor,
            reason=wanted.reason,
            now=now(),
        )
    return _tell_settled(caller, done, action=WAIVING)


@router.get("/audit")
def get_audit(
    caller: Operator, store: OpenStore, limit: ListLimit = 100, after: AfterAct = None
) -> Response:
    """Who did what in the environment, the newest first."""
    with snapshot(store) as connection:
        items = list_acts(connection, caller.environment_id, limit=limit + 1, before=after)
    return _page(items, path="/v1/audit", key="audit_id", limit=limit)


def _page(items: Sequence[dict[str, Any]], *, path: str, key: str, limit: int) -> Response:
    """A page of items that were read one too many, to know whether there is another page."""
    page, headers, following = items[:limit], {}, None
    if len(items) > limit:
        following = f"{path}?limit={limit}&after={quote(str(page[-1][key]), safe='')}"
        headers["Link"] = f'<{following}>; rel="next"'
    return json_response({"items": page, "next": following}, headers=headers)


def _read_scope(wanted: DeadBody) -> DeadScope:
    """Exactly one way of choosing.

    Raises: BodyInvalid
    """
    chosen = [wanted.entity is not None, bool(wanted.seqs), wanted.stream is not None]
    if sum([*chosen, wanted.everything]) != 1:
        raise BodyInvalid(
            "the body chooses dead events in one way",
            problems=[Problem("", "must have one of entity, seqs, stream, or all: true")],
        )
    return DeadScope(wanted.entity, tuple(wanted.seqs), wanted.stream)


def _actor_of(caller: Principal, by: str) -> str:
    return f"{caller.key} ({by})" if by else caller.key


def _tell_settled(caller: Principal, done: Settled, *, action: str) -> Response:
    told = {"events": done.event_count, "entities": done.entity_count, "audit_id": done.audit_id}
    if done.event_count:
        observe(DeadSettled(caller.environment_id, action, done.event_count, done.entity_count))
    return json_response(told)
