"""Measuring side by side: rounds of A B A B, medians, and a table of what came out."""

import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the outcome.

    what: the thing measured
    value, unit: how much
    target: what it should be at least, or at most when `at_most`; None for what is only told
    """

    what: str
    value: float
    unit: str
    target: float | None = None
    at_most: bool = False

    @property
    def is_met(self) -> bool | None:
        """Is the target met? None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


def interleave(
    measures: Mapping[str, Callable[[], float]], *, rounds: int = ROUNDS
) -> dict[str, float]:
    """Run each measure in turn, `rounds` times after a warm-up; give the median of each. A single
    round has none: it shows that all runs, and no more.
    """
    if rounds > 1:
        for measure in measures.values():
            measure()
    taken: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds):
        tell(f"  round {number + 1} of {rounds}")
        for name, measure in measures.items():
            taken[name].append(measure())
    return {name: statistics.median(values) for name, values in taken.items()}


def tell(line: str) -> None:
    """Say how far it is; the results alone go to standard output."""
    print(line, file=sys.stderr, flush=True)


def memory_bytes(pid: int) -> int:
    """How much memory a process holds of its own; pages of mapped files are the system's."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"process {pid} tells no RssAnon")


def processor_s(pid: int) -> float:
    """How many seconds of processor time the threads of a process have used so far."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((one / "schedstat").read_text().split()[0]) for one in threads) / 1e9


def show_figures(title: str, figures: list[Figure]) -> None:
    """Print the outcome as a table."""
    table = Table(title=title, title_justify="left")
    for heading, justify in (("what", "left"), ("value", "right"), ("unit", "left")):
        table.add_column(heading, justify="right" if justify == "right" else "left")
    table.add_column("target")
    for figure in figures:
        value = f"{figure.value:,.2f}" if abs(figure.value) < 100 else f"{figure.value:,.0f}"
        sign = "<=" if figure.at_most else ">="
        mark = {True: "met", False: "MISSED", None: ""}[figure.is_met]
        target = "" if figure.target is None else f"{sign} {figure.target:g} {mark}"
        table.add_row(figure.what, value, figure.unit, target)
    Console(width=110).print(table)


def as_json(figures: list[Figure]) -> list[dict[str, object]]:
    """The outcome for machines."""
    return [{**asdict(figure), "is_met": figure.is_met} for figure in figures]
