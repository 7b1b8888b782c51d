"""Request in, Plan out: resolved, typed, bounded, allowed. The last place where a question
is refused.

What depends on the question alone (its Shape) is made once and found again for each page of a walk.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from app.access.principal import Principal
from app.base.config import Settings
from app.base.errors import BadOption
from app.base.facts import PlanMade
from app.base.observe import observe
from app.catalog.fields import Dataset, Field, Rollup, Type
from app.catalog.index import DATASETS
from app.query.clipping import clip_rows
from app.query.demand import NO_DEMAND, Demand
from app.query.expansions import make_expansions
from app.query.expr import Both, Compare, Expr, Literal, Slot, own_column
from app.query.groups import (
    Output,
    OutputColumn,
    column_of,
    make_group,
    make_group_order,
    make_outputs,
)
from app.query.question import Question, field_named, slot_of
from app.query.request import Order, Request
from app.query.rollups import choose_rollup
from app.query.stages import (
    Stage,
    fields_leading,
    fields_read,
    prune_stage,
    streams_of_stage,
    without_rollups,
)
from app.query.streams import Expansion, touched_streams
from app.query.transforms import apply_steps
from app.store.tables import PAST


@dataclass(frozen=True, eq=False, slots=True)
class Shape:
    """Everything about a question but who asks, when, and which page.

    order: what rows are sorted by, the key last, so that the order is total
    streams: the streams the question touches
    rollup: kept sums that hold the whole answer, or None
    stage: the rows behind `$apply`, which then are what `dataset` has; None without it
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
    stage: Stage | None = None

    @property
    def is_nested(self) -> bool:
        """Do rows hold columns behind navigations, in objects of their own?"""
        return any("/" in field.name for field in self.fields)

    @property
    def computed_names(self) -> frozenset[str]:
        """The names of columns that `$compute` adds to rows of different structures."""
        known = frozenset[str]().union(*(self.stage.structures if self.stage else ()))
        return frozenset(field.name for field in self.fields) - known

    @property
    def is_grouped(self) -> bool:
        """Are the rows groups?"""
        return bool(self.group or self.outputs)


@dataclass(frozen=True, slots=True)
class Plan:
    """A question that may be answered: its shape, for one environment and moment.

    key: of the one entity that is asked; its numbers are bound when the statement runs
    """

    shape: Shape
    environment_id: int
    settings: Settings
    after: str
    as_of: datetime | None
    revision: int | None = None
    demand: Demand = NO_DEMAND
    key: Mapping[str, Any] | None = None

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
    _check_key(request.key or {})
    if request.revision is not None:
        _check_past(question.allowed_dataset(request.dataset), shape.expansions)
    observe(PlanMade(shape.dataset.name, is_new=question.is_new))
    return Plan(
        shape,
        principal.environment_id,
        settings,
        request.after,
        request.as_of,
        request.revision,
        request.demand,
        request.key,
    )


@lru_cache(maxsize=512)
def unrolled(shape: Shape) -> Shape:
    """A shape that reads the rows themselves: kept sums know the newest revision only."""
    stage = None if shape.stage is None else without_rollups(shape.stage)
    return replace(shape, rollup=None, stage=stage)


@lru_cache(maxsize=512)
def _make_shape(question: Question) -> Shape:
    request = question.request
    question.is_new = True
    dataset = question.allowed_dataset(request.dataset)
    if request.apply:
        return _make_shape_behind(question, dataset)
    origin, dataset = dataset, question.with_computed(dataset, request.compute)
    _check_numbers(request)
    where = _bind_where(question, dataset)
    grouped = bool(request.group or request.aggregates or request.buckets)
    group = make_group(question, dataset)
    outputs = make_outputs(question, dataset, group)
    fields = () if grouped else question.selected_fields(dataset, request.select)
    expansions = make_expansions(question, dataset, request.expand)
    order = () if grouped else _make_order(question, dataset)
    group_order = make_group_order(request, group, outputs) if grouped else ()
    conditions = tuple(output.condition for output in outputs if output.condition)
    return Shape(
        request=request,
        dataset=dataset,
        datasets=question.datasets,
        fields=question.tell_types(fields, origin),
        expansions=expansions,
        where=where,
        order=order,
        group=group,
        outputs=outputs,
        group_order=group_order,
        streams=touched_streams(
            dataset,
            where,
            fields=(*fields, *group, *(f for o in outputs for f in (o.field, o.by) if f)),
            expansions=expansions,
            datasets=question.datasets,
            read=(*(by for by, _ in order), *conditions, *question.computed_in(dataset, fields)),
        ),
        page_rows=_count_page_rows(question),
        rollup=choose_rollup(dataset, where, group=group, outputs=outputs),
    )


_PAST_HINT = (
    "Leave as_of out; what was said of streams at a moment is told by"
    " GET /v1/completeness/history?as_known_at= and by the set CompletenessHistory."
)


