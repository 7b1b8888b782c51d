"""How long what failed rests before it is tried again: longer each time, by chance, bounded."""

import secrets
from datetime import timedelta

SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(seconds=300)
MAX_ATTEMPTS = 8

_FINENESS = 1_000


def choose_pause(failed_count: int) -> timedelta:
    """A pause after so many failures before this one: from 1 s to 2 s, 4 s, 8 s ... 300 s.

    The whole of it is left to chance, so that what failed together is not tried again together.
    """
    most = min(timedelta(seconds=2.0 ** min(failed_count + 1, 16)), LONGEST_PAUSE)
    chance = secrets.randbelow(_FINENESS + 1) / _FINENESS
    return SHORTEST_PAUSE + (most - SHORTEST_PAUSE) * chance
