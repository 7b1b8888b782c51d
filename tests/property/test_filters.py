"""A filter finds the same rows on every database as the standard's rules do in plain Python."""

import os

import pytest
from hypothesis import HealthCheck, example, given, note, settings

from app.query.request import Request
from tests.builders import NOON, ask, rows_of, some_settings
from tests.property.conditions import conditions
from tests.property.expressions import Row, Said
from tests.property.rows import World

EXAMPLES = int(os.environ.get("FULLCOUNT_TEST_EXPRESSIONS", "2000"))
ASKED = some_settings()


def found_by(world: World, kind: str, text: str) -> list[int]:
    """The assignments that this database finds."""
    answer = ask(
        world.stores[kind],
        Request("LearnerProgress", select=("assignment_id",), where=text),
        environment_id=world.environment_ids[kind],
        settings=ASKED,
    )
    return [row["assignment_id"] for row in rows_of(answer)]


def overflows(row: Row) -> bool:
    """What a double cannot hold is null, as is what is reckoned from null."""
    return row["score"] is None or abs(row["score"]) > 1.7


def is_divided_evenly(row: Row) -> bool:
    """What is left of decimals is that of the digits they are written in."""
    return row["score"] is not None and row["score"] * 10 == int(row["score"] * 10)


def is_one(row: Row) -> bool:
    """A whole number that no double is, beside one: the nearest."""
    return bool(row["score"] == 1)


def is_another(row: Row) -> bool:
    """Likewise, where null is among them."""
    return row["score"] not in {1, None}


def is_tried_once(row: Row) -> bool:
    """Two whole numbers that are one and the same double are told apart."""
    return bool(row["attempts"] == 1)


def is_assigned_after_noon(row: Row) -> bool:
    """Behind noon there is no microsecond before the next."""
    return row["assigned_at"] is not None and row["assigned_at"] > NOON


def is_tried_once_at_most(row: Row) -> bool:
    """Likewise, beside half a number."""
    return bool(row["attempts"] <= 1)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(said=conditions)
@example(said=Said("not (score gt 10)", lambda row: not (row["score"] or 0) > 10))
@example(said=Said("score ne 2.5", lambda row: row["score"] != 2.5))
@example(said=Said("null ne null", lambda _: False))
@example(said=Said("not (null eq null)", lambda _: False))
@example(said=Said("score in (null) or score in ()", lambda row: row["score"] is None))
@example(said=Said("passed eq null", lambda row: row["passed"] is None))
@example(said=Said("score mul 1e308 eq null", overflows))
@example(said=Said("(13.1 mod 0.1) lt 0", lambda _: False))
@example(said=Said("(1e300 mod 7) eq 1", lambda _: True))
@example(said=Said("(score mod 0.1) eq 0", is_divided_evenly))
@example(said=Said("attempts mul 9007199254740993 eq 9007199254740993.0", is_tried_once))
@example(said=Said("attempts mul 9007199254740993 lt 9007199254740993.5", is_tried_once_at_most))
@example(said=Said("(score mul 9007199254740992) in (9007199254740993)", is_one))
@example(said=Said("not ((score mul 9007199254740992) in (9007199254740993,null))", is_another))
@example(said=Said("(attempts mul 9007199254740993) in (9007199254740993,INF)", is_tried_once))
@example(said=Said("assigned_at ge 2025-05-24T12:00:00.0000001Z", is_assigned_after_noon))
@example(said=Said("not (assigned_at ne 2025-05-24T12:00:00.0000001Z)", lambda _: False))
@example(said=Said("attempts lt 1e30 and attempts gt -1e30", lambda _: True))
def test_every_database_finds_what_the_rules_say(world: World, said: Said) -> None:
    note(said.text)
    expected = [number for number, row in world.fields.items() if said.of(row) is True]
    found = {kind: found_by(world, kind, said.text) for kind in world.stores}
    assert found == dict.fromkeys(world.stores, expected), said.text


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_rows_are_those_the_rules_are_asked_of(world: World, kind: str) -> None:
    if kind in world.stores:
        assert found_by(world, kind, "true") == list(world.fields)
