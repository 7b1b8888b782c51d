"""Expression text in (bounded first), Expr out: names looked up in the catalog only, types checked.

A field the caller may not see is a field that does not exist. No SQL is made here.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import NoReturn

from odata_query import ast

from app.base.config import Settings
from app.base.errors import (
    BadOption,
    BadSyntax,
    NotSupported,
    TooComplex,
    TypeMismatch,
    UnknownField,
)
from app.catalog.fields import Dataset, Type
from app.catalog.functions import FUNCTIONS, function_named
from app.query.expr import AsOf, Both, Column, Expr, Literal, Not
from app.query.grammar import (
    Alias,
    Case,
    Chain,
    DivBy,
    EnumText,
    Has,
    Node,
    parse_expression,
    parse_orderby,
)
from app.query.kinds import (
    FALSE,
    NULL,
    calculate,
    call_function,
    check_condition,
    compare_values,
    find_among,
    negate,
    tell_type,
)
from app.query.literals import (
    EARLIEST,
    LATEST,
    read_date,
    read_integer,
    read_number,
    read_text,
    read_time,
)

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
    "cast": "cast",
    "isof": "isof",
    "matchespattern": "matchesPattern",
    "time": "time",
    "totalseconds": "totalseconds",
    "hassubset": "hassubset",
    "hassubsequence": "hassubsequence",
    "geo.distance": "geo.distance",
    "geo.intersects": "geo.intersects",
    "geo.length": "geo.length",
}


def bind_filter(
    text: str,
    dataset: Dataset,
    *,
    settings: Settings,
    scopes: frozenset[str],
    aliases: Mapping[str, str],
    resolve: Callable[[str], Dataset],
) -> Expr:
    """Read a condition over the rows of a dataset.

    resolve: the dataset of this name, for navigations
    Raises: BadSyntax, TooComplex, UnknownField, TypeMismatch, BadOption, NotSupported
    Source: OData URL Conventions 4.01, section 5.1.2
    """
    binder = _Binder(dataset, settings, scopes=scopes, aliases=aliases, resolve=resolve)
    condition = check_condition(binder.read(text), "a filter")
    return FALSE if condition.type is Type.NULL else condition


def bind_order(
    text: str,
    dataset: Dataset,
    *,
    settings: Settings,
    scopes: frozenset[str],
    aliases: Mapping[str, str],
    resolve: Callable[[str], Dataset],
) -> tuple[tuple[Expr, bool], ...]:
    """Read `$orderby`: what to sort by, in order, each with whether it descends.

    Raises: as bind_filter
    Source: OData URL Conventions 4.01, section 5.1.5
    """
    binder = _Binder(dataset, settings, scopes=scopes, aliases=aliases, resolve=resolve)
    binder.check_length(text)
    items = parse_orderby(text, settings.limit_filter_depth)
    if len(items) > settings.limit_orderby:
        raise TooComplex(
            f"$orderby has {len(items)} parts; the limit orderby is {settings.limit_orderby}"
        )
    order = []
    for node, descends in items:
        binder.check_size(node)
        expr = _check_scalar(binder.bind(node))
        if expr.type in {Type.OPEN, Type.TEXTS}:
            raise NotSupported(f"{tell_type(expr)}; rows cannot be sorted by it")
        order.append((expr, descends))
    return tuple(order)


def bind_value(
    text: str,
    dataset: Dataset,
    *,
    settings: Settings,
    scopes: frozenset[str],
    aliases: Mapping[str, str],
    resolve: Callable[[str], Dataset],
) -> Expr:
    """Read an expression of any type.

    Raises: as bind_filter
    """
    binder = _Binder(dataset, settings, scopes=scopes, aliases=aliases, resolve=resolve)
    return _check_scalar(binder.read(text))


class _Binder:
    """One question's names, limits and what is left of them."""

    def __init__(
        self,
        dataset: Dataset,
        settings: Settings,
        *,
        scopes: frozenset[str],
        aliases: Mapping[str, str],
        resolve: Callable[[str], Dataset],
    ) -> None:
        self.dataset = dataset
        self.settings = settings
        self.scopes = scopes
        self.aliases = {name.removeprefix("@"): text for name, text in aliases.items()}
        self.resolve = resolve
        self.nodes = 0
        self.within_alias = False

    # Bounds

    def read(self, text: str) -> Expr:
        """Parse and bind a text, within the limits."""
        return self.bind(self.parse(text))

    def parse(self, text: str) -> Node:
        """Parse a text, within the limits."""
        self.check_length(text)
        node = parse_expression(text, self.settings.limit_filter_depth)
        self.check_size(node)
        return node

    def check_length(self, text: str) -> None:
        """Refuse a long text before it is looked at."""
        limit = self.settings.limit_filter_bytes
        length = len(text.encode("utf-8", "surrogatepass"))
        if length > limit:
            raise TooComplex(
                f"the expression has {length} bytes; the limit filter_bytes is {limit}"
            )

    def check_size(self, node: Node) -> None:
        """Refuse a tree with too many nodes, or too deep for what comes after."""
        limit, deepest = self.settings.limit_filter_nodes, self.settings.limit_filter_depth
        waiting = [(node, 1)]
        while waiting:
            current, depth = waiting.pop()
            self.nodes += 1
            if self.nodes > limit:
                raise TooComplex(
                    f"the expression has more parts than the limit filter_nodes, {limit}"
                )
            if depth > deepest:
                raise TooComplex(
                    f"the expression is nested deeper than the limit filter_depth, {deepest}"
                )
            waiting.extend((child, depth + 1) for child in _children(current))

    # Nodes

    def bind(self, node: Node) -> Expr:
        """Bind any node."""
        match node:
            case ast.Identifier() | ast.Attribute():
                return self.bind_path(node)
            case ast.Compare():
                return self.bind_comparison(node)
            case Chain():
                return self.bind_chain(node)
            case ast.UnaryOp():
                return self.bind_unary(node)
            case ast.BinOp():
                left, right = self.bind(node.left), self.bind(node.right)
                return calculate(_ARITHMETIC[type(node.op)], left, right)
            case ast.Call():
                return self.bind_call(node)
            case Alias():
                return self.bind_alias(node)
            case EnumText():
                return Literal(Type.ENUM, (node.enumeration, node.text))
            case ast.List():
                raise TypeMismatch("a list may stand only after 'in'")
            case ast.CollectionLambda():
                word = "any" if isinstance(node.operator, ast.Any) else "all"
                raise NotSupported(f"the operator {word!r} is not supported yet")
            case Case():
                raise NotSupported("the function 'case' is not supported yet")
            case ast.NamedParam():
                raise BadSyntax(f"the argument {node.name.name[:40]!r} is named; none here is")
        return _read_literal(node)

    def bind_chain(self, node: Chain) -> Expr:
        """Bind `and` or `or`; a chain of the same within it becomes part of it."""
        terms: list[Expr] = []
        for part in node.terms:
            term = check_condition(self.bind(part), f"{node.operator!r}")
            if isinstance(term, Both) and term.operator == node.operator:
                terms.extend(term.terms)
            else:
                terms.append(term)
        return Both(Type.BOOL, node.operator, tuple(terms))

    def bind_comparison(self, node: Node) -> Expr:
        """Bind a comparison, `in` or `has`."""
        left = self.bind(node.left)
        if isinstance(node.comparator, ast.In):
            return find_among(left, self.bind_members(node.right))
        right = self.bind(node.right)
        if isinstance(node.comparator, Has):
            if left.type is not Type.ENUM:
                raise TypeMismatch(f"{tell_type(left)}; 'has' takes a word of a closed list")
            # No list here has flags: a row has the one word it holds.
            return compare_values("eq", left, right)
        return compare_values(_COMPARISONS[type(node.comparator)], left, right)

    def bind_members(self, node: Node) -> list[Expr]:
        """Bind the list after `in`, which may come by an alias."""
        if isinstance(node, Alias):
            found = self.find_alias(node)
            node = found if isinstance(found, ast.List) else ast.List([found])
        if not isinstance(node, ast.List):
            raise NotSupported("'in' takes a list of values; a path to several is not supported")
        limit = self.settings.limit_in_members
        if len(node.val) > limit:
            raise TooComplex(
                f"the list after 'in' has {len(node.val)} members; the limit in_members is {limit}"
            )
        return [self.bind_member(member) for member in node.val]

    def bind_member(self, node: Node) -> Expr:
        """Bind one member of a list: a value."""
        if isinstance(node, Alias | EnumText):
            return self.bind(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return negate(_read_literal(node.operand))
        if isinstance(node, ast.Identifier):
            raise TypeMismatch(
                f"the list after 'in' holds the name {node.name[:40]!r}, not a value",
                hint="A text is written in single quotes.",
            )
        return _read_literal(node)

    def bind_unary(self, node: Node) -> Expr:
        """Bind `not` and the minus."""
        term = self.bind(node.operand)
        if isinstance(node.op, ast.USub):
            return negate(term)
        check_condition(term, "'not'")
        if isinstance(term, Not):
            return term.term
        return NULL if term.type is Type.NULL else Not(Type.BOOL, term)

    def bind_call(self, node: Node) -> Expr:
        """Bind a function by its row in the catalog."""
        name = ".".join((*node.func.namespace, node.func.name))
        row = function_named(name)
        if row is None:
            _refuse_function(name)
        result = call_function(row, [self.bind(argument) for argument in node.args])
        if result == NULL or row.sql is not None:
            return result
        if row.name == "now":
            return AsOf(Type.TIME)
        return EARLIEST if row.name == "mindatetime" else LATEST

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

    # Names

    def bind_path(self, node: Node) -> Expr:
        """Bind a field, or one reached over to-one navigations."""
        *way, last = self.read_path(node)
        dataset = self.dataset
        if len(way) > self.settings.limit_expand_depth:
            raise TooComplex(
                f"the path {'/'.join(way)[:60]} is longer than the limit expand_depth,"
                f" {self.settings.limit_expand_depth}"
            )
        for name in way:
            dataset = self.follow(dataset, name)
        if last == "$count":
            raise NotSupported("$count in an expression is not supported yet")
        field = dataset.field(last)
        if field is not None and self.may_see(field.scope):
            return Column(field.type, tuple(way), field)
        navigation = dataset.navigation(last)
        if navigation is not None:
            raise NotSupported(
                f"{last!r} leads to {navigation.target}; it has no value of its own",
                hint="Compare one of its fields.",
            )
        self.refuse_name(dataset, last)

    def read_path(self, node: Node) -> list[str]:
        """The names along a path, without `$it` at its head."""
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            if "." in node.attr:
                raise NotSupported(f"the type {node.attr[:40]!r} in a path is not supported")
            names.insert(0, node.attr)
            node = node.owner
        if not isinstance(node, ast.Identifier):
            raise NotSupported("a path may begin with a name only")
        if node.name == "$it" and names:
            return names
        if node.name.startswith("$"):
            raise NotSupported(f"{node.name} on its own is not supported here")
        return [".".join((*node.namespace, node.name)), *names]

    def follow(self, dataset: Dataset, name: str) -> Dataset:
        """The dataset a to-one navigation leads to."""
        navigation = dataset.navigation(name)
        if navigation is None:
            if (field := dataset.field(name)) is not None and self.may_see(field.scope):
                raise UnknownField(f"{name} of {dataset.name} is a value; it has no fields")
            self.refuse_name(dataset, name)
        if navigation.many:
            raise NotSupported(
                f"{name} leads to many {navigation.target}; a condition on them"
                " (any, all, $count) is not supported yet"
            )
        target = self.resolve(navigation.target)
        if not self.may_see(target.scope):
            self.refuse_name(dataset, name)
        return target

    def may_see(self, scope: str | None) -> bool:
        """Does the caller hold this scope, if any is needed?"""
        return scope is None or scope in self.scopes

    def refuse_name(self, dataset: Dataset, name: str) -> NoReturn:
        """Say that a dataset has no such field, and which is near."""
        names = [field.name for field in dataset.fields if self.may_see(field.scope)]
        names += [n.name for n in dataset.navigations if not n.many]
        near = get_close_matches(name.lower(), names, 1)
        raise UnknownField(
            f"{dataset.name} has no field {name[:60]!r}",
            hint=f"Did you mean {near[0]!r}?" if near else None,
            target=name[:60],
        )


def _children(node: Node) -> list[Node]:
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
    return []


def _check_scalar(expr: Expr) -> Expr:
    if isinstance(expr, Literal) and isinstance(expr.value, tuple):
        raise TypeMismatch(f"{expr.value[0][:40]}'...' stands beside no field of such words")
    return expr


def _refuse_function(name: str) -> NoReturn:
    if (known := _NOT_OFFERED.get(name.lower())) is not None:
        raise NotSupported(f"the function {known!r} is not supported")
    near = get_close_matches(name.lower(), [row.name for row in FUNCTIONS], 1)
    raise BadSyntax(
        f"there is no function {name[:60]!r}", hint=f"Did you mean {near[0]!r}?" if near else None
    )


# Literals


def _read_literal(node: Node) -> Literal:
    match node:
        case ast.Null():
            return NULL
        case ast.Boolean():
            return Literal(Type.BOOL, node.val.lower() == "true")
        case ast.String():
            return read_text(node.val)
        case ast.Integer():
            return read_integer(node.val)
        case ast.Float():
            return read_number(node.val)
        case ast.Date():
            return read_date(node.val)
        case ast.DateTime():
            return read_time(node.val)
        case ast.GUID():
            raise TypeMismatch("no field here is a GUID", hint="Write the key in single quotes.")
        case ast.Time():
            raise NotSupported("times of day are not supported")
        case ast.Duration():
            raise NotSupported("durations are not supported")
    raise TypeMismatch("a value is expected here, not an expression")
