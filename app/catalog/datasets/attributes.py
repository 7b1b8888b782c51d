"""Fields that one environment alone has: the custom attributes of its learners, typed."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, literal_column

from app.catalog.fields import Dataset, Field, Frame, Role, Type
from app.store.json_fields import AnyText, FlagIn, NumberIn

ATTRIBUTES = "attributes"
_KINDS: dict[str, tuple[Type, Role, Callable[..., ColumnElement[Any]]]] = {
    "text": (Type.TEXT, Role.DIMENSION, AnyText),
    "number": (Type.NUMBER, Role.MEASURE, NumberIn),
    "bool": (Type.BOOL, Role.DIMENSION, FlagIn),
    "date": (Type.DATE, Role.DATE, AnyText),
}
# By dataset, the join that leads to the learner's row; None for that row itself.
_PLACES: dict[str, str | None] = {"Learners": None, "LearnerProgress": "learner"}


def add_attributes(
    datasets: Iterable[Dataset], definitions: Iterable[tuple[str, str]]
) -> tuple[Dataset, ...]:
    """The datasets as an environment with these attributes has them.

    definitions: code and kind, in order
    """
    told = tuple(definitions)
    return tuple(
        replace(
            dataset,
            dynamic=tuple(
                _attribute_field(code, kind, _PLACES[dataset.name]) for code, kind in told
            ),
        )
        if dataset.name in _PLACES
        else dataset
        for dataset in datasets
    )


def dates_among(dataset: Dataset) -> tuple[str, ...]:
    """The codes of a dataset's attributes that are dates."""
    found = (field.name for field in dataset.dynamic if field.type is Type.DATE)
    return tuple(name.removeprefix(f"{ATTRIBUTES}/") for name in found)


def takes_attributes(dataset_name: str) -> bool:
    """Does this dataset have the attributes of an environment as fields?"""
    return dataset_name in _PLACES


def _attribute_field(code: str, kind: str, via: str | None) -> Field:
    type_, role, read = _KINDS[kind]
    return Field(
        f"{ATTRIBUTES}/{code}",
        type_,
        code,
        "A custom attribute of the learner.",
        role=role,
        sql=partial(_read_attribute, code=code, read=read, via=via),
        joins=() if via is None else (via,),
        max_length=2000 if type_ is Type.TEXT else None,
    )


def _read_attribute(
    frame: Frame, *, code: str, read: Callable[..., ColumnElement[Any]], via: str | None
) -> ColumnElement[Any]:
    source = frame.base if via is None else frame.join(via)
    name: ColumnElement[Any] = literal_column("'" + code.replace("'", "''") + "'")
    return read(source.c.attributes, name)
