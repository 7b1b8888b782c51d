"""$metadata as independent readers see it: odatapy's and python-odata's parsers, and plain XML."""

from xml.etree import ElementTree

import orjson
import pytest
from odata.metadata import MetaData
from odatapy.edm.csdl import CsdlEntitySet
from odatapy.edm.xml_io import parse_metadata

from app.base.config import Settings
from app.catalog.fields import Type
from app.catalog.index import DATASETS
from app.odata.csdl import EDM
from app.odata.feed import Feed, show_feed
from app.odata.metadata import PLAIN_TYPES, make_model, write_metadata, write_metadata_json
from app.odata.options import OWN, SYSTEM
from app.query.delta import tracks_changes
from tests.unit.odata.bookshop import shop

SCOPES = frozenset({"read"})


def product(*scopes: str) -> Feed:
    """The product's own feed."""
    return show_feed("http://127.0.0.1:8000/odata/v4", DATASETS, SCOPES | set(scopes))


def document(feed: Feed, version: str = "4.0") -> str:
    """The text of its $metadata."""
    return write_metadata(feed, version=version, limits=Settings(_env_file=None))


def entity_sets(feed: Feed) -> dict[str, CsdlEntitySet]:
    """The sets in its container, as odatapy reads them."""
    (schema,) = parse_metadata(document(feed))
    assert schema.entity_container is not None
    return {one.name: one for one in schema.entity_container.entity_sets}


def tree(feed: Feed) -> ElementTree.Element:
    """The same as parsed XML."""
    return ElementTree.fromstring(document(feed))  # noqa: S314  (our own document)


FEEDS = pytest.mark.parametrize(
    "feed", [product(), product("pii"), shop()], ids=["read", "pii", "shop"]
)


@FEEDS
def test_an_independent_reader_finds_every_set_key_and_property(feed: Feed) -> None:
    (schema,) = parse_metadata(document(feed))
    types = {one.name: one for one in schema.entity_types}
    sets = entity_sets(feed)
    assert schema.entity_container is not None
    singletons = {one.name for one in schema.entity_container.singletons}
    assert singletons == {dataset.name for dataset in feed.datasets if dataset.singleton}
    assert list(sets) == [dataset.name for dataset in feed.datasets if not dataset.singleton]
    for dataset in feed.datasets:
        found = types[dataset.entity]
        if dataset.singleton:
            assert found.key == []
            continue
        assert str(sets[dataset.name].type) == f"fullcount.{dataset.entity}"
        assert [ref.name for ref in found.key] == list(dataset.key)
        assert [p.name for p in found.properties] == [f.name for f in dataset.fields]
        for read, field in zip(found.properties, dataset.fields, strict=True):
            assert read.nullable is (field.nullable and field.type is not Type.TEXTS)
        ways = [way.name for way in found.navigation_properties]
        assert ways == [way.name for way in dataset.navigations]


@FEEDS
def test_a_second_reader_agrees(feed: Feed) -> None:
    reader = MetaData.__new__(MetaData)
    schemas, sets, _, _ = reader.parse_document(tree(feed))
    assert set(sets) == {dataset.name for dataset in feed.datasets}
    read = {entity["name"]: entity for entity in schemas[0]["entities"]}
    for dataset in feed.datasets:
        keys = {p["name"] for p in read[dataset.entity]["properties"] if p["is_primary_key"]}
        assert keys == set(dataset.key)


@FEEDS
def test_every_type_it_names_is_declared(feed: Feed) -> None:
    root = tree(feed)
    declared = {
        f"fullcount.{one.get('Name')}"
        for kind in ("EntityType", "ComplexType", "EnumType")
        for one in root.iter(f"{{{EDM}}}{kind}")
    }
    named = {
        str(one.get(attribute)).removeprefix("Collection(").removesuffix(")")
        for attribute in ("Type", "EntityType")
        for one in root.iter()
        if one.get(attribute)
    }
    assert {name for name in named if not name.startswith("Edm.")} <= declared
    assert {name for name in named if name.startswith("Edm.")} <= {
        *PLAIN_TYPES.values(),
        "Edm.String",
    }


@FEEDS
def test_names_are_identifiers_and_unique(feed: Feed) -> None:
    (schema,) = parse_metadata(document(feed))
    groups = (schema.entity_types, schema.complex_types, schema.enum_types, schema.terms)
    names = [one.name for group in groups for one in group]
    assert len(names) == len(set(names))
    members = [m.name for one in schema.enum_types for m in one.members]
    assert all(name.isidentifier() for name in (*names, *members))


@FEEDS
def test_every_set_and_property_is_described(feed: Feed) -> None:
    root = tree(feed)
    for kind in ("EntitySet", "EntityType", "Property", "NavigationProperty"):
        for one in root.iter(f"{{{EDM}}}{kind}"):
            terms = {note.get("Term") for note in one.findall(f"{{{EDM}}}Annotation")}
            assert "Core.Description" in terms, one.attrib


def test_navigations_are_bound_to_their_sets() -> None:
    progress = entity_sets(product())["LearnerProgress"]
    bound = {one.path: one.target for one in progress.navigation_property_bindings}
    assert bound["learner"] == "Learners"
    assert bound["module"] == "Modules"


def test_what_cannot_be_done_is_said() -> None:
    text = document(shop())
    for term in ("Insert", "Update", "Delete", "Search"):
        assert f'Term="Capabilities.{term}Restrictions"' in text
    assert 'Property="NonSortableProperties"' in text
    assert "<PropertyPath>tags</PropertyPath>" in text
    assert "NonExpandableProperties" not in text
    assert 'Term="Capabilities.CrossJoinSupported" Bool="false"' in text


