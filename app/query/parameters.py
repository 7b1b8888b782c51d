"""What reports can be told, and how it enters a Request: filters, groups, the moment, the zone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from app.base.errors import BadOption
from app.catalog.datasets.attributes import ATTRIBUTES
from app.catalog.enumerations import MODULE_TYPE
from app.learning.times import parse_time
from app.query.request import Aggregate, Bucket, Order, Request
from app.store.days import PERIODS


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


DIMENSIONS = (
    "learner_key",
    "module_key",
    "module_name",
    "module_type",
    "series_key",
    "series_name",
    "team_key",
    "team_name",
    "manager_key",
)
BUCKETS = {
    f"{stem}_{by}": Bucket(f"{stem}_{by}", f"{stem}_at", by)
    for stem in (
        *("assigned", "due", "completed", "started", "decided", "awarded", "marked"),
        *("starts", "issued", "expires", "given", "done"),
    )
    for by in PERIODS
}

# Base A(T): assigned by T, not ended at T, learner active, module published or completed before it
# was archived. An unknown learner or module counts: no fact is homeless.
_LASTING = "assigned_at le @as_of and not (ended_at le @as_of)"
_ACTIVE = "learner/status ne 'inactive'"
_OFFERED = (
    "(module/status ne 'archived' and module/status ne 'deleted'"
    " or completed_at le module/archived_at)"
)

PAGING = (
    Parameter("limit", "Rows in an answer, 1 to 50,000.", default="1000"),
    Parameter("next", "The `next` of the answer before, for the following rows."),
)
MOMENT = (
    Parameter(
        "as_of",
        "The moment the report is for, RFC 3339 with offset; or a revision, to see it as it was.",
        default="now",
    ),
    Parameter("timezone", "The zone of days and longer periods.", default="the environment's"),
)
FILTERS = (
    Parameter("module_type", "Only these module types.", values=MODULE_TYPE.members, is_list=True),
    Parameter("module", "Only this module, by key."),
    Parameter("series", "Only this series, by key."),
)
PEOPLE = (
    Parameter("learner", "Only this learner, by key."),
    Parameter("team", "Only learners whose primary team now is this, by key."),
    Parameter("manager", "Only learners whose manager now is this, by key."),
    Parameter("inactive", "Whether inactive learners count.", default="no", values=("no", "yes")),
)
COMMON = (*MOMENT, *FILTERS, *PEOPLE, *PAGING)
OF_FACTS = (
    *MOMENT,
    *(one for one in (*FILTERS, *PEOPLE) if one.name not in {"series", "team", "manager"}),
    *PAGING,
)
WAIVED = Parameter(
    "waived",
    "What waived assignments are: left out of rates, or as good as completed.",
    default="excluded",
    values=("excluded", "as_completed"),
)

_COLUMNS = {
    "module_type": "module_type",
    "module": "module_key",
    "series": "series_key",
    "team": "team_key",
    "manager": "manager_key",
    "learner": "learner_key",
    "certification": "certification_key",
    "status": "status",
    "stream": "stream",
}
_LISTS = ("module_type", "status", "stream")


def grouping(
    default: str,
    dimensions: tuple[str, ...] = DIMENSIONS,
    *,
    stems: tuple[str, ...] = ("assigned", "due", "completed"),
) -> Parameter:
    """The parameter `by`: fields, and the days, weeks and months of some of their moments."""
    values = (*dimensions, *(f"{stem}_{by}" for stem in stems for by in PERIODS))
    return Parameter("by", "The dimensions of a row.", default, values=values, is_list=True)


def group_request(
    given: Mapping[str, str],
    *,
    by: str,
    numbers: tuple[str | Aggregate, ...],
    where: str = "",
    dataset: str = "LearnerProgress",
    base: str | None = None,
    order: tuple[Order, ...] = (),
) -> Request:
    """A question about groups: of the assignments of base A(T), or of facts about learners.

    base: the condition of the base, where it is neither of the two
    """
    if base is None:
        base = base_of(given) if dataset == "LearnerProgress" else _active(given)
    names = tuple(dict.fromkeys(given.get("by", by).split(",")))
    return Request(
        dataset,
        where=filter_by(given, base=base, where=where),
        group=tuple(name for name in names if name not in BUCKETS),
        buckets=tuple(BUCKETS[name] for name in names if name in BUCKETS),
        aggregates=tuple(Aggregate(n) if isinstance(n, str) else n for n in numbers),
        order=order,
        **paging(given),
    )


def base_of(given: Mapping[str, str]) -> str:
    """The condition of base A(T)."""
    return " and ".join(text for text in (_LASTING, _active(given), _OFFERED) if text)


def _active(given: Mapping[str, str]) -> str:
    return "" if given.get("inactive") == "yes" else _ACTIVE


def filter_by(given: Mapping[str, str], *, base: str, where: str = "") -> str:
    """The condition of a report: its base, what else it asks for, and the caller's filters."""
    terms = [f"({text})" for text in (base, where) if text]
    for name, column in _COLUMNS.items():
        if name in given:
            words = given[name].split(",") if name in _LISTS else [given[name]]
            terms.append(f"{column} in ({','.join(_quote(word) for word in words)})")
    return " and ".join(terms)


