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
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from app.store.spelling import SpeltFunction
from app.store.tables.columns import UtcDateTime
from app.store.words import LONGEST


class json_number(SpeltFunction[Any]):
    """A double as a JSON number with all its digits; SQLite's own JSON cuts them to 15."""

    postgresql = "{0}"
    # A whole number is written as an integer, in a fraction of the time. Others SQLite writes in 15
    # digits, exact for numbers of up to six decimals and nine digits before them; the rest are
    # spelt in 19: 17 would do, were its own reckoning of them exact.
    sqlite = (
        "CASE WHEN CAST({0} AS INTEGER) = {0} THEN CAST({0} AS INTEGER)"
        " WHEN {0} BETWEEN -1e9 AND 1e9 AND CAST({0} * 1e6 + 0.5 AS INTEGER) / 1e6 = {0} THEN {0}"
        " WHEN {0} IS NOT NULL THEN json(printf('%!.19g', {0})) END"
    )


class json_flag(SpeltFunction[Any]):
    """A boolean as JSON true, false or null."""

    postgresql = "{0}"
    sqlite = "CASE WHEN {0} THEN json('true') WHEN {0} IS NULL THEN NULL ELSE json('false') END"


class json_known_flag(SpeltFunction[Any]):
    """A boolean that is never null, as JSON true or false."""

    postgresql = "{0}"
    sqlite = "CASE WHEN {0} THEN json('true') ELSE json('false') END"


