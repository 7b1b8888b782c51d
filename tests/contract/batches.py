"""Batches as callers write them, and what comes back, read by the standard library."""

from email import message_from_bytes
from email.message import Message
from typing import Any

from fastapi.testclient import TestClient

BOUNDARY = "batch_36522ad7-fc75"


def get(request_id: str, url: str, **more: Any) -> dict[str, Any]:
    """A request object of a JSON batch."""
    return {"id": request_id, "method": "get", "url": url, **more}


def send(client: TestClient, *requests: dict[str, Any], prefer: str = "") -> list[dict[str, Any]]:
    """The responses to a JSON batch."""
    headers = {"Prefer": prefer} if prefer else {}
    answer = client.post("$batch", json={"requests": list(requests)}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers.get_list("odata-version") == ["4.01"]
    responses: list[dict[str, Any]] = answer.json()["responses"]
    return responses


def statuses(responses: list[dict[str, Any]]) -> dict[str, int]:
    """Status by id."""
    return {one["id"]: one["status"] for one in responses}


def refusal(client: TestClient, body: Any, content_type: str = "application/json") -> Any:
    """The error object of a batch that is refused as a whole."""
    given = {"json": body} if content_type == "application/json" else {"content": body}
    answer = client.post("$batch", headers={"Content-Type": content_type}, **given)
    assert 400 <= answer.status_code < 500
    return answer.json()["error"]


def multipart(*parts: str, newline: str = "\r\n") -> bytes:
    """The body of a multipart batch; each part is an HTTP request."""
    told = [
        f"--{BOUNDARY}\nContent-Type: application/http\nContent-Transfer-Encoding: binary\n"
        f"Content-ID: {number}\n\n{part}\n\n\n"
        for number, part in enumerate(parts, 1)
    ]
    text = "preamble\n" + "".join(told) + f"--{BOUNDARY}--\nepilogue\n"
    return text.replace("\n", newline).encode()


def post_parts(client: TestClient, body: bytes, **headers: str) -> list[Message]:
    """The HTTP responses in the parts of a multipart answer, parsed by the standard library."""
    answer = client.post(
        "$batch",
        content=body,
        headers={"Content-Type": f'multipart/mixed; boundary="{BOUNDARY}"', **headers},
    )
    assert answer.status_code == 200, answer.text
    kind = answer.headers["content-type"]
    assert kind.startswith("multipart/mixed; boundary=")
    whole = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + answer.content)
    assert whole.is_multipart()
    assert not whole.defects
    parts: list[Message] = whole.get_payload()  # type: ignore[assignment]
    assert all(part.get_content_type() == "application/http" for part in parts)
    return parts


def read_http(part: Message) -> tuple[int, Message]:
    """The status and the message of an HTTP response."""
    text = str(part.get_payload())
    line, _, rest = text.replace("\r\n", "\n").partition("\n")
    return int(line.split()[1]), message_from_bytes(rest.encode())
