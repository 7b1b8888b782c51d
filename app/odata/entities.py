"""One row: an entity by its key or at the end of a way, its properties, its reference.

A way over navigations to one row is one question: a chain of expanded navigations.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Any

import orjson

from app.base.errors import UnknownEntity
from app.catalog.fields import Dataset, Field, Navigation, Type
from app.odata.asking import (
    PLAIN_TEXT,
    Asker,
    Reading,
    plan_question,
    run_question,
    unchanged_reading,
)
from app.odata.options import Options, read_moment, read_revision
from app.odata.path import Address, Kind
from app.odata.rows import ID, dress_count, dress_rows, dress_value
from app.odata.selection import Selection, select_members
from app.odata.writer import (
    entity_context,
    property_context,
    write_entity,
    write_property,
    write_raw_value,
)
from app.query.answer import Answer
from app.query.grammar import parse_expression, parse_orderby
from app.query.plan import Plan
from app.query.request import TYPE_ENDING, Expand, Request
from app.query.searches import parse_search
from app.query.tokens import name_members_this

# What chooses among the members of a list, by a path of its own.
LIST_TEXTS: dict[str, Callable[[str], object]] = {
    "filter": parse_expression,
    "search": parse_search,
    "orderby": parse_orderby,
}
LIST_OPTIONS = (*LIST_TEXTS, "top", "skip", "count")


def read_entity(asker: Asker, address: Address, options: Options) -> Reading:
    """One entity, by its key or at the end of navigations to one row."""
    selection = options.selection
    dress = asker.dress(address.dataset, selection)
    request = entity_request(
        asker,
        address,
        way=address.way,
        select=selection.select,
        expand=selection.expand,
        compute=options.compute,
        aliases=options.aliases,
        id_name="" if asker.style.level == "none" and not dress.needs_ids else ID,
        id_always=dress.needs_ids,
        tell_type=asker.tell_type,
        tell_dates=asker.tell_dates,
    )
    plan = plan_question(asker, request, is_tagged=True)
    answer = find_one(asker, address, plan)
    if answer.is_unchanged:
        return unchanged_reading(answer)
    etag = answer.tag
    row: bytes | None = answer.rows_json
    if address.way:
        found = dig(orjson.loads(answer.rows_json), address.way)
        row = None if found is None else orjson.dumps(found)
    if row is None:
        return Reading(None, answer.freshness, etag=etag)
    dress = asker.dress(address.dataset, selection, plan, address.way)
    shown = selection.shown(asker.version)
    context = entity_context(asker.feed, address.dataset, shown)
    body = write_entity(dress_rows(row, dress), asker.envelope(context, answer.freshness))
    return Reading(body, answer.freshness, etag=etag)


def read_reference(asker: Asker, address: Address) -> Reading:
    """The address of one entity, alone (OData Protocol 4.01, 11.2.8)."""
    row, answer = fetch_row(asker, address, way=address.way, select=address.dataset.key)
    if row is None:
        return Reading(None, answer.freshness)
    envelope = asker.envelope(f"{asker.feed.root}/$metadata#$ref", answer.freshness)
    reference = orjson.dumps({ID: row[ID]})
    return Reading(write_entity(reference, envelope), answer.freshness)


# Properties


def read_property(asker: Asker, address: Address) -> Reading:
    """One property, as JSON, bare, or counted; 204 when it is null (Protocol 4.01, 11.2.4)."""
    if address.field is None:
        raise UnknownEntity("there is no property at this address")
    column = name = address.field.name
    select = asker.query.system.get("select")
    selection = Selection() if select is None else select_members(select, name)
    if address.is_list:
        # A count is that of all members that meet the conditions.
        choosing = LIST_TEXTS if address.kind is Kind.COUNT else LIST_OPTIONS
        column = spell_members(asker, name, choosing)
    key_and_value = tuple(dict.fromkeys((*address.dataset.key, column)))
    row, answer = fetch_row(asker, address, way=address.way, select=key_and_value)
    if row is None:
        raise UnknownEntity(f"there is no such entity of {address.dataset.name}")
    dress = asker.dress(address.dataset, selection)
    told = dress_value(address.field, row[name], dress) | dress_count(name, row, dress)
    value, path = told.pop(name, None), name
    if selection.names:
        path += f"({','.join(selection.names)})"
    if address.member:
        members, path = value or {}, f"{name}/{address.member}"
        value = members.get(address.member)
        kind = members.get(f"{address.member}{TYPE_ENDING}")
        told = {f"{name}{TYPE_ENDING}": kind} if kind else {}
    freshness = answer.freshness
    if value is None:
        return Reading(None, freshness)
    if address.kind is Kind.COUNT:
        return Reading(str(len(value)).encode(), freshness, PLAIN_TEXT)
    if address.kind is Kind.VALUE:
        return Reading(write_raw_value(value), freshness, PLAIN_TEXT)
    context = property_context(asker.feed, address.dataset, key=row, name=path)
    about = {key.removeprefix(name): text for key, text in told.items()}
    return Reading(write_property(value, asker.envelope(context, freshness), about), freshness)


def spell_members(asker: Asker, name: str, options: Iterable[str]) -> str:
    """A list as `$select` names it, with these options of the request, which choose its members.

    Raises: BadSyntax, for a text that is none by itself
    Source: OData URL Conventions 4.01, 5.1.1.14: `$it` is each member of what a path leads to
    """
    system = asker.query.system
    for key, parse in LIST_TEXTS.items():
        if key in system:
            parse(system[key])
    told = (f"${key}={name_members_this(system[key])}" for key in options if key in system)
    chosen = ";".join(told)
    return f"{name}({chosen})" if chosen else name


# Questions for one row


def fetch_row(
    asker: Asker, address: Address, *, way: tuple[Navigation, ...], select: tuple[str, ...]
) -> tuple[dict[str, Any] | None, Answer]:
    """Columns of the one row at the end of this way from the entity, or None when none is there."""
    request = entity_request(
        asker,
        address,
        way=way,
        select=select,
        aliases=asker.query.aliases,
        id_name=ID,
        id_always=True,
        tell_dates=asker.tell_dates,
    )
    answer = find_one(asker, address, plan_question(asker, request))
    return dig(orjson.loads(answer.rows_json), way), answer


def find_one(asker: Asker, address: Address, plan: Plan) -> Answer:
    """The answer that holds the entity a path begins with.

    Raises: UnknownEntity, when there is none
    """
    answer = run_question(asker, plan)
    if not answer.rows_json and not answer.is_unchanged:
        raise UnknownEntity(f"{address.start.name} has no entity with this key")
    return answer


def entity_request(
    asker: Asker,
    address: Address,
    *,
    way: tuple[Navigation, ...],
    select: tuple[str, ...],
    expand: tuple[Expand, ...] = (),
    compute: str = "",
    **others: Any,
) -> Request:
    """The question for one row: a way to another row is a chain of expanded navigations.

    others: what else the question says, by the names of a Request
    """
    for navigation in reversed(way):
        expand = (Expand(navigation.name, select, expand, compute=compute, is_way=True),)
        compute = ""  # It asks the rows at the end of the way.
        select = tuple(own for own, _ in navigation.pairs)
    start = address.start
    as_of = asker.query.custom.get("as_of", "")
    others |= {"as_of": read_moment(as_of), "revision": read_revision(as_of)}
    if not start.singleton:
        terms = [bind_place(asker, address.origin, "")] if address.origin else []
        if set(address.key) == set(start.key):
            others["key"] = address.key
        else:
            terms += [equal_term(start, name, value) for name, value in address.key.items()]
            others["top"] = 1
        others["where"] = " and ".join(terms)
    return Request(start.name, select=select, expand=expand, compute=compute, **others)


def dig(row: dict[str, Any] | None, way: tuple[Navigation, ...]) -> dict[str, Any] | None:
    """The object at the end of nested ones, or None where the way breaks off."""
    for navigation in way:
        row = row[navigation.name] if row is not None else None
    return row


# Which rows a path means


def bind_place(asker: Asker, address: Address, where: str) -> str:
    """The caller's condition, those of the path, and that the rows belong to its entity.

    Raises: BadSyntax, for a condition that is none by itself; UnknownEntity
    """
    conditions = [*address.filters, *([where] if where else [])]
    if not address.way and len(conditions) <= 1:
        return conditions[0] if conditions else ""
    terms = belonging_terms(asker, address) if address.way else []
    for condition in conditions:
        parse_expression(condition)
        terms.append(f"({condition})")
    return " and ".join(terms)


def belonging_terms(asker: Asker, address: Address) -> list[str]:
    """That rows stand at the end of the way of an address."""
    *before, last = address.way
    wanted = tuple(own for own, _ in last.pairs)
    found = fetch_row(asker, address, way=tuple(before), select=wanted)[0]
    if found is None:
        source = before[-1].target if before else address.start.name
        raise UnknownEntity(f"there is no such entity of {source}")
    if any(found[own] is None for own in wanted):
        return ["false"]
    target = asker.feed.target(last)
    return [equal_term(target, theirs, found[own]) for own, theirs in last.pairs]


def equal_term(dataset: Dataset, name: str, value: Any) -> str:
    """A condition that a field has a value."""
    return f"{name} eq {filter_literal(dataset.field(name), value)}"


def filter_literal(target: Field | None, value: Any) -> str:
    """A value as the expression language spells it."""
    if isinstance(value, str) and (target is None or target.type in {Type.TEXT, Type.ENUM}):
        return "'" + value.replace("'", "''") + "'"
    return (
        orjson.dumps(value).decode() if not isinstance(value, (str, date, datetime)) else str(value)
    )
