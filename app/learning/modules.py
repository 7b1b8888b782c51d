"""Module types and the streams of an environment.

Two registries, read from top to bottom. A new module type is one entry here: intake, catalog and
census read it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModuleType:
    """A kind of learning module.

    name: as it stands in events, SQL, REST and OData
    label: as people read it
    part_noun: what its parts are called
    human_gate: what it waits for a person to do before it can be completed, if anything
    """

    name: str
    label: str
    part_noun: str
    human_gate: str | None = None


MODULE_TYPES: tuple[ModuleType, ...] = (
    ModuleType("quick_update", "Quick update", part_noun="card"),
    ModuleType("ilt", "Instructor-led training", part_noun="session", human_gate="attendance"),
    ModuleType("checklist", "Checklist", part_noun="item", human_gate="sign_off"),
    ModuleType("quest", "Quest", part_noun="stage"),
    ModuleType("course", "Course", part_noun="content item"),
    ModuleType("assessment", "Assessment", part_noun="question"),
    ModuleType("mission", "Mission", part_noun="task", human_gate="review"),
    ModuleType("coaching", "Coaching", part_noun="form", human_gate="coach"),
    ModuleType("reinforcement", "Reinforcement", part_noun="question"),
    ModuleType("external", "External", part_noun="item"),
)

MODULE_TYPE_NAMES: tuple[str, ...] = tuple(entry.name for entry in MODULE_TYPES)

FAMILY_STREAMS: tuple[str, ...] = ("people", "catalog", "assignments")

STREAM_NAMES: tuple[str, ...] = MODULE_TYPE_NAMES + FAMILY_STREAMS


# A person grades what is handed in before the module can be completed.
_GRADING_GATES = frozenset({"review", "coach"})
_GRADED_BY_PEOPLE = frozenset(
    entry.name for entry in MODULE_TYPES if entry.human_gate in _GRADING_GATES
)


def waits_for_grading(name: str | None) -> bool:
    """Say whether modules of a type wait for a person to grade each submission."""
    return name in _GRADED_BY_PEOPLE


def stream_kind(name: str) -> str:
    """Give the kind of a stream: `module_type`, or the name of its family.

    Raises: KeyError when no stream has this name
    """
    if name in FAMILY_STREAMS:
        return name
    if name in MODULE_TYPE_NAMES:
        return "module_type"
    raise KeyError(name)
