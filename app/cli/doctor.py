"""Checks that explain themselves: settings, database, schema, clock, catalog, books.

Each check says what it looked at, what it found, and what to do. Nothing is changed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.access.environments import list_environments
from app.access.principal import SCOPES, Principal
from app.base.clock import now
from app.base.config import Settings
from app.base.errors import AppError
from app.catalog.fields import Dataset
from app.catalog.index import DATASETS
from app.ledger.books import read_books, recount_books
from app.ledger.survivors import audit_survivors
from app.query.plan import make_plan
from app.query.request import Aggregate, Request
from app.store.engine import Store, snapshot
from app.store.migrate import read_schema
from app.store.server import folder_fault, read_server

_CLOCK_SKEW_S = 5.0
_SECRET_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    name: what was looked at
    told: what is so
    hint: what to do about it; empty when all is well
    """

    name: str
    is_well: bool
    told: str
    hint: str = ""


def examine(settings: Settings, store: Store) -> Iterator[Finding]:
    """Run every check in order; the later ones only where the database answers and fits."""
    yield check_settings(settings)
    yield check_folder(settings)
    reached = _guarded("database", lambda: check_database(store))
    yield reached
    if not reached.is_well:
        return
    yield _guarded("clock", lambda: check_clock(store))
    schema = _guarded("schema", lambda: check_schema(store))
    yield schema
    yield check_catalog(settings)
    if schema.is_well:
        yield from check_books(store)


def check_settings(settings: Settings) -> Finding:
    """Are the settings fit for use?"""
    faults = []
    if settings.secret and len(settings.secret) < _SECRET_LENGTH:
        faults.append(f"FULLCOUNT_SECRET is shorter than {_SECRET_LENGTH} characters")
    url = urlsplit(settings.public_url)
    if url.scheme not in {"http", "https"} or not url.netloc or url.query:
        faults.append("FULLCOUNT_PUBLIC_URL is no http or https address")
    if "*" in settings.cors_origins:
        faults.append("FULLCOUNT_CORS_ORIGINS names every origin")
    if faults:
        return Finding("settings", False, "; ".join(faults), "docs/settings.md tells each setting.")
    return Finding("settings", True, f"links are built from {settings.public_url}")


def check_folder(settings: Settings) -> Finding:
    """May we write where the database is?"""
    fault = folder_fault(settings.database_url)
    if fault:
        return Finding("permissions", False, fault, "Give this user the right to write there.")
    return Finding("permissions", True, "the place of the database can be written")


def check_database(store: Store) -> Finding:
    """Does the database answer, and does a commit survive a crash?"""
    server = read_server(store)
    name = f"{server.kind} {server.version}"
    if server.durability_fault:
        return Finding(
            "database",
            False,
            f"{name}: {server.durability_fault}",
            "An acknowledged event could be lost in a crash: turn it on.",
        )
    return Finding("database", True, f"{name} answers; commits survive a crash")


def check_clock(store: Store) -> Finding:
    """Do the database's clock and ours agree?"""
    skew_s = abs((read_server(store).now_at - now()).total_seconds())
    if skew_s > _CLOCK_SKEW_S:
        return Finding("clock", False, f"the clocks differ by {skew_s:.0f} s", "Set both by NTP.")
    return Finding("clock", True, f"the clocks differ by {skew_s:.1f} s")


def check_schema(store: Store) -> Finding:
    """Is the schema at the head?"""
    state = read_schema(store)
    if state.is_current:
        return Finding("schema", True, f"at revision {state.head}")
    told = f"at revision {state.current or 'none'}, this program needs {state.head}"
    return Finding("schema", False, told, "Run: fullcount migrate")


def check_catalog(settings: Settings) -> Finding:
    """Can every field and measure of every dataset be asked?"""
    asker = Principal(0, "doctor", "doctor", frozenset(SCOPES))
    faults = []
    for dataset in DATASETS:
        for request in _questions(dataset):
            try:
                make_plan(request, asker, settings)
            except AppError as error:
                faults.append(f"{dataset.name}: {error.detail}")
    if faults:
        return Finding("catalog", False, "; ".join(faults[:5]), "This is a fault of the program.")
    fields = sum(len(dataset.fields) for dataset in DATASETS)
    return Finding("catalog", True, f"{len(DATASETS)} datasets with {fields} fields can be asked")


def check_books(store: Store) -> Iterator[Finding]:
    """Is every accepted event accounted for? Counted row by row in each environment."""
    with snapshot(store) as connection:
        environments = list_environments(connection)
    for facts in environments:
        with snapshot(store) as connection:
            faults = recount_books(connection, facts.environment_id)
            faults += audit_survivors(connection, facts.environment_id).told
            accepted = read_books(connection, facts.environment_id).total("accepted")
        name = f"books of {facts.environment}"
        if faults:
            hint = "Keep a copy of the database and report it: accepted work may be lost."
            yield Finding(name, False, "; ".join(faults[:5]), hint)
        else:
            yield Finding(name, True, f"balance: {accepted:,} accepted events are accounted for")
    if not environments:
        yield Finding("books", True, "there is no environment yet")


def _questions(dataset: Dataset) -> Iterator[Request]:
    yield Request(dataset.name, select=tuple(field.name for field in dataset.fields))
    for measure in dataset.measures:
        yield Request(dataset.name, aggregates=(Aggregate(measure.name),))


def _guarded(name: str, check: Callable[[], Finding]) -> Finding:
    """A check whose own failure is a finding."""
    try:
        return check()
    except AppError as error:
        return Finding(name, False, error.detail, error.hint or "")
