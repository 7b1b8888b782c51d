"""The syntax tree of expressions: odata-query's classes, and ours where it has none.

Trees are shared by a cache, so nobody may change one. This file alone knows odata-query.
"""

from dataclasses import dataclass
from typing import Any

from odata_query import ast

__all__ = [
    "Alias",
    "Annotation",
    "Case",
    "Chain",
    "Count",
    "DivBy",
    "EnumText",
    "Filtered",
    "Has",
    "Invoked",
    "JsonObject",
    "Node",
    "ast",
    "children_of",
]

Node = Any  # odata-query ships no types


@dataclass(frozen=True, slots=True)
class Chain:
    """A flat `and` or `or` of two or more terms."""

    operator: str
    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alias:
    """A parameter alias, `@name`, without its sign."""

    name: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """The value of an annotation, `price/@Measures.Currency`; of the row itself without owner."""

    owner: Node
    name: str


@dataclass(frozen=True, slots=True)
class EnumText:
    """An enumeration literal with its type: `fullcount.Status'completed'`."""

    enumeration: str
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """`case(condition:value, ...)`."""

    branches: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Count:
    """`owner/$count`, or `owner/$count($filter=...;$search=...)`."""

    owner: Node
    condition: Node = None
    search: str = ""


@dataclass(frozen=True, slots=True)
class Filtered:
    """`owner/$filter(condition)`."""

    owner: Node
    condition: Node


@dataclass(frozen=True, slots=True)
class Invoked:
    """A bound function or a key within a path: `owner/name(...)`; a key has no name of its own."""

    owner: Node
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A JSON object whose values are expressions."""

    pairs: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class DivBy:
    """The operator `divby`: division with decimals, also of whole numbers."""


@dataclass(frozen=True, slots=True)
class Has:
    """The operator `has`."""


def children_of(node: Node) -> list[Node]:
    """The nodes right below one; of the members of a list, those that have some themselves."""
    match node:
        case ast.Compare() | ast.BinOp():
            return [node.left, node.right]
        case Chain():
            return list(node.terms)
        case ast.UnaryOp():
            return [node.operand]
        case ast.Call():
            return list(node.args)
        case ast.NamedParam():
            return [node.param]
        case ast.Attribute():
            return [node.owner]
        case ast.CollectionLambda():
            return [node.owner, *([node.lambda_.expression] if node.lambda_ else [])]
        case Case():
            return [part for branch in node.branches for part in branch]
        case Count() | Filtered():
            return [node.owner, *([] if node.condition is None else [node.condition])]
        case Invoked():
            return [node.owner, *node.arguments]
        case ast.List():
            return [member for member in node.val if children_of(member)]
        case JsonObject():
            return [value for _, value in node.pairs]
    return []
