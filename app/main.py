"""HTTP door: puts the fronts together over one store; holds no rules."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette_compress import CompressMiddleware

from app.access.limits import FailureLimit
from app.base.config import Settings
from app.http.errors import install_errors
from app.http.middleware import EXPOSED_HEADERS, Mounts, RequestFrame
from app.http.stream import json_response
from app.odata.errors import error_response
from app.odata.routes import odata_application
from app.rest.docs import OPENAPI_PATH, install_docs
from app.rest.routes import install_rest
from app.store.engine import Store, close_store, open_store
from app.store.instance import keep_secret
from app.worker import Worker

VERSION = "0.1.0"
ODATA_PATH = "/odata/v4"
COMPLETE_PATH = f"{ODATA_PATH}/complete"
_COMPRESSED_FROM_BYTES = 1000
_ALLOWED_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "OData-MaxVersion",
    "OData-Version",
    "Prefer",
    "X-API-Key",
    "X-Experience-API-Version",
    "X-Request-ID",
)


def create_app(settings: Settings, *, store: Store | None = None, worker: bool = True) -> FastAPI:
    """The HTTP application over a migrated database.

    store: an open one, which its owner closes; else one is opened, and closed at shutdown
    worker: fold events in this process too
    """
    opened = store or open_store(settings.database_url)

    @asynccontextmanager
    async def lifespan(_application: FastAPI) -> AsyncIterator[None]:
        loops = Worker(opened, settings) if worker else None
        await run_in_threadpool(keep_secret, opened, settings)
        if loops is not None:
            await run_in_threadpool(loops.start)
        yield
        if loops is not None:
            await run_in_threadpool(loops.stop)
        if store is None:
            await run_in_threadpool(close_store, opened)

    application = FastAPI(
        title="Fullcount",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url=OPENAPI_PATH,
        lifespan=lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    application.state.settings = settings
    application.state.store = opened
    feed = odata_application(settings, opened)
    complete_only = odata_application(settings, opened, mounted_at=COMPLETE_PATH, floor="complete")
    mounts = {COMPLETE_PATH: complete_only, ODATA_PATH: feed}
    application.add_middleware(Mounts, applications=mounts)
    install_rest(application)
    install_docs(application)
    application.add_route("/", _answer_root, include_in_schema=False)
    install_errors(application)
    _install_middleware(application, settings)
    return application


def _install_middleware(application: FastAPI, settings: Settings) -> None:
    """What surrounds the fronts; the last one added is the outermost."""
    application.add_middleware(
        CompressMiddleware,
        minimum_size=_COMPRESSED_FROM_BYTES,
        zstd_level=1,
        gzip_level=1,
        brotli=False,
    )
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    if origins:
        application.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
            allow_headers=list(_ALLOWED_HEADERS),
            expose_headers=list(EXPOSED_HEADERS),
        )
    failures = FailureLimit(settings.limit_failed_keys_per_min)
    refusals = {ODATA_PATH: partial(error_response, version="4.01")}
    application.add_middleware(
        RequestFrame, settings=settings, failures=failures, refusals=refusals
    )


def _answer_root(_request: Request) -> Response:
    return json_response(
        {
            "name": "Fullcount",
            "version": VERSION,
            "links": {
                "docs": "/docs",
                "openapi": OPENAPI_PATH,
                "odata": f"{ODATA_PATH}/",
                "lag": "/v1/ingestion/lag",
                "datasets": "/v1/datasets",
                "reports": "/v1/reports",
                "status": "/v1/status",
            },
        }
    )
