"""The state machine of the queue: any acts in any order, the laws after each of them."""

import sys
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.property.queue_world import ENVIRONMENTS, QueueWorld, Stage

_Picks = Sequence[tuple[int, bool]]
"""places of events in the universe, each with whether its content is altered"""

_PLACES = st.integers(0, len(ENVIRONMENTS) - 1)
_PICKS = st.lists(
    st.tuples(st.integers(0, 13), st.sampled_from([False, False, False, True])),
    min_size=1,
    max_size=6,
)
_MOMENTS = st.integers(1, 25)
_REBUILDS = 7
_LONG_S = 400
_SPANS_S = st.sampled_from([1, 31, _LONG_S, 86_400, -86_400])
_MOST_CLAIMS = 4


class QueueMachine(RuleBasedStateMachine):
    """One run; what it does is drawn by Hypothesis."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.world: QueueWorld

    @initialize(seed=st.integers(0, 9_999), chance=st.integers(0, 24))
    def begin(self, seed: int, chance: int) -> None:
        """Some runs rebuild; that takes longer than all the rest."""
        self.world = self.stage.begin(seed)
        self.rebuilds = chance == _REBUILDS
        self.is_asked = False

    @rule(place=_PLACES, picks=_PICKS)
    def deliver(self, place: int, picks: _Picks) -> None:
        self.world.deliver(place, picks)

    @rule(place=_PLACES, picks=_PICKS, moment=_MOMENTS)
    def die_delivering(self, place: int, picks: _Picks, moment: int) -> None:
        self.world.deliver(place, picks, dies_at=moment)

    @precondition(lambda self: len(self.world.claims) < _MOST_CLAIMS)
    @rule()
    def claim(self) -> None:
        self.world.claim()

    @precondition(lambda self: self.world.claims)
    @rule(place=st.integers(0, _MOST_CLAIMS))
    def wake(self, place: int) -> None:
        self.world.wake(place)

    @precondition(lambda self: len(self.world.claims) < _MOST_CLAIMS)
    @rule(place=_PLACES, picks=_PICKS, more=_PICKS, seconds=st.sampled_from([0, 31, -86_400]))
    def oversleep(self, place: int, picks: _Picks, more: _Picks, seconds: int) -> None:
        """Events come while a worker sleeps on their entities, maybe beyond his lease."""
        self.world.deliver(place, picks)
        self.world.claim()
        self.world.deliver(place, more)
        self.world.pass_time(seconds)
        self.world.settle()
        if self.world.claims:
            self.world.wake(len(self.world.claims) - 1)

    @rule()
    def drain(self) -> None:
        self.world.drain()

    @precondition(lambda self: len(self.world.claims) < _MOST_CLAIMS)
    @rule(moment=_MOMENTS)
    def die_draining(self, moment: int) -> None:
        self.world.die_draining(moment)

    @rule()
    def settle(self) -> None:
        self.world.settle()

    @precondition(lambda self: self.world.claims)
    @rule(place=st.integers(0, _MOST_CLAIMS))
    def give_back(self, place: int) -> None:
        self.world.give_back(place)

    @rule()
    def restart(self) -> None:
        self.world.restart()

    @rule(seconds=_SPANS_S)
    def pass_time(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    @rule()
    def sweep(self) -> None:
        self.world.sweep()

    @rule(place=_PLACES)
    def lose_mark(self, place: int) -> None:
        self.world.lose_mark(place)

    @rule(place=_PLACES, pick=st.integers(0, 5))
    def poison(self, place: int, pick: int) -> None:
        self.world.poison(place, pick)
        self.world.drain()

    @precondition(lambda self: len(self.world.claims) < _MOST_CLAIMS)
    @rule(place=_PLACES, pick=st.integers(0, 5), picks=_PICKS)
    def let_die(self, place: int, pick: int, picks: _Picks) -> None:
        """An entity fails to the last try, while a worker sleeps on others."""
        self.world.poison(place, pick)
        self.world.drain()
        self.world.deliver(place, picks)
        self.world.claim()
        self.world.pass_time(3)
        self.world.settle()

    @rule(place=_PLACES)
    def cure(self, place: int) -> None:
        self.world.cure(place)

    @precondition(lambda self: self.rebuilds and not self.is_asked)
    @rule(place=_PLACES)
    def ask_rebuild(self, place: int) -> None:
        self.is_asked = True
        self.world.ask_rebuild(place)

    @invariant()
    def check(self) -> None:
        self.stage.figures.steps += 1
        self.world.check()

    def teardown(self) -> None:
        """Come to an end, unless this run has ended already."""
        if sys.exc_info()[1] is None:
            self.world.finish()
            if self.rebuilds:
                self.world.check_rebuild(0)


def run_machine(stage: Stage, run_count: int, **more: Any) -> None:
    """Let the machine run so often; each run is short, so that many are.

    Raises: AssertionError, when a law is broken
    """

    def play() -> QueueMachine:
        return QueueMachine(stage)

    machine: Any = play
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=run_count,
            stateful_step_count=10,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            **more,
        ),
    )
