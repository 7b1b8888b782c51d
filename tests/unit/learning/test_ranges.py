"""Ranges of elements: sixteenths, what differs in them, and how little must travel for it."""

import random
from hashlib import sha256

import orjson
import pytest

from app.learning.elements import spell_sum
from app.learning.ranges import (
    WHOLE_SPACE,
    Differences,
    Range,
    compare_parts,
    digest_elements,
    elements_within,
    parse_range,
    split_range,
)


def some_elements(count: int) -> list[bytes]:
    return sorted(sha256(str(number).encode()).digest() for number in range(count))


def test_a_range_is_split_into_sixteen_that_cover_it_once() -> None:
    assert split_range(WHOLE_SPACE)[0] == Range("0", "1")
    assert split_range(WHOLE_SPACE)[15] == Range("f", "10")
    assert split_range(Range("f", "10"))[15] == Range("ff", "100")
    ordered = some_elements(2000)
    for whole in (WHOLE_SPACE, Range("7", "8"), Range("ff", "100")):
        parts = [elements_within(ordered, part) for part in split_range(whole)]
        assert [e for part in parts for e in part] == elements_within(ordered, whole)


def test_a_range_is_split_into_four_likewise_level_by_level() -> None:
    assert split_range(WHOLE_SPACE, 4)[3] == Range("c", "10")
    assert split_range(Range("7", "8"), 4)[1] == Range("74", "78")
    assert split_range(Range("74", "78"), 4)[3] == Range("77", "78")
    assert split_range(Range("c", "10"), 16)[15] == Range("fc", "100")
    ordered = some_elements(2000)
    for whole in (WHOLE_SPACE, Range("7", "8"), Range("74", "78"), Range("c", "10")):
        parts = [elements_within(ordered, part) for part in split_range(whole, 4)]
        assert [e for part in parts for e in part] == elements_within(ordered, whole)
        assert parse_range(whole.lo, whole.hi) == whole


@pytest.mark.parametrize(
    ("lo", "hi"),
    [("", "1"), ("1", "1"), ("2", "1"), ("g", "h"), ("0", "11"), ("0", "8"), ("0" * 17, "1")],
)
def test_what_is_no_range_is_refused(lo: str, hi: str) -> None:
    with pytest.raises(ValueError, match=r"range|hi must"):
        parse_range(lo, hi)


def exchange(theirs: list[bytes], ours: list[bytes]) -> tuple[Differences, int]:
    """Descend until nothing is wanted; gives what was found and the bytes that travelled."""
    found, wanted, size = Differences(), [WHOLE_SPACE], 0
    while wanted:
        asked = []
        for whole in wanted:
            parts = split_range(whole, whole.parts)
            digests = [digest_elements(elements_within(theirs, p)) for p in parts]
            told = {
                "counts": [d.count for d in digests],
                "sums": [spell_sum(d.sum) for d in digests],
            }
            size += len(orjson.dumps({"lo": whole.lo, "hi": whole.hi, **told}))
            asked += list(zip(parts, digests, strict=True))
        step = Differences()
        compare_parts(ours, asked, step)
        names = [spell_sum(element) for element in step.missing]
        size += len(orjson.dumps({"missing": names, "want": [p.as_dict() for p in step.want]}))
        found.missing.extend(step.missing)
        found.surplus.extend(step.surplus)
        found.few.extend(step.few)
        wanted = step.want
    return found, size


def test_ten_missing_of_a_hundred_thousand_are_named_within_four_kilobytes() -> None:
    theirs = some_elements(100_000)
    sizes = []
    for seed in range(5):
        lost = set(random.Random(seed).sample(theirs, 10))
        found, size = exchange(theirs, [e for e in theirs if e not in lost])
        assert set(found.missing) == lost
        assert not found.surplus
        assert not found.few
        sizes.append(size)
    assert sorted(sizes)[2] <= 4096, sizes


def test_what_is_missing_and_what_is_too_many_are_told_apart() -> None:
    everything = some_elements(3000)
    theirs = [e for e in everything if e not in (everything[5], everything[1700])]
    ours = [e for e in everything if e not in (everything[6], everything[2999])]
    found, _ = exchange(theirs, ours)
    listed = [e for part in found.few for e in elements_within(everything, part)]
    assert {everything[2999], everything[6]} <= {*found.missing, *listed}
    assert {everything[5], everything[1700]} <= {*found.surplus, *listed}


def test_equal_sets_want_nothing() -> None:
    ordered = some_elements(500)
    found, size = exchange(ordered, ordered)
    assert (found.missing, found.surplus, found.want, found.few) == ([], [], [], [])
    assert size < 1100
