"""Laws of evidence: an interval matches if and only if the declared set is the applied set.

Whatever the order, the batching, the repetition and the sharding of events and manifests; and the
sums that are kept say what the journal says.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import select

from app.base.config import Settings
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.learning.contracts import Contract
from app.learning.elements import read_sum
from app.ledger.buckets import fold_buckets
from app.ledger.manifests import Declaration, declare_intervals
from app.processing.drain import drain_all, drain_once
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Bucket, BucketDelta, BucketSum, Defect, Event, StreamState
from app.store.tables.columns import table_of
from tests.builders import an_environment, an_event
from tests.declared import BUCKET, element_of, spell, sum_of

_NAMES = count(1)
_TEN = datetime(2025, 5, 24, 10, tzinfo=UTC)
_LATER = datetime(2025, 5, 25, tzinfo=UTC)
_EVENTS = 12
_BUCKETS = 4
_SHARDS = ("a", "b")
_COUNTED = (1, 2, 5)

_INDEX = st.integers(0, _EVENTS - 1)
_SET = st.frozensets(_INDEX)
_STEP = st.one_of(
    st.tuples(st.just("send"), st.lists(_INDEX, min_size=1, max_size=6)),
    st.tuples(st.just("declare"), st.integers(0, _BUCKETS - 1), st.sampled_from(_SHARDS)),
    st.tuples(st.sampled_from(["work", "fold"])),
)


class _World:
    """One environment whose source made some of twelve events, of which some are ever sent."""

    def __init__(self, store: Store, settings: Settings, made: frozenset[int]) -> None:
        self.store, self.settings, self.made = store, settings, made
        self.name = f"env{next(_NAMES)}"
        self.environment_id = an_environment(store, self.name)
        contract = Contract(from_at=_TEN, shards=_SHARDS)
        with transaction(store) as connection:
            self.secret = add_source(
                connection, self.environment_id, source_key="lms", contract=contract
            ).secret
        self.events = [_spell(number) for number in range(_EVENTS)]

    def step(self, step: tuple[Any, ...], *, sent: frozenset[int]) -> None:
        """Do one step; only events of `sent` are ever sent."""
        if step[0] == "send":
            self.send([index for index in step[1] if index in sent])
        elif step[0] == "declare":
            self.declare([(step[1], step[2])])
        elif step[0] == "work":
            drain_once(self.store, self.settings)
        else:
            with transaction(self.store) as connection:
                fold_buckets(connection, self.environment_id, now=_LATER)

    def send(self, indexes: Sequence[int]) -> None:
        """Deliver events, known or not."""
        items = [self.events[index] for index in indexes]
        accept_items(self.store, self.settings, environment_id=self.environment_id, items=items)

    def declare(self, parts: Sequence[tuple[int, str]]) -> list[Any]:
        """Declare shards of buckets: even events are of the one, odd ones of the other."""
        told = []
        for number, shard in parts:
            own = [
                self.events[index]
                for index in sorted(self.made)
                if index % _BUCKETS == number and _shard_of(index) == shard
            ]
            begins = _TEN + number * BUCKET
            told.append(
                Declaration(
                    source="lms",
                    stream="quest",
                    from_at=begins,
                    to_at=begins + BUCKET,
                    count=len(own),
                    anchor="record",
                    alg="hmac-sha256/sum256",
                    shard=shard,
                    key_id="k1",
                    sum=read_sum(sum_of(self.secret, own, environment=self.name)),
                )
            )
        with transaction(self.store) as connection:
            return declare_intervals(connection, self.environment_id, told, now=_LATER)

    def rows(self, model: Any) -> list[Any]:
        """All rows of a table."""
        table = table_of(model)
        with snapshot(self.store) as connection:
            return list(
                connection.execute(
                    select(table)
                    .where(table.c.environment_id == self.environment_id)
                    .order_by(*table.primary_key.columns)
                )
            )

    def applied(self) -> set[int]:
        """The events that are applied, by the journal."""
        return {int(row.event_id[1:]) for row in self.rows(Event) if row.disposition in _COUNTED}

    def check(self) -> None:
        """What may never be otherwise, at any moment."""
        self._check_sums()
        applied, late = self.applied(), {row.slot_at for row in self.rows(BucketDelta)}
        for bucket in self.rows(Bucket):
            number = (bucket.from_at - _TEN) // BUCKET
            own = {index for index in applied if index % _BUCKETS == number}
            made = {index for index in self.made if index % _BUCKETS == number}
            if bucket.from_at in late:
                continue
            assert bucket.applied == len(own)
            assert bucket.state != "matched" or own == made
            if bucket.declared is not None:
                assert (bucket.state == "matched") == (own == made)
        for state in self.rows(StreamState):
            self._check_frontier(state)

    def _check_frontier(self, state: Any) -> None:
        buckets = {row.from_at: row for row in self.rows(Bucket)}
        reached, matched = _TEN, None
        while reached in buckets and buckets[reached].declared is not None:
            if matched is None and buckets[reached].state != "matched":
                matched = reached
            reached += BUCKET
        matched = reached if matched is None else matched
        assert state.declared_through == (reached if reached > _TEN else None)
        assert state.matched_through == (matched if matched > _TEN else None)
        assert state.missing == sum(row.missing for row in buckets.values())
        assert state.surplus == sum(row.surplus for row in buckets.values())
        assert state.declared == sum(row.declared or 0 for row in buckets.values())

    def _check_sums(self) -> None:
        """Folded sums and deltas together are the journal's, slot by slot."""
        kept: dict[datetime, list[int]] = {}
        for row in (*self.rows(BucketSum), *self.rows(BucketDelta)):
            told = kept.setdefault(row.slot_at, [0, 0, 0, 0])
            told[0] += row.accepted
            told[1] += int.from_bytes(row.accepted_sum, "big")
            told[2] += row.applied
            told[3] += int.from_bytes(row.applied_sum, "big")
        found: dict[datetime, list[int]] = {}
        for row in self.rows(Event):
            event = self.events[int(row.event_id[1:])]
            element = element_of(self.secret, event, environment=self.name)
            number = (row.recorded_at - _TEN) // BUCKET
            told = found.setdefault(_TEN + number * BUCKET, [0, 0, 0, 0])
            is_applied = row.disposition in _COUNTED
            told[0] += 1
            told[1] += element
            told[2] += is_applied
            told[3] += element * is_applied
        assert {at: _wrap(told) for at, told in kept.items()} == {
            at: _wrap(told) for at, told in found.items()
        }


