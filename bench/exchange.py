"""What it takes to learn, by name, which few of very many events are missing: a source that pushes
sends digests of ranges; one that can be asked is asked for them.
"""

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
from starlette.testclient import TestClient

from app.access.keys import issue_key
from app.base.config import Settings
from app.intake.accept import accept_items
from app.intake.sources import add_source, set_evidence_url
from app.learning.elements import frame_stream, make_element, read_sum, spell_sum, sum_elements
from app.learning.ranges import (
    PARTS,
    Range,
    digest_elements,
    elements_within,
    parse_range,
    split_range,
)
from app.ledger.asking import ask_once
from app.ledger.defects import list_all_defects
from app.ledger.lacking import find_missing
from app.main import create_app
from app.store.engine import Store, close_store, open_store, snapshot, transaction
from bench.measure import Figure, tell
from bench.server import prepare_database

_EVENTS = 100_000
_MISSING = 10
WANTED_BYTES = 4_096
ASKED_BYTES = 400
_TEN = datetime(2025, 5, 24, 10, tzinfo=UTC)
_DIGEST = "ab" * 32


class Talk:
    """What a source and the product say to one another, and how many bytes of bodies that is."""

    def __init__(self, client: TestClient, key: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.bytes = self.rounds = 0

    def say(self, path: str, body: Any) -> Any:
        """Post a body; give what is answered."""
        content = orjson.dumps(body)
        answer = self._client.post(path, content=content, headers=self._headers)
        if answer.status_code != 200:
            raise SystemExit(answer.text)
        self.bytes += len(content) + len(answer.content)
        self.rounds += 1
        return answer.json()


def run_exchange(*, events: int = _EVENTS) -> list[Figure]:
    """Name ten missing events of a bucket of 100,000."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder) / "exchange.db"
        prepare_database(path, ["bench"], source="other")
        settings = Settings(_env_file=None, database_url=f"sqlite:///{path}", secret="s")  # noqa: S106
        store = open_store(settings.database_url)
        stack.callback(close_store, store)
        with transaction(store) as connection:
            secret = add_source(connection, 1, source_key="lms").secret
            key = issue_key(connection, 1, scopes=("ingest",)).key
        framed = frame_stream("bench", "lms", "quest")
        made = {make_element(read_sum(secret), framed, _name(n), _DIGEST): n for n in range(events)}
        ordered = sorted(made)
        lost = set(Random(1).sample(ordered, _MISSING))
        tell(f"  sending {events - _MISSING:,} events of one bucket")
        kept = [_event(number) for element, number in made.items() if element not in lost]
        for start in range(0, len(kept), 1_000):
            items = kept[start : start + 1_000]
            accept_items(store, settings, environment_id=1, items=items)
        client = TestClient(create_app(settings, store=store, worker=False))
        talk = Talk(client, key)
        manifest = _declare(talk, ordered)
        found = _find_missing(talk, manifest, ordered, made)
        if found != lost:
            raise SystemExit(f"{len(found)} of {_MISSING} missing events were named")
        asked = stack.enter_context(_answering(ordered, made))
        _ask(store, settings, asked.url, {_name(made[element]) for element in lost})
    named = f"{_MISSING} missing of {events:,} named"
    return [
        Figure(named, talk.bytes, "bytes", WANTED_BYTES, at_most=True),
        Figure("... in so many requests", talk.rounds, "requests"),
        Figure(
            "... asked for: per event", asked.bytes / _MISSING, "bytes", ASKED_BYTES, at_most=True
        ),
        Figure("... in so many requests", asked.rounds, "requests"),
    ]


class Asked:
    """A source on the loopback that can be asked; counts the bytes of targets and bodies."""

    def __init__(self, ordered: Sequence[bytes], made: dict[bytes, int]) -> None:
        self.bytes = self.rounds = 0
        self._ordered, self._made = ordered, made
        told = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = orjson.dumps(told.answer(self.path))
                told.bytes += len(self.path) + len(body)
                told.rounds += 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, target: str) -> dict[str, Any]:
        """What a range or some events are."""
        parts = urlsplit(target)
        asked = dict(parse_qsl(parts.query))
        if parts.path == "/fm/ranges":
            whole = {"lo": asked["lo"], "hi": asked["hi"], "parts": int(asked["split"])}
            split = _split(self._ordered, whole)
            return {"counts": split["counts"], "sums": split["sums"]}
        if "lo" in asked:
            found = elements_within(self._ordered, Range(asked["lo"], asked["hi"]))
        else:
            found = [read_sum(text) for text in asked["elements"].split(",")]
        known = [self._made[element] for element in found if element in self._made]
        return {"events": [{"id": _name(number), "datadigest": _DIGEST} for number in known]}


@contextmanager
def _answering(ordered: Sequence[bytes], made: dict[bytes, int]) -> Iterator[Asked]:
    asked = Asked(ordered, made)
    thread = threading.Thread(target=asked.server.serve_forever)
    thread.start()
    yield asked
    asked.server.shutdown()
    asked.server.server_close()
    thread.join()


def _ask(store: Store, settings: Settings, url: str, lost: set[str]) -> None:
    """Have the worker's step ask for what is missing."""
    with transaction(store) as connection:
        set_evidence_url(connection, 1, "lms", url)
    ask_once(store, settings.model_copy(update={"outbound_allow": "127.0.0.0/8"}))
    with snapshot(store) as connection:
        (defect,) = list_all_defects(connection, 1, limit=2)
        named = find_missing(connection, 1, defect.defect_id).named
    if {name for name, _ in named} != lost:
        raise SystemExit(f"{len(named)} of {_MISSING} missing events were named when asked for")


def _declare(talk: Talk, ordered: Sequence[bytes]) -> int:
    told = talk.say(
        "/v1/manifests",
        {
            "spec": "fm/1",
            "source": "lms",
            "stream": "quest",
            "from": "2025-05-24T10:00:00Z",
            "to": "2025-05-24T10:10:00Z",
            "anchor": "record",
            "count": len(ordered),
            "alg": "hmac-sha256/sum256",
            "key_id": "k1",
            "sum": spell_sum(sum_elements(ordered)),
        },
    )
    number: int = told["manifest_id"]
    return number


def _find_missing(
    talk: Talk, manifest: int, ordered: Sequence[bytes], made: dict[bytes, int]
) -> set[bytes]:
    """Follow the ranges that differ down to the events, as a source that can only push does."""
    path, found = f"/v1/manifests/{manifest}/elements", set[bytes]()
    want: list[dict[str, Any]] = [{"lo": "0", "hi": "10"}]
    while want:
        told = talk.say(path, {"splits": [_split(ordered, part) for part in want]})
        found |= {read_sum(text) for text in told["missing"]}
        for part in told["few"]:
            few = {
                _name(made[element]): element for element in elements_within(ordered, Range(**part))
            }
            asked = [{"id": name, "digest": _DIGEST} for name in few]
            found |= {few[name] for name in talk.say(path, {"events": asked})["missing"]}
        want = told["want"]
    return found


def _split(ordered: Sequence[bytes], part: dict[str, Any]) -> dict[str, Any]:
    whole = parse_range(part["lo"], part["hi"])
    digests = [
        digest_elements(elements_within(ordered, piece))
        for piece in split_range(whole, part.get("parts", PARTS))
    ]
    counts = [digest.count for digest in digests]
    sums = [spell_sum(digest.sum) for digest in digests]
    return {"lo": whole.lo, "hi": whole.hi, "counts": counts, "sums": sums}


def _name(number: int) -> str:
    return f"event-{number:06d}"


def _event(number: int) -> dict[str, Any]:
    at = (_TEN + timedelta(milliseconds=5 * number)).isoformat()
    return {
        "specversion": "1.0",
        "id": _name(number),
        "source": "lms",
        "type": "progress.started",
        "time": at,
        "recordedtime": at,
        "datadigest": _DIGEST,
        "data": {"learner": f"u{number}", "module": "m1", "module_type": "quest"},
    }
