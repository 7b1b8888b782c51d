"""Rebuilds of projections from the journal: asked for, listed, watched."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.base.errors import UnknownName
from app.http.caller import Config, OpenStore, Operator, RawBody
from app.http.stream import json_response
from app.processing.rebuild_requests import (
    RebuildRow,
    describe_rebuild,
    list_rebuilds,
    read_rebuild,
    request_rebuild,
)
from app.processing.rebuild_scope import RebuildScope
from app.rest.schemas import ListAfter, ListLimit, RebuildBody, body_of, list_response, read_shape
from app.store.engine import snapshot, transaction

router = APIRouter(prefix="/v1", tags=["processing"])

_NEWEST = 10**18


@router.post("/rebuilds", status_code=202, openapi_extra=body_of("RebuildBody"))
def post_rebuild(
    request: Request, caller: Operator, store: OpenStore, settings: Config, body: RawBody
) -> Response:
    """Rebuild projections from the journal in the background; answers go on from the old rows
    until the new ones take their place at once.
    """
    wanted = read_shape(RebuildBody, body, headers=request.headers, settings=settings)
    scope = RebuildScope(
        stream=wanted.stream,
        module_key=wanted.module,
        learner_key=wanted.learner,
        from_at=wanted.from_at,
        to_at=wanted.to_at,
    )
    with transaction(store) as connection:
        row = request_rebuild(connection, caller.environment_id, scope, asked_by=caller.key)
    store.wake.set()
    headers = {"Location": f"/v1/rebuilds/{row['rebuild_id']}"}
    return json_response(describe_rebuild(row), status=202, headers=headers)


@router.get("/rebuilds")
def get_rebuilds(
    caller: Operator, store: OpenStore, limit: ListLimit = 100, after: ListAfter = ""
) -> Response:
    """The rebuilds of the environment, the newest first."""
    with snapshot(store) as connection:
        rows = list_rebuilds(connection, caller.environment_id)
    return list_response(
        rows,
        path="/v1/rebuilds",
        key=_place_of,
        describe=describe_rebuild,
        limit=limit,
        after=after,
    )


@router.get("/rebuilds/{rebuild_id}")
def get_rebuild(rebuild_id: str, caller: Operator, store: OpenStore) -> Response:
    """How far a rebuild is, and what it repaired."""
    if not (rebuild_id.isascii() and rebuild_id.isdigit() and len(rebuild_id) <= 18):
        raise UnknownName("there is no such rebuild here", hint="See GET /v1/rebuilds.")
    with snapshot(store) as connection:
        row = read_rebuild(connection, caller.environment_id, int(rebuild_id))
    return json_response(describe_rebuild(row))


def _place_of(row: RebuildRow) -> str:
    return f"{_NEWEST - row['rebuild_id']:019d}"
