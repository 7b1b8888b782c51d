"""Expression text in (bounded first), Expr out: the ways into the language for those who ask.

A field the caller may not see is a field that does not exist. No SQL is made here.
"""

from collections.abc import Callable, Mapping

from app.base.config import Settings
from app.base.errors import NotSupported, TooComplex, TypeMismatch
from app.catalog.fields import Dataset, Type
from app.query.binding import Binder
from app.query.expr import Expr, Rows
from app.query.grammar import parse_compute, parse_orderby
from app.query.kinds import FALSE, check_condition, refuse_infinite, refuse_word, tell_type

_NONE: Mapping[str, int] = {}


def bind_filter(
    text: str,
    dataset: Dataset,
    *,
    settings: Settings,
    scopes: frozenset[str],
    aliases: Mapping[str, str],
    resolve: Callable[[str], Dataset],
    weights: Mapping[str, int] = _NONE,
    it: Rows | None = None,
    is_clipped: bool = False,
) -> Expr:
    """Read a condition over the rows of a dataset.

    resolve: the dataset of this name, for navigations
    weights: how many nodes each computed field stands for
    it: what `$it` means, where that is not the row itself
    is_clipped: rows behind a path are those that `until=complete` keeps
    Raises: BadSyntax, TooComplex, UnknownField, TypeMismatch, BadOption, NotSupported
    Source: OData URL Conventions 4.01, section 5.1.2
    """
    binder = Binder(
        dataset,
        settings,
        scopes=scopes,
        aliases=aliases,
        resolve=resolve,
        weights=weights,
        it=it,
        is_clipped=is_clipped,
    )
    condition = check_condition(binder.bind(binder.parse(text)), "a filter")
    return FALSE if condition.type is Type.NULL else condition


def bind_order(
    text: str,
    dataset: Dataset,
    *,
    settings: Settings,
    scopes: frozenset[str],
    aliases: Mapping[str, str],
    resolve: Callable[[str], Dataset],
    weights: Mapping[str, int] = _NONE,
    it: Rows | None = None,
    is_clipped: bool = False,
) -> tuple[tuple[Expr, bool], ...]:
    """Read `$orderby`: what to sort by, in order, each with whether it descends.

    Raises: as bind_filter
    Source: OData URL Conventions 4.01, section 5.1.5
    """
    binder = Binder(
        dataset,
        settings,
        scopes=scopes,
        aliases=aliases,
        resolve=resolve,
        weights=weights,
        it=it,
        is_clipped=is_clipped,
    )
    binder.check_length(text)
    items = parse_orderby(text, settings.limit_filter_depth)
    if len(items) > settings.limit_orderby:
        raise TooComplex(
            f"$orderby has {len(items)} parts; the limit orderby is {settings.limit_orderby}"
        )
    order = []
    for node, descends in items:
        binder.check_size(node)
        order.append((check_value(binder.bind(node), "rows cannot be sorted by it"), descends))
    return tuple(order)


def bind_compute(
    text: str,
    dataset: Dataset,
    *,
    settings: Settings,
    scopes: frozenset[str],
    aliases: Mapping[str, str],
    resolve: Callable[[str], Dataset],
    weights: Mapping[str, int] = _NONE,
    it: Rows | None = None,
    is_clipped: bool = False,
) -> tuple[tuple[str, Expr, int], ...]:
    """Read `$compute`: each name with its expression and how many nodes that has.

    Raises: as bind_filter
    Source: OData URL Conventions 4.01, section 5.1.8
    """
    binder = Binder(
        dataset,
        settings,
        scopes=scopes,
        aliases=aliases,
        resolve=resolve,
        weights=weights,
        it=it,
        is_clipped=is_clipped,
    )
    binder.check_length(text)
    items = parse_compute(text, settings.limit_filter_depth)
    if len(items) > settings.limit_compute:
        raise TooComplex(
            f"$compute has {len(items)} columns; the limit compute is {settings.limit_compute}"
        )
    found = []
    for node, name in items:
        before = binder.nodes
        binder.check_size(node)
        expr = check_column(binder.bind(node), name)
        found.append((name, expr, binder.nodes - before))
    return tuple(found)


def bind_value(
    text: str,
    dataset: Dataset,
    *,
    settings: Settings,
    scopes: frozenset[str],
    aliases: Mapping[str, str],
    resolve: Callable[[str], Dataset],
) -> Expr:
    """Read an expression of any type.

    Raises: as bind_filter
    """
    binder = Binder(
        dataset, settings, scopes=scopes, aliases=aliases, resolve=resolve, weights=_NONE
    )
    return _check_scalar(binder.bind(binder.parse(text)))


def check_column(expr: Expr, name: str) -> Expr:
    """An expression that a column can show.

    Raises: TypeMismatch, NotSupported
    """
    if expr.type is Type.NULL:
        raise TypeMismatch(f"the column {name[:60]!r} would always be null")
    return check_value(expr, "it cannot be computed")


def check_value(expr: Expr, otherwise: str) -> Expr:
    """An expression with one finite value that can be compared.

    otherwise: what cannot be done with others
    Raises: TypeMismatch, NotSupported
    """
    if expr.type in {Type.OPEN, Type.TEXTS}:
        raise NotSupported(f"{tell_type(expr)}; {otherwise}")
    refuse_infinite(expr)
    return _check_scalar(expr)


def _check_scalar(expr: Expr) -> Expr:
    refuse_word(expr)
    refuse_infinite(expr)
    return expr
