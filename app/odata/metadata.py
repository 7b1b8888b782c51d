"""A Feed in, its CSDL out as XML: types, sets, ways between them, and what each truly can do.

Source: OData CSDL XML 4.01; the vocabularies Core, Capabilities and Measures
"""

from collections.abc import Iterable
from html import escape

from app.base.config import Settings
from app.catalog.fields import Dataset, Enumeration, Field, Navigation, Type
from app.catalog.functions import FUNCTIONS
from app.odata.feed import NAMESPACE, Feed

CONTAINER = "Container"
EDMX = "http://docs.oasis-open.org/odata/ns/edmx"
EDM = "http://docs.oasis-open.org/odata/ns/edm"
VOCABULARIES = "https://oasis-tcs.github.io/odata-vocabularies/vocabularies"
INCLUDED = ("Core", "Capabilities", "Measures")
PLAIN_TYPES = {
    Type.TEXT: "Edm.String",
    Type.INT: "Edm.Int64",
    Type.NUMBER: "Edm.Double",
    Type.BOOL: "Edm.Boolean",
    Type.TIME: "Edm.DateTimeOffset",
    Type.DATE: "Edm.Date",
    Type.OPEN: f"{NAMESPACE}.Attributes",
    Type.TEXTS: "Collection(Edm.String)",
}
UNITS = {"percent": "%", "days": "d"}
FORMATS = ("application/json;odata.metadata=minimal", "application/json;odata.metadata=none")
NOT_OFFERED = (
    "AsynchronousRequestsSupported",
    "BatchSupported",
    "ComputeSupported",
    "CrossJoinSupported",
    "QuerySegmentSupported",
)
CHANGES = (
    ("InsertRestrictions", "Insertable"),
    ("UpdateRestrictions", "Updatable"),
    ("DeleteRestrictions", "Deletable"),
)
# The verdict in every data answer: name, type, may it be null, description.
TERMS = (
    ("verdict", "Edm.String", False, "complete, catching_up, unknown, incomplete or stalled."),
    ("reason", "Edm.String", True, "Why the verdict is not complete."),
    ("revision", "Edm.Int64", False, "The environment's revision that the answer was read at."),
    ("evaluated_at", "Edm.DateTimeOffset", False, "When the verdict was judged."),
    (
        "streams",
        f"Collection({NAMESPACE}.StreamVerdict)",
        False,
        "The streams the answer rests on, worst first.",
    ),
)
VERDICT_PARTS = (
    ("stream", "false", "A module type, or people, catalog, assignments."),
    ("verdict", "false", "What may be said of its completeness."),
    ("reason", "true", "Why it is not complete."),
)


def write_metadata(feed: Feed, *, version: str, limits: Settings) -> str:
    """The $metadata document of a feed.

    version: `4.0` or `4.01`, written into the document
    """
    schema = element(
        "Schema",
        *map(describe_enumeration, find_enumerations(feed)),
        *describe_shared_types(),
        *(describe_type(dataset, feed) for dataset in feed.datasets),
        *describe_terms(),
        describe_container(feed, limits),
        xmlns=EDM,
        Namespace=NAMESPACE,
    )
    references = (
        element(
            "edmx:Reference",
            element("edmx:Include", Namespace=f"Org.OData.{name}.V1", Alias=name),
            Uri=f"{VOCABULARIES}/Org.OData.{name}.V1.xml",
        )
        for name in INCLUDED
    )
    document = element(
        "edmx:Edmx",
        *references,
        element("edmx:DataServices", schema),
        **{"xmlns:edmx": EDMX, "Version": version},
    )
    return f'<?xml version="1.0" encoding="utf-8"?>\n{document}'


def element(name: str, *inside: str, **attributes: str) -> str:
    """One XML element with what stands in it; attributes are escaped here."""
    told = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    content = "".join(inside)
    return f"<{name}{told}>{content}</{name}>\n" if content else f"<{name}{told}/>\n"


def annotate(term: str, *inside: str, **value: str) -> str:
    """An annotation; its value is an attribute or the elements in it."""
    return element("Annotation", *inside, Term=term, **value)


def describe(text: str) -> str:
    """The words people read about a thing."""
    return annotate("Core.Description", String=text)


# Types


def find_enumerations(feed: Feed) -> list[Enumeration]:
    """Every closed list of words in the feed, once."""
    fields = (field for dataset in feed.datasets for field in dataset.fields)
    return list(dict.fromkeys(f.enumeration for f in fields if f.enumeration is not None))


def describe_enumeration(enumeration: Enumeration) -> str:
    """An enumeration; its numbers are places in the list and mean nothing else."""
    members = (
        element("Member", Name=member, Value=str(place))
        for place, member in enumerate(enumeration.members)
    )
    return element("EnumType", *members, Name=enumeration.name)


def describe_shared_types() -> tuple[str, ...]:
    """The open type of free attributes, and one line of a verdict."""
    attributes = element(
        "ComplexType",
        describe("Attributes under the names their source gave them."),
        Name="Attributes",
        OpenType="true",
    )
    parts = (
        element("Property", describe(text), Name=name, Type="Edm.String", Nullable=nullable)
        for name, nullable, text in VERDICT_PARTS
    )
    return attributes, element("ComplexType", *parts, Name="StreamVerdict")


