"""Fold: the catalog family. Facts of one module, series, session or certification in, states out.

The latest statement of each field wins, null clears, absent leaves. Parts fold with their module.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from app.learning.facts import Fact, Settlement, Slots, drop_voided, settle
from app.learning.identity import entity_parts

_MODULE_FIELDS = {
    "module_type": "plain",
    "name": "plain",
    "version": "plain",
    "published_at": "time",
    "max_score": "plain",
    "pass_score_percent": "plain",
    "estimated_minutes": "plain",
    "tags": "plain",
}
_PART_FIELDS = dict.fromkeys(
    (
        "part_type",
        "title",
        "position",
        "parent",
        "required",
        "weight",
        "max_points",
        "needs_signoff",
        "due_offset_days",
    ),
    "plain",
)
_SERIES_FIELDS = {"name": "plain", "kind": "plain", "modules": "plain"}
_SESSION_FIELDS = {
    "mode": "plain",
    "starts_at": "time",
    "ends_at": "time",
    "timezone": "plain",
    "capacity": "plain",
    "location": "plain",
    "instructor": "plain",
}
_CERTIFICATION_FIELDS = dict.fromkeys(
    ("name", "series", "valid_days", "renew_window_days"), "plain"
)


@dataclass(frozen=True, slots=True)
class ModuleState:
    """A module as the facts tell it.

    status: published, draft (nobody has described it yet), archived, deleted
    known: some module.upserted counts; else others have merely named it
    events_count: facts folded, voided and superseded ones included
    """

    module_key: str
    module_type: str | None
    name: str | None
    version: str | None
    status: str
    published_at: datetime | None
    archived_at: datetime | None
    max_score: float | None
    pass_score_percent: float | None
    estimated_minutes: int | None
    tags: tuple[str, ...]
    known: bool
    parts_count: int
    events_count: int


@dataclass(frozen=True, slots=True)
class PartState:
    """A part of a module."""

    part_key: str
    part_type: str
    title: str | None
    position: int
    parent_key: str | None
    required: bool
    weight: float | None
    max_points: float | None
    needs_signoff: bool
    due_offset_days: int | None


@dataclass(frozen=True, slots=True)
class ModuleFolded:
    """What the fold of a module gives; parts by position and key."""

    state: ModuleState
    parts: tuple[PartState, ...]
    settlements: tuple[Settlement, ...]


@dataclass(frozen=True, slots=True)
class SeriesState:
    """A series as the facts tell it."""

    series_key: str
    name: str | None
    kind: str | None
    known: bool
    modules_count: int
    events_count: int


@dataclass(frozen=True, slots=True)
class SeriesModule:
    """A module's place in a series."""

    module_key: str
    position: int
    required: bool


