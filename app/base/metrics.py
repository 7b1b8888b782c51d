"""Facts in, metrics out: counters and histograms of this process, in Prometheus' text format."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from app.base.facts import (
    AlarmRaised,
    AskingFailed,
    BatchAccepted,
    BatchRefused,
    BucketsFolded,
    DeadSettled,
    DefectOpened,
    DefectResolved,
    EntitiesSpared,
    EntityDied,
    EntityFailed,
    EnvironmentRested,
    Fact,
    PagePulled,
    PlanMade,
    PullFailed,
    QuantumApplied,
    RebuildFailed,
    RebuildSwitched,
    RequestFailed,
    SourceAsked,
    SweepRepaired,
    TaskFailed,
    WorkerFailed,
)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class _Instruments:
    """The metrics of this process, in a registry of their own."""

    registry: CollectorRegistry
    events: Counter
    unknown_fields: Counter
    batches_refused: Counter
    accept_s: Histogram
    settled: Counter
    quantum_s: Histogram
    fenced: Counter
    entity_failures: Counter
    dead: Counter
    rescued: Counter
    alarms: Counter
    dead_settled: Counter
    rests: Counter
    spared: Counter
    task_failures: Counter
    rebuilds: Counter
    pulled: Counter
    pull_failures: Counter
    plans: Counter
    folded: Counter
    defects_opened: Counter
    defects_resolved: Counter
    asked: Counter
    asking_failures: Counter
    failures: Counter


def metrics_text() -> bytes:
    """Give the metrics of this process in Prometheus' text format."""
    return generate_latest(_instruments().registry)


def figures_text(
    environment_id: int, figures: Mapping[str, float | None], alarms: Iterable[str]
) -> bytes:
    """Give figures of an environment as gauges for Prometheus; what is None is left out.

    Shape: figures by name, such as `dwell_p50_seconds`; alarms: the kinds of those that are open
    """
    registry = CollectorRegistry()
    for name, value in figures.items():
        if value is not None:
            words = f"{name.replace('_', ' ').capitalize()}, as GET /v1/processing tells"
            gauge = Gauge(f"fullcount_processing_{name}", words, ["environment"], registry=registry)
            gauge.labels(environment_id).set(value)
    is_open = Gauge("fullcount_alarms_open", "Alarms", ["environment", "kind"], registry=registry)
    for kind in alarms:
        is_open.labels(environment_id, kind).set(1)
    return generate_latest(registry)


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
        unknown_fields=counter("unknown_fields", "Fields no contract knows", "environment"),
        batches_refused=counter("batches_refused", "Deliveries over the cap", "environment"),
        accept_s=histogram("accept_seconds", "From items to the committed receipt"),
        settled=counter("events_settled", "Events folded and settled", "environment"),
        quantum_s=histogram("quantum_seconds", "One claim, from its start to its commit"),
        fenced=counter("work_fenced", "Entities whose lease had moved on", "environment"),
        entity_failures=counter("entity_failures", "Failed tries", "environment"),
        dead=counter("events_dead", "Events given up after the last try", "environment"),
        rescued=counter("work_rescued", "Entities that the sweep had to mark", "environment"),
        alarms=counter("alarms", "Alarms opened, by kind", "environment", "kind"),
        dead_settled=counter("dead_settled", "Dead events by fate", "environment", "action"),
        rests=counter("rests", "Rests after all failed and none was to blame", "environment"),
        spared=counter("entities_spared", "Failures not held against entities", "environment"),
        task_failures=counter("task_failures", "Failed steps of bulk tasks", "environment"),
        rebuilds=counter(
            "rebuilds", "Rebuilds switched, and quanta that failed", "environment", "fate"
        ),
        pulled=counter("pages_pulled", "Pages of pulled sources", "environment"),
        pull_failures=counter("pull_failures", "Failed pages", "environment"),
        plans=counter("plans", "Questions resolved: parsed anew, or known by their text", "from"),
        folded=counter("deltas_folded", "Deltas of digests folded", "environment"),
        defects_opened=counter("defects_opened", "Intervals past grace", "environment", "kind"),
        defects_resolved=counter("defects_resolved", "Defects that left", "environment"),
        asked=counter("sources_asked", "Intervals asked about to the end", "environment"),
        asking_failures=counter("asking_failures", "Sources that did not answer", "environment"),
        failures=counter("failures", "Errors nobody expected", "where"),
    )


def count_fact(fact: Fact) -> None:
    """Move the metrics that a fact is about."""
    kept = _instruments()
    match fact:
        case PlanMade():  # First, since there is one for every request.
            kept.plans.labels("parsing" if fact.is_new else "cache").inc()
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
        case EnvironmentRested():
            kept.rests.labels(fact.environment_id).inc()
        case EntitiesSpared():
            kept.spared.labels(fact.environment_id).inc(fact.entity_count)
        case TaskFailed():
            kept.task_failures.labels(fact.environment_id).inc()
        case SweepRepaired():
            kept.rescued.labels(fact.environment_id).inc(fact.entity_count)
        case AlarmRaised():
            kept.alarms.labels(fact.environment_id, fact.kind).inc()
        case DeadSettled():
            kept.dead_settled.labels(fact.environment_id, fact.action).inc(fact.event_count)
        case _:
            _count_other(kept, fact)


def _count_other(kept: _Instruments, fact: Fact) -> None:
    match fact:
        case RebuildSwitched():
            kept.rebuilds.labels(fact.environment_id, "switched").inc()
        case RebuildFailed():
            kept.rebuilds.labels(fact.environment_id, "failed").inc()
        case PagePulled():
            kept.pulled.labels(fact.environment_id).inc()
        case PullFailed():
            kept.pull_failures.labels(fact.environment_id).inc()
        case BucketsFolded():
            kept.folded.labels(fact.environment_id).inc(fact.delta_count)
        case DefectOpened():
            kept.defects_opened.labels(fact.environment_id, fact.kind).inc()
        case DefectResolved():
            kept.defects_resolved.labels(fact.environment_id).inc()
        case SourceAsked():
            kept.asked.labels(fact.environment_id).inc()
        case AskingFailed():
            kept.asking_failures.labels(fact.environment_id).inc()
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
    if fact.unknown_field_count:
        kept.unknown_fields.labels(fact.environment_id).inc(fact.unknown_field_count)
    kept.accept_s.observe(fact.duration_s)
