"""An Answer in, OData JSON out: the envelope is written around rows that are JSON text already.

Control information has the prefix `odata.`, which versions 4.0 and 4.01 both read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from app.catalog.fields import Dataset
from app.ledger.facts import Freshness, StreamLag
from app.odata.feed import NAMESPACE, Feed
from app.odata.preferences import Preferences
from app.store.addresses import url_literal

SHOWN_STREAMS = 16


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands around the data of an answer.

    context: the context URL; empty when the caller wants no metadata
    wishes: which annotations the caller wants
    numbers_as_text: whole numbers of 64 bits as text
    """

    context: str
    freshness: Freshness
    wishes: Preferences = field(default_factory=Preferences)
    numbers_as_text: bool = False

    def head(self) -> dict[str, Any]:
        """The members before the data: context and verdict."""
        told: dict[str, Any] = {"@odata.context": self.context} if self.context else {}
        verdict = write_verdict(self.freshness)
        if self.numbers_as_text:
            verdict[f"@{NAMESPACE}.revision"] = str(self.freshness.revision)
        return told | {name: v for name, v in verdict.items() if self.wishes.wants(name[1:])}


def write_page(
    rows: bytes,
    envelope: Envelope,
    *,
    count: int | None,
    next_link: str | None,
    delta_link: str | None = None,
) -> bytes:
    """A collection: control information, the verdict, the rows, the way to the next page or to
    later changes.

    Source: OData JSON Format 4.01, 12
    """
    head = envelope.head()
    if count is not None:
        head["@odata.count"] = str(count) if envelope.numbers_as_text else count
    before = dump(head)[:-1] + b"," if head else b"{"
    tail = b',"@odata.nextLink":' + dump(next_link) if next_link else b""
    tail += b',"@odata.deltaLink":' + dump(delta_link) if delta_link else b""
    return b"".join((before, b'"value":[', rows, b"]", tail, b"}"))


def write_entity(row: bytes, envelope: Envelope) -> bytes:
    """One entity, given as the JSON text of an object (JSON Format 4.01, 6).

    Nothing stands between its context and its type, as readers of streams expect (4.4).
    """
    verdict = envelope.head()
    first = {name: verdict.pop(name) for name in ("@odata.context",) if name in verdict}
    members = (one[1:-1] for one in (dump(first), row, dump(verdict)))
    return b"{%b}" % b",".join(filter(None, members))


def write_property(value: Any, envelope: Envelope, about: dict[str, Any]) -> bytes:
    """One property; an object's members stand beside its context (JSON Format 4.01, 11).

    about: its type or count, where they are to be told
    """
    told = value if isinstance(value, dict) else {"value": value}
    return write_entity(dump(about | told), envelope)


def write_raw_value(value: Any) -> bytes:
    """A primitive value as plain text, for /$value."""
    return value.encode() if isinstance(value, str) else dump(value)


def write_service(feed: Feed, *, with_context: bool) -> bytes:
    """The service document: every set with its title (JSON Format 4.01, 5)."""
    head = {"@odata.context": f"{feed.root}/$metadata"} if with_context else {}
    sets = [
        {
            "name": one.name,
            "title": one.label,
            "kind": "Singleton" if one.singleton else "EntitySet",
            "url": one.name,
        }
        for one in feed.datasets
    ]
    return dump(head | {"value": sets})


def write_verdict(freshness: Freshness | None) -> dict[str, Any]:
    """How complete the data is, as annotations; their terms are declared in $metadata.

    freshness: None when the caller wants no annotations
    """
    if freshness is None:
        return {}
    return {
        f"@{NAMESPACE}.verdict": str(freshness.verdict.state),
        f"@{NAMESPACE}.reason": freshness.verdict.reason,
        f"@{NAMESPACE}.complete_through": freshness.standing.complete_through,
        f"@{NAMESPACE}.revision": freshness.revision,
        f"@{NAMESPACE}.evaluated_at": freshness.evaluated_at,
        f"@{NAMESPACE}.streams": _write_streams(freshness.streams),
    }


@lru_cache(maxsize=256)
def _write_streams(streams: tuple[StreamLag, ...]) -> orjson.Fragment:
    told = [
        {"stream": one.stream, "verdict": str(one.verdict.state), "reason": one.verdict.reason}
        for one in streams[:SHOWN_STREAMS]
    ]
    return orjson.Fragment(orjson.dumps(told))


def dump(value: Any) -> bytes:
    """JSON; times in UTC with Z."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)


# Context URLs: what clients read the columns from (OData Protocol 4.01, 10)


def set_context(feed: Feed, dataset: Dataset, shown: str) -> str:
    """The context URL of rows of a set, or of a singleton, with the columns asked for."""
    return f"{feed.root}/$metadata#{dataset.name}" + (f"({shown})" if shown else "")


def entity_context(feed: Feed, dataset: Dataset, shown: str) -> str:
    """The context URL of one entity."""
    ending = "" if dataset.singleton else "/$entity"
    return f"{set_context(feed, dataset, shown)}{ending}"


def delta_context(feed: Feed, dataset: Dataset, shown: str) -> str:
    """The context URL of changes of a set (OData Protocol 4.01, 10.17)."""
    return f"{set_context(feed, dataset, shown)}/$delta"


def deleted_context(feed: Feed, dataset: Dataset) -> str:
    """The context URL of an entity that is gone (OData JSON Format 4.01, 15.3)."""
    return f"{set_context(feed, dataset, '')}/$deletedEntity"


def property_context(feed: Feed, dataset: Dataset, *, key: Mapping[str, Any], name: str) -> str:
    """The context URL of a property of the entity with this key."""
    held = f"({write_key(dataset, key)})" if dataset.key else ""
    return f"{feed.root}/$metadata#{dataset.name}{held}/{name}"


def write_key(dataset: Dataset, key: Mapping[str, Any]) -> str:
    """A key as it stands in a URL."""
    values = {name: write_literal(key[name]) for name in dataset.key}
    if len(values) == 1:
        return next(iter(values.values()))
    return ",".join(f"{name}={value}" for name, value in values.items())


def write_literal(value: str | int) -> str:
    """A key's value as a literal in a URL."""
    return str(value) if isinstance(value, int) else url_literal(value)
