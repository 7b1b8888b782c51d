"""What `until=complete` keeps of rows: those of facts recorded, else changed, before its moment.

Source: docs/completeness.md, "Asking for more"
"""

from app.catalog.fields import Dataset, Type
from app.query.expr import AsOf, Both, Column, Compare, Expr


def clip_rows(dataset: Dataset, of: str = "") -> Expr | None:
    """The condition that rows of a dataset are kept by; None where all of them are.

    of: the name of the `Rows`, for rows behind a path
    """
    field = dataset.field("recorded_at") or dataset.field("changed_at")
    if field is None or dataset.computed is not None:
        return None
    return Compare(Type.BOOL, "lt", Column(field.type, (), field, of), AsOf(Type.TIME))


def also(first: Expr | None, second: Expr | None) -> Expr | None:
    """Both conditions, where there are two."""
    if first is None or second is None:
        return second if first is None else first
    return Both(Type.BOOL, "and", (first, second))
