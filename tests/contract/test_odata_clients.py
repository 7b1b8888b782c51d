"""Independent clients read the feed from a real server: python-odata, odatapy, sqlalchemy-odata."""

from collections.abc import Iterator

import pytest
import requests
from odata import ODataService
from odatapy.client.client import EdmEnabledODataClient
from odatapy.client.transport import HttpxTransport
from sqlalchemy import create_engine, text

from app.base.config import Settings
from app.store.engine import Store
from tests.contract.served_feed import ServedFeed, serve_feed


@pytest.fixture
def served(store: Store, settings: Settings) -> Iterator[ServedFeed]:
    with serve_feed(store, settings) as opened:
        yield opened


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


@pytest.mark.filterwarnings("ignore:The dbapi:sqlalchemy.exc.SADeprecationWarning")
def test_sql_reads_the_feed_through_sqlalchemy_odata(served: ServedFeed) -> None:
    host = served.root.removeprefix("http://")
    engine = create_engine(f"odata://anyone:{served.key}@{host}")
    with engine.connect() as connection:
        counted = connection.execute(
            text('SELECT status, count(*) FROM "LearnerProgress" GROUP BY status')
        )
        assert sum(row[1] for row in counted) == 23
        done = connection.execute(
            text("SELECT assignment_id FROM \"LearnerProgress\" WHERE status = 'completed'")
        )
        assert sorted(int(row[0]) for row in done) == [3, 8, 13, 18, 23]
    engine.dispose()
