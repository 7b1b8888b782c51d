"""A site as callers meet it: the HTTP application over a store, environments and their keys."""

from dataclasses import dataclass
from typing import Any

from starlette.testclient import TestClient

from app.access.environments import add_environment
from app.access.keys import issue_key
from app.access.principal import SCOPES
from app.base.config import Settings
from app.intake.sources import add_source
from app.main import create_app
from app.store.engine import Store, transaction


@dataclass(frozen=True, slots=True)
class Caller:
    """A client with a key of one environment; without one when the key is empty."""

    client: TestClient
    environment_id: int
    key: str

    def get(self, path: str, **given: Any) -> Any:
        return self.ask("GET", path, **given)

    def post(self, path: str, **given: Any) -> Any:
        return self.ask("POST", path, **given)

    def ask(self, method: str, path: str, **given: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        headers |= given.pop("headers", {})
        return self.client.request(method, path, headers=headers, **given)


@dataclass(frozen=True, slots=True)
class Site:
    """The application, not started: nothing runs in the background."""

    store: Store
    client: TestClient

    def caller(self, environment: str, *scopes: str) -> Caller:
        """A caller with a key of a new environment, which has one source, `legacy`."""
        with transaction(self.store) as connection:
            environment_id = add_environment(connection, environment_key=environment)
            add_source(connection, environment_id, source_key="legacy")
        return self.key_of(environment_id, *scopes)

    def key_of(self, environment_id: int, *scopes: str) -> Caller:
        """A caller with one more key of an environment; of all scopes when none is named."""
        with transaction(self.store) as connection:
            issued = issue_key(connection, environment_id, scopes=scopes or SCOPES)
        return Caller(self.client, environment_id, issued.key)

    def stranger(self) -> Caller:
        """A caller without a key."""
        return Caller(self.client, 0, "")


def open_site(store: Store, settings: Settings) -> Site:
    """The site over this store; a failure of ours is an answer to look at, not an exception."""
    application = create_app(settings, store=store, worker=False)
    return Site(store, TestClient(application, raise_server_exceptions=False))


def an_event(event_id: str = "e-1", **data: Any) -> dict[str, Any]:
    """A valid event; words spoil or change its data."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "legacy",
        "type": "progress.completed",
        "time": "2025-05-24T10:00:00Z",
        "recordedtime": "2025-05-24T10:00:01Z",
        "data": {"learner": "u42", "module": "m7", "module_type": "quest", **data},
    }
