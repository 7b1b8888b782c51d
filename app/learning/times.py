"""Times and dates as text in, values out.

Only RFC 3339 times with an offset are times here; a time without one is refused, never guessed.
"""

import re
from datetime import UTC, date, datetime, timedelta

_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,30})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

TIME_HINT = "must be an RFC 3339 time with an offset, such as 2025-05-24T10:00:00Z"
DATE_HINT = "must be a date, such as 2025-05-24"


def parse_time(text: str) -> datetime:
    """Give the UTC time that an RFC 3339 text names, cut to microseconds.

    Raises: ValueError when the text is no such time, has no offset, or leaves the years 1 to 9999
    Source: RFC 3339, section 5.6 (leap seconds are refused)
    """
    if _TIME.fullmatch(text) is None:
        raise ValueError(TIME_HINT)
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except ValueError:
        raise ValueError(TIME_HINT) from None
    except OverflowError:
        raise ValueError("must lie in the years 1 to 9999 of UTC") from None


def parse_date(text: str) -> date:
    """Give the date that a text of the form YYYY-MM-DD names.

    Raises: ValueError when it names none
    """
    if _DATE.fullmatch(text) is None:
        raise ValueError(DATE_HINT)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(DATE_HINT) from None


def epoch_microseconds(moment: datetime) -> int:
    """Give the whole microseconds between 1970 and an aware time."""
    return (moment - _EPOCH) // _MICROSECOND
