"""A raw resource path in, what it addresses out: sets, entities, properties, counts, references.

Splits before it decodes, so that an encoded slash or quote may stand in a key. Asks no database.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from urllib.parse import unquote

from app.base.errors import BadOption, BadSyntax, NotSupported, UnknownPath
from app.catalog.fields import Dataset, Field, Navigation, Type
from app.odata.feed import NAMESPACE, Feed, suggest
from app.odata.keys import Key, read_key, read_key_segments, split_segment
from app.query.request import TYPE_ENDING

NOT_OFFERED = frozenset({"$each", "$crossjoin", "$it", "$root"})
FILTER = "$filter("


class Kind(StrEnum):
    """What an address stands for."""

    SET = "set"
    ENTITY = "entity"
    PROPERTY = "property"
    VALUE = "value"
    COUNT = "count"
    REFERENCES = "collection of references"
    REFERENCE = "reference"
    ALL = "collection of all entities"

    @property
    def spoken(self) -> str:
        """With its article, for messages."""
        return f"{'an' if self is Kind.ENTITY else 'a'} {self}"


ROWS = frozenset({Kind.SET, Kind.ENTITY})


@dataclass(frozen=True, slots=True)
class Address:
    """What a path leads to.

    start: the set the path begins with
    key: the key of the entity it begins with, or an alternate one; empty for the set itself
    way: the navigations from there; only the last may lead to several rows
    dataset: the set of the rows at the end of the way
    field: the property at the very end, for PROPERTY, VALUE, and COUNT of a list
    member: the name within an open object, for PROPERTY and VALUE
    filters: the conditions of /$filter segments
    origin: the rows among which the entity it begins with must be, when it was reached by them
    """

    kind: Kind
    start: Dataset
    dataset: Dataset
    key: Mapping[str, str | int] = field(default_factory=dict)
    way: tuple[Navigation, ...] = ()
    field: Field | None = None
    member: str = ""
    filters: tuple[str, ...] = ()
    origin: "Address | None" = None

    @property
    def is_list(self) -> bool:
        """Does it lead to a list, or to the count of one?"""
        return self.field is not None and self.field.type is Type.TEXTS

    @property
    def is_object(self) -> bool:
        """Does it lead to an open object, as a whole?"""
        found = self.field
        return found is not None and found.type is Type.OPEN and not self.member


@dataclass(frozen=True, slots=True)
class _Walker:
    """What the steps along a path need.

    aliases: the values of @parameters
    following: the segments behind the present one, of which a key may take some
    """

    feed: Feed
    aliases: Mapping[str, str]
    following: Iterator[str]


def read_path(raw: str, feed: Feed, *, aliases: Mapping[str, str] | None = None) -> Address:
    """What the raw path below the service root addresses.

    aliases: the texts of @parameters, which may stand for key values
    Raises: UnknownPath, BadSyntax, TypeMismatch, NotSupported
    Source: OData URL Conventions 4.01, 4.3 to 4.16
    """
    return _walk_path(raw, feed, aliases) if aliases else _known_path(raw, feed)


@lru_cache(maxsize=512)
def _known_path(raw: str, feed: Feed) -> Address:
    return _walk_path(raw, feed, {})


def _walk_path(raw: str, feed: Feed, aliases: Mapping[str, str]) -> Address:
    first, *rest = split_path(raw)
    name, key = split_segment(first)
    if name in NOT_OFFERED:
        raise NotSupported(f"{name} is not supported", target=name)
    segments = iter(rest)
    walker = _Walker(feed, aliases, segments)
    if name == "$all" and key is None and feed.datasets:
        if rest:
            raise NotSupported("nothing is supported behind $all", target="$all")
        return Address(Kind.ALL, feed.datasets[0], feed.datasets[0])
    dataset = feed.dataset(name)
    address = Address(Kind.SET, dataset, dataset)
    if dataset.singleton:
        address = replace(address, kind=Kind.ENTITY)
        if key is not None:
            raise BadSyntax(f"{name} is a single entity without a key", target=name)
    elif key is not None:
        address = enter_entity(address, read_key(key, dataset, walker.aliases))
    for segment in segments:
        address = step(address, segment, walker)
    return address


def split_path(raw: str) -> list[str]:
    """The segments of a raw path, decoded; a slash within `$filter(...)` does not split it."""
    segments: list[str] = []
    for part in raw.strip("/").split("/"):
        text = decode_segment(part)
        if segments and segments[-1].startswith(FILTER) and is_unclosed(segments[-1]):
            segments[-1] += f"/{text}"
        else:
            segments.append(text)
    return segments


def is_unclosed(text: str) -> bool:
    """Is a parenthesis or a quote still open at the end of this text?"""
    depth, quoted = 0, False
    for sign in text:
        if sign == "'":
            quoted = not quoted
        elif not quoted:
            depth += (sign == "(") - (sign == ")")
    return quoted or depth > 0


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


# Steps


def step(address: Address, segment: str, walker: _Walker) -> Address:
    """The address one segment further on."""
    name = segment.partition("(")[0]
    if name in NOT_OFFERED:
        raise NotSupported(f"{name} is not supported", target=name)
    if name == f"{NAMESPACE}.{address.dataset.entity}" and address.kind in ROWS:
        return cast_rows(address, segment, walker)
    if address.kind is Kind.SET:
        return step_among_rows(address, segment, walker)
    if address.kind is Kind.PROPERTY:
        return step_into_property(address, segment)
    if address.kind is not Kind.ENTITY:
        raise beyond(address, segment)
    if segment == "$ref":
        if address.dataset.singleton:
            raise beyond(address, segment)
        return replace(address, kind=Kind.REFERENCE)
    if segment == "$value":
        # Not 404 (Protocol 4.01, 11.2.3).
        raise BadOption(f"a row of {address.dataset.name} is no media stream", target="$value")
    name, key = split_segment(segment)
    found = address.dataset.field(name)
    if found is not None and key is None:
        return replace(address, kind=Kind.PROPERTY, field=found)
    return follow(address, name, key=key, walker=walker)


def cast_rows(address: Address, segment: str, walker: _Walker) -> Address:
    """The address behind a cast to the type that rows have, which changes nothing; a key behind it
    is that of one of them (URL Conventions 4.01, 4.11).
    """
    key = split_segment(segment)[1]
    if key is None:
        return address
    if address.kind is not Kind.SET or address.filters:
        raise beyond(address, segment)
    return enter_entity(address, read_key(key, address.dataset, walker.aliases))


def step_among_rows(address: Address, segment: str, walker: _Walker) -> Address:
    """The address behind a set: its count, its references, some of it, or one of it."""
    if segment == "$count":
        return replace(address, kind=Kind.COUNT)
    if segment == "$ref":
        return replace(address, kind=Kind.REFERENCES)
    if segment.startswith(FILTER):
        condition = segment[len(FILTER) : -1]
        if is_unclosed(segment) or not segment.endswith(")"):
            raise BadSyntax("the /$filter segment has unbalanced parentheses", target="$filter")
        if not condition.strip():
            raise BadSyntax("the /$filter segment has no condition", target="$filter")
        return replace(address, filters=(*address.filters, condition))
    if segment.startswith("$") or address.filters:
        raise beyond(address, segment)
    more = islice(walker.following, len(address.dataset.key) - 1)
    key = read_key_segments((segment, *more), address.dataset, walker.aliases)
    return enter_entity(address, key)


def step_into_property(address: Address, segment: str) -> Address:
    """The address behind a property: its bare value, its count, or a member of an open object."""
    kind = address.field.type if address.field is not None else Type.NULL
    if segment == "$value" and (address.member or kind not in {Type.OPEN, Type.TEXTS}):
        return replace(address, kind=Kind.VALUE)
    if segment == "$count" and kind is Type.TEXTS:
        return replace(address, kind=Kind.COUNT)
    if kind is Type.OPEN and not address.member:
        if segment == f"{NAMESPACE}.Attributes":
            return address  # A cast to the type it has.
        if not segment.startswith(("$", "@")) and not segment.endswith(TYPE_ENDING):
            return replace(address, member=segment)
    raise beyond(address, segment)


def follow(address: Address, name: str, *, key: str | None, walker: _Walker) -> Address:
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
    target = walker.feed.target(navigation)
    kind = Kind.SET if navigation.many else Kind.ENTITY
    behind = replace(address, kind=kind, dataset=target, way=(*address.way, navigation))
    if key is None:
        return behind
    if not navigation.many:
        raise BadSyntax(f"{name} leads to one row; a key does not stand behind it")
    return enter_entity(behind, read_key(key, target, walker.aliases))


def enter_entity(address: Address, key: Key) -> Address:
    """The address of one entity of a set, or of the rows behind a navigation."""
    if not address.way:
        return replace(address, kind=Kind.ENTITY, key=key)
    target = address.dataset
    return Address(Kind.ENTITY, target, target, key=key, origin=address)


def beyond(address: Address, segment: str) -> UnknownPath:
    """The error for a segment that leads nowhere."""
    return UnknownPath(
        f"there is no {segment[:100]!r} behind {address.kind.spoken} of {address.dataset.name}",
        target=segment[:100],
    )
