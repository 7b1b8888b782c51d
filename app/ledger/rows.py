"""Lag in, rows of the datasets IngestionLag and IngestionLagSources out."""

from typing import Any

from app.base.clock import format_time
from app.ledger.facts import Lag, StreamLag


def rows_of_lag(lag: Lag, *, by_source: bool) -> list[dict[str, Any]]:
    """One row per stream, or per source and stream; what evidence would tell is null.

    Source: docs/completeness.md, "Lag"
    """
    streams = lag.sources if by_source else lag.streams
    return [_row_of_stream(stream, lag) for stream in streams]


def _row_of_stream(stream: StreamLag, lag: Lag) -> dict[str, Any]:
    counts = stream.counts
    return {
        "source": stream.source,
        "stream": stream.stream,
        "kind": stream.kind,
        "verdict": stream.verdict.state.value,
        "reason": stream.verdict.reason,
        "processing_lag_s": stream.processing_lag_s,
        "received": counts["received"],
        "applied": counts["applied"] + counts["superseded"],
        "duplicate": counts["duplicate"],
        "conflict": counts["conflict"],
        "quarantined": stream.quarantined,
        "pending": stream.pending,
        "dead": counts["dead"],
        "last_received_at": _text(stream.last_received_at),
        "last_applied_at": _text(stream.last_applied_at),
        "evaluated_at": format_time(lag.evaluated_at),
    }


def _text(moment: Any) -> str | None:
    return None if moment is None else format_time(moment)
