"""Request in, Plan out: resolved, typed, bounded, allowed. The last place where a question
is refused.

What depends on the question alone (its Shape) is made once and found again for each page of a walk.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from app.access.principal import Principal
from app.base.config import Settings
from app.base.errors import BadOption, NotSupported, ScopeMissing, TooComplex, UnknownField
from app.catalog.fields import Dataset, Field, Measure, Role, Type
from app.catalog.functions import AGGREGATES, aggregate_named
from app.catalog.index import DATASETS, dataset_named
from app.query.expr import AsOf, Both, Column, Compare, Expr, Literal
from app.query.filters import bind_filter, bind_order
from app.query.request import Aggregate, Expand, Order, Request
from app.query.streams import Expansion, touched_streams


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """One column of an answer.

    numerator, denominator: the columns a ratio is made of
    """

    name: str
    type: Type
    label: str
    role: Role
    unit: str | None = None
    numerator: str | None = None
    denominator: str | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A number per group.

    function, field: an aggregate over a field; or
    condition: rows counted; or
    numerator, denominator: names of two other outputs
    """

    column: OutputColumn
    function: str = ""
    field: Field | None = None
    condition: Expr | None = None
    numerator: str = ""
    denominator: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class Shape:
    """Everything about a question but who asks, when, and which page.

    order: what rows are sorted by, the key last, so that the order is total
    streams: the streams the question touches
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
            return tuple(_column_of(field) for field in self.shape.fields)
        groups = tuple(_column_of(field) for field in self.shape.group)
        return groups + tuple(output.column for output in self.shape.outputs)


class _Question:
    """A request with all it is judged by, to be found again in the cache of shapes."""

    __slots__ = ("_key", "datasets", "request", "scopes", "settings")

    def __init__(
        self,
        request: Request,
        *,
        scopes: frozenset[str],
        settings: Settings,
        datasets: tuple[Dataset, ...],
    ) -> None:
        self.request, self.scopes = request, scopes
        self.settings, self.datasets = settings, datasets
        self._key = (
            *(getattr(request, name) for name in _PLAIN),
            None if request.key is None else tuple(request.key.items()),
            tuple(request.aliases.items()),
            scopes,
            id(settings),
            id(datasets),
        )

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Question) and self._key == other._key


_PLAIN = tuple(
    name
    for name in Request.__dataclass_fields__
    if name not in {"key", "aliases", "after", "as_of"}
)


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
    question = _Question(request, scopes=principal.scopes, settings=settings, datasets=datasets)
    shape = _make_shape(question)
    return Plan(shape, principal.environment_id, settings, request.after, request.as_of)


@lru_cache(maxsize=512)
def _make_shape(question: _Question) -> Shape:
    request, settings = question.request, question.settings
    dataset = _allowed_dataset(question, request.dataset)
    _check_numbers(request)
    where = _bind_where(question, dataset)
    grouped = bool(request.group or request.aggregates)
    group = tuple(field_named(dataset, name, question.scopes) for name in request.group)
    outputs = _make_outputs(question, dataset)
    fields = () if grouped else _select_fields(question, dataset, request.select)
    expansions = _make_expansions(question, dataset, request.expand, depth=1)
    order = () if grouped else _make_order(question, dataset)
    group_order = _make_group_order(request, group, outputs) if grouped else ()
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
    )


def _allowed_dataset(question: _Question, name: str) -> Dataset:
    dataset = dataset_named(name, question.datasets)
    if dataset.scope not in question.scopes:
        raise ScopeMissing(f"{dataset.name} needs a key with scope {dataset.scope!r}")
    return dataset


def _check_numbers(request: Request) -> None:
    for name, value in (("$top", request.top), ("$skip", request.skip)):
        if value is not None and value < 0:
            raise BadOption(f"{name} is {value}; it must be 0 or more", target=name)
    if request.page_rows is not None and request.page_rows < 1:
        raise BadOption("a page has at least 1 row", target="maxpagesize")


def field_named(dataset: Dataset, name: str, scopes: Iterable[str]) -> Field:
    """A field this caller may see.

    Raises: UnknownField, with the nearest name as a hint
    """
    visible = [f for f in dataset.fields if f.scope is None or f.scope in scopes]
    for field in visible:
        if field.name == name:
            return field
    near = get_close_matches(name, [f.name for f in visible], n=1)
    hint = f"Did you mean {near[0]}?" if near else f"GET /v1/datasets/{dataset.name} lists them."
    raise UnknownField(f"{dataset.name} has no field {name[:100]!r}", hint=hint, target=name[:100])


def _select_fields(
    question: _Question, dataset: Dataset, names: tuple[str, ...]
) -> tuple[Field, ...]:
    if not names:
        return tuple(f for f in dataset.fields if f.scope is None or f.scope in question.scopes)
    limit = question.settings.limit_select
    if len(names) > limit:
        raise TooComplex(f"$select names {len(names)} fields; at most {limit}")
    unique = dict.fromkeys(names)
    return tuple(field_named(dataset, name, question.scopes) for name in unique)


def _bind_where(question: _Question, dataset: Dataset) -> Expr | None:
    where = None
    if question.request.where:
        where = _bind(question, dataset, question.request.where)
    if question.request.key is None:
        return where
    terms = tuple(
        Compare(Type.BOOL, "eq", Column(field.type, (), field), _key_literal(field, value))
        for field, value in _key_values(question, dataset)
    )
    found: Expr = terms[0] if len(terms) == 1 else Both(Type.BOOL, "and", terms)
    return found if where is None else Both(Type.BOOL, "and", (found, where))


def _bind(question: _Question, dataset: Dataset, text: str) -> Expr:
    return bind_filter(
        text,
        dataset,
        settings=question.settings,
        scopes=question.scopes,
        aliases=question.request.aliases,
        resolve=lambda name: dataset_named(name, question.datasets),
    )


def _key_values(question: _Question, dataset: Dataset) -> list[tuple[Field, Any]]:
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


def _make_expansions(
    question: _Question, dataset: Dataset, asked: tuple[Expand, ...], *, depth: int
) -> tuple[Expansion, ...]:
    settings = question.settings
    if asked and depth > settings.limit_expand_depth:
        raise TooComplex(f"$expand goes {depth} levels deep; at most {settings.limit_expand_depth}")
    if depth == 1 and _count_expands(asked) > settings.limit_expand_count:
        raise TooComplex(f"$expand names over {settings.limit_expand_count} navigations")
    return tuple(_make_expansion(question, dataset, expand, depth=depth) for expand in asked)


def _make_expansion(
    question: _Question, dataset: Dataset, expand: Expand, *, depth: int
) -> Expansion:
    navigation = dataset.navigation(expand.navigation)
    if navigation is None:
        near = get_close_matches(expand.navigation, [n.name for n in dataset.navigations], n=1)
        raise UnknownField(
            f"{dataset.name} has no navigation {expand.navigation[:100]!r}",
            hint=f"Did you mean {near[0]}?" if near else None,
        )
    if navigation.many:
        raise NotSupported(f"$expand of {navigation.name}, which leads to many rows")
    target = _allowed_dataset(question, navigation.target)
    return Expansion(
        navigation,
        target,
        _select_fields(question, target, expand.select),
        _make_expansions(question, target, expand.expand, depth=depth + 1),
    )


def _count_expands(asked: tuple[Expand, ...]) -> int:
    return sum(1 + _count_expands(expand.expand) for expand in asked)


def _make_order(question: _Question, dataset: Dataset) -> tuple[tuple[Expr, bool], ...]:
    request = question.request
    text = request.order_text or ",".join(
        f"{order.by}{' desc' if order.descending else ''}" for order in request.order
    )
    asked: tuple[tuple[Expr, bool], ...] = ()
    if text:
        asked = bind_order(
            text,
            dataset,
            settings=question.settings,
            scopes=question.scopes,
            aliases=request.aliases,
            resolve=lambda name: dataset_named(name, question.datasets),
        )
    constants = [expr for expr, _ in asked if isinstance(expr, Literal | AsOf)]
    if constants:
        raise BadOption("a constant is nothing to sort by", hint="Sort by fields.")
    if len(asked) > question.settings.limit_orderby:
        raise TooComplex(f"$orderby has {len(asked)} terms; at most 5")
    given = {e.field.name for e, _ in asked if isinstance(e, Column) and not e.path}
    keys = (field_named(dataset, name, question.scopes) for name in dataset.key)
    rest = tuple((Column(f.type, (), f), False) for f in keys if f.name not in given)
    return asked + rest


# Groups


def _make_outputs(question: _Question, dataset: Dataset) -> tuple[Output, ...]:
    if len(question.request.group) > question.settings.limit_group_fields:
        raise TooComplex(f"at most {question.settings.limit_group_fields} group fields")
    outputs: dict[str, Output] = {}
    for aggregate in question.request.aggregates:
        for output in _outputs_of(question, dataset, aggregate):
            if aggregate.function and output.column.name in outputs:
                raise BadOption(f"two outputs are called {output.column.name!r}")
            outputs.setdefault(output.column.name, output)
    names = set(question.request.group) & set(outputs)
    if names:
        raise BadOption(f"{min(names)!r} is both a group field and an output; name it with 'as'")
    return tuple(outputs.values())


def _outputs_of(question: _Question, dataset: Dataset, aggregate: Aggregate) -> list[Output]:
    if aggregate.function:
        return [_aggregate_output(question, dataset, aggregate)]
    return list(_measure_outputs(question, dataset, aggregate.name))


def _aggregate_output(question: _Question, dataset: Dataset, aggregate: Aggregate) -> Output:
    row = aggregate_named(aggregate.function)
    if row is None:
        raise BadOption(
            f"there is no aggregate {aggregate.function[:100]!r}",
            hint=f"There are {', '.join(known.name for known in AGGREGATES)}.",
        )
    if aggregate.function == "count" and not aggregate.field:
        column = OutputColumn(aggregate.name, Type.INT, "Count", Role.MEASURE)
        return Output(column, function="count")
    field = field_named(dataset, aggregate.field, question.scopes)
    if field.type not in row.takes:
        raise BadOption(
            f"{aggregate.function} does not take {field.name}, which is {field.type}",
            hint=f"It takes {', '.join(row.takes)}.",
        )
    column = OutputColumn(
        aggregate.name,
        row.result or field.type,
        f"{field.label} ({aggregate.function})",
        Role.MEASURE,
        None if aggregate.function in {"count", "distinct"} else field.unit,
    )
    return Output(column, function=aggregate.function, field=field)


def _measure_outputs(question: _Question, dataset: Dataset, name: str) -> Iterable[Output]:
    """The measure, and before a ratio the two numbers it is made of."""
    measure = dataset.measure(name)
    if measure is None:
        near = get_close_matches(name, [m.name for m in dataset.measures], n=1)
        raise UnknownField(
            f"{dataset.name} has no measure {name[:100]!r}",
            hint=f"Did you mean {near[0]}?" if near else None,
        )
    if measure.numerator is None or measure.denominator is None:
        yield _count_output(question, dataset, measure)
        return
    yield from _measure_outputs(question, dataset, measure.numerator)
    yield from _measure_outputs(question, dataset, measure.denominator)
    column = OutputColumn(
        measure.name,
        Type.NUMBER,
        measure.label,
        Role.MEASURE,
        "ratio",
        measure.numerator,
        measure.denominator,
    )
    yield Output(column, numerator=measure.numerator, denominator=measure.denominator)


def _count_output(question: _Question, dataset: Dataset, measure: Measure) -> Output:
    condition = _bind(question, dataset, measure.where) if measure.where else None
    column = OutputColumn(measure.name, Type.INT, measure.label, Role.MEASURE)
    return Output(column, function="count", condition=condition)


def _make_group_order(
    request: Request, group: tuple[Field, ...], outputs: tuple[Output, ...]
) -> tuple[Order, ...]:
    names = [field.name for field in group] + [output.column.name for output in outputs]
    for order in request.order:
        if order.by not in names:
            raise UnknownField(
                f"the answer has no column {order.by[:100]!r} to sort by",
                hint=f"It has {', '.join(names)}.",
            )
    given = {order.by for order in request.order}
    return request.order + tuple(Order(f.name) for f in group if f.name not in given)


def _column_of(field: Field) -> OutputColumn:
    return OutputColumn(field.name, field.type, field.label, field.role, field.unit)
