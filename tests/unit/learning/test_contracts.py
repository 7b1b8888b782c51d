"""Contracts that contradict themselves are found, each with the word at fault."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.learning.contracts import (
    Contract,
    find_contradictions,
    is_anchor_enough,
    weakest_anchor,
)

NOW = datetime(2025, 5, 24, 10, tzinfo=UTC)
DEMO = {
    "bucket_s": 20,
    "close_delay_s": 5,
    "grace_s": 10,
    "objective_s": 60,
    "heartbeat_s": 5,
}


@pytest.mark.parametrize(
    "terms",
    [
        {},
        DEMO,
        {"bucket_s": 86_400, "objective_s": 26 * 3600},
        {"objective_s": 900},
        {"from_at": NOW + timedelta(days=1)},
        {"shards": ("a", "b"), "required_anchor": "emitter"},
    ],
)
def test_a_sound_contract_has_no_contradiction(terms: dict[str, Any]) -> None:
    assert find_contradictions(replace(Contract(), **terms), now=NOW) == []


@pytest.mark.parametrize(
    ("terms", "word"),
    [
        ({"objective_s": 899}, "objective_s"),
        ({"objective_s": 900, "heartbeat_s": 901}, "objective_s"),
        ({"bucket_s": 86_400, "objective_s": 26 * 3600 - 1}, "objective_s"),
        ({"bucket_s": 0}, "bucket_s"),
        ({"bucket_s": 7}, "bucket_s"),
        ({"bucket_s": 172_800, "objective_s": 10**6}, "bucket_s"),
        ({"from_at": datetime(2025, 1, 1, 0, 5, tzinfo=UTC)}, "from"),
        ({"from_at": datetime(1, 1, 1, tzinfo=UTC)}, "from"),
        ({"from_at": datetime(1969, 12, 31, tzinfo=UTC)}, "from"),
        ({"from_at": NOW + timedelta(days=1, minutes=10)}, "from"),
        ({"from_at": datetime(9999, 12, 31, 23, 50, tzinfo=UTC)}, "from"),
        ({"grace_s": -1}, "grace_s"),
        ({"heartbeat_s": 0}, "heartbeat_s"),
        ({"stall_s": 10**9}, "stall_s"),
        ({"required_anchor": "hope"}, "required_anchor"),
        ({"shards": ()}, "shards"),
        ({"shards": ("a", "a")}, "shards"),
        ({"shards": ("a\n",)}, "shards"),
    ],
)
def test_a_contradiction_names_its_word(terms: dict[str, Any], word: str) -> None:
    found = find_contradictions(replace(Contract(), **terms), now=NOW)
    assert [problem.path for problem in found] == [word]


def test_anchors_are_ordered_by_what_they_prove() -> None:
    assert is_anchor_enough("record", "outbox")
    assert is_anchor_enough("outbox", "outbox")
    assert not is_anchor_enough("emitter", "outbox")
    assert not is_anchor_enough("", "emitter")
    assert weakest_anchor({"record", "emitter"}) == "emitter"
    assert weakest_anchor(set()) == ""
