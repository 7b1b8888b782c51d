"""Request in, Plan out: resolved, typed, bounded, allowed. The last place where a question
is refused.

What depends on the question alone (its Shape) is made once and found again for each page of a walk.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from app.access.principal import Principal
from app.base.config import Settings
from app.base.errors import BadOption
from app.catalog.fields import Dataset, Field, Rollup, Type
from app.catalog.index import DATASETS
from app.query.expansions import make_expansions
from app.query.expr import Both, Column, Compare, Expr, Literal
from app.query.groups import (
    Output,
    OutputColumn,
    column_of,
    make_group,
    make_group_order,
    make_outputs,
)
from app.query.question import Question, field_named
from app.query.request import Order, Request
from app.query.rollups import choose_rollup
from app.query.streams import Expansion, touched_streams


@dataclass(frozen=True, eq=False, slots=True)
class Shape:
    """Everything about a question but who asks, when, and which page.

    order: what rows are sorted by, the key last, so that the order is total
    streams: the streams the question touches
    rollup: kept sums that hold the whole answer, or None
    """

    request: Request
    dataset: Dataset
    datasets: tuple[Dataset, ...]
    fields: tuple[Field, ...]
    expansions: tuple[Expansion, ...]
    where: Expr | None
    order: tuple[tuple[Expr, bool], ...]
    group: tuple[Field, ...]
    outputs: tuple[Output, ...]
    group_order: tuple[Order, ...]
    streams: frozenset[str]
    page_rows: int
    rollup: Rollup | None

    @property
    def is_grouped(self) -> bool:
        """Are the rows groups?"""
        return bool(self.group or self.outputs)


@dataclass(frozen=True, slots=True)
class Plan:
    """A question that may be answered: its shape, for one environment and moment."""

    shape: Shape
    environment_id: int
    settings: Settings
    after: str
    as_of: datetime | None

    @property
    def dataset(self) -> Dataset:
        """The dataset asked."""
        return self.shape.dataset

    @property
    def request(self) -> Request:
        """The request it was made from."""
        return self.shape.request

    @property
    def select(self) -> tuple[str, ...]:
        """The names of the columns of an answer, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def columns(self) -> tuple[OutputColumn, ...]:
        """The columns of an answer, in order."""
        if not self.shape.is_grouped:
            return tuple(column_of(field) for field in self.shape.fields)
        groups = tuple(column_of(field) for field in self.shape.group)
        return groups + tuple(output.column for output in self.shape.outputs)


def make_plan(
    request: Request,
    principal: Principal,
    settings: Settings,
    *,
    datasets: tuple[Dataset, ...] = DATASETS,
) -> Plan:
    """Resolve, type, bound and allow a request.

    Raises: any QueryError of base/errors.py, ScopeMissing
    """
    question = Question(request, scopes=principal.scopes, settings=settings, datasets=datasets)
    shape = _make_shape(question)
    return Plan(shape, principal.environment_id, settings, request.after, request.as_of)


@lru_cache(maxsize=512)
def _make_shape(question: Question) -> Shape:
    request, settings = question.request, question.settings
    dataset = question.allowed_dataset(request.dataset)
    _check_numbers(request)
    where = _bind_where(question, dataset)
    grouped = bool(request.group or request.aggregates)
    group = make_group(question, dataset)
    outputs = make_outputs(question, dataset, group)
    fields = () if grouped else question.selected_fields(dataset, request.select)
    expansions = make_expansions(question, dataset, request.expand)
    order = () if grouped else _make_order(question, dataset)
    group_order = make_group_order(request, group, outputs) if grouped else ()
    return Shape(
        request=request,
        dataset=dataset,
        datasets=question.datasets,
        fields=fields,
        expansions=expansions,
        where=where,
        order=order,
        group=group,
        outputs=outputs,
        group_order=group_order,
        streams=touched_streams(
            dataset,
            where,
            fields=(*fields, *group, *(o.field for o in outputs if o.field)),
            expansions=expansions,
            datasets=question.datasets,
            read=(*(by for by, _ in order), *(o.condition for o in outputs if o.condition)),
        ),
        page_rows=min(
            request.page_rows or settings.limit_page_rows, settings.limit_page_rows_asked
        ),
        rollup=choose_rollup(dataset, where, group=group, outputs=outputs),
    )


def _check_numbers(request: Request) -> None:
    for name, value in (("$top", request.top), ("$skip", request.skip)):
        if value is not None and value < 0:
            raise BadOption(f"{name} is {value}; it must be 0 or more", target=name)
    if request.page_rows is not None and request.page_rows < 1:
        raise BadOption("a page has at least 1 row", target="maxpagesize")


def _bind_where(question: Question, dataset: Dataset) -> Expr | None:
    where = None
    if question.request.where:
        where = question.bind_condition(dataset, question.request.where)
    if question.request.key is None:
        return where
    terms = tuple(
        Compare(Type.BOOL, "eq", Column(field.type, (), field), _key_literal(field, value))
        for field, value in _key_values(question, dataset)
    )
    found: Expr = terms[0] if len(terms) == 1 else Both(Type.BOOL, "and", terms)
    return found if where is None else Both(Type.BOOL, "and", (found, where))


def _key_values(question: Question, dataset: Dataset) -> list[tuple[Field, Any]]:
    key = question.request.key or {}
    if set(key) != set(dataset.key):
        raise BadOption(f"the key of {dataset.name} is ({', '.join(dataset.key)})")
    return [(field_named(dataset, name, question.scopes), key[name]) for name in dataset.key]


def _key_literal(field: Field, value: Any) -> Literal:
    fits = isinstance(value, int) if field.type is Type.INT else isinstance(value, str)
    if not fits or isinstance(value, bool):
        wanted = "a whole number" if field.type is Type.INT else "a text in quotes"
        raise BadOption(f"the key {field.name} is {wanted}", target=field.name)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise BadOption(f"the key {field.name} has at most 64 bits", target=field.name)
    return Literal(Type.TEXT if field.type is Type.ENUM else field.type, value)


def _make_order(question: Question, dataset: Dataset) -> tuple[tuple[Expr, bool], ...]:
    request = question.request
    text = request.order_text or ",".join(
        f"{order.by}{' desc' if order.descending else ''}" for order in request.order
    )
    return question.bind_total_order(dataset, text)
