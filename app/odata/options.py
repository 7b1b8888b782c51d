"""The raw query string in, the system query options of one resource out, typed but not yet planned.

Splits at & before it decodes; a plus is a blank. Names count with or without $ and in any case.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import unquote_plus

from app.base.config import Settings
from app.base.errors import BadOption, BadSyntax, NotSupported, UnknownPath
from app.catalog.fields import Dataset
from app.odata.apply import keeps_set, select_transformed
from app.odata.feed import Feed, suggest
from app.odata.selection import Selection, read_selection
from app.query.demand import DEMANDS

SCHEMA_VERSION = "1.0"
SYSTEM = (
    "apply",
    "filter",
    "search",
    "compute",
    "orderby",
    "top",
    "skip",
    "count",
    "select",
    "expand",
    "skiptoken",
    "deltatoken",
)
ANYWHERE = ("format", "schemaversion")
KNOWN = (*SYSTEM, *ANYWHERE, "id")
KNOWN_LATER = ("index", "levels")
WITHOUT_DOLLAR = frozenset({*KNOWN, *KNOWN_LATER} - {"id", "levels"})
OWN = frozenset({"as_of", *DEMANDS})
NEVER_EMPTY = frozenset(
    {"apply", "filter", "search", "compute", "orderby", "skiptoken", "deltatoken"}
)
WHOLE = re.compile(r"[0-9]{1,18}")


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
class Options:
    """The options of a request for rows, read.

    delta: the token with which changes are asked; empty for the rows themselves
    as_of, revision: the moment or the revision that a custom option `as_of` names
    apply: transformations of the rows, which all other options then ask
    """

    selection: Selection
    where: str
    search: str
    compute: str
    order: str
    top: int | None
    skip: int
    count: bool
    token: str
    delta: str
    aliases: Mapping[str, str]
    as_of: datetime | None
    revision: int | None
    apply: str = ""


# The query string


@lru_cache(maxsize=512)
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
    if bare in KNOWN:
        return "system", bare
    if bare in KNOWN_LATER:
        raise NotSupported(f"${bare} is not supported", target=f"${bare}")
    near = suggest(bare, KNOWN)
    raise BadOption(f"there is no system query option {name[:100]!r}", hint=near, target=name[:100])


def next_query(query: QueryString, token: str) -> str:
    """The query string of the next page: as it was, but for the page token."""
    kept = [raw for name, raw in query.pairs if name != "skiptoken"]
    return "&".join([*kept, f"$skiptoken={token}"])


def delta_query(query: QueryString, token: str) -> str:
    """The query string that asks for changes: as it was, but for tokens, the count and the past
    revision, which the token replaces; without a token, the query to begin anew with.

    Source: OData Protocol 4.01, 11.3.1
    """
    left_out = {"skiptoken", "deltatoken", "count"}
    if read_revision(query.custom.get("as_of", "")) is not None:
        left_out.add("as_of")
    kept = [raw for name, raw in query.pairs if name not in left_out]
    return "&".join([*kept, *([f"$deltatoken={token}"] if token else [])])


# The options of rows


def refuse_options(query: QueryString, allowed: Iterable[str], what: str) -> None:
    """Refuse system options that mean nothing for a resource, and other schema versions.

    Raises: BadOption; UnknownPath, for a version of the schema that is not there
    """
    for name in query.system.keys() - {*allowed, *ANYWHERE}:
        raise BadOption(f"${name} is not allowed on {what}", target=f"${name}")
    version = query.system.get("schemaversion", "*").strip()
    if version not in {"*", SCHEMA_VERSION}:
        raise UnknownPath(
            f"there is no version {version[:100]!r} of the schema",
            hint=f"It is {SCHEMA_VERSION}.",
            target="$schemaversion",
        )


def refuse_strangers(query: QueryString) -> None:
    """Refuse options nobody here knows, for callers who want to be told (`handling=strict`).

    Raises: BadOption
    """
    for name in query.custom.keys() - OWN:
        raise BadOption(f"there is no query option {name[:100]!r}", target=name[:100])


def read_options(query: QueryString, dataset: Dataset, *, feed: Feed, limits: Settings) -> Options:
    """The options of a request for rows of a set, or for one of them.

    Raises: BadOption, BadSyntax, UnknownField, NotSupported, TooComplex
    """
    system = query.system
    for name in NEVER_EMPTY & system.keys():
        if not system[name].strip():
            raise BadOption(f"${name} is empty", target=f"${name}")
    return Options(
        selection=read_columns(system, dataset, feed=feed, limits=limits),
        where=system.get("filter", ""),
        search=system.get("search", ""),
        compute=system.get("compute", ""),
        order=system.get("orderby", ""),
        top=read_whole(system, "top"),
        skip=read_whole(system, "skip") or 0,
        count=read_count(system),
        token=system.get("skiptoken", ""),
        delta=system.get("deltatoken", ""),
        aliases=query.aliases,
        as_of=read_moment(query.custom.get("as_of", "")),
        revision=read_revision(query.custom.get("as_of", "")),
        apply=system.get("apply", ""),
    )


def read_columns(
    system: Mapping[str, str], dataset: Dataset, *, feed: Feed, limits: Settings
) -> Selection:
    """What $select and $expand ask for, of a set or of what $apply makes of it."""
    apply = system.get("apply", "")
    if apply and not keeps_set(apply, limits):
        return select_transformed(system)
    return read_selection(system, dataset, feed=feed, limits=limits)


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


def read_revision(text: str) -> int | None:
    """The revision of the custom option `as_of`: what is digits alone."""
    return int(text) if WHOLE.fullmatch(text.strip()) else None


def read_moment(text: str) -> datetime | None:
    """The moment of the custom option `as_of`, with its offset; none where it is a revision.

    Raises: BadOption
    """
    if not text or read_revision(text) is not None:
        return None
    try:
        moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # No moment, or none that UTC has.
    raise BadOption(
        "as_of must be a revision, or a time with its offset, such as 2025-05-24T10:00:00Z",
        target="as_of",
    )
