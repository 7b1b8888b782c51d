"""`python -m bench [name ...] [--json]`: run the benchmarks of these names, or all."""

import argparse
import gc
import json
from collections.abc import Callable

from app.base.memory import settle_memory
from bench.extract import run_extract
from bench.feed import run_feed
from bench.fold import run_fold_bench
from bench.group import run_group_bench
from bench.ingest import run_ingest_bench
from bench.ledger import run_ledger
from bench.measure import Figure, as_json, show_figures, tell
from bench.queue import run_queue_bench
from bench.real import run_real

BENCHES: tuple[tuple[str, str, Callable[[], list[Figure]]], ...] = (
    ("extract", "Extract of 1,000,000 rows of LearnerProgress over OData", run_extract),
    ("feed", "The feed: pages, small requests, known plans, 100,000 to 5,000,000 rows", run_feed),
    ("ingest", "Ingest of 1,000-event batches over HTTP, durable", run_ingest_bench),
    ("fold", "An event folded and projected, by family, beside bare writes", run_fold_bench),
    (
        "group",
        "Groups over 1,000,000 and 5,000,000 rows, from rollups and from rows",
        run_group_bench,
    ),
    ("ledger", "The ledger: its share of ingest, exchange of what is missing, verdict", run_ledger),
    ("queue", "The fair queue: its overhead, end to end over HTTP, lag, growth", run_queue_bench),
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
        settle_memory()
        figures = run()
        outcome[name] = as_json(figures)
        if not chosen.json:
            show_figures(title, figures)
    if chosen.json:
        print(json.dumps(outcome, indent=2))


if __name__ == "__main__":
    main()
    # What is still frozen at the end some libraries call leaked, on a screen of its own.
    gc.unfreeze()
