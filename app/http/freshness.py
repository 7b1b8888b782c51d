"""A verdict in, headers out: `Data-Freshness`, `Data-Freshness-Streams`, the receipt, the way to
the details. What a caller demands is read from the options of its front.

Source: RFC 9651 (structured fields); docs/completeness.md, "What a consumer gets"
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from app.ledger.facts import Freshness, StreamLag
from app.query.demand import DEMANDS, Demand, read_demand

STREAMS_SHOWN = 16
BOTH_HEADERS_BYTES = 2048
LAG_PATH = "/v1/ingestion/lag"
VARY = "Authorization, X-API-Key, Accept, Prefer, OData-MaxVersion"


def freshness_headers(freshness: Freshness, *, tag: str = "") -> dict[str, str]:
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
    optional = {
        "Data-Freshness-Streams": members,
        "Data-Receipt": freshness.receipt,
        "ETag": tag,
    }
    return headers | {name: value for name, value in optional.items() if value}


def write_summary(freshness: Freshness) -> str:
    """`Data-Freshness`: an Item; the text before the first `;` is the verdict.

    Source: RFC 9651, section 3.3
    """
    standing, verdict = freshness.standing, freshness.verdict
    worst = freshness.streams[0].stream if freshness.streams else None
    parts = [str(verdict.state), *_tell_reason(freshness)]
    parts += _tell("through", _date(standing.complete_through))
    parts += _tell("target", _date(standing.target_at))
    parts += _tell("missing", standing.missing)
    parts.append(f"streams={len(freshness.streams)}")
    parts += _tell("worst", None if worst is None else _quote_text(worst))
    parts += _tell("assurance", standing.assurance)
    parts += ["weak"] if standing.is_weak else []
    parts.append(f"settled=?{int(freshness.is_settled)}")
    parts += ["clipped=?1"] if freshness.is_clipped else []
    parts.append(f"revision={freshness.revision}")
    parts += _tell("evaluated", _date(freshness.evaluated_at))
    return ";".join(parts)


def demand_of(
    given: Mapping[str, str],
    if_none_match: str,
    *,
    address: str,
    floor: str = "",
    variant: tuple[Any, ...] = (),
) -> Demand:
    """What a request demands of the freshness of its answer, and what it has already.

    given: its options
    if_none_match: the header of this name
    floor: what its front requires whatever it says
    Raises: BadOption
    """
    return read_demand(
        given,
        floor=floor,
        if_none_match=if_none_match,
        address=address,
        variant=variant,
    )


def without_demands(given: Mapping[str, str]) -> dict[str, str]:
    """The options that are none of freshness."""
    return {name: value for name, value in given.items() if name not in DEMANDS}


def _tell_reason(answered: Freshness | StreamLag) -> list[str]:
    verdict = answered.verdict
    return [*_tell("reason", verdict.reason), *(["waived"] if verdict.is_waived else [])]


@lru_cache(maxsize=256)
def _fit_members(streams: tuple[StreamLag, ...], room: int) -> str:
    """`Data-Freshness-Streams`: a List of the worst streams, as many as there is room for."""
    text = ""
    for stream in streams[:STREAMS_SHOWN]:
        standing = stream.standing
        parts = [stream.stream, f"v={stream.verdict.state}", *_tell_reason(stream)]
        parts += _tell("through", _date(standing.complete_through))
        parts += _tell("missing", standing.missing)
        if standing.source.isascii() and standing.source:
            parts.append(f"source={_quote_text(standing.source)}")
        member = ";".join(parts)
        longer = f"{text}, {member}" if text else member
        if len(longer) > room:
            break
        text = longer
    return text


def _tell(name: str, value: Any) -> list[str]:
    """A parameter; nothing when it is not known."""
    return [] if value is None else [f"{name}={value}"]


def _date(moment: datetime | None) -> str | None:
    """A Date of whole seconds (RFC 9651, section 3.3.7)."""
    return None if moment is None else f"@{int(moment.timestamp())}"


def _quote_text(text: str) -> str:
    """A String; only ASCII without control characters is one (RFC 9651, section 3.3.3)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
