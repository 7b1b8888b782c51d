"""JSON that is stored as text, read by the database: fields of objects, members of lists."""

from typing import Any

from sqlalchemy import Boolean, ColumnElement, Double, FromClause, String, Text, cast, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class JsonText(FunctionElement[str]):
    """The text that a JSON object holds under a name; null when it holds none."""

    inherit_cache = True
    type = String()


@compiles(JsonText, "sqlite")
def _text_sqlite(element: JsonText, compiler: SQLCompiler, **kw: Any) -> str:
    whole, name = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"json_extract({whole}, '$.' || {name})"


@compiles(JsonText)
def _text(element: JsonText, compiler: SQLCompiler, **kw: Any) -> str:
    whole, name = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"(CAST({whole} AS jsonb) ->> {name})"


def json_members(
    texts: ColumnElement[Any], dialect_name: str, *, name: str
) -> tuple[ColumnElement[Any], FromClause]:
    """The members of a JSON list of texts as rows: their value, and where it comes from."""
    if dialect_name == "sqlite":
        each = func.json_each(texts, type_=Text()).table_valued("value", name=name)
    else:
        listed = func.jsonb_array_elements_text(cast(texts, JSONB))
        each = listed.table_valued("value", name=name)
    return each.c.value, each


class AnyText(FunctionElement[str]):
    """What a JSON object holds under a name, as text: numbers as they were written."""

    inherit_cache = True
    type = Text()


class NumberIn(FunctionElement[float]):
    """The number that a JSON object holds under a name; null when it holds none."""

    inherit_cache = True
    type = Double()


class FlagIn(FunctionElement[bool]):
    """The truth value that a JSON object holds under a name; null when it holds none."""

    inherit_cache = True
    type = Boolean()


def _place_sqlite(
    element: FunctionElement[Any], compiler: SQLCompiler, kw: Any
) -> tuple[str, str, str]:
    """The object, the path of the name in it, and the type of what is there."""
    whole, name = (compiler.process(clause, **kw) for clause in element.clauses)
    path = f"""'$."' || {name} || '"'"""
    return whole, path, f"json_type({whole}, {path})"


@compiles(AnyText, "sqlite")
def _any_sqlite(element: AnyText, compiler: SQLCompiler, **kw: Any) -> str:
    whole, path, kind = _place_sqlite(element, compiler, kw)
    # Joined to nothing, so that JSON written of it holds a text.
    as_written = f"({whole} -> ({path})) || ''"
    return f"CASE {kind} WHEN 'text' THEN json_extract({whole}, {path}) ELSE {as_written} END"


@compiles(AnyText)
def _any(element: AnyText, compiler: SQLCompiler, **kw: Any) -> str:
    whole, name = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"(CAST({whole} AS json) ->> {name})"


@compiles(NumberIn, "sqlite")
def _number_sqlite(element: NumberIn, compiler: SQLCompiler, **kw: Any) -> str:
    whole, path, kind = _place_sqlite(element, compiler, kw)
    number = f"CAST(json_extract({whole}, {path}) AS REAL)"
    return f"CASE WHEN {kind} IN ('integer', 'real') THEN {number} END"


@compiles(NumberIn)
def _number(element: NumberIn, compiler: SQLCompiler, **kw: Any) -> str:
    whole, name = (compiler.process(clause, **kw) for clause in element.clauses)
    held = f"CAST({whole} AS json)"
    number = f"CAST({held} ->> {name} AS double precision)"
    return f"CASE json_typeof({held} -> {name}) WHEN 'number' THEN {number} END"


@compiles(FlagIn, "sqlite")
def _flag_sqlite(element: FlagIn, compiler: SQLCompiler, **kw: Any) -> str:
    _, _, kind = _place_sqlite(element, compiler, kw)
    return f"CASE {kind} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"


@compiles(FlagIn)
def _flag(element: FlagIn, compiler: SQLCompiler, **kw: Any) -> str:
    whole, name = (compiler.process(clause, **kw) for clause in element.clauses)
    held = f"CAST({whole} AS json)"
    flag = f"CAST({held} ->> {name} AS boolean)"
    return f"CASE json_typeof({held} -> {name}) WHEN 'boolean' THEN {flag} END"
