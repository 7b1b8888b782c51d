"""A text as it stands in the address of a row, spelled the same by both databases and by Python."""

from typing import Any
from urllib.parse import quote

from sqlalchemy import Text

from app.store.spelling import SpeltFunction


class UrlLiteral(SpeltFunction[str]):
    """A text as a literal in the path of a URL: in quotes, percent-encoded.

    Source: OData URL Conventions 4.01, 2; JSON Format 4.01, 4.3, colons also
    """

    type = Text()
    # Most keys need no encoding: one look tells. Doubled quotes are encoded as other signs are.
    postgresql = (
        """'''' || CASE WHEN {0} COLLATE "C" ~ '^[A-Za-z0-9_.~-]*$' THEN {0} ELSE"""
        """ (SELECT string_agg(CASE WHEN s.sign COLLATE "C" ~ '[A-Za-z0-9_.~-]' THEN s.sign ELSE"""
        """ regexp_replace(upper(encode(convert_to(s.sign, 'UTF8'), 'hex')), '..', '%%\\&', 'g')"""
        """ END, '' ORDER BY s.place) FROM regexp_split_to_table(replace({0}, '''', ''''''), '')"""
        """ WITH ORDINALITY AS s(sign, place)) END || ''''"""
    )
    # Encoding sign by sign in SQL would nest deeper than SQLite reads.
    sqlite = "fullcount_url({0})"


def url_literal(text: str) -> str:
    """A text as a literal in the path of a URL: what SQLite is told to write, and Python writes."""
    doubled = text.replace("'", "''")
    return f"'{quote(doubled, safe='')}'"


def _literal_or_null(text: str | None) -> str | None:
    return None if text is None else url_literal(text)


def add_addresses(raw: Any) -> None:
    """Teach a connection of SQLite this."""
    raw.create_function("fullcount_url", 1, _literal_or_null, deterministic=True)
