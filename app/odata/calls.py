"""One request as the feed reads it, whether it came alone or as a part of a batch."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from starlette.types import Scope

from app.access.principal import Principal
from app.base.errors import TooExpensive

MOUNTED_AT = "/odata/v4"
URL_SIGNS = "!$%&'()*+,-./:;=?@[]_~"


@dataclass(frozen=True, slots=True)
class Call:
    """A request below the service root.

    path: raw, without slashes at its ends
    query: the raw query string
    headers: by their lower-case names; several of one name are one, joined by commas
    identify: says who sends it
    deadline: when its time is over, on the monotonic clock; None for the usual limit
    within_batch: is it a part of a batch?
    in_background: is it run for a caller who asks for the answer later?
    mounted: the path the service is mounted at here
    within_s: it may hold the event loop for so long and no longer; None in a thread
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    identify: Callable[[], Principal]
    deadline: float | None = None
    within_batch: bool = False
    in_background: bool = False
    mounted: str = ""
    within_s: float | None = None

    def header(self, name: str) -> str:
        """A header by its lower-case name; empty without it."""
        return self.headers.get(name, "")

    def seconds_left(self, limit_s: float) -> float:
        """How long a question of this request may take.

        Raises: TooExpensive, when nothing is left
        """
        if self.within_s is not None:
            return min(self.within_s, limit_s)
        if self.deadline is None:
            return limit_s
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TooExpensive(
                "the parts before this one used up the time of the batch",
                hint="Ask for less in one batch, or send this part by itself.",
            )
        return min(left, limit_s)


def read_call(scope: Scope, body: bytes, identify: Callable[[Scope], Principal]) -> Call:
    """The request of an ASGI scope; it is routed on its raw path and raw query string."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    mounted = str(scope.get("root_path", "")).strip("/")
    segments = readable(raw.partition(b"?")[0]).split("/")[1:]
    below = "/".join(segments[len(mounted.split("/")) if mounted else 0 :])
    return Call(
        method=scope["method"],
        path=below.strip("/"),
        query=readable(scope["query_string"]),
        headers=read_headers(scope["headers"]),
        body=body,
        identify=partial(identify, scope),
        mounted=f"/{mounted}" if mounted else "",
    )


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by their lower-case names; several of one name are joined by commas."""
    headers: dict[str, str] = {}
    for name, value in raw:
        known, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[known] = f"{headers[known]},{text}" if known in headers else text
    return headers


def readable(raw: bytes | str) -> str:
    """A raw piece of a URL as text that may stand in a link: what may not is percent-encoded.

    A dollar sign means the same encoded: `%24metadata` is what some clients ask for.
    """
    return quote(raw, safe=URL_SIGNS).replace("%24", "$")
