"""Dependencies of the routes: who calls, with which scope, on which store and settings."""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.datastructures import Headers

from app.access.keys import check_key, note_key_use
from app.access.limits import FailureLimit
from app.access.principal import Principal
from app.base.config import Settings
from app.base.errors import NotAuthenticated, StoreBusy, StoreFull
from app.http.errors import CHALLENGE
from app.store.engine import Store, glance, transaction

HOW_TO_SEND = (
    "Send an API key as 'Authorization: Bearer', as 'X-API-Key', or as the password of Basic."
)


def note_use(store: Store, principal: Principal) -> None:
    """Write down that a key was used, unless somebody writes just now; the next request tries
    again then.
    """
    if store.write_lock.locked():
        return
    try:
        with transaction(store) as connection:
            note_key_use(connection, principal)
    except (StoreBusy, StoreFull):
        return


def authenticate_request(
    scope: Mapping[str, Any],
    store: Store,
    *,
    note: Callable[[Store, Principal], object] = note_use,
) -> Principal:
    """Who sends this request, by the API key in its headers; every front asks here.

    scope: the ASGI scope; the middleware has put the limit of failures into its state
    note: writes down that the key was used

    Raises: NotAuthenticated, TooManyFailures
    """
    presented = presented_key(Headers(raw=scope["headers"]))
    if presented is None:
        raise NotAuthenticated("this needs an API key", hint=HOW_TO_SEND, headers=_challenge())
    try:
        with glance(store) as connection:
            checked = check_key(connection, presented)
    except NotAuthenticated as error:
        # Only now: behind a proxy all callers have one address, and a key that opens is no guess.
        _count_failure(scope)
        error.headers.update(_challenge())
        raise
    if checked.use_is_news:
        note(store, checked.principal)
    return checked.principal


def _count_failure(scope: Mapping[str, Any]) -> None:
    failures: FailureLimit | None = scope.get("state", {}).get("failed_authentications")
    if failures is not None:
        address = str((scope.get("client") or ("unknown",))[0])
        failures.check_address(address)
        failures.note_failure(address)


def presented_key(headers: Headers) -> str | None:
    """The key in these headers: X-API-Key, Bearer, or the password of Basic with any user."""
    plain = headers.get("x-api-key")
    if plain:
        return plain.strip()
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip() or None
    if scheme.lower() == "basic":
        return _basic_password(credentials.strip())
    return None


def _basic_password(credentials: str) -> str | None:
    try:
        decoded = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return decoded.partition(":")[2].strip() or None


def _challenge() -> dict[str, str]:
    return {"WWW-Authenticate": CHALLENGE}


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


Config = Annotated[Settings, Depends(_settings)]
OpenStore = Annotated[Store, Depends(_store)]


def _caller(request: Request, store: OpenStore) -> Principal:
    return authenticate_request(request.scope, store)


Caller = Annotated[Principal, Depends(_caller)]


def _reader(caller: Caller) -> Principal:
    caller.require("read")
    return caller


def _deliverer(caller: Caller) -> Principal:
    caller.require("ingest")
    return caller


def _operator(caller: Caller) -> Principal:
    caller.require("operate")
    return caller


def _administrator(caller: Caller) -> Principal:
    caller.require("admin")
    return caller


Reader = Annotated[Principal, Depends(_reader)]
Deliverer = Annotated[Principal, Depends(_deliverer)]
Operator = Annotated[Principal, Depends(_operator)]
Administrator = Annotated[Principal, Depends(_administrator)]


async def _read_body(request: Request) -> bytes:
    """The body as sent, counted by the middleware; routes ask for it after the caller."""
    return await request.body()


RawBody = Annotated[bytes, Depends(_read_body)]
