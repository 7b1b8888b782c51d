"""Packed bytes in, plain bytes out: gzip only, counted while it is unpacked.

A bomb is stopped at its limit, long before it has grown.
"""

import zlib
from collections.abc import Iterable

from app.base.config import Settings
from app.base.errors import BodyEncodingUnknown, BodyNotUnpacked, BodyTooLarge

_GZIP = frozenset({"gzip", "x-gzip"})
_PLAIN = frozenset({"", "identity"})
_GZIP_WINDOW = 31  # zlib's word for: with gzip header and checksum
_STEP_BYTES = 256 * 1024
# Below this size no ratio is suspicious: it fits into memory many times over.
_RATIO_FLOOR_BYTES = 256 * 1024


def unpack_body(body: bytes | Iterable[bytes], encoding: str | None, settings: Settings) -> bytes:
    """Give the plain bytes of a body.

    Raises: BodyEncodingUnknown, BodyTooLarge, BodyNotUnpacked
    Source: docs/settings.md, "Limits"; RFC 1952
    """
    word = (encoding or "").strip().lower()
    chunks = (body,) if isinstance(body, bytes) else body
    if word in _PLAIN:
        return b"".join(_count_packed(chunks, settings.limit_body_bytes))
    if word not in _GZIP:
        raise BodyEncodingUnknown(
            f"Content-Encoding {word[:40]!r} is not read here", hint="Send gzip, or none."
        )
    return _unpack_gzip(_count_packed(chunks, settings.limit_body_bytes), settings)


def _count_packed(chunks: Iterable[bytes], limit_bytes: int) -> Iterable[bytes]:
    count = 0
    for chunk in chunks:
        count += len(chunk)
        if count > limit_bytes:
            raise BodyTooLarge(
                f"the body has more than {limit_bytes} bytes",
                hint="Send fewer events at a time, or compress them with gzip.",
            )
        yield chunk


def _unpack_gzip(chunks: Iterable[bytes], settings: Settings) -> bytes:
    """Unpack one gzip member or several in a row; anything else behind them is refused."""
    unpacked = bytearray()
    packed_count = 0
    member = zlib.decompressobj(_GZIP_WINDOW)
    for chunk in chunks:
        packed_count += len(chunk)
        waiting = chunk
        while waiting:
            if member.eof:
                member = zlib.decompressobj(_GZIP_WINDOW)
            try:
                unpacked += member.decompress(waiting, _STEP_BYTES)
            except zlib.error:
                raise BodyNotUnpacked("the body is not gzip, or is damaged") from None
            _check_unpacked(len(unpacked), packed_count, settings)
            waiting = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise BodyNotUnpacked("the gzip body ends too early")
    return bytes(unpacked)


def _check_unpacked(unpacked_bytes: int, packed_bytes: int, settings: Settings) -> None:
    if unpacked_bytes > settings.limit_body_unpacked_bytes:
        raise BodyTooLarge(
            f"the body unpacks to more than {settings.limit_body_unpacked_bytes} bytes",
            hint="Send fewer events at a time.",
        )
    ratio = settings.limit_body_ratio
    if unpacked_bytes > max(_RATIO_FLOOR_BYTES, packed_bytes * ratio):
        raise BodyTooLarge(
            f"the body unpacks to more than {ratio} times its size",
            hint="Send fewer events at a time, or without compression.",
        )
