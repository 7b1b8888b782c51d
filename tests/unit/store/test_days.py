"""Days, weeks and months of time zones: the databases against Python's own zones."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import literal, select

from app.store.days import PERIODS, DaysFrom, SecondsFrom, first_day, zone_offsets
from app.store.engine import Store, snapshot
from app.store.statement import compile_statement
from app.store.tables.columns import UtcDateTime

ZONES = ("UTC", "Asia/Kolkata", "Europe/Berlin", "America/New_York", "Africa/Casablanca")
MOMENTS = tuple(
    border + timedelta(microseconds=shift)
    for border in (
        datetime(2025, 3, 29, 23, tzinfo=UTC),
        datetime(2025, 3, 30, 1, tzinfo=UTC),
        datetime(2025, 3, 30, 22, tzinfo=UTC),
        datetime(2025, 10, 26, 1, tzinfo=UTC),
        datetime(2025, 10, 26, 23, tzinfo=UTC),
        datetime(2025, 11, 2, 6, tzinfo=UTC),
        datetime(2024, 12, 31, 18, 30, tzinfo=UTC),
        datetime(2024, 2, 29, 12, tzinfo=UTC),
        datetime(2025, 1, 1, 5, tzinfo=UTC),
    )
    for shift in (-1, 0, 1)
)


def expected(moment: datetime, by: str, zone: str) -> str:
    """The first day of a period, by Python."""
    day = moment.astimezone(ZoneInfo(zone)).date()
    if by == "week":
        day -= timedelta(days=day.weekday())
    months = {"month": day.month, "quarter": (day.month - 1) // 3 * 3 + 1, "year": 1}
    return (day.replace(month=months[by], day=1) if by in months else day).isoformat()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("by", PERIODS)
def test_a_moment_falls_in_the_period_of_its_zone(store: Store, zone: str, by: str) -> None:
    asked = select(*(first_day(by, literal(moment, UtcDateTime()), zone) for moment in MOMENTS))
    with snapshot(store) as connection:
        statement = compile_statement(asked, connection.dialect.name)
        row = connection.exec_driver_sql(statement.text, statement.bind({})).one()

    assert list(row) == [expected(moment, by, zone) for moment in MOMENTS]


@pytest.mark.parametrize("zone", ZONES)
def test_the_offsets_of_a_zone_change_at_the_very_second(zone: str) -> None:
    at = ZoneInfo(zone)
    for (_, old), (start, new) in pairwise(zone_offsets(zone)):
        before = (start - timedelta(seconds=1)).astimezone(at).utcoffset()
        after = start.astimezone(at).utcoffset()
        assert (before, after) == (timedelta(seconds=old), timedelta(seconds=new))


def test_spans_are_counted_alike_on_both_databases(store: Store) -> None:
    first = datetime(2025, 3, 1, 12, 0, 0, 999999, tzinfo=UTC)
    second = datetime(2025, 3, 2, 12, 0, 1, 1, tzinfo=UTC)
    asked: Any = select(
        SecondsFrom(literal(first, UtcDateTime()), literal(second, UtcDateTime())),
        SecondsFrom(literal(second, UtcDateTime()), literal(first, UtcDateTime())),
        DaysFrom(literal("2025-02-27"), literal("2025-03-02")),
        DaysFrom(literal("2025-03-02"), literal("2025-02-27")),
    )
    with snapshot(store) as connection:
        statement = compile_statement(asked, connection.dialect.name)
        row = connection.exec_driver_sql(statement.text, statement.bind({})).one()

    assert list(row) == [86_401.0, -86_401.0, 3, -3]
