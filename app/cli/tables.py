"""Table files in, rows out: CSV, TSV and Parquet; never a whole file at once."""

import csv
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from app.base.errors import NotEvents
from app.intake.decode import Broken
from app.intake.formats.tables import REQUIRED_COLUMNS, event_of_row

CSV_KINDS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
PARQUET_KINDS = (".parquet",)
_MAGIC = b"PAR1"
TABLE_KINDS = CSV_KINDS + PARQUET_KINDS


@contextmanager
def opened_table(name: str) -> Iterator[BinaryIO]:
    """The bytes of a table file, unpacked where it is packed."""
    with Path(name).open("rb") as raw:
        packed = name.lower().endswith(".gz")
        yield BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw


def read_table(name: str, content: BinaryIO) -> Iterator[dict[str, Any]]:
    """The rows of a table file, by the names of its columns.

    content: the file, unpacked; Parquet is read by its name instead

    Raises: NotEvents, where it cannot be read on
    """
    if name.lower().endswith(PARQUET_KINDS):
        return _read_parquet(name)
    delimiter = "\t" if ".tsv" in name.lower()[-7:] else ","
    return _read_csv(name, content, delimiter=delimiter)


def read_table_events(name: str, content: BinaryIO) -> Iterator[Any]:
    """The events that the rows of a table file mean; a row that fits no header is broken.

    Raises: NotEvents
    """
    is_first = True
    for row in read_table(name, content):
        if is_first:
            missing = [column for column in REQUIRED_COLUMNS if column not in row]
            if missing:
                raise NotEvents(
                    f"{Path(name).name} has no column {missing[0]!r}",
                    hint=f"A table of events has the columns {', '.join(REQUIRED_COLUMNS)}.",
                )
            is_first = False
        if None in row:
            yield Broken("has more cells than the header has columns", str(dict(row))[:2000])
        else:
            yield event_of_row(row)


def in_batches(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """The items in lists of so many."""
    while batch := list(islice(items, size)):
        yield batch


def _read_csv(name: str, content: BinaryIO, *, delimiter: str) -> Iterator[dict[str, Any]]:
    lines = TextIOWrapper(content, encoding="utf-8-sig", newline="")
    reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    try:
        yield from reader
    except (csv.Error, UnicodeDecodeError) as error:
        place = f"{Path(name).name}, after line {reader.line_num}"
        raise NotEvents(f"{place}: {error}") from None
    finally:
        lines.detach()


def _read_parquet(name: str) -> Iterator[dict[str, Any]]:
    from arro3.io import read_parquet  # noqa: PLC0415 - only Parquet needs it

    _check_parquet(Path(name))
    for batch in read_parquet(name):
        columns = [column.to_pylist() for column in batch.columns]
        for cells in zip(*columns, strict=True):
            yield dict(zip(batch.column_names, cells, strict=True))


def _check_parquet(path: Path) -> None:
    """Refuse a file that is cut or no Parquet: the reader itself would panic.

    Source: Apache Parquet, "File format": magic, ..., footer, its length in 4 bytes, magic
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        begins = file.read(4)
        file.seek(max(0, size - 8))
        tail = file.read(8)
    footer_bytes = int.from_bytes(tail[:4], "little")
    if begins != _MAGIC or tail[4:] != _MAGIC or not 0 < footer_bytes <= size - 12:
        raise NotEvents(f"{path.name} is no whole Parquet file")
