"""Options that commands share, and the database they work on."""

# ruff: noqa: PLC0415 - a command starts in a moment; the server's imports alone take a second

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from app.base.config import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
InEnvironment = Annotated[str, typer.Option("--environment", "-e", help="The environment.")]


@contextmanager
def open_database(*, migrated: bool = True) -> Iterator[Any]:
    """The store of the settings, closed at the end; refused when its schema does not fit."""
    from app.store.engine import close_store, open_store
    from app.store.migrate import require_schema

    store = open_store(Settings().database_url)
    try:
        if migrated:
            require_schema(store)
        yield store
    finally:
        close_store(store)
