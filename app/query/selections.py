"""`$select` and `$expand` in, their items out: paths with nested options; names not looked up.

Source: OData URL Conventions 4.01, sections 5.1.2 and 5.1.3; OData ABNF 4.01, rules select, expand
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from app.base.errors import BadOption, BadSyntax, TooComplex
from app.query.grammar import parse_compute, parse_expression, parse_orderby
from app.query.searches import parse_search

_NAME = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_SEGMENT = re.compile(rf"{_NAME}|@{_NAME}(?:#{_NAME})?")
_WILD = re.compile(rf"\*|{_NAME}\.\*")
_PARAMETERS = re.compile(r"\s*[^\W\d]\w*\s*(?:,\s*[^\W\d]\w*\s*)*")
_WHOLE = re.compile(r"[0-9]{1,18}")
_LEVELS = re.compile(r"[1-9][0-9]{0,8}|max", re.IGNORECASE)

# Deeper than any limit of ours on what is expanded.
DEEPEST = 16

_COUNTED = frozenset({"filter", "search"})
_LISTED = _COUNTED | {"orderby", "top", "skip", "count"}
_SELECTED = _LISTED | {"select", "compute", "expand"}
_EXPANDED = _SELECTED | {"levels", "apply"}


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a list.

    path: its segments; the last may be `*`
    ending: `$ref` or `$count` where one stands behind the path
    options: nested options by their bare, lower-case names, as text; aliases keep their `@`
    parameters: names of a function's parameters, which tell its overload
    """

    path: tuple[str, ...]
    ending: str = ""
    options: tuple[tuple[str, str], ...] = ()
    parameters: tuple[str, ...] = ()

    def option(self, name: str) -> str | None:
        """The text of a nested option, or None."""
        return dict(self.options).get(name)


@lru_cache(maxsize=256)
def parse_select(text: str, depth: int = 0) -> tuple[Item, ...]:
    """Read `$select`.

    depth: how many options are around it
    Raises: BadSyntax, BadOption, TooComplex, and what nested options raise
    """
    _check_depth(depth, "$select")
    return tuple(_select_item(part, depth) for part in _split(text, ",", "$select"))


@lru_cache(maxsize=256)
def parse_expand(text: str, depth: int = 0) -> tuple[Item, ...]:
    """Read `$expand`.

    depth: how many options are around it
    Raises: BadSyntax, BadOption, TooComplex, and what nested options raise
    """
    _check_depth(depth, "$expand")
    return tuple(_expand_item(part, depth) for part in _split(text, ",", "$expand"))


def _check_depth(depth: int, option: str) -> None:
    if depth > DEEPEST:
        raise TooComplex(f"{option} is nested deeper than {DEEPEST}", target=option)


def _select_item(text: str, depth: int) -> Item:
    head, inner = _open(text, "$select")
    path = _read_path(head, "$select")
    if inner is None:
        return Item(path)
    if _PARAMETERS.fullmatch(inner):
        return Item(path, parameters=tuple(name.strip() for name in inner.split(",")))
    if path[-1].endswith("*"):
        raise BadSyntax(f"$select takes no options after {head[:40]!r}", target="$select")
    return Item(path, options=_read_options(inner, _SELECTED, option="$select", depth=depth))


def _expand_item(text: str, depth: int) -> Item:
    head, inner = _open(text, "$expand")
    if head == "$value":
        if inner is not None:
            raise BadSyntax("$value in $expand takes no options", target="$expand")
        return Item(("$value",))
    way, slash, last = head.rpartition("/")
    ending = last if slash and last in {"$ref", "$count"} else ""
    path = _read_path(way if ending else head, "$expand")
    if inner is None:
        return Item(path, ending)
    if ending == "$count" and path[-1] == "*":
        raise BadSyntax("$expand takes no options after '*/$count'", target="$expand")
    allowed = {"": _EXPANDED, "$ref": _LISTED, "$count": _COUNTED}[ending]
    if path[-1] == "*":
        allowed = frozenset({"levels"})
    return Item(path, ending, _read_options(inner, allowed, option="$expand", depth=depth))


def _read_path(text: str, option: str) -> tuple[str, ...]:
    *way, last = text.split("/")
    wild = _WILD.fullmatch(last)
    if not all(_SEGMENT.fullmatch(segment) for segment in way) or not (
        wild or _SEGMENT.fullmatch(last)
    ):
        raise BadSyntax(f"{option} cannot take {text[:60]!r}", target=option)
    return (*way, last)


def _open(text: str, option: str) -> tuple[str, str | None]:
    """What stands before the parenthesis, and within it."""
    head, opening, rest = text.strip().partition("(")
    if not opening:
        return head.strip(), None
    if not rest.endswith(")"):
        raise BadSyntax(f"{option} has something behind {text[:40]!r}", target=option)
    return head.strip(), rest[:-1]


def _read_options(
    text: str, allowed: frozenset[str], *, option: str, depth: int
) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for part in _split(text, ";", option):
        name, equals, value = part.strip().partition("=")
        bare = name if name.startswith("@") else name.removeprefix("$").lower()
        if not equals or not value.strip():
            raise BadSyntax(f"{option} cannot take the option {part[:60]!r}", target=option)
        if bare not in allowed and not bare.startswith("@"):
            raise BadOption(f"{option} cannot take the option {part[:60]!r}", target=option)
        if bare in found:
            raise BadOption(f"{name[:40]} is given more than once in {option}", target=option)
        _check_option(bare, value, depth + 1)
        found[bare] = value
    return tuple(found.items())


def _check_option(name: str, value: str, depth: int) -> None:
    """Read the value once, so that what cannot be read is refused here."""
    match name:
        case "filter":
            parse_expression(value)
        case "orderby":
            parse_orderby(value)
        case "compute":
            parse_compute(value)
        case "search":
            parse_search(value)
        case "select":
            parse_select(value, depth)
        case "expand":
            parse_expand(value, depth)
        case "count":
            _check_form(value.strip().lower() in {"true", "false"}, name, value)
        case "top" | "skip":
            _check_form(_WHOLE.fullmatch(value.strip()) is not None, name, value)
        case "levels":
            _check_form(_LEVELS.fullmatch(value.strip()) is not None, name, value)
        case _ if name.startswith("@"):
            parse_expression(value)


def _check_form(fits: bool, name: str, value: str) -> None:
    if not fits:
        raise BadOption(f"${name} cannot be {value[:40]!r}", target=f"${name}")


def _split(text: str, separator: str, option: str) -> list[str]:
    """The parts of a list, split where the separator stands outside parentheses and quotes."""
    parts, depth, quote, start = [], 0, "", 0
    escaped = False
    for index, sign in enumerate(text):
        if escaped or (quote == '"' and sign == "\\"):
            escaped = not escaped
        elif quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
            if depth < 0:
                break
        elif sign == separator and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    if depth != 0 or quote or not all(part.strip() for part in parts):
        raise BadSyntax(f"{option} cannot be read: {text[:60]!r}", target=option)
    return parts
