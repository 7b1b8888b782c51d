"""Exactly once, whatever happens: runs of the state machine over the queue, on each database.

FULLCOUNT_TEST_RUNS asks for more of them; figures are printed with `-s`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from time import process_time

import pytest

from app.store.engine import Store, close_store, open_store
from tests.builders import a_database
from tests.property.queue_machine import run_machine
from tests.property.queue_world import queue_stage, quick_store

RUNS = int(os.environ.get("FULLCOUNT_TEST_RUNS", "500"))
DATABASES = os.environ.get("FULLCOUNT_TEST_DATABASES", "sqlite,postgresql").split(",")
# There a statement takes ten times as long; what differs between the databases is seen soon.
_SHARE = {"sqlite": 1, "postgresql": 12}


@contextmanager
def _opened(request: pytest.FixtureRequest, kind: str) -> Iterator[Store]:
    if kind == "sqlite":
        with quick_store() as store:
            yield store
        return
    server, template = (
        request.getfixturevalue(name) for name in ("postgres_url", "postgres_template")
    )
    with a_database(server, template=template) as url:
        store = open_store(url)
        yield store
        close_store(store)


@pytest.mark.parametrize("kind", DATABASES)
def test_no_act_in_any_order_breaks_a_law(request: pytest.FixtureRequest, kind: str) -> None:
    started = process_time()
    with _opened(request, kind) as store, queue_stage(store) as stage:
        run_machine(stage, max(RUNS // _SHARE[kind], 1))
    print(  # noqa: T201  (the figures of docs/reliability.md, shown by `pytest -s`)
        f"\n{kind}: {stage.figures}, 0 violations; {process_time() - started:.0f} s of CPU"
    )
    assert stage.figures.steps > stage.figures.runs
    assert stage.figures.quanta > stage.figures.runs
