"""Expression text in, syntax tree out: the OData 4.01 expression grammar, with exact positions.

Emits the nodes of `nodes.py`; looks no name up. Paths and calls are read in `paths.py`.
"""

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from app.base.errors import TooComplex
from app.query.nodes import (
    Alias,
    Annotation,
    Chain,
    DivBy,
    EnumText,
    Has,
    JsonObject,
    Node,
    ast,
)
from app.query.paths import PathWords

# At most six frames a level; Python allows a thousand in all, callers included.
DEEPEST = 120

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
    parser = Expressions(text, depth)
    node = parser.expression()
    parser.expect_end("an operator or the end")
    return node


@lru_cache(maxsize=256)
def parse_orderby(text: str, depth: int = 100) -> tuple[tuple[Node, bool], ...]:
    """Read `$orderby`: its expressions in order, each with whether it descends.

    Raises: BadSyntax, TooComplex, NotSupported
    Source: OData ABNF 4.01, rule orderby
    """
    parser = Expressions(text, depth)
    items = [parser.order_item()]
    while parser.takes(","):
        items.append(parser.order_item())
    parser.expect_end("',', 'asc', 'desc' or the end")
    return tuple(items)


@lru_cache(maxsize=256)
def parse_compute(text: str, depth: int = 100) -> tuple[tuple[Node, str], ...]:
    """Read `$compute`: its expressions in order, each with the name of its column.

    Raises: BadSyntax, TooComplex, NotSupported
    Source: OData ABNF 4.01, rule compute
    """
    parser = Expressions(text, depth)
    items = [parser.compute_item()]
    while parser.takes(","):
        items.append(parser.compute_item())
    parser.expect_end("',' or the end")
    return tuple(items)


class Expressions(PathWords):
    """The grammar, by recursive descent."""

    def __init__(self, text: str, depth: int) -> None:
        super().__init__(text)
        self.most = min(depth, DEEPEST)
        self.depth = 0
        self.json_depth = 0

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

    def compute_item(self) -> tuple[Node, str]:
        """Read one expression of `$compute` and the name after its `as`."""
        node = self.expression()
        if self.token.kind != "name" or self.token.text.lower() != "as" or not self.token.spaced:
            self.refuse("expected an operator or 'as'")
        self.advance()
        if self.token.kind != "name" or "." in self.token.text or not self.token.spaced:
            self.refuse("expected a name for the column")
        return node, self.advance().text

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
                self.advance()
                is_annotation = "." in text or "#" in text
                return self.path(Annotation(None, text[1:]) if is_annotation else Alias(text[1:]))
            case "system":
                return self.system_value()
            case "quoted" if self.json_depth:
                return self.json_text()
        if self.sees("("):
            return self.group()
        if self.sees("["):
            return self.json_list()
        if self.sees("{"):
            return self.json_object()
        if kind == "quoted":
            self.refuse("a text stands in single quotes", at)
        self.refuse("expected a value", None if self.before else at)

    # JSON. Source: OData ABNF 4.01, rule arrayOrObject

    def json_text(self) -> Node:
        """Read a text in double quotes."""
        try:
            text = json.loads(self.token.text)
        except ValueError:
            self.refuse("this is no text of JSON", self.token.at)
        self.advance()
        return ast.String(text)

    def json_list(self) -> Node:
        """Read `[...]`: its members are expressions."""
        self.expect("[")
        self.json_depth += 1
        items: list[Node] = []
        if not self.sees("]"):
            items.append(self.expression())
            while self.takes(","):
                items.append(self.expression())
        self.json_depth -= 1
        if not self.takes("]"):
            self.refuse("expected ',' or ']'")
        return ast.List(items)

    def json_object(self) -> Node:
        """Read `{...}`: names in double quotes, their values expressions."""
        self.expect("{")
        self.json_depth += 1
        pairs: list[tuple[str, Node]] = []
        while not self.sees("}"):
            if self.token.kind != "quoted":
                self.refuse("expected a name in double quotes")
            name = self.json_text().val
            self.expect(":")
            pairs.append((name, self.expression()))
            if not self.takes(","):
                break
            if self.sees("}"):
                self.refuse("expected a name in double quotes")
        self.json_depth -= 1
        if not self.takes("}"):
            self.refuse("expected ',' or '}'")
        return JsonObject(tuple(pairs))

    # Literals, names, parentheses

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
            path = self.path(node)
            if path is node and namespace and not (self.sees(",") or self.sees(")")):
                self.refuse("expected '/' or '(' after the name of a type or function")
            return path
        if lone:
            self.refuse(f"expected a collection before {word!r}, as in orders/{word}(...)")
        return self.path(self.call(node))

    def system_value(self) -> Node:
        """Read `$it`, `$this`, `$root` or `$all` and the path after it."""
        word = self.token.text.lower()
        if word == "$these":
            self.refuse_unsupported("$these is")
        if word not in {"$it", "$this", "$root", "$all", "$count"}:
            self.refuse("expected a value")
        self.advance()
        if word == "$root" and not self.sees("/"):
            self.refuse("expected '/' and the name of a set after $root")
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
        """Read the list after `in`, which may be empty; or one expression in parentheses.

        Source: OData ABNF 4.01, rule listExpr
        """
        self.expect("(")
        items: list[Node] = []
        kind, text, at, _ = self.token
        if kind == "name" and text.lower() not in _WORDS and text not in {"INF", "NaN"}:
            node = self.expression()
            if not self.takes(")"):
                self.refuse(f"the list after 'in' holds values, not {text[:40]!r}", at)
            return node
        if not self.sees(")"):
            items.append(self.unary())
            while self.takes(","):
                items.append(self.unary())
        if not self.takes(")"):
            self.refuse("expected ',' or ')'")
        return ast.List(items)


def _unquote(text: str) -> str:
    return text[1:-1].replace("''", "'")