def test_options_on_selected_lists_are_announced_where_there_are_lists() -> None:
    container = orjson.loads(
        write_metadata_json(product(), version="4.01", limits=Settings(_env_file=None))
    )["fullcount"]["Container"]
    told = {
        name: container[name]["@Capabilities.SelectSupport"] for name in ("Modules", "Learners")
    }
    assert told["Modules"]["Filterable"] is told["Modules"]["Countable"] is True
    assert told["Learners"]["Filterable"] is told["Modules"]["Expandable"] is False
    filters = container["Learners"]["@Capabilities.FilterRestrictions"]
    assert filters["NonFilterableProperties"] == ["attributes"]
    assert "NonFilterableProperties" not in container["Modules"]["@Capabilities.FilterRestrictions"]


def test_the_verdict_has_declared_terms() -> None:
    (schema,) = parse_metadata(document(product()))
    assert {one.name for one in schema.terms} == {
        "verdict",
        "reason",
        "complete_through",
        "revision",
        "evaluated_at",
        "streams",
    }


def test_personal_columns_show_with_their_scope_only() -> None:
    assert 'Name="email"' not in document(product())
    assert 'Name="email"' in document(product("pii"))


@pytest.mark.parametrize("version", ["4.0", "4.01"])
def test_the_document_says_its_version(version: str) -> None:
    assert f'Version="{version}"' in document(product(), version)


def test_facets_are_true() -> None:
    text = document(shop())
    assert 'Name="printed_at" Type="Edm.DateTimeOffset" Nullable="true" Precision="6"' in text
    assert 'Name="title" Type="Edm.String" Nullable="false" MaxLength="200"' in text
    assert 'Name="genre" Type="fullcount.Genre"' in text
    assert '<Annotation Term="Measures.Unit" String="%"/>' in text
    assert "Books with &quot;titles&quot; &amp; &lt;tags&gt;." in text


def test_annotations_of_each_set_tell_the_truth() -> None:
    feed = product()
    container = make_model(feed, Settings(_env_file=None))["fullcount"]["Container"]
    for dataset in feed.datasets:
        told = container[dataset.name]
        expand = told["@Capabilities.ExpandRestrictions"]
        assert expand["Expandable"] is bool(dataset.navigations)
        assert told["@Capabilities.ReadRestrictions"] == {"Readable": True}
        if dataset.singleton:
            assert told["@Capabilities.UpdateRestrictions"] == {"Updatable": False}
            continue
        search = told["@Capabilities.SearchRestrictions"]
        assert search["Searchable"] is bool(dataset.searchable)
        tracking = told["@Capabilities.ChangeTracking"]
        assert tracking["Supported"] is tracks_changes(dataset)
        assert told["@Capabilities.ComputeSupported"] is ("compute" in SYSTEM)
        for kind, name in (("Insert", "Insertable"), ("Delete", "Deletable")):
            assert told[f"@Capabilities.{kind}Restrictions"] == {name: False}
        names = [[one["Name"] for one in key["Key"]] for key in told.get("@Core.AlternateKeys", [])]
        assert names == [list(key) for key in dataset.alternate_keys]


def test_the_service_says_what_it_offers() -> None:
    container = make_model(product(), Settings(_env_file=None))["fullcount"]["Container"]
    batch = container["@Capabilities.BatchSupport"]
    assert (batch["Supported"], batch["ContinueOnErrorSupported"]) == (True, True)
    assert batch["SupportedFormats"] == ["multipart/mixed", "application/json"]
    for term in ("AsynchronousRequests", "KeyAsSegment", "QuerySegment", "Batch"):
        assert container[f"@Capabilities.{term}Supported"] is True
    assert container["@Capabilities.CrossJoinSupported"] is False
    assert container["@Core.ODataVersions"] == "4.0 4.01"
    words = container["@Capabilities.FilterFunctions"]
    assert {"eq", "and", "any", "divby", "contains", "year"} <= set(words)
    told = {one["Name"] for one in container["@Capabilities.CustomQueryOptions"]}
    assert told == OWN


@FEEDS
def test_the_json_says_what_the_xml_says(feed: Feed) -> None:
    model = orjson.loads(write_metadata_json(feed, version="4.01", limits=Settings(_env_file=None)))
    schema = model["fullcount"]
    for one in tree(feed).iter(f"{{{EDM}}}EntityType"):
        told = schema[str(one.get("Name"))]
        for kind in ("Property", "NavigationProperty"):
            for part in one.findall(f"{{{EDM}}}{kind}"):
                held = told[str(part.get("Name"))]
                name = held.get("$Type", "Edm.String")
                written = f"Collection({name})" if held.get("$Collection") else name
                assert part.get("Type") == written
                if kind == "Property":
                    assert part.get("Nullable") == str(held.get("$Nullable", False)).lower()
                assert part.get("MaxLength") == (str(held.get("$MaxLength", "")) or None)
    for kind, has_rows in (("EntitySet", True), ("Singleton", False)):
        for one in tree(feed).iter(f"{{{EDM}}}{kind}"):
            told = schema["Container"][str(one.get("Name"))]
            assert told.get("$Collection", False) is has_rows
            assert told["$Type"] == one.get("EntityType" if has_rows else "Type")


def test_alternate_keys_are_declared() -> None:
    text = document(shop())
    assert 'Term="Core.AlternateKeys"' in text
    assert '<PropertyValue Property="Name" PropertyPath="title"/>' in text
