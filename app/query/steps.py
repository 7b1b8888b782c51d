"""`$apply` text in, its transformations out, one after the other; names are not looked up.

Source: OData Extension for Data Aggregation 4.0, section 3; its ABNF, rule applyExpr
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from app.base.errors import NotSupported, TooComplex
from app.query.grammar import Expressions
from app.query.nodes import Count, Node, ast

RANKED = (
    "topcount",
    "topsum",
    "toppercent",
    "bottomcount",
    "bottomsum",
    "bottompercent",
)
TRANSFORMATIONS = (
    "aggregate",
    *RANKED,
    "identity",
    "concat",
    "groupby",
    "filter",
    "search",
    "compute",
    "orderby",
    "top",
    "skip",
)
# What the standard knows and we do not offer.
_NOT_OFFERED = (
    "addnested",
    "ancestors",
    "descendants",
    "expand",
    "from",
    "join",
    "nest",
    "outerjoin",
    "traverse",
)


@dataclass(frozen=True, slots=True)
class Step:
    """Any transformation; one without anything of its own is `identity`."""


@dataclass(frozen=True, slots=True)
class Filter(Step):
    """`filter(condition)`."""

    condition: Node


@dataclass(frozen=True, slots=True)
class Searched(Step):
    """`search(words)`."""

    text: str


@dataclass(frozen=True, slots=True)
class Compute(Step):
    """`compute(expression as name, ...)`."""

    items: tuple[tuple[Node, str], ...]


@dataclass(frozen=True, slots=True)
class Sort(Step):
    """`orderby(expression desc, ...)`."""

    items: tuple[tuple[Node, bool], ...]


@dataclass(frozen=True, slots=True)
class Cut(Step):
    """`top(count)` and `skip(count)`; a top of None takes all."""

    top: int | None = None
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Rank(Step):
    """`topcount(bound,value)` and its kin, by `name`."""

    name: str
    bound: Node
    value: Node


@dataclass(frozen=True, slots=True)
class Number:
    """One number of `aggregate`.

    value: None for `$count`
    method: the name behind `with`; empty for a custom aggregate and for counts
    name: behind `as`; empty for a custom aggregate under its own name
    """

    value: Node | None
    method: str
    name: str


@dataclass(frozen=True, slots=True)
class Aggregated(Step):
    """`aggregate(value with method as name, ...)`."""

    numbers: tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class Grouped(Step):
    """`groupby((path, rollup(path, path)), steps)`.

    groupings: each a path, or the levels of a rollup from the coarsest
    """

    groupings: tuple[tuple[Node, ...], ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Concat(Step):
    """`concat(steps, steps, ...)`."""

    branches: tuple[tuple[Step, ...], ...]


@lru_cache(maxsize=256)
def parse_apply(text: str, most: int = 8, depth: int = 100) -> tuple[Step, ...]:
    """Read `$apply`.

    most: transformations, those within others among them; the first within a groupby is part of it
    depth: how deep expressions may be nested
    Raises: BadSyntax, TooComplex, NotSupported
    """
    parser = _Parser(text, depth, most)
    steps = parser.sequence()
    parser.expect_end("'/' or the end")
    return steps


def keeps_rows(steps: tuple[Step, ...]) -> bool:
    """Are the rows behind these transformations still some of those before, each once?"""
    return not any(isinstance(step, Aggregated | Grouped | Concat) for step in steps)


class _Parser(Expressions):
    """The grammar of transformations over that of expressions."""

    def __init__(self, text: str, depth: int, most: int) -> None:
        super().__init__(text, depth)
        self.most_steps = most
        self.steps = 0

    def sequence(self, *, is_inner: bool = False) -> tuple[Step, ...]:
        """Read transformations with slashes between them."""
        if is_inner:
            self.steps -= 1
        found = [self.step()]
        while self.takes("/"):
            found.append(self.step())
        return tuple(found)

    def step(self) -> Step:
        """Read one transformation."""
        self.steps += 1
        if self.steps > self.most_steps:
            raise TooComplex(
                f"$apply has more transformations than the limit apply_steps, {self.most_steps}",
                target="$apply",
            )
        name = self.step_name()
        if name == "identity":
            self.advance()
            return Step()
        if name == "search":
            self.advance()
            return Searched(self.raw_words())
        self.advance()
        self.expect("(")
        step = self.step_in(name)
        self.expect(")")
        return step

    def step_name(self) -> str:
        """The name of a transformation that is built, which is the present word."""
        kind, text, at, _ = self.token
        name = text.lower()
        if kind == "name" and name in TRANSFORMATIONS:
            return name
        if kind == "name" and (name in _NOT_OFFERED or "." in name):
            raise NotSupported(
                f"the transformation {text[:60]!r} is not supported", target="$apply"
            )
        if kind == "system":
            raise NotSupported(f"{text[:20]} in $apply is not supported", target="$apply")
        self.refuse("expected a transformation, such as filter or groupby", at)

    def step_in(self, name: str) -> Step:
        """Read what stands between the parentheses of a transformation."""
        match name:
            case "filter":
                return Filter(self.expression())
            case "compute":
                return Compute(tuple(self.listed(self.compute_item)))
            case "orderby":
                return Sort(tuple(self.listed(self.order_item)))
            case "aggregate":
                return Aggregated(tuple(self.listed(self.number)))
            case "groupby":
                return self.grouped()
            case "concat":
                branches = self.listed(self.sequence)
                if len(branches) < 2:
                    self.refuse("expected ',' and another sequence")
                return Concat(tuple(branches))
            case "top":
                return Cut(self.whole())
            case "skip":
                return Cut(None, self.whole())
        bound = self.expression()
        self.expect(",")
        return Rank(name, bound, self.expression())

    def listed(self, read: Callable[[], Any]) -> list[Any]:
        """Read items with commas between them."""
        found = [read()]
        while self.takes(","):
            found.append(read())
        return found

    def whole(self) -> int:
        """Read a whole number from 0."""
        if self.token.kind != "number" or not self.token.text.isdigit():
            self.refuse("expected a whole number from 0")
        if len(self.token.text) > 18:
            self.refuse("expected a whole number of at most 18 digits")
        return int(self.advance().text)

    def raw_words(self) -> str:
        """Read a parenthesis as it stands; within quotes it may hold others."""
        if not self.sees("("):
            self.refuse("expected '('")
        start = at = self.token.at + 1
        depth, quote = 1, ""
        while at < len(self.text):
            sign = self.text[at]
            if quote == '"' and sign == "\\":
                at += 1
            elif quote:
                quote = "" if sign == quote else quote
            elif sign in "'\"":
                quote = sign
            else:
                depth += (sign == "(") - (sign == ")")
            if depth == 0:
                break
            at += 1
        if depth or not self.text[start:at].strip():
            self.refuse("expected words and ')'", start)
        self.end = at + 1
        self.advance()
        return self.text[start:at]

    # Numbers

    def number(self) -> Number:
        """Read one number of `aggregate`."""
        at = self.token.at
        node = self.expression()
        is_count = isinstance(node, Count) or node == ast.Identifier("$count")
        method = ""
        if self.takes_word("with"):
            if is_count:
                self.refuse("expected 'as'", at)
            method = self.name("a method, such as sum")
        if self.sees_word("from"):
            self.refuse_unsupported("'from' is")
        is_path = isinstance(node, ast.Identifier | ast.Attribute | Count)
        name = ""
        if self.takes_word("as"):
            at = self.token.at
            name = self.name("a name")
            if "." in name:
                self.refuse("a name has no dots", at)
        if not name and (method or is_count):
            self.refuse("expected 'as' and a name")
        if not method and not is_path:
            self.refuse("expected 'with' and a method")
        return Number(None if node == ast.Identifier("$count") else node, method, name)

    def sees_word(self, word: str) -> bool:
        """Is this the present word?"""
        return self.token.kind == "name" and self.token.spaced and self.token.text.lower() == word

    def takes_word(self, word: str) -> bool:
        """Step over this word, if it is the present one."""
        if not self.sees_word(word):
            return False
        self.advance()
        return True

    def name(self, what: str) -> str:
        """Read a name."""
        if self.token.kind != "name":
            self.refuse(f"expected {what}")
        return self.advance().text

    # Groups

    def grouped(self) -> Grouped:
        """Read what is grouped by, and what is done with each group."""
        self.expect("(")
        groupings = tuple(self.listed(self.grouping))
        self.expect(")")
        steps = self.sequence(is_inner=True) if self.takes(",") else ()
        return Grouped(groupings, steps)

    def grouping(self) -> tuple[Node, ...]:
        """Read a path, or a rollup of several."""
        word = self.token.text.lower()
        if self.token.kind != "name" or self.text[self.end : self.end + 1] != "(":
            return (self.group_path(),)
        if word == "rolluprecursive":
            raise NotSupported("rolluprecursive is not supported", target="$apply")
        if word != "rollup":
            self.refuse("expected a path or rollup")
        self.advance()
        self.expect("(")
        levels = tuple(self.listed(self.group_path))
        self.expect(")")
        if len(levels) < 2:
            raise NotSupported("rollup by the name of a hierarchy is not supported; list its paths")
        return levels

    def group_path(self) -> Node:
        """Read a path of names."""
        node: Node = None
        while True:
            text = self.name("a name")
            if "." in text:
                raise NotSupported(f"the type {text[:40]!r} in a path is not supported")
            node = ast.Identifier(text) if node is None else ast.Attribute(node, text)
            if not self.takes("/"):
                return node
