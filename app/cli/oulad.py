"""OULAD's tables in, what they say of each presentation out: learners, modules, facts.

Pure but for reading the files; docs/mapping-oulad.md says what is meant.
Data: OULAD, Kuzilek et al. 2017, CC BY 4.0, changed by this mapping.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from app.base.errors import NotEvents
from app.cli.tables import opened_table, read_table

SOURCE_KEY = "oulad"
PASS_MARK = 40

_TABLES: Mapping[str, tuple[str, ...]] = {
    "courses": ("courses",),
    "assessments": ("assessments",),
    "info": ("student_info", "studentInfo"),
    "registration": ("student_registration", "studentRegistration"),
    "submissions": ("student_assessment", "studentAssessment"),
    "sites": ("vle_sites", "vle"),
    "clicks": ("student_vle_daily", "studentVle"),
}
_SUFFIXES = (".csv", ".csv.gz", ".parquet")
_ROOMS = frozenset({"oucollaborate", "ouelluminate"})
_PAGES = frozenset({"resource", "url", "page", "sharedsubpage", "folder", "htmlactivity"})
_RESULTS = frozenset({"Pass", "Distinction", "Fail"})
ENROLLED, HAPPENED, UNENROLLED = 0, 5, 9

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Presentation:
    """One run of a course: its rows of every table.

    submissions: by assessment
    clicks: learner, site, day and clicks, one after the other
    """

    code_module: str
    code_presentation: str
    length_days: int
    assessments: list[Row] = field(default_factory=list)
    sites: list[Row] = field(default_factory=list)
    info: list[Row] = field(default_factory=list)
    registration: dict[int, Row] = field(default_factory=dict)
    submissions: dict[int, list[Row]] = field(default_factory=lambda: defaultdict(list))
    clicks: "array[int]" = field(default_factory=lambda: array("i"))

    @property
    def name(self) -> str:
        """The key of its environment."""
        return f"oulad-{self.code_module}-{self.code_presentation}".lower()

    @property
    def day0(self) -> date:
        """Its first day: the 1st of February or October, since only the month is known."""
        month = 2 if self.code_presentation.endswith("B") else 10
        return date(int(self.code_presentation[:4]), month, 1)

    def day(self, number: int) -> date:
        """The date of one of its days."""
        return self.day0 + timedelta(days=number)


class Module(NamedTuple):
    """A module as it is derived; due is a day number."""

    key: str
    module_type: str
    source_type: str
    title: str
    due: int | None = None
    weight: float | None = None
    weeks: tuple[int | None, int | None] = (None, None)
    has_events: bool = True


class Learner(NamedTuple):
    """A learner of a presentation; the days are numbers."""

    key: str
    region: str
    result: str
    registered: int | None
    unregistered: int | None

    @property
    def joined(self) -> int:
        """The day of registration, or the best that is known."""
        if self.registered is not None:
            return self.registered
        return min(0, self.unregistered or 0)


class Fact(NamedTuple):
    """Something that happened; facts sort by their first six parts."""

    day: int
    learner: str
    rank: int
    module: str
    kind: str
    source_ref: str
    module_type: str
    said: dict[str, Any]


def read_presentations(folder: Path) -> list[Presentation]:
    """Read the tables of a folder, or of its folder `source`; give the smallest first.

    Raises: NotEvents
    """
    place = folder / "source" if (folder / "source").is_dir() else folder
    rows = {table: _rows_of(place, names) for table, names in _TABLES.items()}
    found = {
        (row["code_module"], row["code_presentation"]): Presentation(
            row["code_module"], row["code_presentation"], int(row["module_presentation_length"])
        )
        for row in rows["courses"]
    }
    by_assessment: dict[int, Presentation] = {}
    for table in ("assessments", "sites", "info"):
        for row in rows[table]:
            kept = found[row["code_module"], row["code_presentation"]]
            getattr(kept, table).append(row)
            if table == "assessments":
                by_assessment[int(row["id_assessment"])] = kept
    for row in rows["registration"]:
        kept = found[row["code_module"], row["code_presentation"]]
        kept.registration[int(row["id_student"])] = row
    for row in rows["submissions"]:
        number = int(row["id_assessment"])
        by_assessment[number].submissions[number].append(row)
    for row in rows["clicks"]:
        kept = found[row["code_module"], row["code_presentation"]]
        told = ("id_student", "id_site", "date", "sum_click")
        kept.clicks.extend(int(row[name]) for name in told)
    return sorted(found.values(), key=lambda part: (len(part.clicks) + len(part.info), part.name))


def _rows_of(place: Path, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    found = [place / f"{name}{suffix}" for name in names for suffix in _SUFFIXES]
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        raise NotEvents(
            f"{place.name} has no table {names[-1]}",
            hint="Give the folder of OULAD's CSV files, or one with a folder source/ in it.",
        )
    with opened_table(str(path)) as content:
        yield from read_table(str(path), content)


def _number(value: Any) -> int | None:
    """A whole number, or None where nothing was recorded."""
    return None if value in (None, "", "?") else int(float(value))


def list_learners(told: Presentation) -> list[Learner]:
    """The learners of a presentation that registered, by key."""
    learners = []
    for row in told.info:
        number = int(row["id_student"])
        registered = told.registration.get(number)
        if registered is not None:
            days = (registered["date_registration"], registered["date_unregistration"])
            learners.append(
                Learner(f"ou-{number}", row["region"], row["final_result"], *map(_number, days))
            )
    return sorted(learners)


def list_modules(told: Presentation) -> list[Module]:
    """The modules of a presentation, by key."""
    name, length = told.name, told.length_days
    title = f"{told.code_module} {told.code_presentation}"
    modules = [Module(f"{name}:course", "course", "presentation", title, length)]
    coursework = []
    for row in told.assessments:
        number, kind = int(row["id_assessment"]), row["assessment_type"]
        day = _number(row["date"])
        due = length if day is None else day
        if kind in {"TMA", "CMA"}:
            coursework.append(due)
        module_type = "quest" if kind == "CMA" else "assessment"
        weight = None if row["weight"] in (None, "", "?") else float(row["weight"])
        has_events = bool(told.submissions.get(number))
        key, shown = f"{name}:a{number}", f"{kind} {number}"
        modules.append(
            Module(key, module_type, kind, shown, due, weight=weight, has_events=has_events)
        )
    if coursework:
        shown = f"All coursework of {name}"
        modules.append(Module(f"{name}:coursework", "checklist", "TMA+CMA", shown, max(coursework)))
    for row in told.sites:
        kind, number = row["activity_type"], int(row["id_site"])
        if kind in _ROOMS or kind in _PAGES:
            module_type = "ilt" if kind in _ROOMS else "quick_update"
            weeks = (_number(row["week_from"]), _number(row["week_to"]))
            key, shown = f"{name}:v{number}", f"{kind} {number}"
            has_events = bool(told.clicks)
            modules.append(
                Module(key, module_type, kind, shown, weeks=weeks, has_events=has_events)
            )
    return sorted(modules)


def list_facts(
    told: Presentation, learners: Iterable[Learner], modules: Iterable[Module]
) -> list[Fact]:
    """What happened in a presentation, in order."""
    return sorted(_find_facts(told, learners, modules), key=lambda fact: fact[:6])


def _find_facts(
    told: Presentation, learners: Iterable[Learner], modules: Iterable[Module]
) -> Iterator[Fact]:
    course, end = f"{told.name}:course", told.length_days
    for who in learners:
        days = ((who.registered, ENROLLED, "enrolled"), (who.unregistered, UNENROLLED, "un"))
        for day, rank, kind in days:
            if day is not None:
                name = "unenrolled" if kind == "un" else kind
                ref = "unregistration" if kind == "un" else "registration"
                yield Fact(day, who.key, rank, course, name, ref, "course", {})
        if who.result in _RESULTS:
            said = {"passed": who.result != "Fail"}
            ref = f"result:{who.result}"
            yield Fact(end, who.key, HAPPENED, course, "completed", ref, "course", said)
    yield from _submission_facts(told)
    yield from _click_facts(told, {module.key: module for module in modules})


def _submission_facts(told: Presentation) -> Iterator[Fact]:
    done: dict[int, list[tuple[int, int]]] = defaultdict(list)
    kinds = {int(row["id_assessment"]): row["assessment_type"] for row in told.assessments}
    for number, kind in kinds.items():
        module, module_type = f"{told.name}:a{number}", "quest" if kind == "CMA" else "assessment"
        for row in told.submissions.get(number, ()):
            student, day = int(row["id_student"]), int(row["date_submitted"])
            said: dict[str, Any] = {"banked": str(row["is_banked"]).lower() in {"1", "true"}}
            score = _number(row["score"])
            if score is not None:
                said |= {"score": score, "max_score": 100, "passed": score >= PASS_MARK}
            ref, who = f"sa:{number}", f"ou-{student}"
            yield Fact(day, who, HAPPENED, module, "completed", ref, module_type, said)
            if kind in {"TMA", "CMA"}:
                done[student].append((day, number))
    count = sum(kind in {"TMA", "CMA"} for kind in kinds.values())
    module = f"{told.name}:coursework"
    for student, items in done.items():
        for place, (day, number) in enumerate(sorted(items), 1):
            kind = "completed" if place == count else "progressed"
            said = {} if place == count else {"percent": 100 * place // count}
            ref, who = f"sa:{number}", f"ou-{student}"
            yield Fact(day, who, HAPPENED, module, kind, ref, "checklist", said)


def _click_facts(told: Presentation, modules: Mapping[str, Module]) -> Iterator[Fact]:
    kinds = {int(row["id_site"]): row["activity_type"] for row in told.sites}
    sums: dict[tuple[int, int, int], int] = defaultdict(int)
    first: dict[tuple[int, int], int] = {}
    cells = iter(told.clicks)
    for student, site, day, clicks in zip(cells, cells, cells, cells, strict=True):
        sums[student, site, day] += clicks
        first[student, site] = min(day, first.get((student, site), day))
    for (student, site, day), clicks in sums.items():
        if site not in kinds:
            continue
        module = modules.get(f"{told.name}:v{site}")
        kind = "progressed"
        if module is not None:
            kind = "attended" if module.module_type == "ilt" else "viewed"
            kind = "completed" if first[student, site] == day else kind
        yield Fact(
            day,
            f"ou-{student}",
            HAPPENED,
            f"{told.name}:course" if module is None else module.key,
            kind,
            f"vle:{kinds[site]}:{site}",
            "course" if module is None else module.module_type,
            {"clicks": clicks},
        )
