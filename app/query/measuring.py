"""The numbers of an `aggregate` in, out what is reckoned for each group of a stage.

Source: OData Extension for Data Aggregation 4.0, section 3.2.1
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from app.base.errors import BadOption, NotSupported, TypeMismatch
from app.catalog.fields import COUNTED, Dataset, Field, Role, Rollup, Type
from app.catalog.functions import AggregateFunction, aggregate_named
from app.query.binding import Binder
from app.query.casting import EDM_NAMES, tell_edm_type
from app.query.expr import Column, Expr, own_column
from app.query.filters import check_value
from app.query.groups import (
    Output,
    OutputColumn,
    is_misnamed,
    make_measure,
    type_of_measure,
)
from app.query.kinds import NAMESPACE, tell_expression
from app.query.nodes import Count, Node, ast
from app.query.question import Question
from app.query.rollups import choose_rollup
from app.query.stages import Stage, Sum
from app.query.steps import Aggregated, Number

STANDARD_METHODS = {
    "sum": "sum",
    "min": "min",
    "max": "max",
    "average": "average",
    "countdistinct": "distinct",
}
# Offered under the namespace of the schema: `score with fullcount.median as middle`.
CUSTOM_METHODS = ("median", "p10", "p90", "deviation")
# Numbers that do not change when a value is there more than once.
_INDIFFERENT = {"min", "max", "distinct"}


class Measured:
    """The numbers of a group, in their order, while they are found.

    shown: the field of each
    """

    def __init__(self) -> None:
        self.outputs: tuple[tuple[Field, Output], ...] = ()
        self.numbers: tuple[tuple[Field, Sum], ...] = ()
        self.shown: list[Field] = []
        self.rollup: Rollup | None = None

    def fields(self) -> tuple[Field, ...]:
        """The columns that show them."""
        return tuple(self.shown)


class Measuring:
    """One question's numbers, bound to the stages they are reckoned over.

    origin: the set that was asked, whose names no number may take
    """

    def __init__(self, question: Question, origin: Dataset) -> None:
        self.question = question
        self.origin = origin

    def measure(self, stage: Stage, group: Sequence[Column], step: Aggregated) -> Measured:
        """Bind the numbers of one `aggregate` to the rows of a stage.

        Raises: BadOption, TypeMismatch, NotSupported, UnknownField
        """
        found = Measured()
        for number in step.numbers:
            if number.method or number.value is None or isinstance(number.value, Count):
                self.check_name(number.name)
                self.add_number(found, stage, number)
            else:
                self.add_measure(found, stage, number)
        if any(number.once for _, number in found.numbers):
            self.reckon_outputs(found)
        plain = [expr.field for expr in group if not expr.path]
        if stage.source is None and len(plain) == len(group) and not found.numbers:
            outputs = [output for _, output in found.outputs]
            found.rollup = choose_rollup(
                stage.dataset, stage.condition, group=plain, outputs=outputs
            )
        return found

    def reckon_outputs(self, found: Measured) -> None:
        """Reckon the set's own numbers as others are, beside those of related rows.

        Raises: NotSupported, for measures
        """
        for shown, output in found.outputs:
            if output.condition is not None or output.numerator:
                raise NotSupported(
                    f"{shown.name!r} beside numbers of related rows is not supported",
                    target="$apply",
                )
            value = None if output.field is None else own_column(output.field)
            found.numbers += ((shown, Sum(output.function, value)),)
        found.outputs = ()

    def check_name(self, name: str) -> None:
        """Refuse a name that the set itself has.

        Source: OData Extension for Data Aggregation 4.0, section 3.1.1
        """
        if self.origin.field(name) is not None or self.origin.navigation(name) is not None:
            raise BadOption(
                f"{self.origin.name} has {name[:60]!r} itself; another name must follow 'as'",
                target="$apply",
            )

    def check_taken(self, group: Iterable[Field], numbers: Iterable[Field]) -> None:
        """Refuse a name that stands for two things."""
        names = [one.name for one in (*group, *numbers)]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise BadOption(f"$apply gives the name {twice[0][:60]!r} twice", target="$apply")

    # Measures: the custom aggregates of a set

    def add_measure(self, found: Measured, stage: Stage, number: Number) -> None:
        """A measure of the set; a ratio brings its two numbers along."""
        name = number.value.name if isinstance(number.value, ast.Identifier) else ""
        measure = stage.dataset.measure(name)
        kind = None if measure is None else type_of_measure(stage.dataset, measure)
        if is_misnamed(stage.dataset, name, kind):
            raise BadOption(
                f"{name[:60]!r} needs 'with', a method and 'as' with a name", target="$apply"
            )
        if not name:
            raise NotSupported("custom aggregates of related sets are not supported")
        if stage.source is not None and self.origin.measure(name) is not None:
            raise NotSupported(f"{name!r} is reckoned from rows of {self.origin.name} alone")
        measured = replace(stage.dataset, fields=stage.dataset.fields + stage.dataset.measured)
        *parts, last = make_measure(self.question, measured, name)
        if number.name:
            self.check_name(number.name)
            last = replace(last, column=replace(last.column, name=number.name))
        known = {output.column.name: output for _, output in found.outputs}
        for output in (*parts, last):
            # Another number of its name is refused with all names that are there twice.
            if known.get(output.column.name) != output:
                told = output.column
                hides = is_misnamed(stage.dataset, told.name, told.type)
                self.add_output(found, output, hides=hides)

    def add_output(self, found: Measured, output: Output, *, hides: bool = False) -> None:
        """A number over the set's own fields.

        hides: others are reckoned from it, and it is not shown
        """
        told = output.column
        unit = COUNTED if output.function in {"count", "distinct"} else told.unit
        shown = Field(
            told.name,
            told.type,
            told.label,
            "A number of the group.",
            role=Role.MEASURE,
            unit=unit,
            column=self.question.next_column(),
        )
        if not hides:
            found.shown.append(shown)
        found.outputs += ((shown, output),)

    # Numbers of any expression

    def add_number(self, found: Measured, stage: Stage, number: Number) -> None:
        """One number by its method."""
        if number.value is None:
            column = OutputColumn(number.name, Type.INT, "Count", Role.MEASURE)
            if stage.source is None:
                self.add_output(found, Output(column, function="count"))
            else:
                self.add_sum(found, number.name, Sum("count"), Type.INT)
            return
        if isinstance(number.value, Count):
            self.count_values(found, stage, number)
            return
        function = function_of(number.method)
        expr, once = self.bind_number(stage, number.value, function)
        kind = function.result or expr.type
        own = expr.field if isinstance(expr, Column) and not (expr.path or expr.of) else None
        if stage.source is None and own is not None and id(own) not in self.question.computed:
            column = OutputColumn(
                number.name, kind, f"{own.label} ({function.label})", Role.MEASURE
            )
            self.add_output(found, Output(column, function=function.name, field=own))
            return
        like = expr.field if isinstance(expr, Column) and function.result is None else None
        self.add_sum(found, number.name, Sum(function.name, expr, once), kind, like=like)

    def add_sum(
        self, found: Measured, name: str, number: Sum, kind: Type, *, like: Field | None = None
    ) -> None:
        """A number of any expression; one of a field's own values is of its kind."""
        unit = None if like is None else like.unit
        is_count = number.function in {"count", "distinct"}
        shown = Field(
            name,
            kind,
            name,
            "A number of the group.",
            role=Role.MEASURE,
            unit=COUNTED if is_count else unit,
            enumeration=None if like is None else like.enumeration,
            column=self.question.next_column(),
        )
        found.shown.append(shown)
        found.numbers += ((shown, number),)

    def bind_number(
        self, stage: Stage, node: Node, function: AggregateFunction
    ) -> tuple[Expr, tuple[Expr, ...]]:
        """What is aggregated, and the key of the row it belongs to, where that counts once.

        Source: OData Extension for Data Aggregation 4.0, section 3.2.1.1
        """
        binder = self.question.binder(stage.dataset)
        binder.check_size(node)
        refuse_several(binder, node)
        if (key := binder.key_at(node)) is not None:
            if function.name != "distinct":
                raise TypeMismatch("a related row is no value; it can be counted, countdistinct")
            return key, ()
        expr = check_value(binder.bind(node), "it cannot be aggregated")
        if expr.type not in function.takes:
            names = [EDM_NAMES.get(kind, "words of closed lists") for kind in function.takes]
            raise TypeMismatch(
                f"{tell_expression(expr)} is of {tell_edm_type(expr)};"
                f" {method_named(function)!r} does not take it",
                hint=f"It takes {', '.join(names)}.",
            )
        if not isinstance(node, ast.Attribute) or function.name in _INDIFFERENT:
            return expr, ()
        key = binder.key_at(node.owner)
        if key is not None:
            return expr, (key,)
        return expr, tuple(map(own_column, self.fields_beside(expr, stage.dataset)))

    def fields_beside(self, expr: Expr, dataset: Dataset) -> Iterator[Field]:
        """All that groups know of the related row that a value of theirs, `module/name`, is of."""
        name = expr.field.name if isinstance(expr, Column) and not expr.path else ""
        way, slash, _ = name.rpartition("/")
        if slash and self.origin.navigation(way.partition("/")[0]) is not None:
            yield from (one for one in dataset.fields if one.name.rpartition("/")[0] == way)

    def count_values(self, found: Measured, stage: Stage, number: Number) -> None:
        """`path/$count`: how many related rows, or values, there are."""
        counted = number.value
        if counted is None or counted.condition is not None or counted.search:
            raise NotSupported("options of $count in aggregate are not supported")
        binder = self.question.binder(stage.dataset)
        key = binder.key_at(counted.owner)
        if key is None:
            binder.find_rows(counted.owner)
            raise NotSupported(
                "$count in aggregate is of ways to one row; counting behind others is not supported"
            )
        self.add_sum(found, number.name, Sum("distinct", key), Type.INT)


