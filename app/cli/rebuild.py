"""`fullcount rebuild`: projections from the journal, asked for and, with --wait, worked off."""

import threading
from typing import Any

import typer

from app.access.environments import environment_named
from app.base.config import Settings
from app.cli.output import print_error, print_json, working
from app.learning.times import parse_time
from app.processing.drain import drain_once
from app.processing.rebuild_requests import (
    describe_rebuild,
    has_failed,
    read_rebuild,
    request_rebuild,
)
from app.processing.rebuild_scope import RebuildScope
from app.store.engine import Store, close_store, open_store, snapshot, transaction
from app.store.migrate import require_schema
from app.store.tables.rebuilds import ENDED

_POLL_S = 0.2


def run_rebuild(
    settings: Settings,
    environment: str,
    scope: RebuildScope,
    *,
    wait: bool = False,
    as_json: bool = False,
) -> int:
    """Ask for a rebuild and give the exit code.

    wait: work along with the workers there are, until it has ended
    """
    store = open_store(settings.database_url)
    try:
        require_schema(store)
        with transaction(store) as connection:
            environment_id = environment_named(connection, environment).environment_id
            row = request_rebuild(connection, environment_id, scope, asked_by="command line")
        if wait:
            with working("Rebuilding", quiet=as_json):
                row = _work_along(store, settings, environment_id, row["rebuild_id"])
    finally:
        close_store(store)
    told = describe_rebuild(row)
    if as_json:
        print_json(told)
    else:
        _tell(told, environment, has_ended=wait)
    return 1 if has_failed(row) else 0


def parse_moment_option(text: str | None, *, option: str) -> Any:
    """Give the moment an option names; None where it was not given."""
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _work_along(store: Store, settings: Settings, environment_id: int, rebuild_id: int) -> Any:
    """Take fair turns at all work there is, as a worker does, until this rebuild has ended."""
    pause = threading.Event()
    while True:
        with snapshot(store) as connection:
            row = read_rebuild(connection, environment_id, rebuild_id)
        if row["state"] in ENDED:
            return row
        if drain_once(store, settings) is None:
            pause.wait(_POLL_S)


def _tell(told: dict[str, Any], environment: str, *, has_ended: bool) -> None:
    name = f"Rebuild {told['id']} of {environment}"
    if told["error"] is not None:
        print_error(f"{name} failed: {told['error']}", "Nothing was changed.")
    elif has_ended:
        typer.echo(
            f"{name}: {told['entities_folded']} entities folded; rows added {told['rows_added']},"
            f" changed {told['rows_changed']}, removed {told['rows_removed']}."
        )
    else:
        typer.echo(f"{name} is asked for; a worker does it (GET /v1/rebuilds/{told['id']}).")
