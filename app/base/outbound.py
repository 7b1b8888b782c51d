"""HTTP to the outside: a URL in, its answer out, within limits and to checked addresses only.

A name is resolved once, its address is checked, and that very address is connected to; a redirect
is checked anew. Proxies of the surroundings are ignored. Source: docs/settings.md, "Limits".
"""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from time import monotonic
from urllib.parse import urljoin, urlsplit

import httpx

from app.base.clock import now
from app.base.config import Settings
from app.base.errors import AddressRefused, OutsideFailed

_ALLOW_HINT = "FULLCOUNT_OUTBOUND_ALLOW lists what may be asked besides public https addresses."
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
_AGENT = "Fullcount"
_NAT64 = IPv6Network("64:ff9b::/96")

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a server answered.

    status: as it was told; a redirect was followed
    retry_after_s: how long it asked us to wait, 0 when it did not, never more than the limit
    """

    status: int
    body: bytes
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class _Place:
    """A URL taken apart, and the checked address behind its name."""

    url: str
    scheme: str
    host: str
    port: int
    address: Address


def fetch_url(url: str, settings: Settings, *, query: Mapping[str, str] | None = None) -> Fetched:
    """Get a URL.

    Shape:  query: parameters to add, or to replace in the URL
    Raises: AddressRefused, OutsideFailed
    """
    deadline = monotonic() + settings.limit_outbound_total_s
    _check_looks(url, settings)
    asked = str(httpx.URL(url).copy_merge_params(dict(query or {})))
    for _ in range(settings.limit_outbound_redirects + 1):
        with _answered(_find_place(asked, settings), settings) as response:
            target = response.headers.get("location")
            if response.status_code not in _REDIRECTS or target is None:
                body = _read_bounded(response, settings, deadline=deadline)
                waits_s = _read_retry_after(response.headers.get("retry-after"), settings)
                return Fetched(response.status_code, body, waits_s)
        asked = _join_url(asked, target)
    raise OutsideFailed(f"it redirects more than {settings.limit_outbound_redirects} times")


def _join_url(url: str, target: str) -> str:
    try:
        return urljoin(url, target)
    except ValueError:
        raise AddressRefused("it redirects to a URL that cannot be read") from None


def check_url(url: str, settings: Settings) -> None:
    """Refuse a URL that `fetch_url` would refuse by its looks; its name is not resolved.

    Raises: AddressRefused
    """
    _check_looks(url, settings)


def _check_looks(url: str, settings: Settings) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        raise AddressRefused("the URL cannot be read") from None
    if scheme not in _PORTS or not host or " " in url or not url.isprintable():
        raise AddressRefused("a URL here begins with https:// and names a host")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("a URL holds no user name and no password")
    chosen = port or _PORTS[scheme]
    literal = _as_address(host)
    if scheme != "https" and not _is_listed(host, chosen, literal, settings):
        raise AddressRefused("only https is asked", hint=_ALLOW_HINT)
    if literal is not None:
        _check_address(literal, host, chosen, settings)
    return scheme, host, chosen


def _find_place(url: str, settings: Settings) -> _Place:
    """Resolve the name of a URL and check every address that it has."""
    scheme, host, port = _check_looks(url, settings)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise OutsideFailed(f"the name {host[:100]!r} cannot be resolved") from None
    addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    for address in addresses:
        _check_address(address, host, port, settings)
    return _Place(url, scheme, host, port, addresses[0])


def _check_address(address: Address, host: str, port: int, settings: Settings) -> None:
    plain = _plain_address(address)
    is_public = plain.is_global and not plain.is_multicast
    if not is_public and not _is_listed(host, port, address, settings):
        raise AddressRefused(f"{host[:100]!r} is not a public address", hint=_ALLOW_HINT)


def _plain_address(address: Address) -> Address:
    """The IPv4 address within an IPv6 one, where it carries one: it is what is reached."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _is_listed(host: str, port: int, address: Address | None, settings: Settings) -> bool:
    """Does the operator allow this host, host and port, or network by name?"""
    for entry in filter(None, map(str.strip, settings.outbound_allow.split(","))):
        if entry.lower() in {host.lower(), f"{host.lower()}:{port}", f"[{host.lower()}]:{port}"}:
            return True
        try:
            network = ip_network(entry)
        except ValueError:
            continue
        if address is not None and _plain_address(address) in network:
            return True
    return False


def _as_address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


@contextmanager
def _answered(place: _Place, settings: Settings) -> Iterator[httpx.Response]:
    """The answer of the checked address, its body not read yet.

    Raises: OutsideFailed
    """
    timeout = httpx.Timeout(
        settings.limit_outbound_read_s, connect=settings.limit_outbound_connect_s
    )
    shown = str(place.address)
    netloc = f"[{shown}]" if place.address.version == 6 else shown
    parts = urlsplit(place.url)
    url = parts._replace(netloc=f"{netloc}:{place.port}", fragment="").geturl()
    default = place.port == _PORTS[place.scheme]
    named = f"[{place.host}]" if ":" in place.host else place.host
    headers = {
        "Host": named if default else f"{named}:{place.port}",
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "User-Agent": _AGENT,
    }
    try:
        with (
            httpx.Client(trust_env=False, timeout=timeout, follow_redirects=False) as client,
            client.stream(
                "GET", url, headers=headers, extensions={"sni_hostname": place.host}
            ) as response,
        ):
            yield response
    except httpx.TimeoutException as error:
        raise OutsideFailed(f"it took too long ({type(error).__name__})") from None
    except httpx.HTTPError as error:
        raise OutsideFailed(f"it cannot be reached ({type(error).__name__})") from None


def _read_bounded(response: httpx.Response, settings: Settings, *, deadline: float) -> bytes:
    """The body, counted as it is unpacked, within the time for the whole."""
    body = bytearray()
    for chunk in response.iter_bytes(64 * 1024):
        body += chunk
        if len(body) > settings.limit_outbound_bytes:
            raise OutsideFailed(f"it sent more than {settings.limit_outbound_bytes} bytes")
        if monotonic() > deadline:
            raise OutsideFailed(f"it took longer than {settings.limit_outbound_total_s:g} s")
    return bytes(body)


def _read_retry_after(text: str | None, settings: Settings) -> float:
    """How long a server asks us to wait: seconds, or a date.

    Source: RFC 9110, section 10.2.3
    """
    if text is None:
        return 0.0
    if text.strip().isdigit() and text.isascii():
        waits_s = float(text.strip()[:9])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return 0.0
        waits_s = (_as_utc(moment) - now()).total_seconds()
    return min(max(waits_s, 0.0), float(settings.limit_retry_after_s))


def _as_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
