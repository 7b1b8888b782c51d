"""A source that can be asked: digests of ranges and names of events, over HTTP as `fm/1` has it.

What it answers is checked for its shape here; whether it is true, whoever asks finds by arithmetic.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

from app.base.config import Settings
from app.base.errors import OutsideFailed
from app.base.outbound import fetch_url
from app.learning.elements import read_sum, spell_sum
from app.learning.ranges import Digest, Range
from app.ledger.missing import DeclaredInterval

LISTED_AT_ONCE = 1_000
NAMED_AT_ONCE = 100
_NEEDED = "id,datadigest"
_ID_LENGTH = 200
_DIGEST_LENGTH = 64
_CURSOR_LENGTH = 4_000


class Peer:
    """The source of one interval, asked one thing after another.

    renew: called before each request; it may raise, and then nothing is asked
    waits_s: how long its last answer asked us to wait
    request_count: how often it was asked
    """

    def __init__(
        self,
        url: str,
        interval: DeclaredInterval,
        settings: Settings,
        *,
        renew: Callable[[], None],
    ) -> None:
        self._url = url
        self._settings = settings
        self._renew = renew
        self._interval = {
            "stream": interval.stream,
            "from": _spell_time(interval.from_at),
            "to": _spell_time(interval.to_at),
        }
        self.waits_s = 0.0
        self.request_count = 0

    def digest_parts(self, part: Range) -> list[Digest]:
        """Give the digests of the parts of a range, in order.

        Raises: AddressRefused, OutsideFailed
        """
        told = self._ask("fm/ranges", lo=part.lo, hi=part.hi, split=str(part.parts))
        counts, sums = told.get("counts"), told.get("sums")
        if not (isinstance(counts, list) and isinstance(sums, list)):
            raise OutsideFailed('its ranges are no {"counts": [...], "sums": [...]}')
        if len(counts) != part.parts or len(sums) != part.parts:
            raise OutsideFailed(f"it was asked for {part.parts} parts and told others")
        return [_read_digest(count, text) for count, text in zip(counts, sums, strict=True)]

    def name_elements(self, elements: Sequence[bytes]) -> list[tuple[str, str]]:
        """Give id and digest of the events that have these elements, as far as it knows them.

        Raises: AddressRefused, OutsideFailed
        """
        told = self._ask("fm/events", elements=",".join(map(spell_sum, elements)))
        return _read_events(told)

    def list_range(self, part: Range) -> list[tuple[str, str]]:
        """Give id and digest of its events in a range.

        Raises: AddressRefused, OutsideFailed
        """
        return _read_events(self._ask("fm/events", lo=part.lo, hi=part.hi))

    def list_page(self, after: str) -> tuple[list[tuple[str, str]], str]:
        """Give a page of its events, and where the next one begins; empty at the end.

        Raises: AddressRefused, OutsideFailed
        """
        given = {"after": after} if after else {}
        told = self._ask("fm/events", limit=str(LISTED_AT_ONCE), **given)
        events, following = _read_events(told), told.get("next")
        if following is None or not events:
            return events, ""
        if not isinstance(following, str) or not 0 < len(following) <= _CURSOR_LENGTH:
            raise OutsideFailed(f'its "next" is no text of up to {_CURSOR_LENGTH} characters')
        if following == after:
            raise OutsideFailed('its "next" is where the page began')
        return events, following

    def _ask(self, path: str, **given: str) -> dict[str, Any]:
        self._renew()
        query = self._interval | given | ({"fields": _NEEDED} if path == "fm/events" else {})
        self.waits_s = 0.0
        self.request_count += 1
        fetched = fetch_url(_join_path(self._url, path), self._settings, query=query)
        self.waits_s = fetched.retry_after_s
        if fetched.status != 200:
            raise OutsideFailed(f"it answered {fetched.status}")
        try:
            told = orjson.loads(fetched.body)
        except orjson.JSONDecodeError:
            raise OutsideFailed("its answer is not JSON") from None
        if not isinstance(told, dict):
            raise OutsideFailed("its answer is no JSON object")
        return told


def _join_path(url: str, path: str) -> str:
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{path}").geturl()


def _spell_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _read_digest(count: Any, text: Any) -> Digest:
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count < 2**53:
        raise OutsideFailed("a count of its ranges is no whole number")
    try:
        return Digest(count, read_sum(text) if isinstance(text, str) else b"")
    except ValueError as error:
        raise OutsideFailed(f"a sum of its ranges is not right: {error}") from None


def _read_events(told: dict[str, Any]) -> list[tuple[str, str]]:
    events = told.get("events")
    if not isinstance(events, list):
        raise OutsideFailed('its events are no {"events": [...]}')
    if len(events) > LISTED_AT_ONCE:
        raise OutsideFailed(f"it told {len(events)} events; {LISTED_AT_ONCE} are the limit")
    return [_read_event(event) for event in events]


def _read_event(event: Any) -> tuple[str, str]:
    """Read an event: whole, or its id and the digest of its data alone."""
    told = event if isinstance(event, dict) else {}
    event_id, digest = told.get("id"), told.get("datadigest", "")
    if not isinstance(event_id, str) or not 0 < len(event_id) <= _ID_LENGTH or "\0" in event_id:
        raise OutsideFailed("an event that it told has no id")
    if not isinstance(digest, str) or len(digest) > _DIGEST_LENGTH or "\0" in digest:
        raise OutsideFailed("an event that it told has no proper datadigest")
    return event_id, digest.lower()