def paging(given: Mapping[str, str]) -> dict[str, Any]:
    """Which page, of which moment, in which zone."""
    return {
        "page_rows": parse_count(given, "limit", default=1000, most=50_000),
        "after": given.get("next", ""),
        "as_of": None if _revision(given) is not None else parse_moment(given, "as_of"),
        "revision": _revision(given),
        "timezone": given.get("timezone", "UTC"),
    }


def check_parameters(report: Report, given: Mapping[str, str]) -> None:
    """Refuse a parameter the report does not have, or a word it cannot be.

    Raises: BadOption
    """
    known = {parameter.name: parameter for parameter in report.parameters}
    for name, value in given.items():
        if name not in known:
            near = get_close_matches(name, list(known), n=1)
            hint = f"Did you mean {near[0]}?" if near else f"It takes {', '.join(known)}."
            raise BadOption(
                f"{report.name} has no parameter {name[:100]!r}", hint=hint, target=name[:100]
            )
        words = value.split(",") if known[name].is_list else [value]
        wrong = [word for word in words if known[name].values and not _is_value(known[name], word)]
        if wrong:
            raise BadOption(
                f"{name} cannot be {wrong[0][:100]!r}",
                hint=f"It is one of {', '.join(known[name].values)}.",
                target=name,
            )


def _is_value(parameter: Parameter, word: str) -> bool:
    """Whether a parameter may be this word; which attributes there are the planner knows."""
    may_group = parameter.name == "by" and "team_name" in parameter.values
    is_attribute = may_group and word.startswith(f"{ATTRIBUTES}/")
    return is_attribute or word in parameter.values


def parse_count(given: Mapping[str, str], name: str, *, default: int, most: int) -> int:
    """A parameter that is a whole number from 1.

    Raises: BadOption
    """
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= most):
        raise BadOption(f"{name} is {text[:100]!r}; it is a number from 1 to {most}", target=name)
    return int(text)


def parse_moment(given: Mapping[str, str], name: str) -> datetime | None:
    """A parameter that is a moment; None when it is left out.

    Raises: BadOption
    """
    if name not in given:
        return None
    try:
        return parse_time(given[name])
    except ValueError as error:
        raise BadOption(
            f"{name} is {given[name][:100]!r}; it is a time with an offset"
            f"{', or a revision' if name == 'as_of' else ''}",
            hint="For example 2025-05-24T10:00:00Z; in a URL, + is written %2B.",
            target=name,
        ) from error


def _quote(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"


def _revision(given: Mapping[str, str]) -> int | None:
    text = given.get("as_of", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