class json_moment(SpeltFunction[Any]):
    """A UTC moment as fixed-width RFC 3339 text."""

    postgresql = """to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    sqlite = "{0}"


class json_inner(SpeltFunction[Any]):
    """JSON kept as text, as JSON."""

    postgresql = "{0}::json"
    sqlite = "json({0})"


class json_pairs(SpeltFunction[Any]):
    """An object of name, value, name, value ..."""


class row_text(SpeltFunction[str]):
    """An object of name, value, name, value ... as text."""

    type = Text()


class inner_rows(SpeltFunction[Any]):
    """A `joined_list` as a value of `row_text`.

    SQLite joins it to the text of the row: as an argument of json_object it would be read anew at
    each level, and nest deeper than its parser reads.
    """

    postgresql = "{0}::json"
    sqlite = "{0}"


class inner_row(SpeltFunction[Any]):
    """An object as a value of `row_text`, or null: whether it is there, then name, value ..."""


class joined_rows(SpeltFunction[str]):
    """The objects of all rows, joined by commas; empty when there are none.

    SQLite gives their bytes, which go out as they are; psycopg is faster with text.
    """

    postgresql = "coalesce(string_agg({0}, ','), '')"
    sqlite = "CAST(coalesce(group_concat({0}, ','), '') AS BLOB)"


class joined_list(SpeltFunction[str]):
    """The text of a JSON list of the objects of all rows."""

    type = Text()
    postgresql = "'[' || coalesce(string_agg({0}, ','), '') || ']'"
    sqlite = "'[' || coalesce(group_concat({0}, ','), '') || ']'"


class days_between(SpeltFunction[int]):
    """Whole days from the first moment to the second."""

    type = BigInteger()
    postgresql = (
        "((floor(extract(epoch FROM {1})) - floor(extract(epoch FROM {0})))::bigint / 86400)"
    )
    sqlite = "((strftime('%s', {1}) - strftime('%s', {0})) / 86400)"


# Of a literal with its quotes.
_LONGEST_NAME = 63 + 2
# Of json_object: 63 pairs, of which one is spared.
_MOST_ARGUMENTS = 124


def _arguments(element: json_pairs, compiler: SQLCompiler, kw: Any) -> list[str]:
    return [compiler.process(clause, **kw) for clause in element.clauses]


@compiles(json_pairs, "sqlite")
def _pairs_sqlite(element: json_pairs, compiler: SQLCompiler, **kw: Any) -> str:
    arguments = _arguments(element, compiler, kw)
    if len(arguments) <= _MOST_ARGUMENTS:
        return f"json_object({', '.join(arguments)})"
    return f"json({_unclosed(arguments)} || '}}')"


def _unclosed(arguments: list[str]) -> str:
    """The text of an object for SQLite, but for its closing brace.

    Wider rows than json_object takes are written in pieces and joined.
    """
    # A negative length takes what stands before the place.
    first, *others = (
        f"substr(json_object({', '.join(arguments[at : at + _MOST_ARGUMENTS])}), -1, -{LONGEST})"
        for at in range(0, max(len(arguments), 1), _MOST_ARGUMENTS)
    )
    return " || ',' || ".join([first, *(f"substr({text}, 2)" for text in others)])


@compiles(json_pairs)
def _pairs_postgresql(element: json_pairs, compiler: SQLCompiler, **kw: Any) -> str:
    # A row of columns takes three quarters of the time of json_build_object, which looks the type
    # of each value up anew; but a column has a name of 1 to 63 bytes.
    arguments = _arguments(element, compiler, kw)
    names, values = arguments[::2], arguments[1::2]
    if not names or not all(len("''") < len(name.encode()) <= _LONGEST_NAME for name in names):
        return _built_object(arguments)
    columns = [f"{value} AS {_as_column(name)}" for name, value in zip(names, values, strict=True)]
    row = f"SELECT {', '.join(columns)}"
    # A column of the row's own name would be taken for it: no column is called by a sign.
    return f'(SELECT row_to_json("*") FROM ({row}) AS "*")'  # noqa: S608  (names are quoted)


def _built_object(arguments: list[str]) -> str:
    """An object of any names; a function takes 100 arguments."""
    if len(arguments) <= 100:
        return f"json_build_object({', '.join(arguments)})"
    pieces = [
        f"jsonb_build_object({', '.join(arguments[at : at + 100])})"
        for at in range(0, len(arguments), 100)
    ]
    return f"({' || '.join(pieces)})::json"


def _as_column(name: str) -> str:
    """A name as that of a column, from a literal."""
    plain = name[1:-1].replace("''", "'").replace('"', '""')
    return f'"{plain}"'


@compiles(row_text, "sqlite")
def _row_sqlite(element: row_text, compiler: SQLCompiler, **kw: Any) -> str:
    clauses = list(element.clauses)
    pairs = list(zip(clauses[::2], clauses[1::2], strict=True))
    plain = json_pairs(*(part for pair in pairs if not _is_joined(pair[1]) for part in pair))
    joined = [pair for pair in pairs if _is_joined(pair[1])]
    if not joined:
        return compiler.process(plain, **kw)
    text = _unclosed(_arguments(plain, compiler, kw))
    for name, value in joined:
        quoted = compiler.process(name, **kw)[1:-1]
        text += f""" || ',"{quoted}":' || {compiler.process(value, **kw)}"""
    return f"{text} || '}}'"


def _is_joined(value: Any) -> bool:
    """Is a value of `row_text` joined to it on SQLite: a list, or an object that has one?"""
    if isinstance(value, inner_row):
        return any(map(_is_joined, value.clauses))
    return isinstance(value, inner_rows)


@compiles(row_text)
def _row_postgresql(element: row_text, compiler: SQLCompiler, **kw: Any) -> str:
    return f"{compiler.process(json_pairs(*element.clauses), **kw)}::text"


@compiles(inner_row)
def _inner(element: inner_row, compiler: SQLCompiler, **kw: Any) -> str:
    is_text = compiler.dialect.name == "sqlite" and _is_joined(element)
    present, *pairs = element.clauses
    row = row_text(*pairs) if is_text else json_pairs(*pairs)
    written, otherwise = compiler.process(row, **kw), "'null'" if is_text else "NULL"
    return f"CASE WHEN {compiler.process(present, **kw)} THEN {written} ELSE {otherwise} END"


def join_rows(
    row: ColumnElement[Any], rows: FromClause, *, key: ColumnElement[Any] | None = None
) -> Any:
    """A select of one row: the JSON objects of `rows` joined by commas, and how many there are.

    key: a column whose greatest value is given, too
    """
    joined = select(joined_rows(row), func.count()).select_from(rows)
    return joined if key is None else joined.add_columns(func.max(key))


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
