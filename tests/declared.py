"""What a source says it made, by its own arithmetic: elements, sums and manifests on the wire.

Written from docs/completeness.md and not from the product's code, so that the two check each other.
"""

import hashlib
import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

BUCKET = timedelta(minutes=10)


def lp(text: str) -> bytes:
    """A text behind its length."""
    told = text.encode()
    return struct.pack(">I", len(told)) + told


def stream_of(event: dict[str, Any]) -> str:
    """The stream of a progress event."""
    return str(event["data"]["module_type"])


def element_of(secret: str, event: dict[str, Any], *, environment: str = "acme") -> int:
    """The element of an event, as a number."""
    parts = ("fm1", environment, event["source"], stream_of(event), event["id"])
    framed = b"".join(map(lp, (*parts, event.get("datadigest", ""))))
    key = urlsafe_b64decode(secret + "=")
    return int.from_bytes(hmac.new(key, framed, hashlib.sha256).digest(), "big")


def spell(number: int) -> str:
    """A number as a sum travels."""
    return urlsafe_b64encode((number % 2**256).to_bytes(32, "big")).rstrip(b"=").decode()


def sum_of(secret: str, events: Iterable[dict[str, Any]], *, environment: str = "acme") -> str:
    """The sum of the elements of events."""
    return spell(sum(element_of(secret, event, environment=environment) for event in events))


def a_manifest(
    secret: str,
    events: list[dict[str, Any]],
    *,
    begins: datetime,
    ends: datetime | None = None,
    environment: str = "acme",
    **said: Any,
) -> dict[str, Any]:
    """A manifest of these events, of one bucket of quests unless said otherwise."""
    told = {
        "spec": "fm/1",
        "source": "lms",
        "stream": "quest",
        "from": wire(begins),
        "to": wire(ends or begins + BUCKET),
        "anchor": "record",
        "version": 1,
        "count": len(events),
        "alg": "hmac-sha256/sum256",
        "key_id": "k1",
        "sum": sum_of(secret, events, environment=environment),
    }
    return {name: value for name, value in (told | said).items() if value is not None}


def wire(moment: datetime) -> str:
    """A moment as it travels."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
