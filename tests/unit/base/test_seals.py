"""What is sealed comes back as it was, opens for its purpose only, and stands in a URL."""

from typing import Any

import pytest
from itsdangerous import BadSignature

from app.base.seals import sealer_of

SECRET = b"s" * 32
SHORT: list[Any] = [1, None, "ü", {"a": [0.1, True]}]
LONG: list[Any] = [*SHORT, ["quick_update", "checklist"] * 50]


@pytest.mark.parametrize("value", [SHORT, LONG, [], "x" * 637, "x" * 638, "x" * 639])
def test_what_is_sealed_comes_back(value: Any) -> None:
    text = sealer_of(SECRET, "page").dumps(value)
    assert sealer_of(SECRET, "page").loads(text) == value
    assert all(letter.isalnum() or letter in "-_." for letter in text)


def test_only_what_is_long_is_packed() -> None:
    short, long = (sealer_of(SECRET, "page").dumps(value) for value in (SHORT, LONG))
    assert not short.startswith(".")
    assert long.startswith(".")
    assert len(long) < 300


@pytest.mark.parametrize("value", [SHORT, LONG])
def test_it_opens_with_its_secret_for_its_purpose_and_unchanged(value: Any) -> None:
    text = sealer_of(SECRET, "page").dumps(value)
    changed = ("A" if text[0] != "A" else "B") + text[1:]
    for sealer, one in (
        (sealer_of(SECRET, "delta"), text),
        (sealer_of(b"t" * 32, "page"), text),
        (sealer_of(SECRET, "page"), changed),
        (sealer_of(SECRET, "page"), "." + text),
    ):
        with pytest.raises(BadSignature):
            sealer.loads(one)
