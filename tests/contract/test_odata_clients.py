"""Independent clients read the feed from a real server: python-odata and odatapy."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests
import uvicorn
from odata import ODataService
from odatapy.client.client import EdmEnabledODataClient
from odatapy.client.transport import HttpxTransport

from app.base.config import Settings
from app.main import create_app
from app.store.engine import Store
from tests.contract.feed_rows import fill_feed


@dataclass(frozen=True, slots=True)
class ServedFeed:
    """A running feed and a key to it."""

    root: str
    key: str


@pytest.fixture
def served(store: Store, settings: Settings) -> Iterator[ServedFeed]:
    key = fill_feed(store).reader
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        limits = {"public_url": address, "limit_page_rows": 5}
        application = create_app(settings.model_copy(update=limits), store=store, worker=False)
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield ServedFeed(f"{address}/odata/v4", key)
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_python_odata_reads_the_feed(served: ServedFeed) -> None:
    with requests.Session() as session:
        session.auth = ("anyone", served.key)
        service = ODataService(
            served.root, session=session, reflect_entities=True, quiet_progress=True
        )
        progress = service.entities["LearnerProgress"]
        query = service.query(progress)
        assert query.count() == 23
        assert len(query.all()) == 23
        done = (
            query.filter(progress.assignment_id > 20).order_by(progress.assignment_id.desc()).all()
        )
        assert [row.assignment_id for row in done] == [23, 22, 21]
        assert done[0].assigned_at.utcoffset() is not None
        named = query.expand(progress.module).filter(progress.assignment_id == 2).first()
        assert named.module.name == 'Module "1"'
        one = service.query(service.entities["Learners"]).get(3)
        assert one.learner_key == "u/4'2"


def test_odatapy_reads_the_feed(served: ServedFeed) -> None:
    with HttpxTransport() as transport:
        client = EdmEnabledODataClient(
            served.root, transport, headers={"Authorization": f"Bearer {served.key}"}
        )
        names = client.get_service_document().entity_sets
        assert "LearnerProgress" in names
        uri = client.entity_set_uri("LearnerProgress")
        assert client.get_count(uri) == 23
        assert len(list(client.iter_entities(uri))) == 23
        one = client.get_entity(client.entity_uri("Learners", 3))
        assert one.get_property("learner_key").value == "u/4'2"
