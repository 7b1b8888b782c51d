"""Texts compared whatever the case of their letters, the same on SQLite and PostgreSQL.

Each letter is folded by itself, as Python folds it, so that folding never changes the length of a
text. PostgreSQL needs no collation for it beyond "C", whatever its version.
"""

from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Text, bindparam

from app.store.spelling import SpeltFunction
from app.store.words import lower_text

# No letter from here on has a lower case.
_CASELESS_FROM = 0x20000


class FoldedText(SpeltFunction[str]):
    """A text with its letters in lower case: A to Z, and those of a list, as another tells them."""

    type = Text()
    postgresql = 'lower(translate({0}::text, {1}::text, {2}::text) COLLATE "C")'
    # Python folds all letters; those of the list are among them.
    sqlite = "fullcount_folded({0})"


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
    """Teach a connection of SQLite to fold."""
    raw.create_function("fullcount_folded", 1, fold_text, deterministic=True)
