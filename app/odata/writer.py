"""An Answer in, OData JSON out: the envelope is written around rows that are JSON text already.

Control information has the prefix `odata.`, which versions 4.0 and 4.01 both read.
"""

from typing import Any
from urllib.parse import quote

import orjson

from app.catalog.fields import Dataset
from app.ledger.facts import Freshness
from app.odata.feed import NAMESPACE, Feed

JSON_TYPE = "application/json;odata.metadata={level};charset=utf-8"
SHOWN_STREAMS = 16


def write_page(
    rows: str, *, context: str, freshness: Freshness, count: int | None, next_link: str | None
) -> str:
    """A collection: control information, the verdict, the rows, the way to the next page.

    context: empty when the caller wants no metadata
    Source: OData JSON Format 4.01, 12
    """
    head: dict[str, Any] = {"@odata.context": context} if context else {}
    if count is not None:
        head["@odata.count"] = count
    head |= write_verdict(freshness)
    tail = f',"@odata.nextLink":{dump(next_link)}' if next_link else ""
    return f'{dump(head)[:-1]},"value":[{rows}]{tail}}}'


def write_entity(row: str, *, context: str, freshness: Freshness) -> str:
    """One entity, given as the JSON text of an object (JSON Format 4.01, 6)."""
    head: dict[str, Any] = {"@odata.context": context} if context else {}
    head |= write_verdict(freshness)
    return f"{dump(head)[:-1]}{',' if row != '{}' else ''}{row[1:]}"


def write_property(value: Any, *, context: str, freshness: Freshness) -> str:
    """One property; an object's members stand beside its context (JSON Format 4.01, 11)."""
    head: dict[str, Any] = {"@odata.context": context} if context else {}
    head |= write_verdict(freshness)
    return dump(head | (value if isinstance(value, dict) else {"value": value}))


def write_raw_value(value: Any) -> str:
    """A primitive value as plain text, for /$value."""
    return value if isinstance(value, str) else dump(value)


def write_service(feed: Feed, *, with_context: bool) -> str:
    """The service document: every set with its title (JSON Format 4.01, 5)."""
    head = {"@odata.context": f"{feed.root}/$metadata"} if with_context else {}
    sets = [
        {"name": one.name, "title": one.label, "kind": "EntitySet", "url": one.name}
        for one in feed.datasets
    ]
    return dump(head | {"value": sets})


def write_verdict(freshness: Freshness) -> dict[str, Any]:
    """How complete the data is, as annotations; their terms are declared in $metadata."""
    return {
        f"@{NAMESPACE}.verdict": str(freshness.verdict.state),
        f"@{NAMESPACE}.reason": freshness.verdict.reason,
        f"@{NAMESPACE}.revision": freshness.revision,
        f"@{NAMESPACE}.evaluated_at": freshness.evaluated_at,
        f"@{NAMESPACE}.streams": [
            {
                "stream": one.stream,
                "verdict": str(one.verdict.state),
                "reason": one.verdict.reason,
            }
            for one in freshness.streams[:SHOWN_STREAMS]
        ],
    }


def dump(value: Any) -> str:
    """JSON text; times in UTC with Z."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()


# Context URLs: what clients read the columns from (OData Protocol 4.01, 10)


def set_context(feed: Feed, dataset: Dataset, shown: str) -> str:
    """The context URL of rows of a set, with the columns asked for."""
    return f"{feed.root}/$metadata#{dataset.name}" + (f"({shown})" if shown else "")


def entity_context(feed: Feed, dataset: Dataset, shown: str) -> str:
    """The context URL of one entity."""
    return f"{set_context(feed, dataset, shown)}/$entity"


def property_context(feed: Feed, dataset: Dataset, *, key: dict[str, Any], name: str) -> str:
    """The context URL of a property of the entity with this key."""
    return f"{feed.root}/$metadata#{dataset.name}({write_key(dataset, key)})/{name}"


def write_key(dataset: Dataset, key: dict[str, Any]) -> str:
    """A key as it stands in a URL."""
    values = {name: write_literal(key[name]) for name in dataset.key}
    if len(values) == 1:
        return next(iter(values.values()))
    return ",".join(f"{name}={value}" for name, value in values.items())


def write_literal(value: str | int) -> str:
    """A key's value as a literal in a URL: text in quotes and percent-encoded."""
    if isinstance(value, int):
        return str(value)
    return f"'{quote(value.replace(chr(39), chr(39) * 2), safe='')}'"
