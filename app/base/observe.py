"""Every observation: a fact that code states, its log line and its metric; tests listen to them.

A process logs once a door has called `configure_logs`; metrics are kept from its start.
"""

import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, ClassVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened and that an operator may want to know.

    level: of its log line
    """

    level: ClassVar[str] = "info"


@dataclass(frozen=True, slots=True)
class BatchAccepted(Fact):
    """A delivery was stored and its receipt written."""

    level: ClassVar[str] = "debug"

    environment_id: int
    batch_id: int
    accepted_count: int
    duplicate_count: int
    conflict_count: int
    rejected_count: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class BatchRefused(Fact):
    """A delivery was turned away, because too much is waiting in its environment."""

    level: ClassVar[str] = "warning"

    environment_id: int
    pending_count: int


@dataclass(frozen=True, slots=True)
class QuantumApplied(Fact):
    """One fair share of work was done: entities folded, events settled."""

    level: ClassVar[str] = "debug"

    environment_id: int
    entity_count: int
    event_count: int
    fenced_count: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class EntityFailed(Fact):
    """One entity could not be folded or written; its neighbours were."""

    level: ClassVar[str] = "warning"

    environment_id: int
    entity_key: str
    attempt_count: int
    error: str


@dataclass(frozen=True, slots=True)
class EntityDied(Fact):
    """An entity failed for the last time: its waiting events are dead and written down as such."""

    level: ClassVar[str] = "error"

    environment_id: int
    entity_key: str
    dead_count: int
    error: str


@dataclass(frozen=True, slots=True)
class SweepRepaired(Fact):
    """Pending events had no work row that points at them; now they have. It must never happen."""

    level: ClassVar[str] = "error"

    environment_id: int
    entity_count: int


@dataclass(frozen=True, slots=True)
class SweepDone(Fact):
    """Every pending event of every environment was looked at."""

    level: ClassVar[str] = "debug"

    environment_count: int
    repaired_count: int


@dataclass(frozen=True, slots=True)
class PagePulled(Fact):
    """A page of a pulled source was taken in, and its position with it."""

    level: ClassVar[str] = "debug"

    environment_id: int
    source: str
    event_count: int
    at_end: bool


@dataclass(frozen=True, slots=True)
class PullFailed(Fact):
    """A pulled source could not be read; it is asked again after a pause."""

    level: ClassVar[str] = "warning"

    environment_id: int
    source: str
    failure_count: int
    error: str


@dataclass(frozen=True, slots=True)
class WorkerStarted(Fact):
    """The background loops run."""

    freed_count: int


@dataclass(frozen=True, slots=True)
class WorkerStopped(Fact):
    """The background loops have ended."""


@dataclass(frozen=True, slots=True)
class WorkerFailed(Fact):
    """A background loop met something it did not expect; it goes on after a pause."""

    level: ClassVar[str] = "error"

    loop: str
    error: str


@dataclass(frozen=True, slots=True)
class RequestFailed(Fact):
    """A request ended in an error nobody expected; the caller was told its id and no more."""

    level: ClassVar[str] = "error"

    request_id: str
    error: str


@dataclass(frozen=True, slots=True)
class _Instruments:
    """The metrics of this process, in a registry of their own."""

    registry: CollectorRegistry
    events: Counter
    batches_refused: Counter
    accept_s: Histogram
    settled: Counter
    quantum_s: Histogram
    fenced: Counter
    entity_failures: Counter
    dead: Counter
    rescued: Counter
    pulled: Counter
    pull_failures: Counter
    failures: Counter


@dataclass(frozen=True, slots=True)
class _Listeners:
    """Who wants to hear of each fact, in this process."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    heard_by: list[Callable[[Fact], None]] = field(default_factory=list)


def observe(fact: Fact) -> None:
    """State a fact: it is logged, counted and passed on to whoever listens."""
    _count(fact)
    if structlog.is_configured():
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


def configure_logs(log_format: str) -> None:
    """Let observations be written to standard error: `json` for machines, else for people."""
    last: Any = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    if log_format == "json":
        last = structlog.processors.JSONRenderer(ensure_ascii=True, default=str)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def metrics_text() -> bytes:
    """Give the metrics of this process in Prometheus' text format."""
    return generate_latest(_instruments().registry)


@cache
def _listeners() -> _Listeners:
    return _Listeners()


@cache
def _instruments() -> _Instruments:
    registry = CollectorRegistry()

    def counter(name: str, words: str, *labels: str) -> Counter:
        return Counter(f"fullcount_{name}", words, labels, registry=registry)

    def histogram(name: str, words: str) -> Histogram:
        return Histogram(f"fullcount_{name}", words, registry=registry, buckets=_SECONDS)

    return _Instruments(
        registry=registry,
        events=counter("events", "Items at the door, by their fate", "environment", "outcome"),
        batches_refused=counter("batches_refused", "Deliveries over the cap", "environment"),
        accept_s=histogram("accept_seconds", "From items to the committed receipt"),
        settled=counter("events_settled", "Events folded and settled", "environment"),
        quantum_s=histogram("quantum_seconds", "One claim, from its start to its commit"),
        fenced=counter("work_fenced", "Entities whose lease had moved on", "environment"),
        entity_failures=counter("entity_failures", "Failed tries", "environment"),
        dead=counter("events_dead", "Events given up after the last try", "environment"),
        rescued=counter("work_rescued", "Entities that the sweep had to mark", "environment"),
        pulled=counter("pages_pulled", "Pages of pulled sources", "environment"),
        pull_failures=counter("pull_failures", "Failed pages", "environment"),
        failures=counter("failures", "Errors nobody expected", "where"),
    )


def _count(fact: Fact) -> None:
    kept = _instruments()
    match fact:
        case BatchAccepted():
            _count_batch(kept, fact)
        case BatchRefused():
            kept.batches_refused.labels(fact.environment_id).inc()
        case QuantumApplied():
            kept.settled.labels(fact.environment_id).inc(fact.event_count)
            kept.fenced.labels(fact.environment_id).inc(fact.fenced_count)
            kept.quantum_s.observe(fact.duration_s)
        case EntityFailed():
            kept.entity_failures.labels(fact.environment_id).inc()
        case EntityDied():
            kept.dead.labels(fact.environment_id).inc(fact.dead_count)
        case SweepRepaired():
            kept.rescued.labels(fact.environment_id).inc(fact.entity_count)
        case PagePulled():
            kept.pulled.labels(fact.environment_id).inc()
        case PullFailed():
            kept.pull_failures.labels(fact.environment_id).inc()
        case WorkerFailed():
            kept.failures.labels(fact.loop).inc()
        case RequestFailed():
            kept.failures.labels("request").inc()


def _count_batch(kept: _Instruments, fact: BatchAccepted) -> None:
    counts = {
        "accepted": fact.accepted_count,
        "duplicate": fact.duplicate_count,
        "conflict": fact.conflict_count,
        "rejected": fact.rejected_count,
    }
    for outcome, count in counts.items():
        if count:
            kept.events.labels(fact.environment_id, outcome).inc(count)
    kept.accept_s.observe(fact.duration_s)
