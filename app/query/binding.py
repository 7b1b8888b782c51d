"""Syntax tree in, typed Expr out: names are looked up in the catalog only.

A field the caller may not see is a field that does not exist.
"""

import re
from typing import NoReturn

from app.base.errors import BadOption, BadSyntax, NotSupported, TooComplex, TypeMismatch
from app.catalog.fields import COUNTED, Field, Type
from app.catalog.functions import FUNCTIONS, function_named
from app.query.casting import cast_value, is_of, is_row_of, known_type
from app.query.expr import AsOf, Both, Column, CountOf, Expr, Not, Quantified, Rows
from app.query.kinds import (
    NULL,
    calculate,
    call_function,
    check_condition,
    choose_value,
    compare_values,
    find_among,
    negate,
    tell_type,
)
from app.query.literals import EARLIEST, LATEST, read_literal, read_word
from app.query.names import Names, nearest_hint
from app.query.nodes import (
    Alias,
    Annotation,
    Case,
    Chain,
    Count,
    DivBy,
    EnumText,
    Filtered,
    Has,
    Invoked,
    JsonObject,
    Node,
    ast,
)
from app.query.searching import bind_list_search, bind_search_terms

_COMPARISONS = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.Lt: "lt",
    ast.LtE: "le",
}
_ARITHMETIC = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    DivBy: "divby",
    ast.Mod: "mod",
}
# What the standard knows and we do not offer.
_NOT_OFFERED = {
    "matchespattern": "matchesPattern",
    "hassubset": "hassubset",
    "isdefined": "isdefined",
    "hassubsequence": "hassubsequence",
    "geo.distance": "geo.distance",
    "geo.intersects": "geo.intersects",
    "geo.length": "geo.length",
}
# Functions whose result depends on the zone a moment is written in.
_OF_ZONE = frozenset(
    {"date", "day", "hour", "minute", "month", "time", "totaloffsetminutes", "year"}
)
_IN_UTC = re.compile(r"(?:Z|[+-]00:00|T[^+-]*)\Z", re.IGNORECASE)
_NO_VALUES = {
    Annotation: "annotations in expressions are",
    Invoked: "functions and keys within a path are",
    JsonObject: "objects in expressions are",
    Filtered: "$filter in a path needs any, all or $count behind it; rows themselves are",
}


