"""Texts compared whatever the case of their letters, the same on SQLite and PostgreSQL.

Each letter is folded by itself, as Python folds it, so that folding never changes the length of a
text. PostgreSQL needs no collation for it beyond "C", whatever its version.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Text, bindparam, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from app.store.spelling import SpeltFunction, fenced_once, given_texts
from app.store.words import lower_text

# No letter from here on has a lower case.
_CASELESS_FROM = 0x20000


class FoldedText(SpeltFunction[str]):
    """A text with its letters in lower case: A to Z, and those of a list, as another tells them."""

    type = Text()
    postgresql = 'lower(translate({0}::text, {1}::text, {2}::text) COLLATE "C")'
    # Python folds all letters; those of the list are among them.
    sqlite = "fullcount_folded({0})"


class OtherCase(SpeltFunction[str]):
    """A text with each letter in another case: the literal `lower` or `upper`, the text, and the
    letters beyond ASCII that change, with what becomes of them.
    """

    type = Text()


@compiles(OtherCase)
def _other_case(element: OtherCase, compiler: SQLCompiler, **kw: Any) -> str:
    case, text, letters, others = given_texts(element, compiler, **kw)
    # A text of ASCII alone, as most are, is not searched for so many letters.
    mapped = (
        "CASE WHEN octet_length(q.x) = length(q.x) THEN q.x"
        f" ELSE translate(q.x, {letters}::text, {others}::text) END"
    )
    return f'{case[2:-2]}({fenced_once(mapped, x=f"{text}::text")} COLLATE "C")'


@compiles(OtherCase, "sqlite")
def _other_case_sqlite(element: OtherCase, compiler: SQLCompiler, **kw: Any) -> str:
    case, text, *_ = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"fullcount_{case[1:-1]}({text})"


def lowered_text(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text with every letter in lower case.

    Source: OData URL Conventions 4.01, section 5.1.1.7.2; Unicode's simple case mappings
    """
    return OtherCase(literal_column("'lower'"), text, *map(_bound, _letters_of(fold_text)))


def raised_text(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text with every letter in upper case that is one letter there.

    Source: OData URL Conventions 4.01, section 5.1.1.7.3; Unicode's simple case mappings
    """
    return OtherCase(literal_column("'upper'"), text, *map(_bound, _letters_of(raise_text)))


@cache
def _letters_of(change: Callable[[str | None], str | None]) -> tuple[str, str]:
    """The letters beyond ASCII that are changed, and what each becomes."""
    every = map(chr, (*range(128, 0xD800), *range(0xE000, _CASELESS_FROM)))
    pairs = [(letter, other) for letter in every if (other := change(letter)) != letter]
    return "".join(letter for letter, _ in pairs), "".join(str(other) for _, other in pairs)


def raise_text(text: str | None) -> str | None:
    """A text with every letter in upper case, but those that would become several."""
    if text is None:
        return None
    raised = ((letter, letter.upper()) for letter in text)
    return "".join(upper if len(upper) == 1 else letter for letter, upper in raised)


def fold_text(text: str | None) -> str | None:
    """A text with every letter in lower case, one letter for one."""
    return None if text is None else "".join(letter.lower()[0] for letter in text)


def folded_like(text: ColumnElement[Any], word: str, *, is_plain: bool) -> ColumnElement[Any]:
    """The text folded so far that a folded word can be found in it.

    A word of plain ASCII is found by the database's own quick `lower`. For another, only letters
    that fold to one of its own need be folded: no other can be part of it.
    """
    if is_plain:
        return lower_text(text)
    pairs = [(upper, letter) for letter in dict.fromkeys(word) for upper in uppers_of(letter)]
    return FoldedText(text, *(_bound("".join(column)) for column in zip(*pairs, strict=True)))


def _bound(letters: str) -> ColumnElement[Any]:
    return bindparam(None, letters, type_=Text(), unique=True)


def uppers_of(letter: str) -> tuple[str, ...]:
    """Every letter that folds to this one, itself first."""
    return (letter, *_all_uppers().get(letter, ()))


@cache
def _all_uppers() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for number in range(_CASELESS_FROM):
        letter = chr(number)
        folded = letter.lower()[0]
        if folded != letter:
            found[folded] = (*found.get(folded, ()), letter)
    return found


def add_folding(raw: Any) -> None:
    """Teach a connection of SQLite to fold, and to change the case of letters."""
    for name, change in (("folded", fold_text), ("lower", fold_text), ("upper", raise_text)):
        raw.create_function(f"fullcount_{name}", 1, change, deterministic=True)
