"""Transformations of `$apply` in, the last stage out: names looked up, expressions bound, bounded.

Source: OData Extension for Data Aggregation 4.0, section 3
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import isfinite

from app.base.errors import BadOption, NotSupported, TooComplex, TypeMismatch
from app.catalog.fields import Dataset, Field, Type
from app.query.casting import tell_edm_type
from app.query.expr import Column, Expr, Literal, own_column
from app.query.filters import check_value
from app.query.kinds import check_condition
from app.query.measuring import Measuring
from app.query.nodes import Node
from app.query.question import Question
from app.query.searching import bind_search_terms
from app.query.stages import (
    MADE,
    Limit,
    Picked,
    Sorting,
    Stage,
    Summed,
    field_of,
    lack_as,
    may_lack,
)
from app.query.steps import (
    Aggregated,
    Compute,
    Concat,
    Cut,
    Filter,
    Grouped,
    Rank,
    Searched,
    Sort,
    Step,
    parse_apply,
)
from app.query.unions import Union

# Rows of a set may be read so many times for one question, by concat and rollup.
MOST_BRANCHES = 32
_UNGROUPED = {Type.OPEN, Type.TEXTS}


def apply_steps(
    question: Question, dataset: Dataset, text: str, *, where: Iterable[Expr] = ()
) -> Stage:
    """The rows of a dataset as `$apply` transforms them.

    where: what holds for the rows before any transformation
    Raises: BadSyntax, BadOption, TooComplex, NotSupported, TypeMismatch, UnknownField
    """
    settings = question.settings
    length = len(text.encode("utf-8", "surrogatepass"))
    if length > settings.limit_filter_bytes:
        raise TooComplex(
            f"$apply has {length} bytes; the limit filter_bytes is {settings.limit_filter_bytes}"
        )
    steps = parse_apply(text, settings.limit_apply_steps, settings.limit_filter_depth)
    keys = tuple(field for name in dataset.key if (field := dataset.field(name)) is not None)
    return Transforms(question, dataset).run(steps, Stage(dataset, keys, where=tuple(where)))


@dataclass(slots=True)
class _Copies:
    """Fields of a stage and what each is called above it.

    columns: each new field with the expression it is made from
    """

    question: Question
    columns: list[tuple[Field, Expr]]
    known: dict[int, Field]

    def copy(self, field: Field, *, name: str = "") -> Field:
        """The field above that shows a field below; made the first time."""
        if id(field) not in self.known:
            self.known[id(field)] = self.make(own_column(field), name or field.name, like=field)
        return self.known[id(field)]

    def make(self, expr: Expr, name: str, *, like: Field | None = None) -> Field:
        """A new field for an expression."""
        field = field_of(expr, name, self.question.next_column(), like=like)
        self.columns.append((field, expr))
        return field

    def order(self, order: Sorting) -> Sorting:
        """An order below as one of columns above."""
        return tuple((self._sorted(by), descends) for by, descends in order)

    def _sorted(self, by: Expr) -> Expr:
        if isinstance(by, Column) and not (by.path or by.of):
            return own_column(self.copy(by.field))
        return own_column(self.make(by, "-"))


class Transforms:
    """One question's transformations, applied one after the other."""

    def __init__(self, question: Question, origin: Dataset) -> None:
        self.question = question
        self.origin = origin
        self.measuring = Measuring(question, origin)
        self.branches = 1

    def run(self, steps: Iterable[Step], stage: Stage) -> Stage:
        """The rows behind a sequence of transformations."""
        for step in steps:
            stage = self.apply(step, stage)
        return stage

    def apply(self, step: Step, stage: Stage) -> Stage:
        """The rows behind one transformation."""
        match step:
            case Filter():
                return self.restrict(stage, self.bind(stage, step.condition))
            case Searched():
                return self.restrict(stage, self.find(stage, step.text))
            case Compute():
                return self.compute(stage, step)
            case Sort():
                return self.sort(stage, step)
            case Cut():
                by = (*stage.order, *((own_column(field), False) for field in stage.key))
                picked = self.pick(stage, Limit(by, step.skip, step.top))
                return may_lack(picked, stage) if step.skip or step.top == 0 else picked
            case Rank():
                return self.rank(stage, step)
            case Aggregated():
                return self.group(stage, (), step)
            case Grouped():
                return self.group_all(stage, step)
            case Concat():
                self.count_branches(len(step.branches))
                branches = [self.run(branch, stage) for branch in step.branches]
                return lack_as(self.unite(branches), stage, branches)
        return stage

    # Some of the rows

    def bind(self, stage: Stage, node: Node) -> Expr:
        """Bind a condition to the rows of a stage."""
        binder = self.question.binder(stage.dataset)
        binder.check_size(node)
        condition = check_condition(binder.bind(node), "a filter")
        return Literal(Type.BOOL, False) if condition.type is Type.NULL else condition

    def find(self, stage: Stage, text: str) -> Expr:
        """The condition that rows of a stage hold words."""
        asked = self.question
        return bind_search_terms(text, stage.dataset, settings=asked.settings, scopes=asked.scopes)

    def restrict(self, stage: Stage, condition: Expr) -> Stage:
        """The rows for which a condition holds."""
        return may_lack(replace(stage, where=(*stage.where, condition)), stage)

    def compute(self, stage: Stage, step: Compute) -> Stage:
        """The rows with more columns."""
        limit = self.question.settings.limit_compute
        if len(step.items) > limit:
            raise TooComplex(f"compute has {len(step.items)} columns; the limit compute is {limit}")
        columns = []
        for node, name in step.items:
            expr, weight = self.bind_value(stage, node, f"the column {name[:40]!r} cannot be made")
            if expr.type is Type.NULL:
                raise TypeMismatch(f"the column {name[:60]!r} would always be null")
            columns.append((name, expr, weight))
        dataset = self.question.with_columns(stage.dataset, columns, origin=self.origin)
        made = frozenset(name for name, _, _ in columns)
        structures = tuple(names | made for names in stage.structures)
        return replace(stage, dataset=dataset, structures=structures)

    def bind_value(self, stage: Stage, node: Node, otherwise: str) -> tuple[Expr, int]:
        """Bind an expression to the rows of a stage; also how many nodes it has."""
        binder = self.question.binder(stage.dataset)
        binder.check_size(node)
        return check_value(binder.bind(node), otherwise), binder.nodes

    def sort(self, stage: Stage, step: Sort) -> Stage:
        """The rows in an order; where it does not decide, they stay as they are."""
        limit = self.question.settings.limit_orderby
        if len(step.items) + len(stage.order) > limit:
            raise TooComplex(f"orderby has more parts than the limit orderby, {limit}")
        order = []
        for node, descends in step.items:
            expr, _ = self.bind_value(stage, node, "rows cannot be sorted by it")
            if isinstance(expr, Literal):
                raise BadOption("a constant is nothing to sort by", hint="Sort by fields.")
            order.append((expr, descends))
        return replace(stage, order=(*order, *stage.order))

    def rank(self, stage: Stage, step: Rank) -> Stage:
        """The rows with the greatest or least values, so many or until a sum is reached.

        Source: OData Extension for Data Aggregation 4.0, section 3.3.1
        """
        value, _ = self.bind_value(stage, step.value, "rows cannot be ranked by it")
        keys = tuple((own_column(field), False) for field in stage.key)
        by = ((value, step.name.startswith("top")), *keys)
        bound = self.read_bound(step)
        stage = replace(stage, order=())
        if step.name.endswith("count"):
            return self.pick(stage, Limit(by, top=int(bound)))
        if value.type not in {Type.INT, Type.NUMBER}:
            raise TypeMismatch(f"{step.name} adds up numbers; this is {tell_edm_type(value)}")
        percent = step.name.endswith("percent")
        picked = self.pick(stage, Limit(by, value=value, bound=bound, percent=percent))
        return may_lack(picked, stage)

    def read_bound(self, step: Rank) -> float:
        """The first parameter of a ranking transformation: a number.

        Raises: BadOption, NotSupported
        """
        expr = self.question.binder(self.origin).bind(step.bound)
        if not isinstance(expr, Literal):
            raise NotSupported(f"{step.name} takes a number; expressions are not supported there")
        number, is_count = expr.value, step.name.endswith("count")
        wanted, fits = "a finite number", expr.type in {Type.INT, Type.NUMBER} and isfinite(number)
        if is_count:
            wanted, fits = "a whole number from 1", expr.type is Type.INT and number > 0
        elif step.name.endswith("percent"):
            wanted, fits = "a number above 0, at most 100", fits and 0 < number <= 100
        if not fits:
            raise BadOption(f"{step.name} takes {wanted} first", target="$apply")
        return number if is_count else float(number)

    def pick(self, stage: Stage, limit: Limit | None, extra: Iterable[Column] = ()) -> Stage:
        """The same rows as a stage of their own, perhaps only some of them.

        extra: fields behind navigations to be columns, too, by their paths
        """
        copies = _Copies(self.question, [], {})
        dataset = stage.dataset
        fields = [copies.copy(field) for field in dataset.fields]
        weights = self.question.weights_of(dataset)
        for field in fields:
            if field.name in weights:
                self.question.weigh(field, weights[field.name])
        fields += [copies.make(expr, name_of(expr)) for expr in extra]
        above = replace(dataset, fields=tuple(fields), **MADE)
        made = frozenset(name_of(expr) for expr in extra)
        return Stage(
            above,
            tuple(copies.copy(field) for field in stage.key),
            order=copies.order(stage.order),
            parts=tuple(copies.copy(field) for field in stage.parts),
            whole=stage.whole,
            structures=tuple(names | made for names in stage.structures),
            kind=None if stage.kind is None else copies.copy(stage.kind),
            source=Picked(stage, tuple(copies.columns), limit),
        )

    # Groups

    def group_all(self, stage: Stage, step: Grouped) -> Stage:
        """`groupby`; with rollup, a concatenation of one for each combination of levels."""
        levels = [
            [(path,) for path in grouping]
            if len(grouping) == 1
            else [grouping[:count] for count in range(len(grouping), 0, -1)]
            for grouping in step.groupings
        ]
        count = 1
        for one in levels:
            count *= len(one)
        self.count_branches(count)
        found = []
        for combination in product(*levels):
            paths = tuple(path for level in combination for path in level)
            found.append(self.group_by(stage, paths, step.steps))
        return found[0] if len(found) == 1 else lack_as(self.unite(found), stage, found)

    def count_branches(self, count: int) -> None:
        """Count how often rows are read, up to the limit."""
        self.branches *= count
        if self.branches > MOST_BRANCHES:
            raise TooComplex(
                f"$apply reads the rows more than {MOST_BRANCHES} times, by concat and rollup",
                target="$apply",
            )

    def group_by(self, stage: Stage, paths: tuple[Node, ...], steps: tuple[Step, ...]) -> Stage:
        """The rows of each group, transformed."""
        group = self.bind_paths(stage, paths)
        first = steps[0] if steps else Aggregated(())
        if isinstance(first, Aggregated):
            inner = self.group(stage, group, first)
            rest = steps[1:]
        else:
            reached = [expr for expr in group if expr.path]
            inner = self.pick(stage, None, reached) if reached else stage
            named = (inner.dataset.field(name_of(expr)) for expr in group)
            inner = replace(inner, parts=with_parts(inner.parts, named))
            rest = steps
        count = len(stage.parts)
        inner = self.run(rest, replace(inner, whole=None))
        return lack_as(replace(inner, parts=inner.parts[:count]), stage, [inner])

    def bind_paths(self, stage: Stage, paths: tuple[Node, ...]) -> list[Column]:
        """The fields that groups are told apart by, each once."""
        limit = self.question.settings.limit_group_fields
        found: dict[str, Column] = {}
        for path in paths:
            expr = self.question.binder(stage.dataset).bind(path)
            if not isinstance(expr, Column) or expr.type in _UNGROUPED:
                raise NotSupported("objects and lists are nothing to group by here")
            found[name_of(expr)] = expr
        if len(found) > limit:
            raise TooComplex(f"$apply groups by {len(found)} fields; at most {limit}")
        return list(found.values())

    def group(self, stage: Stage, group: Sequence[Column], step: Aggregated) -> Stage:
        """A row for each group of each part, with its numbers; without groups, one of each part.

        Source: OData Extension for Data Aggregation 4.0, sections 3.2.1.1 and 3.2.3.1
        """
        exprs = {name_of(one): one for one in map(own_column, stage.parts)}
        whole = None if group else stage.whole
        exprs |= {name_of(expr): expr for expr in group}
        copies = _Copies(self.question, [], {})
        fields = [copies.make(expr, name) for name, expr in exprs.items()]
        measured = self.measuring.measure(stage, list(exprs.values()), step)
        numbers = measured.fields()
        self.measuring.check_taken(fields, numbers)
        above = replace(
            stage.dataset,
            **MADE,
            key=(),
            fields=(*fields, *numbers),
            navigations=(),
            searchable=tuple(n for n in stage.dataset.searchable if n in exprs),
            alternate_keys=(),
        )
        source = Summed(
            stage, tuple(copies.columns), measured.outputs, measured.numbers, measured.rollup
        )
        if whole is not None:
            self.count_branches(2)
            source = replace(source, parts=tuple(zip(fields, whole.parts, strict=True)))
        return Stage(above, tuple(fields), parts=tuple(fields), source=source)

    # Several stages as one

    def unite(self, branches: list[Stage]) -> Stage:
        """The rows of several stages, one after the other.

        Source: OData Extension for Data Aggregation 4.0, section 3.2.2
        """
        return Union(self.question, branches).stage()


def with_parts(parts: tuple[Field, ...], more: Iterable[Field | None]) -> tuple[Field, ...]:
    """Fields with others behind them, each once."""
    found = {field.name: field for field in parts}
    for field in more:
        if field is not None:
            found.setdefault(field.name, field)
    return tuple(found.values())


def name_of(expr: Column) -> str:
    """The name of a column that shows a field, with the way to it."""
    return "/".join((*expr.path, expr.field.name))
