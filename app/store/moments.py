"""Moments reckoned by the database, the same on SQLite and PostgreSQL."""

from typing import Any

from app.store.spelling import SpeltFunction
from app.store.tables.columns import UtcDateTime

# About a thousand years: as good as never, and within the calendars of both databases.
_MOST_DAYS = 365_000


class DaysLater(SpeltFunction[Any]):
    """The moment so many days of 24 hours after another; null when either is null."""

    type = UtcDateTime()
    postgresql = (
        "CASE WHEN {1} IS NOT NULL THEN {0}"
        f" + make_interval(hours => CAST(24 * LEAST({{1}}, {_MOST_DAYS}) AS integer)) END"
    )
    sqlite = (
        f"(strftime('%Y-%m-%dT%H:%M:%S', {{0}}, MIN({{1}}, {_MOST_DAYS}) || ' days')"
        " || substr({0}, 20))"
    )
