"""What surrounds the fronts: bodies are counted as they stream, responses pass as they are."""

import asyncio
from typing import Any

import pytest

from app.access.limits import FailureLimit
from app.base.config import Settings
from app.base.errors import BodyTooLarge
from app.http.middleware import RequestFrame


def run_framed(
    application: Any, settings: Settings, chunks: list[bytes], **given: Any
) -> list[Any]:
    """Run one request through the frame; give what was sent."""
    waiting = [
        {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
        for index, chunk in enumerate(chunks)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [],
        **given,
    }
    frame = RequestFrame(application, settings=settings, failures=FailureLimit(5))
    asyncio.run(frame(scope, receive, send))
    return sent


def test_a_body_is_stopped_at_the_first_byte_too_many(settings: Settings) -> None:
    seen: list[int] = []

    async def application(_scope: Any, receive: Any, _send: Any) -> None:
        while True:
            message = await receive()
            seen.append(len(message["body"]))
            if not message["more_body"]:
                return

    small = settings.model_copy(update={"limit_body_bytes": 10})
    run_framed(application, small, [b"12345", b"67890"])
    assert seen == [5, 5]
    with pytest.raises(BodyTooLarge):
        run_framed(application, small, [b"12345", b"678901", b"never read"])
    assert seen == [5, 5, 5]


def test_a_response_passes_through_in_its_own_pieces(settings: Settings) -> None:
    async def application(scope: Any, _receive: Any, send: Any) -> None:
        assert scope["state"]["request_id"] == "abc-1"
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"x-frame-options", b"SAMEORIGIN")],
            }
        )
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    sent = run_framed(application, settings, [b""], headers=[(b"x-request-id", b"abc-1")])
    assert [message.get("body") for message in sent[1:]] == [b"one", b"two"]
    headers = dict(sent[0]["headers"])
    assert headers[b"x-request-id"] == b"abc-1"
    assert headers[b"x-frame-options"] == b"SAMEORIGIN"


@pytest.mark.parametrize("length", [b"11", b"99999999999999999999999"])
def test_an_announced_body_over_the_limit_is_refused_unread(
    settings: Settings, length: bytes
) -> None:
    async def application(_scope: Any, _receive: Any, _send: Any) -> None:
        raise AssertionError("it must not come this far")

    small = settings.model_copy(update={"limit_body_bytes": 10})
    sent = run_framed(application, small, [b"x"], headers=[(b"content-length", length)])
    assert sent[0]["status"] == 413
