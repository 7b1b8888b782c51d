"""What it takes a source to learn, by name, which few of very many events are missing."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import orjson
from starlette.testclient import TestClient

from app.access.keys import issue_key
from app.base.config import Settings
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.learning.elements import frame_stream, make_element, read_sum, spell_sum, sum_elements
from app.learning.ranges import (
    PARTS,
    Range,
    digest_elements,
    elements_within,
    parse_range,
    split_range,
)
from app.main import create_app
from app.store.engine import close_store, open_store, transaction
from bench.measure import Figure, tell
from bench.server import prepare_database

EVENTS = 100_000
MISSING = 10
WANTED_BYTES = 4_096
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


def run_exchange() -> list[Figure]:
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
        made = {make_element(read_sum(secret), framed, _name(n), _DIGEST): n for n in range(EVENTS)}
        ordered = sorted(made)
        lost = set(Random(1).sample(ordered, MISSING))
        tell(f"  sending {EVENTS - MISSING:,} events of one bucket")
        kept = [_event(number) for element, number in made.items() if element not in lost]
        for start in range(0, len(kept), 1_000):
            items = kept[start : start + 1_000]
            accept_items(store, settings, environment_id=1, items=items)
        client = TestClient(create_app(settings, store=store, worker=False))
        talk = Talk(client, key)
        manifest = _declare(talk, ordered)
        found = _find_missing(talk, manifest, ordered, made)
        if found != lost:
            raise SystemExit(f"{len(found)} of {MISSING} missing events were named")
    named = f"{MISSING} missing of {EVENTS:,} named"
    return [
        Figure(named, talk.bytes, "bytes", WANTED_BYTES, at_most=True),
        Figure("... in so many requests", talk.rounds, "requests"),
    ]


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