@dataclass(frozen=True, slots=True)
class SeriesFolded:
    """What the fold of a series gives; modules by position and key."""

    state: SeriesState
    modules: tuple[SeriesModule, ...]
    settlements: tuple[Settlement, ...]


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session as the facts tell it; its status is scheduled or cancelled."""

    session_key: str
    module_key: str
    mode: str | None
    starts_at: datetime | None
    ends_at: datetime | None
    timezone: str | None
    capacity: int | None
    location: str | None
    instructor_key: str | None
    status: str
    known: bool
    events_count: int


@dataclass(frozen=True, slots=True)
class SessionFolded:
    """What the fold of a session gives."""

    state: SessionState
    settlements: tuple[Settlement, ...]


@dataclass(frozen=True, slots=True)
class CertificationState:
    """A certification as the facts tell it."""

    certification_key: str
    name: str | None
    series_key: str | None
    valid_days: int | None
    renew_window_days: int | None
    known: bool
    events_count: int


@dataclass(frozen=True, slots=True)
class CertificationFolded:
    """What the fold of a certification gives."""

    state: CertificationState
    settlements: tuple[Settlement, ...]


def fold_module(entity_key: str, facts: Iterable[Fact]) -> ModuleFolded:
    """Fold all facts of one module and of its parts, in whatever order they come."""
    everything = tuple(facts)
    living = drop_voided(everything)
    slots = Slots()
    part_keys: set[str] = set()
    for fact in living.facts:
        if fact.type == "module.upserted":
            slots.claim(fact, "status", "published")
            slots.claim(fact, "archived_at", None)
            slots.claim_stated(fact, _MODULE_FIELDS)
        elif fact.type == "module.archived":
            slots.claim(fact, "status", "archived")
            slots.claim(fact, "archived_at", fact.occurred_at)
        elif fact.type == "module.deleted":
            slots.claim(fact, "status", "deleted")
        elif fact.type == "part.upserted":
            part_keys.add(fact.data["part"])
            slots.claim_stated(fact, _PART_FIELDS, prefix=_part_prefix(fact.data["part"]))
    parts = (_part_of(slots, key) for key in part_keys)
    (module_key,) = entity_parts(entity_key)
    tags = slots.value("tags", default=())
    plain = {name: slots.value(name) for name in _MODULE_FIELDS if name != "tags"}
    state = ModuleState(
        module_key=module_key,
        status=slots.value("status", default="draft"),
        archived_at=slots.value("archived_at"),
        tags=tuple(tags),
        known=any(fact.type == "module.upserted" for fact in living.facts),
        parts_count=len(part_keys),
        events_count=len(everything),
        **plain,
    )
    ordered = tuple(sorted(parts, key=lambda part: (part.position, part.part_key)))
    return ModuleFolded(state, ordered, settle(everything, living.winners, slots.winners()))


def fold_series(entity_key: str, facts: Iterable[Fact]) -> SeriesFolded:
    """Fold all facts of one series, in whatever order they come; its modules are one field."""
    everything = tuple(facts)
    living = drop_voided(everything)
    slots = _claim_upserts(living.facts, "series.upserted", _SERIES_FIELDS)
    stated = slots.value("modules", default=())
    # A module that is listed twice has the place that is named last.
    by_key = {
        entry["module"]: SeriesModule(
            module_key=entry["module"],
            position=entry["position"],
            required=entry.get("required") is not False,
        )
        for entry in stated
    }
    modules = tuple(sorted(by_key.values(), key=lambda entry: (entry.position, entry.module_key)))
    (series_key,) = entity_parts(entity_key)
    state = SeriesState(
        series_key=series_key,
        name=slots.value("name"),
        kind=slots.value("kind"),
        known=bool(living.facts),
        modules_count=len(modules),
        events_count=len(everything),
    )
    return SeriesFolded(state, modules, settle(everything, living.winners, slots.winners()))


def fold_session(entity_key: str, facts: Iterable[Fact]) -> SessionFolded:
    """Fold all facts of one session, in whatever order they come."""
    everything = tuple(facts)
    living = drop_voided(everything)
    slots = Slots()
    for fact in living.facts:
        if fact.type == "session.scheduled":
            slots.claim(fact, "status", "scheduled")
            slots.claim_stated(fact, _SESSION_FIELDS)
        elif fact.type == "session.cancelled":
            slots.claim(fact, "status", "cancelled")
    module_key, session_key = entity_parts(entity_key)
    state = SessionState(
        session_key=session_key,
        module_key=module_key,
        mode=slots.value("mode"),
        starts_at=slots.value("starts_at"),
        ends_at=slots.value("ends_at"),
        timezone=slots.value("timezone"),
        capacity=slots.value("capacity"),
        location=slots.value("location"),
        instructor_key=slots.value("instructor"),
        status=slots.value("status", default="scheduled"),
        known=any(fact.type == "session.scheduled" for fact in living.facts),
        events_count=len(everything),
    )
    return SessionFolded(state, settle(everything, living.winners, slots.winners()))


def fold_certification(entity_key: str, facts: Iterable[Fact]) -> CertificationFolded:
    """Fold all facts of one certification, in whatever order they come."""
    everything = tuple(facts)
    living = drop_voided(everything)
    slots = _claim_upserts(living.facts, "certification.upserted", _CERTIFICATION_FIELDS)
    (certification_key,) = entity_parts(entity_key)
    state = CertificationState(
        certification_key=certification_key,
        name=slots.value("name"),
        series_key=slots.value("series"),
        valid_days=slots.value("valid_days"),
        renew_window_days=slots.value("renew_window_days"),
        known=bool(living.facts),
        events_count=len(everything),
    )
    return CertificationFolded(state, settle(everything, living.winners, slots.winners()))


def _claim_upserts(facts: Iterable[Fact], type_name: str, fields: dict[str, str]) -> Slots:
    """Let every upsert claim the fields that it states."""
    slots = Slots()
    for fact in facts:
        if fact.type == type_name:
            slots.claim_stated(fact, fields)
    return slots


def _part_prefix(part_key: str) -> str:
    # A key holds no line feed, so no part's prefix begins another's.
    return f"{part_key}\n"


def _part_of(slots: Slots, part_key: str) -> PartState:
    told = {name: slots.value(_part_prefix(part_key) + name) for name in _PART_FIELDS}
    required, needs_signoff = told.pop("required"), told.pop("needs_signoff")
    return PartState(
        part_key=part_key,
        parent_key=told.pop("parent"),
        required=required is not False,
        needs_signoff=needs_signoff is True,
        **told,
    )
