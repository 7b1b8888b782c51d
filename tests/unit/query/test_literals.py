"""Literals bound to their values, and those that are finer than any value is."""

from datetime import UTC, datetime

import pytest

from app.catalog.fields import Type
from app.catalog.index import dataset_named
from app.query.expr import Among, Arithmetic, Column, Compare, Expr, Literal
from app.query.filters import bind_filter
from app.query.kinds import FALSE, TRUE
from app.query.literals import read_clock, read_span, read_time
from tests.builders import some_settings

PROGRESS = dataset_named("LearnerProgress")
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
ASSIGNED = next(Column(one.type, (), one) for one in PROGRESS.fields if one.name == "assigned_at")


def bind(text: str) -> Expr:
    return bind_filter(
        text,
        PROGRESS,
        settings=some_settings(),
        scopes=frozenset({"read"}),
        aliases={},
        resolve=dataset_named,
    )


def compare(operator: str, left: Expr, right: Expr) -> Compare:
    return Compare(Type.BOOL, operator, left, right)


@pytest.mark.parametrize(
    ("text", "expr"),
    [
        ("assigned_at lt {}", compare("le", ASSIGNED, Literal(Type.TIME, NOON))),
        ("assigned_at le {}", compare("le", ASSIGNED, Literal(Type.TIME, NOON))),
        ("assigned_at gt {}", compare("gt", ASSIGNED, Literal(Type.TIME, NOON))),
        ("assigned_at ge {}", compare("gt", ASSIGNED, Literal(Type.TIME, NOON))),
        ("{} gt assigned_at", compare("le", ASSIGNED, Literal(Type.TIME, NOON))),
        ("assigned_at eq {}", FALSE),
        ("assigned_at ne {}", TRUE),
        ("assigned_at in ({})", FALSE),
        (
            "assigned_at in ({},2024-02-29T12:00Z)",
            Among(Type.BOOL, ASSIGNED, (Literal(Type.TIME, NOON),)),
        ),
        ("{} eq {}", TRUE),
        ("{} lt {}", FALSE),
        ("{} gt 2024-02-29T12:00:00Z", TRUE),
        ("{} in (2024-02-29T12:00:00Z,{})", TRUE),
        ("2024-02-29T12:00:00.00000090Z lt 2024-02-29T12:00:00.00000099Z", TRUE),
        ("12:00:00.0000001 ne 12:00:00", TRUE),
        ("duration'-PT0.0000001S' lt duration'PT0S'", TRUE),
        ("-(duration'PT0.0000001S') eq duration'-PT0.0000001S'", TRUE),
        (
            "assigned_at sub assigned_at gt '-PT0.0000015S'",
            compare(
                "gt",
                Arithmetic(Type.SPAN, "sub", ASSIGNED, ASSIGNED),
                Literal(Type.SPAN, -2),
            ),
        ),
    ],
)
def test_a_constant_between_two_microseconds_is_compared_exactly(text: str, expr: Expr) -> None:
    moment = "2024-02-29T12:00:00.0000009Z"
    assert bind(text.replace("{}", moment)) == expr


def test_zeros_behind_the_microseconds_tell_nothing() -> None:
    assert read_time("2024-02-29T12:00:00.000000000Z") == Literal(Type.TIME, NOON)
    assert read_clock("12:00:00.1234560") == Literal(Type.CLOCK, "12:00:00.123456")
    assert read_span("PT0.00000100S") == Literal(Type.SPAN, 1)


def test_what_is_cut_off_is_known_to_its_last_digit() -> None:
    """No rounding: a decimal of Python has 28 digits where it is reckoned with."""
    nines = "9" * 40
    assert read_span(f"PT0.{nines}S").value == 999999
    assert read_span(f"PT0.{nines}S") != read_span(f"PT0.{nines}8S")
