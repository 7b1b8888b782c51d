"""Keys as they stand in a path: in parentheses or as a segment, with @parameters or alternate.

Source: OData URL Conventions 4.01, 4.3; Protocol 4.01, 11.2.4
"""

import re
from collections.abc import Mapping, Sequence

from app.base.errors import BadSyntax, TypeMismatch, UnknownPath
from app.catalog.fields import Dataset, Type

Key = dict[str, str | int]

LEAST_INT, LARGEST_INT = -(2**63), 2**63 - 1
SEGMENT = re.compile(r"([^()]*)(?:\((.*)\))?", re.DOTALL)
KEY_PART = re.compile(r"\s*+(?:(\w++)\s*+=)?\s*+('(?:[^']|'')*+'|[^,'\s]++)\s*+(?:,(?=.)|$)")


def split_segment(segment: str) -> tuple[str, str | None]:
    """The name of a segment and what stands in its parentheses, or None without them.

    Raises: BadSyntax
    """
    match = SEGMENT.fullmatch(segment)
    if match is None:
        raise BadSyntax(f"the path segment {segment[:100]!r} has unbalanced parentheses")
    return match[1], match[2]


def read_key(text: str, dataset: Dataset, aliases: Mapping[str, str]) -> Key:
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
    given = {name: resolve_alias(literal, aliases) for name, literal in parts if name is not None}
    for names in (dataset.key, *dataset.alternate_keys):
        if len(parts) == len(names) and set(given) == set(names):
            return {name: key_value(dataset, name, given[name]) for name in names}
    known = [f"({', '.join(names)})" for names in (dataset.key, *dataset.alternate_keys)]
    raise BadSyntax(
        f"the key of {dataset.name} is {' or '.join(known)}",
        hint="Other columns are asked with $filter.",
    )


def resolve_alias(literal: str, aliases: Mapping[str, str]) -> str:
    """The literal that a parameter stands for, or the literal itself (URL Conventions 5.3).

    Raises: BadSyntax, for a parameter without a value
    """
    if not literal.startswith("@"):
        return literal
    found = aliases.get(literal[1:])
    if found is None:
        raise BadSyntax(f"the parameter {literal[:100]} has no value", target=literal[:100])
    return found.strip()


def key_value(dataset: Dataset, name: str, literal: str) -> str | int:
    """A key's literal as a value: text in quotes, numbers bare."""
    part = dataset.field(name)
    if part is not None and part.type is Type.INT:
        return whole_number(name, literal)
    if literal.startswith("'") and literal.endswith("'") and len(literal) > 1:
        return literal[1:-1].replace("''", "'")
    raise TypeMismatch(f"{name} is a text: write it in single quotes", target=name)


def read_key_segments(segments: Sequence[str], dataset: Dataset, aliases: Mapping[str, str]) -> Key:
    """The key as segments of its own, unquoted, one for each part (URL Conventions 4.3.6).

    Raises: UnknownPath, TypeMismatch
    """
    if len(segments) != len(dataset.key):
        raise UnknownPath(f"the key of {dataset.name} is ({', '.join(dataset.key)})")
    parts = zip(dataset.key, segments, strict=True)
    return {name: read_key_segment(name, text, dataset, aliases) for name, text in parts}


def read_key_segment(
    name: str, segment: str, dataset: Dataset, aliases: Mapping[str, str]
) -> str | int:
    """One part of a key, as a segment of its own."""
    part = dataset.field(name)
    if segment.startswith("@") and segment[1:] in aliases:
        return key_value(dataset, name, resolve_alias(segment, aliases))
    if part is None or part.type is not Type.INT:
        return segment
    if re.fullmatch(r"-?[0-9]{1,19}", segment) is None:
        raise UnknownPath(
            f"there is nothing at {dataset.name}/{segment[:100]}", target=segment[:100]
        )
    return whole_number(name, segment)


def whole_number(name: str, literal: str) -> int:
    """A literal of Edm.Int64.

    Raises: TypeMismatch
    """
    number = int(literal) if re.fullmatch(r"[+-]?[0-9]{1,19}", literal) else LARGEST_INT + 1
    if not LEAST_INT <= number <= LARGEST_INT:
        raise TypeMismatch(f"{name} is a whole number, not {literal[:100]!r}", target=name)
    return number
