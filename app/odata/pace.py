"""Which questions have been quick: those are answered where they arrive, all others in a thread.

On SQLite a small question is nearly all Python, under one lock. In threads that take the lock from
one another eight callers get half of what they get one after the other (docs/performance.md, "Many
callers at once").
"""

import re
from dataclasses import dataclass, field

from app.odata.calls import Call
from app.odata.monitors import MONITOR

# Processor time that a quick one took the last time, and time that it may take now.
QUICK_S = 0.005
WITHIN_S = 0.025
_MOST_FORMS = 4096
_TOKEN = re.compile(r"(\$?skiptoken|\$?deltatoken)=[^&]*", re.IGNORECASE)
_LITERAL = re.compile(r"(?:'[^']*')+|(?:%27.*?%27)+|[0-9]+")


@dataclass(frozen=True, slots=True)
class Pace:
    """What questions took the last time, by their form.

    is_kept: can there be quick ones at all? A server's database is always waited for
    """

    is_kept: bool
    seconds: dict[int, float] = field(default_factory=dict)

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
        asked = _LITERAL.sub("?", _TOKEN.sub("", f"{call.path}?{call.query}"))
        caller = call.header("authorization"), call.header("x-api-key")
        return hash((asked, prefer, call.header("accept"), caller))

    def is_quick(self, form: int | None) -> bool:
        """Was the last of this form quick?"""
        return form is not None and self.seconds.get(form, QUICK_S) < QUICK_S

    def note(self, form: int | None, seconds: float) -> None:
        """Say what one took."""
        if form is None:
            return
        if len(self.seconds) >= _MOST_FORMS:
            self.seconds.clear()
        self.seconds[form] = seconds
