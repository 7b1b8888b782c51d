"""Eight environments with the same entities, all busy at once: each has its own newest versions.

FULLCOUNT_TEST_KEYS asks for more entities on PostgreSQL; figures are printed with `-s`.
"""

import os

from app.store.engine import Store
from tests.incident import ENVIRONMENT_COUNT, tell_incident
from tests.property.queue_world import quick_store

KEYS, VERSIONS = 200, 20
_FEWER_KEYS = int(os.environ.get("FULLCOUNT_TEST_KEYS", "25"))


def test_nothing_is_missing_stale_or_suppressed_where_all_names_are_shared(store: Store) -> None:
    if store.dialect_name == "sqlite":
        with quick_store() as quick:
            told = tell_incident(quick, key_count=KEYS, version_count=VERSIONS)
    else:
        told = tell_incident(store, key_count=_FEWER_KEYS, version_count=VERSIONS)
    print(f"\n{store.dialect_name}: {told}")  # noqa: T201  (docs/reliability.md, by `pytest -s`)
    assert told.environments == ENVIRONMENT_COUNT
    assert told.repeated > 0
    assert told.quanta > ENVIRONMENT_COUNT
