"""Every observation: a fact that code states, its log line and its metric; tests listen to them.

A process logs once a door has called `configure_logs`; metrics are kept from its start.
"""

import re
import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import structlog

from app.base.clock import format_time
from app.base.facts import Fact
from app.base.metrics import count_fact

# Facts of every request: to find out that they are not logged would cost more than to count them.
_NOT_LOGGED = "debug"


@dataclass(frozen=True, slots=True)
class _Listeners:
    """Who wants to hear of each fact, in this process."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    heard_by: list[Callable[[Fact], None]] = field(default_factory=list)


def observe(fact: Fact) -> None:
    """State a fact: it is logged, counted and passed on to whoever listens."""
    count_fact(fact)
    if fact.level != _NOT_LOGGED and structlog.is_configured():
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(fact).__name__).lower()
        getattr(structlog.get_logger(), fact.level)(name, **asdict(fact))
    for hear in tuple(_listeners().heard_by):
        hear(fact)


@contextmanager
def listening(hear: Callable[[Fact], None]) -> Iterator[None]:
    """Pass every fact of this process on to `hear`, in the thread that states it."""
    listeners = _listeners()
    with listeners.lock:
        listeners.heard_by.append(hear)
    try:
        yield
    finally:
        with listeners.lock:
            listeners.heard_by.remove(hear)


def configure_logs(
    log_format: str, *, level: str = "info", first: Sequence[structlog.typing.Processor] = ()
) -> None:
    """Let observations be written to standard error: `json` for machines, else for people.

    first: may change a line or drop it, before it is written
    """
    last: Any = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    if log_format == "json":
        last = structlog.processors.JSONRenderer(ensure_ascii=True, default=str)
    structlog.configure(
        processors=[
            *first,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _write_moments,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def _write_moments(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> Any:
    """The line with its moments as text, as they are in every answer."""
    for name, value in line.items():
        if isinstance(value, datetime):
            line[name] = format_time(value)
    return line


@cache
def _listeners() -> _Listeners:
    return _Listeners()
