"""Which streams a question touches: those of its module types, dimensions and denominators.

A filter narrows the module types only where it logically restricts them to a set.
"""

from dataclasses import dataclass

from app.catalog.fields import Dataset, Field, Navigation
from app.catalog.index import dataset_named
from app.learning.modules import FAMILY_STREAMS, MODULE_TYPE_NAMES, STREAM_NAMES
from app.query.expr import Among, Both, Column, Compare, Expr, Literal, Rows, parts_of


@dataclass(frozen=True, slots=True)
class Expansion:
    """A navigation to bring along, its fields, and what is expanded below it.

    where, order, top, skip: which rows, where it leads to several
    count_name: the member that says how many there are; empty for none
    computed: what its computed fields are made from
    it: the dataset of the row that `$it` means here; None while the path goes on
    """

    navigation: Navigation
    dataset: Dataset
    fields: tuple[Field, ...]
    expansions: tuple["Expansion", ...]
    where: Expr | None = None
    order: tuple[tuple[Expr, bool], ...] = ()
    top: int | None = None
    skip: int = 0
    count_name: str = ""
    computed: tuple[Expr, ...] = ()
    it: Dataset | None = None


def touched_streams(
    dataset: Dataset,
    where: Expr | None,
    *,
    fields: tuple[Field, ...],
    expansions: tuple[Expansion, ...],
    read: tuple[Expr, ...],
    datasets: tuple[Dataset, ...],
) -> frozenset[str]:
    """The streams an answer depends on: module types, dimensions and denominators it reads.

    read: what else the answer evaluates: its order, its measures' conditions

    Source: docs/completeness.md, "Which streams count"
    """
    streams = set(dataset.streams)
    if dataset.module_type_field:
        universe = STREAM_NAMES if dataset.computed else MODULE_TYPE_NAMES
        streams |= _types_of(where, dataset.module_type_field, universe)
    for field in fields:
        streams |= _streams_of_field(dataset, field)
    for expr in (where, *read):
        streams |= _streams_of_expr(expr, dataset, datasets)
    for expansion in expansions:
        streams |= _streams_of_expansion(expansion, dataset, datasets)
    return frozenset(streams)


def _streams_of_expansion(
    expansion: Expansion, outer: Dataset, datasets: tuple[Dataset, ...]
) -> set[str]:
    """Several rows below one without a module type may be of any; others are of its type."""
    dataset, navigation = expansion.dataset, expansion.navigation
    streams = set(dataset.streams) if navigation.many else _streams_of_one(dataset)
    streams |= _streams_leading(outer, navigation)
    own_type = dataset.module_type_field
    if own_type and navigation.many and not outer.module_type_field:
        streams |= _types_of(expansion.where, own_type, MODULE_TYPE_NAMES)
    for field in expansion.fields:
        streams |= _streams_of_field(dataset, field)
    orders = (by for by, _ in expansion.order)
    for expr in (expansion.where, *orders, *expansion.computed):
        streams |= _streams_of_expr(expr, dataset, datasets, it=expansion.it)
    for inner in expansion.expansions:
        streams |= _streams_of_expansion(inner, dataset, datasets)
    return streams


def _types_of(where: Expr | None, name: str, universe: tuple[str, ...]) -> set[str]:
    implied = _implied_values(where, name)
    return set(universe) if implied is None else implied & set(universe)


def _streams_of_field(dataset: Dataset, field: Field) -> set[str]:
    named = {field.via, *field.joins}
    joined = (s for join in dataset.joins if join.name in named for s in join.streams)
    return {*field.streams, *joined}


def _streams_leading(dataset: Dataset, navigation: Navigation) -> set[str]:
    """The streams that say where a navigation leads to."""
    fields = (dataset.field(own) for own, _ in navigation.pairs)
    return {s for f in fields if f is not None for s in _streams_of_field(dataset, f)}


def _streams_of_one(dataset: Dataset) -> set[str]:
    """The streams of a row that another leads to: that one tells its module type."""
    return set(dataset.streams) & set(FAMILY_STREAMS)


def _streams_of_expr(
    expr: Expr | None,
    dataset: Dataset,
    datasets: tuple[Dataset, ...],
    *,
    it: Dataset | None = None,
) -> set[str]:
    """The streams that an expression over rows of a dataset reads."""
    parts = list(parts_of(expr))
    starts = {"": dataset, "$it": dataset if it is None else it}
    starts |= {part.name: part.dataset for part in parts if isinstance(part, Rows)}
    streams: set[str] = set()
    for part in parts:
        if isinstance(part, Column | Rows):
            target, leading = _follow(starts[part.of], part.path, datasets)
            streams |= leading
            if isinstance(part, Column):
                streams |= _streams_of_field(target, part.field)
            else:
                streams |= _streams_of_rows(part, target)
    return streams


def _follow(
    dataset: Dataset, path: tuple[str, ...], datasets: tuple[Dataset, ...]
) -> tuple[Dataset, set[str]]:
    """The dataset at the end of a path, and the streams of the rows that it leads to."""
    streams: set[str] = set()
    for name in path:
        navigation = dataset.navigation(name)
        if navigation is not None:
            streams |= _streams_leading(dataset, navigation)
            dataset = dataset_named(navigation.target, datasets)
            streams |= _streams_of_one(dataset)
    return dataset, streams


def _streams_of_rows(rows: Rows, outer: Dataset) -> set[str]:
    """Rows below one without a module type may be of any, as are those that `$root` leads to; below
    others they are of its type.
    """
    dataset = rows.dataset
    if isinstance(rows.step, Field):
        return _streams_of_field(dataset, rows.step)
    streams = set(dataset.streams) | _streams_leading(outer, rows.step)
    if dataset.module_type_field and not (outer.module_type_field and rows.step.pairs):
        implied = _implied_values(rows.where, dataset.module_type_field, rows.name)
        streams |= set(MODULE_TYPE_NAMES) if implied is None else implied & set(MODULE_TYPE_NAMES)
    return streams


def _implied_values(expr: Expr | None, name: str, of: str = "") -> set[str] | None:
    """The values to which a condition restricts a field of a row; None when it does not."""
    match expr:
        case Compare(operator="eq", left=Column(path=(), of=row) as by, right=Literal(value=value)):
            is_it = by.field.name == name and row == of
            return {value} if is_it and isinstance(value, str) else None
        case Compare(operator="eq", left=Literal(), right=Column()):
            return _implied_values(Compare(expr.type, "eq", expr.right, expr.left), name, of)
        case Among(left=Column(path=(), field=field, of=row), members=members) if (
            field.name == name and row == of
        ):
            values = {m.value for m in members if isinstance(m, Literal)}
            return values if len(values) == len(members) and None not in values else None
        case Both(operator="and", terms=terms):
            implied = [v for v in (_implied_values(t, name, of) for t in terms) if v is not None]
            return set.intersection(*implied) if implied else None
        case Both(operator="or", terms=terms):
            branches = [_implied_values(term, name, of) for term in terms]
            if any(branch is None for branch in branches):
                return None
            return set().union(*(branch for branch in branches if branch is not None))
    return None
