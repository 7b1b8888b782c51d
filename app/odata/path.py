"""A raw resource path in, what it addresses out: a set, an entity, a property, its value, a count.

Splits before it decodes, so that an encoded slash or quote may stand in a key. Asks no database.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import unquote

from app.base.errors import BadSyntax, NotSupported, TypeMismatch, UnknownPath
from app.catalog.fields import Dataset, Field, Navigation, Type
from app.odata.feed import Feed, suggest

LARGEST_INT = 2**63 - 1
SEGMENT = re.compile(r"([^()]*)(?:\((.*)\))?", re.DOTALL)
KEY_PART = re.compile(r"\s*+(?:(\w++)\s*+=)?\s*+('(?:[^']|'')*+'|[^,'\s]++)\s*+(?:,|$)")
KNOWN_LATER = frozenset(
    {"$ref", "$all", "$entity", "$batch", "$crossjoin", "$filter", "$each", "$query", "$it"}
)


class Kind(StrEnum):
    """What an address stands for."""

    SET = "set"
    ENTITY = "entity"
    PROPERTY = "property"
    VALUE = "value"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Address:
    """What a path leads to.

    start: the set the path begins with
    key: the key of the entity it begins with; empty for the set itself
    way: the navigations from there; only the last may lead to several rows
    dataset: the set of the rows at the end of the way
    field: the property at the very end, for PROPERTY and VALUE
    """

    kind: Kind
    start: Dataset
    dataset: Dataset
    key: Mapping[str, str | int] = field(default_factory=dict)
    way: tuple[Navigation, ...] = ()
    field: Field | None = None


def read_path(raw: str, feed: Feed) -> Address:
    """What the raw path below the service root addresses.

    Raises: UnknownPath, BadSyntax, TypeMismatch, NotSupported
    Source: OData URL Conventions 4.01, 4.3 to 4.9
    """
    first, *rest = [decode_segment(part) for part in raw.strip("/").split("/")]
    name, key = split_segment(first)
    if name in KNOWN_LATER:
        raise NotSupported(f"{name} is not supported", target=name)
    dataset = feed.dataset(name)
    address = Address(Kind.SET, dataset, dataset)
    if key is not None:
        address = enter_entity(address, read_key(key, dataset))
    for segment in rest:
        address = step(address, segment, feed)
    return address


def decode_segment(raw: str) -> str:
    """One segment without its percent signs.

    Raises: BadSyntax, for bytes that are not UTF-8
    """
    try:
        text = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise BadSyntax("the path is not UTF-8") from None
    if "\0" in text:
        raise BadSyntax("the path holds a NUL character")
    return text


def split_segment(segment: str) -> tuple[str, str | None]:
    """The name of a segment and what stands in its parentheses, or None without them.

    Raises: BadSyntax
    """
    match = SEGMENT.fullmatch(segment)
    if match is None:
        raise BadSyntax(f"the path segment {segment[:100]!r} has unbalanced parentheses")
    return match[1], match[2]


def step(address: Address, segment: str, feed: Feed) -> Address:
    """The address one segment further on."""
    later = segment.partition("(")[0]
    if later in KNOWN_LATER:
        raise NotSupported(f"{later} is not supported", target=later)
    if address.kind is Kind.SET:
        if segment == "$count":
            return replace(address, kind=Kind.COUNT)
        if segment.startswith("$") or address.way:
            raise beyond(address, segment)
        return enter_entity(address, read_key_segment(segment, address.dataset))
    if address.kind is Kind.PROPERTY and segment == "$value":
        return value_of(address)
    if address.kind is not Kind.ENTITY:
        raise beyond(address, segment)
    name, key = split_segment(segment)
    found = address.dataset.field(name)
    if found is not None and key is None:
        return replace(address, kind=Kind.PROPERTY, field=found)
    return follow(address, name, key=key, feed=feed)


def follow(address: Address, name: str, *, key: str | None, feed: Feed) -> Address:
    """The address behind a navigation of an entity."""
    navigation = address.dataset.navigation(name)
    if navigation is None:
        known = [part.name for part in address.dataset.fields]
        known += [part.name for part in address.dataset.navigations]
        raise UnknownPath(
            f"{address.dataset.name} has no property {name[:100]!r}",
            hint=suggest(name, known),
            target=name[:100],
        )
    if key is not None:
        target = navigation.target
        raise NotSupported(f"a key behind a navigation is not supported; ask {target}(...) itself")
    kind = Kind.SET if navigation.many else Kind.ENTITY
    return replace(
        address, kind=kind, dataset=feed.target(navigation), way=(*address.way, navigation)
    )


def enter_entity(address: Address, key: Mapping[str, str | int]) -> Address:
    """The address of one entity of a set."""
    return replace(address, kind=Kind.ENTITY, key=key)


def value_of(address: Address) -> Address:
    """The address of a property's bare value; objects and lists have none."""
    if address.field is None or address.field.type in {Type.OPEN, Type.TEXTS}:
        raise beyond(address, "$value")
    return replace(address, kind=Kind.VALUE)


