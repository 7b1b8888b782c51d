"""Rows that no table holds: judged or told at request time, by the name of their source."""

from typing import Any

from app.catalog.changes import rows_of_changes
from app.ledger.facts import Lag
from app.ledger.rows import row_of_verdict, rows_of_lag


def judge_rows(source: str, lag: Lag) -> list[dict[str, Any]]:
    """The rows of a dataset with this `computed` source, in the snapshot the lag was read in."""
    match source:
        case "freshness":
            return [row_of_verdict(lag)]
        case "schema_changes":
            return rows_of_changes()
    return rows_of_lag(lag, by_source=source == "sources")