def _wrap(told: list[int]) -> tuple[int, str, int, str]:
    return told[0], spell(told[1]), told[2], spell(told[3])


def _shard_of(index: int) -> str:
    return _SHARDS[index // _BUCKETS % 2]


def _spell(number: int) -> dict[str, Any]:
    """An event in the bucket of its number; about three assignments, so that some supersede."""
    moment = _TEN + number % _BUCKETS * BUCKET + timedelta(seconds=number)
    data = {"learner": f"u{number % 3}", "module": "m1", "module_type": "quest", "percent": number}
    at = moment.isoformat()
    return an_event(id=f"e{number}", time=at, recordedtime=at, data=data)


@pytest.mark.usefixtures("store")
@examples(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(made=_SET, sent=_SET, steps=st.lists(_STEP, max_size=10), order=st.randoms())
def test_an_interval_matches_if_and_only_if_the_declared_set_is_the_applied_set(
    store: Store,
    settings: Settings,
    made: frozenset[int],
    sent: frozenset[int],
    steps: Sequence[Any],
    order: Any,
) -> None:
    world = _World(store, settings, made)
    for step in steps:
        world.step(step, sent=sent)
        world.check()
    world.send(order.sample(sorted(sent), len(sent)))
    drain_all(store, settings)
    parts = [(number, shard) for number in range(_BUCKETS) for shard in _SHARDS]
    order.shuffle(parts)
    # All but one bucket at first, so that the frontiers meet a gap.
    some = [part for part in parts if part[0] != parts[0][0]]
    first = world.declare(some)
    world.check()
    world.declare(parts)
    again = world.declare(some)
    assert [told["manifest_id"] for told in again] == [told["manifest_id"] for told in first]
    world.check()
    assert world.rows(BucketDelta) == []
    assert world.applied() == set(sent)
    unmatched = {
        number
        for number in range(_BUCKETS)
        if {i for i in made if i % _BUCKETS == number}
        != {i for i in sent if i % _BUCKETS == number}
    }
    buckets = world.rows(Bucket)
    assert len(buckets) == _BUCKETS
    assert {n for n, row in enumerate(buckets) if row.state != "matched"} == unmatched
    open_defects = [row for row in world.rows(Defect) if row.resolved_at is None]
    assert {(row.from_at - _TEN) // BUCKET for row in open_defects} == unmatched
    (state,) = world.rows(StreamState)
    assert state.declared_through == _TEN + _BUCKETS * BUCKET
