"""What a format makes of an item: a draft of a journal row, or a refusal with its reason.

Named tuples, not dataclasses: one is made for each event, and they cost a quarter.
"""

from datetime import datetime
from typing import NamedTuple

from app.base.errors import Problem


class Draft(NamedTuple):
    """An event that keeps all rules that can be checked without the database.

    recorded_at: None when the source did not say; its contract decides what that means
    digest: tells a duplicate from a conflict
    data_digest: what the source computed, or empty
    data, extras: JSON text
    unknown_field_count: fields of data and envelope that no contract knows; they are kept
    """

    event_id: str
    source_key: str
    type: str
    stream: str
    entity_key: str
    subject: str | None
    occurred_at: datetime
    recorded_at: datetime | None
    sequence: int
    digest: bytes
    data_digest: str
    data: str
    extras: str | None
    unknown_field_count: int = 0


class Refusal(NamedTuple):
    """An item that breaks a rule.

    event_id, source_key, stream: as far as they can be told, else empty
    reason: one stable word
    item: what came, as text
    """

    event_id: str
    source_key: str
    stream: str
    reason: str
    problems: tuple[Problem, ...]
    item: str
