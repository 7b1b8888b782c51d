"""A Feed in, its CSDL out as XML or JSON: types, sets, ways between them, what each truly can do.

The model is made once, as CSDL JSON has it; the XML is written from it.
Source: OData CSDL JSON 4.01; OData CSDL XML 4.01; the vocabularies Core, Capabilities and Measures
"""

from typing import Any

import orjson

from app.base.config import Settings
from app.catalog.fields import Dataset, Enumeration, Field, Navigation, Type
from app.odata.apply import note_apply
from app.odata.capabilities import note_service, note_set
from app.odata.csdl import Model, write_csdl_xml
from app.odata.feed import NAMESPACE, Feed
from app.odata.options import SCHEMA_VERSION

CONTAINER = "Container"
VOCABULARIES = "https://oasis-tcs.github.io/odata-vocabularies/vocabularies"
INCLUDED = ("Core", "Capabilities", "Measures", "Aggregation")
PLAIN_TYPES = {
    Type.TEXT: "Edm.String",
    Type.INT: "Edm.Int64",
    Type.NUMBER: "Edm.Double",
    Type.BOOL: "Edm.Boolean",
    Type.TIME: "Edm.DateTimeOffset",
    Type.DATE: "Edm.Date",
    Type.CLOCK: "Edm.TimeOfDay",
    Type.SPAN: "Edm.Duration",
    Type.GUID: "Edm.Guid",
    Type.OPEN: f"{NAMESPACE}.Attributes",
    Type.TEXTS: "Edm.String",
}
UNITS = {"percent": "%", "days": "d"}
# The verdict in every data answer: name, type, may it be null, is it a list, description.
TERMS: tuple[tuple[str, str, bool, bool, str], ...] = (
    (
        "verdict",
        "Edm.String",
        False,
        False,
        "complete, catching_up, unknown, incomplete or stalled.",
    ),
    ("reason", "Edm.String", True, False, "Why the verdict is not complete."),
    (
        "complete_through",
        "Edm.DateTimeOffset",
        True,
        False,
        "Everything recorded before is in the answer; null while nobody can say.",
    ),
    ("revision", "Edm.Int64", False, False, "The revision that the answer was read at."),
    ("evaluated_at", "Edm.DateTimeOffset", False, False, "When the verdict was judged."),
    (
        "streams",
        f"{NAMESPACE}.StreamVerdict",
        False,
        True,
        "The streams the answer rests on, worst first.",
    ),
)
VERDICT_PARTS = (
    ("stream", False, "A module type, or people, catalog, assignments."),
    ("verdict", False, "What may be said of its completeness."),
    ("reason", True, "Why it is not complete."),
)


def write_metadata(feed: Feed, *, version: str, limits: Settings) -> str:
    """The $metadata document of a feed as XML.

    version: `4.0` or `4.01`, written into the document
    """
    return write_csdl_xml(refer("xml") | make_model(feed, limits), version=version)


def write_metadata_json(feed: Feed, *, version: str, limits: Settings) -> str:
    """The $metadata document of a feed as JSON."""
    model = {"$Version": version} | refer("json") | make_model(feed, limits)
    return orjson.dumps(model).decode()


def refer(ending: str) -> Model:
    """The vocabularies that annotations come from, in a format of their own."""
    references = {
        f"{VOCABULARIES}/Org.OData.{name}.V1.{ending}": {
            "$Include": [{"$Namespace": f"Org.OData.{name}.V1", "$Alias": name}]
        }
        for name in INCLUDED
    }
    return {"$Reference": references}


def make_model(feed: Feed, limits: Settings) -> Model:
    """The model of a feed as CSDL JSON has it, but for its version and references.

    What is the default of CSDL JSON is left out: text as the type, and that nothing is null.
    """
    schema: Model = {one.name: model_enumeration(one) for one in find_enumerations(feed)}
    schema |= model_shared_types()
    schema |= {dataset.entity: model_type(dataset, feed) for dataset in feed.datasets}
    schema |= model_terms()
    schema[CONTAINER] = model_container(feed, limits)
    schema["@Core.SchemaVersion"] = SCHEMA_VERSION
    return {
        "$EntityContainer": f"{NAMESPACE}.{CONTAINER}",
        NAMESPACE: schema,
    }


# Types


def find_enumerations(feed: Feed) -> list[Enumeration]:
    """Every closed list of words in the feed, once."""
    fields = (field for dataset in feed.datasets for field in dataset.fields)
    return list(dict.fromkeys(f.enumeration for f in fields if f.enumeration is not None))


