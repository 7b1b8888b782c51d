"""Lag and verdict in, rows of the datasets IngestionLag, IngestionLagSources and Freshness out."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from app.base.clock import format_time
from app.ledger.facts import Freshness, Lag, StreamLag, freshness_of
from app.ledger.standing import Standing


def rows_of_lag(lag: Lag, *, by_source: bool) -> list[dict[str, Any]]:
    """One row per stream, or per source and stream; what evidence did not tell is null.

    Source: docs/completeness.md, "Lag"
    """
    streams = lag.sources if by_source else lag.streams
    return [_row_of_stream(stream, lag) for stream in streams]


def row_of_verdict(lag: Lag) -> dict[str, Any]:
    """The one row that says how all streams together stand."""
    freshness = freshness_of(lag, [stream.stream for stream in lag.streams])
    worst = freshness.streams[0].stream if freshness.streams else None
    return {
        "worst_stream": worst,
        "streams_count": len(freshness.streams),
        "revision": lag.revision,
        **_judged(freshness.standing, lag.evaluated_at),
    }


def describe_assurance(standing: Standing) -> str | None:
    """What the evidence was counted from, and whether part of it is only counted."""
    if standing.assurance is None:
        return None
    return f"{standing.assurance};weak" if standing.is_weak else standing.assurance


def streams_of(freshness: Freshness) -> Iterable[dict[str, Any]]:
    """The touched streams of an answer, worst first, as its body tells them."""
    for one in freshness.streams:
        yield {
            "stream": one.stream,
            "verdict": str(one.verdict.state),
            "reason": one.verdict.reason,
            "through": one.standing.complete_through,
        }


def _judged(standing: Standing, now: datetime) -> dict[str, Any]:
    return {
        "verdict": standing.verdict.state.value,
        "reason": standing.verdict.reason,
        "waived": standing.verdict.is_waived,
        "complete_through": _text(standing.complete_through),
        "settled_through": _text(standing.settled_through),
        "confirmed_through": _text(standing.confirmed_through),
        "data_lag_s": standing.data_lag_s(now),
        "missing": standing.missing,
        "assurance": describe_assurance(standing),
        "evaluated_at": format_time(now),
    }


def _row_of_stream(stream: StreamLag, lag: Lag) -> dict[str, Any]:
    counts, standing = stream.counts, stream.standing
    return {
        "source": stream.source,
        "stream": stream.stream,
        "kind": stream.kind,
        **_judged(standing, lag.evaluated_at),
        "generation_lag_s": standing.generation_lag_s,
        "transport_lag_s": standing.transport_lag_s,
        "processing_lag_s": stream.processing_lag_s,
        "evidence_age_s": standing.evidence_age_s(lag.evaluated_at),
        "objective_s": standing.objective_s,
        "declared": standing.declared,
        "surplus": standing.surplus,
        "received": counts["received"],
        "applied": counts["applied"] + counts["superseded"],
        "duplicate": counts["duplicate"],
        "conflict": counts["conflict"],
        "quarantined": stream.quarantined,
        "pending": stream.pending,
        "dead": counts["dead"],
        "last_received_at": _text(stream.last_received_at),
        "last_applied_at": _text(stream.last_applied_at),
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
