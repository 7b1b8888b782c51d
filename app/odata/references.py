"""Requests that say in other words what they ask: a posted query, `$entity?$id=`, `$1` in a batch.

The call in, the same call or path spelled out, which needs nothing beside it. Asks no database.
"""

import re
from dataclasses import replace
from urllib.parse import urlsplit

from app.base.config import Settings
from app.base.errors import BadOption, BodyTypeUnknown, UrlTooLong
from app.intake.unpack import unpack_body
from app.odata.calls import Call, readable
from app.odata.feed import Feed
from app.odata.formats import read_range
from app.odata.options import QueryString, split_query
from app.odata.path import Address, Kind, read_path
from app.odata.writer import write_key, write_literal

BATCH, QUERY, ENTITY, METADATA = "$batch", "$query", "$entity", "$metadata"
# What a request's name never stands for (JSON Format 4.01, 19.1).
SYSTEM_RESOURCES = frozenset({BATCH, "$crossjoin", "$all", ENTITY, "$root", "$id", METADATA})

QUOTED = re.compile(r"'[^']*'")


def posts_query(path: str) -> bool:
    """Does a path end in `/$query`?"""
    return path.split("/")[-1] == QUERY


def unfold_query(call: Call, settings: Settings) -> Call:
    """The GET that a POST to `/$query` stands for: its body is the query string.

    Raises: BodyTypeUnknown, BodyEncodingUnknown, BodyNotUnpacked, BodyTooLarge, UrlTooLong
    Source: OData URL Conventions 4.01, 4.17
    """
    if read_range(call.header("content-type")).type != "text/plain":
        raise BodyTypeUnknown("$query reads its options as text/plain")
    body = unpack_body(call.body, call.header("content-encoding"), settings).strip()
    check_length(len(body), settings)
    text = readable(body)
    both = "&".join(filter(None, (call.query, text)))
    return replace(call, method="GET", path=call.path.removesuffix(QUERY).strip("/"), query=both)


def check_length(length_bytes: int, settings: Settings) -> None:
    """Refuse a question that no link to its next page could hold, also where it came in a body.

    Raises: UrlTooLong
    """
    if length_bytes > settings.limit_url_bytes:
        raise UrlTooLong(
            f"the question has {length_bytes} bytes, {settings.limit_url_bytes} are allowed",
            hint="Send a long question as the body of POST /v1/query.",
        )


def resolve_entity_id(call: Call, query: QueryString, feed: Feed) -> tuple[Call, QueryString]:
    """The request for the entity that `$entity?$id=` names; a cast may stand behind `$entity`.

    Raises: BadOption, for what is no id; what reading it as a path raises
    Source: OData URL Conventions 4.01, 4.10
    """
    if call.path.partition("/")[0] != ENTITY:
        return call, query
    local = localize_id(query.system.get("id", ""), feed)
    if not local or read_path(local, feed, aliases=query.aliases).kind is not Kind.ENTITY:
        raise BadOption(
            "$entity needs the id of an entity of this service",
            hint="An id is the address of one entity, such as Modules(1).",
            target="$id",
        )
    system = {name: text for name, text in query.system.items() if name != "id"}
    pairs = tuple(pair for pair in query.pairs if pair[0] != "id")
    path = f"{local}{call.path.removeprefix(ENTITY)}"
    return replace(call, path=path), replace(query, system=system, pairs=pairs)


def localize_id(entity_id: str, feed: Feed) -> str:
    """An id relative to the service; empty for one that is elsewhere, or no path of data."""
    for root in (f"{feed.root}/", f"{urlsplit(feed.root).path}/"):
        if entity_id.startswith(root):
            entity_id = entity_id.removeprefix(root)
            break
    bare = QUOTED.sub("", entity_id)  # Keys may hold anything.
    is_path = not bare.startswith(("/", "$")) and not any(
        sign in bare for sign in ("://", "?", "#")
    )
    return entity_id if is_path else ""


def spell_path(call: Call, feed: Feed, settings: Settings) -> str:
    """The path of what a request was answered with, which needs no query: of an entity its
    address, with the values of parameters and of `$id`; of anything else as it was.

    Raises: what the request itself would
    """
    if posts_query(call.path):
        call = unfold_query(call, settings)
    call, query = resolve_entity_id(call, split_query(call.query), feed)
    address = read_path(call.path, feed, aliases=query.aliases)
    return spell_entity(address) if address.kind is Kind.ENTITY else call.path


def spell_entity(address: Address) -> str:
    """The path of an entity by its key, and by the navigations to it from there."""
    start = address.start
    if set(address.key) == set(start.key):
        key = write_key(start, address.key) if address.key else ""
    else:
        key = ",".join(f"{name}={write_literal(value)}" for name, value in address.key.items())
    first = f"{start.name}({key})" if key else start.name
    return "/".join([first, *(navigation.name for navigation in address.way)])
