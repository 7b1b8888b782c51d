"""Leases are kept while a quantum runs, from a thread beside it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.base.clock import now
from app.base.errors import AppError
from app.base.facts import LeasesRenewed
from app.base.observe import observe
from app.processing.queue import Claim, renew_leases
from app.store.engine import Store, fleeting_transaction

RENEWAL_S = 10.0


@contextmanager
def renewed_leases(store: Store, claim: Claim) -> Iterator[None]:
    """Renew the leases of a claim every 10 s, until its work is done."""
    ended = threading.Event()
    thread = threading.Thread(target=_renew, args=(store, claim, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _renew(store: Store, claim: Claim, ended: threading.Event) -> None:
    while not ended.wait(RENEWAL_S):
        try:
            with fleeting_transaction(store) as connection:
                held_count = renew_leases(connection, claim, now=now())
        except AppError:
            continue  # tried again in time; should that fail too, another worker takes over
        observe(LeasesRenewed(claim.environment_id, held_count))
