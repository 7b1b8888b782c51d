"""Lives of processes that are made to be killed: a door that takes events in, and workers.

Children of a server of forks that has the program loaded: a life begins within milliseconds. A door
tells what it acknowledged, after it did.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from random import Random
from typing import Any

from app.intake.accept import accept_items
from app.store.engine import open_store
from app.worker import Worker, run_worker
from tests.builders import an_event, some_settings

BATCH = 10
ENTITIES = 7
_PATIENCE_S = 60.0
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__, "pytest", "psycopg"])


def a_batch(number: int) -> list[dict[str, Any]]:
    """Events of a few learners; every batch touches the entities of the ones before."""
    first = number * BATCH
    data = {"module": "m1", "module_type": "quest"}
    return [
        an_event(
            n % 1000,
            id=f"e{n}",
            data={**data, "learner": f"u{n % ENTITIES}", "percent": n % 100},
        )
        for n in range(first, first + BATCH)
    ]


def send_batches(
    database_url: str, environment_ids: Sequence[int], start: int, told: Connection
) -> None:
    """Take batch after batch in, each for every environment, and tell the number of each."""
    store, settings, number = open_store(database_url), some_settings(), start
    while True:
        for environment_id in environment_ids:
            items = a_batch(number)
            accept_items(store, settings, environment_id=environment_id, items=items)
        told.send(number)
        number += 1


def send_and_work(
    database_url: str, environment_ids: Sequence[int], start: int, told: Connection
) -> None:
    """A door with a worker inside, as `fullcount serve` has."""
    worker = Worker(open_store(database_url), some_settings(database_url=database_url))
    worker.start()
    send_batches(database_url, environment_ids, start, told)


def work(database_url: str) -> None:
    """What `fullcount work` does."""
    run_worker(some_settings(database_url=database_url))


@dataclass(slots=True)
class Lives:
    """The processes that are alive, and how many were killed.

    unsent: the first batch that was not acknowledged
    """

    database_url: str
    environment_ids: Sequence[int]
    unsent: int = 0
    kill_count: int = 0
    alive: list[Any] = field(default_factory=list)

    def begin(self, target: Callable[..., None], *arguments: Any) -> Any:
        """Start a process."""
        life = _FORKS.Process(target=target, args=(self.database_url, *arguments), daemon=True)
        life.start()
        self.alive.append(life)
        return life

    def begin_door(self, target: Callable[..., None]) -> tuple[Any, Connection]:
        """Start a door that goes on with the first batch that was not acknowledged."""
        listener, told = _FORKS.Pipe(duplex=False)
        life = self.begin(target, self.environment_ids, self.unsent, told)
        told.close()
        return life, listener

    def hear(self, listener: Connection, count: int) -> None:
        """Wait for so many acknowledgements."""
        for _ in range(count):
            assert listener.poll(_PATIENCE_S), "nothing was acknowledged"
            self.unsent = listener.recv() + 1

    def hear_all(self, listener: Connection) -> None:
        """Hear what a door said before its death."""
        try:
            while True:
                self.hear(listener, 1)
        except EOFError:
            listener.close()

    def kill(self, life: Any, chance: Random) -> None:
        """SIGKILL, at any moment of a few milliseconds."""
        life.join(chance.uniform(0, 0.02))
        assert life.is_alive(), "it had died before"
        os.kill(life.pid, signal.SIGKILL)
        life.join(_PATIENCE_S)
        assert life.exitcode == -signal.SIGKILL
        self.alive.remove(life)
        self.kill_count += 1

    def end(self) -> None:
        """Let what is alive end in order."""
        for life in self.alive:
            life.terminate()
        for life in self.alive:
            life.join(_PATIENCE_S)
