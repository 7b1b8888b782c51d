"""Administration of the key's own environment: its sources, keys and streams; limits."""

from dataclasses import asdict

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.access.environments import environment_of
from app.access.keys import issue_key, list_keys, revoke_key
from app.base.clock import now
from app.base.outbound import check_url
from app.http.caller import Administrator, Caller, Config, OpenStore, RawBody, Reader
from app.http.stream import json_response
from app.intake.sources import add_source, list_sources
from app.ledger.facts import read_lag
from app.rest.schemas import (
    KeyBody,
    ListAfter,
    ListLimit,
    SourceBody,
    body_of,
    list_response,
    read_shape,
)
from app.store.engine import snapshot, transaction

router = APIRouter(prefix="/v1", tags=["administration"])


@router.get("/environment")
def get_environment(caller: Caller, store: OpenStore) -> Response:
    """The environment of the key, and what the key may do."""
    with snapshot(store) as connection:
        facts = environment_of(connection, caller.environment_id)
    told = asdict(facts)
    del told["environment_id"]
    return json_response({**told, "key_id": caller.key, "scopes": sorted(caller.scopes)})


@router.get("/limits")
def get_limits(_caller: Caller, settings: Config) -> Response:
    """Every limit with its value; over one, a clear error names it."""
    return json_response(settings.limits())


@router.get("/streams")
def get_streams(caller: Reader, store: OpenStore) -> Response:
    """Every stream with the sources that owe it or have sent it."""
    with snapshot(store) as connection:
        lag = read_lag(connection, caller.environment_id, now=now())
    items = [
        {
            "stream": row.stream,
            "kind": row.kind,
            "sources": [
                {
                    "source": part.source,
                    "contracted": part.verdict.reason != "no_contract",
                    "sealed": part.is_sealed,
                }
                for part in row.sources
            ],
        }
        for row in lag.streams
    ]
    return json_response({"items": items, "next": None})


@router.get("/sources")
def get_sources(
    caller: Administrator, store: OpenStore, limit: ListLimit = 100, after: ListAfter = ""
) -> Response:
    """The sources of the environment."""
    with snapshot(store) as connection:
        sources = list_sources(connection, caller.environment_id)
    return list_response(
        sorted(sources, key=lambda source: str(source["source"])),
        path="/v1/sources",
        key=lambda source: str(source["source"]),
        describe=dict,
        limit=limit,
        after=after,
    )


@router.post("/sources", status_code=201, openapi_extra=body_of("SourceBody"))
def post_source(
    request: Request, caller: Administrator, store: OpenStore, settings: Config, body: RawBody
) -> Response:
    """Register a source; its secret is told this once."""
    wanted = read_shape(SourceBody, body, headers=request.headers, settings=settings)
    if wanted.endpoint is not None:
        check_url(wanted.endpoint, settings)
    with transaction(store) as connection:
        made = add_source(
            connection,
            caller.environment_id,
            source_key=wanted.source,
            kind=wanted.kind,
            takes_occurred_at=wanted.takes_occurred_at,
            endpoint=wanted.endpoint,
        )
    told = {"source": made.source, "key_id": made.key_id, "secret": made.secret}
    return json_response(told, status=201)


@router.get("/keys")
def get_keys(
    caller: Administrator, store: OpenStore, limit: ListLimit = 100, after: ListAfter = ""
) -> Response:
    """The API keys of the environment; secrets are not kept."""
    with snapshot(store) as connection:
        keys = list_keys(connection, caller.environment_id)
    return list_response(
        sorted(keys, key=lambda facts: facts.key_id),
        path="/v1/keys",
        key=lambda facts: facts.key_id,
        describe=asdict,
        limit=limit,
        after=after,
    )


@router.post("/keys", status_code=201, openapi_extra=body_of("KeyBody"))
def post_key(
    request: Request, caller: Administrator, store: OpenStore, settings: Config, body: RawBody
) -> Response:
    """Issue a key; it is told this once."""
    wanted = read_shape(KeyBody, body, headers=request.headers, settings=settings)
    with transaction(store) as connection:
        issued = issue_key(
            connection,
            caller.environment_id,
            scopes=wanted.scopes,
            name=wanted.name,
            expires_at=wanted.expires_at,
        )
    return json_response(asdict(issued), status=201)


@router.delete("/keys/{key_id}", status_code=204)
def delete_key(key_id: str, caller: Administrator, store: OpenStore) -> Response:
    """Revoke a key: it opens nothing from the next request on."""
    with transaction(store) as connection:
        revoke_key(connection, caller.environment_id, key_id)
    return Response(status_code=204)
