"""The parts of a multipart batch, as RFC 2046 tells them apart."""

import pytest

from app.base.errors import BadSyntax
from app.odata.batch_parts import read_multipart_parts

PART = b"--b1\r\nContent-Type: application/http\r\n\r\nGET Teams HTTP/1.1\r\n\r\n\r\n"


def urls(body: bytes) -> list[str]:
    """What the parts of a body with the boundary b1 ask for."""
    return [part.url for part in read_multipart_parts(body, "multipart/mixed; boundary=b1")]


@pytest.mark.parametrize(
    "epilogue",
    [
        b"",
        b"\r\n",
        b" \t\r\nepilogue",
        b"\nepilogue\r\n--b1\r\nmore",
        b"\r\nepilogue\r\n--b1--\r\n",
        b"\r\n" + PART + b"--b1--",
    ],
)
def test_what_follows_the_last_boundary_is_not_read(epilogue: bytes) -> None:
    assert urls(PART + b"--b1--" + epilogue) == ["Teams"]
    assert urls(b"preamble\r\n" + PART + PART + b"--b1--" + epilogue) == ["Teams"] * 2


@pytest.mark.parametrize("ending", [b"", b"--b1", b"--b1\r\n", b"--b1--x\r\n", b" --b1--"])
def test_a_batch_ends_with_its_boundary(ending: bytes) -> None:
    with pytest.raises(BadSyntax, match="does not end"):
        urls(PART + ending)


def test_a_line_that_begins_like_the_last_boundary_is_another() -> None:
    inner = b"Content-Type: multipart/mixed; boundary=b1--x\r\n\r\n--b1--x\r\n\r\n--b1--x--\r\n"
    assert urls(b"--b1\r\n" + inner + PART + b"--b1--") == ["", "Teams"]
