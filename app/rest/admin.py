"""Administration of the key's own environment: its sources, keys and streams; limits."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.access.environments import environment_of
from app.access.keys import issue_key, list_keys, revoke_key
from app.base.clock import now
from app.base.outbound import check_url
from app.http.caller import Administrator, Caller, Config, OpenStore, RawBody, Reader
from app.http.stream import json_response
from app.intake.sources import (
    add_source,
    list_sources,
    rotate_key,
    seal_source,
    set_evidence_url,
)
from app.learning.contracts import Contract
from app.learning.modules import STREAM_NAMES
from app.ledger.streams import (
    describe_contract,
    find_contract,
    list_contracts,
    remove_contract,
    set_contract,
)
from app.rest.schemas import (
    ContractBody,
    EvidenceUrlBody,
    KeyBody,
    ListAfter,
    ListLimit,
    SourceBody,
    SourceKeyBody,
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
    """Every stream there can be, with each source and the contract under which it owes it."""
    with snapshot(store) as connection:
        items = list_contracts(connection, caller.environment_id)
    return json_response({"items": items, "next": None})


@router.get("/streams/{source}/{stream}")
def get_stream(source: str, stream: str, caller: Reader, store: OpenStore) -> Response:
    """The contract under which a source owes a stream."""
    with snapshot(store) as connection:
        _, contract = find_contract(connection, caller.environment_id, source=source, stream=stream)
    return json_response({"source": source, "stream": stream, **_told(contract)})


@router.put("/streams/{source}/{stream}", openapi_extra=body_of("ContractBody"))
def put_stream(
    request: Request,
    source: str,
    stream: str,
    caller: Administrator,
    store: OpenStore,
    settings: Config,
    body: RawBody,
) -> Response:
    """Put a stream under contract, or change the terms that are told; the act is written down."""
    wanted = read_shape(ContractBody, body, headers=request.headers, settings=settings)
    with transaction(store) as connection:
        contract, is_new = set_contract(
            connection,
            caller.environment_id,
            source=source,
            stream=stream,
            terms=wanted.terms(),
            actor=caller.key,
            now=now(),
        )
    told = {"source": source, "stream": stream, **_told(contract)}
    return json_response(told, status=201 if is_new else 200)


@router.delete("/streams/{source}/{stream}", status_code=204)
def delete_stream(
    source: str,
    stream: str,
    caller: Administrator,
    store: OpenStore,
    reason: Annotated[str, Query(max_length=500, description="Why; it is kept.")] = "",
) -> Response:
    """Let a source owe a stream no more; who decided it, and why, is written down."""
    with transaction(store) as connection:
        remove_contract(
            connection,
            caller.environment_id,
            source=source,
            stream=stream,
            reason=reason,
            actor=caller.key,
            now=now(),
        )
    return Response(status_code=204)


def _told(contract: Contract) -> dict[str, Any]:
    return {"contract": describe_contract(contract)}


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
    for url in filter(None, (wanted.endpoint, wanted.evidence_url)):
        check_url(url, settings)
    with transaction(store) as connection:
        made = add_source(
            connection,
            caller.environment_id,
            source_key=wanted.source,
            kind=wanted.kind,
            takes_occurred_at=wanted.takes_occurred_at,
            endpoint=wanted.endpoint,
            evidence_url=wanted.evidence_url,
            streams=STREAM_NAMES if wanted.streams is None else wanted.streams,
            contract=Contract(**(wanted.contract.terms() if wanted.contract else {})),
            actor=caller.key,
        )
    told = {"source": made.source, "key_id": made.key_id, "secret": made.secret}
    return json_response(told, status=201)


@router.put("/sources/{source}/evidence-url", openapi_extra=body_of("EvidenceUrlBody"))
def put_evidence_url(
    request: Request,
    source: str,
    caller: Administrator,
    store: OpenStore,
    settings: Config,
    body: RawBody,
) -> Response:
    """Say where a source is asked which events it made, or that it is asked no more."""
    wanted = read_shape(EvidenceUrlBody, body, headers=request.headers, settings=settings)
    if wanted.evidence_url:
        check_url(wanted.evidence_url, settings)
    url = wanted.evidence_url or None
    with transaction(store) as connection:
        set_evidence_url(connection, caller.environment_id, source, url, actor=caller.key)
    return json_response({"source": source, "evidence_url": url})


@router.post("/sources/{source}/keys", status_code=201, openapi_extra=body_of("SourceKeyBody"))
def post_source_key(
    request: Request,
    source: str,
    caller: Administrator,
    store: OpenStore,
    settings: Config,
    body: RawBody,
) -> Response:
    """Give a source a new key of its evidence, told this once; the old one stays that of earlier
    buckets.
    """
    wanted = read_shape(SourceKeyBody, body, headers=request.headers, settings=settings)
    with transaction(store) as connection:
        made, valid_from = rotate_key(
            connection,
            caller.environment_id,
            source,
            valid_from=wanted.valid_from,
            actor=caller.key,
        )
    told = {"source": source, "key_id": made.key_id, "secret": made.secret}
    return json_response({**told, "valid_from": valid_from}, status=201)


@router.post("/sources/{source}/seal")
def post_seal(source: str, caller: Administrator, store: OpenStore) -> Response:
    """Retire a source: nothing more is accepted from it, and it needs no heartbeat any more."""
    with transaction(store) as connection:
        sealed_at = seal_source(connection, caller.environment_id, source, actor=caller.key)
    return json_response({"source": source, "sealed_at": sealed_at})


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
