"""Elements and sums: the test vector of the docs, order, sharding, and spellings refused."""

import hmac
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.learning.elements import (
    ZERO_SUM,
    frame_stream,
    frame_text,
    is_boundary,
    make_element,
    moment_of_slot,
    pack_sum,
    read_sum,
    slot_number,
    spell_sum,
    subtract_sums,
    sum_elements,
)
from tests.declared import element_of, spell

SECRET = bytes(range(32))
DIGEST = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
EVENTS = (("e-1", ""), ("e-2", DIGEST), ("é/3", ""))
DOCS = Path(__file__).resolve().parents[3] / "docs/completeness.md"


def an_element(event_id: str, digest: str = "") -> bytes:
    framed = frame_stream("acme", "lms", "quest")
    return make_element(SECRET, framed, event_id, digest)


def test_the_test_vector_of_the_docs_holds() -> None:
    text = DOCS.read_text("utf-8")
    assert spell_sum(SECRET) in text
    for event_id, digest in EVENTS:
        assert (
            f"| `{event_id}` | `{digest}` | `{spell_sum(an_element(event_id, digest))}` |" in text
        )
    total = sum_elements(an_element(event_id, digest) for event_id, digest in EVENTS)
    assert f"sum of the three: `{spell_sum(total)}`" in text


def test_another_reader_of_the_docs_makes_the_same_elements() -> None:
    for event_id, digest in EVENTS:
        event = {"id": event_id, "source": "lms", "data": {"module_type": "quest"}}
        event |= {"datadigest": digest} if digest else {}
        theirs = element_of(spell_sum(SECRET), event)
        assert theirs == int.from_bytes(an_element(event_id, digest), "big")
        assert spell(theirs) == spell_sum(an_element(event_id, digest))


@pytest.mark.parametrize("length", [0, 1, 32, 64, 65, 200])
def test_an_element_is_an_hmac_under_a_secret_of_any_length(length: int) -> None:
    secret, framed = bytes(range(length)), frame_stream("acme", "lms", "quest")
    told = framed + frame_text("e1") + frame_text(DIGEST)
    assert make_element(secret, framed, "e1", DIGEST) == hmac.digest(secret, told, "sha256")


def test_each_part_of_an_element_counts() -> None:
    framings = [
        frame_stream(*names)
        for names in (("acme", "lms", "quest"), ("acm", "elms", "quest"), ("acme", "lms", "ilt"))
    ]
    told = {make_element(SECRET, framed, "e", "") for framed in framings}
    told.add(make_element(SECRET, framings[0], "", "e"))
    told.add(make_element(SECRET, framings[0], "e", DIGEST))
    told.add(make_element(bytes(32), framings[0], "e", ""))
    assert len(told) == 6


def test_order_and_sharding_change_no_sum_and_repetition_does() -> None:
    elements = [an_element(f"e{n}") for n in range(50)]
    total = sum_elements(elements)
    mixed = random.Random(1).sample(elements, 50)
    assert sum_elements(mixed) == total
    assert sum_elements([sum_elements(mixed[:20]), sum_elements(mixed[20:])]) == total
    assert sum_elements([*elements, elements[0]]) != total
    assert subtract_sums(total, sum_elements(elements[1:])) == elements[0]
    assert sum_elements([]) == ZERO_SUM
    assert pack_sum(-1) == b"\xff" * 32


def test_a_sum_has_one_spelling() -> None:
    value = an_element("e-1")
    text = spell_sum(value)
    assert read_sum(text) == value
    assert len(text) == 43
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    cousin = text[:-1] + last[last.index(text[-1]) + 1]
    for wrong in ("", text + "=", text[:-1], text.replace(text[0], "+", 1), "é" * 43, cousin):
        with pytest.raises(ValueError, match=r"a sum is 32 bytes|base64|characters"):
            read_sum(wrong)


@pytest.mark.parametrize(
    ("moment", "bucket_s", "slot"),
    [
        (datetime(2025, 5, 24, 10, 9, 59, 999999, UTC), 600, datetime(2025, 5, 24, 10, tzinfo=UTC)),
        (datetime(2025, 5, 24, 10, 10, tzinfo=UTC), 600, datetime(2025, 5, 24, 10, 10, tzinfo=UTC)),
        (datetime(2025, 5, 24, 23, 59, tzinfo=UTC), 86400, datetime(2025, 5, 24, tzinfo=UTC)),
        (datetime(1970, 1, 1, 0, 0, 19, tzinfo=UTC), 20, datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_slot_begins_at_a_multiple_of_the_bucket(
    moment: datetime, bucket_s: int, slot: datetime
) -> None:
    assert moment_of_slot(slot_number(moment, bucket_s), bucket_s) == slot
    assert is_boundary(slot, bucket_s)
    assert is_boundary(moment, bucket_s) == (moment == slot)
