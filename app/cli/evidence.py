"""What the demo's sources say of what they made: live events, manifests and heartbeats, by HTTP.

A source counts what it has recorded, not what it has sent. One of them holds quests back: they are
recorded and never become events, so only its own word tells of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import orjson
from sqlalchemy import Connection, select

from app.base.clock import format_time
from app.learning.contracts import Contract
from app.learning.elements import (
    SPEC,
    frame_stream,
    make_element,
    moment_of_slot,
    slot_number,
    spell_sum,
    sum_elements,
)
from app.learning.identity import stream_of
from app.ledger.manifests import SUMMED
from app.store.contracts import read_contracts
from app.store.sums import EvidenceKey, read_keys
from app.store.tables import Environment, Event, Source, StreamState
from app.store.tables.columns import table_of

HELD_BACK = ("globex", "field-app", "quest")
"""Environment, source and stream of what is recorded and never sent."""

_QUICK = Contract(
    bucket_s=20, close_delay_s=5, grace_s=10, objective_s=60, heartbeat_s=5, stall_s=300
)
_BEATS_EVERY = timedelta(seconds=4)
_CLOSES_AFTER = timedelta(seconds=_QUICK.close_delay_s)

Fact = dict[str, Any]
StreamKey = tuple[str, str]
"""Source and stream."""


def quick_contract(since: datetime) -> Contract:
    """The terms of the demo: what is held back shows within a minute and a half.

    since: the end of the simulated history; it is owed from the bucket behind it
    """
    slot = slot_number(since, _QUICK.bucket_s) + 1
    return replace(_QUICK, from_at=moment_of_slot(slot, _QUICK.bucket_s))


class Account:
    """What the sources of one company have made since it was last declared.

    declared_through: by source and stream, of what is owed under the terms of the demo
    made: recorded moments and elements, by source and stream
    unsent: events that the door did not take yet
    held_back: recorded moments of what is never sent
    """

    def __init__(
        self,
        environment: str,
        keys: Mapping[str, EvidenceKey],
        *,
        declared_through: Mapping[StreamKey, datetime],
    ) -> None:
        self._environment, self._keys = environment, keys
        self.declared_through = dict(declared_through)
        self.made: dict[StreamKey, list[tuple[datetime, bytes]]] = {}
        self.unsent: list[Fact] = []
        self.held_back: list[datetime] = []
        self.beaten_at: datetime | None = None

    def record(self, events: Iterable[Fact], *, at: datetime) -> None:
        """Take events as recorded at this moment; all but what is held back wait to be sent."""
        for told in events:
            event = {**told, "recordedtime": format_time(at)}
            source, stream = event["source"], stream_of(event["type"], event["data"])
            framed = frame_stream(self._environment, source, stream)
            element = make_element(self._keys[source].secret, framed, event["id"], "")
            self.made.setdefault((source, stream), []).append((at, element))
            if (self._environment, source, stream) == HELD_BACK:
                self.held_back.append(at)
            else:
                self.unsent.append(event)

    def manifests(self, at: datetime) -> list[Fact]:
        """What has closed and was not declared yet, an interval a source and stream."""
        closed = slot_number(at - _CLOSES_AFTER, _QUICK.bucket_s)
        through = moment_of_slot(closed, _QUICK.bucket_s)
        return [
            self._manifest(key, since, through)
            for key, since in self.declared_through.items()
            if since < through
        ]

    def _manifest(self, key: StreamKey, since: datetime, through: datetime) -> Fact:
        own = [element for at, element in self.made.get(key, ()) if since <= at < through]
        return {
            "spec": SPEC,
            "source": key[0],
            "stream": key[1],
            "from": format_time(since),
            "to": format_time(through),
            "anchor": "record",
            "count": len(own),
            "alg": SUMMED,
            "key_id": self._keys[key[0]].key_id,
            "sum": spell_sum(sum_elements(own)),
        }

    def note_declared(self, manifests: Iterable[Fact]) -> None:
        """What these manifests hold need not be remembered any more."""
        for told in manifests:
            key, through = (told["source"], told["stream"]), datetime.fromisoformat(told["to"])
            self.declared_through[key] = through
            self.made[key] = [one for one in self.made.get(key, ()) if one[0] >= through]

    def heartbeats(self, at: datetime) -> list[Fact]:
        """A sign of life of each source; the one that holds back says how much and since when."""
        beats = []
        for source in sorted({source for source, _ in self.declared_through}):
            streams = []
            if (self._environment, source) == HELD_BACK[:2] and self.held_back:
                since = format_time(self.held_back[0])
                told = {"closed_through": since, "pending": len(self.held_back)}
                streams.append({"stream": HELD_BACK[2], **told, "oldest_pending": since})
            seq = int(at.timestamp() * 1000)
            beat = {"source": source, "sent_at": format_time(at), "seq": seq, "streams": streams}
            beats.append(beat)
        return beats


def open_account(connection: Connection, environment_id: int) -> Account:
    """The account of an environment's sources, going on where they last stopped.

    What was sent and not declared before a restart is taken from the journal; what was held back
    and not declared is forgotten.
    """
    environment, source = table_of(Environment), table_of(Source)
    name = connection.execute(
        select(environment.c.environment_key).where(environment.c.environment_id == environment_id)
    ).scalar_one()
    rows = connection.execute(
        select(source.c.source_id, source.c.source_key).where(
            source.c.environment_id == environment_id
        )
    )
    names = {row.source_id: row.source_key for row in rows}
    found = read_keys(connection, environment_id).items()
    keys = {names[source_id]: newest_first[0] for source_id, newest_first in found}
    declared_through = _read_declared(connection, environment_id, names)
    account = Account(name, keys, declared_through=declared_through)
    _recall_made(connection, environment_id, account, names)
    return account


def _read_declared(
    connection: Connection, environment_id: int, names: dict[int, str]
) -> dict[StreamKey, datetime]:
    """How far each stream is declared; those under other terms than the demo's are left alone."""
    state = table_of(StreamState)
    reached = {
        (row.source_id, row.stream): row.declared_through
        for row in connection.execute(
            select(state.c.source_id, state.c.stream, state.c.declared_through).where(
                state.c.environment_id == environment_id
            )
        )
    }
    return {
        (names[source_id], stream): reached.get((source_id, stream)) or contract.from_at
        for (source_id, stream), contract in read_contracts(connection, environment_id).items()
        if contract.bucket_s == _QUICK.bucket_s
    }


