"""A verdict in, headers out: `Data-Freshness`, `Data-Freshness-Streams` and the way to the details.

Source: RFC 9651 (structured fields); docs/completeness.md, "What a consumer gets"
"""

from collections.abc import Iterable

from app.ledger.facts import Freshness, StreamLag

STREAMS_SHOWN = 16
BOTH_HEADERS_BYTES = 2048
LAG_PATH = "/v1/ingestion/lag"
VARY = "Authorization, X-API-Key, Accept, Prefer, OData-MaxVersion"


def freshness_headers(freshness: Freshness) -> dict[str, str]:
    """The headers of every answer to a question about data, its caching among them.

    Dates are absolute, so that no cache can falsify them; the worst streams come first.
    """
    summary = write_summary(freshness)
    names = [stream.stream for stream in freshness.streams]
    about = f"{LAG_PATH}?stream={','.join(names[:STREAMS_SHOWN])}" if names else LAG_PATH
    headers = {
        "Data-Freshness": summary,
        "Link": f'<{about}>; rel="describedby"',
        "Cache-Control": "private, no-cache",
        "Vary": VARY,
    }
    members = _fit_members(freshness.streams, BOTH_HEADERS_BYTES - len(summary))
    if members:
        headers["Data-Freshness-Streams"] = members
    return headers


def write_summary(freshness: Freshness) -> str:
    """`Data-Freshness`: an Item; the text before the first `;` is the verdict.

    Source: RFC 9651, section 3.3
    """
    parts = [str(freshness.verdict.state)]
    if freshness.verdict.reason is not None:
        parts.append(f"reason={freshness.verdict.reason}")
    parts.append(f"streams={len(freshness.streams)}")
    if freshness.streams:
        parts.append(f'worst="{freshness.streams[0].stream}"')
    parts.append(f"revision={freshness.revision}")
    parts.append(f"evaluated=@{int(freshness.evaluated_at.timestamp())}")
    return ";".join(parts)


def _fit_members(streams: Iterable[StreamLag], room: int) -> str:
    """`Data-Freshness-Streams`: a List of the worst streams, as many as there is room for."""
    text = ""
    for stream in tuple(streams)[:STREAMS_SHOWN]:
        member = f"{stream.stream};v={stream.verdict.state}"
        if stream.verdict.reason is not None:
            member += f";reason={stream.verdict.reason}"
        longer = f"{text}, {member}" if text else member
        if len(longer) > room:
            break
        text = longer
    return text
