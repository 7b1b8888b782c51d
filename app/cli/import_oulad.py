"""`fullcount import-oulad`: an environment for each presentation, its events through the one door.

The place reached is kept with each batch: a run that was stopped goes on where it ended.
Data: OULAD, Kuzilek et al. 2017, CC BY 4.0, changed (docs/mapping-oulad.md).
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress

from app.access.environments import add_environment, list_environments
from app.base.config import Settings
from app.base.errors import UnknownName
from app.cli.ingest import (
    BATCH_LINES,
    FileCounts,
    Load,
    accept_batch,
    apply_pending,
    count_waiting,
    progress_bar,
    read_origin,
)
from app.cli.oulad import SOURCE_KEY, Presentation, read_presentations
from app.cli.oulad_events import events_of
from app.cli.output import print_json, print_rows, working
from app.intake.sources import add_source, read_sources
from app.store.engine import Store, close_store, open_store, snapshot, transaction
from app.store.migrate import require_schema

_ORIGIN = "import:oulad"
_CREDIT = "Data: OULAD, Kuzilek et al. 2017, CC BY 4.0, changed."


def run_import(
    settings: Settings,
    folder: str,
    *,
    only: Sequence[str] = (),
    wait: bool = False,
    as_json: bool = False,
) -> int:
    """Take OULAD in and say what became of it; give the exit code.

    Raises: NotEvents, UnknownName, SchemaBehind, StoreBusy, StoreFull, TooMuchPending
    """
    with working("Reading OULAD", quiet=as_json):
        presentations = read_presentations(Path(folder))
    names = {told.name for told in presentations}
    unknown = [name for name in only if name not in names]
    if unknown:
        raise UnknownName(
            f"OULAD has no {unknown[0][:100]!r}", hint=f"It has {', '.join(sorted(names))}."
        )
    store = open_store(settings.database_url)
    rows = []
    try:
        require_schema(store)
        with progress_bar(Console(stderr=True), hidden=as_json) as progress:
            for told in presentations:
                if not only or told.name in only:
                    counts, pending = _import_one(store, settings, progress, told, wait=wait)
                    row = asdict(counts) | {"environment": counts.file, "pending": pending}
                    rows.append({name: row[name] for name in row if name != "file"})
    finally:
        close_store(store)
    _tell_import(rows, as_json=as_json)
    return 0


def _import_one(
    store: Store, settings: Settings, progress: Progress, told: Presentation, *, wait: bool
) -> tuple[FileCounts, int]:
    environment_id = _open_environment(store, told)
    events = events_of(told)
    with snapshot(store) as connection:
        position = read_origin(connection, environment_id, _ORIGIN)
    if position >= len(events):
        position = 0
    load = Load(store, settings, environment_id, progress, wait)
    counts = FileCounts(told.name, lines_skipped=position)
    task = progress.add_task(told.name, total=len(events), completed=position)
    while position < len(events):
        batch: list[object] = list(events[position : position + BATCH_LINES])
        position += len(batch)
        counts = counts.plus(accept_batch(load, batch, origin=_ORIGIN, position=position))
        progress.update(task, completed=position)
    if wait:
        apply_pending(load)
    return counts, count_waiting(store, environment_id)


def _open_environment(store: Store, told: Presentation) -> int:
    """The environment of a presentation with its source, made where it is not there yet."""
    with transaction(store) as connection:
        made = {facts.environment: facts.environment_id for facts in list_environments(connection)}
        environment_id = made.get(told.name)
        if environment_id is None:
            name = f"OULAD {told.code_module} {told.code_presentation}"
            environment_id = add_environment(connection, environment_key=told.name, name=name)
        if SOURCE_KEY not in read_sources(connection, environment_id):
            add_source(
                connection,
                environment_id,
                source_key=SOURCE_KEY,
                kind="file",
                takes_occurred_at=True,
            )
    return environment_id


def _tell_import(rows: list[dict[str, object]], *, as_json: bool) -> None:
    if as_json:
        print_json({"items": rows, "credit": _CREDIT})
        return
    columns = ["environment", "received", "accepted", "duplicate", "conflict", "rejected"]
    print_rows(rows, columns=[*columns, "pending"], what="environments")
    typer.echo(_CREDIT)
