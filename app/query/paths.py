"""The part of the expression grammar that follows a name: path segments, lambdas, calls."""

from abc import ABC, abstractmethod

from app.query.nodes import Annotation, Case, Count, Filtered, Invoked, Node, ast
from app.query.tokens import Words


class PathWords(Words, ABC):
    """Paths and calls; what stands between their parentheses is read by `expression`."""

    @abstractmethod
    def expression(self, rank: int = 1) -> Node:
        """Read an expression of operators that bind at least so tightly."""

    def path(self, node: Node) -> Node:
        """Read the segments that follow a value.

        Source: OData ABNF 4.01, rules memberExpr, collectionPathExpr, complexPathExpr
        """
        while self.sees("/"):
            self.advance()
            kind, text, _, _ = self.token
            if kind == "alias":
                self.advance()
                node = Annotation(node, text[1:])
            elif kind == "system":
                node = self.system_segment(node, text.lower())
            elif kind == "name":
                node = self.name_segment(node, text)
            else:
                self.refuse("expected a name")
        return node

    def name_segment(self, node: Node, text: str) -> Node:
        """Read a name: of a property, a type, a lambda or a bound function."""
        self.advance()
        if not self.sees("("):
            return ast.Attribute(node, text)
        if (word := text.lower()) in {"any", "all"}:
            return self.lambda_segment(node, word)
        return Invoked(node, text, tuple(self.arguments()))

    def system_segment(self, node: Node, word: str) -> Node:
        """Read `/$count` or `/$filter(...)`."""
        if word == "$count":
            self.advance()
            return self.count_options(node) if self.sees("(") else Count(node)
        if word != "$filter":
            self.refuse("expected a name")
        self.advance()
        self.expect("(")
        condition = self.expression()
        self.expect(")")
        filtered = Filtered(node, condition)
        return Invoked(filtered, "", tuple(self.arguments())) if self.sees("(") else filtered

    def count_options(self, node: Node) -> Node:
        """Read the options of `/$count`: a filter, a search, or both.

        Source: OData URL Conventions 4.01, section 4.8
        """
        self.expect("(")
        condition, search = None, ""
        given = set()
        while True:
            name = self.token.text.removeprefix("$").lower()
            if self.token.kind not in {"system", "name"} or name not in {"filter", "search"}:
                self.refuse("expected '$filter' or '$search'")
            if name in given:
                self.refuse(f"${name} is given twice")
            given.add(name)
            self.advance()
            if name == "filter":
                self.expect("=")
                condition = self.expression()
            else:
                search = self.raw_option()
            if not self.takes(";"):
                break
        self.expect(")")
        return Count(node, condition, search)

    def raw_option(self) -> str:
        """Read the text of an option as it stands, from its `=` to the next `;` or `)`."""
        if not self.sees("="):
            self.refuse("expected '='")
        return self.take_raw().removeprefix("=")

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
        return ast.Call(function, self.arguments())

    def arguments(self) -> list[Node]:
        """Read the parenthesis of a call."""
        self.expect("(")
        found: list[Node] = []
        if not self.sees(")"):
            found.append(self.argument())
            while self.takes(","):
                found.append(self.argument())
        if not self.takes(")"):
            self.refuse("expected ',' or ')'")
        return found

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
