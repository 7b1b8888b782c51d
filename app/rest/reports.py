"""The built-in reports: which there are, and the rows of one."""

from dataclasses import asdict

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.base.errors import BadOption
from app.http.caller import Caller, Config, OpenStore, Reader
from app.http.freshness import demand_of, without_demands
from app.http.stream import json_response
from app.query.parameters import Report
from app.query.reports import REPORTS, report_named, run_report
from app.rest.answers import answer_response

router = APIRouter(prefix="/v1", tags=["reports"])


@router.get("/reports")
def get_reports(_caller: Caller) -> Response:
    """Every built-in report with its parameters."""
    return json_response({"items": [_describe_report(report) for report in REPORTS], "next": None})


@router.get("/reports/{name}")
def get_report(
    name: str, request: Request, caller: Reader, store: OpenStore, settings: Config
) -> Response:
    """Rows of a report; its parameters are query parameters, told by GET /v1/reports."""
    report = report_named(name)
    parameters = dict(request.query_params)
    if len(parameters) != len(request.query_params.multi_items()):
        raise BadOption("a parameter is given twice")
    address = f"{request.url.path}?{request.url.query}"
    known = ",".join(request.headers.getlist("if-none-match"))
    answer = run_report(
        report.name,
        without_demands(parameters),
        principal=caller,
        store=store,
        settings=settings,
        demand=demand_of(parameters, known, address=address),
    )
    return answer_response(answer, timezone=answer.plan.request.timezone)


def _describe_report(report: Report) -> dict[str, object]:
    return {
        "name": report.name,
        "label": report.label,
        "description": report.description,
        "formula": report.formula,
        "dataset": report.dataset,
        "parameters": [asdict(parameter) for parameter in report.parameters],
    }
