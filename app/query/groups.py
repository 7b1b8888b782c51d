"""Groups and their numbers: names of fields, aggregates and measures in, resolved ones out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from app.base.errors import BadOption, TooComplex, UnknownField
from app.catalog.fields import Dataset, Field, Measure, Role, Type
from app.catalog.functions import AGGREGATES, AggregateFunction, aggregate_named
from app.query.expr import Expr
from app.query.question import Question, field_named
from app.query.request import Aggregate, Bucket, Order, Request
from app.store.days import PERIODS, first_day


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

    function, field: an aggregate over a field; without a field the rows are counted
    condition: only the rows for which it holds
    by: the second field of an aggregate of two
    numerator, denominator: names of two other outputs; then nothing of the above
    total_of: the name of another output, to be added up over all groups; then nothing of the above
    """

    column: OutputColumn
    function: str = ""
    field: Field | None = None
    condition: Expr | None = None
    by: Field | None = None
    numerator: str = ""
    denominator: str = ""
    total_of: str = ""


def column_of(field: Field) -> OutputColumn:
    """The column of an answer that shows a field."""
    return OutputColumn(field.name, field.type, field.label, field.role, field.unit)


# What tells groups apart


def make_group(question: Question, dataset: Dataset) -> tuple[Field, ...]:
    """The fields that tell groups apart, periods last.

    Raises: UnknownField, TooComplex, BadOption
    """
    request = question.request
    asked = len(request.group) + len(request.buckets)
    if asked > question.settings.limit_group_fields:
        raise TooComplex(f"at most {question.settings.limit_group_fields} group fields")
    fields = [field_named(dataset, name, question.scopes) for name in request.group]
    fields += [_bucket_field(question, dataset, bucket) for bucket in request.buckets]
    names = [field.name for field in fields]
    twice = [name for name in names if names.count(name) > 1]
    if request.buckets and twice:
        raise BadOption(f"two group fields are called {twice[0]!r}")
    return tuple(fields)


def _bucket_field(question: Question, dataset: Dataset, bucket: Bucket) -> Field:
    field = field_named(dataset, bucket.field, question.scopes)
    if field.type is not Type.TIME:
        raise BadOption(f"{field.name} is {field.type}; periods are of moments")
    if bucket.by not in PERIODS:
        raise BadOption(f"moments are not grouped by {bucket.by[:40]!r}, but {', '.join(PERIODS)}")
    return Field(
        bucket.name,
        Type.DATE,
        f"{field.label}, by {bucket.by}",
        f"First day of the {bucket.by} of {field.name}.",
        role=Role.DATE,
        sql=lambda frame: first_day(bucket.by, frame.value(field), frame.zone),
        joins=(field.via,) if field.via else field.joins,
    )


def make_group_order(
    request: Request, group: Sequence[Field], outputs: Sequence[Output]
) -> tuple[Order, ...]:
    """What groups are sorted by: what was asked, then all that tells them apart.

    Raises: UnknownField
    """
    names = [field.name for field in group] + [output.column.name for output in outputs]
    for order in request.order:
        if order.by not in names:
            raise UnknownField(
                f"the answer has no column {order.by[:100]!r} to sort by",
                hint=f"It has {', '.join(names)}.",
            )
    given = {order.by for order in request.order}
    return request.order + tuple(Order(f.name) for f in group if f.name not in given)


# Numbers


def make_outputs(
    question: Question, dataset: Dataset, group: Sequence[Field]
) -> tuple[Output, ...]:
    """The numbers of each group; a ratio brings its two numbers along.

    Raises: UnknownField, BadOption, and what the binding of conditions raises
    """
    measured = replace(dataset, fields=dataset.fields + dataset.measured)
    outputs: dict[str, Output] = {}
    for aggregate in question.request.aggregates:
        for output in _outputs_of(question, measured, aggregate):
            is_named = aggregate.function or aggregate.where
            if is_named and output.column.name in outputs:
                raise BadOption(f"two outputs are called {output.column.name!r}")
            outputs.setdefault(output.column.name, output)
    names = {field.name for field in group} & set(outputs)
    if names:
        raise BadOption(f"{min(names)!r} is both a group field and an output; name it with 'as'")
    return tuple(outputs.values())


def _outputs_of(question: Question, dataset: Dataset, aggregate: Aggregate) -> list[Output]:
    if aggregate.function == "share":
        return _share_outputs(question, dataset, aggregate)
    if aggregate.function or aggregate.where:
        return [_aggregate_output(question, dataset, aggregate)]
    return list(make_measure(question, dataset, aggregate.name))


