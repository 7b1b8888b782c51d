"""A page token holds a position exactly, and opens for its own question only."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.base.errors import BadToken
from app.ledger.verdict import State, Verdict
from app.query.claims import Claim
from app.query.cursor import Cursor, read_token, write_token
from app.query.request import Aggregate, Expand, Order, Request
from tests.builders import NOON

ASKED = Request("LearnerProgress", where="score gt 1", order_text="score desc", top=10)
SECRET = b"s" * 32
VALUES: list[Any] = [
    None,
    "",
    'a"\\é😀',
    2**63 - 1,
    0.1 + 0.2,
    5e-324,
    -0.0,
    True,
    datetime(2025, 1, 31, 23, 59, 59, 999999, tzinfo=UTC),
    "2025-01-31T23:59:59.999999Z",
]


def token_of(cursor: Cursor, request: Request = ASKED) -> str:
    return write_token(cursor, request, environment_id=1, secret=SECRET)


@pytest.mark.parametrize("left", [None, 0, 7])
def test_a_position_comes_back_exactly(left: int | None) -> None:
    told = (
        (Claim(Verdict(State.INCOMPLETE, "short", is_waived=True)), ("ilt", "quest")),
        (Claim(Verdict(State.COMPLETE), NOON), ("people",)),
    )
    cursor = Cursor(tuple(VALUES), left, NOON.replace(microsecond=1), 7, told)
    opened = read_token(token_of(cursor), ASKED, environment_id=1, secret=SECRET)
    assert opened == cursor
    assert [type(value) for value in opened.values] == [type(value) for value in VALUES]


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "Assignments"},
        {"where": "score gt 2"},
        {"order_text": "score"},
        {"order_text": "", "order": (Order("score"),)},
        {"group": ("status",)},
        {"aggregates": (Aggregate("n", "count"),)},
        {"top": 11},
        {"aliases": {"p": "1"}},
    ],
)
def test_a_token_of_another_question_does_not_open(change: dict[str, Any]) -> None:
    token = token_of(Cursor((1,), None, NOON, 7))
    with pytest.raises(BadToken):
        read_token(token, replace(ASKED, **change), environment_id=1, secret=SECRET)


@pytest.mark.parametrize(
    "change",
    [
        {"page_rows": 5},
        {"select": ("status",)},
        {"expand": (Expand("module"),)},
        {"count": True},
        {"skip": 3},
    ],
)
def test_what_does_not_move_the_position_may_change(change: dict[str, Any]) -> None:
    token = token_of(Cursor((1,), None, NOON, 7))
    request = replace(ASKED, **change)
    assert read_token(token, request, environment_id=1, secret=SECRET).values == (1,)


def test_a_token_opens_in_its_environment_only() -> None:
    token = token_of(Cursor((1,), None, NOON, 7))
    with pytest.raises(BadToken):
        read_token(token, ASKED, environment_id=2, secret=SECRET)


def test_a_token_opens_with_its_secret_only() -> None:
    token = token_of(Cursor((1,), None, NOON, 7))
    with pytest.raises(BadToken):
        read_token(token, ASKED, environment_id=1, secret=b"t" * 32)


def test_a_token_stands_in_a_url_as_it_is() -> None:
    token = token_of(Cursor(("ü/+ ?&=",), None, NOON, 7))
    assert all(letter.isalnum() or letter in "-_." for letter in token)
