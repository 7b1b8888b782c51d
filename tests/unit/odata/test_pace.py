"""Quick questions are known by their form: those alike but for their texts and numbers."""

import asyncio
from dataclasses import replace

import pytest

from app.access.principal import Principal
from app.odata.calls import Call
from app.odata.monitors import MONITOR
from app.odata.pace import ALONE_S, QUICK_S, Pace


def nobody() -> Principal:
    raise AssertionError("nobody is asked who calls")


def a_call(path: str, query: str = "", *, method: str = "GET", **headers: str) -> Call:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call(method, path, query, told, b"", nobody)


def is_quick(pace: Pace, call: Call) -> bool:
    return asyncio.run(pace.is_quick(pace.form_of(call)))


FIRST = a_call("Learners(1)", "$filter=name eq 'Ann' and age gt 3&$skiptoken=a1b2", x_api_key="k")


@pytest.mark.parametrize(
    "other",
    [
        replace(FIRST, path="Learners(20)"),
        replace(FIRST, query="$filter=name eq 'Bob''s' and age gt 44&$skiptoken=zz9"),
        replace(FIRST, query="$filter=name eq %27Ann%27 and age gt 3&$skiptoken=-"),
    ],
)
def test_questions_that_differ_in_texts_numbers_and_tokens_have_one_pace(other: Call) -> None:
    pace = Pace(is_kept=True)
    pace.note(pace.form_of(FIRST), QUICK_S / 2)
    assert is_quick(pace, other)


@pytest.mark.parametrize(
    "other",
    [
        replace(FIRST, path="Modules(1)"),
        replace(FIRST, query="$filter=name ne 'Ann' and age gt 3"),
        replace(FIRST, headers={"x-api-key": "another"}),
        replace(FIRST, headers={"x-api-key": "k", "prefer": "odata.maxpagesize=5000"}),
        replace(FIRST, headers={"x-api-key": "k", "accept": "text/csv"}),
    ],
)
def test_questions_that_may_cost_more_have_a_pace_of_their_own(other: Call) -> None:
    pace = Pace(is_kept=True)
    pace.note(pace.form_of(FIRST), QUICK_S / 2)
    assert not is_quick(pace, other)


@pytest.mark.parametrize(
    ("pace", "call"),
    [
        (Pace(is_kept=False), FIRST),
        (Pace(is_kept=True), replace(FIRST, method="POST")),
        (Pace(is_kept=True), replace(FIRST, path=f"{MONITOR}/x")),
        (Pace(is_kept=True), a_call("Learners", prefer="return=minimal, Respond-Async")),
    ],
)
def test_what_may_wait_or_write_is_never_quick(pace: Pace, call: Call) -> None:
    pace.note(pace.form_of(call), 0)
    assert not is_quick(pace, call)


@pytest.mark.parametrize(
    ("took_s", "in_hand", "expected"),
    [
        (QUICK_S / 2, 1, True),
        (QUICK_S / 2, 3, True),
        (QUICK_S, 1, True),
        (QUICK_S, 2, False),
        (ALONE_S, 1, False),
        (ALONE_S, 0, False),
    ],
)
def test_a_larger_one_is_quick_for_a_caller_who_asks_alone(
    took_s: float, in_hand: int, expected: bool
) -> None:
    pace = Pace(is_kept=True, in_hand=in_hand)
    pace.note(pace.form_of(FIRST), took_s)
    assert is_quick(pace, FIRST) is expected


def test_those_that_arrive_together_do_not_ask_alone() -> None:
    pace = Pace(is_kept=True)
    form = pace.form_of(FIRST)
    pace.note(form, QUICK_S)

    async def arrive() -> bool:
        pace.in_hand += 1
        return await pace.is_quick(form)

    async def arrive_together() -> list[bool]:
        return list(await asyncio.gather(arrive(), arrive()))

    assert asyncio.run(arrive_together()) == [False, False]


def test_the_last_time_counts() -> None:
    pace = Pace(is_kept=True)
    form = pace.form_of(FIRST)
    for seconds, expected in ((QUICK_S / 2, True), (ALONE_S, False), (0.0, True)):
        pace.note(form, seconds)
        assert is_quick(pace, FIRST) is expected


def test_no_more_forms_are_kept_than_fit() -> None:
    pace = Pace(is_kept=True)
    for number in range(10_000):
        pace.note(number, 0)
    assert 0 < len(pace.seconds) <= 4096
