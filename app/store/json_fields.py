"""Fields of JSON objects that are stored as text, read by the database."""

from typing import Any

from sqlalchemy import String
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
