"""Laws of the journal: nothing accepted is lost or counts twice; order and batching are nothing.

Any interleaving of deliveries, repetitions, rounds of work, dead workers and sweeps, in two
environments that share all ids.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import func, select

from app.base.clock import now
from app.base.config import Settings
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.ledger.books import recount_books
from app.processing.drain import drain_all, drain_once
from app.processing.queue import claim_turn, free_leases
from app.processing.sweep import find_uncovered, sweep_all
from app.store.engine import Store, snapshot, transaction
from app.store.tables import (
    Attempt,
    Environment,
    Event,
    Learner,
    Membership,
    Module,
    Progress,
    Team,
)
from app.store.tables.columns import table_of
from tests.builders import an_environment, an_event

_NAMES = count(1)
_OWN = {
    "environment_id", "assignment_id", "attempt_id", "learner_id", "module_id", "membership_id",
    "team_id", "revision", "changed_at",
}  # fmt: skip
_COUNTED = (Progress, Learner, Module, Team)


def _assignment(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"learner": st.sampled_from("ab"), "module": st.sampled_from("mn"), **more}
    )


def _work(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return _assignment(module_type=st.sampled_from(["quest", "course"]), **more)


_PERCENT = st.integers(0, 100)
_SCORES = {"score": _PERCENT, "passed": st.booleans()}
_DATA = {
    "progress.started": _work(),
    "progress.advanced": _work(percent=_PERCENT),
    "progress.completed": _work(**_SCORES),
    "progress.failed": _work(**_SCORES),
    "progress.reset": _work(),
    "attempt.submitted": _work(attempt=st.integers(1, 2), score=_PERCENT),
    "attempt.graded": _work(attempt=st.integers(1, 2), **_SCORES),
    "attempt.voided": _work(attempt=st.integers(1, 2)),
    "assignment.made": _assignment(mandatory=st.booleans()),
    "assignment.ended": _assignment(end_reason=st.just("removed")),
    "learner.upserted": st.fixed_dictionaries(
        {"learner": st.sampled_from("ab")}, optional={"country": st.sampled_from(["AT", None])}
    ),
    "membership.set": st.fixed_dictionaries(
        {"learner": st.sampled_from("ab"), "team": st.sampled_from("tu")}
    ),
    "membership.ended": st.fixed_dictionaries(
        {"learner": st.sampled_from("ab"), "team": st.sampled_from("tu")}
    ),
    "module.upserted": st.fixed_dictionaries(
        {
            "module": st.sampled_from("mn"),
            "module_type": st.sampled_from(["quest", "course"]),
            "name": st.sampled_from(["Knots", "Sails"]),
        }
    ),
    "event.voided": _assignment(
        stream=st.just("quest"), event_id=st.sampled_from([f"e{n}" for n in range(12)])
    ),
}
_EVENT = st.sampled_from(sorted(_DATA)).flatmap(
    lambda kind: st.tuples(st.just(kind), _DATA[kind], st.integers(0, 5))
)
_EVENTS = st.lists(_EVENT, min_size=1, max_size=12)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([0, 1]), st.lists(st.integers(0, 11), min_size=1, max_size=6)),
        st.sampled_from(["work", "die", "sweep"]),
    ),
    max_size=12,
)


def _spell(told: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        an_event(minute, id=f"e{number}", type=kind, data=data)
        for number, (kind, data, minute) in enumerate(told)
    ]


def _environment(store: Store) -> int:
    environment_id = an_environment(store, f"env{next(_NAMES)}")
    with transaction(store) as connection:
        add_source(connection, environment_id, source_key="lms")
    return environment_id


def _live(store: Store, environment_id: int) -> list[list[dict[str, Any]]]:
    """All projections, without what is ours alone."""
    with snapshot(store) as connection:
        tables = [table_of(model) for model in (*_COUNTED, Attempt, Membership)]
        found = [
            connection.execute(
                select(table).where(
                    table.c.environment_id == environment_id, table.c.is_deleted.is_(False)
                )
            ).mappings()
            for table in tables
        ]
        rows = [[{k: v for k, v in row.items() if k not in _OWN} for row in part] for part in found]
    return [sorted(part, key=repr) for part in rows]


def _settled(store: Store, environment_id: int) -> dict[str, tuple[int, str | None]]:
    """What became of each event: its disposition and the name of its winner."""
    event = table_of(Event)
    with snapshot(store) as connection:
        rows = connection.execute(
            select(event).where(event.c.environment_id == environment_id)
        ).all()
    names = {row.seq: row.event_id for row in rows}
    return {row.event_id: (row.disposition, names.get(row.winner_seq)) for row in rows}


def _check_laws(store: Store, environment_id: int) -> None:
    event, environment = table_of(Event), table_of(Environment)
    with snapshot(store) as connection:
        assert recount_books(connection, environment_id) == []
        assert find_uncovered(connection, environment_id) == {}
        seqs = connection.execute(
            select(func.count(), func.coalesce(func.max(event.c.seq), 0)).where(
                event.c.environment_id == environment_id
            )
        ).one()
        last_seq = connection.execute(
            select(environment.c.last_seq).where(environment.c.environment_id == environment_id)
        ).scalar_one()
    assert tuple(seqs) == (last_seq, last_seq)


def _count_folded(store: Store, environment_id: int) -> int:
    total = 0
    with snapshot(store) as connection:
        for model in _COUNTED:
            table = table_of(model)
            total += connection.execute(
                select(func.coalesce(func.sum(table.c.events_count), 0)).where(
                    table.c.environment_id == environment_id
                )
            ).scalar_one()
    return total


@pytest.mark.usefixtures("store")
@examples(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(told=_EVENTS, steps=_STEPS)
def test_whatever_happens_on_the_way_the_outcome_is_the_fold_of_the_set(
    store: Store, settings: Settings, told: Sequence[Any], steps: Sequence[Any]
) -> None:
    events = _spell(told)
    numbers = [_environment(store), _environment(store)]
    sent: list[Counter[str]] = [Counter(), Counter()]
    for step in steps:
        if step == "work":
            drain_once(store, settings)
        elif step == "die":
            with transaction(store) as connection:
                claim_turn(connection, now=now())
                free_leases(connection)
        elif step == "sweep":
            assert sweep_all(store) == 0
        else:
            part = [events[index % len(events)] for index in step[1]]
            accept_items(store, settings, environment_id=numbers[step[0]], items=part)
            sent[step[0]].update(event["id"] for event in part)
        for number in numbers:
            _check_laws(store, number)
    for number, ids in zip(numbers, sent, strict=True):
        rest = [event for event in events if event["id"] not in ids]
        receipt = accept_items(store, settings, environment_id=number, items=rest)
        assert receipt.accepted == len(rest)
    drain_all(store, settings)
    reference = _environment(store)
    accept_items(store, settings, environment_id=reference, items=events)
    drain_all(store, settings)
    for number in numbers:
        _check_laws(store, number)
        assert _live(store, number) == _live(store, reference)
        assert _settled(store, number) == _settled(store, reference)
        assert _count_folded(store, number) == len(events)
        assert all(disposition in (1, 2) for disposition, _ in _settled(store, number).values())
