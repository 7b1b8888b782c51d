"""The only clock: what time it is now, in UTC. Tests stop it from outside (time-machine)."""

from datetime import UTC, datetime


def now() -> datetime:
    """Give the present moment, aware, in UTC, with microseconds."""
    return datetime.now(UTC)


def format_time(moment: datetime) -> str:
    """Spell a moment as fixed-width RFC 3339 text in UTC: `2025-05-24T10:00:00.000000Z`.

    Source: RFC 3339, section 5.6; the width is fixed, so texts sort as the moments do.
    """
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    # isoformat pads the year, strftime does not; it leaves microseconds out where there are none.
    text = moment.isoformat()
    return f"{text[:26]}Z" if moment.microsecond else f"{text[:19]}.000000Z"
