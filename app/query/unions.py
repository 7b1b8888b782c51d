"""Several stages as one, column by column: what `concat` and rollups give.

Source: OData Extension for Data Aggregation 4.0, section 3.2.2
"""

from dataclasses import replace
from functools import partial

from app.base.errors import BadOption
from app.catalog.fields import Dataset, Field, Navigation, Type
from app.query.expr import Column, Expr, own_column
from app.query.question import Question
from app.query.stages import MADE, Stage, United, field_of


def keeps_way(way: Navigation, dataset: Dataset) -> bool:
    """Do rows lead where a way does, or nowhere, once they have the columns it begins with?"""
    if dataset.navigation(way.name) is not None:
        return True
    return any(dataset.field(own) is None for own, _ in way.pairs)


class Union:
    """The stage of several branches while it is made."""

    def __init__(self, question: Question, branches: list[Stage]) -> None:
        self.question = question
        self.branches = branches
        self.kind = Field("-", Type.INT, "", "", nullable=False, column=question.next_column())
        self.columns: list[tuple[Field, tuple[Expr | None, ...]]] = []
        self.lifted: dict[tuple[int, int], Field] = {}
        self.visible = {name: self.merge(name) for name in self.names()}

    def names(self) -> list[str]:
        """Every name of any branch, once."""
        return list(dict.fromkeys(f.name for one in self.branches for f in one.dataset.fields))

    def merge(self, name: str) -> Field:
        """The column of a name.

        Raises: BadOption, where branches give it different types
        """
        found = [branch.dataset.field(name) for branch in self.branches]
        types = {field.type for field in found if field is not None}
        if len(types) > 1 and types != {Type.INT, Type.NUMBER}:
            raise BadOption(f"concat would give {name[:60]!r} two types", target="$apply")
        like = next(field for field in found if field is not None)
        kind = Type.NUMBER if len(types) > 1 else like.type
        field = replace(
            like,
            type=kind,
            nullable=True,
            column=self.question.next_column(),
            via=None,
            sql=None,
            joins=(),
        )
        exprs = tuple(None if one is None else own_column(one) for one in found)
        self.columns.append((field, exprs))
        return field

    def lift(self, place: int, expr: Expr) -> Field:
        """The column that shows an expression of one branch."""
        branch = self.branches[place]
        if isinstance(expr, Column) and not (expr.path or expr.of):
            if expr.field is branch.kind:
                return self.kind
            visible = self.visible.get(expr.field.name)
            if visible is not None and branch.dataset.field(expr.field.name) is expr.field:
                return visible
            known = (place, id(expr.field))
        else:
            known = (place, id(expr))
        if known not in self.lifted:
            field = field_of(expr, "-", self.question.next_column())
            empty: list[Expr | None] = [None] * len(self.branches)
            empty[place] = expr
            self.lifted[known] = replace(field, nullable=True)
            self.columns.append((self.lifted[known], tuple(empty)))
        return self.lifted[known]

    def stage(self) -> Stage:
        """The rows of all branches."""
        keys, order = {id(self.kind): self.kind}, {id(self.kind): (self.kind, False)}
        kinds: list[tuple[Stage, int]] = []
        structures: list[frozenset[str]] = []
        for place, branch in enumerate(self.branches):
            kinds.append((branch, len(structures)))
            own = frozenset(field.name for field in branch.dataset.fields)
            structures += list(branch.structures) or [own]
            for field in branch.key:
                lifted = self.lift(place, own_column(field))
                keys[id(lifted)] = lifted
            for by, descends in branch.order:
                lifted = self.lift(place, by)
                order.setdefault(id(lifted), (lifted, descends))
        first = self.branches[0]
        return Stage(
            self.dataset(),
            tuple(keys.values()),
            order=tuple((own_column(field), descends) for field, descends in order.values()),
            parts=tuple(self.visible[field.name] for field in first.parts),
            source=United(tuple(kinds), self.kind, tuple(self.columns)),
            structures=tuple(structures),
            kind=self.kind,
        )

    def dataset(self) -> Dataset:
        """What the rows of all branches can be asked for."""
        first, *others = every = [branch.dataset for branch in self.branches]
        ways = {way.name: way for one in every for way in one.navigations}
        return replace(
            first,
            **MADE,
            key=(),
            fields=tuple(self.visible.values()),
            navigations=tuple(
                way for way in ways.values() if all(map(partial(keeps_way, way), every))
            ),
            searchable=tuple(
                name for name in first.searchable if all(name in o.searchable for o in others)
            ),
            alternate_keys=(),
        )
