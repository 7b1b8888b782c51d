"""A source that tells what it made: manifests and heartbeats for all streams, by HTTP."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app.base.config import Settings
from app.learning.modules import STREAM_NAMES
from app.ledger.buckets import fold_everywhere
from app.processing.drain import drain_all
from app.store.engine import Store
from tests.contract.site import Caller, an_event

NOON = datetime(2025, 5, 24, 12, tzinfo=UTC)
START = datetime(1970, 1, 1, tzinfo=UTC)


def spell(moment: datetime) -> str:
    """A moment as it travels."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(slots=True)
class Speaker:
    """The source `legacy` of one caller's environment.

    beat: the number of its last heartbeat
    """

    _caller: Caller
    _store: Store
    _settings: Settings
    _beat: int = 0

    def sends(self, *ids: str, at: datetime, stream: str = "quest") -> None:
        """Events of a stream recorded at a moment, one learner each; applied at once."""
        events = [
            an_event(name, learner=name, module_type=stream)
            | {"recordedtime": spell(at), "time": spell(at)}
            for name in ids
        ]
        told = self._caller.post("/v1/events", json=events).json()
        assert told["accepted"] == len(ids), told
        self.drains()

    def drains(self) -> None:
        """All work done."""
        drain_all(self._store, self._settings)

    def folds(self) -> None:
        """The digests of all that came are folded."""
        fold_everywhere(self._store)

    def declares(
        self,
        through: datetime,
        *,
        since: datetime = START,
        streams: Iterable[str] = STREAM_NAMES,
        version: int = 1,
        anchor: str = "record",
        **counts: int,
    ) -> list[Any]:
        """One interval of each stream, so many events in each."""
        manifests = [
            {
                "spec": "fm/1",
                "source": "legacy",
                "stream": name,
                "from": spell(since),
                "to": spell(through),
                "anchor": anchor,
                "version": version,
                "count": counts.get(name, 0),
                "alg": "count",
            }
            for name in streams
        ]
        response = self._caller.post("/v1/manifests", json=manifests)
        assert response.status_code == 200, response.text
        items: list[Any] = response.json()["items"]
        assert all("state" in item for item in items), items
        return items

    def beats(self, now: datetime, **said: Any) -> None:
        """A heartbeat, a second under way; `said` is told of the stream quest."""
        self._beat += 1
        streams = [{"stream": "quest", **said}] if said else []
        body = {
            "source": "legacy",
            "sent_at": spell(now - timedelta(seconds=1)),
            "seq": self._beat,
            "streams": streams,
        }
        response = self._caller.post("/v1/heartbeats", json=body)
        assert response.status_code == 200, response.text
