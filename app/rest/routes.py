"""The table of contents of the REST front."""

from fastapi import FastAPI

from app.http.errors import PROBLEM_JSON
from app.rest import (
    admin,
    completeness,
    datasets,
    events,
    evidence,
    health,
    processing,
    rebuilds,
    reports,
    xapi,
)

ROUTERS = (
    events.router,
    xapi.router,
    evidence.router,
    completeness.router,
    datasets.router,
    reports.router,
    rebuilds.router,
    processing.router,
    admin.router,
    health.router,
)
_PROBLEM = {"schema": {"$ref": "#/components/schemas/Problem"}}
_FAILURES = {"description": "What is wrong, and the way out", "content": {PROBLEM_JSON: _PROBLEM}}


def install_rest(application: FastAPI) -> None:
    """Put every route of the REST front into the application."""
    for router in ROUTERS:
        application.include_router(router, responses={"4XX": _FAILURES, "5XX": _FAILURES})
