"""The hook that refuses a statement on an environment's tables that does not name its environment.

A compiled statement is looked at once. One that must cross environments says
`across_environments="reason"` in its execution options; a test lists them all.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Delete, FromClause, Select, Table, TextClause, Update
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BooleanClauseList,
    ClauseElement,
    Grouping,
)
from sqlalchemy.sql.operators import and_, eq
from sqlalchemy.sql.selectable import Alias, Join

from app.base.errors import EnvironmentMissing

CROSSING_OPTION = "across_environments"


class GuardedText(str):
    """SQL text that names its environment: built by the store, or compiled and checked."""

    __slots__ = ()


def check_statement(
    _connection: Connection,
    _cursor: Any,
    statement: str,
    _parameters: Any,
    context: Any,
    _many: bool,
) -> None:
    """Refuse a statement that touches an environment's table without its environment.

    SQLAlchemy's `before_cursor_execute` event.

    Raises: EnvironmentMissing
    """
    if isinstance(statement, GuardedText) or context is None:
        return
    options = context.execution_options
    if options.get(CROSSING_OPTION):
        return
    compiled = context.compiled
    if compiled is None or isinstance(compiled.statement, TextClause):
        raise EnvironmentMissing("a raw statement was not built by the store")
    if getattr(compiled, "fullcount_checked", False):
        return
    if isinstance(compiled.statement, ClauseElement):
        check_environment(compiled.statement)
    compiled.fullcount_checked = True


def check_environment(element: ClauseElement) -> None:
    """Look for the environment of each table that has one, in what must hold for every row.

    A table is bound by an equality with a value, or with the environment of a table that is bound.
    Below an `or` or a `not` an equality binds nothing.

    Raises: EnvironmentMissing
    """
    bound: set[int] = set()
    linked: list[tuple[int, int]] = []
    for term in _binding_terms(element):
        sides = [_environment_of(term.left), _environment_of(term.right)]
        if sides[0] is not None and sides[1] is not None:
            linked.append((sides[0], sides[1]))
        bound |= {side for side in sides if side is not None and None in sides}
    while True:
        reached = {b for a, b in linked if a in bound} | {a for a, b in linked if b in bound}
        if reached <= bound:
            break
        bound |= reached
    for table in _environment_tables(element):
        if id(table) not in bound:
            name = getattr(table, "name", str(table))
            raise EnvironmentMissing(f"a statement on {name} names no environment")


def _environment_tables(element: ClauseElement) -> Iterator[FromClause]:
    for node in visitors.iterate(element):
        if isinstance(node, Select):
            for source in node.get_final_froms():
                yield from _leaves(source)
        elif isinstance(node, Update | Delete):
            yield from _leaves(node.table)
            for part in visitors.iterate(node.whereclause) if node.whereclause is not None else ():
                yield from _leaves(getattr(part, "table", None))


def _leaves(source: Any) -> Iterator[FromClause]:
    if isinstance(source, Join):
        yield from _leaves(source.left)
        yield from _leaves(source.right)
    elif isinstance(source, Table | Alias):
        inner = source.element if isinstance(source, Alias) else source
        if isinstance(inner, Table) and "environment_id" in source.c:
            yield _plain(source)


def _binding_terms(element: ClauseElement) -> Iterator[BinaryExpression[Any]]:
    """The equalities that hold for every row: terms of the conjunctions of WHERE and ON."""
    for node in visitors.iterate(element):
        if isinstance(node, Select | Update | Delete):
            yield from _conjuncts(node.whereclause)
        if isinstance(node, Select):
            for source in node.get_final_froms():
                yield from _join_terms(source)


def _join_terms(source: Any) -> Iterator[BinaryExpression[Any]]:
    if isinstance(source, Join):
        yield from _conjuncts(source.onclause)
        yield from _join_terms(source.left)
        yield from _join_terms(source.right)


def _conjuncts(clause: Any) -> Iterator[BinaryExpression[Any]]:
    if isinstance(clause, Grouping):
        yield from _conjuncts(clause.element)
    elif isinstance(clause, BooleanClauseList) and clause.operator is and_:
        for term in clause.clauses:
            yield from _conjuncts(term)
    elif isinstance(clause, BinaryExpression) and clause.operator is eq:
        yield clause


def _environment_of(side: Any) -> int | None:
    """The identity of the table whose environment this is; None for anything else."""
    table = getattr(side, "table", None)
    if table is None or getattr(side, "name", None) != "environment_id":
        return None
    return id(_plain(table))


def _plain(source: Any) -> Any:
    """The element behind an ORM annotation, which is a copy."""
    return getattr(source, "_Annotated__element", source)
