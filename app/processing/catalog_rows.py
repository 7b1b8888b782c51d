"""Folded modules, series, sessions and certifications in, their rows and parts out."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection

from app.learning.catalog import (
    CertificationFolded,
    ModuleFolded,
    ModuleState,
    SeriesFolded,
    SessionFolded,
)
from app.processing.progress_rows import restate_types
from app.processing.rows import (
    RowDict,
    Stamp,
    add_stubs,
    columns_of,
    replace_children,
    write_entities,
)
from app.store.lookup import find_rows
from app.store.tables import Certification, Module, Part, Series, SeriesModule, TrainingSession
from app.store.tables.columns import table_of


def write_modules(connection: Connection, stamp: Stamp, folded: Sequence[ModuleFolded]) -> None:
    """Write modules and their parts; what the catalog says of a type reaches the progress rows."""
    states = [result.state for result in folded]
    before = _read_types(connection, stamp, [state.module_key for state in states])
    rows = [_module_row(state) for state in states]
    write_entities(connection, table_of(Module), stamp, key=("module_key",), rows=rows)
    parts = [
        {"module_key": result.state.module_key, **columns_of(part)}
        for result in folded
        for part in result.parts
    ]
    replace_children(
        connection,
        table_of(Part),
        stamp,
        parent=("module_key", {state.module_key for state in states}),
        key=("module_key", "part_key"),
        rows=parts,
    )
    types = {state.module_key: state.module_type if state.known else None for state in states}
    changed = {key: word for key, word in types.items() if before.get(key) != word}
    restate_types(connection, stamp.environment_id, changed, revision=stamp.revision, now=stamp.now)


def write_series(connection: Connection, stamp: Stamp, folded: Sequence[SeriesFolded]) -> None:
    """Write series and the list of their modules, with stubs for modules not heard of yet."""
    rows: list[dict[str, Any]] = [
        {
            "series_key": state.series_key,
            "name": state.name or state.series_key,
            "kind": state.kind or "series",
            "modules_count": state.modules_count,
            "known": state.known,
            "events_count": state.events_count,
            "is_deleted": False,
        }
        for state in (result.state for result in folded)
    ]
    write_entities(connection, table_of(Series), stamp, key=("series_key",), rows=rows)
    places: list[dict[str, Any]] = [
        {
            "series_key": result.state.series_key,
            "module_key": entry.module_key,
            "position": entry.position,
            "required": entry.required,
        }
        for result in folded
        for entry in result.modules
    ]
    replace_children(
        connection,
        table_of(SeriesModule),
        stamp,
        parent=("series_key", {row["series_key"] for row in rows}),
        key=("series_key", "module_key"),
        rows=places,
    )
    add_stubs(connection, table_of(Module), stamp, {row["module_key"] for row in places})


def write_sessions(connection: Connection, stamp: Stamp, folded: Sequence[SessionFolded]) -> None:
    """Write sessions, with stubs for their modules; one that nobody has planned is a tombstone."""
    rows = [_without_known(columns_of(result.state)) for result in folded]
    key = ("module_key", "session_key")
    write_entities(connection, table_of(TrainingSession), stamp, key=key, rows=rows)
    add_stubs(connection, table_of(Module), stamp, {row["module_key"] for row in rows})


def write_certifications(
    connection: Connection, stamp: Stamp, folded: Sequence[CertificationFolded]
) -> None:
    """Write certifications, with stubs for their series; one never told of is a tombstone."""
    rows = [_without_known(columns_of(result.state)) for result in folded]
    for row in rows:
        row["name"] = row["name"] or row["certification_key"]
    table = table_of(Certification)
    write_entities(connection, table, stamp, key=("certification_key",), rows=rows)
    series = {row["series_key"] for row in rows if row["series_key"]}
    add_stubs(connection, table_of(Series), stamp, series)


def _without_known(row: dict[str, Any]) -> dict[str, Any]:
    """Give a state's columns for a table that has no `known`: the unknown is a tombstone."""
    known = row.pop("known")
    return {**row, "is_deleted": not known}


def _module_row(state: ModuleState) -> RowDict:
    return {
        **columns_of(state),
        "name": state.name or state.module_key,
        "tags": orjson.dumps(state.tags).decode(),
        "is_deleted": False,
    }


def _read_types(
    connection: Connection, stamp: Stamp, module_keys: Sequence[str]
) -> dict[str, str | None]:
    """Give the module types that progress rows have had from the catalog up to now."""
    rows = find_rows(
        connection,
        table_of(Module),
        stamp.environment_id,
        columns=("module_key", "module_type", "known"),
        key=("module_key",),
        keys=[(key,) for key in module_keys],
    )
    return {key: module_type if known else None for key, module_type, known in rows}
