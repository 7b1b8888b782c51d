"""What surrounds the fronts: bodies are counted as they stream, responses pass as they are."""

import asyncio
from typing import Any

import pytest

from app.access.limits import FailureLimit
from app.base.config import Settings
from app.base.errors import BodyTooLarge
from app.http.middleware import Mounts, RequestFrame


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
    frame = RequestFrame(application, settings=settings, failures=FailureLimit(5), refusals={})
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


@pytest.mark.parametrize(
    ("root", "path", "expected"),
    [
        ("", "/feed", ("feed", "/feed")),
        ("", "/feed/", ("feed", "/feed")),
        ("", "/feed/Learners(1)", ("feed", "/feed")),
        ("", "/feed/all/x", ("all", "/feed/all")),
        ("", "/feed/allx", ("feed", "/feed")),
        ("", "/feeder", ("rest", "")),
        ("", "/", ("rest", "")),
        ("/behind", "/behind/feed/x", ("feed", "/behind/feed")),
        ("/behind", "/feed/x", ("feed", "/behind/feed")),
    ],
)
def test_the_first_path_that_fits_says_who_answers(
    root: str, path: str, expected: tuple[str, str]
) -> None:
    asked: list[tuple[str, str]] = []

    def named(name: str) -> Any:
        async def application(scope: Any, _receive: Any, _send: Any) -> None:
            asked.append((name, scope["root_path"]))

        return application

    mounts = Mounts(named("rest"), applications={"/feed/all": named("all"), "/feed": named("feed")})
    scope = {"type": "http", "path": path, "root_path": root}
    asyncio.run(mounts(scope, None, None))  # type: ignore[arg-type]
    assert [(name, at if name != "rest" else "") for name, at in asked] == [expected]


def test_what_is_no_request_goes_to_the_application_itself() -> None:
    asked: list[str] = []

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        asked.append(scope["type"])

    mounts = Mounts(application, applications={"": application})
    asyncio.run(mounts({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert asked == ["lifespan"]
