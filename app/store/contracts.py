"""Rows of contracts: intake writes them for a new source, the ledger changes and reads them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, select

from app.learning.contracts import Contract
from app.store.dialect import upsert_rows
from app.store.evidence import note_evidence
from app.store.tables import Stream
from app.store.tables.columns import table_of

_KEY = ("environment_id", "source_id", "stream")
_TERMS = (
    "from_at",
    "bucket_s",
    "close_delay_s",
    "grace_s",
    "objective_s",
    "heartbeat_s",
    "lateness_s",
    "stall_s",
    "skew_s",
    "required_anchor",
)


def write_contracts(
    connection: Connection, environment_id: int, source_id: int, contracts: Mapping[str, Contract]
) -> None:
    """Put the streams of a source under contract, or under other terms."""
    rows = [
        (
            environment_id,
            source_id,
            stream,
            *[getattr(contract, name) for name in _TERMS],
            orjson.dumps(contract.shards).decode(),
            None,
        )
        for stream, contract in contracts.items()
    ]
    columns = (*_TERMS, "shards", "removed_at")
    upsert_rows(connection, table_of(Stream), (*_KEY, *columns), rows, key=_KEY, update=columns)
    note_evidence(connection, environment_id)


def end_contract(
    connection: Connection,
    environment_id: int,
    source_id: int,
    stream: str,
    *,
    removed_at: datetime,
) -> None:
    """Let a source owe a stream no more; the row stays, for what was declared under it."""
    table = table_of(Stream)
    connection.execute(
        table.update()
        .where(
            table.c.environment_id == environment_id,
            table.c.source_id == source_id,
            table.c.stream == stream,
        )
        .values(removed_at=removed_at)
    )
    note_evidence(connection, environment_id)


def read_contracts(
    connection: Connection,
    environment_id: int,
    *,
    source_id: int | None = None,
    also_removed: bool = False,
) -> dict[tuple[int, str], Contract]:
    """Give the contracts that are in force, of all sources or of one, by source and stream."""
    table = table_of(Stream)
    statement = select(table).where(table.c.environment_id == environment_id)
    if not also_removed:
        statement = statement.where(table.c.removed_at.is_(None))
    if source_id is not None:
        statement = statement.where(table.c.source_id == source_id)
    rows = connection.execute(statement).mappings()
    return {(row["source_id"], row["stream"]): contract_of(dict(row)) for row in rows}


def contract_of(row: Mapping[str, Any]) -> Contract:
    """Give the contract of a row."""
    terms = {name: row[name] for name in _TERMS}
    return Contract(**terms, shards=tuple(orjson.loads(row["shards"])))