def _check_past(dataset: Dataset, expansions: tuple[Expansion, ...]) -> None:
    """Refuse a past revision of what is not kept by revisions."""
    if dataset.table is None or dataset.table.name not in PAST:
        raise BadOption(f"{dataset.name} has no past revisions", hint=_PAST_HINT, target="as_of")
    for expansion in expansions:
        _check_past(expansion.dataset, expansion.expansions)


def _make_shape_behind(question: Question, origin: Dataset) -> Shape:
    """The shape of a question with `$apply`: its other options ask what that gives."""
    request, datasets = question.request, question.datasets
    stage = apply_steps(question, origin, request.apply, where=_clip(question, origin))
    dataset = question.with_computed(stage.dataset, request.compute, origin=origin)
    _check_numbers(request)
    if request.group or request.aggregates or request.buckets:
        raise BadOption("groups and $apply do not go together", target="$apply")
    where = question.bind_rows(dataset, request.where, request.search)
    fields = question.selected_fields(dataset, _spread_names(dataset, request.select))
    expansions = make_expansions(question, dataset, request.expand)
    order = question.bind_total_order(
        dataset, _order_text(request), before=stage.order, keys=stage.key
    )
    read = [expr for expr in (where, *(by for by, _ in order)) if expr is not None]
    shown = [*fields, *(stage.key if request.id_name and dataset.key else ())]
    shown += [f for e in expansions for f in fields_leading(dataset, e.navigation)]
    read += [own_column(field) for field in shown]
    needed = fields_read(read, dataset, question.computed)
    stage = replace(prune_stage(stage, needed, question.computed), dataset=dataset)
    return Shape(
        request=request,
        dataset=dataset,
        datasets=datasets,
        fields=question.tell_types(fields, origin),
        expansions=expansions,
        where=where,
        order=order,
        group=(),
        outputs=(),
        group_order=(),
        streams=_streams_behind(question, stage, read=read, expansions=expansions),
        page_rows=_count_page_rows(question),
        rollup=None,
        stage=stage,
    )


def _streams_behind(
    question: Question, stage: Stage, *, read: list[Expr], expansions: tuple[Expansion, ...]
) -> frozenset[str]:
    """The streams that the rows of a stage depend on, and what is expanded with them."""
    datasets = question.datasets
    found = streams_of_stage(stage, read, datasets=datasets, computed=question.computed)
    bare = replace(stage.dataset, streams=(), module_type_field=None)
    return found | touched_streams(
        bare, None, fields=(), expansions=expansions, read=(), datasets=datasets
    )


def _spread_names(dataset: Dataset, names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of columns; one that others stand below means all of those."""
    found: list[str] = []
    for name in names:
        below = [f.name for f in dataset.fields if f.name.startswith(f"{name}/")]
        found += below if below and dataset.field(name) is None else [name]
    return tuple(found)


def _count_page_rows(question: Question) -> int:
    settings, asked = question.settings, question.request.page_rows
    return min(asked or settings.limit_page_rows, settings.limit_page_rows_asked)


def _check_numbers(request: Request) -> None:
    for name, value in (("$top", request.top), ("$skip", request.skip)):
        if value is not None and value < 0:
            raise BadOption(f"{name} is {value}; it must be 0 or more", target=name)
    if request.page_rows is not None and request.page_rows < 1:
        raise BadOption("a page has at least 1 row", target="maxpagesize")


def _bind_where(question: Question, dataset: Dataset) -> Expr | None:
    terms: list[Expr] = []
    if question.request.key is not None:
        terms += (
            Compare(Type.BOOL, "eq", own_column(field), _key_literal(field, value))
            for field, value in _key_values(question, dataset)
        )
    where = question.bind_rows(dataset, question.request.where, question.request.search)
    if where is not None:
        terms.append(where)
    terms += _clip(question, dataset)
    if not terms:
        return None
    return terms[0] if len(terms) == 1 else Both(Type.BOOL, "and", tuple(terms))


def _clip(question: Question, dataset: Dataset) -> list[Expr]:
    """What `until=complete` keeps.

    Raises: BadOption for rows that are judged, not recorded
    """
    if not question.request.demand.until_complete:
        return []
    if dataset.computed is not None:
        raise BadOption(f"until=complete means nothing for {dataset.name}", target="until")
    kept = clip_rows(dataset)
    return [] if kept is None else [kept]


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
    if isinstance(value, int):
        return Slot(field.type, ..., slot_of(field.name))
    return Literal(Type.TEXT if field.type is Type.ENUM else field.type, value)


def _check_key(key: Mapping[str, Any]) -> None:
    for name, value in key.items():
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise BadOption(f"the key {name} has at most 64 bits", target=name)


def _make_order(question: Question, dataset: Dataset) -> tuple[tuple[Expr, bool], ...]:
    return question.bind_total_order(dataset, _order_text(question.request))


def _order_text(request: Request) -> str:
    return request.order_text or ",".join(
        f"{order.by}{' desc' if order.descending else ''}" for order in request.order
    )
