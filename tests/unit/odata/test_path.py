"""Raw paths and what they address."""

import pytest

from app.base.errors import AppError, BadSyntax, NotSupported, TypeMismatch, UnknownPath
from app.odata.path import Kind, read_path
from tests.unit.odata.bookshop import shop


@pytest.mark.parametrize(
    ("path", "kind", "dataset", "key"),
    [
        ("Books", Kind.SET, "Books", {}),
        ("Books/$count", Kind.COUNT, "Books", {}),
        ("Books(7)", Kind.ENTITY, "Books", {"book_id": 7}),
        ("Books(book_id=7)", Kind.ENTITY, "Books", {"book_id": 7}),
        ("Books/7", Kind.ENTITY, "Books", {"book_id": 7}),
        ("Books%287%29", Kind.ENTITY, "Books", {"book_id": 7}),
        ("Books(-7)", Kind.ENTITY, "Books", {"book_id": -7}),
        ("Authors('u%2F4''2')", Kind.ENTITY, "Authors", {"author_key": "u/4'2"}),
        ("Authors(%27u%27)", Kind.ENTITY, "Authors", {"author_key": "u"}),
        ("Authors('a,b=(c)')", Kind.ENTITY, "Authors", {"author_key": "a,b=(c)"}),
        ("Authors/u%2F42", Kind.ENTITY, "Authors", {"author_key": "u/42"}),
        ("Authors/a(b", Kind.ENTITY, "Authors", {"author_key": "a(b"}),
        ("Authors('')", Kind.ENTITY, "Authors", {"author_key": ""}),
        ("Authors('%C3%A4')", Kind.ENTITY, "Authors", {"author_key": "ä"}),
        ("Prints(place='x',book_id=1)", Kind.ENTITY, "Prints", {"book_id": 1, "place": "x"}),
        ("Prints/1/x", Kind.ENTITY, "Prints", {"book_id": 1, "place": "x"}),
        ("Books/7/prints/1/x/place", Kind.PROPERTY, "Prints", {"book_id": 1, "place": "x"}),
        ("Prints/@key/x", Kind.ENTITY, "Prints", {"book_id": 9, "place": "x"}),
        ("Prints/fullcount.Print/1/x", Kind.ENTITY, "Prints", {"book_id": 1, "place": "x"}),
        ("Books(7)/title", Kind.PROPERTY, "Books", {"book_id": 7}),
        ("Books(7)/title/$value", Kind.VALUE, "Books", {"book_id": 7}),
        ("Books(7)/author", Kind.ENTITY, "Authors", {"book_id": 7}),
        ("Books(7)/author/name", Kind.PROPERTY, "Authors", {"book_id": 7}),
        ("Books(7)/author/books", Kind.SET, "Books", {"book_id": 7}),
        ("Books(7)/prints/$count", Kind.COUNT, "Prints", {"book_id": 7}),
        ("Books(7)/tags/$count", Kind.COUNT, "Books", {"book_id": 7}),
        ("Books(7)/extra/a", Kind.PROPERTY, "Books", {"book_id": 7}),
        ("Books(7)/extra/a/$value", Kind.VALUE, "Books", {"book_id": 7}),
        ("Books/$ref", Kind.REFERENCES, "Books", {}),
        ("Books(7)/prints/$ref", Kind.REFERENCES, "Prints", {"book_id": 7}),
        ("Books(7)/author/$ref", Kind.REFERENCE, "Authors", {"book_id": 7}),
        ("Books/$filter(sold)", Kind.SET, "Books", {}),
        ("Books/$filter(author/name%20eq%20'a(b')/$count", Kind.COUNT, "Books", {}),
        ("Books(@key)/title", Kind.PROPERTY, "Books", {"book_id": 9}),
        ("Books(book_id=@key)", Kind.ENTITY, "Books", {"book_id": 9}),
        ("Authors(@name)", Kind.ENTITY, "Authors", {"author_key": "a/b"}),
        ("Authors/@name", Kind.ENTITY, "Authors", {"author_key": "a/b"}),
        ("Books(title='T')", Kind.ENTITY, "Books", {"title": "T"}),
        ("$all", Kind.ALL, "Books", {}),
    ],
)
def test_a_path_addresses(path: str, kind: Kind, dataset: str, key: dict[str, object]) -> None:
    address = read_path(path, shop(), aliases={"key": "9", "name": "'a/b'"})
    assert (address.kind, address.dataset.name, dict(address.key)) == (kind, dataset, key)


def test_a_key_behind_a_navigation_is_one_of_its_rows() -> None:
    address = read_path("Authors('u')/books(1)/title", shop())
    assert (address.kind, address.start.name, dict(address.key)) == (
        Kind.PROPERTY,
        "Books",
        {"book_id": 1},
    )
    assert address.origin == read_path("Authors('u')/books", shop())
    assert read_path("Authors('u')/books/1/title", shop()) == address


def test_filter_segments_add_up() -> None:
    address = read_path("Books/$filter(sold)/$filter(author/name eq 'a')", shop())
    assert address.filters == ("sold", "author/name eq 'a'")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("Bookz", UnknownPath),
        ("Audits", UnknownPath),
        ("books", UnknownPath),
        ("Books(7)/titel", UnknownPath),
        ("Books(7)/cost", UnknownPath),
        ("Books(7)/audit", UnknownPath),
        ("Books(7)/title/more", UnknownPath),
        ("Books(7)/tags/$value", UnknownPath),
        ("Books/$count/$count", UnknownPath),
        ("Books/$nonsense", UnknownPath),
        ("Books/seven", UnknownPath),
        ("Books()", BadSyntax),
        ("Books(7", BadSyntax),
        ("Books(7)(8)", TypeMismatch),
        ("Books(genre='x')", BadSyntax),
        ("Books(book_id=7,book_id=8)", BadSyntax),
        ("Prints(1)", BadSyntax),
        ("Books(%FF)", BadSyntax),
        ("Authors('a%00')", BadSyntax),
        ("Books('7')", TypeMismatch),
        ("Books(99999999999999999999)", TypeMismatch),
        ("Books(9223372036854775808)", TypeMismatch),
        ("Authors(u)", TypeMismatch),
        ("$batch", UnknownPath),
        ("$crossjoin(Books,Authors)", NotSupported),
        ("Books/$each", NotSupported),
        ("$all/Books", NotSupported),
        ("Books/$filter(sold", BadSyntax),
        ("Books/$filter(sold)/7", UnknownPath),
        ("Books(7)/author('u')", BadSyntax),
        ("Books(7)/$ref/author", UnknownPath),
        ("Books(7)/title/$count", UnknownPath),
        ("Books(7)/extra/a/b", UnknownPath),
        ("Books(7)/extra/$value", UnknownPath),
        ("Books(@key)", BadSyntax),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path: str, error: type[AppError]) -> None:
    with pytest.raises(error):
        read_path(path, shop())


def test_a_wrong_set_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownPath) as caught:
        read_path("Bookz", shop())
    assert caught.value.hint == "Did you mean 'Books'?"


def test_sets_and_columns_show_with_their_scope() -> None:
    feed = shop("read", "pii", "operate")
    assert read_path("Books(7)/cost", feed).kind is Kind.PROPERTY
    assert read_path("Audits", feed).kind is Kind.SET


def test_a_hostile_key_is_read_in_one_pass() -> None:
    for key in (" " * 15_000 + "'", "a" * 15_000 + "'", "'" * 15_001, "a=" * 7_000):
        with pytest.raises((BadSyntax, TypeMismatch)):
            read_path(f"Books({key})", shop())