def beyond(address: Address, segment: str) -> UnknownPath:
    """The error for a segment that leads nowhere."""
    return UnknownPath(
        f"there is no {segment[:100]!r} behind a {address.kind} of {address.dataset.name}",
        target=segment[:100],
    )


# Keys


def read_key(text: str, dataset: Dataset) -> dict[str, str | int]:
    """The key in parentheses: a bare value, or names with their values in any order.

    Raises: BadSyntax, TypeMismatch
    """
    parts: list[tuple[str | None, str]] = []
    position = 0
    while position < len(text):
        match = KEY_PART.match(text, position)
        if match is None:
            raise BadSyntax(f"the key ({text[:100]}) cannot be read at position {position}")
        parts.append((match[1], match[2]))
        position = match.end()
    if len(parts) == 1 and len(dataset.key) == 1 and parts[0][0] is None:
        parts = [(dataset.key[0], parts[0][1])]
    given = {name: literal for name, literal in parts if name is not None}
    if len(parts) != len(dataset.key) or set(given) != set(dataset.key):
        raise BadSyntax(
            f"the key of {dataset.name} is ({', '.join(dataset.key)})",
            hint="Other columns are asked with $filter.",
        )
    return {name: key_value(dataset, name, given[name]) for name in dataset.key}


def key_value(dataset: Dataset, name: str, literal: str) -> str | int:
    """A key's literal as a value: text in quotes, numbers bare."""
    part = dataset.field(name)
    if part is not None and part.type is Type.INT:
        return whole_number(name, literal)
    if literal.startswith("'") and literal.endswith("'") and len(literal) > 1:
        return literal[1:-1].replace("''", "'")
    raise TypeMismatch(f"{name} is a text: write it in single quotes", target=name)


def read_key_segment(segment: str, dataset: Dataset) -> dict[str, str | int]:
    """The key as a segment of its own, unquoted (URL Conventions 4.3.6)."""
    if len(dataset.key) != 1:
        raise UnknownPath(f"the key of {dataset.name} is ({', '.join(dataset.key)})")
    (name,) = dataset.key
    part = dataset.field(name)
    if part is None or part.type is not Type.INT:
        return {name: segment}
    if re.fullmatch(r"-?[0-9]{1,19}", segment) is None:
        raise UnknownPath(
            f"there is nothing at {dataset.name}/{segment[:100]}", target=segment[:100]
        )
    return {name: whole_number(name, segment)}


def whole_number(name: str, literal: str) -> int:
    """A literal of Edm.Int64.

    Raises: TypeMismatch
    """
    if re.fullmatch(r"[+-]?[0-9]{1,19}", literal) is None or abs(int(literal)) > LARGEST_INT:
        raise TypeMismatch(f"{name} is a whole number, not {literal[:100]!r}", target=name)
    return int(literal)
