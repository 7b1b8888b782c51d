"""Stages of a question: the rows between two transformations, their columns and what they are from.

A stage has a dataset of its own, whose fields are what its rows hold, so that expressions are bound
to it as to any other. No SQL is made here.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.catalog.fields import Dataset, Field, Navigation, Rollup
from app.query.expr import Both, Column, Expr, Rows, own_column, parts_of
from app.query.groups import Output
from app.query.streams import touched_streams

Sorting = tuple[tuple[Expr, bool], ...]
# What no rows have that were made from others.
MADE: dict[str, Any] = {
    "table": None,
    "joins": (),
    "streams": (),
    "module_type_field": None,
    "where": None,
    "computed": None,
    "rollups": (),
    "measures": (),
    "measured": (),
}


@dataclass(frozen=True, eq=False, slots=True)
class Stage:
    """Rows, and what is known of them.

    key: the fields that tell its rows apart
    order: what they are sorted by before the key, each with whether it descends
    parts: the fields whose values keep groups apart that are transformed one by one
    whole: rows below in which every part still has some, where these rows may lack all of one
    where: what holds for its rows beyond what they are from
    source: what they are from; None for the rows of a set
    structures: for each value of `kind`, the names that its rows have
    kind: a hidden whole number, where rows are not all alike
    """

    dataset: Dataset
    key: tuple[Field, ...]
    order: Sorting = ()
    parts: tuple[Field, ...] = ()
    whole: "Stage | None" = None
    where: tuple[Expr, ...] = ()
    source: "Picked | Summed | United | None" = None
    structures: tuple[frozenset[str], ...] = ()
    kind: Field | None = None

    @property
    def condition(self) -> Expr | None:
        """What holds for its rows, as one condition."""
        if len(self.where) < 2:
            return self.where[0] if self.where else None
        return Both(self.where[0].type, "and", self.where)


@dataclass(frozen=True, slots=True)
class Limit:
    """Some of the rows of a stage, for each of its parts, by an order that is total.

    by: the order
    skip, top: how many come before, and how many are taken; None for all
    value: what is added up until `bound` is reached; None where rows are counted
    percent: the bound is a share of the whole sum
    """

    by: Sorting
    skip: int = 0
    top: int | None = None
    value: Expr | None = None
    bound: float = 0.0
    percent: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Picked:
    """Rows of a stage with columns of their own, one for each."""

    stage: Stage
    columns: tuple[tuple[Field, Expr], ...]
    limit: Limit | None = None


@dataclass(frozen=True, slots=True)
class Sum:
    """A number of a group from any expression.

    once: what tells apart that which the value belongs to, where it counts once however many rows
        lead there
    """

    function: str
    value: Expr | None = None
    once: tuple[Expr, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Summed:
    """A row for each group of a stage.

    outputs: numbers over the set's own fields, as questions with groups have them
    numbers: all others
    rollup: kept sums that hold all of it, or None
    parts: each column of a group with the field of `stage.whole` that shows it, where parts that
        have no rows have their numbers, too
    """

    stage: Stage
    group: tuple[tuple[Field, Expr], ...]
    outputs: tuple[tuple[Field, Output], ...]
    numbers: tuple[tuple[Field, Sum], ...]
    rollup: Rollup | None = None
    parts: tuple[tuple[Field, Field], ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class United:
    """The rows of several stages; a column that one does not have is None there.

    kinds: of each branch, what its first structure is called
    """

    branches: tuple[tuple[Stage, int], ...]
    kind: Field
    columns: tuple[tuple[Field, tuple[Expr | None, ...]], ...]


def field_of(expr: Expr, name: str, column: str, *, like: Field | None = None) -> Field:
    """A column of a stage that shows an expression."""
    if like is None and isinstance(expr, Column):
        like = expr.field
    if like is None:
        return Field(name, expr.type, name, "Computed by the question.", column=column)
    nullable = like.nullable or like.via is not None or (isinstance(expr, Column) and expr.path)
    return replace(
        like, name=name, column=column, via=None, sql=None, joins=(), nullable=bool(nullable)
    )


def may_lack(stage: Stage, below: Stage) -> Stage:
    """A stage whose rows are some of those below, for a part perhaps none."""
    return replace(stage, whole=(below.whole or below) if below.parts else None)


def lack_as(stage: Stage, below: Stage, branches: Iterable[Stage]) -> Stage:
    """A stage made of branches over rows below; it lacks a part only if all of them do."""
    whole = below.whole
    if whole is None and all(branch.whole is not None for branch in branches):
        whole = below
    return replace(stage, whole=whole if below.parts else None)


Computed = Mapping[int, Expr]


# What is read


def fields_read(exprs: Iterable[Expr | None], dataset: Dataset, computed: Computed) -> set[int]:
    """The identities of the fields of a dataset's own rows that expressions read.

    computed: what computed fields are made from, by identity
    """
    found: set[int] = set()
    waiting = list(exprs)
    while waiting:
        for part in parts_of(waiting.pop()):
            for field in _fields_at(part, dataset):
                if id(field) in found:
                    continue
                found.add(id(field))
                if id(field) in computed:
                    waiting.append(computed[id(field)])
    return found


def _fields_at(part: Expr, dataset: Dataset) -> Iterator[Field]:
    if not isinstance(part, Column | Rows) or part.of:
        return
    if part.path:
        yield from fields_leading(dataset, dataset.navigation(part.path[0]))
    elif isinstance(part, Column):
        yield part.field
    elif isinstance(part.step, Navigation):
        yield from fields_leading(dataset, part.step)
    else:
        yield part.step


def fields_leading(dataset: Dataset, navigation: Navigation | None) -> Iterator[Field]:
    """The fields of a dataset that a navigation starts from."""
    for own, _ in navigation.pairs if navigation is not None else ():
        field = dataset.field(own)
        if field is not None:
            yield field


def exprs_of(stage: Stage) -> Iterator[Expr]:
    """What a stage itself evaluates over its rows."""
    yield from stage.where
    for by, _ in stage.order:
        yield by


# Only what is needed


def prune_stage(stage: Stage, needed: set[int], computed: Computed) -> Stage:
    """The same stage, without the columns below it that nobody reads.

    needed: the identities of the fields that are read of it
    """
    wanted = needed | fields_read(exprs_of(stage), stage.dataset, computed)
    if stage.kind is not None:
        wanted.add(id(stage.kind))
    source = stage.source
    if isinstance(source, Picked):
        source = _prune_picked(source, wanted, computed)
    elif isinstance(source, Summed):
        source = _prune_summed(source, wanted, computed)
    elif isinstance(source, United):
        source = _prune_united(source, wanted, computed)
    return replace(stage, source=source)


def _prune_picked(source: Picked, wanted: set[int], computed: Computed) -> Picked:
    # A select has one column at least.
    kept = tuple(pair for pair in source.columns if id(pair[0]) in wanted) or source.columns[:1]
    exprs: list[Expr | None] = [expr for _, expr in kept]
    exprs += [by for by, _ in limit_order(source.limit)]
    if source.limit is not None:
        exprs.append(source.limit.value)
        exprs += [own_column(field) for field in source.stage.parts]
    below = _prune_below(source.stage, exprs, computed)
    return replace(source, stage=below, columns=kept)


def limit_order(limit: Limit | None) -> Sorting:
    """What the rows of a limit are sorted by."""
    return () if limit is None else limit.by


def _prune_summed(source: Summed, wanted: set[int], computed: Computed) -> Summed:
    outputs = source.outputs
    numbers = tuple(pair for pair in source.numbers if id(pair[0]) in wanted)
    if not (source.group or outputs or numbers):
        numbers = source.numbers[:1]
    exprs: list[Expr | None] = [expr for _, expr in source.group]
    for _, number in numbers:
        exprs += [number.value, *number.once]
    for _, output in outputs:
        exprs += [output.condition, None if output.field is None else own_column(output.field)]
    below = _prune_below(source.stage, exprs, computed)
    if below.whole is not None:
        asked: list[Expr | None] = [own_column(field) for _, field in source.parts]
        below = replace(below, whole=_prune_below(below.whole, asked, computed))
    return replace(source, stage=below, numbers=numbers)


def _prune_united(source: United, wanted: set[int], computed: Computed) -> United:
    kept = tuple(pair for pair in source.columns if id(pair[0]) in wanted)
    branches = []
    for place, (stage, kind) in enumerate(source.branches):
        exprs = [exprs[place] for _, exprs in kept]
        branches.append((_prune_below(stage, exprs, computed), kind))
    return replace(source, branches=tuple(branches), columns=kept)


def _prune_below(stage: Stage, exprs: Iterable[Expr | None], computed: Computed) -> Stage:
    return prune_stage(stage, fields_read(exprs, stage.dataset, computed), computed)


# Streams


def streams_of_stage(
    stage: Stage,
    read: Iterable[Expr],
    *,
    datasets: tuple[Dataset, ...],
    computed: Computed,
) -> frozenset[str]:
    """The streams that a stage and all below it depend on.

    read: what is evaluated over its rows besides its own
    """
    asked = list(read)
    used = fields_read([*asked, *stage.where], stage.dataset, computed)
    found = touched_streams(
        stage.dataset,
        stage.condition,
        fields=(),
        expansions=(),
        read=(*asked, *(by for by, _ in stage.order), *_made_from(used, computed)),
        datasets=datasets,
    )
    for below, exprs in _stages_below(stage.source):
        found |= streams_of_stage(below, exprs, datasets=datasets, computed=computed)
    return found


def _made_from(used: set[int], computed: Computed) -> Iterator[Expr]:
    return (expr for identity, expr in computed.items() if identity in used)


def _stages_below(
    source: "Picked | Summed | United | None",
) -> Iterator[tuple[Stage, list[Expr]]]:
    """The stages right below, each with what is evaluated over its rows."""
    if isinstance(source, Picked):
        exprs = [expr for _, expr in source.columns]
        exprs += [by for by, _ in limit_order(source.limit)]
        if source.limit is not None and source.limit.value is not None:
            exprs.append(source.limit.value)
        yield source.stage, exprs
    elif isinstance(source, Summed):
        exprs = [expr for _, expr in source.group]
        for _, number in source.numbers:
            exprs += [expr for expr in (number.value, *number.once) if expr is not None]
        for _, output in source.outputs:
            exprs += [] if output.condition is None else [output.condition]
            exprs += [] if output.field is None else [own_column(output.field)]
        yield source.stage, exprs
        if source.parts and source.stage.whole is not None:
            yield source.stage.whole, [own_column(field) for _, field in source.parts]
    elif isinstance(source, United):
        for place, (stage, _) in enumerate(source.branches):
            told = (exprs[place] for _, exprs in source.columns)
            yield stage, [expr for expr in told if expr is not None]


def without_rollups(stage: Stage) -> Stage:
    """The same stage read from the rows themselves: kept sums know the newest revision only."""
    match stage.source:
        case Picked(stage=below) as source:
            return replace(stage, source=replace(source, stage=without_rollups(below)))
        case Summed(stage=below) as source:
            below = without_rollups(below)
            if source.parts and below.whole is not None:
                below = replace(below, whole=without_rollups(below.whole))
            return replace(stage, source=replace(source, stage=below, rollup=None))
        case United(branches=branches) as source:
            told = tuple((without_rollups(branch), kind) for branch, kind in branches)
            return replace(stage, source=replace(source, branches=told))
    return stage
