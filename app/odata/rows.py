"""Rows as the database wrote them in, rows as a caller's format wants them out.

Only what the database does not write itself passes here: full metadata, whole numbers as text,
omitted nulls, references, counts, members of open objects, tables.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from app.catalog.fields import COUNTED, Dataset, Field, Type
from app.odata.feed import NAMESPACE, Feed, find_navigation
from app.odata.formats import Style
from app.odata.selection import Selection
from app.query.plan import Shape
from app.query.request import TYPE_ENDING
from app.query.streams import Expansion

ID, READ_LINK = "@odata.id", "@odata.readLink"
# Types a reader of JSON cannot tell by the value (OData JSON Format 4.01, 4.6.3).
TYPES_TOLD = {
    Type.INT: "#Int64",
    Type.TIME: "#DateTimeOffset",
    Type.DATE: "#Date",
    Type.CLOCK: "#TimeOfDay",
    Type.SPAN: "#Duration",
    Type.GUID: "#Guid",
    Type.TEXTS: "#Collection(String)",
}
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Dress:
    """How rows of one set are to be written.

    selection: what they hold; their nested rows are dressed by what is within it
    added: columns that the question makes
    expansions: where those of nested rows are
    """

    feed: Feed
    dataset: Dataset
    selection: Selection
    style: Style
    omit_nulls: bool = False
    added: tuple[Field, ...] = ()
    expansions: tuple[Expansion, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Can rows go out as the database writes them?"""
        as_written = self.style.level != "full" and not self.style.numbers_as_text
        return as_written and not self.omit_nulls and self.selection.is_plain

    def over(self, shape: Shape | Expansion) -> "Dress":
        """The same for rows of this shape, with the columns that it adds to those of the set."""
        added = (f for f in shape.fields if "@" not in f.name and not self.dataset.field(f.name))
        return replace(self, added=tuple(added), expansions=shape.expansions)

    def within(self, name: str) -> "Dress":
        """How the rows behind a navigation are to be written."""
        selection, target = self.selection.inner[name], find_navigation(self.dataset, name)
        inner = Dress(self.feed, self.feed.target(target), selection, self.style, self.omit_nulls)
        found = next((one for one in self.expansions if one.navigation.name == name), None)
        return inner if found is None else inner.over(found)

    @property
    def type_name(self) -> str:
        """The qualified name of the type of its rows."""
        return f"{NAMESPACE}.{self.dataset.entity}"

    @property
    def needs_ids(self) -> bool:
        """Must every row know its address, whether or not its key is shown?"""
        return self.style.level == "full" or has_references(self.selection)


def has_references(selection: Selection) -> bool:
    """Are references asked for anywhere in it?"""
    inner = selection.inner.values()
    return bool(selection.references) or any(has_references(one) for one in inner)


def split_objects(rows_json: bytes) -> list[dict[str, Any]]:
    """JSON objects joined by commas, read."""
    rows: list[dict[str, Any]] = orjson.loads(b"[%b]" % rows_json)
    return rows


