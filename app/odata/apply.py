"""`$apply` in the feed: what it leaves of a set, how its rows are written, how it is announced.

Source: OData Extension for Data Aggregation 4.0, sections 3.1.1 and 5.1
"""

from collections.abc import Iterable, Mapping
from typing import Any

from app.base.config import Settings
from app.base.errors import NotSupported
from app.catalog.fields import Dataset, Field, Type
from app.catalog.functions import AGGREGATES
from app.odata.csdl import PropertyPath
from app.odata.feed import NAMESPACE, Feed
from app.odata.rows import TYPES_TOLD, Dress, dress_value, join_objects, split_objects
from app.odata.selection import Selection
from app.query.groups import is_misnamed, type_of_measure
from app.query.measuring import CUSTOM_METHODS, STANDARD_METHODS
from app.query.plan import Plan
from app.query.selections import parse_select
from app.query.steps import TRANSFORMATIONS, keeps_rows, parse_apply

_WHOLE = {Type.OPEN, Type.TEXTS}


def keeps_set(text: str, limits: Settings) -> bool:
    """Does a `$apply` leave rows of the set, each once, perhaps with more columns?

    Raises: BadSyntax, TooComplex, NotSupported
    """
    return keeps_rows(parse_apply(text, limits.limit_apply_steps, limits.limit_filter_depth))


def begin_with(where: str, text: str) -> str:
    """A `$apply` over only those rows for which a condition holds."""
    return f"filter({where})/{text}" if where else text


def select_transformed(system: Mapping[str, str]) -> Selection:
    """What `$select` asks of rows that are none of a set.

    Raises: NotSupported, BadSyntax, BadOption
    """
    if "expand" in system:
        raise NotSupported("$expand of groups is not supported", target="$expand")
    names = []
    for item in parse_select(system["select"]) if "select" in system else ():
        if item.options or item.parameters:
            raise NotSupported("options in $select of groups are not supported", target="$select")
        names.append("/".join(item.path))
    return Selection(() if "*" in names else tuple(names), names=tuple(names))


# Context URLs


def tell_added(plan: Plan, origin: Dataset) -> str:
    """The columns that `compute` in a `$apply` adds to a set, as the context URL tells them."""
    if plan.shape.stage is None:
        return ""
    added = [field.name for field in plan.shape.fields if origin.field(field.name) is None]
    return ",".join(["*", *added]) if added else ""


def tell_columns(plan: Plan) -> str:
    """The columns that all rows have, as the context URL tells them: `module(name),n`."""
    stage = plan.shape.stage
    fields = list(plan.shape.fields)
    for names in stage.structures if stage is not None else ():
        added = plan.shape.computed_names
        fields = [field for field in fields if field.name in names or field.name in added]
    return tell_names([field.name.split("/") for field in fields]) or "@Core.AnyStructure"


def tell_names(paths: Iterable[list[str]]) -> str:
    """Paths as a select list, in which those behind one navigation stand together."""
    inside: dict[str, list[list[str]]] = {}
    for name, *rest in paths:
        inside.setdefault(name, []).extend([rest] if rest else [])
    return ",".join(
        f"{name}({tell_names(below)})" if below else name for name, below in inside.items()
    )


# Rows


def dress_transformed(rows_json: bytes, plan: Plan, dress: Dress) -> bytes:
    """Rows as a caller's format wants them: with types where they are to be told."""
    if dress.is_plain:
        return rows_json
    fields = [(field, field.name.split("/")) for field in plan.shape.fields]
    rows = split_objects(rows_json)
    return join_objects(dress_members(row, fields, dress) for row in rows)


def dress_members(
    row: Mapping[str, Any], fields: list[tuple[Field, list[str]]], dress: Dress
) -> dict[str, Any]:
    """One row, or one object within it."""
    told: dict[str, Any] = {}
    for field, (name, *rest) in fields:
        if name not in row or name in told:
            continue
        if rest:
            below = [(f, path[1:]) for f, path in fields if path[0] == name and path[1:]]
            told[name] = dress_members(row[name], below, dress)
        else:
            dressed = dress_value(field, row[name], dress)
            told |= {key.replace(field.name, name, 1): one for key, one in dressed.items()}
    return told


def flatten_rows(rows_json: bytes) -> bytes:
    """Rows whose objects are spread into columns, such as `module/name`."""
    rows = split_objects(rows_json)
    return join_objects(dict(spread(row, "")) for row in rows)


def spread(row: Mapping[str, Any], before: str) -> Iterable[tuple[str, Any]]:
    """The values of an object by their paths."""
    for name, value in row.items():
        if isinstance(value, dict):
            yield from spread(value, f"{before}{name}/")
        else:
            yield f"{before}{name}", value


# What is announced


def note_apply(dataset: Dataset, feed: Feed) -> dict[str, Any]:
    """Which transformations of a set are built, by which columns, and its custom aggregates.

    Source: the vocabulary Aggregation
    """
    if dataset.singleton:
        return {}
    built = [one for one in TRANSFORMATIONS if one != "search" or dataset.searchable]
    notes: dict[str, Any] = {
        "@Aggregation.ApplySupported": {
            "Transformations": built,
            "CustomAggregationMethods": [f"{NAMESPACE}.{name}" for name in CUSTOM_METHODS],
            "GroupableProperties": list(map(PropertyPath, find_groupable(dataset, feed))),
            "AggregatableProperties": [
                {
                    "Property": PropertyPath(field.name),
                    "SupportedAggregationMethods": methods_for(field),
                }
                for field in dataset.fields
                if field.type not in _WHOLE
            ],
        }
    }
    for measure in dataset.measures:
        kind = type_of_measure(dataset, measure)
        if is_misnamed(dataset, measure.name, kind):
            continue
        told = TYPES_TOLD.get(kind, "#Double")
        if measure.numerator is None and measure.function in {"", "count", "distinct"}:
            told = "#Decimal"
        notes[f"@Aggregation.CustomAggregate#{measure.name}"] = told.replace("#", "Edm.")
    return notes


def find_groupable(dataset: Dataset, feed: Feed) -> list[str]:
    """The columns that can be grouped by: those of the set, and of rows one step away."""
    names = [field.name for field in dataset.fields if field.type not in _WHOLE]
    for way in dataset.navigations:
        if not way.many:
            inner = feed.target(way).fields
            names += [f"{way.name}/{field.name}" for field in inner if field.type not in _WHOLE]
    return names


def methods_for(field: Field) -> list[str]:
    """The methods that take the values of a column."""
    takes = {row.name for row in AGGREGATES if field.type in row.takes}
    found = [method for method, name in STANDARD_METHODS.items() if name in takes]
    return found + [f"{NAMESPACE}.{name}" for name in CUSTOM_METHODS if name in takes]
