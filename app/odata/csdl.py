"""A model as CSDL JSON in, the same as CSDL XML out.

The model is plain dicts as CSDL JSON has them; what its texts mean beyond that (paths, members of
enumerations) is told by their class. Source: OData CSDL XML 4.01; OData CSDL JSON 4.01
"""

from collections.abc import Mapping
from html import escape
from typing import Any

EDMX = "http://docs.oasis-open.org/odata/ns/edmx"
EDM = "http://docs.oasis-open.org/odata/ns/edm"
Model = dict[str, Any]


class PropertyPath(str):
    """The path of a property, as the value of an annotation."""

    __slots__ = ()


class NavigationPath(str):
    """The path of a navigation property, as the value of an annotation."""

    __slots__ = ()


FACETS = {"$MaxLength": "MaxLength", "$Precision": "Precision", "$Partner": "Partner"}


def write_csdl_xml(model: Model, *, version: str) -> str:
    """The XML document of a model.

    version: `4.0` or `4.01`, written into the document
    """
    (namespace, schema), *_ = [(k, v) for k, v in model.items() if not k.startswith("$")]
    content = [write_member(name, part) for name, part in schema.items() if name[0] != "@"]
    written = element(
        "Schema", *content, *write_annotations(schema), xmlns=EDM, Namespace=namespace
    )
    references = (
        element(
            "edmx:Reference",
            *(
                element("edmx:Include", Namespace=one["$Namespace"], Alias=one["$Alias"])
                for one in reference["$Include"]
            ),
            Uri=uri,
        )
        for uri, reference in model["$Reference"].items()
    )
    document = element(
        "edmx:Edmx",
        *references,
        element("edmx:DataServices", written),
        **{"xmlns:edmx": EDMX, "Version": version},
    )
    return f'<?xml version="1.0" encoding="utf-8"?>\n{document}'


def element(name: str, *inside: str, **attributes: str) -> str:
    """One XML element with what stands in it; attributes are escaped here."""
    told = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    content = "".join(inside)
    return f"<{name}{told}>{content}</{name}>\n" if content else f"<{name}{told}/>\n"


# Members of the schema


def write_member(name: str, part: Model) -> str:
    """A type, a term or the container."""
    kind = part["$Kind"]
    if kind == "EnumType":
        members = (
            element("Member", Name=member, Value=str(value))
            for member, value in part.items()
            if member[0] not in "$@"
        )
        return element(kind, *members, *write_annotations(part), Name=name)
    if kind == "Term":
        return element(kind, *write_annotations(part), Name=name, **type_facets(part))
    if kind == "EntityContainer":
        sets = (write_set(one, held) for one, held in part.items() if one[0] not in "$@")
        return element(kind, *sets, *write_annotations(part), Name=name)
    refs = (element("PropertyRef", Name=key) for key in part.get("$Key", ()))
    keys = element("Key", *refs) if part.get("$Key") else ""
    properties = (write_type_part(n, held) for n, held in part.items() if n[0] not in "$@")
    opened = {"OpenType": "true"} if part.get("$OpenType") else {}
    return element(kind, keys, *properties, *write_annotations(part), Name=name, **opened)


def write_type_part(name: str, part: Model) -> str:
    """A property or navigation property of a type."""
    kind = part.get("$Kind", "Property")
    facets = type_facets(part, nullable=kind == "Property")
    return element(kind, *write_annotations(part), Name=name, **facets)


def type_facets(part: Model, *, nullable: bool = True) -> dict[str, str]:
    """The attributes that tell a type.

    nullable: say whether it may be null
    """
    type_name = part.get("$Type", "Edm.String")
    facets = {"Type": f"Collection({type_name})" if part.get("$Collection") else type_name}
    if nullable:
        facets["Nullable"] = str(part.get("$Nullable", False)).lower()
    return facets | {name: str(part[key]) for key, name in FACETS.items() if key in part}


def write_set(name: str, part: Model) -> str:
    """A set or singleton of the container."""
    bindings = (
        element("NavigationPropertyBinding", Path=path, Target=target)
        for path, target in part.get("$NavigationPropertyBinding", {}).items()
    )
    kind, type_name = (
        ("EntitySet", "EntityType") if part.get("$Collection") else ("Singleton", "Type")
    )
    return element(
        kind, *bindings, *write_annotations(part), Name=name, **{type_name: part["$Type"]}
    )


# Annotations


def write_annotations(part: Mapping[str, Any]) -> list[str]:
    """The annotations among the members of a model element."""
    return [write_annotation(key[1:], value) for key, value in part.items() if key[0] == "@"]


def write_annotation(term: str, value: Any) -> str:
    """One annotation; a plain value is an attribute, another one stands inside."""
    name, _, qualifier = term.partition("#")
    named = {"Term": name} | ({"Qualifier": qualifier} if qualifier else {})
    attribute = plain_attribute(value)
    if attribute:
        return element("Annotation", **named, **attribute)
    return element("Annotation", write_value_element(value), **named)


def plain_attribute(value: Any) -> dict[str, str]:
    """A constant as the attribute that holds it; empty for lists and records."""
    if isinstance(value, bool):
        return {"Bool": str(value).lower()}
    if isinstance(value, int):
        return {"Int": str(value)}
    if isinstance(value, PropertyPath):
        return {"PropertyPath": value}
    if isinstance(value, NavigationPath):
        return {"NavigationPropertyPath": value}
    return {"String": value} if isinstance(value, str) else {}


def write_value_element(value: Any) -> str:
    """A value as an element: in a list, or a list or record itself."""
    attribute = plain_attribute(value)
    if attribute:
        ((name, text),) = attribute.items()
        return element(name, escape(text))
    if isinstance(value, list):
        return element("Collection", *map(write_value_element, value))
    return element("Record", *(write_record_value(name, held) for name, held in value.items()))


def write_record_value(name: str, value: Any) -> str:
    """A member of a record."""
    attribute = plain_attribute(value)
    if attribute:
        return element("PropertyValue", Property=name, **attribute)
    return element("PropertyValue", write_value_element(value), Property=name)
