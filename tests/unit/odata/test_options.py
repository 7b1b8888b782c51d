"""Raw query strings and what they ask for."""

from datetime import UTC, datetime

import pytest

from app.base.config import Settings
from app.base.errors import (
    AppError,
    BadOption,
    BadSyntax,
    NotSupported,
    TooComplex,
    UnknownField,
)
from app.odata.options import Options, next_query, read_options, split_query
from app.query.request import Expand
from tests.unit.odata.bookshop import BOOKS, shop


def options(raw: str) -> Options:
    """The options of a request for books."""
    feed = shop()
    return read_options(
        split_query(raw), feed.dataset(BOOKS.name), feed=feed, limits=Settings(_env_file=None)
    )


def test_names_count_with_or_without_a_dollar_and_in_any_case() -> None:
    assert options("$TOP=3&sKip=4&Count=TRUE") == options("$top=3&$skip=4&$count=true")


def test_blanks_and_plus_signs_are_told_apart() -> None:
    assert options("$filter=title+eq%20'a%2Bb%26c'").where == "title eq 'a+b&c'"
    assert options("%24filter=sold").where == "sold"


def test_unknown_options_without_a_dollar_are_ignored() -> None:
    assert options("sap-client=1&sap-client=2&title=x") == options("")


def test_aliases_keep_their_text() -> None:
    assert options("$filter=price gt @p&@p=4").aliases == {"p": "4"}


def test_as_of_names_the_moment() -> None:
    assert options("as_of=2025-05-24T10:00:00Z").as_of == datetime(2025, 5, 24, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        ("$top=-1", BadOption),
        ("$top=1.5", BadOption),
        ("$top=", BadOption),
        ("$skip=x", BadOption),
        ("$top=99999999999999999999", BadOption),
        ("$count=yes", BadOption),
        ("$top=1&top=2", BadOption),
        ("@p=1&@p=2", BadOption),
        ("$filtre=sold", BadOption),
        ("$=1", BadOption),
        ("$filter=", BadOption),
        ("$filter=%FF", BadSyntax),
        ("$filter=%00", BadSyntax),
        ("$apply=nest(identity as n)", NotSupported),
        ("search=", BadOption),
        ("levels=2&$levels=2", NotSupported),
        ("$deltatoken=", BadOption),
        ("$select=", BadSyntax),
        ("$select=title,", BadSyntax),
        ("$select=ti tle", BadSyntax),
        ("$select=author/name", NotSupported),
        ("$expand=autor", UnknownField),
        ("$expand=audit", UnknownField),
        ("$expand=author($count=true)", NotSupported),
        ("$expand=author/$count", BadOption),
        ("$expand=author($levels=2)", BadOption),
        ("$expand=prints($top=-1)", BadOption),
        ("$expand=author/books", NotSupported),
        ("$select=extra($top=1)", NotSupported),
        ("$select=extra/a/b", NotSupported),
        ("$expand=author,author", BadOption),
        ("$expand=author($select=name", BadSyntax),
        ("$expand=author($top=1)", NotSupported),
        ("$expand=author(nonsense)", BadSyntax),
        ("$expand=author($select=name;select=name)", BadOption),
        ("$select=" + ",".join(f"c{n}" for n in range(101)), TooComplex),
        ("$expand=" + "author(" * 3_000, BadSyntax),
        ("as_of=2025-05-24", BadOption),
        ("as_of=soon", BadOption),
        ("as_of=9999-12-31T23:59:59-14:00", BadOption),
        ("as_of=0001-01-01T00:00:00%2B14:00", BadOption),
    ],
)
def test_a_wrong_option_is_refused(raw: str, error: type[AppError]) -> None:
    with pytest.raises(error):
        options(raw)


@pytest.mark.parametrize(
    ("raw", "select", "expand", "shown"),
    [
        ("", (), (), ""),
        ("$select=title,genre", ("title", "genre"), (), "title,genre"),
        ("$select=title,title", ("title",), (), "title"),
        ("$select=*", (), (), "*"),
        ("$select=author", ("book_id",), (), "author"),
        ("$expand=author", (), (Expand("author"),), "author()"),
        (
            "$select=title&$expand=author($select=name)",
            ("title",),
            (Expand("author", ("name",)),),
            "title,author(name)",
        ),
        ("$expand=author(select=name)", (), (Expand("author", ("name",)),), "author(name)"),
        (
            "$select=title&$expand=author/$ref",
            ("title",),
            (Expand("author", ("author_key",)),),
            "title",
        ),
        (
            "$expand=prints($count=true)",
            (),
            (Expand("prints", count_name="prints@odata.count"),),
            "prints()",
        ),
        (
            "$expand=prints/$count($filter=place eq 'x')",
            (),
            (
                Expand(
                    "prints",
                    ("book_id", "place"),
                    where="place eq 'x'",
                    top=0,
                    count_name="prints@odata.count",
                ),
            ),
            "",
        ),
        ("$expand=*", (), (Expand("author"), Expand("prints")), "author(),prints()"),
        ("$select=extra/a,title", ("extra", "title"), (), "extra/a,title"),
        ("$select=extra($select=a,b)", ("extra",), (), "extra/a,extra/b"),
        ("$expand=author($select=*)", (), (Expand("author"),), "author(*)"),
    ],
)
def test_select_and_expand_ask_for_columns(
    raw: str, select: tuple[str, ...], expand: tuple[Expand, ...], shown: str
) -> None:
    selection = options(raw).selection
    assert (selection.select, selection.expand, selection.shown()) == (select, expand, shown)


def test_version_4_0_leaves_out_what_is_expanded_whole() -> None:
    asked = options("$select=title&$expand=author,prints($select=place)").selection
    assert asked.shown("4.0") == "title,prints(place)"
    assert asked.shown("4.01") == "title,author(),prints(place)"
    assert options("$expand=author").selection.shown("4.0") == ""


def test_the_next_page_keeps_every_option_but_the_token() -> None:
    query = split_query("$filter=title+eq+'a%26b'&x=1&$SkipToken=old&@p=2&top=5")
    assert next_query(query, "new") == "$filter=title+eq+'a%26b'&x=1&@p=2&top=5&$skiptoken=new"
