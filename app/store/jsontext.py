"""JSON written by the database: one text a page, no object a row; and rows read from JSON.

Each construct says the same on both databases; only its spelling differs.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Double,
    FromClause,
    Text,
    column,
    func,
    literal,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from app.store.tables.columns import UtcDateTime


class json_number(GenericFunction[Any]):
    """A double as a JSON number with all its digits; SQLite's own JSON cuts them to 15."""

    inherit_cache = True


class json_flag(GenericFunction[Any]):
    """A boolean as JSON true, false or null."""

    inherit_cache = True


class json_known_flag(GenericFunction[Any]):
    """A boolean that is never null, as JSON true or false."""

    inherit_cache = True


class json_moment(GenericFunction[Any]):
    """A UTC moment as fixed-width RFC 3339 text."""

    inherit_cache = True


class json_inner(GenericFunction[Any]):
    """JSON kept as text, as JSON."""

    inherit_cache = True


class json_pairs(GenericFunction[Any]):
    """An object of name, value, name, value ..."""

    inherit_cache = True


class row_text(GenericFunction[Any]):
    """An object of name, value, name, value ... as text."""

    type = Text()
    inherit_cache = True


class joined_rows(GenericFunction[Any]):
    """The objects of all rows, joined by commas; empty text when there are none."""

    type = Text()
    inherit_cache = True


class joined_list(GenericFunction[Any]):
    """The text of a JSON list of the objects of all rows."""

    type = Text()
    inherit_cache = True


class days_between(GenericFunction[Any]):
    """Whole days from the first moment to the second."""

    type = BigInteger()
    inherit_cache = True


def _arguments(element: GenericFunction[Any], compiler: SQLCompiler, kw: Any) -> list[str]:
    return [compiler.process(clause, **kw) for clause in element.clauses]


@compiles(json_number, "sqlite")
def _number_sqlite(element: json_number, compiler: SQLCompiler, **kw: Any) -> str:
    # SQLite writes 15 digits, exact for numbers of up to six decimals and nine digits before them.
    # Others are spelt in 19: 17 would do, were its own reckoning of them exact.
    (x,) = _arguments(element, compiler, kw)
    return (
        f"CASE WHEN {x} IS NULL"
        f" OR ({x} BETWEEN -1e9 AND 1e9 AND CAST({x} * 1e6 + 0.5 AS INTEGER) / 1e6 = {x})"
        f" THEN {x} ELSE json(printf('%!.19g', {x})) END"
    )


@compiles(json_number, "postgresql")
def _number_postgresql(element: json_number, compiler: SQLCompiler, **kw: Any) -> str:
    return _arguments(element, compiler, kw)[0]


@compiles(json_flag, "sqlite")
def _flag_sqlite(element: json_flag, compiler: SQLCompiler, **kw: Any) -> str:
    (x,) = _arguments(element, compiler, kw)
    return f"CASE WHEN {x} THEN json('true') WHEN {x} IS NULL THEN NULL ELSE json('false') END"


@compiles(json_known_flag, "sqlite")
def _known_flag_sqlite(element: json_known_flag, compiler: SQLCompiler, **kw: Any) -> str:
    (x,) = _arguments(element, compiler, kw)
    return f"CASE WHEN {x} THEN json('true') ELSE json('false') END"


@compiles(json_known_flag, "postgresql")
def _known_flag_postgresql(element: json_known_flag, compiler: SQLCompiler, **kw: Any) -> str:
    return _arguments(element, compiler, kw)[0]


@compiles(json_flag, "postgresql")
def _flag_postgresql(element: json_flag, compiler: SQLCompiler, **kw: Any) -> str:
    return _arguments(element, compiler, kw)[0]


@compiles(json_moment, "sqlite")
def _moment_sqlite(element: json_moment, compiler: SQLCompiler, **kw: Any) -> str:
    return _arguments(element, compiler, kw)[0]


