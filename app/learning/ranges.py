"""Ranges of the space of elements: two sets of events compared by the digests of parts. Pure.

Only ranges that differ are looked into; one that lacks a single event tells its element at once.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from app.learning.elements import ELEMENT_BYTES, MODULUS, subtract_sums, sum_elements

PARTS, FEWER_PARTS = 16, 4
FEW = 16
"""A range of so few is listed instead of split again."""

_DIFFERENCE = 3
"""A range that differs by so few at most is split in four: most of its sixteenths would agree."""

_DIGITS = 2 * ELEMENT_BYTES
_MOST_DIGITS = 16
_HEX = re.compile(r"[0-9a-f]{1,17}")


@dataclass(frozen=True, slots=True)
class Range:
    """The elements whose first digits, as a hexadecimal number, are `lo` or more and below `hi`.

    lo: as many digits as the range looks at; hi: likewise, or one more for the end of the space
    parts: in how many it is best split
    """

    lo: str
    hi: str
    parts: int = PARTS

    def as_dict(self) -> dict[str, str | int]:
        """The range as it travels; without parts it is split in sixteen."""
        told: dict[str, str | int] = {"lo": self.lo, "hi": self.hi}
        return told if self.parts == PARTS else told | {"parts": self.parts}


WHOLE_SPACE = Range("0", "10")


@dataclass(frozen=True, slots=True)
class Digest:
    """How many elements lie in a range, and their sum."""

    count: int
    sum: bytes


@dataclass(frozen=True, slots=True)
class Differences:
    """What a comparison has found so far; its lists grow.

    missing: elements that the other side has and we lack, each by arithmetic alone
    surplus: elements that we have and the other side lacks
    want: ranges that differ and must be split
    few: ranges that differ and hold so few on the other side that they are better listed
    """

    missing: list[bytes] = field(default_factory=list)
    surplus: list[bytes] = field(default_factory=list)
    want: list[Range] = field(default_factory=list)
    few: list[Range] = field(default_factory=list)


def parse_range(lo: str, hi: str) -> Range:
    """Read a range as it travels.

    Raises: ValueError when it is none, or cannot be split in sixteen any more
    """
    if not _HEX.fullmatch(lo) or not _HEX.fullmatch(hi) or len(lo) > _MOST_DIGITS:
        raise ValueError("a range is lo and hi in hexadecimal digits of lower case")
    if not int(lo, 16) < int(hi, 16) <= 16 ** len(lo):
        raise ValueError("hi must be greater than lo, in the same digits")
    if (int(hi, 16) - int(lo, 16)) not in (1, FEWER_PARTS, PARTS):
        raise ValueError("a range is a part of its parent, or the whole space")
    return Range(lo, hi)


def split_range(whole: Range, parts: int = PARTS) -> list[Range]:
    """Give the sixteen parts of a range, or the four, in order."""
    digits, low = len(whole.lo), int(whole.lo, 16)
    width = int(whole.hi, 16) - low
    if width < parts:
        digits, low, width = digits + 1, low * PARTS, width * PARTS
    step = width // parts
    starts = range(low, low + width, step)
    return [Range(f"{n:0{digits}x}", f"{n + step:0{digits}x}") for n in starts]


def elements_within(ordered: Sequence[bytes], part: Range) -> Sequence[bytes]:
    """Give those of ordered elements that lie in a range."""
    return ordered[_place(ordered, part.lo, part) : _place(ordered, part.hi, part)]


def digest_elements(elements: Iterable[bytes]) -> Digest:
    """Count and sum elements."""
    told = list(elements)
    return Digest(len(told), sum_elements(told))


def compare_parts(
    ordered: Sequence[bytes], parts: Iterable[tuple[Range, Digest]], found: Differences
) -> None:
    """Compare our elements with the digests of ranges on the other side; adds to what is found.

    Since sums are linear, one element more or less is the difference of the sums; that it lies in
    the range confirms it, and of a surplus one, that we have it.

    Shape:  ordered: our elements, sorted
    Source: docs/completeness.md, "Finding the missing"
    """
    for part, theirs in parts:
        inside = elements_within(ordered, part)
        ours = digest_elements(inside)
        if ours == theirs:
            continue
        candidate = subtract_sums(theirs.sum, ours.sum)
        if theirs.count - ours.count == 1 and elements_within([candidate], part):
            found.missing.append(candidate)
            continue
        candidate = subtract_sums(ours.sum, theirs.sum)
        if ours.count - theirs.count == 1 and _holds(inside, candidate):
            found.surplus.append(candidate)
        elif theirs.count <= FEW or len(part.lo) >= _MOST_DIGITS:
            found.few.append(part)
        else:
            is_close = abs(theirs.count - ours.count) <= _DIFFERENCE
            found.want.append(replace(part, parts=FEWER_PARTS) if is_close else part)


def _holds(ordered: Sequence[bytes], element: bytes) -> bool:
    index = bisect_left(ordered, element)
    return index < len(ordered) and ordered[index] == element


def _place(ordered: Sequence[bytes], bound: str, part: Range) -> int:
    number = int(bound, 16) << 4 * (_DIGITS - len(part.lo))
    if number >= MODULUS:
        return len(ordered)
    return bisect_left(ordered, number.to_bytes(ELEMENT_BYTES, "big"))
