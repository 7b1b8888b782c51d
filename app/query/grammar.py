"""Expression text in, syntax tree out: the OData 4.01 expression grammar, with exact positions.

Emits odata-query's AST classes and a few of ours where it has none; looks no name up. Trees are
shared by a cache, so nobody may change one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from odata_query import ast

from app.base.errors import TooComplex
from app.query.tokens import Words

Node = Any  # odata-query ships no types

# At most four frames a level; Python allows a thousand in all, callers included.
DEEPEST = 150


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
class EnumText:
    """An enumeration literal with its type: `fullcount.Status'completed'`."""

    enumeration: str
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """`case(condition:value, ...)`."""

    branches: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class DivBy:
    """The operator `divby`: division with decimals, also of whole numbers."""


@dataclass(frozen=True, slots=True)
class Has:
    """The operator `has`."""


# Binary operators from loose to tight. Source: OData URL Conventions 4.01, section 5.1.1.16
_RANKS = {
    "or": 1,
    "and": 2,
    **dict.fromkeys(("eq", "ne"), 3),
    **dict.fromkeys(("gt", "ge", "lt", "le"), 4),
    **dict.fromkeys(("add", "sub"), 5),
    **dict.fromkeys(("mul", "div", "divby", "mod"), 6),
    **dict.fromkeys(("in", "has"), 7),
}
_TIGHTEST = 7
_ARITHMETIC: dict[str, Any] = {
    "add": ast.Add(),
    "sub": ast.Sub(),
    "mul": ast.Mult(),
    "div": ast.Div(),
    "divby": DivBy(),
    "mod": ast.Mod(),
}
_COMPARISON: dict[str, Any] = {
    "eq": ast.Eq(),
    "ne": ast.NotEq(),
    "gt": ast.Gt(),
    "ge": ast.GtE(),
    "lt": ast.Lt(),
    "le": ast.LtE(),
    "has": Has(),
}

_DATE = r"-?(?:0\d{3}|[1-9]\d{3,})-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,12})?)?"
_OFFSET = r"(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?"
_DURATION = r"[+-]?P(?:\d+D)?(?:T(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?"
# Literals without quotes: what they are, their exact form, their node.
_PLAIN: dict[str, tuple[str, re.Pattern[str], Callable[[str], Node]]] = {
    "guid": ("a GUID", re.compile(r".*"), ast.GUID),
    "moment": ("a date-time", re.compile(_DATE + "T" + _TIME + _OFFSET, re.I), ast.DateTime),
    "date": ("a date", re.compile(_DATE), ast.Date),
    "time": ("a time of day", re.compile(_TIME), ast.Time),
}
_WORDS: dict[str, Callable[[str], Node]] = {
    "null": lambda _: ast.Null(),
    "true": ast.Boolean,
    "false": ast.Boolean,
}


@lru_cache(maxsize=1024)
def parse_expression(text: str, depth: int = 100) -> Node:
    """Read one expression into its tree, nested at most so deep.

    Raises: BadSyntax, TooComplex, NotSupported; positions count characters from 1
    Source: OData ABNF 4.01, rule commonExpr
    """
    parser = _Parser(text, depth)
    node = parser.expression()
    parser.expect_end("an operator or the end")
    return node


@lru_cache(maxsize=256)
def parse_orderby(text: str, depth: int = 100) -> tuple[tuple[Node, bool], ...]:
    """Read `$orderby`: its expressions in order, each with whether it descends.

    Raises: BadSyntax, TooComplex, NotSupported
    Source: OData ABNF 4.01, rule orderby
    """
    parser = _Parser(text, depth)
    items = [parser.order_item()]
    while parser.takes(","):
        items.append(parser.order_item())
    parser.expect_end("',', 'asc', 'desc' or the end")
    return tuple(items)


class _Parser(Words):
    """The grammar, by recursive descent."""

    def __init__(self, text: str, depth: int) -> None:
        super().__init__(text)
        self.most = min(depth, DEEPEST)
        self.depth = 0

    # Operators

    def expression(self, rank: int = 1) -> Node:
        """Read an expression of operators that bind at least so tightly."""
        self.depth += 1
        if self.depth > self.most:
            raise TooComplex(
                f"at position {self.token.at + 1}: the expression is nested deeper than"
                f" the limit filter_depth, {self.most}"
            )
        left = self.unary()
        while (word := self.operator()) and _RANKS[word] >= rank:
            left = self.operation(left, word)
        self.depth -= 1
        return left

    def operator(self) -> str:
        """Give the binary operator that is the present word, or nothing."""
        word = self.token.text.lower()
        if self.token.kind != "name" or word not in _RANKS:
            return ""
        # Blanks stand on both sides; a parenthesis or quote may stand for one.
        follows = self.text[self.end : self.end + 1]
        return word if self.token.spaced or self.before[-1:] in "')" or follows == "(" else ""

    def operation(self, left: Node, word: str) -> Node:
        """Read the right side of a binary operator."""
        rank = _RANKS[word]
        if word in {"and", "or"}:
            terms = [left]
            while self.operator() == word:
                self.advance()
                terms.append(self.expression(rank + 1))
            return Chain(word, tuple(terms))
        self.advance()
        if word == "in":
            right = self.members() if self.sees("(") else self.expression(rank + 1)
            return ast.Compare(ast.In(), left, right)
        right = self.expression(rank + 1)
        if word in _ARITHMETIC:
            return ast.BinOp(_ARITHMETIC[word], left, right)
        return ast.Compare(_COMPARISON[word], left, right)

    def unary(self) -> Node:
        """Read a value with the `not` or minus before it, if any."""
        if self.token.kind == "name" and self.token.text.lower() == "not":
            follows = self.text[self.end : self.end + 1]
            if follows.isspace() or follows == "(":
                self.advance()
                return ast.UnaryOp(ast.Not(), self.expression(_TIGHTEST))
        if self.sees("-"):
            if self.text.startswith("-INF", self.token.at):
                self.advance()
                self.advance()
                return ast.Float("-INF")
            self.advance()
            return ast.UnaryOp(ast.USub(), self.expression(_TIGHTEST))
        return self.value()

    def order_item(self) -> tuple[Node, bool]:
        """Read one expression of `$orderby` and its direction."""
        node = self.expression()
        word = self.token.text.lower()
        if self.token.kind == "name" and self.token.spaced and word in {"asc", "desc"}:
            self.advance()
            return node, word == "desc"
        return node, False

    # Values

    def value(self) -> Node:
        """Read a literal, a path, a call, an alias or a parenthesis."""
        kind, text, at, _ = self.token
        if kind in _PLAIN:
            return self.plain_literal()
        match kind:
            case "string":
                self.advance()
                return ast.String(_unquote(text))
            case "number":
                self.advance()
                return (ast.Integer if text.lstrip("+-").isdigit() else ast.Float)(text)
            case "typed":
                return self.typed_literal()
            case "name":
                return self.named_value()
            case "alias":
                if "." in text:
                    self.refuse_unsupported("annotations in expressions are")
                self.advance()
                return self.path(Alias(text[1:]))
            case "system":
                return self.system_value()
        if self.sees("("):
            return self.group()
        if text in {"[", "{", '"'} and text:
            self.refuse_unsupported("JSON literals are")
        self.refuse("expected a value", None if self.before else at)

    def plain_literal(self) -> Node:
        """Read a date, a time or a GUID."""
        what, rule, node = _PLAIN[self.token.kind]
        if not rule.fullmatch(self.token.text):
            self.refuse(f"this is not {what}", self.token.at)
        return node(self.advance().text)

    def typed_literal(self) -> Node:
        """Read a literal with its type before it: `duration'P1D'`, `Status'completed'`."""
        prefix, _, quoted = self.token.text.partition("'")
        text = _unquote("'" + quoted)
        if prefix.lower() == "duration":
            if not re.fullmatch(_DURATION, text, re.IGNORECASE):
                self.refuse("this is not a duration", self.token.at)
            self.advance()
            return ast.Duration(text.upper())
        if prefix.lower() in {"binary", "geography", "geometry"}:
            self.refuse_unsupported(f"{prefix.lower()} literals are")
        self.advance()
        return EnumText(prefix, text)

    def named_value(self) -> Node:
        """Read what begins with a name: a constant, a call or a path."""
        text = self.token.text
        if (word := text.lower()) in _WORDS:
            self.advance()
            return _WORDS[word](text)
        if text in {"INF", "NaN"}:
            self.advance()
            return ast.Float(text)
        *namespace, name = text.split(".")
        lone = not namespace and word in {"any", "all"}
        self.advance()
        node = ast.Identifier(name, tuple(namespace))
        if not self.sees("("):
            return self.path(node)
        if lone:
            self.refuse(f"expected a collection before {word!r}, as in orders/{word}(...)")
        return self.path(self.call(node))

    def system_value(self) -> Node:
        """Read `$it` or `$this` and the path after it."""
        word = self.token.text.lower()
        if word == "$root":
            self.refuse_unsupported("$root is")
        if word not in {"$it", "$this", "$count"}:
            self.refuse("expected a value")
        self.advance()
        return self.path(ast.Identifier(word))

    def group(self) -> Node:
        """Read a parenthesis: one expression, or a list."""
        at = self.token.at
        self.expect("(")
        if self.sees(")"):
            self.refuse("expected a value")
        node = self.expression()
        if not self.sees(","):
            self.expect(")")
            return node
        items = [node]
        while self.takes(","):
            items.append(self.expression())
        self.expect(")")
        if self.depth > 1 or at > 0:
            self.refuse("a list may stand only after 'in'", at)
        return ast.List(items)

    def members(self) -> Node:
        """Read the list after `in`; it may be empty."""
        self.expect("(")
        items: list[Node] = []
        if not self.sees(")"):
            items.append(self.expression())
            while self.takes(","):
                items.append(self.expression())
        if not self.takes(")"):
            self.refuse("expected ',' or ')'")
        return ast.List(items)

    # Paths and calls

    def path(self, node: Node) -> Node:
        """Read the segments that follow a value."""
        while self.sees("/"):
            self.advance()
            kind, text, _, _ = self.token
            word = text.lower()
            if kind == "alias":
                self.refuse_unsupported("annotations in expressions are")
            if kind == "system":
                node = self.system_segment(node, word)
                continue
            if kind != "name":
                self.refuse("expected a name")
            self.advance()
            if not self.sees("("):
                node = ast.Attribute(node, text)
            elif word in {"any", "all"}:
                node = self.lambda_segment(node, word)
            else:
                self.refuse_unsupported("functions and keys within a path are")
        return node

    def system_segment(self, node: Node, word: str) -> Node:
        """Read `/$count`."""
        if word in {"$filter", "$ref", "$value", "$each"}:
            self.refuse_unsupported(f"{word} in an expression is")
        if word != "$count":
            self.refuse("expected a name")
        self.advance()
        if self.sees("("):
            self.refuse_unsupported("options of $count in an expression are")
        return ast.Attribute(node, "$count")

    def lambda_segment(self, node: Node, word: str) -> Node:
        """Read the parenthesis of `any` or `all`."""
        operator = ast.Any() if word == "any" else ast.All()
        self.expect("(")
        if word == "any" and self.takes(")"):
            return ast.CollectionLambda(node, operator, None)
        if self.token.kind != "name" or "." in self.token.text:
            self.refuse("expected the name of a variable")
        variable = ast.Identifier(self.advance().text)
        self.expect(":")
        body = self.expression()
        self.expect(")")
        return ast.CollectionLambda(node, operator, ast.Lambda(variable, body))

    def call(self, function: Node) -> Node:
        """Read the arguments of a function."""
        if not function.namespace and function.name.lower() == "case":
            return self.case()
        self.expect("(")
        arguments: list[Node] = []
        if not self.sees(")"):
            arguments.append(self.argument())
            while self.takes(","):
                arguments.append(self.argument())
        if not self.takes(")"):
            self.refuse("expected ',' or ')'")
        return ast.Call(function, arguments)

    def argument(self) -> Node:
        """Read one argument, with its name if it has one."""
        node = self.expression()
        if isinstance(node, ast.Identifier) and self.takes("="):
            return ast.NamedParam(node, self.expression())
        return node

    def case(self) -> Node:
        """Read the branches of `case`."""
        self.expect("(")
        branches = []
        while True:
            condition = self.expression()
            self.expect(":")
            branches.append((condition, self.expression()))
            if not self.takes(","):
                break
        self.expect(")")
        return Case(tuple(branches))


def _unquote(text: str) -> str:
    return text[1:-1].replace("''", "'")
