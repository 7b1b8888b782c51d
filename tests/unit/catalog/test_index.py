"""The catalog is whole: described, named once, and every name in it leads somewhere."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import literal

from app.access.principal import SCOPES
from app.base.errors import UnknownDataset
from app.catalog.enumerations import ENUMERATIONS
from app.catalog.fields import Dataset, Role, Type
from app.catalog.index import DATASETS, dataset_named
from app.learning.modules import STREAM_NAMES
from app.query.plan import make_plan
from app.query.request import Aggregate, Request
from tests.builders import NOON, a_caller, some_settings

IDS = [dataset.name for dataset in DATASETS]
# SQLite's json_object takes 63 pairs; one is left for an expanded navigation.
MOST_FIELDS = 62
# Its columns have the names that others gave them.
FOREIGN_NAMES = {"LearnerModulePerformances"}
# Rests on the program alone.
WITHOUT_STREAMS = {"SchemaChanges"}


@pytest.fixture(params=DATASETS, ids=IDS)
def dataset(request: pytest.FixtureRequest) -> Dataset:
    found: Dataset = request.param
    return found


def described(dataset: Dataset) -> Iterator[tuple[str, str, str]]:
    """Every name of a dataset with its label and description."""
    yield dataset.name, dataset.label, dataset.description
    for field in dataset.fields:
        yield field.name, field.label, field.description
    for navigation in dataset.navigations:
        yield navigation.name, navigation.name, navigation.description
    for measure in dataset.measures:
        yield measure.name, measure.label, measure.description


def test_the_sets_of_the_first_path_are_there() -> None:
    expected = (
        "LearnerProgress Learners Teams Memberships Modules Series Assignments Attempts"
        " IngestionLag IngestionLagSources"
    )
    assert set(expected.split()) <= set(IDS)
    assert len(IDS) == len(set(IDS))
    assert len({dataset.entity for dataset in DATASETS} | set(IDS)) == 2 * len(IDS)


def test_everything_has_a_label_and_a_sentence(dataset: Dataset) -> None:
    poor = [
        name
        for name, label, text in described(dataset)
        if not label or text[-1:] not in ".?" or not (text[0].isupper() or " " in text)
    ]
    assert poor == []


def test_names_are_said_once(dataset: Dataset) -> None:
    names = [f.name for f in dataset.fields] + [n.name for n in dataset.navigations]
    assert sorted(names) == sorted(set(names))
    assert all(name.isidentifier() for name in names)
    if dataset.name not in FOREIGN_NAMES:
        assert all(name == name.lower() for name in names)
    measures = [measure.name for measure in dataset.measures]
    assert sorted(measures) == sorted(set(measures))


def test_a_row_fits_one_json_object(dataset: Dataset) -> None:
    assert len(dataset.fields) <= MOST_FIELDS


def test_the_key_is_made_of_fields_that_are_never_null(dataset: Dataset) -> None:
    assert bool(dataset.key) is not dataset.singleton
    for name in (*dataset.key, *(name for names in dataset.alternate_keys for name in names)):
        field = dataset.field(name)
        assert field is not None
        assert not field.nullable
        assert field.role is Role.KEY
        assert field.scope is None
        assert field.type in {Type.INT, Type.TEXT}


def test_navigations_lead_to_fields_of_the_same_type(dataset: Dataset) -> None:
    for navigation in dataset.navigations:
        target = dataset_named(navigation.target)
        assert navigation.pairs
        for own, other in navigation.pairs:
            here, there = dataset.field(own), target.field(other)
            assert here is not None
            assert there is not None
            kinds = {Type.TEXT if f.type is Type.ENUM else f.type for f in (here, there)}
            assert len(kinds) == 1, (navigation.name, own, other)
        if navigation.partner is not None:
            assert target.navigation(navigation.partner) is not None


def test_fields_come_from_columns_that_exist(dataset: Dataset) -> None:
    joins = {join.name: join.table for join in dataset.joins}
    missing = []
    for field in dataset.fields:
        if dataset.computed or field.sql is not None:
            continue
        own: Any = dataset.table
        if dataset.rows is not None:
            own = dataset.rows(literal(1), literal(NOON)).subquery()
        table = own if field.via is None else joins[field.via]
        if (field.column or field.name) not in table.c:
            missing.append(field.name)
    assert missing == []


def test_a_field_that_is_never_null_is_never_null_in_its_table(dataset: Dataset) -> None:
    if dataset.table is None:
        return
    wrong = [
        field.name
        for field in dataset.fields
        if not field.nullable
        and field.sql is None
        and field.via is None
        and dataset.table.c[field.column or field.name].nullable
    ]
    assert wrong == []


def test_closed_lists_and_enum_fields_go_together(dataset: Dataset) -> None:
    for field in dataset.fields:
        assert (field.type is Type.ENUM) == (field.enumeration is not None), field.name
        assert field.enumeration is None or field.enumeration in ENUMERATIONS


def test_streams_and_scopes_are_known_ones(dataset: Dataset) -> None:
    streams = {*dataset.streams, *(name for join in dataset.joins for name in join.streams)}
    assert streams <= set(STREAM_NAMES)
    assert {dataset.scope, *(f.scope for f in dataset.fields if f.scope)} <= set(SCOPES)
    if dataset.module_type_field is not None:
        assert dataset.field(dataset.module_type_field) is not None
    touches = bool(dataset.streams or dataset.module_type_field)
    assert touches is (dataset.name not in WITHOUT_STREAMS), "an answer would touch no stream"


def test_every_measure_can_be_asked(dataset: Dataset) -> None:
    for measure in dataset.measures:
        request = Request(dataset.name, aggregates=(Aggregate(measure.name),))
        columns = make_plan(request, a_caller(1), some_settings()).columns
        assert columns[-1].name == measure.name
        assert (measure.numerator is None) == (measure.denominator is None)
        if measure.numerator is not None:
            assert {measure.numerator, measure.denominator} <= {c.name for c in columns}
            assert columns[-1].unit == (measure.unit or "ratio")


def test_personal_fields_need_a_scope_of_their_own() -> None:
    learners = dataset_named("Learners")
    personal = {field.name for field in learners.fields if field.scope == "pii"}
    assert personal == {"display_name", "email", "employee_no"}


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [("LearnerProgres", "LearnerProgress"), ("Modul", "Modules"), ("zzz", "GET /v1/datasets")],
)
def test_a_wrong_name_gets_a_suggestion(wrong: str, hint: str) -> None:
    with pytest.raises(UnknownDataset) as refused:
        dataset_named(wrong)
    assert hint in str(refused.value.hint)
