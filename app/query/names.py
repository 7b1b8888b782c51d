"""Names in expressions, looked up in the catalog: fields, navigations, and rows behind them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from typing import NoReturn

from app.base.config import Settings
from app.base.errors import (
    BadOption,
    BadSyntax,
    NotSupported,
    TooComplex,
    TypeMismatch,
    UnknownDataset,
    UnknownField,
)
from app.catalog.datasets.attributes import ATTRIBUTES
from app.catalog.fields import Dataset, Field, Navigation, Type
from app.query.clipping import clip_rows
from app.query.expr import Both, Column, Element, Expr, FromRoot, Literal, Rows
from app.query.grammar import parse_expression
from app.query.kinds import compare_values
from app.query.nodes import Invoked, Node, ast, children_of


class Names(ABC):
    """One question's names, limits and what is left of them.

    weights: how many nodes each computed field stands for
    it: what `$it` means, where that is not the question's own row
    is_clipped: rows behind a path are those that `until=complete` keeps
    """

    def __init__(
        self,
        dataset: Dataset,
        settings: Settings,
        *,
        scopes: frozenset[str],
        aliases: Mapping[str, str],
        resolve: Callable[[str], Dataset],
        weights: Mapping[str, int],
        it: Rows | None = None,
        is_clipped: bool = False,
    ) -> None:
        self.dataset = dataset
        self.settings = settings
        self.scopes = scopes
        self.aliases = {name.removeprefix("@"): text for name, text in aliases.items()}
        self.resolve = resolve
        self.weights = weights
        self.is_clipped = is_clipped
        self.nodes = 0
        self.within_alias = False
        self.variables: dict[str, Rows] = {} if it is None else {it.name: it}
        self.bare: Rows | None = None
        self.lambda_depth = 0
        self.rows_count = 0
        self.roots: dict[str, Rows] = {}

    @abstractmethod
    def bind(self, node: Node) -> Expr:
        """Bind any node."""

    # Bounds

    def parse(self, text: str) -> Node:
        """Parse a text, within the limits.

        Raises: BadSyntax, TooComplex
        """
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
        deepest = self.settings.limit_filter_depth
        waiting = [(node, 1)]
        while waiting:
            current, depth = waiting.pop()
            self.add_nodes(1)
            if depth > deepest:
                raise TooComplex(
                    f"the expression is nested deeper than the limit filter_depth, {deepest}"
                )
            waiting.extend((child, depth + 1) for child in children_of(current))

    def add_nodes(self, count: int) -> None:
        """Count nodes, up to the limit."""
        self.nodes += count
        limit = self.settings.limit_filter_nodes
        if self.nodes > limit:
            raise TooComplex(f"the expression has more parts than the limit filter_nodes, {limit}")

    # Values

    def bind_path(self, node: Node) -> Expr:
        """Bind a field, or one reached over to-one navigations."""
        start, names = self.read_path(node)
        if not names:
            return self.element_of(start) if start is not None else self.refuse_row(node)
        whole = None if start is not None else self.dataset.field("/".join(names))
        *way, last = names if whole is None else [whole.name]
        if way and way[-1] == ATTRIBUTES:
            last = f"{way.pop()}/{last}"
        if start is not None and isinstance(start.step, Field):
            self.refuse_member(start)
        dataset = self.follow_all(start, way)
        field = dataset.field(last)
        if field is not None and self.may_see(field.scope):
            if start is None and not way:
                self.add_nodes(self.weights.get(last, 0))
            of = "" if start is None else start.name
            return self.from_root(of, Column(field.type, tuple(way), field, of))
        navigation = dataset.navigation(last)
        if navigation is not None:
            raise NotSupported(
                f"{last!r} leads to {navigation.target}; it has no value of its own",
                hint=f"Write {last}/any(...), {last}/all(...) or {last}/$count."
                if navigation.many
                else "Compare one of its fields.",
            )
        self.refuse_name(dataset, last)

    def key_at(self, node: Node) -> Expr | None:
        """The key of the one row that a path leads to, or None where it leads to a value."""
        if not isinstance(node, ast.Identifier | ast.Attribute):
            return None
        start, names = self.read_path(node)
        if not names or (start is not None and isinstance(start.step, Field)):
            return None
        if ATTRIBUTES in names[:-1]:
            return None
        if start is None and self.dataset.field("/".join(names)) is not None:
            return None
        dataset = self.follow_all(start, names[:-1])
        navigation = dataset.navigation(names[-1])
        if navigation is None or navigation.many:
            return None
        key = self.target_of(dataset, navigation).field(navigation.pairs[0][1])
        if key is None:
            return None
        of = "" if start is None else start.name
        return self.from_root(of, Column(key.type, tuple(names), key, of))

    def element_of(self, rows: Rows) -> Expr:
        """The present member of a list of texts.

        Raises: NotSupported, when it is a row
        """
        if isinstance(rows.step, Navigation):
            raise NotSupported(
                f"a row of {rows.dataset.name} has no value of its own",
                hint="Compare one of its fields.",
            )
        return Element(Type.TEXT, rows.name)

    def read_path(self, node: Node) -> tuple[Rows | None, list[str]]:
        """Where a path starts (the question's own row: None), and the names along it."""
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            if "." in node.attr:
                raise NotSupported(f"the type {node.attr[:40]!r} in a path is not supported")
            names.insert(0, node.attr)
            node = node.owner
        if isinstance(node, Invoked):
            return self.find_entity(node), names
        if not isinstance(node, ast.Identifier):
            raise NotSupported("a path may begin with a name only")
        if node.namespace:
            head = ".".join((*node.namespace, node.name))
            raise NotSupported(f"the type {head[:40]!r} in a path is not supported")
        if node.name in self.variables:
            return self.variables[node.name], names
        if node.name == "$it":
            return None, names
        if node.name == "$this":
            return self.bare, names
        if node.name == "$root" and names:
            self.refuse_root(self.find_set(names[0]))
        if node.name.startswith("$"):
            raise NotSupported(f"{node.name} is not supported here")
        return self.bare, [node.name, *names]

    def follow_all(self, start: Rows | None, way: Sequence[str]) -> Dataset:
        """The dataset at the end of to-one navigations."""
        if len(way) > self.settings.limit_expand_depth:
            raise TooComplex(
                f"the path {'/'.join(way)[:60]} is longer than the limit expand_depth,"
                f" {self.settings.limit_expand_depth}"
            )
        dataset = self.dataset if start is None else start.dataset
        for name in way:
            dataset = self.follow(dataset, name)
        return dataset

    def follow(self, dataset: Dataset, name: str) -> Dataset:
        """The dataset a to-one navigation leads to."""
        navigation = dataset.navigation(name)
        if navigation is None:
            field = dataset.field(name)
            if field is None or not self.may_see(field.scope):
                self.refuse_name(dataset, name)
            if field.type is Type.OPEN:
                raise NotSupported(f"the members of {name} in an expression are not supported")
            raise UnknownField(f"{name} of {dataset.name} is a value; it has no fields")
        if navigation.many:
            raise TypeMismatch(
                f"{name} leads to several {navigation.target}; a path cannot go on behind it",
                hint=f"Write {name}/any(x:x/field ...), {name}/all(...) or {name}/$count.",
            )
        return self.target_of(dataset, navigation)

    def target_of(self, dataset: Dataset, navigation: Navigation) -> Dataset:
        """The dataset a navigation leads to, if the caller may see it."""
        target = self.resolve(navigation.target)
        if not self.may_see(target.scope):
            self.refuse_name(dataset, navigation.name)
        return target

    # One entity of any set

    def find_entity(self, node: Invoked) -> Rows:
        """The entity behind `$root` with a key.

        Raises: NotSupported, UnknownField, BadSyntax, TypeMismatch
        Source: OData URL Conventions 4.01, section 5.1.1.14.5
        """
        if not (isinstance(node.owner, ast.Identifier) and node.owner.name == "$root"):
            raise NotSupported("functions and keys within a path are not supported")
        dataset = self.find_set(node.name)
        if dataset.computed is not None:
            self.refuse_root(dataset)
        self.rows_count += 1
        name = f"$root#{self.rows_count}"
        given = [one if isinstance(one, ast.NamedParam) else None for one in node.arguments]
        parts = {one.name.name: one.param for one in given if one is not None}
        if not parts and len(node.arguments) == len(dataset.key) == 1:
            parts = {dataset.key[0]: node.arguments[0]}
        known = (dataset.key, *dataset.alternate_keys)
        if len(parts) != len(node.arguments) or not any(set(parts) == set(key) for key in known):
            self.refuse_root(dataset)
        rows = Rows(Type.NULL, name, "", (), _way_to(dataset.name), dataset)
        for part, value in parts.items():
            rows = self.restrict_rows(rows, self.is_key(rows, part, self.bind(value)))
        self.roots[name] = rows
        return rows

    def refuse_root(self, dataset: Dataset) -> NoReturn:
        """Say what stands behind `$root`."""
        if dataset.computed is not None:
            raise NotSupported(f"$root/{dataset.name} is not supported: its rows are not kept")
        keys = [f"({', '.join(key)})" for key in (dataset.key, *dataset.alternate_keys)]
        raise BadSyntax(
            f"$root/{dataset.name} leads to one entity: its key must follow, {' or '.join(keys)}",
            hint=f"Write $root/{dataset.name}({dataset.key[0]}=...)/field.",
        )

    def is_key(self, rows: Rows, part: str, value: Expr) -> Expr:
        """The condition that a part of the key is this literal."""
        field = rows.dataset.field(part)
        if field is None or not self.may_see(field.scope):
            self.refuse_name(rows.dataset, part)
        if not isinstance(value, Literal) or value.value is None:
            raise BadSyntax(f"the key of $root/{rows.dataset.name} takes literals and aliases")
        return compare_values("eq", Column(field.type, (), field, rows.name), value)

    def find_set(self, name: str) -> Dataset:
        """The set of this name, if the caller may see it."""
        with suppress(UnknownDataset):
            dataset = self.resolve(name)
            if self.may_see(dataset.scope):
                return dataset
        raise UnknownField(f"there is no set {name[:60]!r} behind $root", target=name[:60])

    def from_root(self, of: str, expr: Expr) -> Expr:
        """An expression as a value of its own, where it starts from an entity behind `$root`."""
        rows = self.roots.get(of)
        return expr if rows is None else FromRoot(expr.type, rows, expr)

    # Rows behind a navigation to several

    def find_rows(self, node: Node) -> Rows:
        """The rows, or members of a list, at the end of a path.

        Raises: UnknownField, TypeMismatch, NotSupported, TooComplex
        """
        start, names = self.read_path(node)
        if not names:
            raise TypeMismatch("a row is not several; any, all and $count need a path to several")
        if start is not None and isinstance(start.step, Field):
            self.refuse_member(start)
        *way, last = names
        dataset = self.follow_all(start, way)
        step: Navigation | Field | None = dataset.navigation(last)
        if isinstance(step, Navigation):
            if not step.many:
                raise TypeMismatch(f"{last} leads to one {step.target}, not to several")
            dataset = self.target_of(dataset, step)
        else:
            step = dataset.field(last)
            if step is None or not self.may_see(step.scope):
                self.refuse_name(dataset, last)
            if step.type is not Type.TEXTS:
                raise TypeMismatch(f"{last} of {dataset.name} is one value, not a list")
        self.rows_count += 1
        of = "" if start is None else start.name
        name = f"{last}#{self.rows_count}"
        is_clipped = self.is_clipped and isinstance(step, Navigation)
        kept = clip_rows(dataset, name) if is_clipped else None
        return Rows(Type.NULL, name, of, tuple(way), step, dataset, kept)

    @contextmanager
    def variable(self, name: str, rows: Rows, *, bare: bool = False) -> Iterator[None]:
        """Let a name stand for each of these rows; with `bare`, so do names without one before.

        Raises: TooComplex, BadOption for a name that is taken
        """
        limit = self.settings.limit_lambda_depth
        if self.lambda_depth >= limit:
            raise TooComplex(f"any and all are nested deeper than the limit lambda_depth, {limit}")
        if name in self.variables and not bare:
            raise BadOption(f"the variable {name[:40]!r} is taken by an any or all around this one")
        outside, outside_bare = self.variables, self.bare
        self.variables = {**outside, name: rows}
        if bare:
            self.bare = rows
        self.lambda_depth += 1
        yield
        self.lambda_depth -= 1
        self.variables, self.bare = outside, outside_bare

    def restrict_rows(self, rows: Rows, condition: Expr) -> Rows:
        """Keep only those of the rows for which a condition holds."""
        if condition.type is Type.NULL:
            condition = Literal(Type.BOOL, False)
        if rows.where is not None:
            condition = Both(Type.BOOL, "and", (rows.where, condition))
        return replace(rows, where=condition)

    # Refusals

    def may_see(self, scope: str | None) -> bool:
        """Does the caller hold this scope, if any is needed?"""
        return scope is None or scope in self.scopes

    def refuse_row(self, node: Node) -> NoReturn:
        """Say that a row is no value."""
        word = node.name if isinstance(node, ast.Identifier) else "$it"
        raise NotSupported(f"{word} on its own is not supported here")

    def refuse_member(self, rows: Rows) -> NoReturn:
        """Say that the members of a list have no fields."""
        name = next((name for name, known in self.variables.items() if known is rows), "$this")
        raise UnknownField(f"{name} is a text; it has no fields")

    def refuse_name(self, dataset: Dataset, name: str) -> NoReturn:
        """Say that a dataset has no such field, and which is near."""
        fields = (*dataset.fields, *dataset.dynamic)
        names = [field.name for field in fields if self.may_see(field.scope)]
        names += [navigation.name for navigation in dataset.navigations]
        names += [variable for variable in self.variables if not variable.startswith("$")]
        raise UnknownField(
            f"{dataset.name} has no field {name[:60]!r}",
            hint=nearest_hint(name, names),
            target=name[:60],
        )


@cache
def _way_to(name: str) -> Navigation:
    """A way from anywhere to the rows of a set; one object, so that questions are alike by it."""
    return Navigation("$root", name, (), "The entities of a set.")


def nearest_hint(name: str, names: Sequence[str]) -> str | None:
    """A hint with the known name that is nearest to this one, or None."""
    near = get_close_matches(name.lower(), names, 1)
    return f"Did you mean {near[0]!r}?" if near else None
