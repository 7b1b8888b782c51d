"""Pulled sources: pages come in with their cursor; what goes wrong is said and made good."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import update

from app.base.clock import now
from app.base.config import Settings
from app.base.facts import Fact, PagePulled
from app.base.observe import listening
from app.intake import pull
from app.intake.pull import claim_feed, pull_once
from app.intake.sources import add_source, list_sources, seal_source
from app.ledger.books import read_books, recount_books
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Feed
from app.store.tables.columns import table_of
from app.worker import Worker
from tests.builders import an_environment, an_event


class Lms:
    """A learning system on the loopback that gives its events in pages of ten.

    answers: what to send instead, one for each request, before it behaves again
    asked: the cursors it was asked with
    """

    def __init__(self, count: int) -> None:
        self.events = [an_event(number) for number in range(1, count + 1)]
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[str | None] = []
        told = self

        class Pages(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                cursor = parse_qs(urlsplit(self.path).query).get("cursor", [None])[0]
                told.asked.append(cursor)
                status, headers, body = (
                    told.answers.pop(0) if told.answers else (200, {}, told.page(cursor))
                )
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/pages?kind=all"

    def page(self, cursor: str | None) -> bytes:
        start = int(cursor or 0)
        part = self.events[start : start + 10]
        following = str(start + len(part)) if part else None
        return json.dumps({"events": part, "next": following}).encode()


@pytest.fixture
def lms() -> Iterator[Lms]:
    told = Lms(25)
    yield told
    told.server.shutdown()
    told.server.server_close()


@pytest.fixture
def open_settings(settings: Settings) -> Settings:
    """Settings that let the loopback be asked."""
    return settings.model_copy(update={"outbound_allow": "127.0.0.0/8"})


@pytest.fixture
def environment_id(store: Store, lms: Lms) -> int:
    number = an_environment(store)
    with transaction(store) as connection:
        add_source(connection, number, source_key="lms", kind="pull", endpoint=lms.url)
    return number


def feed_of(store: Store, environment_id: int) -> dict[str, Any]:
    with snapshot(store) as connection:
        feed: dict[str, Any] = list_sources(connection, environment_id)[0]["feed"]
    return feed


def make_due(store: Store, environment_id: int) -> None:
    feed = table_of(Feed)
    with transaction(store) as connection:
        its_row = feed.c.environment_id == environment_id
        connection.execute(update(feed).where(its_row).values(next_at=now()))


def counts(store: Store, environment_id: int) -> tuple[int, int, int]:
    with snapshot(store) as connection:
        assert recount_books(connection, environment_id) == []
        books = read_books(connection, environment_id)
    return books.total("accepted"), books.total("duplicate"), books.total("rejected")


def pull_all(store: Store, settings: Settings) -> int:
    taken = 0
    while pull_once(store, settings):
        taken += 1
    return taken


def test_all_pages_come_in_and_new_events_later(
    store: Store, open_settings: Settings, environment_id: int, lms: Lms
) -> None:
    assert pull_all(store, open_settings) == 4
    assert lms.asked == [None, "10", "20", "25"]
    assert counts(store, environment_id) == (25, 0, 0)
    told = feed_of(store, environment_id)
    assert (told["state"], told["cursor"], told["error"]) == ("ok", "25", None)
    lms.events.append(an_event(26))
    make_due(store, environment_id)
    pull_all(store, open_settings)
    assert counts(store, environment_id) == (26, 0, 0)


def test_a_worker_pulls_by_itself(
    store: Store, open_settings: Settings, environment_id: int
) -> None:
    ended = threading.Event()

    def hear(fact: Fact) -> None:
        if isinstance(fact, PagePulled) and fact.at_end:
            ended.set()

    worker = Worker(store, open_settings)
    with listening(hear):
        worker.start()
        assert ended.wait(30)
        worker.stop()
    assert counts(store, environment_id) == (25, 0, 0)


def test_dying_midway_loses_nothing_and_takes_nothing_twice(
    store: Store,
    open_settings: Settings,
    environment_id: int,
    lms: Lms,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert pull_once(store, open_settings)

    def die(*_: Any, **__: Any) -> None:
        raise ConnectionAbortedError

    monkeypatch.setattr(pull, "_move_cursor", die)
    with pytest.raises(ConnectionAbortedError):
        pull_once(store, open_settings)
    monkeypatch.undo()
    assert counts(store, environment_id) == (10, 0, 0)
    assert feed_of(store, environment_id)["cursor"] == "10"
    assert not pull_once(store, open_settings), "the lease of the dead one still holds"
    make_due(store, environment_id)
    pull_all(store, open_settings)
    assert counts(store, environment_id) == (25, 0, 0)
    assert lms.asked == [None, "10", "10", "20", "25"]


@pytest.mark.parametrize(
    ("status", "headers", "body", "words"),
    [
        (500, {}, b"", "answered 500"),
        (429, {"Retry-After": "120"}, b"", "answered 429"),
        (200, {}, b"<html>", "not JSON"),
        (200, {}, b'{"events": {}}', "no {"),
        (200, {}, b'{"events": [], "next": []}', "next"),
        (200, {}, b"[]", "no {"),
        (302, {"Location": "http://169.254.169.254/latest"}, b"", "only https"),
        (302, {"Location": "https://10.1.2.3/"}, b"", "not a public address"),
        (302, {"Location": "file:///etc/passwd"}, b"", "https://"),
        (302, {"Location": "https://[::"}, b"", "cannot be"),
        (200, {"Content-Encoding": "gzip"}, b"not gzip", "cannot be reached"),
    ],
)
def test_a_failing_source_is_told_with_its_reason_and_made_good(
    store: Store,
    open_settings: Settings,
    environment_id: int,
    lms: Lms,
    status: int,
    headers: dict[str, str],
    body: bytes,
    words: str,
) -> None:
    pull_once(store, open_settings)
    lms.answers = [(status, headers, body)] * 2
    asked_at = now()
    assert pull_once(store, open_settings)
    told = feed_of(store, environment_id)
    assert (told["state"], told["failure_count"], told["cursor"]) == ("failing", 1, "10")
    assert words in told["error"]
    pause = timedelta(seconds=120 if "Retry-After" in headers else 5)
    assert pause <= told["next_at"] - asked_at < pause + timedelta(seconds=30)
    make_due(store, environment_id)
    assert pull_once(store, open_settings)
    again = feed_of(store, environment_id)
    assert (again["failure_count"], again["failing_since"]) == (2, told["failing_since"])
    make_due(store, environment_id)
    pull_all(store, open_settings)
    healed = feed_of(store, environment_id)
    assert (healed["state"], healed["error"], healed["failing_since"]) == ("ok", None, None)
    assert counts(store, environment_id) == (25, 0, 0)


def test_a_long_wait_is_obeyed_up_to_its_limit(
    store: Store, open_settings: Settings, environment_id: int, lms: Lms
) -> None:
    lms.answers = [(503, {"Retry-After": "Fri, 31 Dec 2999 23:59:59 GMT"}, b"")]
    asked_at = now()
    pull_once(store, open_settings)
    pause = feed_of(store, environment_id)["next_at"] - asked_at
    assert timedelta(seconds=299) < pause < timedelta(seconds=330)


def test_redirects_end_and_pages_too_large_or_slow_are_left(
    store: Store, open_settings: Settings, environment_id: int, lms: Lms
) -> None:
    lms.answers = [(302, {"Location": lms.url}, b"")] * 4
    pull_once(store, open_settings)
    assert "redirects more than 3" in feed_of(store, environment_id)["error"]
    make_due(store, environment_id)
    small = open_settings.model_copy(update={"limit_outbound_bytes": 100})
    pull_once(store, small)
    assert "more than 100 bytes" in feed_of(store, environment_id)["error"]
    lms.server.shutdown()
    lms.server.server_close()
    make_due(store, environment_id)
    pull_once(store, open_settings)
    assert "cannot be reached" in feed_of(store, environment_id)["error"]


def test_the_loopback_is_not_asked_unless_it_is_listed(
    store: Store, settings: Settings, environment_id: int, lms: Lms
) -> None:
    pull_once(store, settings)
    assert "only https" in feed_of(store, environment_id)["error"]
    assert lms.asked == []


def test_one_bad_event_and_one_of_another_source_stop_nobody(
    store: Store, open_settings: Settings, environment_id: int, lms: Lms
) -> None:
    lms.events[3] = {"id": 5}
    lms.events[4] = an_event(5, source="hr")
    pull_all(store, open_settings)
    assert counts(store, environment_id) == (23, 0, 2)


def test_a_full_backlog_makes_it_wait_and_is_no_failure(
    store: Store, open_settings: Settings, environment_id: int
) -> None:
    small = open_settings.model_copy(update={"limit_pending_events": 15})
    assert pull_all(store, small) == 2
    told = feed_of(store, environment_id)
    assert (told["state"], told["cursor"]) == ("ok", "10")


def test_a_sealed_source_is_asked_no_more_and_a_claimed_one_by_nobody_else(
    store: Store, open_settings: Settings, environment_id: int, lms: Lms
) -> None:
    assert claim_feed(store, open_settings) is not None
    assert claim_feed(store, open_settings) is None
    make_due(store, environment_id)
    with transaction(store) as connection:
        seal_source(connection, environment_id, "lms")
    assert not pull_once(store, open_settings)
    assert lms.asked == []
