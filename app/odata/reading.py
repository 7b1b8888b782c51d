"""An address and its options in, Requests to the pipeline, the answer's body and headers out.

Holds no rule about numbers: what a question means is the planner's, what it finds the database's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import orjson

from app.access.principal import Principal
from app.base.config import Settings
from app.base.errors import UnknownEntity
from app.catalog.fields import Dataset, Field, Navigation, Type
from app.ledger.facts import Freshness
from app.odata.feed import Feed
from app.odata.formats import PageWish
from app.odata.options import SYSTEM, Options, QueryString, next_query, read_options, refuse_options
from app.odata.path import Address, Kind
from app.odata.writer import (
    entity_context,
    property_context,
    set_context,
    write_entity,
    write_page,
    write_property,
    write_raw_value,
)
from app.query.answer import Answer, run_plan
from app.query.grammar import parse_expression
from app.query.plan import make_plan
from app.query.request import Expand, Request
from app.store.engine import Store

PLAIN_TEXT = "text/plain;charset=utf-8"
ALLOWED = {
    Kind.SET: SYSTEM,
    Kind.COUNT: tuple(name for name in SYSTEM if name not in {"skiptoken", "count"}),
    Kind.ENTITY: ("select", "expand", "format"),
    Kind.PROPERTY: ("format",),
    Kind.VALUE: ("format",),
}


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks what of which store.

    wish: the page size the caller prefers
    datasets: every dataset there is, also those the feed does not show this caller
    path: the raw path below the service root, for the link to the next page
    """

    principal: Principal
    store: Store
    settings: Settings
    datasets: tuple[Dataset, ...]
    feed: Feed
    query: QueryString
    path: str
    with_context: bool
    wish: PageWish | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read.

    body: None when there is nothing at the address, which is 204
    media_type: empty for JSON
    """

    body: str | None
    freshness: Freshness
    media_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def read_address(asker: Asker, address: Address) -> Reading:
    """The answer to a request for data.

    Raises: every error of the planner, of the pages and of the options
    """
    refuse_options(asker.query, ALLOWED[address.kind], f"a {address.kind}")
    options = read_options(asker.query, address.dataset, feed=asker.feed, limits=asker.settings)
    if address.kind is Kind.ENTITY:
        return read_entity(asker, address, options)
    if address.kind in {Kind.PROPERTY, Kind.VALUE}:
        return read_property(asker, address)
    return read_rows(asker, address, options)


def ask(asker: Asker, request: Request) -> Answer:
    """The answer of the one pipeline."""
    plan = make_plan(request, asker.principal, asker.settings, datasets=asker.datasets)
    return run_plan(plan, asker.store)


# Several rows


def read_rows(asker: Asker, address: Address, options: Options) -> Reading:
    """A page of a set or of the rows behind a navigation, or their count."""
    where = bound_condition(asker, address, options.where)
    if address.kind is Kind.COUNT:
        counted = ask(
            asker,
            Request(
                dataset=address.dataset.name,
                where=where,
                count_only=True,
                aliases=options.aliases,
                as_of=options.as_of,
            ),
        )
        return Reading(str(counted.total), counted.freshness, PLAIN_TEXT)
    answer = ask(asker, page_request(asker, address, options=options, where=where))
    shown = options.selection.shown
    link = next_query(asker.query, answer.next) if answer.next else None
    body = write_page(
        answer.rows_json,
        context=set_context(asker.feed, address.dataset, shown) if asker.with_context else "",
        freshness=answer.freshness,
        count=answer.total if options.count else None,
        next_link=f"{asker.feed.root}/{asker.path}?{link}" if link else None,
    )
    wish = asker.wish
    applied = {"Preference-Applied": f"{wish.name}={wish.rows}"} if wish else {}
    return Reading(body, answer.freshness, headers=applied)


def page_request(asker: Asker, address: Address, *, options: Options, where: str) -> Request:
    """The question for one page of rows."""
    return Request(
        dataset=address.dataset.name,
        select=options.selection.select,
        expand=options.selection.expand,
        where=where,
        order_text=options.order,
        top=options.top,
        skip=options.skip,
        count=options.count,
        after=options.token,
        page_rows=asker.wish.rows if asker.wish else None,
        aliases=options.aliases,
        as_of=options.as_of,
    )


def bound_condition(asker: Asker, address: Address, where: str) -> str:
    """The caller's condition, and that the rows belong to the entity the path came by.

    Raises: BadSyntax, for a condition that is none by itself
    """
    if not address.way:
        return where
    *before, last = address.way
    wanted = tuple(own for own, _ in last.pairs)
    source = before[-1].target if before else address.start.name
    found = fetch(asker, address, way=tuple(before), select=wanted)[0]
    if found is None:
        raise UnknownEntity(f"there is no such entity of {source}")
    target = asker.feed.target(last)
    terms = []
    for own, theirs in last.pairs:
        if found[own] is None:
            return "false"
        terms.append(f"{theirs} eq {filter_literal(target.field(theirs), found[own])}")
    if where:
        parse_expression(where)
        terms.append(f"({where})")
    return " and ".join(terms)


def filter_literal(target: Field | None, value: Any) -> str:
    """A value as the expression language spells it."""
    if isinstance(value, str) and (target is None or target.type in {Type.TEXT, Type.ENUM}):
        return "'" + value.replace("'", "''") + "'"
    return (
        orjson.dumps(value).decode() if not isinstance(value, (str, date, datetime)) else str(value)
    )


# One row


def read_entity(asker: Asker, address: Address, options: Options) -> Reading:
    """One entity, by its key or at the end of navigations to one row."""
    selection = options.selection
    row, freshness = fetch_text(asker, address, options)
    if row is None:
        return Reading(None, freshness)
    context = entity_context(asker.feed, address.dataset, selection.shown)
    return Reading(
        write_entity(row, context=context if asker.with_context else "", freshness=freshness),
        freshness,
    )


def read_property(asker: Asker, address: Address) -> Reading:
    """One property, as JSON or bare; 204 when it is null (OData Protocol 4.01, 11.2.4)."""
    if address.field is None:
        raise UnknownEntity("there is no property at this address")
    name = address.field.name
    key_and_value = tuple(dict.fromkeys((*address.dataset.key, name)))
    row, freshness = fetch(asker, address, way=address.way, select=key_and_value)
    if row is None:
        raise UnknownEntity(f"there is no such entity of {address.dataset.name}")
    value = row[name]
    if value is None:
        return Reading(None, freshness)
    if address.kind is Kind.VALUE:
        return Reading(write_raw_value(value), freshness, PLAIN_TEXT)
    context = property_context(asker.feed, address.dataset, key=row, name=name)
    return Reading(
        write_property(value, context=context if asker.with_context else "", freshness=freshness),
        freshness,
    )


def fetch(
    asker: Asker, address: Address, *, way: tuple[Navigation, ...], select: tuple[str, ...]
) -> tuple[dict[str, Any] | None, Freshness]:
    """Columns of the one row at the end of this way from the entity, or None when none is there."""
    request, names = entity_request(address, way=way, select=select, expand=())
    answer = ask(asker, request)
    return dig(orjson.loads(answer.rows_json), names), answer.freshness


def fetch_text(asker: Asker, address: Address, options: Options) -> tuple[str | None, Freshness]:
    """What is selected of that row as JSON text; the database's own when the way is empty."""
    chosen = options.selection
    request, names = entity_request(
        address, way=address.way, select=chosen.select, expand=chosen.expand
    )
    answer = ask(asker, replace(request, aliases=options.aliases, as_of=options.as_of))
    if not names:
        return answer.rows_json, answer.freshness
    row = dig(orjson.loads(answer.rows_json), names)
    return (None if row is None else orjson.dumps(row).decode()), answer.freshness


def entity_request(
    address: Address,
    *,
    way: tuple[Navigation, ...],
    select: tuple[str, ...],
    expand: tuple[Expand, ...],
) -> tuple[Request, tuple[str, ...]]:
    """The question for one row: a way to another row is a chain of expanded navigations."""
    names = tuple(navigation.name for navigation in way)
    for place in range(len(way) - 1, -1, -1):
        expand = (Expand(names[place], select, expand),)
        own = way[place].pairs
        select = tuple(pair[0] for pair in own)
    return Request(address.start.name, select=select, expand=expand, key=address.key), names


def dig(row: dict[str, Any] | None, names: tuple[str, ...]) -> dict[str, Any] | None:
    """The object at the end of nested ones, or None where the way breaks off."""
    for name in names:
        row = row[name] if row is not None else None
    return row
