"""The raw query string in, the system query options of one resource out, typed but not yet planned.

Splits at & before it decodes; a plus is a blank. Names count with or without $ and in any case.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote_plus

from app.base.config import Settings
from app.base.errors import BadOption, BadSyntax, NotSupported, TooComplex
from app.catalog.fields import Dataset
from app.odata.feed import Feed, find_navigation, suggest
from app.query.request import Expand

SYSTEM = ("filter", "orderby", "top", "skip", "count", "select", "expand", "format", "skiptoken")
KNOWN_LATER = ("apply", "compute", "search", "deltatoken", "index", "schemaversion", "id", "levels")
WITHOUT_DOLLAR = frozenset({*SYSTEM, *KNOWN_LATER} - {"id", "levels"})
NESTED = frozenset({*SYSTEM, *KNOWN_LATER} - {"format", "skiptoken"})
EXPANDED_ROW = ("select", "expand")
EXPANDED_ROWS = (*EXPANDED_ROW, "filter", "orderby", "top", "skip")
WHOLE = re.compile(r"[0-9]{1,18}")
NAME = re.compile(r"[A-Za-z_]\w{0,127}")


@dataclass(frozen=True, slots=True)
class QueryString:
    """The options of a URL by their bare, lower-case names.

    pairs: name and raw text of every option in its order, for the link to the next page
    """

    system: Mapping[str, str]
    aliases: Mapping[str, str]
    custom: Mapping[str, str]
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which columns and related rows an answer holds.

    select: field names; empty means all
    shown: the same as the context URL tells it, without the outer parentheses
    """

    select: tuple[str, ...] = ()
    expand: tuple[Expand, ...] = ()
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a request for rows, read.

    as_of: the moment a custom option `as_of` names
    """

    selection: Selection
    where: str
    order: str
    top: int | None
    skip: int
    count: bool
    token: str
    aliases: Mapping[str, str]
    as_of: datetime | None


# The query string


def split_query(raw: str) -> QueryString:
    """The options of a raw query string.

    Raises: BadOption, BadSyntax, NotSupported
    Source: OData URL Conventions 4.01, 5
    """
    system: dict[str, str] = {}
    aliases: dict[str, str] = {}
    custom: dict[str, str] = {}
    pairs = []
    for part in filter(None, raw.split("&")):
        name, _, value = part.partition("=")
        name, value = decode(name), decode(value)
        kind, bare = classify(name)
        pairs.append((bare if kind == "system" else name, part))
        into = {"system": system, "alias": aliases}.get(kind, custom)
        if bare in into and kind != "custom":
            raise BadOption(f"{name[:100]} is given more than once", target=name[:100])
        into[bare] = value
    return QueryString(system, aliases, custom, tuple(pairs))


def decode(text: str) -> str:
    """A name or value without its percent signs.

    Raises: BadSyntax, for bytes that are not UTF-8
    """
    try:
        plain = unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise BadSyntax("the query is not UTF-8") from None
    if "\0" in plain:
        raise BadSyntax("the query holds a NUL character")
    return plain


def classify(name: str) -> tuple[str, str]:
    """What kind of option a name is (`system`, `alias`, `custom`) and its bare spelling."""
    if name.startswith("@"):
        return "alias", name.removeprefix("@")
    bare = name.removeprefix("$").lower()
    if not name.startswith("$") and bare not in WITHOUT_DOLLAR:
        return "custom", name
    if bare in SYSTEM:
        return "system", bare
    if bare in KNOWN_LATER:
        raise NotSupported(f"${bare} is not supported", target=f"${bare}")
    near = suggest(bare, SYSTEM)
    raise BadOption(f"there is no system query option {name[:100]!r}", hint=near, target=name[:100])


def next_query(query: QueryString, token: str) -> str:
    """The query string of the next page: as it was, but for the page token."""
    kept = [raw for name, raw in query.pairs if name != "skiptoken"]
    return "&".join([*kept, f"$skiptoken={token}"])


# The options of rows


def refuse_options(query: QueryString, allowed: Iterable[str], what: str) -> None:
    """Refuse system options that mean nothing for a resource.

    Raises: BadOption
    """
    for name in query.system.keys() - set(allowed):
        raise BadOption(f"${name} is not allowed on {what}", target=f"${name}")


def read_options(query: QueryString, dataset: Dataset, *, feed: Feed, limits: Settings) -> Options:
    """The options of a request for rows of a set, or for one of them.

    Raises: BadOption, BadSyntax, UnknownField, NotSupported, TooComplex
    """
    system = query.system
    for name in {"filter", "orderby", "skiptoken"} & system.keys():
        if not system[name].strip():
            raise BadOption(f"${name} is empty", target=f"${name}")
    return Options(
        selection=read_selection(system, dataset, feed=feed, limits=limits),
        where=system.get("filter", ""),
        order=system.get("orderby", ""),
        top=read_whole(system, "top"),
        skip=read_whole(system, "skip") or 0,
        count=read_count(system),
        token=system.get("skiptoken", ""),
        aliases=query.aliases,
        as_of=read_moment(query.custom.get("as_of", "")),
    )


def read_whole(system: Mapping[str, str], name: str) -> int | None:
    """The value of $top or $skip: a whole number from 0.

    Raises: BadOption
    """
    text = system.get(name)
    if text is None:
        return None
    if WHOLE.fullmatch(text.strip()) is None:
        raise BadOption(
            f"${name} must be a whole number from 0, not {text[:100]!r}", target=f"${name}"
        )
    return int(text)


def read_count(system: Mapping[str, str]) -> bool:
    """The value of $count.

    Raises: BadOption
    """
    text = system.get("count", "false").strip().lower()
    if text not in {"true", "false"}:
        raise BadOption(f"$count must be true or false, not {text[:100]!r}", target="$count")
    return text == "true"


def read_moment(text: str) -> datetime | None:
    """The moment of the custom option `as_of`, with its offset.

    Raises: BadOption
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadOption(
            "as_of must be a time with its offset, such as 2025-05-24T10:00:00Z", target="as_of"
        )
    return moment