def model_enumeration(enumeration: Enumeration) -> Model:
    """An enumeration; its numbers are places in the list and mean nothing else."""
    members = {member: place for place, member in enumerate(enumeration.members)}
    return {"$Kind": "EnumType", **members}


def model_shared_types() -> Model:
    """The open type of free attributes, and one line of a verdict."""
    parts = {
        name: may_be_null(nullable=nullable) | {"@Core.Description": text}
        for name, nullable, text in VERDICT_PARTS
    }
    return {
        "Attributes": {
            "$Kind": "ComplexType",
            "$OpenType": True,
            "@Core.Description": "Attributes under the names their source gave them.",
        },
        "StreamVerdict": {"$Kind": "ComplexType", **parts},
    }


def model_type(dataset: Dataset, feed: Feed) -> Model:
    """The entity type of a set."""
    told: Model = {"$Kind": "EntityType"}
    if dataset.key:
        told["$Key"] = list(dataset.key)
    told |= {field.name: model_field(field) for field in dataset.fields}
    told |= {way.name: model_navigation(way, feed) for way in dataset.navigations}
    return told | {"@Core.Description": dataset.description}


def model_field(field: Field) -> Model:
    """A property with its facets; a list is never null, only empty."""
    told = of_type(type_name(field))
    if field.type is Type.TEXTS:
        told["$Collection"] = True
    told |= may_be_null(nullable=field.nullable and field.type is not Type.TEXTS)
    if field.type is Type.TEXT and field.max_length is not None:
        told["$MaxLength"] = field.max_length
    if field.type is Type.TIME:
        told["$Precision"] = 6
    told["@Core.Description"] = field.description
    if field.unit:
        told["@Measures.Unit"] = UNITS.get(field.unit, field.unit)
    return told


def of_type(name: str) -> Model:
    """The member that tells a type."""
    return {} if name == "Edm.String" else {"$Type": name}


def may_be_null(*, nullable: bool) -> Model:
    """The member that tells whether a value may be null."""
    return {"$Nullable": True} if nullable else {}


def type_name(field: Field) -> str:
    """The qualified name of a property's type, of its items for a list."""
    if field.type is Type.ENUM and field.enumeration is not None:
        return f"{NAMESPACE}.{field.enumeration.name}"
    return PLAIN_TYPES.get(field.type, "Edm.String")


def model_navigation(way: Navigation, feed: Feed) -> Model:
    """A navigation property; what it leads to may be missing."""
    target = feed.target(way)
    told: Model = {"$Kind": "NavigationProperty", "$Type": f"{NAMESPACE}.{target.entity}"}
    told |= {"$Collection": True} if way.many else {"$Nullable": True}
    partner = target.navigation(way.partner) if way.partner else None
    if partner is not None:
        told["$Partner"] = partner.name
    return told | {"@Core.Description": way.description}


def model_terms() -> Model:
    """The annotations that carry the verdict in each answer."""
    terms: dict[str, dict[str, Any]] = {}
    for name, kind, nullable, is_list, text in TERMS:
        told: dict[str, Any] = {"$Kind": "Term"} | of_type(kind)
        told |= {"$Collection": True} if is_list else {}
        told |= {"$Precision": 6} if kind == PLAIN_TYPES[Type.TIME] else {}
        terms[name] = told | may_be_null(nullable=nullable) | {"@Core.Description": text}
    return terms


# Sets and what can be done with them


def model_container(feed: Feed, limits: Settings) -> Model:
    """The container: every set and singleton, and what the service as a whole offers."""
    sets = {dataset.name: model_set(dataset, feed, limits) for dataset in feed.datasets}
    return {"$Kind": "EntityContainer", **sets, **note_service()}


def model_set(dataset: Dataset, feed: Feed, limits: Settings) -> Model:
    """A set, where its navigations lead, and what may be asked of it."""
    told: Model = {} if dataset.singleton else {"$Collection": True}
    told["$Type"] = f"{NAMESPACE}.{dataset.entity}"
    bindings = {way.name: feed.target(way).name for way in dataset.navigations}
    if bindings:
        told["$NavigationPropertyBinding"] = bindings
    return (
        told
        | {"@Core.Description": dataset.description}
        | note_set(dataset, limits)
        | note_apply(dataset, feed)
    )
