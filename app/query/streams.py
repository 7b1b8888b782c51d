"""Which streams a question touches: those of its module types, dimensions and denominators.

A filter narrows the module types only where it logically restricts them to a set.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from app.catalog.fields import Dataset, Field, Navigation
from app.catalog.index import dataset_named
from app.learning.modules import MODULE_TYPE_NAMES, STREAM_NAMES
from app.query.expr import Among, Both, Column, Compare, Expr, Literal


@dataclass(frozen=True, slots=True)
class Expansion:
    """A navigation to bring along, its fields, and what is expanded below it.

    where, order, top, skip: which rows, where it leads to several
    """

    navigation: Navigation
    dataset: Dataset
    fields: tuple[Field, ...]
    expansions: tuple["Expansion", ...]
    where: Expr | None = None
    order: tuple[tuple[Expr, bool], ...] = ()
    top: int | None = None
    skip: int = 0


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
        for path_dataset, field in _columns_in(expr, dataset, datasets):
            streams |= set(path_dataset.streams) | _streams_of_field(path_dataset, field)
    for expansion in expansions:
        streams |= _streams_of_expansion(expansion, dataset, datasets)
    return frozenset(streams)


def _streams_of_expansion(
    expansion: Expansion, outer: Dataset, datasets: tuple[Dataset, ...]
) -> set[str]:
    """Several rows below one without a module type may be of any; others are of its type."""
    dataset = expansion.dataset
    streams = set(dataset.streams)
    own_type = dataset.module_type_field
    if own_type and expansion.navigation.many and not outer.module_type_field:
        streams |= _types_of(expansion.where, own_type, MODULE_TYPE_NAMES)
    for field in expansion.fields:
        streams |= _streams_of_field(dataset, field)
    for expr in (expansion.where, *(by for by, _ in expansion.order)):
        for path_dataset, field in _columns_in(expr, dataset, datasets):
            streams |= set(path_dataset.streams) | _streams_of_field(path_dataset, field)
    for inner in expansion.expansions:
        streams |= _streams_of_expansion(inner, dataset, datasets)
    return streams


def _types_of(where: Expr | None, name: str, universe: tuple[str, ...]) -> set[str]:
    implied = _implied_values(where, name)
    return set(universe) if implied is None else implied & set(universe)


def _streams_of_field(dataset: Dataset, field: Field) -> set[str]:
    named = {field.via, *field.joins}
    return {s for join in dataset.joins if join.name in named for s in join.streams}


def _columns_in(
    expr: Expr | None, dataset: Dataset, datasets: tuple[Dataset, ...]
) -> Iterable[tuple[Dataset, Field]]:
    if isinstance(expr, Column):
        for name in expr.path:
            navigation = dataset.navigation(name)
            if navigation is not None:
                dataset = dataset_named(navigation.target, datasets)
        yield dataset, expr.field
        return
    for name in getattr(expr, "__dataclass_fields__", ()):
        value = getattr(expr, name)
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, Expr):
                yield from _columns_in(inner, dataset, datasets)


def _implied_values(expr: Expr | None, name: str) -> set[str] | None:
    """The values to which a condition restricts a field; None when it does not."""
    match expr:
        case Compare(operator="eq", left=Column(path=(), field=field), right=Literal(value=value)):
            return {value} if field.name == name and isinstance(value, str) else None
        case Compare(operator="eq", left=Literal(), right=Column()):
            return _implied_values(Compare(expr.type, "eq", expr.right, expr.left), name)
        case Among(left=Column(path=(), field=field), members=members) if field.name == name:
            values = {m.value for m in members if isinstance(m, Literal)}
            return values if len(values) == len(members) and None not in values else None
        case Both(operator="and", terms=terms):
            implied = [v for v in (_implied_values(t, name) for t in terms) if v is not None]
            return set.intersection(*implied) if implied else None
        case Both(operator="or", terms=terms):
            branches = [_implied_values(term, name) for term in terms]
            if any(branch is None for branch in branches):
                return None
            return set().union(*(branch for branch in branches if branch is not None))
    return None