def _recall_made(
    connection: Connection, environment_id: int, account: Account, names: dict[int, str]
) -> None:
    if not account.declared_through:
        return
    event = table_of(Event)
    rows = connection.execute(
        select(event.c.source_id, event.c.stream, event.c.recorded_at, event.c.element).where(
            event.c.environment_id == environment_id,
            event.c.recorded_at >= min(account.declared_through.values()),
        )
    )
    for source_id, stream, recorded_at, element in rows:
        if element is not None:
            made = account.made.setdefault((names[source_id], stream), [])
            made.append((recorded_at, bytes(element)))


def speak_live(client: httpx.Client, account: Account, *, key: str, at: datetime) -> None:
    """Send what waits, declare what has closed, give signs of life; what fails is tried again."""
    try:
        if account.unsent:
            _post(client, "/v1/events", account.unsent, key=key)
            account.unsent.clear()
        manifests = account.manifests(at)
        if manifests:
            _post(client, "/v1/manifests", manifests, key=key)
            account.note_declared(manifests)
        if account.beaten_at is None or at - account.beaten_at >= _BEATS_EVERY:
            for beat in account.heartbeats(at):
                _post(client, "/v1/heartbeats", beat, key=key)
            account.beaten_at = at
    except httpx.HTTPError:
        return


def _post(client: httpx.Client, path: str, body: Sequence[Fact] | Fact, *, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    client.post(path, content=orjson.dumps(body), headers=headers).raise_for_status()
