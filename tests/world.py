"""The one driver that scenarios speak through: systems of record, their deliveries and evidence,
the worker's steps, callers, and a clock that stands still until it is moved.

All of it goes through the HTTP application; nothing runs in the background.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import http_sf
import time_machine
from sqlalchemy import insert, update

from app.access.environments import add_environment
from app.base.clock import now
from app.base.config import Settings
from app.ledger.buckets import fold_everywhere
from app.ledger.defects import check_all_books
from app.ledger.history import keep_history
from app.processing.drain import drain_all
from app.store.engine import Store, transaction
from app.store.evidence import note_evidence
from app.store.tables import Repair
from app.store.tables.columns import table_of
from tests.contract.site import Caller, Site, open_site
from tests.declared import sum_of, wire

SENT_AT_ONCE = 1000
_WIRE_S = timedelta(seconds=1)


@dataclass(slots=True)
class Fact:
    """One thing a system of record has stored: the event that tells of it, and how far it went.

    is_made: the event was generated; is_sent: it was handed over
    """

    event: dict[str, Any]
    at: datetime
    is_made: bool = True
    is_sent: bool = False


@dataclass(slots=True)
class System:
    """A source of one environment: what it records, hands over, declares.

    anchor: what its manifests are counted from; only `emitter` overlooks what was never made
    held: streams for which nothing is generated any more; their facts are recorded all the same
    """

    world: "World"
    caller: Caller
    environment: str
    name: str
    secret: str
    key_id: str
    streams: tuple[str, ...]
    bucket: timedelta
    anchor: str = "record"
    alg: str = "hmac-sha256/sum256"
    held: set[str] = field(default_factory=set)
    facts: dict[str, list[Fact]] = field(default_factory=dict)
    versions: Counter[tuple[str, datetime]] = field(default_factory=Counter)
    beat: int = 0

    @property
    def source_id(self) -> int:
        """The number of this source in its environment: sources are numbered as they come."""
        mine = [s for s in self.world.systems if s.environment == self.environment]
        return mine.index(self) + 1

    def records(self, stream: str, *moments: datetime, learner: str = "") -> None:
        """Facts stored at these moments; each is an event unless generation has stopped."""
        for moment in moments:
            kept = self.facts.setdefault(stream, [])
            name = f"{self.name}-{stream}-{len(kept) + 1}"
            data = {"learner": learner or f"u{len(kept) + 1}", "module": f"m-{stream}"}
            data["module_type"] = stream
            event = {
                "specversion": "1.0",
                "id": name,
                "source": self.name,
                "type": "progress.completed",
                "time": wire(moment),
                "recordedtime": wire(moment + timedelta(milliseconds=1)),
                "datadigest": hashlib.sha256(json.dumps(data).encode()).hexdigest(),
                "data": data,
            }
            kept.append(Fact(event, moment, is_made=stream not in self.held))

    def unmakes(self, *names: str) -> None:
        """Nothing was generated of these facts, which are recorded all the same."""
        for fact in (fact for facts in self.facts.values() for fact in facts):
            if fact.event["id"] in names:
                fact.is_made = False

    def waiting(self, *streams: str) -> list[Fact]:
        """What is recorded and was not handed over, the earliest first."""
        facts = [f for s in streams or self.streams for f in self.facts.get(s, ())]
        return sorted((f for f in facts if not f.is_sent), key=lambda fact: fact.at)

    def sends(self, facts: Iterable[Fact]) -> dict[str, int]:
        """Hand facts over, whether generated before or only now; give what the receipts count."""
        fates: Counter[str] = Counter()
        for part in _chunks(list(facts), SENT_AT_ONCE):
            body = [fact.event for fact in part]
            told = self.caller.post("/v1/events", json=body)
            assert told.status_code == 202, told.text
            fates.update({key: told.json()[key] for key in ("accepted", "duplicate", "rejected")})
            for fact in part:
                fact.is_made = fact.is_sent = True
        return dict(fates)

    def hands_over(self) -> None:
        """Send what was generated and not sent."""
        self.sends(fact for fact in self.waiting() if fact.is_made)

    def declares(
        self,
        since: datetime,
        through: datetime,
        *streams: str,
        width: timedelta | None = None,
        anchor: str = "",
    ) -> list[Any]:
        """Say what was made from `since` to `through`, an interval a bucket; gives the answers.

        What was declared before is stated anew, as the next version.
        """
        told, width, anchor = [], width or self.bucket, anchor or self.anchor
        for stream in streams or self.streams:
            begins = since
            while begins < through:
                told.append(self._manifest(stream, begins, width=width, anchor=anchor))
                begins += width
        answers: list[Any] = []
        for part in _chunks(told, SENT_AT_ONCE):
            response = self.caller.post("/v1/manifests", json=part)
            assert response.status_code == 200, response.text
            answers += response.json()["items"]
        refused = [one for one in answers if one["state"] == "refused"]
        assert not refused, refused[:1]
        return answers

    def _manifest(
        self, stream: str, begins: datetime, *, width: timedelta, anchor: str
    ) -> dict[str, Any]:
        facts = self.facts.get(stream, ())
        events = [
            fact.event
            for fact in facts
            if begins <= fact.at < begins + width and (fact.is_made or anchor != "emitter")
        ]
        self.versions[stream, begins] += 1
        manifest = {
            "spec": "fm/1",
            "source": self.name,
            "stream": stream,
            "from": wire(begins),
            "to": wire(begins + width),
            "anchor": anchor,
            "version": self.versions[stream, begins],
            "count": len(events),
            "alg": self.alg,
        }
        if self.alg != "count":
            total = sum_of(self.secret, events, environment=self.environment)
            manifest |= {"key_id": self.key_id, "sum": total}
        return manifest

    def beats(self, **told: Any) -> None:
        """A heartbeat, a second under way.

        told: by stream, what it says of that one: closed_through, pending, oldest_pending
        """
        self.beat += 1
        body = {
            "source": self.name,
            "sent_at": wire(self.world.now - _WIRE_S),
            "seq": self.beat,
            "streams": [{"stream": stream, **said} for stream, said in told.items()],
        }
        response = self.caller.post("/v1/heartbeats", json=body)
        assert response.status_code == 200, response.text

    def backlog(self) -> dict[str, dict[str, Any]]:
        """What a candid heartbeat says: what of each stream waits, and how far it is closed."""
        told = {}
        for stream in self.streams:
            waiting = self.waiting(stream)
            closed = waiting[0].at if waiting else self.world.now
            told[stream] = {"closed_through": wire(closed), "pending": len(waiting)}
            if waiting:
                told[stream]["oldest_pending"] = wire(waiting[0].at)
        return told

    def repairs(self, streams: Sequence[str], *, lease: timedelta) -> None:
        """A repair of these streams runs, with a lease; a lease of nothing ends it."""
        repair, at, environment_id = table_of(Repair), now(), self.caller.environment_id
        told: dict[str, Any] = {"lease_until": at + lease, "state": "running" if lease else "done"}
        begun = {"repair_id": 1, "started_at": at, "streams": json.dumps(list(streams))}
        with transaction(self.world.store) as connection:
            mine = (repair.c.environment_id == environment_id) & (repair.c.repair_id == 1)
            ended = {**told, "ended_at": None if lease else at}
            if not connection.execute(update(repair).where(mine).values(**ended)).rowcount:
                row = {"environment_id": environment_id, "source_id": self.source_id, **begun}
                connection.execute(insert(repair).values(**row, **told, done=0, total=0))
            note_evidence(connection, environment_id)


@dataclass(slots=True)
class World:
    """The site, the systems that speak to it, and what o'clock it is."""

    store: Store
    settings: Settings
    clock: Any
    site: Site
    systems: list[System] = field(default_factory=list)
    callers: dict[str, Caller] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        """What o'clock it is."""
        return now()

    def moves_to(self, moment: datetime) -> None:
        """The clock goes to a moment; nothing happens meanwhile."""
        self.clock.move_to(moment)

    def passes(self, **span: float) -> None:
        """Time passes, and nothing happens meanwhile: `passes(minutes=16)`."""
        self.clock.move_to(self.now + timedelta(**span))

    def caller(self, environment: str = "acme") -> Caller:
        """A caller with all scopes in an environment, which begins to exist."""
        if environment not in self.callers:
            with transaction(self.store) as connection:
                environment_id = add_environment(connection, environment_key=environment)
            self.callers[environment] = self.site.key_of(environment_id)
        return self.callers[environment]

    def system(
        self,
        name: str,
        *streams: str,
        environment: str = "acme",
        anchor: str = "record",
        **terms: Any,
    ) -> System:
        """A source registered over HTTP; it owes these streams under these terms from now on."""
        caller = self.caller(environment)
        bucket_s = terms.get("bucket_s", 600)
        since = self.now - timedelta(seconds=self.now.timestamp() % bucket_s)
        contract = {"from": wire(since), **terms}
        body = {"source": name, "streams": list(streams), "contract": contract}
        made = caller.post("/v1/sources", json=body)
        assert made.status_code == 201, made.text
        told = made.json()
        system = System(
            world=self,
            caller=caller,
            environment=environment,
            name=name,
            secret=told["secret"],
            key_id=told["key_id"],
            streams=tuple(streams),
            bucket=timedelta(seconds=bucket_s),
            anchor=anchor,
        )
        self.systems.append(system)
        return system

    def works(self) -> None:
        """The worker drains and folds, until nothing is left to do."""
        drain_all(self.store, self.settings)
        while fold_everywhere(self.store):
            pass

    def witnesses(self) -> None:
        """The worker looks whether the books balance, and keeps what we say of streams now."""
        check_all_books(self.store, now=self.now)
        keep_history(self.store, now=self.now)

    def ask(self, *streams: str, environment: str = "acme", **more: Any) -> "Told":
        """A question about the rows of these module types, or about all of them."""
        names = ",".join(f"'{stream}'" for stream in streams)
        body = {"dataset": "LearnerProgress", "select": ["learner_key"], **more}
        if streams:
            body["where"] = f"module_type in ({names})"
        return read_told(self.caller(environment).post("/v1/query", json=body))

    def lag(self, stream: str = "", *, environment: str = "acme") -> dict[str, Any]:
        """What the lag endpoint says of a stream, or of all."""
        told = self.caller(environment).get("/v1/ingestion/lag", params={"stream": stream})
        read_told(told)
        body: dict[str, Any] = told.json()
        return body["streams"][0] if stream else body

    def defects(self, state: str = "open", *, environment: str = "acme") -> list[Any]:
        """The defects of an environment."""
        path: str | None = f"/v1/ingestion/defects?state={state}&limit=1000"
        items: list[Any] = []
        while path:
            told = self.caller(environment).get(path).json()
            items, path = items + told["items"], told["next"]
        return items

    def pending_count(self, environment: str = "acme") -> int:
        """How much our own queue holds: accepted and not applied."""
        books = self.caller(environment).get("/v1/books").json()
        assert books["balanced"] is True, books
        count: int = sum(stream["pending"] for stream in books["streams"])
        return count


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer says of its own freshness, read by the rules of RFC 9651.

    said: verdict and reason, as `stalled deficit_not_shrinking`
    """

    status: int
    said: str
    parameters: dict[str, Any]
    streams: dict[str, dict[str, Any]]
    response: Any

    @property
    def through(self) -> datetime | None:
        """Complete through when."""
        moment: datetime | None = self.parameters.get("through")
        return moment


def read_told(response: Any) -> Told:
    """Read both headers of an answer, and hold them against each other and against their room."""
    item, listed = (response.headers[f"data-freshness{end}"] for end in ("", "-streams"))
    assert len(item) + len(listed) <= 2048
    parsed: Any = http_sf.parse(item.encode(), tltype="item")
    streams: Any = http_sf.parse(listed.encode(), tltype="list")
    verdict, parameters = str(parsed[0]), dict(parsed[1])
    assert item.partition(";")[0] == verdict
    assert ("reason" in parameters) == (verdict != "complete"), item
    by_name = {str(name): dict(told) for name, told in streams}
    if streams:
        first = str(streams[0][0])
        assert (str(by_name[first]["v"]), parameters["worst"]) == (verdict, first), listed
    said = f"{verdict} {parameters.get('reason', '')}".strip()
    return Told(response.status_code, said, parameters, by_name, response)


def open_world(store: Store, settings: Settings, *, begins: datetime) -> Iterator[World]:
    """A world whose clock stands at a moment."""
    with time_machine.travel(begins, tick=False) as clock:
        yield World(store, settings, clock, open_site(store, settings))


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
