"""The same figures asked of the product in two ways: walking OData, and by POST /v1/query."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from bench.oulad import Figures


class Ask(Protocol):
    """How a question reaches the product: method, path and JSON body in, parsed JSON out."""

    def __call__(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send one request; anything but a 2xx is an error."""
        ...


def figures_by_odata(ask: Ask, *, module_types: list[str], as_of: datetime) -> list[Figures]:
    """Count and average by filters of the feed, with nothing but its rows."""
    moment = as_of.strftime("%Y-%m-%dT%H:%M:%SZ")
    found = []
    for name in module_types:
        done = f"module_type eq '{name}' and completed_at le {moment}"
        late = (
            f"module_type eq '{name}' and due_at lt {moment} and not (completed_at le {moment}"
            f" or waived_at le {moment} or ended_at le {moment})"
        )
        scored = f"{done} and score ne null"
        scores = [row["score"] for row in walk(ask, f"$filter={quote(scored)}&$select=score")]
        average = sum(scores) / len(scores) if scores else None
        found.append(Figures(name, _count(ask, done), average, _count(ask, late)))
    return found


def walk(ask: Ask, options: str) -> Iterator[dict[str, Any]]:
    """Every row of LearnerProgress that these options choose, page by page."""
    path = f"/odata/v4/LearnerProgress?{options}"
    while path:
        page = ask("GET", path)
        yield from page["value"]
        link = urlsplit(page.get("@odata.nextLink", ""))
        path = f"{link.path}?{link.query}" if link.path else ""


def _count(ask: Ask, condition: str) -> int:
    return int(ask("GET", f"/odata/v4/LearnerProgress/$count?$filter={quote(condition)}"))


def figures_by_rest(ask: Ask, *, as_of: datetime) -> list[Figures]:
    """Group by module type: two measures, and the average of the completed ones' scores."""
    moment = as_of.strftime("%Y-%m-%dT%H:%M:%SZ")
    counts = ask(
        "POST",
        "/v1/query",
        {
            "dataset": "LearnerProgress",
            "select": ["module_type", {"measure": "completed"}, {"measure": "overdue"}],
            "as_of": moment,
        },
    )
    averages = ask(
        "POST",
        "/v1/query",
        {
            "dataset": "LearnerProgress",
            "select": [
                "module_type",
                {"field": "score", "aggregate": "average", "as": "average_score"},
            ],
            "where": f"completed_at le {moment} and score ne null",
            "as_of": moment,
        },
    )
    by_type = {row["module_type"]: row["average_score"] for row in averages["rows"]}
    found = [
        Figures(
            row["module_type"],
            row["completed"],
            by_type.get(row["module_type"]),
            row["overdue"],
        )
        for row in counts["rows"]
        if row["completed"] or row["overdue"]
    ]
    return sorted(found, key=lambda figures: figures.module_type)


def differences(left: list[Figures], right: list[Figures]) -> list[str]:
    """Where two ways disagree, a sentence each; averages may differ by their last bits."""
    faults = []
    ours = {figures.module_type: figures for figures in left}
    theirs = {figures.module_type: figures for figures in right}
    for name in sorted({*ours, *theirs}):
        one, other = ours.get(name), theirs.get(name)
        if one is None or other is None or not _agree(one, other):
            faults.append(f"{name}: {one} against {other}")
    return faults


def _agree(one: Figures, other: Figures) -> bool:
    if (one.completed, one.overdue) != (other.completed, other.overdue):
        return False
    if one.average_score is None or other.average_score is None:
        return one.average_score is other.average_score
    return abs(one.average_score - other.average_score) < 1e-9


def as_body(value: dict[str, Any] | None) -> bytes | None:
    """A JSON body, or none."""
    return None if value is None else json.dumps(value).encode()