class Binder(Names):
    """One text's names and operators, bound."""

    def bind(self, node: Node) -> Expr:
        """Bind any node.

        Raises: BadSyntax, TooComplex, UnknownField, TypeMismatch, BadOption, NotSupported
        """
        if (what := _NO_VALUES.get(type(node))) is not None:
            raise NotSupported(f"{what} not supported")
        match node:
            case ast.Identifier() | ast.Attribute():
                return self.bind_path(node)
            case Chain():
                return self.bind_chain(node)
            case ast.UnaryOp():
                return self.bind_unary(node)
            case ast.BinOp():
                return self.bind_arithmetic(node)
            case Alias():
                return self.bind_alias(node)
            case EnumText():
                return read_word(node.enumeration, node.text)
            case ast.List():
                raise NotSupported("a list may stand only after 'in'")
            case ast.NamedParam():
                raise BadSyntax(f"the argument {node.name.name[:40]!r} is named; none here is")
        return self.bind_compound(node)

    def bind_compound(self, node: Node) -> Expr:
        """Bind a comparison, a call, a condition on rows, or at last a literal."""
        match node:
            case ast.Compare():
                return self.bind_comparison(node)
            case ast.Call():
                return self.bind_call(node)
            case Case():
                return self.bind_case(node)
            case ast.CollectionLambda():
                return self.bind_lambda(node)
            case Count():
                return self.bind_count(node)
        return read_literal(node)

    # Operators

    def bind_chain(self, node: Node) -> Expr:
        """Bind `and` or `or`; a chain of the same within it becomes part of it."""
        terms: list[Expr] = []
        for part in node.terms:
            term = check_condition(self.bind(part), f"{node.operator!r}")
            if isinstance(term, Both) and term.operator == node.operator:
                terms.extend(term.terms)
            else:
                terms.append(term)
        return Both(Type.BOOL, node.operator, tuple(terms))

    def bind_arithmetic(self, node: Node) -> Expr:
        """Bind `add sub mul div divby mod`.

        What `aggregate` has counted is a decimal without fraction: `div` gives it one.
        Source: OData Extension for Data Aggregation 4.0, section 3.2.1.4
        """
        left, right = self.bind(node.left), self.bind(node.right)
        operator = _ARITHMETIC[type(node.op)]
        if operator == "div" and (_is_counted(left) or _is_counted(right)):
            operator = "divby"
        return calculate(operator, left, right)

    def bind_comparison(self, node: Node) -> Expr:
        """Bind a comparison, `in` or `has`."""
        if isinstance(node.comparator, ast.In):
            return self.bind_in(node)
        if isinstance(node.comparator, ast.Eq | ast.NotEq):
            for null, path in ((node.left, node.right), (node.right, node.left)):
                if isinstance(null, ast.Null) and (key := self.key_at(path)) is not None:
                    return compare_values(_COMPARISONS[type(node.comparator)], key, NULL)
        left, right = self.bind(node.left), self.bind(node.right)
        if isinstance(node.comparator, Has):
            if left.type is not Type.ENUM:
                raise TypeMismatch(f"{tell_type(left)}; 'has' takes a word of a closed list")
            # No list here has flags: a row has the one word it holds.
            return NULL if right.type is Type.NULL else compare_values("eq", left, right)
        return compare_values(_COMPARISONS[type(node.comparator)], left, right)

    def bind_in(self, node: Node) -> Expr:
        """Bind `in`: a value among those of a list, or of a path to a list of texts."""
        if isinstance(node.left, ast.List):
            raise NotSupported("lists on the left of 'in' are not supported")
        left = self.bind(node.left)
        right = node.right
        if isinstance(right, Alias):
            found = self.find_alias(right)
            right = found if isinstance(found, ast.List) else ast.List([found])
        if not isinstance(right, ast.List | ast.Identifier | ast.Attribute | Filtered | Invoked):
            raise TypeMismatch("'in' takes a list in parentheses or brackets, or a path to one")
        if not isinstance(right, ast.List):
            rows = self.bind_rows(right)
            element = self.element_of(rows)
            found = Quantified(Type.BOOL, rows, compare_values("eq", element, left))
            return self.from_root(rows.of, found)
        limit = self.settings.limit_in_members
        if len(right.val) > limit:
            raise TooComplex(
                f"the list after 'in' has {len(right.val)} members; the limit in_members is {limit}"
            )
        return find_among(left, [self.bind(member) for member in right.val])

    def bind_unary(self, node: Node) -> Expr:
        """Bind `not` and the minus."""
        term = self.bind(node.operand)
        if isinstance(node.op, ast.USub):
            return negate(term)
        check_condition(term, "'not'")
        if isinstance(term, Not):
            return term.term
        return NULL if term.type is Type.NULL else Not(Type.BOOL, term)

    # Calls

    def bind_call(self, node: Node) -> Expr:
        """Bind a function by its row in the catalog."""
        name = ".".join((*node.func.namespace, node.func.name))
        if name.lower() in {"cast", "isof"}:
            return self.bind_cast(node, name.lower())
        row = function_named(name)
        if row is None:
            _refuse_function(name)
        if row.name in _OF_ZONE:
            self.check_zone(row.name, node.args)
        result = call_function(row, [self.bind(argument) for argument in node.args])
        if result == NULL or row.sql is not None:
            return result
        if row.name == "now":
            return AsOf(Type.TIME)
        return EARLIEST if row.name == "mindatetime" else LATEST

    def check_zone(self, function: str, arguments: list[Node]) -> None:
        """Refuse a moment written in another zone: it is kept in UTC, where it reads differently.

        Source: OData URL Conventions 4.01, section 5.1.1.8
        """
        for argument in arguments:
            node = self.find_alias(argument) if isinstance(argument, Alias) else argument
            if isinstance(node, ast.DateTime) and not _IN_UTC.search(node.val):
                raise TypeMismatch(
                    f"{function} reads moments in UTC; {node.val[:40]} is in another zone",
                    hint="Write the moment in UTC, with Z at its end.",
                )

    def bind_case(self, node: Node) -> Expr:
        """Bind `case`; a condition that is null is not met."""
        branches = [(self.bind(condition), self.bind(value)) for condition, value in node.branches]
        conditions = [check_condition(condition, "'case'") for condition, _ in branches]
        return choose_value(conditions, [value for _, value in branches])

    def bind_cast(self, node: Node, function: str) -> Expr:
        """Bind `cast` and `isof`: a value, or the row itself, and the name of a type."""
        *terms, last = node.args or [None]
        if len(terms) > 1 or not isinstance(last, ast.Identifier):
            if isinstance(last, ast.Call):
                raise NotSupported(f"{function} to a collection is not supported")
            raise BadSyntax(f"{function} takes a value and the name of a type")
        name = ".".join((*last.namespace, last.name))
        row = self.dataset if self.bare is None else self.bare.dataset
        name = known_type(name, row, self.scopes)
        if not terms:
            if function == "isof":
                return is_row_of(row, name)
            raise NotSupported("cast of the row itself is not supported")
        term = self.bind(terms[0])
        return cast_value(term, name) if function == "cast" else is_of(term, name)

    # Rows behind a navigation

    def bind_lambda(self, node: Node) -> Expr:
        """Bind `any` and `all`.

        Source: OData URL Conventions 4.01, section 5.1.1.13
        """
        every = isinstance(node.operator, ast.All)
        rows = self.bind_rows(node.owner)
        if node.lambda_ is None:
            return self.from_root(rows.of, Quantified(Type.BOOL, rows, None))
        with self.variable(node.lambda_.identifier.name, rows):
            body = self.bind(node.lambda_.expression)
        condition = check_condition(body, "'all'" if every else "'any'")
        return self.from_root(rows.of, Quantified(Type.BOOL, rows, condition, every))

    def bind_count(self, node: Node) -> Expr:
        """Bind `/$count`, also of filtered rows."""
        rows = self.bind_rows(node.owner)
        if node.condition is not None:
            rows = self.filter_rows(rows, node.condition)
        if node.search:
            rows = self.restrict_rows(rows, self.search_rows(rows, node.search))
        return self.from_root(rows.of, CountOf(Type.INT, rows))

    def search_rows(self, rows: Rows, text: str) -> Expr:
        """Bind a search in rows, or in members of a list."""
        if isinstance(rows.step, Field):
            return bind_list_search(text, rows.name, settings=self.settings)
        return bind_search_terms(
            text, rows.dataset, settings=self.settings, scopes=self.scopes, of=rows.name
        )

    def bind_rows(self, node: Node) -> Rows:
        """Bind a path to several rows, or to the members of a list; also a filtered one."""
        if isinstance(node, Filtered):
            return self.filter_rows(self.bind_rows(node.owner), node.condition)
        if (what := _NO_VALUES.get(type(node))) is not None:
            raise NotSupported(f"{what} not supported")
        return self.find_rows(node)

    def filter_rows(self, rows: Rows, condition: Node) -> Rows:
        """Keep only rows for which a condition holds; `$this` is each of them."""
        with self.variable("$this", rows, bare=True):
            bound = check_condition(self.bind(condition), "a filter")
        return self.restrict_rows(rows, bound)

    # Aliases

    def bind_alias(self, node: Alias) -> Expr:
        """Bind what an alias stands for; `@as_of` is the moment asked for."""
        if node.name == "as_of":
            return AsOf(Type.TIME)
        found = self.find_alias(node)
        outside, self.within_alias = self.within_alias, True
        expr = self.bind(found)
        self.within_alias = outside
        return expr

    def find_alias(self, node: Alias) -> Node:
        """The tree an alias stands for; null when the question gives it no value.

        Source: OData URL Conventions 4.01, section 5.3
        """
        if self.within_alias:
            raise BadOption(f"the value of an alias names the alias @{node.name[:40]}")
        text = self.aliases.get(node.name)
        return ast.Null() if text is None else self.parse(text)


def _is_counted(expr: Expr) -> bool:
    return isinstance(expr, Column) and expr.type is Type.INT and expr.field.unit == COUNTED


def _refuse_function(name: str) -> NoReturn:
    if (known := _NOT_OFFERED.get(name.lower())) is not None:
        raise NotSupported(f"the function {known!r} is not supported")
    if "." in name:
        raise NotSupported(f"there is no function {name[:60]!r} here; none has a namespace")
    raise BadSyntax(
        f"there is no function {name[:60]!r}",
        hint=nearest_hint(name, [row.name for row in FUNCTIONS]),
    )
