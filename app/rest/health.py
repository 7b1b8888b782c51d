"""Liveness, readiness, metrics and the status page: what operators and probes ask."""

import re

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.base.clock import now
from app.base.errors import AppError
from app.base.metrics import figures_text, metrics_text
from app.http.caller import OpenStore, authenticate_request, presented_key
from app.http.stream import json_response
from app.processing.figures import read_figures
from app.store.engine import Store, snapshot
from app.store.migrate import require_schema

router = APIRouter(tags=["health"])

_OF_ENVIRONMENT = re.compile(rb'[{,]environment="(\d+)"')


@router.get("/healthz")
def get_health() -> Response:
    """The process answers."""
    return json_response({"status": "ok"})


@router.get("/readyz")
def get_readiness(store: OpenStore) -> Response:
    """The database can be reached and its schema fits this program."""
    require_schema(store)
    return json_response({"status": "ready"})


@router.get("/metrics")
def get_metrics(request: Request, store: OpenStore) -> Response:
    """Metrics of this process for Prometheus; an environment's own only for a key of it."""
    own, figures = b"", b""
    if presented_key(request.headers) is not None:
        caller = authenticate_request(request.scope, store)
        caller.require("operate")
        own = str(caller.environment_id).encode()
        figures = _write_figures(store, caller.environment_id)
    lines = [line for line in metrics_text().splitlines(keepends=True) if _is_shown(line, own)]
    told = b"".join(lines) + figures
    return Response(told, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/v1/status")
def get_status(store: OpenStore) -> Response:
    """What a status page shows: each part, and whether it works."""
    parts = [{"name": "api", "status": "ok"}, {"name": "database", "status": "ok"}]
    try:
        require_schema(store)
    except AppError as error:
        parts[1] = {"name": "database", "status": "down", "reason": error.code}
    works = all(part["status"] == "ok" for part in parts)
    told = {"status": "ok" if works else "degraded", "parts": parts, "evaluated_at": now()}
    return json_response(told)


def _write_figures(store: Store, environment_id: int) -> bytes:
    """What `GET /v1/processing` tells, as gauges."""
    with snapshot(store) as connection:
        figures = read_figures(connection, environment_id, now=now())
    kinds = [alarm["kind"] for alarm in figures.alarms]
    return figures_text(environment_id, figures.as_gauges(), kinds)


def _is_shown(line: bytes, own: bytes) -> bool:
    found = _OF_ENVIRONMENT.search(line)
    return found is None or found[1] == own
