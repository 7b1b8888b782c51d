"""Which kept sums hold the whole answer to a question; None when rows must be read."""

from collections.abc import Sequence
from dataclasses import replace

from app.catalog.fields import Dataset, Field, Rollup
from app.query.expr import Column, Expr, Rows, parts_of
from app.query.groups import Output


def choose_rollup(
    dataset: Dataset, where: Expr | None, *, group: Sequence[Field], outputs: Sequence[Output]
) -> Rollup | None:
    """The first rollup whose fields tell apart what the question does."""
    if not outputs:
        return None
    return next(
        (
            rollup
            for rollup in dataset.rollups
            if all(_is_kept(dataset, rollup, field) for field in group)
            and _reads_kept(dataset, rollup, where)
            and all(_is_held(dataset, rollup, output) for output in outputs)
        ),
        None,
    )


def rolled_dataset(dataset: Dataset, rollup: Rollup) -> Dataset:
    """The dataset as its rollup tells it: the same fields over another table."""
    return replace(dataset, table=rollup.table, where=None)


def _is_held(dataset: Dataset, rollup: Rollup, output: Output) -> bool:
    if output.numerator or output.total_of:
        return True
    if output.condition is not None and not _reads_kept(dataset, rollup, output.condition):
        return False
    if output.field is None:
        return output.function == "count"
    if output.function == "sum":
        return output.field is dataset.field(output.field.name) and (
            output.field.name in rollup.sums
        )
    exact = output.function in {"count", "distinct", "min", "max"}
    return exact and _is_kept(dataset, rollup, output.field)


def _is_kept(dataset: Dataset, rollup: Rollup, field: Field) -> bool:
    return field.name in rollup.fields and field is dataset.field(field.name)


def _reads_kept(dataset: Dataset, rollup: Rollup, expr: Expr | None) -> bool:
    return all(_is_known(dataset, rollup, part) for part in parts_of(expr))


def _is_known(dataset: Dataset, rollup: Rollup, part: Expr) -> bool:
    if isinstance(part, Column):
        return not (part.path or part.of) and _is_kept(dataset, rollup, part.field)
    return not isinstance(part, Rows)
