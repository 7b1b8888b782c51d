"""JSON that is stored as text, read by the database: fields of objects, members of lists."""

import re
from collections.abc import Iterable
from typing import Any

import orjson
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Double,
    FromClause,
    String,
    Text,
    bindparam,
    cast,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.store.spelling import SpeltFunction

# The type of what an object of SQLite's JSON holds under a name.
_PLACE = """{0}, '$."' || {1} || '"'"""
_KIND = f"json_type({_PLACE})"


class JsonText(SpeltFunction[str]):
    """The text that a JSON object holds under a name; null when it holds none."""

    type = String()
    postgresql = "(CAST({0} AS jsonb) ->> {1})"
    sqlite = "json_extract({0}, '$.' || {1})"


class QuotedText(SpeltFunction[str]):
    """A text as JSON."""

    type = Text()
    postgresql = "to_json({0}::text)::text"
    sqlite = "json_quote({0})"


class AnyText(SpeltFunction[str]):
    """What a JSON object holds under a name, as text: numbers as they were written."""

    type = Text()
    postgresql = "(CAST({0} AS json) ->> {1})"
    # Joined to nothing, so that JSON written of it holds a text.
    sqlite = (
        f"CASE {_KIND} WHEN 'text' THEN json_extract({_PLACE})"
        """ ELSE ({0} -> ('$."' || {1} || '"')) || '' END"""
    )


class NumberIn(SpeltFunction[float]):
    """The number that a JSON object holds under a name; null when it holds none."""

    type = Double()
    postgresql = (
        "CASE json_typeof(CAST({0} AS json) -> {1}) WHEN 'number'"
        " THEN CAST(CAST({0} AS json) ->> {1} AS double precision) END"
    )
    sqlite = (
        f"CASE WHEN {_KIND} IN ('integer', 'real') THEN CAST(json_extract({_PLACE}) AS REAL) END"
    )


class FlagIn(SpeltFunction[bool]):
    """The truth value that a JSON object holds under a name; null when it holds none."""

    type = Boolean()
    postgresql = (
        "CASE json_typeof(CAST({0} AS json) -> {1}) WHEN 'boolean'"
        " THEN CAST(CAST({0} AS json) ->> {1} AS boolean) END"
    )
    sqlite = f"CASE {_KIND} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"


class Rewritten(SpeltFunction[str]):
    """A text in which what matches a regular expression is replaced, wherever it is."""

    type = Text()
    postgresql = "regexp_replace({0}, {1}, {2}, 'g')"
    sqlite = "fullcount_rewritten({0}, {1}, {2})"


def tell_dates(kept: ColumnElement[Any], names: Iterable[str], ending: str) -> ColumnElement[Any]:
    """A JSON object, kept as text without spaces, with a member before each of these names that
    tells its type; the object holds no other objects.

    ending: what the name of such a member ends with
    """
    # A name stands behind a brace or a comma; a quote within a text has a backslash before it.
    written = (orjson.dumps(name)[1:-1].decode() for name in names)
    pattern = f'([{{,])"({"|".join(map(re.escape, written))})":'
    told = rf'\1"\2{ending}":"#Date","\2":'
    return Rewritten(
        kept, *(bindparam(None, t, type_=Text(), unique=True) for t in (pattern, told))
    )


def _rewrite(text: str | None, pattern: str, told: str) -> str | None:
    return None if text is None else re.sub(pattern, told, text)


def add_json_fields(raw: Any) -> None:
    """Teach a connection of SQLite to rewrite a text."""
    raw.create_function("fullcount_rewritten", 3, _rewrite, deterministic=True)


def json_members(
    texts: ColumnElement[Any], dialect_name: str, *, name: str
) -> tuple[ColumnElement[Any], FromClause]:
    """The members of a JSON list of texts as rows: their value, and where it comes from."""
    if dialect_name == "sqlite":
        each = func.json_each(texts, type_=Text()).table_valued("value", "key", name=name)
    else:
        listed = func.jsonb_array_elements_text(cast(texts, JSONB))
        each = listed.table_valued("value", with_ordinality="key", name=name).render_derived()
    return each.c.value, each


def place_of(members: FromClause) -> ColumnElement[Any]:
    """Where in its list a member of `json_members` stands."""
    place: ColumnElement[Any] = members.c["key"]
    return place
