"""Lag and verdicts per stream, and the books: what is known of the data's completeness."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from app.base.clock import now
from app.base.errors import BadOption, UnknownName
from app.http.caller import Config, OpenStore, Reader
from app.http.stream import data_response, json_response, write_json
from app.learning.modules import STREAM_NAMES
from app.ledger.books import read_books
from app.ledger.facts import Freshness, Lag, StreamLag, freshness_of, read_lag
from app.store.engine import snapshot

router = APIRouter(prefix="/v1", tags=["completeness"])

StreamNames = Annotated[
    str, Query(max_length=1000, description="Streams by name, separated by commas; all by default.")
]
SourceName = Annotated[str, Query(max_length=200, description="Only this source.")]


@router.get("/ingestion/lag")
def get_ingestion_lag(
    caller: Reader,
    store: OpenStore,
    settings: Config,
    stream: StreamNames = "",
    source: SourceName = "",
) -> Response:
    """How far each stream is and what may be said of it: per module type, and per source."""
    names = _read_names(stream)
    with snapshot(store, limit_s=settings.limit_query_s) as connection:
        lag = read_lag(connection, caller.environment_id, now=now())
    rows = tuple(row for row in lag.streams if row.stream in names)
    if source:
        rows = tuple(row for row in lag.sources if row.source == source and row.stream in names)
        if not any(row.source == source for row in lag.sources):
            raise UnknownName("there is no source of this name here", hint="See GET /v1/sources.")
    freshness = freshness_of(lag, names)
    body = write_json(_write_lag(lag, rows, freshness)).decode()
    return data_response(body, freshness)


@router.get("/books")
def get_books(caller: Reader, store: OpenStore, settings: Config) -> Response:
    """Do the books balance: everything received is accounted for, in each stream."""
    with snapshot(store, limit_s=settings.limit_query_s) as connection:
        books = read_books(connection, caller.environment_id)
    return json_response(books.as_dict())


def _read_names(stream: str) -> tuple[str, ...]:
    asked = [name.strip() for name in stream.split(",") if name.strip()]
    for name in asked:
        if name not in STREAM_NAMES:
            raise BadOption(
                f"there is no stream {name[:100]!r}",
                hint=f"Streams are {', '.join(STREAM_NAMES)}.",
                target="stream",
            )
    return tuple(name for name in STREAM_NAMES if name in asked) or STREAM_NAMES


def _write_lag(lag: Lag, rows: tuple[StreamLag, ...], freshness: Freshness) -> dict[str, Any]:
    return {
        "environment": lag.environment_key,
        "evaluated_at": lag.evaluated_at,
        "revision": lag.revision,
        "verdict": str(freshness.verdict.state),
        "reason": freshness.verdict.reason,
        "streams": [_write_stream(row, moment=lag.evaluated_at) for row in rows],
    }


def _write_stream(row: StreamLag, *, moment: datetime) -> dict[str, Any]:
    """A stream; what only the source's own word could tell is null, not zero."""
    told: dict[str, Any] = {
        "stream": row.stream,
        "kind": row.kind,
        "verdict": str(row.verdict.state),
        "reason": row.verdict.reason,
        "complete_through": None,
        "settled_through": None,
        "confirmed_through": None,
        "data_lag_s": None,
        "objective_s": None,
        "last_received_at": row.last_received_at,
        "last_applied_at": row.last_applied_at,
        "lag": {
            "generation_s": None,
            "transport_s": None,
            "processing_s": row.processing_lag_s,
            "evidence_age_s": None,
        },
        "counts": {
            **row.counts,
            "declared": None,
            "missing": None,
            "surplus": None,
            "quarantined": row.quarantined,
            "pending": row.pending,
        },
        "assurance": None,
    }
    if row.source:
        told = {"source": row.source, "sealed": row.is_sealed, **told}
    else:
        told["sources"] = [_write_stream(part, moment=moment) for part in row.sources]
    return told
