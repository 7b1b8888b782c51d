"""The sources in examples/ do what the documents say, in both languages, against a real server."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from app.base.config import Settings
from app.intake.sources import add_source, set_evidence_url
from app.learning.contracts import Contract
from app.ledger.asking import ask_once
from app.main import create_app
from app.processing.drain import drain_all
from app.store.engine import Store, transaction
from tests.builders import an_event
from tests.contract.site import Caller, open_site
from tests.declared import sum_of

FOLDER = Path(__file__).parents[2] / "examples" / "sources"
TEN = datetime(2025, 5, 24, 10, tzinfo=UTC)
INTERVAL = ("quest", "2025-05-24T10:00:00Z", "2025-05-24T10:10:00Z")
SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
NODE = shutil.which("node")
COMMANDS = {"source.py": [sys.executable]} | ({"source.mjs": [NODE]} if NODE else {})
PROGRAMS = [
    pytest.param("source.py"),
    pytest.param("source.mjs", marks=pytest.mark.skipif(NODE is None, reason="there is no node")),
]


def quests(count: int) -> list[dict[str, Any]]:
    """So many quests within ten minutes, with texts that libraries like to spell in other ways."""
    events = []
    for number in range(count):
        at = (TEN + timedelta(seconds=number)).isoformat()
        data = {"learner": f"ü{number}/<&>", "module": "m\u20ac", "module_type": "quest"}
        events.append(an_event(id=f"é-{number}", time=at, recordedtime=at, data=data))
    return [event | {"type": "progress.started"} for event in events]


def call(program: str, *words: str, events: list[dict[str, Any]], **environment: str) -> Any:
    """Start an example on these events."""
    process = subprocess.Popen(
        [*COMMANDS[program], str(FOLDER / program), *INTERVAL, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {f"FULLCOUNT_{name}": value for name, value in environment.items()},
    )
    assert process.stdin is not None
    process.stdin.write("\n".join(json.dumps(event) for event in events).encode())
    process.stdin.close()
    return process


def run(
    program: str, *words: str, events: list[dict[str, Any]], **environment: str
) -> dict[str, Any]:
    """Run an example on these events; give what it tells."""
    process = call(program, *words, events=events, **environment)
    with process:
        told, faults = process.stdout.read(), process.stderr.read()
    assert process.returncode == 0, faults.decode()
    answer: dict[str, Any] = json.loads(told)
    return answer


def as_whom(**more: str) -> dict[str, str]:
    return {"ENVIRONMENT": "acme", "SOURCE": "lms", "KEY_ID": "k1", "SECRET": SECRET} | more


@pytest.mark.skipif(NODE is None, reason="there is no node")
def test_both_languages_give_the_same_digests() -> None:
    events = quests(40)
    told = {name: run(name, "show", events=events, **as_whom()) for name in COMMANDS}
    assert len(told) == 2
    assert told["source.py"] == told["source.mjs"]
    assert told["source.py"]["manifest"]["count"] == 40
    assert sum(told["source.py"]["split"]["counts"]) == 40


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_digest_is_the_one_of_the_documents(program: str) -> None:
    events = quests(3)
    told = run(program, "show", events=events, **as_whom())["manifest"]
    stamped = [event | {"datadigest": digest_of(event)} for event in events]
    assert told["sum"] == sum_of(SECRET, stamped)
    assert run(program, "show", events=[], **as_whom())["manifest"]["sum"] == "A" * 43


def digest_of(event: dict[str, Any]) -> str:
    """SHA-256 of the data without blanks, as both examples send it."""
    data = json.dumps(event["data"], separators=(",", ":"), ensure_ascii=False)
    return sha256(data.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Served:
    """A site on a port, and what its source `lms` needs to know."""

    caller: Caller
    words: dict[str, str]


@pytest.fixture
def served(store: Store, settings: Settings) -> Iterator[Served]:
    caller = open_site(store, settings).caller("acme")
    with transaction(store) as connection:
        made = add_source(
            connection, caller.environment_id, source_key="lms", contract=Contract(from_at=TEN)
        )
    application = create_app(settings, store=store, worker=False)
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.02)
        assert thread.is_alive()
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    yield Served(caller, as_whom(URL=url, KEY=caller.key, SECRET=made.secret))
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_example_sends_declares_beats_and_finds_what_is_missing(
    program: str, served: Served, store: Store, settings: Settings
) -> None:
    events = quests(300)
    lost = events[11::60]
    sent = [event | {"datadigest": digest_of(event)} for event in events if event not in lost]
    assert served.caller.post("/v1/events", json=sent).json()["accepted"] == 295
    drain_all(store, settings)
    told = run(program, "repair", events=events, **served.words)
    assert told["state"] == "short"
    assert sorted(told["missing"]) == sorted(event["id"] for event in lost)
    drain_all(store, settings)
    assert run(program, events=events, **served.words) == {"state": "matched", "missing": []}
    (row,) = served.caller.get("/v1/ingestion/buckets?stream=quest&source=lms").json()["items"]
    assert (row["declared"], row["applied"], row["is_weak"]) == (300, 300, False)
    (quest,) = served.caller.get("/v1/ingestion/lag?stream=quest").json()["streams"]
    sources = {source["source"]: source for source in quest["sources"]}
    assert (sources["lms"]["pending"], quest["counts"]["duplicate"]) == (0, 300)


@contextmanager
def answering(program: str, events: list[dict[str, Any]], words: dict[str, str]) -> Iterator[str]:
    """An example that answers on the loopback; gives its URL."""
    process = call(program, "serve", events=events, **words)
    with process:
        try:
            yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}/lms?key=k"
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("program", "count", "lost"),
    [
        pytest.param(*program.values, count, lost, marks=program.marks)
        for program in PROGRAMS
        for count, lost in [(300, 3), (300, 100), (12, 2), (5, 0)]
        if program is PROGRAMS[0] or count == 300
    ],
)
def test_an_example_that_is_asked_names_what_is_missing(
    program: str, count: int, lost: int, served: Served, store: Store, settings: Settings
) -> None:
    open_settings = settings.model_copy(update={"outbound_allow": "127.0.0.0/8"})
    events = quests(count)
    stamped = [event | {"datadigest": digest_of(event)} for event in events]
    kept = stamped[lost:]
    assert served.caller.post("/v1/events", json=kept).json()["accepted"] == len(kept)
    if lost:
        drain_all(store, settings)
    manifest = run(program, "show", events=events, **served.words)["manifest"]
    state = served.caller.post("/v1/manifests", json=manifest).json()["state"]
    assert state == "short"
    (defect,) = served.caller.get("/v1/ingestion/defects").json()["items"]
    path = f"/v1/ingestion/defects/{defect['defect_id']}/missing"
    with answering(program, events, served.words) as url:
        with transaction(store) as connection:
            set_evidence_url(connection, served.caller.environment_id, "lms", url)
        assert ask_once(store, open_settings)
        assert not ask_once(store, open_settings)
    told = served.caller.get(path).json()
    assert sorted(one["id"] for one in told["named"]) == sorted(e["id"] for e in events[:lost])
    assert (told["inquiry"]["state"], told["surplus"]) == ("done", [])
    assert len(told["stuck"]) == (0 if lost else count)
    assert served.caller.post("/v1/events", json=stamped[:lost] or stamped).status_code == 202
    drain_all(store, settings)
    assert served.caller.post("/v1/manifests", json=manifest).json()["state"] == "matched"
    assert served.caller.get(path).json()["named"] == []
