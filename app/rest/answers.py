"""An Answer in, the JSON of docs/rest.md out; its rows go in as the text the database wrote."""

from typing import Any

from starlette.responses import Response

from app.http.stream import data_response, unchanged_response, write_json
from app.ledger.facts import Freshness
from app.ledger.rows import describe_assurance, streams_of
from app.query.answer import Answer
from app.query.groups import OutputColumn


def answer_response(answer: Answer, *, timezone: str) -> Response:
    """The response of a query or a report."""
    if answer.is_unchanged:
        return unchanged_response(answer.freshness, tag=answer.tag)
    body = write_answer(answer, timezone=timezone)
    return data_response(body, answer.freshness, tag=answer.tag)


def write_answer(answer: Answer, *, timezone: str) -> bytes:
    """The whole text: the envelope is written here, the rows are not looked at.

    Source: docs/rest.md, "Answers"
    """
    head = write_json(
        {
            "dataset": answer.plan.dataset.name,
            "columns": [describe_column(column) for column in answer.plan.columns],
        }
    )
    tail = write_json(
        {
            "row_count": answer.row_count,
            "truncated": False,
            "totals": {} if answer.total is None else {"rows": answer.total},
            "next": answer.next,
            "timezone": timezone,
            "as_of": answer.as_of,
            "freshness": describe_freshness(answer.freshness),
        }
    )
    return b"".join((head[:-1], b',"rows":[', answer.rows_json, b"],", tail[1:]))


def describe_column(column: OutputColumn) -> dict[str, Any]:
    """What a column is; a ratio names its numerator and denominator."""
    told: dict[str, Any] = {
        "name": column.name,
        "label": column.label,
        "type": str(column.type),
        "role": str(column.role),
    }
    optional = {
        "unit": column.unit,
        "numerator": column.numerator,
        "denominator": column.denominator,
    }
    return told | {name: value for name, value in optional.items() if value is not None}


def describe_freshness(freshness: Freshness) -> dict[str, Any]:
    """The verdict as data: what is not known is null, never zero."""
    standing = freshness.standing
    return {
        "verdict": str(freshness.verdict.state),
        "reason": freshness.verdict.reason,
        "waived": freshness.verdict.is_waived,
        "through": standing.complete_through,
        "target": standing.target_at,
        "missing": standing.missing,
        "assurance": describe_assurance(standing),
        "settled": freshness.is_settled,
        "clipped": freshness.is_clipped,
        "streams": list(streams_of(freshness)),
        "revision": freshness.revision,
        "evaluated_at": freshness.evaluated_at,
    }
