"""The catalog, told; and ad-hoc questions over it."""

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.access.environments import check_timezone
from app.catalog.datasets.attributes import takes_attributes
from app.catalog.fields import Dataset, Field, Measure, Navigation, Role, Type
from app.catalog.functions import AGGREGATES
from app.catalog.index import DATASETS, dataset_named
from app.http.caller import Caller, Config, OpenStore, RawBody, Reader
from app.http.stream import json_response
from app.query import request as asked
from app.query.answer import run_plan
from app.query.attributes import datasets_of, plan_request
from app.query.demand import DEMANDS, read_demand
from app.rest.answers import answer_response
from app.rest.schemas import AggregateItem, BucketItem, MeasureItem, QueryBody, body_of, read_shape

router = APIRouter(prefix="/v1", tags=["datasets"])


@router.get("/datasets")
def get_datasets(_caller: Caller) -> Response:
    """Every dataset that may be asked."""
    items = [
        {
            "name": dataset.name,
            "label": dataset.label,
            "description": dataset.description,
            "key": list(dataset.key),
            "fields_count": len(dataset.fields),
            "measures_count": len(dataset.measures),
        }
        for dataset in DATASETS
    ]
    return json_response({"items": items, "next": None})


@router.get("/datasets/{name}")
def get_dataset(name: str, caller: Caller, store: OpenStore) -> Response:
    """A dataset: its fields, those of the key's environment, ways to others, and measures."""
    dataset = dataset_named(name)
    if takes_attributes(name):
        dataset = dataset_named(name, datasets_of(store, caller.environment_id))
    return json_response(describe_dataset(dataset))


@router.post("/query", openapi_extra=body_of("QueryBody"))
def post_query(
    request: Request, caller: Reader, store: OpenStore, settings: Config, body: RawBody
) -> Response:
    """Rows of a dataset, or groups of them; the verdict travels in the headers and the body."""
    question = read_shape(QueryBody, body, headers=request.headers, settings=settings)
    timezone = question.timezone or caller.timezone
    check_timezone(timezone)
    told = {name: getattr(question, name) for name in DEMANDS} | dict(request.query_params)
    asked_for = replace(make_request(question, timezone=timezone), demand=read_demand(told))
    plan = plan_request(asked_for, caller, store=store, settings=settings)
    return answer_response(run_plan(plan, store), timezone=timezone)


def make_request(question: QueryBody, *, timezone: str = "UTC") -> asked.Request:
    """The question in names: plain names are the group when anything is aggregated."""
    names = tuple(item for item in question.select if isinstance(item, str))
    aggregates = tuple(
        _make_aggregate(item) for item in question.select if not isinstance(item, str)
    )
    buckets = _make_buckets(question.bucket)
    is_grouped = bool(aggregates or buckets)
    return asked.Request(
        dataset=question.dataset,
        select=() if is_grouped else names,
        group=names if is_grouped else (),
        buckets=buckets,
        aggregates=aggregates,
        where=question.where,
        order=tuple(asked.Order(item.by, item.descending) for item in question.order),
        page_rows=question.limit,
        after=question.next,
        as_of=None if isinstance(question.as_of, int) else question.as_of,
        revision=question.as_of if isinstance(question.as_of, int) else None,
        timezone=timezone,
    )


def _make_aggregate(item: MeasureItem | AggregateItem) -> asked.Aggregate:
    if isinstance(item, MeasureItem):
        return asked.Aggregate(item.measure)
    name = item.name or "_".join(part for part in (item.field, item.aggregate) if part)
    return asked.Aggregate(name, function=item.aggregate, field=item.field, by=item.by)


def _make_buckets(given: BucketItem | list[BucketItem] | None) -> tuple[asked.Bucket, ...]:
    items = given if isinstance(given, list) else [given] if given else []
    return tuple(asked.Bucket(i.name or f"{i.field}_{i.by}", i.field, i.by) for i in items)


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """A dataset as a report builder reads it."""
    return {
        "name": dataset.name,
        "label": dataset.label,
        "description": dataset.description,
        "key": list(dataset.key),
        "streams": list(dataset.streams),
        "module_type_field": dataset.module_type_field,
        "fields": [_describe_field(field) for field in (*dataset.fields, *dataset.dynamic)],
        "navigations": [_describe_navigation(navigation) for navigation in dataset.navigations],
        "measures": [_describe_measure(measure) for measure in dataset.measures],
        "measured": [_describe_field(field) for field in dataset.measured],
    }


def _describe_field(field: Field) -> dict[str, Any]:
    return {
        "name": field.name,
        "label": field.label,
        "description": field.description,
        "type": str(field.type),
        "role": str(field.role),
        "nullable": field.nullable,
        "unit": field.unit,
        "scope": field.scope,
        "members": list(field.enumeration.members) if field.enumeration else None,
        "operators": list(_operators(field.type)),
        "aggregations": [row.name for row in AGGREGATES if field.type in row.takes],
        "additive": field.role is Role.MEASURE and field.unit not in {"percent", "ratio"},
    }


def _operators(kind: Type) -> tuple[str, ...]:
    """The comparisons of `where` that make sense for a type."""
    if kind in {Type.OPEN, Type.TEXTS}:
        return ("eq", "ne")
    if kind is Type.BOOL:
        return ("eq", "ne", "not")
    if kind is Type.ENUM:
        return ("eq", "ne", "in")
    plain = ("eq", "ne", "gt", "ge", "lt", "le", "in")
    return (*plain, "contains", "startswith", "endswith") if kind is Type.TEXT else plain


def _describe_navigation(navigation: Navigation) -> dict[str, Any]:
    return {
        "name": navigation.name,
        "target": navigation.target,
        "description": navigation.description,
        "many": navigation.many,
        "on": [{"own": own, "target": target} for own, target in navigation.pairs],
    }


def _describe_measure(measure: Measure) -> dict[str, Any]:
    return {
        "name": measure.name,
        "label": measure.label,
        "description": measure.description,
        "where": measure.where,
        "function": measure.function or None,
        "field": measure.field or None,
        "numerator": measure.numerator,
        "denominator": measure.denominator,
        "unit": measure.unit or ("ratio" if measure.numerator else None),
    }
