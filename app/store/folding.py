"""Texts compared whatever the case of their letters, the same on SQLite and PostgreSQL.

Each letter is folded by itself, so that folding never changes the length of a text.
"""

from typing import Any

from sqlalchemy import ColumnElement, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.store.words import lower_text


class FoldedText(FunctionElement[str]):
    """The text with every letter of any script in lower case."""

    inherit_cache = True
    type = Text()


@compiles(FoldedText)
def _folded(element: FoldedText, compiler: SQLCompiler, **kw: Any) -> str:
    (text,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f'lower(({text}) COLLATE "pg_c_utf8")'


@compiles(FoldedText, "sqlite")
def _folded_sqlite(element: FoldedText, compiler: SQLCompiler, **kw: Any) -> str:
    (text,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"fullcount_folded({text})"


def fold_text(text: str | None) -> str | None:
    """A text with every letter in lower case, one letter for one."""
    return None if text is None else "".join(letter.lower()[0] for letter in text)


def folded_like(text: ColumnElement[Any], *, is_plain: bool) -> ColumnElement[Any]:
    """The text folded so far that a folded word can be found in it.

    A word of plain ASCII is found by the database's own quick `lower`.
    """
    return lower_text(text) if is_plain else FoldedText(text)


def add_folding(raw: Any) -> None:
    """Teach a connection of SQLite to fold."""
    raw.create_function("fullcount_folded", 1, fold_text, deterministic=True)
