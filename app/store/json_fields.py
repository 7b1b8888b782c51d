"""JSON that is stored as text, read by the database: fields of objects, members of lists."""

from typing import Any

from sqlalchemy import Boolean, ColumnElement, Double, FromClause, String, Text, cast, func
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
