"""The built-in reports: which there are, and the rows of one."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.base.errors import BadOption
from app.http.caller import Caller, Config, OpenStore, Reader
from app.http.freshness import demand_of, without_demands
from app.http.stream import json_response
from app.learning.contracts import ANCHORS
from app.query.parameters import COMMON, Parameter, Report
from app.query.reports import REPORTS, report_named, run_report
from app.rest.answers import answer_response

router = APIRouter(prefix="/v1", tags=["reports"])

_BY = Parameter("by", "The dimensions of a row, in reports of groups.", is_list=True)
_DEMANDS = (
    Parameter("require", "No rows unless the verdict is this.", values=("complete", "catching_up")),
    Parameter("max_lag", "No rows unless the data is complete up to so long ago, as PT30M."),
    Parameter("require_assurance", "No rows unless the evidence is at least this.", values=ANCHORS),
    Parameter("until", "Only what is complete.", values=("complete",)),
)


def _describe_query(parameter: Parameter) -> dict[str, Any]:
    """What the API docs tell of a parameter that most reports have."""
    words = parameter.description
    words += " Several are separated by commas." if parameter.is_list else ""
    words += f" By default {parameter.default}." if parameter.default else ""
    is_choice = parameter.values and not parameter.is_list
    schema = {"type": "string", **({"enum": list(parameter.values)} if is_choice else {})}
    told = {"name": parameter.name, "in": "query", "required": False}
    return {**told, "description": words, "schema": schema}


_QUERY = {"parameters": [_describe_query(one) for one in (_BY, *COMMON, *_DEMANDS)]}


@router.get("/reports")
def get_reports(_caller: Caller) -> Response:
    """Every built-in report with its parameters."""
    return json_response({"items": [_describe_report(report) for report in REPORTS], "next": None})


@router.get("/reports/{name}", openapi_extra=_QUERY)
def get_report(
    name: str, request: Request, caller: Reader, store: OpenStore, settings: Config
) -> Response:
    """Rows of a report. GET /v1/reports tells the names and the parameters of each: those that
    most have are told here, too.
    """
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
