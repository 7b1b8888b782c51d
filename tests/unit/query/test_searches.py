"""What $search reads: words, phrases, AND, OR and NOT; and where it says no."""

import pytest

from app.base.errors import AppError, BadSyntax, TooComplex
from app.query.searches import Joined, Search, Term, Without, parse_search, terms_of

A, B, C = (Term(word) for word in "abc")


@pytest.mark.parametrize(
    ("text", "search"),
    [
        ("a", A),
        (" a ", A),
        ("a b", Joined("and", (A, B))),
        ("a AND b", Joined("and", (A, B))),
        ("a OR b", Joined("or", (A, B))),
        ("a b OR c", Joined("or", (Joined("and", (A, B)), C))),
        ("a AND (b OR c)", Joined("and", (A, Joined("or", (B, C))))),
        ("NOT a", Without(A)),
        ("a NOT b", Joined("and", (A, Without(B)))),
        ("NOT (a OR b)", Without(Joined("or", (A, B)))),
        ('"a b" c', Joined("and", (Term("a b"), C))),
        ('"AND"', Term("AND")),
        ("AND", Term("AND")),
        ("NOT NOT", Without(Term("NOT"))),
        ("and", Term("and")),
        ("a OR", Joined("and", (A, Term("OR")))),
        ("AND OR NOT", Joined("or", (Term("AND"), Term("NOT")))),
        (r'"a\"b"', Term('a"b')),
        (r'"\"" a', Joined("and", (Term('"'), A))),
        (r'"a\\" b', Joined("and", (Term("a\\"), B))),
        (r'"a\b \\\"c"', Term(r"a\b \"c")),
        (r"a\b", Term(r"a\b")),
        ("9,81", Term("9,81")),
        ("Daniel's", Term("Daniel's")),
        ("Δ", Term("Δ")),
        ("'a (b'", Joined("and", (A, Term("(b")))),
        ("'\"'", Term('"')),
        ("'O''Neil a'", Joined("and", (Term("O'Neil"), A))),
        ("''", Term("")),
        ("'", Term("'")),
    ],
)
def test_a_search_is_read(text: str, search: Search) -> None:
    assert parse_search(text) == search


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "at position 1 of $search: expected a word"),
        ("(a", "at position 3 of $search: expected ')'"),
        ("a)", "at position 2 of $search: expected a word or the end"),
        ("()", "at position 2 of $search: expected a word"),
        ('"a', "at position 1 of $search: a phrase stands in double quotes"),
        ('a"b"', "at position 2 of $search: a blank stands before a phrase"),
        ('"a"b', "at position 1 of $search: a phrase stands in double quotes"),
        (r'"a\"', "at position 1 of $search: a phrase stands in double quotes"),
        ('""', "at position 1 of $search: a phrase stands in double quotes"),
    ],
)
def test_an_error_says_where(text: str, words: str) -> None:
    with pytest.raises(BadSyntax) as caught:
        parse_search(text)
    assert caught.value.detail.startswith(words)


@pytest.mark.parametrize("text", ["(" * 3000, "(" * 3000 + "a" + ")" * 3000, '"' * 999])
def test_hostile_searches_are_refused(text: str) -> None:
    with pytest.raises(AppError) as caught:
        parse_search(text)
    assert caught.value.status == 400


def test_nesting_has_a_limit_and_negations_are_no_recursion_trap() -> None:
    with pytest.raises(TooComplex, match="filter_depth, 10"):
        parse_search("(" * 11 + "a" + ")" * 11, 10)
    assert parse_search("NOT " * 3000 + "a") == A
    assert parse_search("NOT " * 3001 + "a") == Without(A)


def test_the_words_of_a_search_are_told_in_order() -> None:
    assert list(terms_of(parse_search('a NOT (b OR "c d")'))) == ["a", "b", "c d"]
