"""Groups by periods, values chosen by date, shares of the total: on both databases by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.base.errors import BadOption, UnknownField
from app.query.request import Aggregate, Bucket, Order, Request
from app.rest.datasets import make_request
from app.rest.schemas import QueryBody
from app.store.engine import Store
from app.store.tables import Progress
from tests.builders import NOON, a_progress, an_environment, ask, rows_of, write_rows


def fill(store: Store) -> int:
    """Five assignments over two quarters, two of them completed at the same moment."""
    environment_id = an_environment(store)
    march = datetime(2025, 3, 31, 22, 30, tzinfo=UTC)
    told: list[dict[str, Any]] = [
        {"completed_at": march, "score": 10.0, "reason": "b", "points": 0.1},
        {"completed_at": NOON, "score": 30.0, "reason": "ä", "passed": True, "points": 0.2},
        {"completed_at": NOON, "score": 20.0, "reason": "Z", "passed": False, "points": 0.7},
        {"completed_at": NOON - timedelta(days=30), "points": 2.0},
        {"score": 99.0, "module_type": "course", "points": 1.0},
    ]
    rows = [a_progress(n, **said) for n, said in enumerate(told, start=1)]
    write_rows(store, Progress, rows, environment_id=environment_id)
    return environment_id


def asked(store: Store, environment_id: int, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that a body of POST /v1/query is answered with."""
    question = QueryBody.model_validate({"dataset": "LearnerProgress", **body})
    request = make_request(question, timezone=question.timezone or "UTC")
    return rows_of(ask(store, request, environment_id=environment_id))


@pytest.mark.parametrize(
    ("by", "zone", "found"),
    [
        ("day", "UTC", [None, "2025-03-31", "2025-04-24", "2025-05-24"]),
        ("week", "UTC", [None, "2025-03-31", "2025-04-21", "2025-05-19"]),
        ("month", "UTC", [None, "2025-03-01", "2025-04-01", "2025-05-01"]),
        ("quarter", "UTC", [None, "2025-01-01", "2025-04-01"]),
        ("quarter", "Europe/Berlin", [None, "2025-04-01"]),
        ("year", "UTC", [None, "2025-01-01"]),
    ],
)
def test_moments_are_grouped_by_periods_of_the_zone(
    store: Store, by: str, zone: str, found: list[str | None]
) -> None:
    body = {"bucket": {"field": "completed_at", "by": by}, "timezone": zone}
    rows = asked(store, fill(store), body)

    assert [row[f"completed_at_{by}"] for row in rows] == found


def test_periods_stand_beside_names_and_numbers(store: Store) -> None:
    body = {
        "select": ["module_type", {"measure": "assigned"}],
        "bucket": [
            {"field": "completed_at", "by": "year", "as": "year"},
            {"field": "completed_at", "by": "month", "as": "month"},
        ],
        "order": [{"by": "month", "descending": True}],
        "where": "completed_at ne null",
    }
    assert asked(store, fill(store), body) == [
        {"module_type": "quest", "year": "2025-01-01", "month": "2025-05-01", "assigned": 2},
        {"module_type": "quest", "year": "2025-01-01", "month": "2025-04-01", "assigned": 1},
        {"module_type": "quest", "year": "2025-01-01", "month": "2025-03-01", "assigned": 1},
    ]


def test_a_bucket_must_be_a_moment_and_a_period(store: Store) -> None:
    environment_id = fill(store)
    for field, by in (("status", "day"), ("completed_at", "decade"), ("cycle", "year")):
        with pytest.raises(BadOption):
            asked(store, environment_id, {"bucket": {"field": field, "by": by}})
    with pytest.raises(UnknownField):
        asked(store, environment_id, {"bucket": {"field": "done_at", "by": "day"}})