@compiles(json_moment, "postgresql")
def _moment_postgresql(element: json_moment, compiler: SQLCompiler, **kw: Any) -> str:
    (x,) = _arguments(element, compiler, kw)
    return f"""to_char({x} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


@compiles(json_inner, "sqlite")
def _inner_sqlite(element: json_inner, compiler: SQLCompiler, **kw: Any) -> str:
    (x,) = _arguments(element, compiler, kw)
    return f"json({x})"


@compiles(json_inner, "postgresql")
def _inner_postgresql(element: json_inner, compiler: SQLCompiler, **kw: Any) -> str:
    (x,) = _arguments(element, compiler, kw)
    return f"({x})::json"


@compiles(json_pairs, "sqlite")
def _pairs_sqlite(element: json_pairs, compiler: SQLCompiler, **kw: Any) -> str:
    # json_object takes 63 pairs; wider rows are written in pieces and joined.
    arguments = _arguments(element, compiler, kw)
    pieces = [
        f"json_object({', '.join(arguments[at : at + 124])})"
        for at in range(0, len(arguments), 124)
    ]
    if len(pieces) == 1:
        return pieces[0]
    opened = [f"rtrim({piece}, '}}')" for piece in pieces[:1]]
    middle = [f"',' || substr({p}, 2, length({p}) - 2)" for p in pieces[1:]]
    return f"json({' || '.join([*opened, *middle])} || '}}')"


@compiles(json_pairs, "postgresql")
def _pairs_postgresql(element: json_pairs, compiler: SQLCompiler, **kw: Any) -> str:
    # A function takes 100 arguments.
    arguments = _arguments(element, compiler, kw)
    if len(arguments) <= 100:
        return f"json_build_object({', '.join(arguments)})"
    pieces = [
        f"jsonb_build_object({', '.join(arguments[at : at + 100])})"
        for at in range(0, len(arguments), 100)
    ]
    return f"({' || '.join(pieces)})::json"


@compiles(days_between, "sqlite")
def _days_sqlite(element: days_between, compiler: SQLCompiler, **kw: Any) -> str:
    first, second = _arguments(element, compiler, kw)
    return f"((strftime('%s', {second}) - strftime('%s', {first})) / 86400)"


@compiles(days_between, "postgresql")
def _days_postgresql(element: days_between, compiler: SQLCompiler, **kw: Any) -> str:
    first, second = _arguments(element, compiler, kw)
    seconds = f"floor(extract(epoch FROM {second})) - floor(extract(epoch FROM {first}))"
    return f"(({seconds})::bigint / 86400)"


@compiles(row_text, "sqlite")
def _row_sqlite(element: row_text, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(json_pairs(*element.clauses), **kw)


@compiles(row_text, "postgresql")
def _row_postgresql(element: row_text, compiler: SQLCompiler, **kw: Any) -> str:
    return f"{compiler.process(json_pairs(*element.clauses), **kw)}::text"


@compiles(joined_rows, "sqlite")
def _joined_sqlite(element: joined_rows, compiler: SQLCompiler, **kw: Any) -> str:
    return f"coalesce(group_concat({_arguments(element, compiler, kw)[0]}, ','), '')"


@compiles(joined_rows, "postgresql")
def _joined_postgresql(element: joined_rows, compiler: SQLCompiler, **kw: Any) -> str:
    return f"coalesce(string_agg({_arguments(element, compiler, kw)[0]}, ','), '')"


@compiles(joined_list, "sqlite")
def _list_sqlite(element: joined_list, compiler: SQLCompiler, **kw: Any) -> str:
    return f"'[' || {_joined_sqlite(joined_rows(*element.clauses), compiler, **kw)} || ']'"


@compiles(joined_list, "postgresql")
def _list_postgresql(element: joined_list, compiler: SQLCompiler, **kw: Any) -> str:
    return f"'[' || {_joined_postgresql(joined_rows(*element.clauses), compiler, **kw)} || ']'"


# What may not stand in a key within a path, each with its percent-encoded form; % is the first.
_ENCODED = tuple((sign, f"%{ord(sign):02X}") for sign in '%/?#+&\\" <>^`{|}[]')


def url_literal(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """A text as a literal in the path of a URL: in quotes, percent-encoded where it must be.

    Source: OData URL Conventions 4.01, 2 and 5.1.1.14.1
    """
    written: ColumnElement[Any] = value
    for sign, encoded in (*_ENCODED, ("'", "%27%27")):
        written = func.replace(written, literal(sign), literal(encoded), type_=Text())
    return literal("'", Text()).concat(written).concat(literal("'", Text()))


def join_rows(row: ColumnElement[Any], rows: FromClause) -> Any:
    """A select of one row: the JSON objects of `rows` joined by commas, and how many there are."""
    return select(joined_rows(row), func.count()).select_from(rows)


def rows_from_json(
    parameter: ColumnElement[Any],
    columns: Sequence[tuple[str, str]],
    dialect_name: str,
    *,
    name: str,
) -> FromClause:
    """A row source over a JSON list of objects, given as one bound text.

    columns: (name, kind), kind one of text, int, number, bool, time
    """
    kinds: dict[str, Any] = {
        "text": Text(),
        "int": BigInteger(),
        "number": Double(),
        "bool": Boolean(),
        "time": UtcDateTime(),
    }
    if dialect_name == "sqlite":
        each = func.json_each(parameter).table_valued("value", name=f"{name}_json")
        return (
            select(
                *(
                    func.json_extract(each.c.value, f"$.{field}", type_=kinds[kind]).label(field)
                    for field, kind in columns
                )
            )
            .select_from(each)
            .subquery(name)
        )
    return (
        func.json_to_recordset(parameter)
        .table_valued(*(column(field, kinds[kind]) for field, kind in columns), name=name)
        .render_derived(with_types=True)
    )
