"""A page token holds a position exactly, and opens for its own question only."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.base.errors import BadToken
from app.ledger.verdict import State, Verdict
from app.query.claims import Claim, Told
from app.query.cursor import Cursor, digest_walk, read_token, write_token
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


def token_of(cursor: Cursor) -> str:
    return write_token(cursor, digest_walk(ASKED, 1), secret=SECRET)


def opened_for(token: str, request: Request = ASKED, environment_id: int = 1) -> Cursor:
    return read_token(token, digest_walk(request, environment_id), secret=SECRET)


@pytest.mark.parametrize("left", [None, 0, 7])
def test_a_position_comes_back_exactly(left: int | None) -> None:
    claims = (
        (Claim(Verdict(State.INCOMPLETE, "short", is_waived=True)), ("ilt", "quest")),
        (Claim(Verdict(State.COMPLETE), NOON), ("people",)),
    )
    told = Told(claims, NOON)
    cursor = Cursor(tuple(VALUES), left, NOON.replace(microsecond=1), 7, told)
    opened = opened_for(token_of(cursor))
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
        opened_for(token, replace(ASKED, **change))


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
    assert opened_for(token, replace(ASKED, **change)).values == (1,)


def test_a_token_opens_in_its_environment_only() -> None:
    token = token_of(Cursor((1,), None, NOON, 7))
    with pytest.raises(BadToken):
        opened_for(token, environment_id=2)


def test_a_token_opens_with_its_secret_only() -> None:
    token = token_of(Cursor((1,), None, NOON, 7))
    with pytest.raises(BadToken):
        read_token(token, digest_walk(ASKED, 1), secret=b"t" * 32)


def test_a_token_stands_in_a_url_as_it_is() -> None:
    token = token_of(Cursor(("ü/+ ?&=",), None, NOON, 7))
    assert all(letter.isalnum() or letter in "-_." for letter in token)
