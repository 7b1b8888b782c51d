"""Mark an entity dirty: the only place that points work rows at the journal.

A work row never holds the work itself; the events do. Marking twice is marking once.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection

from app.store.dialect import upsert_rows
from app.store.tables import Work
from app.store.tables.columns import table_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_COLUMNS = (
    "environment_id",
    "entity_key",
    "dirty_seq",
    "done_seq",
    "ready_at",
    "lease_token",
    "attempts",
)


def mark_dirty(connection: Connection, environment_id: int, marks: Mapping[str, int]) -> None:
    """Say that the projections of these entities must reflect the journal up to these seqs.

    Shape: marks: entity_key to dirty_seq; a row that is there keeps the greater
    """
    # Sorted, so that two transactions lock the rows in one order.
    rows = [
        (environment_id, entity_key, dirty_seq, 0, EPOCH, 0, 0)
        for entity_key, dirty_seq in sorted(marks.items())
    ]
    upsert_rows(
        connection,
        table_of(Work),
        _COLUMNS,
        rows,
        key=("environment_id", "entity_key"),
        update=(),
        greatest=("dirty_seq",),
    )