# $select and $expand


def read_selection(
    system: Mapping[str, str], dataset: Dataset, *, feed: Feed, limits: Settings, depth: int = 0
) -> Selection:
    """What $select and $expand ask for, nested options included.

    Raises: BadOption, UnknownField, NotSupported, TooComplex
    Source: OData Protocol 4.01, 10.7 to 10.10, for `shown`
    """
    names = read_names(system["select"], dataset, limits) if "select" in system else ()
    expands: list[Expand] = []
    told = list(names)
    if "expand" in system:
        for item in split_outside(system["expand"], ","):
            expand, inner = read_expand(item, dataset, feed=feed, limits=limits, depth=depth)
            if any(expand.navigation == one.navigation for one in expands):
                raise BadOption(f"$expand names {expand.navigation} more than once")
            expands.append(expand)
            told.append(f"{expand.navigation}({inner.shown})")
    columns = tuple(name for name in names if dataset.navigation(name) is None)
    if "*" in names:
        columns = ()
    elif names and not columns:
        columns = dataset.key
    return Selection(columns, tuple(expands), ",".join(told))


def read_names(text: str, dataset: Dataset, limits: Settings) -> tuple[str, ...]:
    """The names in a $select, each once; whether the set has them is the planner's to say.

    Raises: BadOption, NotSupported, TooComplex
    """
    names = list(dict.fromkeys(name.strip() for name in split_outside(text, ",")))
    if len(names) > limits.limit_select:
        raise TooComplex(f"$select may name {limits.limit_select} columns", target="$select")
    for name in names:
        if "/" in name or "(" in name:
            raise NotSupported(
                f"$select takes columns of {dataset.name} itself, not {name[:100]!r}",
                hint="Columns of a related set: $expand=navigation($select=column).",
                target="$select",
            )
        if name != "*" and NAME.fullmatch(name) is None:
            raise BadOption(f"$select cannot take {name[:100]!r}", target="$select")
    return tuple(names)


def read_expand(
    item: str, dataset: Dataset, *, feed: Feed, limits: Settings, depth: int
) -> tuple[Expand, Selection]:
    """One item of $expand, and what it brings along."""
    name, opening, rest = item.strip().partition("(")
    name = name.strip()
    if name == "*" or "/" in name:
        raise NotSupported(f"$expand={name[:100]} is not supported", target="$expand")
    if opening and not rest.endswith(")"):
        raise BadOption(
            f"$expand has no closing parenthesis after {name[:100]!r}", target="$expand"
        )
    if depth >= limits.limit_expand_depth:
        raise TooComplex(f"$expand may be {limits.limit_expand_depth} deep", target="$expand")
    navigation = find_navigation(dataset, name)
    nested = nested_options(rest[:-1], many=navigation.many) if opening else {}
    inner = read_selection(
        nested, feed.target(navigation), feed=feed, limits=limits, depth=depth + 1
    )
    expand = Expand(
        name,
        inner.select,
        inner.expand,
        where=nested.get("filter", ""),
        order=nested.get("orderby", ""),
        top=read_whole(nested, "top"),
        skip=read_whole(nested, "skip") or 0,
    )
    return expand, inner


def nested_options(text: str, *, many: bool) -> dict[str, str]:
    """The options in the parentheses of an expanded navigation, to several rows or to one.

    Raises: BadOption, NotSupported
    """
    found: dict[str, str] = {}
    for part in split_outside(text, ";"):
        name, equals, value = part.partition("=")
        bare = name.strip().removeprefix("$").lower()
        if bare not in NESTED or not equals:
            raise BadOption(f"$expand cannot take the option {part[:100]!r}", target="$expand")
        if bare not in (EXPANDED_ROWS if many else EXPANDED_ROW):
            what = "" if many else " to one row"
            raise NotSupported(f"${bare} in $expand{what} is not supported", target="$expand")
        if not value.strip():
            raise BadOption(f"${bare} in $expand is empty", target="$expand")
        if bare in found:
            raise BadOption(f"${bare} is given more than once in $expand", target="$expand")
        found[bare] = value
    return found


def split_outside(text: str, separator: str) -> list[str]:
    """The parts of a list, split where the separator stands outside parentheses and quotes.

    Raises: BadOption, for an empty part or a parenthesis too many
    """
    parts, depth, quoted, start = [], 0, False, 0
    for index, sign in enumerate(text):
        quoted ^= sign == "'"
        if quoted:
            continue
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            break
        if sign == separator and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    if depth != 0 or quoted or not all(part.strip() for part in parts):
        raise BadOption(f"this list cannot be read: {text[:100]!r}")
    return parts
