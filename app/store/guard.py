"""The hook that refuses a statement on an environment's tables that does not name its environment.

A compiled statement is looked at once. One that must cross environments says
`across_environments="reason"` in its execution options; a test lists them all.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Delete, FromClause, Select, Table, Update
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BinaryExpression, ClauseElement
from sqlalchemy.sql.operators import eq
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
    if context.execution_options.get(CROSSING_OPTION):
        return
    compiled = context.compiled
    if compiled is None:
        raise EnvironmentMissing("a raw statement was not built by the store")
    if getattr(compiled, "fullcount_checked", False):
        return
    if isinstance(compiled.statement, ClauseElement):
        check_environment(compiled.statement)
    compiled.fullcount_checked = True


def check_environment(element: ClauseElement) -> None:
    """Look for an equality on `environment_id` for each table that has that column.

    Raises: EnvironmentMissing
    """
    bound = {id(table) for table in _bound_tables(element)}
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


def _leaves(source: Any) -> Iterator[FromClause]:
    if isinstance(source, Join):
        yield from _leaves(source.left)
        yield from _leaves(source.right)
    elif isinstance(source, Table | Alias):
        inner = source.element if isinstance(source, Alias) else source
        if isinstance(inner, Table) and "environment_id" in source.c:
            yield _plain(source)


def _bound_tables(element: ClauseElement) -> Iterator[FromClause]:
    for node in visitors.iterate(element):
        if isinstance(node, BinaryExpression) and node.operator is eq:
            for side in (node.left, node.right):
                if getattr(side, "name", None) == "environment_id":
                    table = getattr(side, "table", None)
                    if table is not None:
                        yield _plain(table)


def _plain(source: Any) -> Any:
    """The element behind an ORM annotation, which is a copy."""
    return getattr(source, "_Annotated__element", source)
