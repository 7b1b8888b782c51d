"""The API docs: /docs and /openapi.json, from this process alone, under a strict CSP."""

from typing import Any

import fastapi_csp_docs
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from app.rest.schemas import BODIES, REFERENCE

OPENAPI_PATH = "/openapi.json"
_ASSETS = "/docs/assets"
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURITY: dict[str, dict[str, Any]] = {
    "Bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Basic": {
        "type": "http",
        "scheme": "basic",
        "description": "The password is an API key; the user name does not matter.",
    },
}
_TEXT = {"type": "string"}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457; docs/errors.md tells every code.",
    "required": ["type", "title", "status", "detail", "code", "hint", "instance"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "code": _TEXT,
        "hint": _TEXT_OR_NULL,
        "instance": _TEXT,
        "target": _TEXT,
        "problems": {
            "type": "array",
            "items": {"type": "object", "properties": {"path": _TEXT, "message": _TEXT}},
        },
    },
}
_OPEN_PATHS = ("/healthz", "/readyz", "/metrics", "/v1/status", "/xapi/about")


def install_docs(application: FastAPI) -> None:
    """Serve the docs of this application; their files come with the installation."""
    assets = StaticFiles(packages=[("fastapi_standalone_docs", "static/swagger")])
    application.mount(_ASSETS, assets, name="docs_assets")

    def page(_request: Request) -> Response:
        return _guard_page(
            fastapi_csp_docs.get_swagger_ui_html(
                title="Fullcount API",
                swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
                swagger_css_url=f"{_ASSETS}/swagger-ui.css",
                swagger_favicon_url="data:,",
                swagger_ui_init_script_url="/docs/swagger-initializer.js",
            )
        )

    def initializer(_request: Request) -> Response:
        return _guard_page(fastapi_csp_docs.get_swagger_ui_init_js(openapi_url=OPENAPI_PATH))

    application.add_route("/docs", page, include_in_schema=False)
    application.add_route("/docs/swagger-initializer.js", initializer, include_in_schema=False)
    application.openapi = lambda: describe_api(application)  # type: ignore[method-assign]


def describe_api(application: FastAPI) -> dict[str, Any]:
    """The OpenAPI document; made once per application."""
    if application.openapi_schema is None:
        document = get_openapi(
            title="Fullcount",
            version=application.version,
            description="Learning-progress analytics that can prove whether the data is complete."
            " The OData feed is at /odata/v4/.",
            routes=application.routes,
        )
        parts = document.setdefault("components", {})
        _, bodies = models_json_schema(
            [(shape, "validation") for shape in BODIES], ref_template=REFERENCE
        )
        parts["schemas"] = {**parts.get("schemas", {}), **bodies["$defs"], "Problem": _PROBLEM}
        parts["securitySchemes"] = _SECURITY
        document["security"] = [{name: []} for name in _SECURITY]
        for path in _OPEN_PATHS:
            document["paths"][path]["get"]["security"] = []
        application.openapi_schema = document
    return application.openapi_schema


def _guard_page(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = _CSP
    return response
