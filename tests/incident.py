"""The incident of 2024: environments with the same entities, all busy at once, and updates missing.

Each sends many versions of every entity, in no order and some twice; versions differ between the
environments, so that whatever is missing, stale, suppressed or another's is seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from sqlalchemy import Connection, func, select

from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.ledger.watch import recount_environment
from app.processing.drain import drain_all, drain_once
from app.processing.sweep import sweep_all
from app.store.alarms import list_open_alarms
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Event, Progress
from app.store.tables.columns import table_of
from app.store.tables.journal import APPLIED, SUPERSEDED
from tests.builders import an_environment, an_event, some_settings

ENVIRONMENT_COUNT = 8
_BATCH = 250
_REPEATED = 10


@dataclass(frozen=True, slots=True)
class Told:
    """How much of it there was."""

    environments: int
    entities: int
    events: int
    repeated: int
    quanta: int


def tell_incident(store: Store, *, key_count: int, version_count: int, seed: int = 2024) -> Told:
    """Let all of it happen, and check that every environment has its own newest versions.

    Raises: AssertionError, when anything is missing, stale, suppressed or another's
    """
    chance, settings = Random(seed), some_settings()
    numbers = [_open(store, f"tenant{n}") for n in range(ENVIRONMENT_COUNT)]
    deliveries = _interleave(chance, numbers, key_count=key_count, version_count=version_count)
    repeated = quanta = 0
    for number, items in deliveries:
        receipt = accept_items(store, settings, environment_id=number, items=items)
        assert receipt.conflict == receipt.rejected == 0, "I4: another's event with the same id"
        repeated += receipt.duplicate
        quanta += drain_once(store, settings) is not None if chance.random() < 0.5 else 0
    found = sweep_all(store)
    assert found == 0, f"I6: the sweeper had to repair {found} entities"
    drain_all(store, settings)
    for place, number in enumerate(numbers):
        _check_one(store, number, place, key_count=key_count, version_count=version_count)
    return Told(
        ENVIRONMENT_COUNT,
        ENVIRONMENT_COUNT * key_count,
        ENVIRONMENT_COUNT * key_count * version_count,
        repeated=repeated,
        quanta=quanta,
    )


def percent_of(place: int, key: int, version: int) -> int:
    """What a version says: more than the one before, and other than in other environments."""
    return (place * 5 + key * 7) % 40 + version * 3


def _open(store: Store, name: str) -> int:
    number = an_environment(store, name)
    with transaction(store) as connection:
        add_source(connection, number, source_key="lms")
    return number


def _interleave(
    chance: Random, numbers: Sequence[int], *, key_count: int, version_count: int
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Deliveries of all environments, in turn by chance; now and then one comes twice."""
    waiting: list[tuple[int, list[dict[str, Any]]]] = []
    for place, number in enumerate(numbers):
        items = [
            _spell_version(place, key, version)
            for version in range(version_count)
            for key in range(key_count)
        ]
        chance.shuffle(items)
        waiting += [(number, items[i : i + _BATCH]) for i in range(0, len(items), _BATCH)]
    chance.shuffle(waiting)
    for count, delivery in enumerate(waiting):
        yield delivery
        if count % _REPEATED == 0:
            yield delivery


def _spell_version(place: int, key: int, version: int) -> dict[str, Any]:
    data = {"learner": f"u{key}", "module": "m1", "module_type": "quest"}
    return an_event(
        version,
        id=f"k{key}v{version}",
        data={**data, "percent": percent_of(place, key, version)},
    )


def _check_one(
    store: Store, number: int, place: int, *, key_count: int, version_count: int
) -> None:
    with snapshot(store) as connection:
        fates = _count_fates(connection, number)
        rows = _read_progress(connection, number)
    sent = key_count * version_count
    assert sum(fates.values()) == sent, f"{number}: {sum(fates.values())} of {sent} events"
    settled = fates.get(APPLIED, 0) + fates.get(SUPERSEDED, 0)
    assert settled == sent, f"I1: {sent - settled} events of {number} were never applied"
    newest = {
        f"u{key}": (percent_of(place, key, version_count - 1), version_count)
        for key in range(key_count)
    }
    assert rows == newest, f"I3: {number} is stale or holds what is another's"
    faults = recount_environment(store, number)
    assert not faults, f"I5: {faults}"
    with snapshot(store) as connection:
        assert not list_open_alarms(connection, number), "an alarm rings"


def _count_fates(connection: Connection, number: int) -> dict[int, int]:
    event = table_of(Event)
    rows = connection.execute(
        select(event.c.disposition, func.count())
        .where(event.c.environment_id == number)
        .group_by(event.c.disposition)
    )
    return {row[0]: row[1] for row in rows}


def _read_progress(connection: Connection, number: int) -> dict[str, tuple[int, int]]:
    progress = table_of(Progress)
    columns = progress.c.learner_key, progress.c.percent_complete, progress.c.events_count
    rows = connection.execute(select(*columns).where(progress.c.environment_id == number))
    return {learner: (int(percent or 0), count) for learner, percent, count in rows}
