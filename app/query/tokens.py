"""Expression text in, its words out, one at a time; refusals that name the place.

Positions count characters from 1. Nothing here knows the grammar, but for the colons of `case`.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from app.base.errors import BadSyntax, NotSupported

_NAME = r"[^\W\d]\w*+"
# Digits are those of ASCII; letters are those of any script.
_DAY = r"(?a:-?\d{4,}-\d\d-\d\d)"
_CLOCK = r"(?a:\d\d:\d\d(?::\d\d(?:\.\d+)?)?)"
_TOKEN = re.compile(
    rf"""
      (?P<string>'(?:[^']|'')*+')
    | (?P<guid>[0-9A-F]{{8}}-(?:[0-9A-F]{{4}}-){{3}}[0-9A-F]{{12}}(?![\w-]))
    | (?P<moment>{_DAY}T{_CLOCK}(?:(?a:Z|[+-]\d\d:\d\d)(?![\w.])|(?![\w:.])))
    | (?P<date>{_DAY}(?![\w-]))
    | (?P<time>{_CLOCK}(?![\w.]))
    | (?P<number>(?a:[+-]?\d++(?:\.\d++)?+(?:E[+-]?\d++)?+)(?![\w.]))
    | (?P<typed>{_NAME}(?:\.{_NAME})*+'(?:[^']|'')*+')
    | (?P<name>{_NAME}(?:\.{_NAME})*+)
    | (?P<alias>@{_NAME}(?:\.{_NAME})*+(?:\#{_NAME})?+)
    | (?P<system>\$[A-Z]++)
    | (?P<quoted>"(?:[^"\\]|\\.)*+")
    | (?P<mark>[()/,:;=*\-\[\]{{}}])
    """,
    re.VERBOSE | re.IGNORECASE,
)
# The same for a look ahead over all words: what is none is stepped over at once.
_ANY = re.compile(rf"{_TOKEN.pattern}|\w++", _TOKEN.flags)
_BLANK = re.compile(r"\s*+")


def name_members_this(text: str) -> str:
    """A condition or order in which each member of a list is `$this`, where it was `$it`."""
    return _TOKEN.sub(lambda word: "$this" if word[0].lower() == "$it" else word[0], text)


class Token(NamedTuple):
    """A word of the text.

    at: its offset, from 0
    spaced: blanks stand before it
    """

    kind: str
    text: str
    at: int
    spaced: bool


class Words:
    """One text, read from left to right with one word of foresight.

    token: the present word
    before: the text of the word before it
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.splits = split_clocks(text) if "case" in text.lower() else {}
        self.end = 0
        self.before = ""
        self.token = Token("end", "", 0, False)
        self.advance()

    def advance(self) -> Token:
        """Give the present word and step to the next."""
        token = self.token
        if token.text:
            self.before = token.text
        start = self.end
        blank = _BLANK.match(self.text, start)
        at = blank.end() if blank else start
        found = _TOKEN.match(self.text, at, self.splits.get(at, len(self.text)))
        if found:
            self.end = found.end()
            self.token = Token(str(found.lastgroup), found.group(), at, at > start)
        elif at < len(self.text):
            self.refuse_character(at)
        else:
            self.end = at
            self.token = Token("end", "", at, at > start)
        return token

    def takes(self, mark: str) -> bool:
        """Step over this mark, if it is the present word."""
        if self.token.kind == "mark" and self.token.text == mark:
            self.advance()
            return True
        return False

    def sees(self, mark: str) -> bool:
        """Is this mark the present word?"""
        return self.token.kind == "mark" and self.token.text == mark

    def expect(self, mark: str) -> None:
        """Step over this mark.

        Raises: BadSyntax, when it is another word
        """
        if not self.takes(mark):
            self.refuse(f"expected {mark!r}")

    def expect_end(self, wanted: str) -> None:
        """Make sure that nothing is left.

        Raises: BadSyntax
        """
        if self.token.kind != "end":
            self.refuse(f"expected {wanted}")

    def take_raw(self) -> str:
        """Step over all before the `;` or `)` that ends this option, and give it as it stands."""
        start = at = self.token.at
        depth, quote = 0, ""
        while at < len(self.text):
            sign = self.text[at]
            if quote == '"' and sign == "\\":
                at += 1
            elif quote:
                quote = "" if sign == quote else quote
            elif sign in "'\"":
                quote = sign
            elif depth == 0 and sign in ";)":
                break
            else:
                depth += (sign == "(") - (sign == ")")
            at += 1
        self.end = at
        self.advance()
        return self.text[start:at]

    def refuse(self, wanted: str, at: int | None = None) -> NoReturn:
        """Say where the text cannot be read, and what would be right there."""
        place = self.token.at if at is None else at
        after = f" after {_cut(self.before)}" if self.before and at is None else ""
        found = _cut(self.text[place : place + 24].split(" ")[0]) if place < len(self.text) else ""
        ending = f", found {found}" if found else ", found the end"
        raise BadSyntax(f"at position {place + 1}: {wanted}{after}{ending}")

    def refuse_character(self, at: int) -> NoReturn:
        """Say that no word begins here."""
        if self.text[at] in "'\"":
            raise BadSyntax(f"at position {at + 1}: a text without its closing quote")
        if self.text[at].isdigit() or self.text[at] in "+-":
            self.refuse("this is no number", at)
        raise BadSyntax(f"at position {at + 1}: unexpected character {self.text[at]!r}")

    def refuse_unsupported(self, what: str) -> NoReturn:
        """Say that the standard has this and we do not."""
        raise NotSupported(f"at position {self.token.at + 1}: {what} not supported here")


@dataclass(slots=True)
class _Branch:
    """What is known of the present part of a bracket, from a comma to the next.

    of_case: the bracket is that of `case`
    colon: it has one
    clock: the last word in it that looks like a time of day
    """

    of_case: bool
    colon: bool = False
    clock: re.Match[str] | None = None


def split_clocks(text: str) -> dict[int, int]:
    """What only looks like a time of day: where it begins, and where the word ends that is meant.

    A branch of `case` needs a colon between its condition and its value. If it has no other, it
    is the last one of what looks like a time of day: `case(attempts gt 50:10)`.

    Source: OData URL Conventions 4.01, section 5.1.1.11.1; OData ABNF 4.01, rule caseExpr
    """
    found: dict[int, int] = {}
    branches = [_Branch(of_case=False)]
    before = ""
    for word in _ANY.finditer(text):
        sign, branch = word[0], branches[-1]
        if sign in {",", ")", "]", "}"}:
            if branch.of_case and branch.clock and not branch.colon:
                found[branch.clock.start()] = _end_of_condition(branch.clock)
            if sign != "," and len(branches) > 1:
                branches.pop()
            else:
                branches[-1] = _Branch(branch.of_case)
        elif sign in {"(", "[", "{"}:
            branches.append(_Branch(of_case=sign == "(" and before.lower() == "case"))
        elif sign == ":":
            branch.colon = True
        elif word.lastgroup == "time":
            branch.clock = word
        before = sign
    return found


def _end_of_condition(clock: re.Match[str]) -> int:
    """Where `10:15:20` and `50:10` have the colon of `case` in them: the last that can be it."""
    hours, minutes, *seconds = clock[0].split(":")
    is_time = bool(seconds) and hours < "24" and minutes < "60"
    return clock.start() + (5 if is_time else 2)


def _cut(text: str) -> str:
    return repr(text if len(text) <= 24 else text[:21] + "...")
