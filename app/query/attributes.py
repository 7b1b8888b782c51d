"""Request in, Plan out, with the attributes that the caller's environment alone has as fields.

What an environment has is read only when a question names an attribute.
"""

from functools import lru_cache

from sqlalchemy import Connection, select

from app.access.principal import Principal
from app.base.config import Settings
from app.catalog.datasets.attributes import ATTRIBUTES, add_attributes
from app.catalog.fields import Dataset
from app.catalog.index import DATASETS
from app.query.plan import Plan, make_plan
from app.query.request import Request
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
    if f"{ATTRIBUTES}/" in repr(request):
        datasets = datasets_of(store, principal.environment_id, datasets)
    return make_plan(request, principal, settings, datasets=datasets)


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