def describe_type(dataset: Dataset, feed: Feed) -> str:
    """The entity type of a set."""
    return element(
        "EntityType",
        element("Key", *(element("PropertyRef", Name=name) for name in dataset.key)),
        *map(describe_field, dataset.fields),
        *(describe_navigation(way, feed) for way in dataset.navigations),
        describe(dataset.description),
        Name=dataset.entity,
    )


def describe_field(field: Field) -> str:
    """A property with its facets; a list is never null, only empty."""
    facets = {"Name": field.name, "Type": type_name(field)}
    facets["Nullable"] = str(field.nullable and field.type is not Type.TEXTS).lower()
    if field.type is Type.TEXT and field.max_length is not None:
        facets["MaxLength"] = str(field.max_length)
    if field.type is Type.TIME:
        facets["Precision"] = "6"
    unit = UNITS.get(field.unit or "", field.unit)
    told = annotate("Measures.Unit", String=unit) if unit else ""
    return element("Property", describe(field.description), told, **facets)


def type_name(field: Field) -> str:
    """The name of a property's type."""
    if field.enumeration is not None:
        return f"{NAMESPACE}.{field.enumeration.name}"
    return PLAIN_TYPES[field.type]


def describe_navigation(way: Navigation, feed: Feed) -> str:
    """A navigation property; what it leads to may be missing."""
    target = f"{NAMESPACE}.{feed.target(way).entity}"
    facets = {"Name": way.name, "Type": f"Collection({target})" if way.many else target}
    partner = feed.target(way).navigation(way.partner) if way.partner else None
    if partner is not None:
        facets["Partner"] = partner.name
    return element("NavigationProperty", describe(way.description), **facets)


def describe_terms() -> list[str]:
    """The annotations that carry the verdict in each answer."""
    return [
        element("Term", describe(text), Name=name, Type=type_, Nullable=str(nullable).lower())
        for name, type_, nullable, text in TERMS
    ]


# Sets and what can be done with them


def describe_container(feed: Feed, limits: Settings) -> str:
    """The container: every set, and what the service as a whole offers."""
    formats = element("Collection", *(element("String", escape(text)) for text in FORMATS))
    functions = sorted({function.name for function in FUNCTIONS})
    return element(
        "EntityContainer",
        *(describe_set(dataset, feed, limits) for dataset in feed.datasets),
        annotate("Core.ODataVersions", String="4.0 4.01"),
        annotate("Capabilities.SupportedFormats", formats),
        annotate(
            "Capabilities.FilterFunctions",
            element("Collection", *(element("String", escape(name)) for name in functions)),
        ),
        annotate("Capabilities.KeyAsSegmentSupported", Bool="true"),
        *(annotate(f"Capabilities.{name}", Bool="false") for name in NOT_OFFERED),
        Name=CONTAINER,
    )


def describe_set(dataset: Dataset, feed: Feed, limits: Settings) -> str:
    """A set, where its navigations lead, and what may be asked of it."""
    bindings = (
        element("NavigationPropertyBinding", Path=way.name, Target=feed.target(way).name)
        for way in dataset.navigations
    )
    return element(
        "EntitySet",
        *bindings,
        describe(dataset.description),
        *describe_reading(dataset, limits),
        *(restrict(term, say_whether(name, value=False)) for term, name in CHANGES),
        Name=dataset.name,
        EntityType=f"{NAMESPACE}.{dataset.entity}",
    )


def describe_reading(dataset: Dataset, limits: Settings) -> tuple[str, ...]:
    """What $filter, $orderby, $expand and their kin can do with a set."""
    whole = [f.name for f in dataset.fields if f.type in {Type.OPEN, Type.TEXTS}]
    deep = element("PropertyValue", Property="MaxLevels", Int=str(limits.limit_expand_depth))
    return (
        restrict(
            "FilterRestrictions",
            say_whether("Filterable"),
            paths("NonFilterableProperties", whole, "PropertyPath"),
        ),
        restrict(
            "SortRestrictions",
            say_whether("Sortable"),
            paths("NonSortableProperties", whole, "PropertyPath"),
        ),
        restrict(
            "ExpandRestrictions",
            say_whether("Expandable", value=bool(dataset.navigations)),
            deep,
        ),
        restrict("CountRestrictions", say_whether("Countable")),
        restrict("SearchRestrictions", say_whether("Searchable", value=False)),
        restrict("ChangeTracking", say_whether("Supported", value=False)),
        restrict("SelectSupport", say_whether("Supported")),
        annotate("Capabilities.TopSupported", Bool="true"),
        annotate("Capabilities.SkipSupported", Bool="true"),
        annotate("Capabilities.IndexableByKey", Bool="true"),
    )


def restrict(term: str, *values: str) -> str:
    """A record of the Capabilities vocabulary."""
    return annotate(f"Capabilities.{term}", element("Record", *values))


def say_whether(name: str, *, value: bool = True) -> str:
    """A yes or no in a record."""
    return element("PropertyValue", Property=name, Bool="true" if value else "false")


def paths(name: str, targets: Iterable[str], kind: str) -> str:
    """A list of properties in a record; nothing when it is empty."""
    listed = "".join(element(kind, escape(target)) for target in targets)
    return element("PropertyValue", element("Collection", listed), Property=name) if listed else ""
