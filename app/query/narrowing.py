"""Which conditions name few rows: those with a given key of something else, found by an index.

SQLite keeps no statistics here and takes an environment for small; left alone it would walk all
its rows in the order asked for rather than look the few up and sort them.
"""

from collections.abc import Iterator
from functools import cache

from sqlalchemy import Table, UniqueConstraint

from app.catalog.fields import Dataset, Field, Role
from app.query.expr import Among, Both, Column, Compare, Expr, Literal


def split_narrow(dataset: Dataset, where: Expr | None) -> tuple[list[Expr], list[Expr]]:
    """The terms that must all hold: those that name few rows, and the others.

    Nothing is narrow beside the row's own key: that names one.
    """
    terms: tuple[Expr, ...] = () if where is None else (where,)
    if isinstance(where, Both) and where.operator == "and":
        terms = where.terms
    if any(_names_one(dataset, term) for term in terms):
        return [], list(terms)
    narrow: list[Expr] = []
    others: list[Expr] = []
    for term in terms:
        (narrow if is_narrow(dataset, term) else others).append(term)
    return narrow, others


def _names_one(dataset: Dataset, term: Expr) -> bool:
    match term:
        case Compare(operator="eq", left=Column(path=(), of="", field=field), right=Literal()):
            return (field.name,) == dataset.key
    return False


def is_narrow(dataset: Dataset, term: Expr) -> bool:
    """Does a term name values of a key that an index begins with, after the environment?"""
    match term:
        case Compare(operator="eq", left=Column(path=(), of="") as by, right=Literal(value=value)):
            return value is not None and _leads_index(dataset, by.field)
        case Compare(operator="eq", left=Literal(value=value), right=Column(path=(), of="") as by):
            return value is not None and _leads_index(dataset, by.field)
        case Among(left=Column(path=(), of="") as by, members=members):
            known = (isinstance(one, Literal) and one.value is not None for one in members)
            return all(known) and _leads_index(dataset, by.field)
    return False


def _leads_index(dataset: Dataset, field: Field) -> bool:
    is_plain = field.sql is None and field.via is None and field.name not in dataset.key
    if dataset.table is None or field.role is not Role.KEY or not is_plain:
        return False
    return (field.column or field.name) in _leading_columns(dataset.table)


@cache
def _leading_columns(table: Table) -> frozenset[str]:
    """The columns that come first in an index of an environment's table."""
    return frozenset(
        names[1] for names in _indexes(table) if len(names) > 1 and names[0] == "environment_id"
    )


def _indexes(table: Table) -> Iterator[list[str]]:
    yield [column.name for column in table.primary_key.columns]
    for index in table.indexes:
        yield [column.name for column in index.columns]
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            yield [column.name for column in constraint.columns]
