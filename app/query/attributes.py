"""Request in, Plan out, with the attributes that the caller's environment alone has as fields.

What an environment has is read only when a question names an attribute, or tells types of them.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from sqlalchemy import Connection, select

from app.access.principal import Principal
from app.base.config import Settings
from app.catalog.datasets.attributes import ATTRIBUTES, add_attributes
from app.catalog.fields import Dataset, Type
from app.catalog.index import DATASETS
from app.query.plan import Plan, make_plan
from app.query.request import Expand, Request
from app.store.engine import Store, snapshot
from app.store.tables import LearnerAttribute
from app.store.tables.columns import table_of

Definitions = tuple[tuple[str, str], ...]


def plan_request(
    request: Request,
    principal: Principal,
    *,
    store: Store,
    settings: Settings,
    datasets: tuple[Dataset, ...] = DATASETS,
) -> Plan:
    """Resolve, type, bound and allow a request, in the words of the caller's environment.

    Raises: as make_plan; StoreBusy
    """
    if _names_attributes(request) or (
        request.tell_dates and _shows_attributes(request, request.dataset, datasets)
    ):
        datasets = datasets_of(store, principal.environment_id, datasets)
    return make_plan(request, principal, settings, datasets=datasets)


def _names_attributes(request: Request) -> bool:
    """May the question name an attribute? Most have few texts, and none of them does."""
    texts = [
        *(request.where, request.order_text, request.compute, request.apply, request.search),
        *(*request.select, *request.group, *request.aliases.values()),
        *_texts_of(request.expand),
    ]
    parts = (request.buckets, request.aggregates, request.order)
    if any(parts):
        texts.append(repr(parts))
    return any(f"{ATTRIBUTES}/" in text for text in texts)


def _shows_attributes(asked: Request | Expand, name: str, datasets: tuple[Dataset, ...]) -> bool:
    """May rows of this set, or rows with them, hold attributes as one object?"""
    dataset = next((one for one in datasets if one.name == name), None)
    if dataset is None:
        return False
    shown = (f.name for f in dataset.fields if f.type is Type.OPEN)
    if any(not asked.select or one in asked.select for one in shown):
        return True
    ways = ((one, dataset.navigation(one.navigation)) for one in asked.expand)
    return any(way and _shows_attributes(one, way.target, datasets) for one, way in ways)


def _texts_of(expand: Iterable[Expand]) -> Iterator[str]:
    """All that is written in navigations to be expanded."""
    for one in expand:
        yield from (one.where, one.order, one.compute, one.search, *one.select)
        yield from (text for _, text in one.aliases)
        yield from _texts_of(one.expand)


def datasets_of(
    store: Store, environment_id: int, datasets: tuple[Dataset, ...] = DATASETS
) -> tuple[Dataset, ...]:
    """The datasets with the fields that this environment alone has."""
    with snapshot(store) as connection:
        definitions = read_definitions(connection, environment_id)
    if not definitions:
        return datasets
    if datasets is DATASETS:
        return _extended(definitions)
    return add_attributes(datasets, definitions)


def read_definitions(connection: Connection, environment_id: int) -> Definitions:
    """The attributes of an environment: code and kind, by code."""
    table = table_of(LearnerAttribute)
    rows = connection.execute(
        select(table.c.code, table.c.kind).where(table.c.environment_id == environment_id)
    )
    return tuple(sorted((row.code, row.kind) for row in rows))


@lru_cache(maxsize=256)
def _extended(definitions: Definitions) -> tuple[Dataset, ...]:
    """The same object for the same attributes, so that shapes of questions are found again."""
    return add_attributes(DATASETS, definitions)