def test_the_first_and_last_value_by_date(store: Store) -> None:
    def pick(field: str, aggregate: str) -> dict[str, str]:
        name = f"{aggregate}_{field}"
        return {"field": field, "aggregate": aggregate, "by": "completed_at", "as": name}

    fields = ("score", "reason", "passed", "cycle", "completed_at")
    picks = [pick(field, way) for field in fields for way in ("first", "last")]
    (course, quest) = asked(store, fill(store), {"select": ["module_type", *picks]})

    # One without a date takes no part.
    assert all(course[pick["as"]] is None for pick in picks)
    # Of two at the last moment the greater value wins; letters go by code point.
    assert (quest["first_score"], quest["last_score"]) == (10, 30)
    assert (quest["first_reason"], quest["last_reason"]) == ("b", "ä")
    assert (quest["first_passed"], quest["last_passed"]) == (False, True)
    assert (quest["first_cycle"], quest["last_cycle"]) == (1, 1)
    assert quest["first_completed_at"] == "2025-03-31T22:30:00.000000Z"
    assert quest["last_completed_at"] == "2025-05-24T12:00:00.000000Z"


def test_pages_go_on_behind_a_chosen_moment(store: Store) -> None:
    environment_id = fill(store)
    request = Request(
        "LearnerProgress",
        group=("learner_key",),
        aggregates=(Aggregate("at", "last", "completed_at", by="completed_at"),),
        order=(Order("at", descending=True),),
        page_rows=2,
    )
    first = ask(store, request, environment_id=environment_id)
    assert [row["learner_key"] for row in rows_of(first)] == ["u2", "u3"]
    behind = Request(
        **{name: getattr(request, name) for name in request.__dataclass_fields__}
        | {"after": first.next or ""}
    )
    second = ask(store, behind, environment_id=environment_id)
    assert [row["learner_key"] for row in rows_of(second)] == ["u4", "u1"]


def test_first_and_last_need_a_moment(store: Store) -> None:
    environment_id = fill(store)
    for by in ("", "status"):
        item = {"field": "score", "aggregate": "last", "by": by}
        with pytest.raises(BadOption):
            asked(store, environment_id, {"select": [item]})


def test_a_share_stands_beside_its_two_numbers(store: Store) -> None:
    body = {
        "select": [
            "module_type",
            {"field": "points", "aggregate": "share", "as": "points"},
            {"aggregate": "share", "as": "rows"},
        ]
    }
    course, quest = asked(store, fill(store), body)

    assert (course["points_part"], course["points_total"], course["points"]) == (1, 4, 0.25)
    assert (quest["points_part"], quest["points_total"], quest["points"]) == (3, 4, 0.75)
    assert (course["rows_part"], course["rows_total"], course["rows"]) == (1, 5, 0.2)


def test_shares_are_of_all_groups_whatever_the_page(store: Store) -> None:
    request = Request(
        "LearnerProgress",
        group=("learner_key",),
        aggregates=(Aggregate("share", "share", "points"),),
        order=(Order("share", descending=True),),
        page_rows=1,
    )
    answer = ask(store, request, environment_id=fill(store))

    assert rows_of(answer) == [
        {"learner_key": "u4", "share_part": 2, "share_total": 4, "share": 0.5}
    ]
    columns = {column.name: column for column in answer.plan.columns}
    assert (columns["share"].numerator, columns["share"].denominator) == (
        "share_part",
        "share_total",
    )


def test_nothing_has_no_share(store: Store) -> None:
    environment_id = an_environment(store)
    assert asked(store, environment_id, {"select": [{"aggregate": "share", "as": "rows"}]}) == [
        {"rows_part": 0, "rows_total": 0, "rows": None}
    ]


def test_a_bucket_alone_tells_the_periods_there_are(store: Store) -> None:
    request = Request("LearnerProgress", buckets=(Bucket("year", "completed_at", "year"),))

    rows = rows_of(ask(store, request, environment_id=fill(store)))
    assert rows == [{"year": None}, {"year": "2025-01-01"}]