def join_objects(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """JSON objects joined by commas, written."""
    return orjson.dumps(list(rows))[1:-1]


def dress_rows(rows_json: bytes, dress: Dress) -> bytes:
    """JSON objects joined by commas, dressed."""
    if dress.is_plain:
        return rows_json
    return join_objects(dress_row(row, dress) for row in split_objects(rows_json))


def dress_row(row: Mapping[str, Any], dress: Dress) -> dict[str, Any]:
    """One row, dressed, and all rows within it."""
    is_full = dress.style.level == "full"
    told: dict[str, Any] = {}
    if is_full:
        told["@odata.type"] = f"#{dress.type_name}"
    if is_full and dress.dataset.singleton:
        told[ID] = dress.dataset.name
    if ID in row and (is_full or not has_key(row, dress.dataset)) and dress.style.level != "none":
        told[ID] = row[ID]
    if is_full and ID in told:
        told[READ_LINK] = told[ID]
    fields = (*dress.dataset.fields, *dress.added)
    for field in fields:
        if field.name in row:
            told |= dress_count(field.name, row, dress)
            told |= dress_value(field, row[field.name], dress)
    for name in navigations_told(dress) if is_full else dress.selection.inner:
        told |= dress_navigation(name, row, dress)
    return told


def has_key(row: Mapping[str, Any], dataset: Dataset) -> bool:
    """Does the row show its whole key?"""
    return all(name in row for name in dataset.key)


def dress_value(field: Field, value: Any, dress: Dress) -> dict[str, Any]:
    """A property, with its type before it where that is to be told."""
    if value is None:
        return {} if dress.omit_nulls else {field.name: None}
    told: dict[str, Any] = {}
    if kind := name_type(field) if dress.style.level == "full" else field.told:
        told[f"{field.name}{TYPE_ENDING}"] = kind
    if field.type is Type.OPEN:
        return told | {field.name: dress_object(value, field, dress)}
    if field.type is Type.INT and dress.style.numbers_as_text:
        value = str(value)
    return told | {field.name: value}


def name_type(field: Field) -> str:
    """The type of a property as it is told, where a reader cannot know it by the value."""
    if field.type is Type.ENUM and field.enumeration is not None:
        return f"#{NAMESPACE}.{field.enumeration.name}"
    if field.type is Type.INT and field.unit == COUNTED:
        return "#Decimal"
    return TYPES_TOLD.get(field.type, "")


def dress_object(value: dict[str, Any], field: Field, dress: Dress) -> dict[str, Any]:
    """An open object, with those of its members that are asked for."""
    members = dress.selection.members.get(field.name)
    kept = {
        name: inside
        for name, inside in value.items()
        if (members is None or name.removesuffix(TYPE_ENDING) in members)
        and not (dress.omit_nulls and inside is None)
    }
    return (
        {"@odata.type": f"#{NAMESPACE}.Attributes"} | kept if dress.style.level == "full" else kept
    )


def dress_count(name: str, row: Mapping[str, Any], dress: Dress) -> dict[str, Any]:
    """How many items a list or a navigation has, where that was asked."""
    counted = row.get(f"{name}@odata.count")
    if counted is None:
        return {}
    return {f"{name}@odata.count": str(counted) if dress.style.numbers_as_text else counted}


def navigations_told(dress: Dress) -> list[str]:
    """The navigations whose links full metadata tells: all, or those that are selected."""
    asked = dress.selection.names
    return [
        way.name
        for way in dress.dataset.navigations
        if not asked or way.name in asked or way.name in dress.selection.inner
    ]


def dress_navigation(name: str, row: Mapping[str, Any], dress: Dress) -> dict[str, Any]:
    """The links of a navigation, the count behind it, and its rows where they are expanded."""
    told: dict[str, Any] = {}
    if dress.style.level == "full" and ID in row:
        told[f"{name}@odata.associationLink"] = f"{row[ID]}/{name}/$ref"
        told[f"{name}@odata.navigationLink"] = f"{row[ID]}/{name}"
    told |= dress_count(name, row, dress)
    if name not in dress.selection.inner or name in dress.selection.counts:
        return told
    found = row.get(name)
    if found is None:
        return told if dress.omit_nulls else told | {name: None}
    inner = dress.within(name)
    is_reference = name in dress.selection.references
    rows = found if isinstance(found, list) else [found]
    dressed = [{ID: one[ID]} if is_reference else dress_row(one, inner) for one in rows]
    return told | {name: dressed if isinstance(found, list) else dressed[0]}


def list_references(rows_json: bytes) -> bytes:
    """The addresses of rows alone, as JSON objects joined by commas."""
    return join_objects({ID: row[ID]} for row in split_objects(rows_json))


# Tables


def write_csv(rows_json: bytes, columns: tuple[str, ...]) -> bytes:
    """Rows as CSV with a header line (RFC 4180); lists and objects are cells of JSON.

    No cell can be taken for a formula: text that begins like one gets an apostrophe.
    Source: docs/odata.md, "Formats"
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(columns)
    for row in split_objects(rows_json):
        writer.writerow([write_cell(row.get(name)) for name in columns])
    return written.getvalue().encode()


def write_cell(value: Any) -> str:
    """One cell: empty for null, numbers as they are, text guarded."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA_SIGNS) else value
    return orjson.dumps(value).decode()
