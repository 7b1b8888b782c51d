"""The background door: loops that drain, sweep and pull, beside the HTTP door or alone.

A loop that meets something unexpected says so, rests and goes on.
"""

import signal
import threading
from collections.abc import Callable

from app.base.config import Settings
from app.base.observe import WorkerFailed, WorkerStarted, WorkerStopped, observe
from app.intake.pull import pull_once
from app.processing.drain import drain_once
from app.processing.queue import free_leases
from app.processing.sweep import sweep_all
from app.store.engine import Store, close_store, open_store, transaction

_POLL_S = 0.5
_SWEEP_S = 60.0
_PULL_S = 2.0
_PULLERS = 4  # a source that hangs holds one of them up
_REST_S = 1.0
_STOP_S = 20.0
_ERROR_LENGTH = 300


class Worker:
    """The loops of one process; made once, started once, stopped once."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._loop, args=("drain", self._drain), daemon=True),
            threading.Thread(target=self._loop, args=("sweep", self._sweep), daemon=True),
        ]
        self._threads += [
            threading.Thread(target=self._loop, args=("pull", self._pull), daemon=True)
            for _ in range(_PULLERS)
        ]

    @property
    def is_running(self) -> bool:
        """Are all loops alive?"""
        return all(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        """Free what a dead worker held, and let the loops run.

        Raises: StoreBusy, StoreFull
        """
        with transaction(self._store) as connection:
            freed_count = free_leases(connection)
        for thread in self._threads:
            thread.start()
        observe(WorkerStarted(freed_count))

    def stop(self, timeout_s: float = _STOP_S) -> None:
        """Let the loops finish what they are at, and wait for them."""
        self._stopping.set()
        self._store.wake.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout_s)
        observe(WorkerStopped())

    def _loop(self, name: str, step: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                step()
            except Exception as error:
                words = f"{type(error).__name__}: {error}"[:_ERROR_LENGTH]
                observe(WorkerFailed(name, words))
                self._stopping.wait(_REST_S)

    def _drain(self) -> None:
        """Work as long as there is any; then wait to be woken, or look again after a while."""
        wake = self._store.wake
        wake.clear()
        if drain_once(self._store, self._settings) is None:
            wake.wait(_POLL_S)

    def _sweep(self) -> None:
        sweep_all(self._store)
        self._stopping.wait(_SWEEP_S)

    def _pull(self) -> None:
        """Take in pages as long as a feed is due; then look again after a while."""
        if not pull_once(self._store, self._settings):
            self._stopping.wait(_PULL_S)


def run_worker(settings: Settings) -> None:
    """Work until the process is told to end (SIGTERM, SIGINT), then finish in order.

    Raises: StoreBusy, StoreFull
    """
    store = open_store(settings.database_url)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    worker = Worker(store, settings)
    try:
        worker.start()
        ended.wait()
    finally:
        worker.stop()
        close_store(store)
