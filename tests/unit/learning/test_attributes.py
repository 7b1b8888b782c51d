"""The kind of an attribute is that of all its values, in whatever order they were told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.learning.attributes import can_be_field, kind_of_value, kinds_of_values

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["A", "2025-05-24", "2025-13-01"])
)
OBJECTS = st.lists(st.dictionaries(st.sampled_from("ab"), VALUES), max_size=6)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "bool"),
        (0, "number"),
        (1.5, "number"),
        ("2025-05-24", "date"),
        ("2025-02-30", "text"),
        ("", "text"),
        ("3", "text"),
    ],
)
def test_a_value_tells_its_kind(value: Any, kind: str) -> None:
    assert kind_of_value(value) == kind


def test_values_of_two_kinds_make_a_text_and_null_tells_nothing() -> None:
    stated: list[dict[str, Any]] = [
        {"a": 1, "b": None, "c": "2025-05-24"},
        {"a": "x"},
        {"c": "2025-05-25"},
    ]

    assert kinds_of_values(stated) == {"a": "text", "c": "date"}


@given(stated=OBJECTS, split=st.integers(0, 6))
def test_order_and_batches_of_values_do_not_matter(
    stated: list[dict[str, Any]], split: int
) -> None:
    whole = kinds_of_values(stated)

    assert kinds_of_values(reversed(stated)) == whole
    first, second = kinds_of_values(stated[:split]), kinds_of_values(stated[split:])
    for code, kind in whole.items():
        told = {kinds[code] for kinds in (first, second) if code in kinds}
        assert kind == (told.pop() if len(told) == 1 else "text")


@pytest.mark.parametrize(
    ("code", "fits"),
    [
        ("cost_centre", True),
        ("Kostenstelle Ä", True),
        ("it's 100%", True),
        ('a"b', False),
        ("a\\b", False),
        ("a/b", False),
        ("x" * 51, False),
    ],
)
def test_some_codes_cannot_be_names_of_fields(code: str, fits: bool) -> None:
    assert can_be_field(code) is fits
