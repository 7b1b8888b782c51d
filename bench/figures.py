"""The same figures asked of the product in two ways: walking OData, and by POST /v1/query."""

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from bench.oulad import Figures

FIGURES_EACH = len(fields(Figures)) - 1


class Ask(Protocol):
    """How a question reaches the product: method, path and JSON body in, parsed JSON out."""

    def __call__(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send one request; anything but a 2xx is an error."""
        ...


def figures_by_odata(ask: Ask, *, module_types: list[str], as_of: datetime) -> list[Figures]:
    """Count and add up by filters of the feed, with nothing but its rows."""
    moment = _write(as_of)
    found = []
    for name in module_types:
        of_type = f"module_type eq '{name}'"
        done = f"{of_type} and completed_at le {moment}"
        late = (
            f"{of_type} and due_at lt {moment} and not (completed_at le {moment}"
            f" or waived_at le {moment} or ended_at le {moment})"
        )
        scored = walk(ask, "LearnerProgress", f"{done} and score ne null", select="score")
        scores = [row["score"] for row in scored]
        started = f"{of_type} and started_at le {moment}"
        opened = list(walk(ask, "Activity", started, select="clicks,counted_s"))
        present = f"{of_type} and outcome eq 'attended' and marked_at le {moment}"
        tried = f"{of_type} and (submitted_at le {moment} or graded_at le {moment})"
        parts = f"{of_type} and status eq 'done' and done_at le {moment}"
        found.append(
            Figures(
                name,
                completed=_count(ask, "LearnerProgress", done),
                average_score=sum(scores) / len(scores) if scores else None,
                overdue=_count(ask, "LearnerProgress", late),
                passed=_count(ask, "LearnerProgress", f"{done} and passed"),
                not_passed=_count(ask, "LearnerProgress", f"{done} and passed eq false"),
                attempts=_count(ask, "Attempts", tried),
                parts_done=_count(ask, "PartProgress", parts),
                attended=_count(ask, "SessionAttendance", present),
                clicks=sum(row["clicks"] for row in opened),
                time_spent_s=sum(row["counted_s"] for row in opened),
            )
        )
    return found


def _write(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def walk(ask: Ask, name: str, where: str, *, select: str) -> Iterator[dict[str, Any]]:
    """Every row of a set that this filter chooses, page by page."""
    path = f"/odata/v4/{name}?$filter={quote(where)}&$select={select}"
    while path:
        page = ask("GET", path)
        yield from page["value"]
        link = urlsplit(page.get("@odata.nextLink", ""))
        path = f"{link.path}?{link.query}" if link.path else ""


def _count(ask: Ask, name: str, condition: str) -> int:
    return int(ask("GET", f"/odata/v4/{name}/$count?$filter={quote(condition)}"))


def _questions(moment: str) -> tuple[tuple[str, list[dict[str, str]], str], ...]:
    """What is asked by module type: a dataset, its numbers, a condition."""
    clicks = {"field": "clicks", "aggregate": "sum", "as": "clicks"}
    scores = {"field": "score", "aggregate": "average", "as": "average_score"}
    judged = [{"measure": name} for name in ("completed", "overdue", "passed", "not_passed")]
    counted = {"aggregate": "count"}
    tried = f"submitted_at le {moment} or graded_at le {moment}"
    return (
        ("LearnerProgress", judged, ""),
        ("LearnerProgress", [scores], f"completed_at le {moment} and score ne null"),
        ("Attempts", [counted | {"as": "attempts"}], tried),
        (
            "PartProgress",
            [counted | {"as": "parts_done"}],
            f"status eq 'done' and done_at le {moment}",
        ),
        ("SessionAttendance", [{"measure": "attended"}], ""),
        ("Activity", [clicks, {"measure": "time_spent_s"}], f"started_at le {moment}"),
    )


def figures_by_rest(ask: Ask, *, as_of: datetime) -> list[Figures]:
    """Group each dataset by module type and take its measures and aggregates."""
    moment = _write(as_of)
    told: dict[str, dict[str, Any]] = {}
    for dataset, numbers, where in _questions(moment):
        body = {"dataset": dataset, "select": ["module_type", *numbers], "as_of": moment}
        for row in ask("POST", "/v1/query", body | ({"where": where} if where else {}))["rows"]:
            values = {name: value for name, value in row.items() if value is not None}
            told.setdefault(row["module_type"], {}).update(values)
    names = {field.name for field in fields(Figures)}
    found = (
        Figures(**{name: value for name, value in row.items() if name in names})
        for row in told.values()
    )
    return sorted(
        (one for one in found if one != Figures(one.module_type)),
        key=lambda figures: figures.module_type,
    )


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
    if replace(one, average_score=None) != replace(other, average_score=None):
        return False
    if one.average_score is None or other.average_score is None:
        return one.average_score is other.average_score
    return abs(one.average_score - other.average_score) < 1e-9


def as_body(value: dict[str, Any] | None) -> bytes:
    """A JSON body; empty for none."""
    return b"" if value is None else json.dumps(value).encode()
