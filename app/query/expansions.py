"""What a question brings along: names of navigations in, resolved and bounded expansions out."""

from difflib import get_close_matches

from app.base.errors import BadOption, TooComplex, UnknownField
from app.catalog.fields import Dataset, Navigation
from app.query.clipping import also, clip_rows
from app.query.question import Question
from app.query.request import Expand
from app.query.streams import Expansion


def make_expansions(
    question: Question, dataset: Dataset, asked: tuple[Expand, ...], *, depth: int = 1
) -> tuple[Expansion, ...]:
    """Resolve what is asked for along with rows of a dataset.

    Raises: TooComplex, UnknownField, BadOption, and what the binding of expressions raises
    """
    settings = question.settings
    if asked and depth > settings.limit_expand_depth:
        raise TooComplex(f"$expand goes {depth} levels deep; at most {settings.limit_expand_depth}")
    most, named = settings.limit_expand_count, _count_expands(asked)
    if depth == 1 and named > most:
        raise TooComplex(
            f"$expand names {named} navigations; at most {most}",
            hint="Ask for them in several requests, or expand fewer.",
        )
    return tuple(_make_expansion(question, dataset, expand, depth=depth) for expand in asked)


def _make_expansion(
    question: Question, dataset: Dataset, expand: Expand, *, depth: int
) -> Expansion:
    navigation = dataset.navigation(expand.navigation)
    if navigation is None:
        near = get_close_matches(expand.navigation, [n.name for n in dataset.navigations], n=1)
        raise UnknownField(
            f"{dataset.name} has no navigation {expand.navigation[:100]!r}",
            hint=f"Did you mean {near[0]}?" if near else None,
        )
    _check_rows(navigation, expand)
    question = question.with_aliases(expand.aliases)
    if not expand.is_way:
        question = question.with_it(dataset, navigation)
    target = question.allowed_dataset(navigation.target)
    origin, target = target, question.with_computed(target, expand.compute)
    fields = question.selected_fields(target, expand.select)
    where = question.bind_rows(target, expand.where, expand.search)
    if navigation.many and question.is_clipped:
        where = also(where, clip_rows(target))
    return Expansion(
        navigation,
        target,
        question.tell_types(fields, origin),
        make_expansions(question, target, expand.expand, depth=depth + 1),
        where=where,
        order=question.bind_total_order(target, expand.order) if navigation.many else (),
        top=expand.top,
        skip=expand.skip,
        count_name=expand.count_name,
        computed=question.computed_in(target, fields),
        it=None if question.it is None else question.it.dataset,
    )


def _check_rows(navigation: Navigation, expand: Expand) -> None:
    """Refuse what can be asked of several rows only, and numbers that count nothing."""
    asks_rows = expand.where or expand.order or expand.top is not None or expand.skip
    asks_rows = asks_rows or expand.count_name or expand.search
    if asks_rows and not navigation.many:
        raise BadOption(
            f"{navigation.name} leads to one row; $expand takes $select and $expand there",
            target="$expand",
        )
    for name, value in (("$top", expand.top), ("$skip", expand.skip)):
        if value is not None and not 0 <= value < 2**63:
            raise BadOption(f"{name} in $expand is {value}; it must be 0 or more", target="$expand")


def _count_expands(asked: tuple[Expand, ...]) -> int:
    return sum(1 + _count_expands(expand.expand) for expand in asked)
