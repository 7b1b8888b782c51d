"""The background door: loops that drain, sweep, fold, pull and ask, beside the HTTP door or alone.

A loop that meets something unexpected says so, rests and goes on.
"""

import signal
import threading
from collections.abc import Callable
from time import monotonic

from app.access.environments import list_environments
from app.base.clock import now
from app.base.config import Settings
from app.base.facts import WorkerFailed, WorkerStarted, WorkerStopped
from app.base.memory import settle_memory
from app.base.observe import observe
from app.intake.pull import pull_once
from app.ledger.asking import ask_once
from app.ledger.buckets import fold_everywhere
from app.ledger.defects import check_all_books
from app.ledger.history import keep_history
from app.ledger.watch import watch_environments
from app.processing.drain import drain_once
from app.processing.forget import forget_all
from app.processing.queue import start_epoch
from app.processing.sweep import sweep_all
from app.store.engine import Store, close_store, open_store, snapshot, transaction
from app.store.signals import Listener, has_signals

_POLL_S = 0.5
_HEAR_S = 1.0
_SWEEP_S = 60.0
_WATCH_S = 60.0
_FOLD_S = 0.5
_FOLD_BACKLOG = 10_000
_WITNESS_S = 2.0
_PULL_S = 2.0
_FORGET_S = 600.0
_PULLERS = 4  # a source that hangs holds one of them up
_ASK_S = 2.0
_ASKERS = 2  # likewise
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
            threading.Thread(target=self._loop, args=("forget", self._forget), daemon=True),
            threading.Thread(target=self._loop, args=("watch", self._watch), daemon=True),
            threading.Thread(target=self._loop, args=("fold", self._fold), daemon=True),
            threading.Thread(target=self._loop, args=("witness", self._witness), daemon=True),
        ]
        self._threads += [
            threading.Thread(target=self._loop, args=("pull", self._pull), daemon=True)
            for _ in range(_PULLERS)
        ]
        self._threads += [
            threading.Thread(target=self._loop, args=("ask", self._ask), daemon=True)
            for _ in range(_ASKERS)
        ]
        if has_signals(store):
            hears = threading.Thread(target=self._loop, args=("listen", self._listen), daemon=True)
            self._threads.append(hears)

    @property
    def is_running(self) -> bool:
        """Are all loops alive?"""
        return all(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        """Free what a dead worker held, where that is certain, and let the loops run.

        Raises: StoreBusy, StoreFull
        """
        with transaction(self._store) as connection:
            freed_count = start_epoch(connection)
        for thread in self._threads:
            thread.start()
        observe(WorkerStarted(freed_count))

    def stop(self, timeout_s: float = _STOP_S) -> None:
        """Let the loops finish what they are at or give it back, and wait for them."""
        self._stopping.set()
        self._store.wake.set()
        ends_at = monotonic() + timeout_s
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(ends_at - monotonic(), 0))
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
        drained = drain_once(self._store, self._settings, is_stopping=self._stopping.is_set)
        if drained is None and not self._stopping.is_set():
            wake.wait(_POLL_S)

    def _sweep(self) -> None:
        sweep_all(self._store)
        self._stopping.wait(_SWEEP_S)

    def _forget(self) -> None:
        forget_all(self._store, self._settings)
        self._stopping.wait(_FORGET_S)

    def _watch(self) -> None:
        """Look after the books of every environment."""
        with snapshot(self._store) as connection:
            environments = list_environments(connection)
        watch_environments(self._store, [facts.environment_id for facts in environments])
        self._stopping.wait(_WATCH_S)

    def _listen(self) -> None:
        """Wake this process when another one leaves work behind."""
        listener = Listener(self._store)
        try:
            # What came before there was anyone to listen.
            self._store.wake.set()
            while not self._stopping.is_set():
                if listener.hear(_HEAR_S):
                    self._store.wake.set()
        finally:
            listener.close()

    def _fold(self) -> None:
        """Fold the digests of what came and was applied; with a backlog at once again."""
        if fold_everywhere(self._store) < _FOLD_BACKLOG:
            self._stopping.wait(_FOLD_S)

    def _witness(self) -> None:
        """Look whether the books balance, and write down what we say of streams now."""
        check_all_books(self._store, now=now())
        keep_history(self._store, now=now())
        self._stopping.wait(_WITNESS_S)

    def _pull(self) -> None:
        """Take in pages as long as a feed is due; then look again after a while."""
        if not pull_once(self._store, self._settings):
            self._stopping.wait(_PULL_S)

    def _ask(self) -> None:
        """Ask sources what is missing as long as anything differs; then look again later."""
        if not ask_once(self._store, self._settings):
            self._stopping.wait(_ASK_S)


def run_worker(settings: Settings) -> None:
    """Work until the process is told to end (SIGTERM, SIGINT), then finish in order.

    Raises: StoreBusy, StoreFull
    """
    store = open_store(settings.database_url)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    worker = Worker(store, settings)
    settle_memory()
    try:
        worker.start()
        ended.wait()
    finally:
        worker.stop()
        close_store(store)
