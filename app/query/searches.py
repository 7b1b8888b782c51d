"""`$search` in, its terms out: words and phrases with AND, OR and NOT between them.

Source: OData URL Conventions 4.01, section 5.1.7; OData ABNF 4.01, rule searchExpr
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

from app.base.errors import BadSyntax, TooComplex

_TOKEN = re.compile(
    r"""\s*+(?:"(?P<phrase>(?:[^"\\]|\\.)++)"(?=[\s)]|$)|(?P<mark>[()])|(?P<word>[^\s()"]+))""",
    re.DOTALL,
)
# Within a phrase; before all else a backslash stands for itself.
# Source: OData ABNF 4.01, rule qchar-no-AMP-DQUOTE
_ESCAPED = re.compile(r'\\(["\\])')


@dataclass(frozen=True, slots=True)
class Term:
    """A word or phrase that a row must hold."""

    text: str


@dataclass(frozen=True, slots=True)
class Without:
    """Rows that the inner search does not find."""

    inner: "Search"


@dataclass(frozen=True, slots=True)
class Joined:
    """Two or more searches, with `and` or `or` between them."""

    operator: str
    parts: "tuple[Search, ...]"


Search = Term | Without | Joined


@lru_cache(maxsize=256)
def parse_search(text: str, depth: int = 100) -> Search:
    """Read what is searched for; words beside one another must all be there.

    A text in single quotes, which are doubled within it, is taken as people type it: its words,
    without any grammar.

    Raises: BadSyntax, TooComplex; positions count characters from 1
    """
    typed = text.strip()
    if len(typed) > 1 and typed[0] == typed[-1] == "'":
        typed = typed[1:-1].replace("''", "'")
        terms = tuple(Term(word) for word in typed.replace('"', " ").split()) or (Term(typed),)
        return terms[0] if len(terms) == 1 else Joined("and", terms)
    reader = _Reader(text, min(depth, 100))
    found = reader.alternatives()
    if reader.at < len(reader.tokens):
        reader.refuse("expected a word or the end")
    return found


def terms_of(search: Search) -> Iterator[str]:
    """The words and phrases of a search, in order."""
    match search:
        case Term():
            yield search.text
        case Without():
            yield from terms_of(search.inner)
        case Joined():
            for part in search.parts:
                yield from terms_of(part)


class _Reader:
    """One text, read from left to right."""

    def __init__(self, text: str, depth: int) -> None:
        self.text, self.most, self.depth = text, depth, 0
        self.tokens = list(_words_of(text))
        self.at = 0

    def alternatives(self) -> Search:
        """Read parts with OR between them."""
        self.depth += 1
        if self.depth > self.most:
            raise TooComplex(f"$search is nested deeper than the limit filter_depth, {self.most}")
        parts = [self.both()]
        while self.sees_operator("OR"):
            self.at += 1
            parts.append(self.both())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else Joined("or", tuple(parts))

    def both(self) -> Search:
        """Read parts with AND, or nothing, between them."""
        parts = [self.part()]
        while self.at < len(self.tokens) and self.tokens[self.at][1] != ")":
            if self.sees_operator("OR"):
                break
            if self.sees_operator("AND"):
                self.at += 1
            parts.append(self.part())
        return parts[0] if len(parts) == 1 else Joined("and", tuple(parts))

    def part(self) -> Search:
        """Read a word, a phrase, a parenthesis, or one of them that must not be found."""
        negated = False
        while self.sees_operator("NOT"):
            negated = not negated
            self.at += 1
        found = self.found()
        return Without(found) if negated else found

    def found(self) -> Search:
        """Read a word, a phrase or a parenthesis."""
        if self.at == len(self.tokens):
            self.refuse("expected a word")
        kind, text, _ = self.tokens[self.at]
        if kind == "mark" and text == ")":
            self.refuse("expected a word")
        self.at += 1
        if kind != "mark":
            return Term(text)
        inner = self.alternatives()
        if self.at == len(self.tokens) or self.tokens[self.at][:2] != ("mark", ")"):
            self.refuse("expected ')'")
        self.at += 1
        return inner

    def sees_operator(self, word: str) -> bool:
        """Is the present token this operator, with something behind it? Else it is a plain word.

        Source: the standard's test cases for searchExpr: `AND`, `NOT NOT`, `AND OR`, `AND OR NOT`
        """
        if self.at + 1 >= len(self.tokens) or self.tokens[self.at][:2] != ("word", word):
            return False
        return self.tokens[self.at + 1][:2] != ("mark", ")")

    def refuse(self, wanted: str) -> NoReturn:
        """Say where the text cannot be read."""
        at = self.tokens[self.at][2] if self.at < len(self.tokens) else len(self.text)
        raise BadSyntax(f"at position {at + 1} of $search: {wanted}", target="$search")


def _words_of(text: str) -> Iterator[tuple[str, str, int]]:
    end = len(text.rstrip())
    at = 0
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            raise BadSyntax(
                f"at position {at + 1} of $search: a phrase stands in double quotes,"
                ' with blanks around it, and \\" for a quote within',
                target="$search",
            )
        kind = str(found.lastgroup)
        word = _ESCAPED.sub(r"\1", found[kind]) if kind == "phrase" else found[kind]
        yield kind, word, found.start(kind)
        at = found.end()
        if kind == "word" and text[at : at + 1] == '"':
            raise BadSyntax(
                f"at position {at + 1} of $search: a blank stands before a phrase",
                target="$search",
            )
