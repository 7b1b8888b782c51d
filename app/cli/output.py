"""What commands print: JSON for machines, tables and sentences for people."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

_PIPED_WIDTH = 240


def print_json(value: Any) -> None:
    """One JSON text, as the REST front would write it."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_UTC_Z | orjson.OPT_INDENT_2).decode())


def print_rows(rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str], what: str) -> None:
    """A table, and how many rows it has; `what` they are, in the plural."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*(_write_cell(row.get(column)) for column in columns))
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPED_WIDTH)
    if rows:
        console.print(table)
    console.print(write_count(len(rows), what), highlight=False)


def write_count(count: int, plural: str) -> str:
    """How many there are, in words that fit one as well."""
    if count != 1:
        return f"{count:,} {plural}"
    return f"1 {plural[:-3]}y" if plural.endswith("ies") else f"1 {plural.removesuffix('s')}"


def print_error(told: str, hint: str | None = None) -> None:
    """What went wrong and the way out, to standard error."""
    typer.secho(f"Error: {told}", fg=typer.colors.RED, err=True)
    if hint:
        typer.echo(hint, err=True)


@contextmanager
def working(told: str, *, quiet: bool) -> Iterator[None]:
    """A spinner while something takes long, on a terminal."""
    if quiet:
        yield
        return
    with Console(stderr=True).status(told):
        yield


def _write_cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
