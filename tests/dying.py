"""Death at a chosen moment of the store's life: at a statement, before a commit, or just after one.

What dies is an act in this process; what the database has then is what a killed process leaves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import event

from app.store.engine import Store


class Died(BaseException):
    """No handler of errors stops it, as none stops SIGKILL."""


@dataclass(slots=True)
class Death:
    """What came of it.

    moments: those that were lived through, the last one included
    """

    is_dead: bool = False
    moments: int = 0


@contextmanager
def dying(store: Store, moment: int | None) -> Iterator[Death]:
    """Die at the n-th statement or commit within; at none, when all is over before or it is None.

    A death at a commit comes before it, so whatever dies leaves nothing of its transaction.
    """
    death = Death()

    def live(*_: Any) -> None:
        death.moments += 1
        if death.moments == moment:
            raise Died

    for name in ("before_cursor_execute", "commit"):
        event.listen(store.engine, name, live)
    try:
        yield death
    except Died:
        death.is_dead = True
    finally:
        for name in ("before_cursor_execute", "commit"):
            event.remove(store.engine, name, live)


@contextmanager
def dying_at_commit(store: Store, number: int | None, *, after: bool) -> Iterator[Death]:
    """Die at the n-th commit within: before it reaches the database, or after and before anyone
    hears of it. Counts all commits where it is None.
    """
    death, dialect = Death(), store.engine.dialect
    commit = dialect.do_commit

    def commit_or_die(connection: Any) -> None:
        death.moments += 1
        if death.moments == number and not after:
            raise Died
        commit(connection)
        if death.moments == number:
            raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialect, "do_commit", commit_or_die)
        try:
            yield death
        except Died:
            death.is_dead = True