def _aggregate_output(question: Question, dataset: Dataset, aggregate: Aggregate) -> Output:
    function = aggregate.function or "count"
    row = aggregate_named(function)
    if row is None:
        raise BadOption(
            f"there is no aggregate {function[:100]!r}",
            hint=f"There are {', '.join(known.name for known in AGGREGATES)}.",
        )
    condition = question.bind_condition(dataset, aggregate.where) if aggregate.where else None
    if function == "count" and not aggregate.field:
        label = aggregate.label or "Count"
        column = OutputColumn(aggregate.name, Type.INT, label, Role.MEASURE)
        return Output(column, function="count", condition=condition)
    field = field_named(dataset, aggregate.field, question.scopes)
    by = _second_field(question, dataset, aggregate, row) if row.beside else None
    if field.type not in row.takes:
        raise BadOption(
            f"{function} does not take {field.name}, which is {field.type}",
            hint=f"It takes {', '.join(row.takes)}.",
        )
    column = OutputColumn(
        aggregate.name,
        row.result or field.type,
        aggregate.label or f"{field.label} ({function})",
        Role.MEASURE,
        None if function in {"count", "distinct"} else field.unit,
    )
    return Output(column, function=function, field=field, condition=condition, by=by)


def _second_field(
    question: Question, dataset: Dataset, aggregate: Aggregate, row: AggregateFunction
) -> Field:
    """The field that an aggregate reads beside its own."""
    kinds = " or ".join(row.beside)
    if not aggregate.by:
        raise BadOption(f"{row.name} needs 'by', a second field: {kinds}")
    by = field_named(dataset, aggregate.by, question.scopes)
    if by.type not in row.beside:
        raise BadOption(f"{row.name} takes {kinds} as 'by'; {by.name} is {by.type}")
    return by


def _share_outputs(question: Question, dataset: Dataset, aggregate: Aggregate) -> list[Output]:
    """The sum, or count, of the group; that of all groups; and one divided by the other."""
    name, function = aggregate.name, "sum" if aggregate.field else "count"
    of_group, of_all = f"{name}_part", f"{name}_total"
    part = _aggregate_output(
        question, dataset, replace(aggregate, name=of_group, function=function, label="")
    )
    label = aggregate.label or f"{part.column.label}, share of total"
    total = replace(part.column, name=of_all, label=f"{part.column.label}, of all")
    share = OutputColumn(name, Type.NUMBER, label, Role.MEASURE, "ratio", of_group, of_all)
    return [
        part,
        Output(total, total_of=of_group),
        Output(share, numerator=of_group, denominator=of_all),
    ]


def make_measure(question: Question, dataset: Dataset, name: str) -> Iterable[Output]:
    """The outputs of a measure: before a ratio the two numbers it is made of.

    Raises: UnknownField
    """
    measure = dataset.measure(name)
    if measure is None:
        near = get_close_matches(name, [m.name for m in dataset.measures], n=1)
        raise UnknownField(
            f"{dataset.name} has no measure {name[:100]!r}",
            hint=f"Did you mean {near[0]}?" if near else None,
        )
    if measure.numerator is None or measure.denominator is None:
        yield _plain_output(question, dataset, measure)
        return
    yield from make_measure(question, dataset, measure.numerator)
    yield from make_measure(question, dataset, measure.denominator)
    column = OutputColumn(
        measure.name,
        Type.NUMBER,
        measure.label,
        Role.MEASURE,
        measure.unit or "ratio",
        measure.numerator,
        measure.denominator,
    )
    yield Output(column, numerator=measure.numerator, denominator=measure.denominator)


def type_of_measure(dataset: Dataset, measure: Measure) -> Type:
    """The type of a measure's values."""
    if measure.numerator is not None:
        return Type.NUMBER
    row = aggregate_named(measure.function or "count")
    if row is None:
        raise LookupError(measure.function)
    known = (*dataset.fields, *dataset.measured)
    return row.result or next(field.type for field in known if field.name == measure.field)


def is_misnamed(dataset: Dataset, name: str, kind: Type | None) -> bool:
    """Is a number called like a column of another type, which must keep its name to itself?

    Source: OData Extension for Data Aggregation 4.0, sections 3.1.1 and 5.2
    """
    field = dataset.field(name)
    return field is not None and field.type is not kind


def _plain_output(question: Question, dataset: Dataset, measure: Measure) -> Output:
    """A measure that is no ratio: an aggregate of its own name."""
    aggregate = Aggregate(
        measure.name,
        function=measure.function or "count",
        field=measure.field,
        where=measure.where,
        label=measure.label,
    )
    output = _aggregate_output(question, dataset, aggregate)
    if measure.unit is None:
        return output
    return replace(output, column=replace(output.column, unit=measure.unit))