def refuse_several(binder: Binder, node: Node) -> None:
    """Refuse a path over a way to several rows.

    Raises: NotSupported
    """
    start, names = binder.read_path(node) if isinstance(node, ast.Attribute) else (None, [])
    dataset = binder.dataset if start is None else start.dataset
    for name in names:
        way = dataset.navigation(name)
        if way is None:
            return
        if way.many:
            raise NotSupported(f"{name!r} leads to several {way.target}; that is not aggregated")
        dataset = binder.target_of(dataset, way)


def method_named(function: AggregateFunction) -> str:
    """The method of `aggregate` that stands for an aggregate."""
    names = [name for name, known in STANDARD_METHODS.items() if known == function.name]
    return names[0] if names else f"{NAMESPACE}.{function.name}"


def function_of(method: str) -> AggregateFunction:
    """The aggregate that a method of `aggregate` stands for.

    Raises: BadOption, NotSupported
    """
    namespace, dot, bare = method.rpartition(".")
    name = bare.lower()
    if not dot:
        name = STANDARD_METHODS.get(name, name if name in CUSTOM_METHODS else "")
    elif namespace != NAMESPACE or name not in CUSTOM_METHODS:
        raise NotSupported(f"the method {method[:60]!r} is not supported", target="$apply")
    row = aggregate_named(name)
    if row is None:
        methods = (*STANDARD_METHODS, *(f"{NAMESPACE}.{one}" for one in CUSTOM_METHODS))
        raise BadOption(
            f"there is no aggregation method {method[:60]!r}",
            hint=f"There are {', '.join(methods)}.",
            target="$apply",
        )
    return row
