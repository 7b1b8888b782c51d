"""The built-in reports: name and parameters in, one Request out. Numbers are the catalog's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from app.access.principal import Principal
from app.base.config import Settings
from app.base.errors import BadOption, UnknownReport
from app.catalog.enumerations import MODULE_TYPE, STATUS
from app.learning.times import parse_time
from app.query.answer import Answer, run_plan
from app.query.plan import make_plan
from app.query.request import Aggregate, Order, Request
from app.store.engine import Store


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something a report can be told.

    values: the words it may be; empty when any text will do
    default: in words, what holds when it is left out
    """

    name: str
    description: str
    default: str = ""
    values: tuple[str, ...] = ()
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A built-in question.

    formula: its base and numbers, in words
    request: the parameters given, in; the Request, out
    """

    name: str
    label: str
    description: str
    formula: str
    dataset: str
    parameters: tuple[Parameter, ...]
    request: Callable[[Mapping[str, str]], Request]


_DIMENSIONS = (
    "module_key",
    "module_name",
    "module_type",
    "series_key",
    "series_name",
    "team_key",
    "team_name",
    "manager_key",
)

# Base A(T): assigned by T, not ended at T, learner active, module published or completed before it
# was archived. An unknown learner or module counts: no fact is homeless.
_BASE = (
    "assigned_at le @as_of and not (ended_at le @as_of) and learner/status ne 'inactive'"
    " and (module/status ne 'archived' and module/status ne 'deleted'"
    " or completed_at le module/archived_at)"
)

_COMMON = (
    Parameter("as_of", "The moment the report is for, RFC 3339 with offset.", default="now"),
    Parameter("module_type", "Only these module types.", values=MODULE_TYPE.members, is_list=True),
    Parameter("module", "Only this module, by key."),
    Parameter("series", "Only this series, by key."),
    Parameter("team", "Only learners whose primary team now is this, by key."),
    Parameter("manager", "Only learners whose manager now is this, by key."),
    Parameter("limit", "Rows in an answer, 1 to 50,000.", default="1000"),
    Parameter("next", "The `next` of the answer before, for the following rows."),
)
_FILTERS = {
    "module_type": "module_type",
    "module": "module_key",
    "series": "series_key",
    "team": "team_key",
    "manager": "manager_key",
    "learner": "learner_key",
    "status": "status",
}
_LISTS = ("module_type", "status")


def _completion_summary(given: Mapping[str, str]) -> Request:
    by = tuple(given.get("by", "module_key,module_name,module_type").split(","))
    names = (
        "assigned",
        "not_started",
        "in_progress",
        "awaiting_review",
        "completed",
        "failed",
        "waived",
        "completion_rate",
        "started_rate",
    )
    return Request(
        "LearnerProgress",
        where=_where(given, base=_BASE),
        group=by,
        aggregates=tuple(Aggregate(name) for name in names),
        page_rows=_limit(given),
        after=given.get("next", ""),
        as_of=_as_of(given),
    )


def _learner_progress(given: Mapping[str, str]) -> Request:
    return Request(
        "LearnerProgress",
        select=(
            "assignment_id",
            "learner_key",
            "module_key",
            "module_name",
            "module_type",
            "series_key",
            "team_key",
            "manager_key",
            "cycle",
            "status",
            "percent_complete",
            "assigned_at",
            "started_at",
            "completed_at",
            "due_at",
            "is_overdue",
            "days_overdue",
            "score",
            "max_score",
            "best_score_percent",
            "passed",
            "attempts",
            "time_spent_s",
            "changed_at",
        ),
        where=_where(given, base=_BASE),
        order=(Order("learner_key"), Order("module_key"), Order("cycle")),
        page_rows=_limit(given),
        after=given.get("next", ""),
        as_of=_as_of(given),
    )


REPORTS: tuple[Report, ...] = (
    Report(
        "completion_summary",
        "Completion summary",
        "How many of those assigned have started and completed, by module or any other dimension.",
        "Base A(T): assignments with assigned_at <= T, not ended at T, learner active, module not"
        " archived or completed before it was. completion_rate = completed / (assigned - waived);"
        " started_rate = started / assigned; a zero denominator gives null. Each rate stands beside"
        " its numerator and denominator.",
        "LearnerProgress",
        (
            Parameter(
                "by",
                "The dimensions of a row.",
                default="module_key,module_name,module_type",
                values=_DIMENSIONS,
                is_list=True,
            ),
            *_COMMON,
        ),
        _completion_summary,
    ),
    Report(
        "learner_progress",
        "Learner progress",
        "Where each learner stands with each assignment.",
        "Base A(T), one row per assignment cycle. is_overdue: due before T, and by T neither"
        " completed, waived nor ended; days_overdue: whole days from due_at to T.",
        "LearnerProgress",
        (
            Parameter("learner", "Only this learner, by key."),
            Parameter("status", "Only these.", values=STATUS.members, is_list=True),
            *_COMMON,
        ),
        _learner_progress,
    ),
)


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
) -> Answer:
    """Answer a built-in report.

    Raises: UnknownReport; BadOption for a parameter it does not have or cannot read
    """
    report = report_named(name)
    _check_parameters(report, given)
    return run_plan(make_plan(report.request(given), principal, settings), store)


def _check_parameters(report: Report, given: Mapping[str, str]) -> None:
    known = {parameter.name: parameter for parameter in report.parameters}
    for name, value in given.items():
        if name not in known:
            near = get_close_matches(name, list(known), n=1)
            hint = f"Did you mean {near[0]}?" if near else f"It takes {', '.join(known)}."
            raise BadOption(
                f"{report.name} has no parameter {name[:100]!r}", hint=hint, target=name[:100]
            )
        words = value.split(",") if known[name].is_list else [value]
        wrong = [word for word in words if known[name].values and word not in known[name].values]
        if wrong:
            raise BadOption(
                f"{name} cannot be {wrong[0][:100]!r}",
                hint=f"It is one of {', '.join(known[name].values)}.",
                target=name,
            )


def _where(given: Mapping[str, str], *, base: str) -> str:
    terms = [f"({base})"]
    for name, field in _FILTERS.items():
        if name in given:
            words = given[name].split(",") if name in _LISTS else [given[name]]
            terms.append(f"{field} in ({','.join(_quote(word) for word in words)})")
    return " and ".join(terms)


def _quote(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"


def _limit(given: Mapping[str, str]) -> int:
    text = given.get("limit", "1000")
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 50_000):
        raise BadOption(f"limit is {text[:100]!r}; it is a number from 1 to 50000", target="limit")
    return int(text)


def _as_of(given: Mapping[str, str]) -> datetime | None:
    if "as_of" not in given:
        return None
    try:
        return parse_time(given["as_of"])
    except ValueError as error:
        raise BadOption(
            f"as_of is {given['as_of'][:100]!r}; it is an RFC 3339 time with an offset",
            hint="For example 2025-05-24T10:00:00Z; in a URL, + is written %2B.",
            target="as_of",
        ) from error
