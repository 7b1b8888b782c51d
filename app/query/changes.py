"""How much of a dataset has changed since a revision: for receipts of answers."""

from sqlalchemy import Connection, func, select

from app.catalog.fields import Dataset


def count_changes(
    connection: Connection, environment_id: int, dataset: Dataset, *, since_revision: int
) -> int | None:
    """How many rows of a dataset were written after a revision, deleted ones too; None where its
    rows carry none.
    """
    table = dataset.table
    if table is None or "revision" not in table.c:
        return None
    found: int = connection.execute(
        select(func.count()).where(
            table.c.environment_id == environment_id, table.c.revision > since_revision
        )
    ).scalar_one()
    return found
