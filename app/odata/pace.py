"""Which questions have been quick: those are answered where they arrive, all others in a thread.

On SQLite a small question is nearly all Python, under one lock, for which threads contend. For a
larger one the database works most, without the lock: threads are for those, unless one asks alone.
"""

import asyncio
import re
from functools import lru_cache

from app.odata.calls import Call
from app.odata.monitors import MONITOR

# Processor time that a quick one took the last time, and one that is quick enough for a caller who
# asks alone; and time that it may take now.
QUICK_S = 0.002
ALONE_S = 0.010
WITHIN_S = 0.025
_MOST_FORMS = 4096
_TOKEN = re.compile(r"(\$?skiptoken|\$?deltatoken)=[^&]*", re.IGNORECASE)
_LITERAL = re.compile(r"(?:'[^']*')+|(?:%27.*?%27)+|[0-9]+")


@lru_cache(maxsize=512)
def _without_literals(asked: str) -> str:
    return _LITERAL.sub("?", _TOKEN.sub("", asked))


class Pace:
    """What questions took the last time, by their form; and how many are being answered.

    is_kept: can there be quick ones at all? A server's database is always waited for
    """

    __slots__ = ("in_hand", "is_kept", "seconds")

    def __init__(self, *, is_kept: bool, in_hand: int = 0) -> None:
        self.is_kept = is_kept
        self.seconds: dict[int, float] = {}
        self.in_hand = in_hand

    def form_of(self, call: Call) -> int | None:
        """What a question has in common with those that differ in texts and numbers alone; None for
        one that always goes to a thread.

        A hash: the caller's key is in it, since environments differ in size, and is kept nowhere.
        """
        prefer = call.header("prefer")
        if not self.is_kept or call.method != "GET" or "respond-async" in prefer.lower():
            return None
        if call.path.startswith(MONITOR):
            return None
        asked = _without_literals(f"{call.path}?{call.query}")
        caller = call.header("authorization"), call.header("x-api-key")
        return hash((asked, prefer, call.header("accept"), caller))

    async def is_quick(self, form: int | None) -> bool:
        """Was the last of this form quick, or quick enough while no other is in hand?"""
        took_s = ALONE_S if form is None else self.seconds.get(form, ALONE_S)
        if QUICK_S <= took_s < ALONE_S:
            # Those that arrived together with this one are in hand after that.
            await asyncio.sleep(0)
            return self.in_hand == 1
        return took_s < QUICK_S

    def note(self, form: int | None, seconds: float) -> None:
        """Say what one took."""
        if form is None:
            return
        if len(self.seconds) >= _MOST_FORMS:
            self.seconds.clear()
        self.seconds[form] = seconds
