"""What is played on a copy of the program that has a fault: it raises what the fault breaks."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from random import Random

import app
from tests.incident import tell_incident
from tests.property.queue_world import ENVIRONMENTS, QueueWorld, queue_stage, quick_store

_STEPS = 10
_MOST_CLAIMS = 4
_PICKS = [(pick, is_altered) for pick in range(14) for is_altered in (False, False, True)]


def play_runs(run_count: int, *, rebuilds: bool = False) -> None:
    """The acts of the state machine in runs that chance alone makes, the same ones every time."""
    with quick_store() as store, queue_stage(store) as stage:
        for seed in range(run_count):
            chance = Random(seed)
            world = stage.begin(seed)
            if rebuilds:
                _rebuild(world, chance)
            for _ in range(0 if rebuilds else _STEPS):
                chance.choice(_ACTS)(world, chance)
                world.check()
            world.finish()


def play_incident(run_count: int) -> None:
    """The incident of 2024, small."""
    del run_count
    with quick_store() as store:
        tell_incident(store, key_count=12, version_count=4)


def _rebuild(world: QueueWorld, chance: Random) -> None:
    """Events come while a rebuild is on its way."""
    world.deliver(0, _PICKS[::6])
    world.settle()
    world.ask_rebuild(0)
    for _ in range(2 * _STEPS):
        world.drain()
        if chance.random() < 0.3:
            world.deliver(0, chance.choices(_PICKS, k=2))
        world.check()


def _deliver(world: QueueWorld, chance: Random) -> None:
    world.deliver(_place(chance), chance.choices(_PICKS, k=chance.randint(1, 6)))


def _deliver_again(world: QueueWorld, chance: Random) -> None:
    """A delivery dies, maybe, and is sent again."""
    place, picks = _place(chance), chance.choices(_PICKS, k=4)
    world.deliver(place, picks, dies_at=chance.randint(4, 20))
    world.deliver(place, picks)


def _oversleep(world: QueueWorld, chance: Random) -> None:
    """Events come while a worker sleeps on their entities, maybe beyond his lease."""
    _deliver(world, chance)
    _claim(world, chance)
    _deliver(world, chance)
    world.pass_time(chance.choice([0, 31, -86_400]))
    world.settle()
    _wake(world, chance)


def _let_die(world: QueueWorld, chance: Random) -> None:
    """An entity fails to the last try, while a worker sleeps on others."""
    place = _place(chance)
    world.poison(place, chance.randrange(6))
    world.drain()
    world.deliver(place, chance.choices(_PICKS, k=6))
    _claim(world, chance)
    world.pass_time(3)
    world.settle()


def _claim(world: QueueWorld, _chance: Random) -> None:
    if len(world.claims) < _MOST_CLAIMS:
        world.claim()


def _wake(world: QueueWorld, chance: Random) -> None:
    if world.claims:
        world.wake(chance.randrange(_MOST_CLAIMS))


def _give_back(world: QueueWorld, chance: Random) -> None:
    if world.claims:
        world.give_back(chance.randrange(_MOST_CLAIMS))


def _die_draining(world: QueueWorld, chance: Random) -> None:
    if len(world.claims) < _MOST_CLAIMS:
        world.die_draining(chance.randint(1, 25))


def _place(chance: Random) -> int:
    return chance.randrange(len(ENVIRONMENTS))


_ACTS: tuple[Callable[[QueueWorld, Random], None], ...] = (
    _deliver,
    _deliver,
    _deliver_again,
    _oversleep,
    _oversleep,
    _let_die,
    _claim,
    _wake,
    _give_back,
    _die_draining,
    lambda world, _: world.settle(),
    lambda world, _: world.restart(),
    lambda world, _: world.sweep(),
    lambda world, chance: world.lose_mark(_place(chance)),
    lambda world, chance: world.cure(_place(chance)),
    lambda world, chance: world.pass_time(chance.choice([31, 400, 86_400])),
)

_STORIES: Mapping[str, Callable[[int], None]] = {
    "acts": play_runs,
    "rebuild": partial(play_runs, rebuilds=True),
    "incident": play_incident,
}


def play_story(name: str, copy: Path, run_count: int) -> None:
    """Play a story on this copy.

    Raises: whatever the fault breaks
    """
    assert Path(str(app.__file__)).is_relative_to(copy), f"{app.__file__} is not the copy"
    logging.disable(logging.CRITICAL)
    _STORIES[name](run_count)
