"""`python -m bench [name ...] [--json]`: run the benchmarks of these names, or all."""

import argparse
import json
from collections.abc import Callable

from bench.extract import run_extract
from bench.ingest import run_ingest_bench
from bench.measure import Figure, as_json, show_figures, tell
from bench.real import run_real

BENCHES: tuple[tuple[str, str, Callable[[], list[Figure]]], ...] = (
    ("extract", "Extract of 1,000,000 rows of LearnerProgress over OData", run_extract),
    ("ingest", "Ingest of 1,000-event batches over HTTP, durable", run_ingest_bench),
    ("real", "The main job on OULAD, 15 environments", run_real),
)


def main() -> None:
    """Run, show the tables, and with --json print the figures as one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    names = [name for name, _, _ in BENCHES]
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(names)}")
    parser.add_argument("--json", action="store_true", help="figures as JSON, no tables")
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.names) - set(names))
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; choose of {', '.join(names)}")
    outcome = {}
    for name, title, run in BENCHES:
        if chosen.names and name not in chosen.names:
            continue
        tell(f"{name}: {title}")
        figures = run()
        outcome[name] = as_json(figures)
        if not chosen.json:
            show_figures(title, figures)
    if chosen.json:
        print(json.dumps(outcome, indent=2))


main()
