"""A question as it came becomes a Request in names; the catalog is told as it is."""

from datetime import UTC, datetime

from app.catalog.index import DATASETS, dataset_named
from app.query.request import Aggregate, Order
from app.rest.datasets import describe_dataset, make_request
from app.rest.schemas import QueryBody


def asked(**members: object) -> QueryBody:
    return QueryBody.model_validate({"dataset": "LearnerProgress", **members})


def test_plain_names_are_columns() -> None:
    request = make_request(asked(select=["status", "cycle"], order=[{"by": "cycle"}], limit=7))
    assert (request.select, request.group, request.aggregates) == (("status", "cycle"), (), ())
    assert (request.order, request.page_rows) == ((Order("cycle"),), 7)


def test_plain_names_are_the_group_when_anything_is_aggregated() -> None:
    request = make_request(
        asked(
            select=[
                "status",
                {"measure": "completed"},
                {"field": "score", "aggregate": "average", "as": "mean"},
                {"field": "score", "aggregate": "max"},
                {"aggregate": "count"},
            ]
        )
    )
    assert (request.select, request.group) == ((), ("status",))
    assert request.aggregates == (
        Aggregate("completed"),
        Aggregate("mean", "average", "score"),
        Aggregate("score_max", "max", "score"),
        Aggregate("count", "count"),
    )


def test_the_moment_asked_for_keeps_its_offset() -> None:
    request = make_request(asked(as_of="2025-05-24T12:00:00+02:00"))
    assert request.as_of == datetime(2025, 5, 24, 10, tzinfo=UTC)


def test_every_dataset_is_told_with_its_formulas() -> None:
    for dataset in DATASETS:
        told = describe_dataset(dataset)
        assert told["fields"]
        assert all(field["description"] for field in told["fields"])
    told = describe_dataset(dataset_named("LearnerProgress"))
    rate = next(row for row in told["measures"] if row["name"] == "completion_rate")
    assert (rate["numerator"], rate["unit"]) == ("completed", "ratio")
    assert rate["denominator"]
    status = next(row for row in told["fields"] if row["name"] == "status")
    assert "completed" in status["members"]
