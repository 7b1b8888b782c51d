"""The built-in reports: name and parameters in, one Request out. Numbers are the catalog's."""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches

from app.access.environments import check_timezone
from app.access.principal import Principal
from app.base.config import Settings
from app.base.errors import UnknownReport
from app.query.answer import Answer, run_plan
from app.query.attributes import plan_request
from app.query.demand import NO_DEMAND, Demand
from app.query.fact_reports import FACT_REPORTS
from app.query.parameters import Report, check_parameters
from app.query.progress_reports import PROGRESS_REPORTS
from app.store.engine import Store

REPORTS: tuple[Report, ...] = (*PROGRESS_REPORTS, *FACT_REPORTS)


def report_named(name: str) -> Report:
    """The built-in report of this name.

    Raises: UnknownReport, with the nearest name as a hint
    """
    for report in REPORTS:
        if report.name == name:
            return report
    near = get_close_matches(name, [report.name for report in REPORTS], n=1)
    hint = f"Did you mean {near[0]}?" if near else "GET /v1/reports lists them."
    raise UnknownReport(f"there is no report {name[:100]!r}", hint=hint)


def run_report(
    name: str,
    given: Mapping[str, str],
    *,
    principal: Principal,
    store: Store,
    settings: Settings,
    demand: Demand = NO_DEMAND,
) -> Answer:
    """Answer a built-in report.

    Raises: UnknownReport; BadOption for a parameter it does not have or cannot read
    """
    report = report_named(name)
    check_parameters(report, given)
    told = {"timezone": principal.timezone, **given}
    check_timezone(told["timezone"])
    request = replace(report.request(told), demand=demand)
    plan = plan_request(request, principal, store=store, settings=settings)
    return run_plan(plan, store)
