"""What a rebuild is about: entities of an environment's journal, found by their keys and events."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select

from app.learning.identity import entity_kind, entity_parts
from app.store.tables import Event
from app.store.tables.columns import table_of

# Where the key of an entity names its module, and where its learner.
_MODULE_AT: Mapping[str, int] = {
    "assignment": 1,
    "module": 0,
    "session": 0,
    "enrolment": 0,
    "feedback": 1,
}
_LEARNER_AT: Mapping[str, int] = {
    "assignment": 0,
    "learner": 0,
    "enrolment": 2,
    "award": 1,
    "feedback": 0,
}


@dataclass(frozen=True, slots=True)
class RebuildScope:
    """Which entities are rebuilt, each from all its events: those that meet all that is said here.

    stream: some event of the entity belongs to this stream
    module_key, learner_key: the entity's key names this one
    from_at, to_at: some event was received from then on, and before then
    """

    stream: str | None = None
    module_key: str | None = None
    learner_key: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None

    @property
    def is_everything(self) -> bool:
        """Is it the whole environment?"""
        return self == RebuildScope()

    @property
    def asks_events(self) -> bool:
        """Do the events of an entity tell whether it is in the scope?"""
        return self.stream is not None or self.from_at is not None or self.to_at is not None

    def overlaps(self, other: "RebuildScope") -> bool:
        """May some entity be in both? Only two learners or two modules surely have none."""
        pairs = (
            (self.module_key, other.module_key),
            (self.learner_key, other.learner_key),
        )
        return not any(a is not None and b is not None and a != b for a, b in pairs)


def list_entities(
    connection: Connection, environment_id: int, *, after: str, limit: int
) -> list[tuple[str, int]]:
    """Give the next entities of the journal by key, each with the number of its events."""
    event = table_of(Event)
    rows = connection.execute(
        select(event.c.entity_key, func.count())
        .where(event.c.environment_id == environment_id, event.c.entity_key > after)
        .group_by(event.c.entity_key)
        .order_by(event.c.entity_key)
        .limit(limit)
    )
    return [(entity_key, count) for entity_key, count in rows]


def choose_entities(
    connection: Connection, environment_id: int, scope: RebuildScope, keys: Sequence[str]
) -> list[str]:
    """Give those of these entities that are in the scope, in their order."""
    named = [key for key in keys if _is_named(key, scope)]
    if not scope.asks_events or not named:
        return named
    event = table_of(Event)
    rows = connection.execute(
        select(event.c.entity_key)
        .distinct()
        .where(
            event.c.environment_id == environment_id,
            event.c.entity_key.in_(named),
            *_event_terms(scope),
        )
    )
    found: Collection[str] = set(rows.scalars())
    return [key for key in named if key in found]


def _event_terms(scope: RebuildScope) -> list[ColumnElement[bool]]:
    event = table_of(Event)
    terms: list[ColumnElement[bool]] = []
    if scope.stream is not None:
        terms.append(event.c.stream == scope.stream)
    if scope.from_at is not None:
        terms.append(event.c.received_at >= scope.from_at)
    if scope.to_at is not None:
        terms.append(event.c.received_at < scope.to_at)
    return terms


def _is_named(entity_key: str, scope: RebuildScope) -> bool:
    for wanted, places in ((scope.module_key, _MODULE_AT), (scope.learner_key, _LEARNER_AT)):
        if wanted is None:
            continue
        place = places.get(entity_kind(entity_key))
        if place is None or entity_parts(entity_key)[place] != wanted:
            return False
    return True
